/* traffic.c: see traffic.h. */
#include "traffic.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <time.h>

#include "packet/parse.h"

#define EVENTS 256
#define STREAM_AFTER_NS 2200000000u /* a UDP flow with replies is a stream from then on */
#define OVER_AFTER_NS 250000000u    /* short flows */

static uint64_t read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t spent_ns(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static void sleep_ns(uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };

	nanosleep(&ts, NULL);
}

/* --- lanes --- */

static struct lane *lane_of(struct world *w, uint32_t inside_be32)
{
	uint32_t shard = sn_hash_shard(&w->region.hdr->key, 0, inside_be32, w->region.geo.shards);

	return &w->lanes[shard % w->plan.workers];
}

static bool has_work(const struct sn_worker *worker)
{
	return sn_pending(&worker->ports[0]) || sn_pending(&worker->ports[1]) || sn_ring_used(&worker->commands);
}

static uint64_t run(struct world *w)
{
	uint64_t start = spent_ns();

	for (uint32_t i = 0; i < w->plan.workers; i++)
		while (has_work(w->lanes[i].worker))
			sn_worker_turn(w->lanes[i].worker);
	return spent_ns() - start;
}

uint32_t traffic_collect(struct world *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->plan.workers; i++)
		for (uint32_t port = 0; port < 2; port++)
			while (sn_mem_get(&w->lanes[i].worker->ports[port], NULL, 0))
				n++;
	return n;
}

/* Functions of their own, by whose names the profiler knows what to collect. */
static __attribute__((noinline, noclone, no_icf)) uint64_t visit_turns(struct world *w)
{
	return run(w);
}

static __attribute__((noinline, noclone, no_icf)) uint64_t open_turns(struct world *w)
{
	return run(w);
}

static __attribute__((noinline, noclone, no_icf)) uint64_t close_turns(struct world *w)
{
	return run(w);
}

/* Counts what was not sent as lost. */
static void expect(struct world *w, uint32_t sent)
{
	w->lost += sent - traffic_collect(w);
}

static void put_at(struct world *w, struct lane *l, struct tuple *t, enum packet_way way, uint32_t len_b,
		   uint8_t tcp_flags)
{
	uint8_t frame[PACKET_MAX_B];

	packet_build(frame, len_b, t, way, tcp_flags);
	if (!sn_mem_put(&l->worker->ports[way], frame, len_b))
		w->lost++;
}

static void put(struct world *w, struct tuple *t, enum packet_way way, uint32_t len_b, uint8_t tcp_flags)
{
	put_at(w, lane_of(w, t->inside_be32), t, way, len_b, tcp_flags);
}

void traffic_put(struct world *w, struct lane *l, struct tuple *t, enum packet_way way)
{
	put_at(w, l, t, way, PACKET_MIN_B, SN_ACK);
}

/* --- opening --- */

static struct tuple tuple_of_event(const struct sn_event *e)
{
	uint32_t syn = e->proto == 6;

	return (struct tuple){ .inside_be32 = e->inside_be32, .remote_be32 = e->remote_be32, .public_be32 = e->public_be32,
			       .inside_port_be16 = e->inside_port_be16, .remote_port_be16 = e->remote_port_be16,
			       .public_port_be16 = e->public_port_be16, .proto = e->proto, .shard = e->shard,
			       .sent = { syn, 0 }, .acked = { 0, syn } };
}

/* Reads what a shard has published; what was opened goes to the tuples, or to commands that close it. */
static uint32_t read_events(struct world *w, uint32_t shard, struct sn_command *commands)
{
	struct sn_event_ring ring = sn_region_events(&w->region, shard);
	struct sn_event events[EVENTS];
	uint32_t born = 0, n;
	uint64_t missed;

	while ((n = sn_event_read(&ring, &w->cursors[shard], events, EVENTS, &missed))) {
		SN_ASSERT(missed == 0);
		for (uint32_t i = 0; i < n; i++) {
			if (events[i].type != SN_EVENT_NEW)
				continue;
			if (commands)
				commands[born] = (struct sn_command){ SN_CMD_EXPIRE, shard, events[i].flow, events[i].gen };
			else
				w->tuples[w->live++] = tuple_of_event(&events[i]);
			born++;
		}
	}
	return born;
}

/* Control's and the API's part: nothing stays in the rings. How many flows were opened. */
static uint32_t follow(struct world *w, struct sn_command *commands)
{
	uint32_t born = 0;

	for (uint32_t s = 0; s < w->region.geo.shards; s++) {
		struct sn_ring audits = sn_region_audits(&w->region, s);

		sn_ring_release(&audits, sn_ring_used(&audits));
		born += read_events(w, s, commands ? commands + born : NULL);
	}
	return born;
}

