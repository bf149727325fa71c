/*
 * model_flowtable.c: a million random opens, closes, look-ups, clock steps, block returns and departures on a region of
 * four shards, against a naive twin: plain arrays indexed by all that can be. Now and then the whole region is proved,
 * and a shard is rebuilt.
 */
#include <criterion/criterion.h>

#include "seed.h"
#include "world.h"

#define OPS 1000000u
#define PROOF_EVERY 20000u
#define SUBSCRIBERS 24u
#define PORTS 40u
#define REMOTES 3u
#define PROTOS 3u
#define ADDRESSES 2u
#define LIFE_DS 400u

static const uint8_t protos[PROTOS] = { 6, 17, 1 };

struct twin_flow {
	bool alive, outside;
	uint32_t number, expires_ds;
};

struct twin_binding {
	uint32_t flows, outside;
	uint32_t number;
	uint32_t address;
	uint16_t port;
};

struct twin_port {
	bool bound;
	uint32_t held_until_ds; /* 0: not held */
};

static struct twin_flow flows[SUBSCRIBERS][PROTOS][PORTS][REMOTES];
static struct twin_binding bindings[SUBSCRIBERS][PROTOS][PORTS];
static struct twin_port ports[ADDRESSES][PROTOS][65536];
static uint32_t sub_flows[SUBSCRIBERS], sub_ports[SUBSCRIBERS][PROTOS];
static uint32_t alive, refused[SN_V_COUNT], opened;
static struct world w;
static uint64_t seed, now_ns = WORLD_NOW_NS;

struct pick {
	uint32_t sub, proto, port, remote;
};

static struct pick pick(void)
{
	/* Unequal: low numbers come more often, so that some reach their limits. */
	uint32_t sub = seed_below(&seed, SUBSCRIBERS) * seed_below(&seed, SUBSCRIBERS) / SUBSCRIBERS;

	return (struct pick){ sub, seed_below(&seed, PROTOS), seed_below(&seed, PORTS), seed_below(&seed, REMOTES) };
}

static struct twin_flow *flow_of(struct pick k)
{
	return &flows[k.sub][k.proto][k.port][k.remote];
}

static struct twin_binding *binding_of(struct pick k)
{
	return &bindings[k.sub][k.proto][k.port];
}

static struct sn_open open_of(struct pick k)
{
	struct sn_open o = world_open(&w, k.sub, protos[k.proto], (uint16_t)(1000 + k.port), k.remote);

	o.now_ns = now_ns;
	atomic_init(&o.flow.expires_ds, sn_clock_ds(now_ns) + LIFE_DS);
	return o;
}

/* --- the twin's changes --- */

static void twin_close(struct pick k)
{
	struct twin_flow *f = flow_of(k);
	struct twin_binding *b = binding_of(k);
	struct twin_port *p = &ports[b->address][k.proto][b->port];

	f->alive = false;
	alive--;
	b->flows--;
	b->outside -= f->outside;
	sub_flows[k.sub] -= !f->outside;
	if (b->flows > 0)
		return;
	sub_ports[k.sub][k.proto]--;
	p->bound = false;
	p->held_until_ds = sn_clock_ds(now_ns) + w.policy.limits.hold_down_ds;
}

static void twin_bind(struct pick k, const struct sn_flow *f)
{
	struct twin_binding *b = binding_of(k);
	struct twin_port *p;

	b->number = f->binding;
	b->address = ntohl(f->public_be32) - WORLD_PUBLIC;
	b->port = ntohs(f->public_port_be16);
	cr_assert(b->address < ADDRESSES && b->port >= 1024);
	p = &ports[b->address][k.proto][b->port];
	cr_assert_not(p->bound, "port %u given twice", b->port);
	cr_assert(p->held_until_ds == 0 || sn_clock_due(p->held_until_ds, sn_clock_ds(now_ns)),
		  "port %u is in hold-down", b->port);
	p->bound = true;
	p->held_until_ds = 0;
	sub_ports[k.sub][k.proto]++;
}

static void twin_open(struct pick k, bool outside, uint32_t number)
{
	const struct sn_flow *f = &w.r.flows[number];
	struct twin_binding *b = binding_of(k);

	if (b->flows == 0)
		twin_bind(k, f);
	cr_assert_eq(f->binding, b->number);
	cr_assert_eq(ntohl(f->public_be32) - WORLD_PUBLIC, b->address);
	cr_assert_eq(ntohs(f->public_port_be16), b->port);
	b->flows++;
	b->outside += outside;
	sub_flows[k.sub] += !outside;
	*flow_of(k) = (struct twin_flow){ true, outside, number, sn_clock_ds(now_ns) + LIFE_DS };
	alive++;
}

