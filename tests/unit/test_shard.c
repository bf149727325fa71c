/*
 * test_shard.c: what a shard makes of a new flow: subscriber, block, binding, port, limits; and how all of that goes
 * again.
 */
#include <criterion/criterion.h>

#include "seed.h"
#include "world.h"

#define UDP 17
#define TCP 6
#define ICMP 1

static struct world w;

static void make(void)
{
	struct sn_geometry geo = world_geometry(2, 1024, 2);

	world_make(&w, &geo);
}

static void drop(void)
{
	cr_expect_eq(world_check(&w), 0);
	world_drop(&w);
}

TestSuite(shard, .init = make, .fini = drop);

static enum sn_verdict open_one(const struct sn_open *o, uint32_t *ret)
{
	uint32_t n = ntohl(o->flow.inside_be32) - WORLD_INSIDE, flow = SN_NONE;
	enum sn_verdict v = sn_shard_open(world_shard(&w, n), o, &flow);

	if (ret != NULL)
		*ret = flow;
	return v;
}

static enum sn_verdict open_from(uint32_t n, uint8_t proto, uint16_t port, uint32_t remote, uint32_t *ret)
{
	struct sn_open o = world_open(&w, n, proto, port, remote);

	return open_one(&o, ret);
}

static void close_one(uint32_t n, uint32_t flow)
{
	sn_shard_close(world_shard(&w, n), flow, SN_REASON_EXPIRED, &w.policy, WORLD_NOW_NS);
}

static const struct sn_flow *flow_of(uint32_t number)
{
	return &w.r.flows[number];
}

static uint32_t find_in(uint32_t n, const struct sn_flow *f, uint32_t now_ds)
{
	uint64_t hash = sn_hash_flow_inside(&w.r.hdr->key, f->realm, f->proto, f->inside_be32, f->inside_port_be16,
					    f->remote_be32, f->remote_port_be16);

	return sn_shard_find_inside(world_shard(&w, n), hash, f->realm, f->proto, f->inside_be32, f->inside_port_be16,
				    f->remote_be32, f->remote_port_be16, now_ds);
}

static uint32_t find_out(uint32_t n, const struct sn_flow *f, uint32_t now_ds)
{
	uint64_t hash = sn_hash_flow_outside(&w.r.hdr->key, f->proto, f->remote_be32, f->remote_port_be16,
					     f->public_be32, f->public_port_be16);

	return sn_shard_find_outside(world_shard(&w, n), hash, f->proto, f->remote_be32, f->remote_port_be16,
				     f->public_be32, f->public_port_be16, now_ds);
}

/* --- the ordinary life --- */

Test(shard, a_flow_is_found_from_both_ends_until_its_timeout)
{
	uint32_t now_ds = sn_clock_ds(WORLD_NOW_NS), flow;

	cr_assert_eq(open_from(1, UDP, 5000, 7, &flow), SN_V_FORWARD);
	cr_expect_eq(find_in(1, flow_of(flow), now_ds), flow);
	cr_expect_eq(find_out(1, flow_of(flow), now_ds + 2999), flow);
	cr_expect_eq(find_in(1, flow_of(flow), now_ds + 3000), SN_NONE);
	cr_expect_eq(find_out(1, flow_of(flow), now_ds + 3000), SN_NONE);
	cr_expect_eq(sn_flow_packets(flow_of(flow), SN_DIR_ORIGINAL), 1);
	cr_expect_eq(sn_flow_bytes(flow_of(flow), SN_DIR_ORIGINAL), 100);
}

Test(shard, the_public_end_is_in_the_subscribers_block_above_1023)
{
	const struct sn_ports *p = &world_shard(&w, 1)->ports;
	const struct sn_binding *b;
	uint32_t flow;

	cr_assert_eq(open_from(1, TCP, 5000, 7, &flow), SN_V_FORWARD);
	b = &w.r.bindings[flow_of(flow)->binding];
	cr_expect_geq(ntohs(flow_of(flow)->public_port_be16), 1024);
	cr_expect_eq(sn_ports_block(p, sn_ports_address(p, flow_of(flow)->public_be32),
				    ntohs(flow_of(flow)->public_port_be16)),
		     b->block);
	cr_expect_eq(sn_ports_owner(p, b->block).subscriber, b->subscriber);
	cr_expect_eq(sn_ports_owner(p, b->block).shard, world_shard(&w, 1)->number);
}

