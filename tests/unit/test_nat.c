/*
 * test_nat.c: steer, translate and next hop over a region in memory: what comes out for what goes in, in frames whose twins are
 * built anew, checksums and all.
 */
#include <criterion/criterion.h>

#include "nat/nat.h"
#include "packet_build.h"
#include "world.h"

#define NODE_IN 0x64400001u
#define GATEWAY 0xc0000201u
#define INSIDE 0
#define OUTSIDE 1

struct node {
	struct world w;
	struct sn_nat nat;
	uint64_t owned[16];
	struct sn_policy policy;
	uint8_t frame[BUILD_MAX_B];
	struct sn_job job;
};

static void give_policy(struct node *n)
{
	struct sn_policy *p = &n->policy;

	*p = n->w.policy;
	cr_assert_eq(sn_policy_profile(p, "netfilter"), 0);
	p->tcp_loose = 1;
	p->interface_count = 2;
	p->interfaces[INSIDE] = (struct sn_interface){ .name = "in", .side = SN_INSIDE, .mtu_b = 1500,
						       .addr_be32 = htonl(NODE_IN) };
	p->interfaces[OUTSIDE] = (struct sn_interface){ .name = "out", .side = SN_OUTSIDE, .mtu_b = 1400 };
	p->rule_count = 1;
	p->rules[0] = (struct sn_rule){ .source_be32 = htonl(WORLD_INSIDE), .source_mask_be32 = htonl(0xffc00000u) };
	n->nat.policy = p;
}

static void give_routes(struct node *n)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };
	struct sn_route routes[] = {
		{ .first = 0, .last = WORLD_INSIDE - 1, .gateway_be32 = htonl(GATEWAY), .interface = OUTSIDE },
		{ .first = WORLD_INSIDE, .last = WORLD_INSIDE + 0xffff, .interface = INSIDE },
		{ .first = WORLD_INSIDE + 0x10000, .last = 0xdfffffffu, .gateway_be32 = htonl(GATEWAY), .interface = OUTSIDE },
	};

	cr_assert_eq(sn_route_publish(n->w.r.routing, routes, SN_ARRAY_LEN(routes)), 0);
	cr_assert_geq(sn_neighbour_set(n->w.r.routing, OUTSIDE, htonl(GATEWAY), SN_NB_RESOLVED, mac, 0), 0);
	n->nat.route_gen = atomic_load(&n->w.r.routing->generation);
}

static struct node *node_make(void)
{
	struct sn_geometry geo = world_geometry(4, 1024, 4);
	struct node *n = calloc(1, sizeof(*n));

	world_make(&n->w, &geo);
	n->nat = (struct sn_nat){ .region = &n->w.r, .shards = n->w.shard, .owned = n->owned,
				  .ports = sn_region_ports(&n->w.r, SN_NONE), .now_ns = WORLD_NOW_NS,
				  .now_ds = sn_clock_ds(WORLD_NOW_NS) };
	for (uint32_t s = 0; s < 4; s++) {
		n->owned[s] = sn_shard_owner_pack((struct sn_shard_owner){ .worker = 0, .epoch = 1 });
		atomic_store(&n->w.r.owners[s], n->owned[s]);
	}
	give_policy(n);
	give_routes(n);
	return n;
}

static void node_free(struct node *n)
{
	cr_assert_eq(world_check(&n->w), 0);
	world_drop(&n->w);
	free(n);
}

/* The verdict about the frame in n->frame. */
static enum sn_verdict judge_frame(struct node *n, bool inside, uint32_t len_b)
{
	enum sn_verdict v;

	n->job = (struct sn_job){ .interface = inside ? INSIDE : OUTSIDE, .from_inside = inside };
	v = sn_parse(n->frame, len_b, &n->job.packet);
	if (v == SN_V_FORWARD)
		v = sn_nat_steer(&n->nat, &n->job);
	return v == SN_V_FORWARD ? sn_nat_translate(&n->nat, &n->job) : v;
}

static enum sn_verdict judge(struct node *n, bool inside, const struct build *b)
{
	return judge_frame(n, inside, build_frame(n->frame, b));
}

/* The next hop's address, kept by the worker or not. */
static uint32_t hop(const struct node *n)
{
	return n->job.hop ? n->w.r.routing->neighbours[n->job.hop->number].addr_be32 : n->job.hop_be32;
}