/* What the limits alone say; SN_V_FORWARD if it depends on the ports there are. */
static enum sn_verdict twin_verdict(struct pick k, bool outside)
{
	const struct sn_limits *l = &w.policy.limits;
	struct twin_binding *b = binding_of(k);

	if (outside)
		return b->flows == 0                    ? SN_V_NO_BINDING
		       : b->outside >= l->outside_flows ? SN_V_BINDING_FLOWS
							: SN_V_FORWARD;
	if (sub_flows[k.sub] >= l->flows)
		return SN_V_QUOTA_FLOWS;
	return b->flows == 0 && sub_ports[k.sub][k.proto] >= l->ports[k.proto] ? SN_V_QUOTA_PORTS : SN_V_FORWARD;
}

/* A port of the block that is neither bound nor held in the twin; false if there is none. */
static bool twin_has_room(uint32_t block, uint32_t proto)
{
	const struct sn_ports *p = &w.shard[0].ports;
	uint32_t first = sn_ports_first_port(p, block), address = sn_ports_block_address(p, block);

	for (uint32_t i = 0; i < p->block_size; i++) {
		const struct twin_port *t = &ports[address][proto][first + i];

		if (!t->bound && t->held_until_ds == 0)
			return true;
	}
	return false;
}

/* No room in any block that the subscriber's shard has for it: only then may it be refused for want of ports. */
static void expect_no_room(struct pick k)
{
	struct sn_shard *s = world_shard(&w, k.sub);
	uint32_t subscriber = sn_shard_find_subscriber(s, 0, htonl(WORLD_INSIDE + k.sub)), blocks = 0;

	for (uint32_t block = 0; block < sn_ports_block_count(&s->ports); block++) {
		struct sn_block_owner o = sn_ports_owner(&s->ports, block);

		if (!o.claimed || o.shard != s->number || o.subscriber != subscriber)
			continue;
		blocks++;
		cr_assert_not(twin_has_room(block, k.proto), "refused, and block %u has room", block);
	}
	cr_assert_eq(blocks, w.policy.limits.blocks);
}

/* --- operations --- */

static void do_open(struct pick k)
{
	bool outside = seed_below(&seed, 4) == 0;
	struct sn_open o = open_of(k);
	uint32_t number = SN_NONE;
	enum sn_verdict v, expected;

	if (outside) {
		o.flow.flags = SN_FLOW_FROM_OUTSIDE;
		o.binding = binding_of(k)->flows > 0 ? binding_of(k)->number : SN_NONE;
	}
	v = sn_shard_open(world_shard(&w, k.sub), &o, &number);
	if (flow_of(k)->alive)
		twin_close(k);
	expected = twin_verdict(k, outside);
	if (expected != SN_V_FORWARD)
		cr_assert_eq(v, expected, "%s, not %s", sn_verdict_name(v), sn_verdict_name(expected));
	else if (v == SN_V_FORWARD)
		twin_open(k, outside, number);
	else
		cr_assert_eq(v, SN_V_QUOTA_PORTS, "%s", sn_verdict_name(v));
	if (expected == SN_V_FORWARD && v == SN_V_QUOTA_PORTS)
		expect_no_room(k);
	refused[v]++;
	opened += v == SN_V_FORWARD;
}

static void do_close(struct pick k)
{
	struct twin_flow *f = flow_of(k);

	if (!f->alive)
		return;
	if (seed_below(&seed, 2))
		sn_shard_close(world_shard(&w, k.sub), f->number, SN_REASON_COMMAND, &w.policy, now_ns);
	else if (!sn_shard_expire(world_shard(&w, k.sub), f->number, w.r.flows[f->number].gen, &w.policy, now_ns)) {
		cr_assert_not(sn_clock_due(f->expires_ds, sn_clock_ds(now_ns)));
		return;
	}
	twin_close(k);
}

