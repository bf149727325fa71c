/*
 * stress_shard.c: four workers open and close flows, each in its own shard of one region, while a reader like the API's
 * copies records and a check proves the region as it goes. What the reader gets must be whole, the check must find
 * nothing, and nothing at the end.
 */
#include "seed.h"
#include "threads.h"
#include "world.h"

#define SHARDS 4u
#define SUBSCRIBERS 8u /* per shard */
#define PORTS 24u
#define REMOTES 3u
#define OPS 25000u
#define UDP 17

struct worker {
	struct sn_shard *s;
	uint64_t rng, now_ns, opened, refused;
	uint32_t subscriber[SUBSCRIBERS];
	uint32_t flow[SUBSCRIBERS][PORTS][REMOTES]; /* SN_NONE: not open */
};

static struct world w;
static _Atomic uint32_t working;
static uint64_t records_read, checks, shards_proved;

/* A remote port that follows from the rest of the tuple, so that a flow made of two is seen. */
static uint16_t remote_port_of(const struct sn_flow *f)
{
	uint64_t x = (uint64_t)f->inside_be32 << 32 ^ (uint64_t)f->inside_port_be16 << 16 ^ f->remote_be32;

	return (uint16_t)seed_next(&x);
}

static void open_or_close(struct worker *k)
{
	uint32_t u = seed_below(&k->rng, SUBSCRIBERS), port = seed_below(&k->rng, PORTS),
		 remote = seed_below(&k->rng, REMOTES);
	uint32_t *flow = &k->flow[u][port][remote];
	struct sn_open o = world_open(&w, k->subscriber[u], UDP, (uint16_t)(2000 + port), remote);

	if (*flow != SN_NONE) {
		sn_shard_close(k->s, *flow, SN_REASON_COMMAND, &w.policy, k->now_ns);
		*flow = SN_NONE;
		return;
	}
	o.flow.remote_port_be16 = remote_port_of(&o.flow);
	o.now_ns = k->now_ns;
	atomic_init(&o.flow.expires_ds, sn_clock_ds(k->now_ns) + 1000000);
	if (sn_shard_open(k->s, &o, flow) == SN_V_FORWARD)
		k->opened++;
	else
		k->refused++;
}

static void packet(struct worker *k)
{
	uint32_t flow =
		k->flow[seed_below(&k->rng, SUBSCRIBERS)][seed_below(&k->rng, PORTS)][seed_below(&k->rng, REMOTES)];

	if (flow == SN_NONE)
		return;
	sn_flow_account(&w.r.flows[flow], (enum sn_dir)seed_below(&k->rng, 2), 1u << 30);
	atomic_store_explicit(&w.r.flows[flow].expires_ds, sn_clock_ds(k->now_ns) + 1000000, memory_order_relaxed);
	if (seed_below(&k->rng, 8) == 0)
		sn_shard_update(k->s, flow, SN_CHANGE_REPLY, k->now_ns);
}

/* What control's sweep would ask for. */
static void tidy(struct worker *k)
{
	uint32_t u = sn_shard_find_subscriber(k->s, 0,
					      htonl(WORLD_INSIDE + k->subscriber[seed_below(&k->rng, SUBSCRIBERS)]));
	uint32_t block;

	if (u == SN_NONE)
		return;
	block = w.r.subscribers[u].first_block;
	sn_shard_return_block(k->s, block, sn_ports_owner(&k->s->ports, block).generation, k->now_ns);
	sn_shard_leave(k->s, u, atomic_load(&w.r.subscribers[u].gen));
}

static void close_all(struct worker *k)
{
	for (uint32_t u = 0; u < SUBSCRIBERS; u++)
		for (uint32_t port = 0; port < PORTS; port++)
			for (uint32_t remote = 0; remote < REMOTES; remote++) {
				sn_shard_close(k->s, k->flow[u][port][remote], SN_REASON_COMMAND, &w.policy, k->now_ns);
				k->flow[u][port][remote] = SN_NONE;
			}
}