static struct build packet(uint8_t proto, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport)
{
	return (struct build){ .src = src, .dst = dst, .sport = sport, .dport = dport, .proto = proto, .ttl = 64,
			       .payload_b = 20, .tcp_flags = 2, .icmp_type = 8, .seed = 3 };
}

/* The job's frame must be that of b, ends translated and TTL lowered: same bytes behind the Ethernet addresses. */
static void assert_frame(const struct node *n, struct build b)
{
	uint8_t twin[BUILD_MAX_B];
	uint32_t len_b;

	b.ttl--;
	len_b = build_frame(twin, &b);
	cr_assert_eq(n->job.packet.len_b, len_b);
	cr_assert_arr_eq(n->frame + 12, twin + 12, len_b - 12);
}

static uint32_t public_addr(const struct node *n) { return ntohl(n->job.packet.ip.src_be32); }
static uint16_t public_port(const struct node *n) { return ntohs(n->job.packet.ip.src_port_be16); }

Test(nat, there_and_back)
{
	static const uint8_t protos[] = { 6, 17, 1 };

	for (size_t i = 0; i < SN_ARRAY_LEN(protos); i++) {
		struct node *n = node_make();
		struct build out = packet(protos[i], WORLD_INSIDE + 7, 4000, WORLD_REMOTE, 443), in;

		cr_assert_eq(judge(n, true, &out), SN_V_FORWARD);
		cr_assert_eq(public_addr(n) & ~3u, WORLD_PUBLIC);
		cr_assert_geq(public_port(n), 1024);
		cr_assert_eq(n->job.out_interface, OUTSIDE);
		cr_assert_eq(hop(n), htonl(GATEWAY));
		in = packet(protos[i], WORLD_REMOTE, 443, public_addr(n), public_port(n));
		out.src = public_addr(n);
		out.sport = public_port(n);
		assert_frame(n, out);
		in.tcp_flags = 0x12;
		if (protos[i] == 1) {
			in.sport = in.dport;
			in.icmp_type = 0;
		}
		n->policy.tcp_liberal = 1; /* the SYN/ACK's numbers are random */
		cr_assert_eq(judge(n, false, &in), SN_V_FORWARD);
		in.dst = WORLD_INSIDE + 7;
		*(protos[i] == 1 ? &in.sport : &in.dport) = 4000;
		assert_frame(n, in);
		cr_assert_eq(n->job.out_interface, INSIDE);
		cr_assert_eq(hop(n), htonl(WORLD_INSIDE + 7));
		node_free(n);
	}
}

Test(nat, mapping_is_endpoint_independent)
{
	struct node *n = node_make();
	struct build b = packet(17, WORLD_INSIDE + 7, 4000, WORLD_REMOTE, 53);
	uint16_t port;

	cr_assert_eq(judge(n, true, &b), SN_V_FORWARD);
	port = public_port(n);
	b.dst = WORLD_REMOTE + 9;
	b.dport = 99;
	cr_assert_eq(judge(n, true, &b), SN_V_FORWARD);
	cr_assert_eq(public_port(n), port);
	b.src = WORLD_INSIDE + 8;
	cr_assert_eq(judge(n, true, &b), SN_V_FORWARD);
	cr_assert(public_port(n) != port || ntohl(n->job.packet.ip.src_be32) != WORLD_PUBLIC);
	node_free(n);
}

Test(nat, filtering_decides_about_strangers)
{
	struct node *n = node_make();
	struct build b = packet(17, WORLD_INSIDE + 7, 4000, WORLD_REMOTE, 53), in;

	cr_assert_eq(judge(n, true, &b), SN_V_FORWARD);
	in = packet(17, WORLD_REMOTE + 50, 1000, public_addr(n), public_port(n));
	cr_assert_eq(judge(n, false, &in), SN_V_FORWARD);
	cr_assert_eq(ntohl(n->job.packet.ip.dst_be32), WORLD_INSIDE + 7);
	n->policy.rules[0].filtering = SN_ADDRESS_AND_PORT_DEPENDENT;
	in.src++;
	cr_assert_eq(judge(n, false, &in), SN_V_FILTERED);
	in.dport ^= 1;
	cr_assert_eq(judge(n, false, &in), SN_V_NO_BINDING);
	node_free(n);
}

