/*
 * test_shard_kill.c: a worker killed at any instruction of any change. The change runs in a traced child, one
 * instruction at a time; whenever it has changed the region, what a kill would leave is copied, taken over by a
 * successor, proved, and the change is done again there.
 */
#include <criterion/criterion.h>

#include "seed.h"
#include "world.h"

#define UDP 17

/* One case: how the region comes to be as it is before the change, and the change. */
struct scene {
	const char *name;
	void (*before)(struct world *w);
	void (*change)(struct world *w);
};

static struct world w, after, twice;

/* --- is what clients were told what is there? --- */

static bool told_alive(const struct sn_shard *s, const struct sn_event *e, uint64_t head)
{
	for (uint64_t seq = e->seq + 1; seq <= head; seq++) {
		const struct sn_event *later = &s->events.slots[seq & (s->events.slot_count - 1)];

		if (later->type == SN_EVENT_DESTROY && later->flow == e->flow && later->gen == e->gen)
			return false;
	}
	return e->type == SN_EVENT_NEW;
}

/* Each flow that clients believe in is there, and there are no others. All events must still be in the ring. */
static void expect_events_tell_the_truth(const struct sn_shard *s)
{
	uint64_t head = sn_event_head(&s->events);
	uint32_t believed = 0;

	cr_assert_leq(head, s->events.slot_count);
	for (uint64_t seq = 1; seq <= head; seq++) {
		const struct sn_event *e = &s->events.slots[seq & (s->events.slot_count - 1)];

		cr_assert_eq(e->seq, seq);
		if (!told_alive(s, e, head))
			continue;
		believed++;
		cr_assert_eq(s->region->flows[e->flow].gen, e->gen, "a flow was announced and is not there");
	}
	cr_assert_eq(s->state->flows.live, believed, "%u flows, %u announced", s->state->flows.live, believed);
}

/* Each block that the audit says is given is claimed, and no other. */
static void expect_audits_tell_the_truth(const struct sn_shard *s)
{
	uint32_t given = 0, claimed = 0;

	for (uint32_t i = 0; i < sn_ring_used(&s->audits); i++)
		given += ((struct sn_audit *)sn_ring_peek(&s->audits, i))->type == SN_AUDIT_BLOCK_GIVEN ? 1 : -1u;
	for (uint32_t block = 0; block < sn_ports_block_count(&s->ports); block++) {
		struct sn_block_owner o = sn_ports_owner(&s->ports, block);

		claimed += o.claimed && o.shard == s->number;
	}
	cr_assert_eq(given, claimed, "%u blocks given by the audit, %u claimed", given, claimed);
}

static void recover(struct world *x)
{
	for (uint32_t s = 0; s < x->r.geo.shards; s++)
		cr_assert_neq(sn_shard_recover(&x->shard[s]), 2, "an orderly intent needs no rebuild");
}

static void expect_whole(struct world *x)
{
	cr_assert_eq(world_check(x), 0);
	for (uint32_t s = 0; s < x->r.geo.shards; s++) {
		expect_events_tell_the_truth(&x->shard[s]);
		expect_audits_tell_the_truth(&x->shard[s]);
	}
}

static void take_over(void *scene)
{
	const struct scene *sc = scene;

	world_copy(&after, &w);
	recover(&after);
	expect_whole(&after);
	sc->change(&after);
	expect_whole(&after);
}

/* --- scenes --- */

static uint32_t open_in(struct world *x, uint32_t n, uint16_t port, uint32_t remote)
{
	struct sn_open o = world_open(x, n, UDP, port, remote);
	uint32_t flow = SN_NONE;

	sn_shard_open(world_shard(x, n), &o, &flow);
	return flow;
}