/* Events of packets that opened nothing: passed by. */
static void skip_events(struct world *w)
{
	for (uint32_t s = 0; s < w->region.geo.shards; s++) {
		struct sn_event_ring ring = sn_region_events(&w->region, s);

		w->cursors[s] = sn_event_head(&ring);
	}
}

static void put_first(struct world *w)
{
	uint32_t n = w->opened++;
	struct tuple t = tuple_of(n, w->plan.subscribers, n < w->plan.tcp ? 6 : 17);

	put(w, &t, PACKET_OUT, PACKET_MIN_B, t.proto == 6 ? SN_SYN : 0);
}

static uint64_t open_flows(struct world *w, uint32_t count, struct sn_command *commands)
{
	uint32_t born = 0;
	uint64_t ns = 0;

	skip_events(w);
	for (uint32_t done = 0, n; done < count; done += n) {
		n = SN_MIN(count - done, (uint32_t)WORLD_BATCH);
		for (uint32_t i = 0; i < n; i++)
			put_first(w);
		ns += commands ? open_turns(w) : run(w);
		expect(w, n);
		born += follow(w, commands ? commands + born : NULL);
	}
	w->lost += count - born;
	return ns;
}

/* A packet of each flow that is there. */
static void each_flow(struct world *w, enum packet_way way, uint8_t tcp_flags, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		put(w, &w->tuples[first + i], way, PACKET_MIN_B, tcp_flags);
	run(w);
	expect(w, count);
	for (uint32_t i = 0; i < count; i++)
		packet_settle(&w->tuples[first + i]);
}

void traffic_fill(struct world *w, void (*progress)(const char *what, uint32_t done, uint32_t of))
{
	static const struct { const char *what; enum packet_way way; uint8_t flags; } passes[] = {
		{ "answering", PACKET_IN, SN_SYN | SN_ACK }, { "confirming", PACKET_OUT, SN_ACK },
	};
	uint32_t all = SN_MAX(w->plan.flows, w->plan.subscribers);
	uint64_t opened_ns;

	while (w->live < all && !w->lost) {
		open_flows(w, SN_MIN(all - w->live, 64u * WORLD_BATCH), NULL);
		progress("opening", w->live, all);
	}
	opened_ns = now_ns();
	for (uint32_t p = 0; p < SN_ARRAY_LEN(passes); p++) {
		if (p == 1 && now_ns() - opened_ns < STREAM_AFTER_NS)
			sleep_ns(STREAM_AFTER_NS - (now_ns() - opened_ns));
		for (uint32_t first = 0; first < w->live; first += WORLD_BATCH) {
			each_flow(w, passes[p].way, passes[p].flags, first, SN_MIN(w->live - first, (uint32_t)WORLD_BATCH));
			if (first % (64 * WORLD_BATCH) == 0)
				progress(passes[p].what, first, w->live);
		}
	}
}

/* --- established --- */

static enum packet_way way_of(const struct visit *v, uint32_t i)
{
	return v->in && (!v->out || i % 2) ? PACKET_IN : PACKET_OUT;
}

static void visit_batch(struct world *w, const struct visit *v, uint32_t serial, struct tuple **seen)
{
	uint32_t flows = v->flows ? v->flows : w->plan.flows;

	for (uint32_t i = 0; i < WORLD_BATCH; i++) {
		seen[i] = &w->tuples[world_below(w, flows)];
		__builtin_prefetch(seen[i], 1);
	}
	for (uint32_t i = 0; i < WORLD_BATCH; i++)
		put(w, seen[i], way_of(v, i), v->imix ? packet_imix_b(serial + i) : PACKET_MIN_B, SN_ACK);
}

/* Looks at what was sent: each packet translated, in the order of arrival. For one worker. */
static void inspect(struct world *w, const struct visit *v, struct tuple **seen)
{
	struct sn_port *ports = w->lanes[0].worker->ports;
	uint8_t frame[PACKET_MAX_B];

	for (uint32_t i = 0; i < WORLD_BATCH; i++) {
		enum packet_way way = way_of(v, i);
		uint32_t len_b = sn_mem_get(&ports[way == PACKET_OUT ? 1 : 0], frame, sizeof(frame));

		w->lost += len_b == 0 || !packet_is_translated(frame, len_b, seen[i], way);
	}
}

uint64_t traffic_visit(struct world *w, const struct visit *v, uint32_t packets)
{
	struct tuple *seen[WORLD_BATCH];
	uint64_t ns = 0;

	for (uint32_t done = 0; done < packets; done += WORLD_BATCH) {
		visit_batch(w, v, done, seen);
		ns += visit_turns(w);
		if (done == 0)
			inspect(w, v, seen);
		else
			expect(w, WORLD_BATCH);
		for (uint32_t i = 0; i < WORLD_BATCH; i++)
			packet_settle(seen[i]);
	}
	return ns;
}

