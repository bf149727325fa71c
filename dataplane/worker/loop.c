/*
 * loop.c: the worker's turn: take-over once, then commands, packets, ticks, and sleep when there is nothing to do.
 */
#include "worker/worker.h"

#include <errno.h>
#include <stdlib.h>

/* Rounds without work before a worker sleeps. */
#define SN_IDLE_ROUNDS 64
#define SN_SLEEP_MS 1000
#define SN_SLEEP_WAITING_MS 20
#define SN_TICK_DS 1
#define SN_STATS_DS 10 /* sockets are asked for their statistics */

int sn_worker_init(struct sn_worker *w, uint32_t number)
{
	const struct sn_region *r = &w->region;

	w->number = number;
	w->stats = &r->stats[number];
	w->stats->ready = 0;
	w->commands = sn_region_commands(r, number);
	w->requests = sn_region_requests(r, number);
	for (uint32_t i = 0; i < r->geo.workers; i++) {
		w->handoff_in[i] = sn_region_handoff(r, i, number);
		w->handoff_out[i] = sn_region_handoff(r, number, i);
	}
	w->nat.region = &w->region;
	w->nat.worker = number;
	w->nat.ports = sn_region_ports(r, SN_NONE);
	w->nat.shards = calloc(r->geo.shards, sizeof(*w->nat.shards));
	w->nat.owned = calloc(r->geo.shards, sizeof(*w->nat.owned));
	return w->nat.shards && w->nat.owned ? 0 : -ENOMEM;
}

static void refresh(struct sn_worker *w)
{
	w->nat.policy = sn_policy_active(w->region.policy);
	w->nat.now_ns = sn_clock_ns(&w->region.hdr->clock);
	w->nat.now_ds = sn_clock_ds(w->nat.now_ns);
	w->nat.route_gen = atomic_load_explicit(&w->region.routing->generation, memory_order_acquire);
	w->stats->policy_generation = w->nat.policy->generation;
}

/* Packets that a predecessor had taken and not ended. */
static void count_lost(struct sn_worker *w)
{
	uint64_t ended = 0, taken = w->stats->received + w->stats->handed_in + w->stats->pieces;

	for (uint32_t v = 0; v < SN_V_COUNT; v++)
		ended += w->stats->verdict[v];
	if (taken > ended)
		w->stats->verdict[SN_V_LOST_IN_CRASH] += taken - ended;
}

static void take_over_shards(struct sn_worker *w)
{
	for (uint32_t i = 0; i < w->region.geo.shards; i++) {
		uint64_t word = atomic_load_explicit(&w->region.owners[i], memory_order_acquire);

		w->nat.owned[i] = 0;
		if (sn_shard_owner_unpack(word).worker != w->number)
			continue;
		sn_shard_join(&w->nat.shards[i], &w->region, i);
		switch (sn_shard_recover(&w->nat.shards[i])) {
		case 1: w->stats->recovered++; break;
		case 2: w->stats->rebuilt++; break;
		}
		w->nat.owned[i] = word;
	}
}

/* Frames are conserved: what the kernel owes by its rings is what our books say it has. */
static void count_astray(struct sn_worker *w)
{
	uint32_t counts[SN_FRAME_STATES], fill = 0, tx = 0;

	for (uint32_t i = 0; i < w->port_count; i++) {
		uint32_t fill_of_port, tx_of_port;

		sn_owed(&w->ports[i], &fill_of_port, &tx_of_port);
		fill += fill_of_port;
		tx += tx_of_port;
	}
	sn_umem_count(&w->umem[w->number], counts);
	w->stats->astray += (uint64_t)(SN_MAX(fill, counts[SN_FRAME_FILL]) - SN_MIN(fill, counts[SN_FRAME_FILL]));
	w->stats->astray += (uint64_t)(SN_MAX(tx, counts[SN_FRAME_TX]) - SN_MIN(tx, counts[SN_FRAME_TX]));
}

static void take_over_frames(struct sn_worker *w)
{
	for (uint32_t i = 0; i < w->port_count; i++)
		sn_recover(&w->ports[i]);
	sn_handoff_recover(w);
	sn_umem_reclaim(&w->umem[w->number]);
	count_astray(w);
	sn_handoff_stock(w);
}