Test(nat, nobody_else_gets_in)
{
	struct node *n = node_make();
	struct build b = packet(17, WORLD_REMOTE, 1, WORLD_PUBLIC, 2000);
	struct build query = packet(1, WORLD_REMOTE, 5, WORLD_PUBLIC, 5);
	struct build stranger = packet(17, 0x0a000001, 1, WORLD_REMOTE, 53);

	cr_assert_eq(judge(n, false, &b), SN_V_NO_BINDING);
	b.dst = 0x08080808;
	cr_assert_eq(judge(n, false, &b), SN_V_NO_RULE);
	cr_assert_eq(judge(n, true, &stranger), SN_V_NO_RULE);
	query.src = WORLD_INSIDE + 7;
	query.dst = WORLD_REMOTE;
	cr_assert_eq(judge(n, true, &query), SN_V_FORWARD);
	query = packet(1, WORLD_REMOTE, public_port(n), public_addr(n), 0);
	cr_assert_eq(judge(n, false, &query), SN_V_NO_BINDING, "an echo request with the identifier of a flow");
	node_free(n);
}

Test(nat, hairpin_is_two_flows)
{
	struct node *n = node_make();
	struct build a = packet(17, WORLD_INSIDE + 1, 4000, WORLD_REMOTE, 53), b;
	uint32_t a_public, b_public;
	uint16_t a_port;

	cr_assert_eq(judge(n, true, &a), SN_V_FORWARD);
	a_public = public_addr(n);
	a_port = public_port(n);
	b = packet(17, WORLD_INSIDE + 2, 5000, a_public, a_port);
	cr_assert_eq(judge(n, true, &b), SN_V_FORWARD);
	cr_assert(n->job.hairpin);
	b_public = public_addr(n);
	cr_assert_eq(b_public & ~3u, WORLD_PUBLIC);
	cr_assert_eq(ntohl(n->job.packet.ip.dst_be32), WORLD_INSIDE + 1);
	cr_assert_eq(ntohs(n->job.packet.ip.dst_port_be16), 4000);
	cr_assert_eq(n->job.out_interface, INSIDE);
	b.src = b_public;
	b.sport = public_port(n);
	b.dst = WORLD_INSIDE + 1;
	b.dport = 4000;
	assert_frame(n, b); /* the TTL is lowered once */
	node_free(n);
}

Test(nat, hairpin_to_a_foreign_shard_is_handed_on)
{
	struct node *n = node_make();
	struct build a = packet(17, WORLD_INSIDE + 1, 4000, WORLD_REMOTE, 53), b;
	uint32_t other = 2, to;

	cr_assert_eq(judge(n, true, &a), SN_V_FORWARD);
	while (world_shard(&n->w, other) == world_shard(&n->w, 1))
		other++;
	b = packet(17, WORLD_INSIDE + other, 5000, public_addr(n), public_port(n));
	n->w.r.geo.workers = 2;
	atomic_store(&n->w.r.owners[world_shard(&n->w, 1)->number],
		     sn_shard_owner_pack((struct sn_shard_owner){ .worker = 1, .epoch = 1 }));
	cr_assert_eq(judge(n, true, &b), SN_V_TO_OWNER);
	cr_assert_eq(n->job.shard, world_shard(&n->w, 1)->number);
	cr_assert_not(sn_nat_mine(&n->nat, n->job.shard, &to));
	cr_assert_eq(to, 1);
	n->w.r.geo.workers = 1;
	node_free(n);
}

/* An error about a flow's packet, from both sides; and one about nothing. */
Test(nat, icmp_errors_find_their_flow)
{
	struct node *n = node_make();
	struct build out = packet(17, WORLD_INSIDE + 7, 4000, WORLD_REMOTE, 53);
	struct build error = packet(1, WORLD_REMOTE + 1, 0, 0, 0);
	struct build_quote q = { .l4_b = 8 };
	uint32_t flows;

	cr_assert_eq(judge(n, true, &out), SN_V_FORWARD);
	q.packet = packet(17, public_addr(n), public_port(n), WORLD_REMOTE, 53);
	error.dst = q.packet.src;
	error.icmp_type = 3;
	error.icmp_code = 3;
	flows = n->w.shard[n->job.shard].state->flows.live;
	cr_assert_eq(judge_frame(n, false, build_error(n->frame, &error, &q)), SN_V_FORWARD);
	cr_assert_eq(ntohl(n->job.packet.ip.dst_be32), WORLD_INSIDE + 7);
	cr_assert_eq(ntohl(n->job.packet.ip.src_be32), WORLD_REMOTE + 1, "a router keeps its address");
	cr_assert_eq(ntohl(n->job.packet.quote.src_be32), WORLD_INSIDE + 7);
	cr_assert_eq(n->w.shard[n->job.shard].state->flows.live, flows);
	q.packet.dport = 54;
	cr_assert_eq(judge_frame(n, false, build_error(n->frame, &error, &q)), SN_V_ICMP_NO_FLOW);

	/* From inside: about the answer, which the inside host refuses. */
	q.packet = packet(17, WORLD_REMOTE, 53, WORLD_INSIDE + 7, 4000);
	error.src = WORLD_INSIDE + 7;
	error.dst = WORLD_REMOTE;
	cr_assert_eq(judge_frame(n, true, build_error(n->frame, &error, &q)), SN_V_FORWARD);
	cr_assert_eq(ntohl(n->job.packet.ip.src_be32) & ~3u, WORLD_PUBLIC, "no private source leaves");
	cr_assert_eq(ntohl(n->job.packet.quote.dst_be32) & ~3u, WORLD_PUBLIC);
	error.dst++;
	cr_assert_eq(judge_frame(n, true, build_error(n->frame, &error, &q)), SN_V_ICMP_NO_FLOW, "not for the quoted source");
	node_free(n);
}