static void work(void *arg)
{
	struct worker *k = arg;

	for (uint32_t i = 0; i < OPS; i++) {
		open_or_close(k);
		packet(k);
		if (seed_below(&k->rng, 4) == 0)
			tidy(k);
		if (seed_below(&k->rng, 4000) == 0)
			close_all(k);
		k->now_ns += 50000000;
		sn_shard_tick(k->s, k->now_ns);
		world_drain_audits(k->s);
	}
	atomic_fetch_sub_explicit(&working, 1, memory_order_relaxed);
}

static bool still_working(void)
{
	return atomic_load_explicit(&working, memory_order_relaxed) > 0;
}

static void expect_flow(const struct sn_flow *f, uint32_t n)
{
	struct sn_flow sums = *f;

	sn_flow_set_sums(&sums);
	STRESS_ASSERT(f->remote_port_be16 == remote_port_of(f), "flow %u is made of two", n);
	STRESS_ASSERT(sums.csum_l3 == f->csum_l3 && sums.csum_l4 == f->csum_l4, "flow %u: its sums are another's", n);
	STRESS_ASSERT(f->shard == sn_hash_shard(&w.r.hdr->key, 0, f->inside_be32, SHARDS), "flow %u is in shard %u", n,
		      f->shard);
}

static void read_records(void *unused)
{
	const struct sn_ports *p = &w.shard[0].ports;
	struct sn_subscriber u;
	struct sn_binding b;
	struct sn_flow f;

	(void)unused;
	for (uint32_t n = 0; still_working(); n = n + 1 < w.r.flow_count ? n + 1 : 0) {
		if (sn_region_read_flow(&w.r, n, &f)) {
			expect_flow(&f, n);
			records_read++;
		}
		if (sn_region_read_binding(&w.r, n, &b))
			STRESS_ASSERT(ntohs(b.public_port_be16) / p->block_size == b.block % p->blocks_per_address,
				      "binding %u is made of two", n);
		if (sn_region_read_subscriber(&w.r, n, &u))
			STRESS_ASSERT(u.shard == sn_hash_shard(&w.r.hdr->key, 0, u.inside_be32, SHARDS),
				      "subscriber %u is in shard %u", n, u.shard);
	}
}

static void check(void *unused)
{
	struct sn_check found;

	(void)unused;
	while (still_working()) {
		STRESS_ASSERT(sn_check_region(&w.r, true, world_say, NULL, &found) != 1,
			      "%llu violations in a live region", (unsigned long long)found.violations);
		checks++;
		shards_proved += SHARDS - found.unsettled;
	}
}

/* The first inside addresses of each shard. */
static void settle_subscribers(struct worker *workers)
{
	for (uint32_t s = 0; s < SHARDS; s++)
		for (uint32_t n = 0, have = 0; have < SUBSCRIBERS; n++)
			if (world_shard(&w, n) == workers[s].s)
				workers[s].subscriber[have++] = n;
}

static void start(struct stress *all, struct worker *workers, uint64_t seed)
{
	for (uint32_t s = 0; s < SHARDS; s++) {
		workers[s].s = &w.shard[s];
		workers[s].rng = seed + s;
		workers[s].now_ns = WORLD_NOW_NS;
		memset(workers[s].flow, 0xff, sizeof(workers[s].flow));
	}
	settle_subscribers(workers);
	atomic_store(&working, SHARDS);
	stress_init(all, SHARDS + 2);
	for (uint32_t s = 0; s < SHARDS; s++)
		stress_run(all, work, &workers[s]);
	stress_run(all, read_records, NULL);
	stress_run(all, check, NULL);
}

int main(void)
{
	struct sn_geometry geo = world_geometry(SHARDS, 1024, 2);
	static struct worker workers[SHARDS];
	struct stress all;

	world_make(&w, &geo);
	w.policy.limits.hold_down_ds = 20;
	start(&all, workers, seed_start(106));
	stress_join(&all);
	STRESS_ASSERT(world_check(&w) == 0, "the region is not whole at the end");
	for (uint32_t s = 0; s < SHARDS; s++)
		printf("shard %u: %llu opened, %llu refused\n", s, (unsigned long long)workers[s].opened,
		       (unsigned long long)workers[s].refused);
	printf("%llu flows read, %llu checks, in which %llu shards stood still\n", (unsigned long long)records_read,
	       (unsigned long long)checks, (unsigned long long)shards_proved);
	world_drop(&w);
	return 0;
}