static void do_find(struct pick k)
{
	struct sn_shard *s = world_shard(&w, k.sub);
	struct twin_binding *b = binding_of(k);
	struct sn_flow f = open_of(k).flow;
	uint32_t now_ds = sn_clock_ds(now_ns);
	bool there = flow_of(k)->alive && !sn_clock_due(flow_of(k)->expires_ds, now_ds);
	uint32_t expected = there ? flow_of(k)->number : SN_NONE;
	const struct sn_hash_key *key = &w.r.hdr->key;

	cr_assert_eq(sn_shard_find_inside(s,
					  sn_hash_flow_inside(key, 0, f.proto, f.inside_be32, f.inside_port_be16,
							      f.remote_be32, f.remote_port_be16),
					  0, f.proto, f.inside_be32, f.inside_port_be16, f.remote_be32,
					  f.remote_port_be16, now_ds),
		     expected);
	if (b->flows == 0)
		return;
	f.public_be32 = htonl(WORLD_PUBLIC + b->address);
	f.public_port_be16 = htons(b->port);
	cr_assert_eq(sn_shard_find_outside(s,
					   sn_hash_flow_outside(key, f.proto, f.remote_be32, f.remote_port_be16,
								f.public_be32, f.public_port_be16),
					   f.proto, f.remote_be32, f.remote_port_be16, f.public_be32,
					   f.public_port_be16, now_ds),
		     expected);
}

static void do_step(void)
{
	uint32_t now_ds, more = 1;

	now_ns += seed_below(&seed, 10) * 100000000ull;
	now_ds = sn_clock_ds(now_ns);
	for (uint32_t s = 0; s < w.r.geo.shards; s++) {
		while (more > 0)
			more = sn_shard_tick(&w.shard[s], now_ns);
		more = 1;
	}
	for (uint32_t a = 0; a < ADDRESSES; a++)
		for (uint32_t proto = 0; proto < PROTOS; proto++)
			for (uint32_t port = 1024; port < 65536; port++) {
				struct twin_port *p = &ports[a][proto][port];

				if (p->held_until_ds != 0 && sn_clock_due(p->held_until_ds, now_ds))
					p->held_until_ds = 0;
			}
}

static void do_return(struct pick k)
{
	struct sn_shard *s = world_shard(&w, k.sub);
	uint32_t subscriber = sn_shard_find_subscriber(s, 0, htonl(WORLD_INSIDE + k.sub)), block;
	struct sn_block_owner o;

	if (subscriber == SN_NONE)
		return;
	block = w.r.subscribers[subscriber].first_block;
	o = sn_ports_owner(&s->ports, block);
	sn_shard_return_block(s, block, o.generation, now_ns);
	if (sn_shard_leave(s, subscriber, w.r.subscribers[subscriber].gen))
		cr_assert_eq(sub_flows[k.sub], 0);
}

static void prove(void)
{
	struct sn_check found;

	cr_assert_eq(sn_check_region(&w.r, false, world_say, NULL, &found), 0);
	cr_assert_eq(found.flows, alive);
	for (uint32_t s = 0; s < w.r.geo.shards; s++)
		cr_assert_eq(w.shard[s].state->hold.forced, 0);
}

static void do_one(void)
{
	struct pick k = pick();
	uint32_t what = seed_below(&seed, 1000);

	if (what < 450)
		do_open(k);
	else if (what < 750)
		do_close(k);
	else if (what < 998)
		do_find(k);
	else if (what < 999)
		do_step();
	else
		do_return(k);
	world_drain_audits(world_shard(&w, k.sub));
}

Test(flowtable, does_what_its_naive_twin_does, .timeout = 290)
{
	struct sn_geometry geo = world_geometry(4, 4096, ADDRESSES);

	geo.held_ports = 65536;
	seed = seed_start(20261122);
	world_make(&w, &geo);
	w.r.hdr->key = (struct sn_hash_key){ seed_next(&seed), seed_next(&seed) };
	w.policy.inbound_refresh = 1; /* so that a binding lasts as long as a flow holds it (records.h, used_until) */
	w.policy.limits.flows = 60;
	w.policy.limits.blocks = 2;
	w.policy.limits.hold_down_ds = 200;
	w.policy.limits.outside_flows = 2;
	for (int l4 = 0; l4 < SN_L4_COUNT; l4++)
		w.policy.limits.ports[l4] = 30;
	for (uint32_t i = 1; i <= OPS; i++) {
		do_one();
		if (i % PROOF_EVERY == 0)
			prove();
		if (i % (PROOF_EVERY * 5) == 0)
			sn_shard_rebuild(&w.shard[seed_below(&seed, geo.shards)]);
	}
	prove();
	fprintf(stderr,
		"%u operations: %u flows opened, %u at the end; refused: %u quota-flows, %u quota-ports, %u "
		"binding-flows, "
		"%u no-binding\n",
		OPS, opened, alive, refused[SN_V_QUOTA_FLOWS], refused[SN_V_QUOTA_PORTS], refused[SN_V_BINDING_FLOWS],
		refused[SN_V_NO_BINDING]);
	cr_expect_gt(opened, OPS / 10);
	world_drop(&w);
}