void sn_worker_take_over(struct sn_worker *w)
{
	refresh(w);
	count_lost(w);
	take_over_frames(w);
	take_over_shards(w);
	/* Identifications go on where nobody has been for long. */
	for (uint32_t i = 0; i < 2 * SN_IDENTS; i++)
		w->nat.idents[i / SN_IDENTS][i % SN_IDENTS] = (uint16_t)(w->nat.now_ns >> 20) + (uint16_t)(i * 40503u);
}

static uint32_t take_port(struct sn_worker *w, struct sn_port *port, struct sn_arrival *arrivals)
{
	struct sn_desc descs[SN_BURST];
	uint32_t n = sn_rx(port, descs, SN_BURST);

	w->stats->received += n;
	for (uint32_t i = 0; i < n; i++)
		arrivals[i] = (struct sn_arrival){ .desc = descs[i], .interface = port->interface };
	return n;
}

static uint32_t take_packets(struct sn_worker *w)
{
	struct sn_arrival arrivals[SN_BURST];
	uint32_t total = 0, n;

	for (uint32_t i = 0; i < w->port_count; i++) {
		n = take_port(w, &w->ports[i], arrivals);
		sn_burst_run(w, arrivals, n);
		total += n;
	}
	for (uint32_t i = 0; i < w->region.geo.workers; i++) {
		if (i == w->number)
			continue;
		n = sn_handoff_take(w, i, arrivals, SN_BURST);
		sn_burst_run(w, arrivals, n);
		total += n;
	}
	while (SN_UNLIKELY(w->fragments.released_count)) {
		n = sn_fragments_take(w, arrivals, SN_BURST);
		sn_burst_run(w, arrivals, n);
	}
	return total;
}

static void update_ports(struct sn_worker *w)
{
	w->stats_ds = w->nat.now_ds;
	for (uint32_t i = 0; i < w->port_count && i < SN_PORTS_MAX; i++) {
		w->stats->ports[i].interface = w->ports[i].interface;
		w->stats->ports[i].queue = w->ports[i].queue;
		if (w->ports[i].ops->stats)
			sn_port_stats(&w->ports[i], &w->stats->ports[i]);
	}
}

/* Ten times a second at most: hold-down, waiting packets, and the frame count that status shows. */
static void tick(struct sn_worker *w)
{
	uint32_t counts[SN_FRAME_STATES];

	if (w->waiting_count)
		sn_waiting_retry(w);
	if (w->nat.now_ds - w->tick_ds < SN_TICK_DS)
		return;
	w->tick_ds = w->nat.now_ds;
	if (w->fragments.held_count)
		sn_fragments_tick(w);
	for (uint32_t i = 0; i < w->region.geo.shards; i++)
		while (w->nat.owned[i] && sn_shard_tick(&w->nat.shards[i], w->nat.now_ns))
			;
	if (w->nat.now_ds - w->stats_ds >= SN_STATS_DS)
		update_ports(w);
	sn_umem_count(&w->umem[w->number], counts);
	w->stats->frames[0] = counts[SN_FRAME_FILL] + counts[SN_FRAME_FILLING];
	w->stats->frames[1] = counts[SN_FRAME_WORK];
	w->stats->frames[2] = counts[SN_FRAME_TX] + counts[SN_FRAME_TXING];
	w->stats->frames[3] = counts[SN_FRAME_FREE];
	w->stats->frames[4] = counts[SN_FRAME_HANDOFF];
}

static void send_all(struct sn_worker *w)
{
	sn_burst_flush(w);
	sn_handoff_flush(w);
	for (uint32_t i = 0; i < w->port_count; i++)
		w->stats->wakeups += sn_kick(&w->ports[i]);
}

uint32_t sn_worker_turn(struct sn_worker *w)
{
	uint32_t work;

	refresh(w);
	work = sn_command_run(w) + take_packets(w);
	tick(w);
	send_all(w);
	w->stats->rounds++;
	return work;
}

void sn_worker_run(struct sn_worker *w, const volatile int *stop)
{
	w->stats->ready = 1;
	while (!*stop) {
		w->idle_rounds = sn_worker_turn(w) ? 0 : w->idle_rounds + 1;
		if (w->idle_rounds >= SN_IDLE_ROUNDS)
			sn_sleep(w, w->waiting_count || w->fragments.held_count ? SN_SLEEP_WAITING_MS : SN_SLEEP_MS);
	}
}