Test(nat, refusals_leave_no_trace)
{
	struct node *n = node_make();
	struct build b = packet(17, WORLD_INSIDE + 7, 4000, WORLD_REMOTE, 53);
	uint64_t hits = 0;

	b.ttl = 1;
	cr_assert_eq(judge(n, true, &b), SN_V_TTL);
	cr_assert_eq(n->job.error_type, 11);
	b.ttl = 64;
	b.payload_b = 1390;
	b.seed = 1; /* DF */
	cr_assert_eq(judge(n, true, &b), SN_V_TOO_BIG);
	cr_assert_eq(n->job.error_type, 3);
	cr_assert_eq(n->job.error_code, 4);
	cr_assert_eq(n->job.error_mtu_b, 1400);
	b.payload_b = 20;
	b.dst = 0xe0000001;
	cr_assert_eq(judge(n, true, &b), SN_V_NO_ROUTE);
	for (uint32_t s = 0; s < 4; s++)
		cr_assert_eq(n->w.shard[s].state->flows.live, 0);
	n->policy.limits.ports[SN_L4_UDP] = 1;
	b.dst = WORLD_REMOTE;
	cr_assert_eq(judge(n, true, &b), SN_V_FORWARD);
	b.sport++;
	cr_assert_eq(judge(n, true, &b), SN_V_QUOTA_PORTS);
	cr_assert_eq(n->job.error_type, 3);
	cr_assert_eq(n->job.error_code, 1);
	for (uint32_t s = 0; s < 4; s++)
		hits += n->w.shard[s].state->rule_hits[0];
	cr_assert_eq(hits, 1, "a rule counts the flows that it opened, each once");
	node_free(n);
}

Test(nat, passed_through_untranslated)
{
	struct node *n = node_make();
	struct build b = packet(17, WORLD_INSIDE + 7, 4000, WORLD_REMOTE, 53);
	struct build back = packet(17, WORLD_REMOTE, 53, WORLD_INSIDE + 7, 4000);

	n->policy.rules[0].action = SN_PASS;
	cr_assert_eq(judge(n, true, &b), SN_V_FORWARD);
	assert_frame(n, b);
	cr_assert_eq(judge(n, false, &back), SN_V_FORWARD);
	assert_frame(n, back);
	cr_assert_eq(n->job.out_interface, INSIDE);
	node_free(n);
}

/* Routes change: the flow asks again; the next hop it remembered is forgotten. */
Test(nat, next_hop_follows_the_routes)
{
	struct node *n = node_make();
	struct build b = packet(17, WORLD_INSIDE + 7, 4000, WORLD_REMOTE, 53);
	struct sn_route route = { .first = 0, .last = UINT32_MAX, .gateway_be32 = htonl(GATEWAY + 1), .interface = OUTSIDE };

	cr_assert_eq(judge(n, true, &b), SN_V_FORWARD);
	cr_assert_eq(judge(n, true, &b), SN_V_FORWARD);
	cr_assert_eq(hop(n), htonl(GATEWAY));
	cr_assert_eq(sn_route_publish(n->w.r.routing, &route, 1), 0);
	n->nat.route_gen = atomic_load(&n->w.r.routing->generation);
	cr_assert_eq(judge(n, true, &b), SN_V_FORWARD);
	cr_assert_eq(hop(n), htonl(GATEWAY + 1));
	cr_assert_eq(n->job.neighbour, SN_NEIGHBOUR_UNKNOWN);
	node_free(n);
}