/* The flow of subscriber 1 from port 5000 to remote 7, wherever it is; SN_NONE if it is gone. */
static uint32_t the_flow(struct world *x)
{
	struct sn_open o = world_open(x, 1, UDP, 5000, 7);
	const struct sn_flow *f = &o.flow;
	uint64_t hash = sn_hash_flow_inside(&x->r.hdr->key, f->realm, f->proto, f->inside_be32, f->inside_port_be16,
					    f->remote_be32, f->remote_port_be16);

	return sn_shard_find_inside(world_shard(x, 1), hash, f->realm, f->proto, f->inside_be32, f->inside_port_be16,
				    f->remote_be32, f->remote_port_be16, sn_clock_ds(WORLD_NOW_NS));
}

static void nothing(struct world *x)
{
	(void)x;
}

static void one_flow(struct world *x)
{
	open_in(x, 1, 5000, 7);
}

static void two_flows_of_a_binding(struct world *x)
{
	open_in(x, 1, 5000, 7);
	open_in(x, 1, 5000, 8);
}

static void open_second_of_binding(struct world *x)
{
	open_in(x, 1, 5000, 8);
}

static void open_from_outside(struct world *x)
{
	struct sn_shard *s = world_shard(x, 1);
	uint32_t subscriber = sn_shard_find_subscriber(s, 0, htonl(WORLD_INSIDE + 1)), flow;
	struct sn_open o =
		world_open_outside(x, 1, UDP, 5000, 9, sn_shard_find_binding(s, subscriber, UDP, htons(5000)));

	sn_shard_open(s, &o, &flow);
}

static void close_the_flow(struct world *x)
{
	sn_shard_close(world_shard(x, 1), the_flow(x), SN_REASON_EXPIRED, &x->policy, WORLD_NOW_NS);
}

static void closed_flow(struct world *x)
{
	one_flow(x);
	close_the_flow(x);
}

static void full_hold_ring(struct world *x)
{
	for (uint32_t i = 0; i < 7; i++) {
		uint32_t flow = open_in(x, 1, (uint16_t)(100 + i), 7);

		sn_shard_close(world_shard(x, 1), flow, SN_REASON_EXPIRED, &x->policy, WORLD_NOW_NS);
	}
	one_flow(x);
}

static void full_block(struct world *x)
{
	for (uint32_t i = 0; i < x->r.geo.block_size; i++)
		open_in(x, 1, (uint16_t)(100 + i), 7);
}

/* Two chunks of flows: in the second only the_flow, in the first room for one. */
static void second_chunk(struct world *x)
{
	uint32_t first;

	full_block(x);
	one_flow(x);
	first = open_in(x, 1, 100, 7); /* takes the place of the one that is there */
	sn_shard_close(world_shard(x, 1), first, SN_REASON_EXPIRED, &x->policy, WORLD_NOW_NS);
}

static void return_the_block(struct world *x)
{
	struct sn_shard *s = world_shard(x, 1);
	uint32_t subscriber = sn_shard_find_subscriber(s, 0, htonl(WORLD_INSIDE + 1));
	uint32_t block = x->r.subscribers[subscriber].first_block;

	sn_shard_return_block(s, block, sn_ports_owner(&s->ports, block).generation, WORLD_NOW_NS);
}

static void block_without_ports(struct world *x)
{
	x->policy.limits.hold_down_ds = 0;
	closed_flow(x);
}

static void subscriber_without_block(struct world *x)
{
	block_without_ports(x);
	return_the_block(x);
}

static void leave(struct world *x)
{
	struct sn_shard *s = world_shard(x, 1);
	uint32_t subscriber = sn_shard_find_subscriber(s, 0, htonl(WORLD_INSIDE + 1));

	if (subscriber != SN_NONE)
		sn_shard_leave(s, subscriber, x->r.subscribers[subscriber].gen);
}

static void release(struct world *x)
{
	sn_shard_tick(world_shard(x, 1), WORLD_NOW_NS + 121000000000ull);
}

static void audit_full(struct world *x)
{
	struct sn_ring *a = &world_shard(x, 1)->audits;

	/* Nothing was given: the records cancel out. */
	for (uint32_t i = 0; i < a->slots; i++) {
		*(struct sn_audit *)sn_ring_reserve(a, 0) =
			(struct sn_audit){ .type = i % 2 ? SN_AUDIT_BLOCK_RETURNED : SN_AUDIT_BLOCK_GIVEN };
		sn_ring_publish(a, 1);
	}
}