Test(shard, mapping_is_endpoint_independent_and_per_protocol)
{
	uint32_t a, b, c;

	cr_assert_eq(open_from(1, UDP, 5000, 7, &a), SN_V_FORWARD);
	cr_assert_eq(open_from(1, UDP, 5000, 8, &b), SN_V_FORWARD);
	cr_assert_eq(open_from(1, TCP, 5000, 7, &c), SN_V_FORWARD);
	cr_expect_eq(flow_of(a)->binding, flow_of(b)->binding);
	cr_expect_eq(flow_of(a)->public_port_be16, flow_of(b)->public_port_be16);
	cr_expect_neq(flow_of(a)->binding, flow_of(c)->binding);
}

Test(shard, two_subscribers_with_the_same_inside_port_have_public_ends_of_their_own)
{
	uint32_t a, b;

	cr_assert_eq(open_from(1, UDP, 5000, 7, &a), SN_V_FORWARD);
	cr_assert_eq(open_from(2, UDP, 5000, 7, &b), SN_V_FORWARD);
	cr_expect(flow_of(a)->public_be32 != flow_of(b)->public_be32 ||
		  flow_of(a)->public_port_be16 != flow_of(b)->public_port_be16);
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* One's complement sum of an address and a port, as they lie in memory. */
static uint32_t words(uint32_t addr_be32, uint16_t port_be16)
{
	return (addr_be32 & 0xffff) + (addr_be32 >> 16) + port_be16;
}

Test(shard, the_sums_turn_the_inside_ends_checksum_into_the_public_ones)
{
	uint8_t protos[] = { TCP, UDP, ICMP };

	for (uint32_t i = 0; i < 3; i++) {
		const struct sn_flow *f;
		uint32_t flow;
		bool pseudo = protos[i] != ICMP;

		cr_assert_eq(open_from(1, protos[i], (uint16_t)(0xfff0 + i), 7, &flow), SN_V_FORWARD);
		f = flow_of(flow);
		cr_expect_eq(fold(fold(words(f->inside_be32, 0) + 0x1234) + f->csum_l3),
			     fold(words(f->public_be32, 0) + 0x1234));
		cr_expect_eq(fold(fold(words(pseudo ? f->inside_be32 : 0, f->inside_port_be16) + 0x1234) + f->csum_l4),
			     fold(words(pseudo ? f->public_be32 : 0, f->public_port_be16) + 0x1234));
	}
}

Test(shard, events_tell_of_new_update_and_destroy_with_final_counters)
{
	struct sn_shard *s = world_shard(&w, 1);
	struct sn_event e[4];
	uint64_t cursor = 0, missed;
	uint32_t flow, gen;

	cr_assert_eq(open_from(1, UDP, 5000, 7, &flow), SN_V_FORWARD);
	gen = flow_of(flow)->gen;
	sn_shard_update(s, flow, SN_CHANGE_REPLY, WORLD_NOW_NS);
	sn_flow_account(&w.r.flows[flow], SN_DIR_REPLY, 55);
	close_one(1, flow);
	cr_assert_eq(sn_event_read(&s->events, &cursor, e, 4, &missed), 3);
	cr_expect(e[0].type == SN_EVENT_NEW && e[1].type == SN_EVENT_UPDATE && e[2].type == SN_EVENT_DESTROY);
	for (int i = 0; i < 3; i++)
		cr_expect(e[i].flow == flow && e[i].gen == gen && e[i].subscriber != SN_NONE && e[i].block != SN_NONE);
	cr_expect(e[0].timeout_ds == 3000 && e[2].timeout_ds == 3000 && e[2].reason == SN_REASON_EXPIRED);
	cr_expect(e[2].packets[SN_DIR_REPLY] == 1 && e[2].bytes[SN_DIR_REPLY] == 55 &&
		  e[2].bytes[SN_DIR_ORIGINAL] == 100);
}

Test(shard, the_binding_lives_while_a_flow_holds_it_and_its_port_is_then_held)
{
	struct sn_shard *s = world_shard(&w, 1);
	uint32_t a, b, binding, again;
	uint16_t port;

	cr_assert_eq(open_from(1, UDP, 5000, 7, &a), SN_V_FORWARD);
	cr_assert_eq(open_from(1, UDP, 5000, 8, &b), SN_V_FORWARD);
	binding = flow_of(a)->binding;
	port = flow_of(a)->public_port_be16;
	close_one(1, a);
	cr_expect_neq(sn_shard_find_binding(s, w.r.bindings[binding].subscriber, UDP, htons(5000)), SN_NONE);
	close_one(1, b);
	cr_expect_eq(sn_shard_find_binding(s, w.r.bindings[binding].subscriber, UDP, htons(5000)), SN_NONE);
	cr_assert_eq(open_from(1, UDP, 5000, 7, &again), SN_V_FORWARD);
	cr_expect_neq(flow_of(again)->public_port_be16, port);
	close_one(1, again);
	cr_expect_eq(sn_shard_tick(s, WORLD_NOW_NS + 119900000000ull), 0);
	cr_expect_eq(sn_shard_tick(s, WORLD_NOW_NS + 120000000000ull), 2);
	cr_assert_eq(open_from(1, UDP, 5000, 7, &again), SN_V_FORWARD);
	cr_expect_eq(flow_of(again)->public_port_be16, port, "the port is a function of subscriber and inside port");
}

Test(shard, opening_a_flow_past_its_timeout_closes_the_old_one)
{
	struct sn_open o = world_open(&w, 1, UDP, 5000, 7);
	uint32_t a, b;

	cr_assert_eq(open_one(&o, &a), SN_V_FORWARD);
	o.now_ns += 300000000000ull;
	atomic_init(&o.flow.expires_ds, sn_clock_ds(o.now_ns) + 3000);
	cr_assert_eq(open_one(&o, &b), SN_V_FORWARD);
	cr_expect_eq(world_shard(&w, 1)->state->closed, 1);
	cr_expect_eq(find_in(1, flow_of(b), sn_clock_ds(o.now_ns)), b);
}

/* --- from outside, and passed --- */

Test(shard, flows_from_outside_have_their_own_limit_and_leave_the_quota_alone)
{
	const struct sn_subscriber *u;
	uint32_t flow, in;
	struct sn_open o;

	cr_assert_eq(open_from(1, UDP, 5000, 7, &flow), SN_V_FORWARD);
	u = &w.r.subscribers[w.r.bindings[flow_of(flow)->binding].subscriber];
	for (uint32_t i = 0; i < 5; i++) {
		o = world_open_outside(&w, 1, UDP, 5000, 100 + i, flow_of(flow)->binding);
		cr_expect_eq(open_one(&o, &in), i < 4 ? SN_V_FORWARD : SN_V_BINDING_FLOWS);
	}
	cr_expect_eq(u->flows, 1);
	cr_expect_eq(w.r.bindings[flow_of(flow)->binding].flows, 5);
	close_one(1, flow);
	cr_expect_eq(u->flows, 0);
	cr_expect_eq(u->ports[SN_L4_UDP], 1, "flows from outside hold the binding");
}

Test(shard, strangers_alone_do_not_keep_a_binding)
{
	uint32_t first, second, flow;
	struct sn_shard *s = world_shard(&w, 1);
	struct sn_open o;

	cr_assert_eq(open_from(1, UDP, 5000, 7, &first), SN_V_FORWARD);
	o = world_open_outside(&w, 1, UDP, 5000, 100, flow_of(first)->binding);
	cr_assert_eq(sn_shard_open(s, &o, &second), SN_V_FORWARD);
	sn_shard_close(s, first, SN_REASON_EXPIRED, &w.policy, WORLD_NOW_NS + 300000000000ull);
	o = world_open_outside(&w, 1, UDP, 5000, 101, flow_of(second)->binding);
	o.now_ns = WORLD_NOW_NS + 330000000000ull;
	cr_expect_eq(sn_shard_open(s, &o, &flow), SN_V_NO_BINDING);
	sn_shard_use_binding(s, flow_of(second), sn_clock_ds(o.now_ns), 3000);
	cr_expect_eq(sn_shard_open(s, &o, &flow), SN_V_FORWARD, "the subscriber answered");
	o = world_open_outside(&w, 1, UDP, 5000, 102, flow_of(second)->binding);
	o.now_ns = WORLD_NOW_NS + 660000000000ull;
	cr_expect_eq(sn_shard_open(s, &o, &flow), SN_V_NO_BINDING);
	w.policy.inbound_refresh = 1;
	cr_expect_eq(sn_shard_open(s, &o, &flow), SN_V_FORWARD, "the netfilter profile");
}

Test(shard, a_flow_from_outside_needs_the_binding_that_it_names)
{
	struct sn_open o;
	uint32_t flow;

	cr_assert_eq(open_from(1, UDP, 5000, 7, &flow), SN_V_FORWARD);
	o = world_open_outside(&w, 1, UDP, 5001, 9, flow_of(flow)->binding);
	cr_expect_eq(open_one(&o, NULL), SN_V_NO_BINDING, "another inside port");
	o = world_open_outside(&w, 1, UDP, 5000, 9, w.r.binding_count + 5);
	cr_expect_eq(open_one(&o, NULL), SN_V_NO_BINDING, "a number out of range");
	o = world_open_outside(&w, 2, UDP, 5000, 9, flow_of(flow)->binding);
	cr_expect_eq(open_one(&o, NULL), SN_V_NO_BINDING, "another subscriber");
}

Test(shard, a_passed_flow_has_a_subscriber_but_no_binding_and_no_block)
{
	struct sn_open o = world_open(&w, 1, UDP, 5000, 7);
	const struct sn_subscriber *u;
	uint32_t flow;

	o.flow.flags = SN_FLOW_PASS;
	cr_assert_eq(open_one(&o, &flow), SN_V_FORWARD);
	cr_expect_eq(flow_of(flow)->public_be32, flow_of(flow)->inside_be32);
	cr_expect_eq(flow_of(flow)->binding, SN_NONE);
	u = &w.r.subscribers[sn_shard_find_subscriber(world_shard(&w, 1), 0, o.flow.inside_be32)];
	cr_expect(u->flows == 1 && u->blocks == 0);
	cr_expect_eq(find_out(1, flow_of(flow), sn_clock_ds(WORLD_NOW_NS)), flow);
	close_one(1, flow);
	cr_expect_eq(u->flows, 0);
}

/* --- limits --- */

Test(shard, limits_refuse_with_their_own_verdict_and_are_counted)
{
	struct sn_shard *s = world_shard(&w, 1);

	w.policy.limits.flows = 3;
	w.policy.limits.ports[SN_L4_UDP] = 2;
	cr_assert_eq(open_from(1, UDP, 1, 7, NULL), SN_V_FORWARD);
	cr_assert_eq(open_from(1, UDP, 2, 7, NULL), SN_V_FORWARD);
	cr_expect_eq(open_from(1, UDP, 3, 7, NULL), SN_V_QUOTA_PORTS);
	cr_assert_eq(open_from(1, UDP, 1, 8, NULL), SN_V_FORWARD, "a binding that is there needs no port");
	cr_expect_eq(open_from(1, UDP, 1, 9, NULL), SN_V_QUOTA_FLOWS);
	cr_expect_eq(s->state->refused, 2);
	cr_expect_eq(w.r.subscribers[sn_shard_find_subscriber(s, 0, htonl(WORLD_INSIDE + 1))].refused, 2);
	cr_expect_eq(open_from(2, UDP, 1, 9, NULL), SN_V_FORWARD, "the others are not concerned");
}

Test(shard, the_rate_is_exact_over_time_and_its_burst_is_one_second)
{
	struct sn_open o = world_open(&w, 1, UDP, 5000, 0);
	uint32_t opened = 0;

	w.policy.limits.flow_rate = 3;
	for (uint32_t i = 0; i < 1000; i++) {
		o = world_open(&w, 1, UDP, 5000, i);
		o.now_ns += i * 100000000ull;
		atomic_init(&o.flow.expires_ds, sn_clock_ds(o.now_ns) + 3000);
		opened += open_one(&o, NULL) == SN_V_FORWARD;
	}
	cr_expect(opened >= 302 && opened <= 303, "%u of 100 s at 3/s and a burst of 3", opened);
	o.flow.remote_port_be16 = htons(1);
	cr_expect_eq(open_one(&o, NULL), SN_V_QUOTA_RATE);
}

Test(shard, after_a_cold_start_no_new_binding_is_made_until_the_time_is_over)
{
	struct sn_open o = world_open(&w, 1, UDP, 5000, 7);

	w.policy.cold_until_ds = sn_clock_ds(WORLD_NOW_NS) + 10;
	cr_expect_eq(open_one(&o, NULL), SN_V_HELD_COLD);
	o.now_ns += 1000000000ull;
	cr_expect_eq(open_one(&o, NULL), SN_V_FORWARD);
}

Test(shard, a_full_block_is_followed_by_a_second_one_on_the_same_address)
{
	uint32_t flow, address = 0;

	w.policy.limits.blocks = 2;
	for (uint32_t i = 0; i < 128; i++) {
		cr_assert_eq(open_from(1, UDP, (uint16_t)(2000 + i), 7, &flow), SN_V_FORWARD, "port %u", i);
		if (i == 0)
			address = flow_of(flow)->public_be32;
		cr_expect_eq(flow_of(flow)->public_be32, address);
	}
	cr_expect_eq(open_from(1, UDP, 2128, 7, NULL), SN_V_QUOTA_PORTS);
	cr_expect_eq(open_from(1, TCP, 2128, 7, NULL), SN_V_FORWARD, "another protocol has ports of its own");
}

Test(shard, a_full_pool_refuses_and_a_full_audit_ring_too)
{
	enum sn_verdict v = SN_V_FORWARD;
	uint32_t n = 0;

	/* 16 audit slots in each of two shards. */
	while (v == SN_V_FORWARD)
		v = open_from(n++, UDP, 1, 7, NULL);
	cr_expect_eq(v, SN_V_AUDIT_FULL);
	for (; v == SN_V_AUDIT_FULL || v == SN_V_FORWARD; v = open_from(n++, UDP, 1, 7, NULL)) {
		world_drain_audits(&w.shard[0]);
		world_drain_audits(&w.shard[1]);
	}
	/* Two addresses of 1024 blocks less 16, 256 subscribers. */
	cr_expect_eq(v, SN_V_TABLE_FULL, "%s", sn_verdict_name(v));
}

Test(shard, no_free_block_on_any_active_address_is_no_port)
{
	struct sn_ports *p = &w.shard[0].ports;

	p->addresses[0].state = SN_ADDRESS_DRAINING;
	p->addresses[1].state = SN_ADDRESS_DRAINING;
	cr_expect_eq(open_from(1, UDP, 1, 7, NULL), SN_V_NO_PORT);
	p->addresses[1].state = SN_ADDRESS_ACTIVE;
	cr_expect_eq(open_from(1, UDP, 1, 7, NULL), SN_V_FORWARD);
}

Test(shard, a_subscriber_of_a_draining_address_gets_new_ports_from_another)
{
	struct sn_ports *p = &w.shard[0].ports;
	uint32_t a, b;

	cr_assert_eq(open_from(1, UDP, 1, 7, &a), SN_V_FORWARD);
	p->addresses[sn_ports_address(p, flow_of(a)->public_be32)].state = SN_ADDRESS_DRAINING;
	cr_assert_eq(open_from(1, UDP, 2, 7, &b), SN_V_FORWARD);
	cr_expect_neq(flow_of(a)->public_be32, flow_of(b)->public_be32);
}

/* --- going again --- */

Test(shard, expire_looks_again)
{
	struct sn_shard *s = world_shard(&w, 1);
	uint64_t late_ns = WORLD_NOW_NS + 300000000000ull;
	uint32_t flow, gen;

	cr_assert_eq(open_from(1, UDP, 1, 7, &flow), SN_V_FORWARD);
	gen = flow_of(flow)->gen;
	cr_expect_not(sn_shard_expire(s, flow, gen, &w.policy, WORLD_NOW_NS), "not due");
	cr_expect_not(sn_shard_expire(s, flow, gen + 2, &w.policy, late_ns), "another flow");
	cr_expect_not(sn_shard_expire(s, SN_NONE, gen, &w.policy, late_ns), "no flow");
	cr_expect(sn_shard_expire(s, flow, gen, &w.policy, late_ns));
	cr_expect_not(sn_shard_expire(s, flow, gen, &w.policy, late_ns), "twice");
}

Test(shard, an_empty_block_goes_back_and_then_its_subscriber_leaves)
{
	struct sn_shard *s = world_shard(&w, 1);
	uint32_t flow, block, subscriber;
	struct sn_block_owner o;

	w.policy.limits.hold_down_ds = 0;
	cr_assert_eq(open_from(1, UDP, 1, 7, &flow), SN_V_FORWARD);
	subscriber = w.r.bindings[flow_of(flow)->binding].subscriber;
	block = w.r.bindings[flow_of(flow)->binding].block;
	o = sn_ports_owner(&s->ports, block);
	cr_expect_not(sn_shard_return_block(s, block, o.generation, WORLD_NOW_NS), "a port is bound");
	close_one(1, flow);
	cr_expect_not(sn_shard_leave(s, subscriber, w.r.subscribers[subscriber].gen), "it has a block");
	cr_expect_not(sn_shard_return_block(s, block, (uint16_t)(o.generation + 1), WORLD_NOW_NS), "another claim");
	cr_expect_not(sn_shard_return_block(s, SN_NONE, 0, WORLD_NOW_NS), "no block");
	cr_expect(sn_shard_return_block(s, block, o.generation, WORLD_NOW_NS));
	cr_expect_not(sn_ports_owner(&s->ports, block).claimed);
	cr_expect_eq(sn_ring_used(&s->audits), 2);
	cr_expect_eq(((struct sn_audit *)sn_ring_peek(&s->audits, 1))->type, SN_AUDIT_BLOCK_RETURNED);
	cr_expect(sn_shard_leave(s, subscriber, w.r.subscribers[subscriber].gen));
	cr_expect_eq(sn_shard_find_subscriber(s, 0, htonl(WORLD_INSIDE + 1)), SN_NONE);
}

Test(shard, closing_what_is_not_there_does_nothing)
{
	struct sn_shard *s = world_shard(&w, 1);

	sn_shard_close(s, 3, SN_REASON_EXPIRED, &w.policy, WORLD_NOW_NS);
	sn_shard_close(s, SN_NONE, SN_REASON_EXPIRED, &w.policy, WORLD_NOW_NS);
	sn_shard_update(s, SN_NONE, SN_CHANGE_STATE, WORLD_NOW_NS);
	cr_expect_eq(sn_event_head(&s->events), 0);
}

/* --- capacity --- */

Test(shard_capacity, unequal_subscribers_use_95_percent_of_flows_before_the_first_refusal)
{
	struct sn_geometry geo = world_geometry(16, 20000, 16);
	uint64_t seed = seed_start(11);
	uint32_t opened = 0, subscribers = 200;
	enum sn_verdict v = SN_V_FORWARD;

	geo.block_size = 4096;
	geo.audits = 1024;
	world_make(&w, &geo);
	while (v == SN_V_FORWARD && opened < 30000) {
		/* the product of two uniform numbers: a tenth of the subscribers have a third of the flows */
		uint32_t n = seed_below(&seed, subscribers) * seed_below(&seed, subscribers) / subscribers;
		struct sn_open o = world_open(&w, n, UDP, (uint16_t)(1 + opened / 250), opened);

		v = open_one(&o, NULL);
		opened += v == SN_V_FORWARD;
	}
	cr_expect_eq(v, SN_V_TABLE_FULL);
	cr_expect_geq(opened, geo.flows * 95 / 100);
	cr_expect_eq(world_check(&w), 0);
	world_drop(&w);
}