/* --- new ones, and their end --- */

static uint32_t put_commands(struct world *w, const struct sn_command *commands, uint32_t count)
{
	uint32_t n = 0;

	for (; n < count; n++) {
		struct sn_ring *ring = &w->lanes[commands[n].shard % w->plan.workers].worker->commands;
		struct sn_command *slot = sn_ring_reserve(ring, 0);

		if (!slot)
			break;
		*slot = commands[n];
		sn_ring_publish(ring, 1);
	}
	return n;
}

static uint64_t count_closed(const struct world *w)
{
	uint64_t n = 0;

	for (uint32_t s = 0; s < w->region.geo.shards; s++)
		n += w->region.shards[s].closed;
	return n;
}

void traffic_churn(struct world *w, uint32_t count, uint64_t *ret_open_ns, uint64_t *ret_close_ns)
{
	struct sn_command *commands = calloc(count, sizeof(*commands));
	uint64_t closed = count_closed(w);

	SN_ASSERT(commands != NULL);
	world_be_short(w, true);
	*ret_open_ns = open_flows(w, count, commands);
	sleep_ns(OVER_AFTER_NS);
	*ret_close_ns = 0;
	for (uint32_t done = 0, n; done < count; done += n) {
		n = put_commands(w, commands + done, count - done);
		*ret_close_ns += close_turns(w);
	}
	world_be_short(w, false);
	w->lost += count - (count_closed(w) - closed);
	free(commands);
}

/* --- unsolicited --- */

/* Everything that such a packet could change. */
static uint64_t count_changes(const struct world *w)
{
	uint64_t n = 0;

	for (uint32_t s = 0; s < w->region.geo.shards; s++) {
		const struct sn_shard_state *st = &w->region.shards[s];
		struct sn_event_ring ring = sn_region_events(&w->region, s);

		n += st->opened + st->closed + st->refused + st->audit_seq + sn_event_head(&ring);
	}
	return n;
}

/* A bit per public port of the UDP plane: bound. Made beforehand, so that looking it up does not warm the port map. */
static uint64_t *bound_ports(const struct world *w)
{
	struct sn_ports ports = sn_region_ports(&w->region, SN_NONE);
	uint64_t *bound = calloc((size_t)ports.address_count * SN_PORT_COUNT / 64, sizeof(*bound));

	SN_ASSERT(bound != NULL);
	for (uint32_t b = 0; b < sn_ports_block_count(&ports); b++)
		for (uint32_t place = 0; place < ports.block_size; place++) {
			size_t bit = (size_t)b * ports.block_size + place;

			if (sn_ports_binding(&ports, b, SN_L4_UDP, (uint16_t)place) != SN_NONE)
				bound[bit / 64] |= 1ull << (bit % 64);
		}
	return bound;
}

static struct tuple unsolicited(struct world *w, const uint64_t *bound)
{
	uint32_t bit;

	do
		bit = world_below(w, w->region.geo.addresses * SN_PORT_COUNT);
	while (bit % SN_PORT_COUNT < SN_PORT_FIRST || bound[bit / 64] >> (bit % 64) & 1);
	return (struct tuple){
		.public_be32 = sn_region_ports(&w->region, SN_NONE).addresses[bit / SN_PORT_COUNT].addr_be32,
		.public_port_be16 = htons((uint16_t)(bit % SN_PORT_COUNT)),
		.remote_be32 = htonl(0xc6120000u + world_below(w, 0x20000)),
		.remote_port_be16 = htons((uint16_t)(1 + world_below(w, 65535))),
		.proto = 17,
	};
}

uint64_t traffic_unsolicited(struct world *w, uint32_t packets)
{
	uint64_t *bound = bound_ports(w);
	uint64_t before = count_changes(w), ns = 0;
	const uint64_t *dropped = &w->lanes[0].worker->stats->verdict[SN_V_NO_BINDING];
	uint64_t dropped_before = *dropped;

	for (uint32_t done = 0; done < packets; done += WORLD_BATCH) {
		for (uint32_t i = 0; i < WORLD_BATCH; i++) {
			struct tuple t = unsolicited(w, bound);

			put(w, &t, PACKET_IN, PACKET_MIN_B, SN_ACK);
		}
		ns += run(w);
		w->lost += traffic_collect(w);
	}
	w->lost += packets - (*dropped - dropped_before) + (count_changes(w) - before);
	free(bound);
	return ns;
}