static void pool_used_up(struct world *x)
{
	world_shard(x, 1)->ports.addresses[0].state = SN_ADDRESS_DRAINING;
}

static void open_stale_again(struct world *x)
{
	struct sn_open o = world_open(x, 1, UDP, 5000, 7);
	uint32_t flow;

	o.now_ns += 300000000000ull;
	sn_shard_open(world_shard(x, 1), &o, &flow);
}

static const struct scene scenes[] = {
	{ "first flow of a subscriber", nothing, one_flow },
	{ "another flow of a binding", one_flow, open_second_of_binding },
	{ "flow from outside", one_flow, open_from_outside },
	{ "flow with a new binding in a block that is there", closed_flow, one_flow },
	{ "flow past its timeout opened again", one_flow, open_stale_again },
	{ "close, others hold the binding", two_flows_of_a_binding, close_the_flow },
	{ "close, the last of its binding", one_flow, close_the_flow },
	{ "close, the hold ring is full", full_hold_ring, close_the_flow },
	{ "flow that needs a second block", full_block, one_flow },
	{ "close, a chunk of records goes back", second_chunk, close_the_flow },
	{ "block returned", block_without_ports, return_the_block },
	{ "subscriber leaves", subscriber_without_block, leave },
	{ "held ports released", closed_flow, release },
	{ "open refused, audit ring full", audit_full, one_flow },
	{ "open refused, no block", pool_used_up, one_flow },
};

static void make(void)
{
	struct sn_geometry geo = world_geometry(1, 64, 1);

	geo.held_ports = 8;
	geo.subscribers = 64;
	geo.events = 128;
	world_make(&w, &geo);
	world_make(&after, &geo);
	world_make(&twice, &geo);
}

static void drop(void)
{
	world_drop(&w);
	world_drop(&after);
	world_drop(&twice);
}

TestSuite(shard_kill, .timeout = 300);

static void change_of(void *scene)
{
	const struct scene *sc = scene;

	sc->change(&w);
}

Test(shard_kill, at_any_instruction_the_change_is_whole_or_has_not_happened)
{
	for (size_t i = 0; i < SN_ARRAY_LEN(scenes); i++) {
		struct scene sc = scenes[i];
		int changes;

		make();
		sc.before(&w);
		cr_assert_eq(world_check(&w), 0, "%s", sc.name);
		changes = step_through(w.mem, w.size_b, change_of, &sc, take_over, &sc);
		cr_assert_gt(changes, 0, "%s: %d", sc.name, changes);
		expect_whole(&w);
		fprintf(stderr, "%s: killed after each of %d stores\n", sc.name, changes);
		drop();
	}
}

/* --- killed again while it takes over --- */

static void recover_after(void *unused)
{
	(void)unused;
	sn_shard_recover(&after.shard[0]);
}

static void take_over_again(void *unused)
{
	(void)unused;
	world_copy(&twice, &after);
	recover(&twice);
	expect_whole(&twice);
}

static uint64_t seed;

static void kill_the_successor(void *unused)
{
	(void)unused;
	if (seed_below(&seed, 12) != 0)
		return;
	world_copy(&after, &w);
	step_through(after.mem, after.size_b, recover_after, NULL, take_over_again, NULL);
}

Test(shard_kill, a_successor_killed_while_it_recovers_has_a_successor)
{
	struct scene scene[] = { { "close", full_hold_ring, close_the_flow }, { "open", nothing, one_flow } };

	seed = seed_start(5);
	for (size_t i = 0; i < SN_ARRAY_LEN(scene); i++) {
		make();
		scene[i].before(&w);
		cr_assert_gt(step_through(w.mem, w.size_b, change_of, &scene[i], kill_the_successor, NULL), 0);
		drop();
	}
}
