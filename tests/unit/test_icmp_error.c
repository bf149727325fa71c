/*
 * test_icmp_error.c: the errors that the node originates: what is in them, how long they are, and about what none may
 * be sent. Each is read back with the parser, which has its own tests, and its checksums are recomputed in full.
 */
#include <criterion/criterion.h>

#include "packet/rewrite.h"
#include "packet_build.h"

#define SEED 792u
#define OUR_ADDR 0xc6336401u

static const uint8_t protos[] = { 6, 17, 1 };

struct made {
	uint8_t frame[BUILD_MAX_B], error[BUILD_MAX_B];
	uint32_t len_b;
	struct sn_packet p;
};

static struct build sample(uint8_t proto)
{
	struct build b = { .src = 0x64400102, .dst = 0xc6336407, .sport = 40001, .dport = 443, .payload_b = 9,
			   .proto = proto, .ttl = 64, .tcp_flags = SN_ACK, .icmp_type = 8, .seed = 7 };

	return b;
}

static void make_with(struct made *m, const struct build *b, uint8_t type, uint8_t code, uint32_t info, uint32_t room_b)
{
	cr_assert_eq(sn_parse(m->frame, build_frame(m->frame, b), &m->p), SN_V_FORWARD);
	m->len_b = sn_icmp_error(&m->p, type, code, info, htonl(OUR_ADDR), 0x1234, m->error, room_b);
}

static uint32_t length_about(const struct build *b)
{
	struct made m;

	make_with(&m, b, 3, 1, 0, sizeof(m.error));
	return m.len_b;
}

static void check_headers(const struct made *m, const struct build *b)
{
	const uint8_t *ip = m->error + 14;

	cr_assert_arr_eq(m->error, m->frame + 6, 6);
	cr_assert_arr_eq(m->error + 6, m->frame, 6);
	cr_assert(m->error[12] == 8 && m->error[13] == 0);
	cr_assert_eq(ip[0], 0x45);
	cr_assert_eq(ip[1], 0xc0);
	cr_assert(ip[4] == 0x12 && ip[5] == 0x34);
	cr_assert(ip[6] == 0 && ip[7] == 0, "DF is clear");
	cr_assert_eq(ip[8], 64);
	cr_assert_eq(build_csum(build_sum(ip, 20)), 0);
	cr_assert_eq(build_csum(build_sum(ip + 20, m->len_b - 34)), 0);
	cr_assert_eq(m->len_b, 14 + SN_MIN(576u, 28 + build_ip_b(b)));
	cr_assert_arr_eq(ip + 28, m->frame + m->p.ip.l3_off_b, m->len_b - 42);
}

Test(icmp_error, says_what_it_is_about)
{
	uint32_t state = SEED;

	for (uint32_t i = 0; i < 3000; i++) {
		struct build b = build_random_packet(&state, protos[i % 3]);
		struct made m;
		struct sn_packet e;

		b.src = 0x0a000000u | (b.src & 0xffffff);
		b.dst = 0xc0000000u | (b.dst & 0xffffff);
		b.payload_b = (uint16_t)(build_random(&state) % 1400);
		make_with(&m, &b, 3, 4, 1400, sizeof(m.error));
		check_headers(&m, &b);
		cr_assert_eq(sn_parse(m.error, m.len_b, &e), SN_V_FORWARD, "seed %u, round %u", SEED, i);
		cr_assert_eq(e.kind, SN_PKT_ICMP_ERROR);
		cr_assert(e.ip.icmp_type == 3 && e.ip.icmp_code == 4);
		cr_assert_eq(e.ip.src_be32, htonl(OUR_ADDR));
		cr_assert_eq(e.ip.dst_be32, htonl(b.src));
		cr_assert(m.error[38] == 0 && m.error[39] == 0);
		cr_assert(m.error[40] == 1400 >> 8 && m.error[41] == (1400 & 255));
		cr_assert_eq(e.quote.src_be32, htonl(b.src));
		cr_assert_eq(e.quote.dst_be32, htonl(b.dst));
		cr_assert_eq(e.quote.src_port_be16, m.p.ip.src_port_be16);
		cr_assert_eq(e.quote.dst_port_be16, m.p.ip.dst_port_be16);
		cr_assert_eq(e.quote.proto, b.proto);
	}
}

Test(icmp_error, leaves_the_packet_alone_and_drops_its_tags)
{
	struct build b = sample(17);
	uint8_t before[BUILD_MAX_B];
	struct made m;

	b.vlans = 2;
	build_frame(before, &b);
	make_with(&m, &b, 11, 0, 0, sizeof(m.error));
	check_headers(&m, &b);
	cr_expect_arr_eq(m.frame, before, m.p.len_b);
}

Test(icmp_error, padding_is_not_quoted)
{
	struct build b = sample(17);
	uint8_t frame[BUILD_MAX_B], out[BUILD_MAX_B];
	struct sn_packet p;

	b.payload_b = 2;
	memset(frame, 0xee, sizeof(frame));
	build_frame(frame, &b);
	cr_assert_eq(sn_parse(frame, 60, &p), SN_V_FORWARD);
	cr_expect_eq(sn_icmp_error(&p, 3, 1, 0, htonl(OUR_ADDR), 0, out, sizeof(out)), 42 + 30);
}

Test(icmp_error, needs_its_room)
{
	struct build b = sample(6);
	struct made m;
	uint32_t need_b = 42 + build_ip_b(&b);

	for (uint32_t room_b = 0; room_b < need_b; room_b++) {
		memset(m.error, 0xaa, sizeof(m.error));
		make_with(&m, &b, 11, 0, 0, room_b);
		cr_assert_eq(m.len_b, 0, "%u bytes", room_b);
		cr_assert_eq(m.error[0], 0xaa);
	}
	make_with(&m, &b, 11, 0, 0, need_b);
	cr_expect_eq(m.len_b, need_b);
	cr_expect_eq(m.error[need_b], 0xaa);
}

Test(icmp_error, never_about_an_error)
{
	struct build o = sample(1);
	struct build_quote q = { .packet = sample(17), .l4_b = 8 };
	struct made m;

	o.icmp_type = 11;
	cr_assert_eq(sn_parse(m.frame, build_error(m.frame, &o, &q), &m.p), SN_V_FORWARD);
	cr_expect_eq(sn_icmp_error(&m.p, 11, 0, 0, htonl(OUR_ADDR), 0, m.error, sizeof(m.error)), 0);
	o.icmp_type = 8;
	cr_expect_neq(length_about(&o), 0, "but about an echo request");
}

/* The parser gives out no fragments yet; this is what its caller may hand in once it does. */
Test(icmp_error, never_about_a_later_fragment)
{
	struct build b = sample(17);
	struct made m;

	cr_assert_eq(sn_parse(m.frame, build_frame(m.frame, &b), &m.p), SN_V_FORWARD);
	build_put16(m.frame + 20, 0x2000);
	cr_expect_neq(sn_icmp_error(&m.p, 3, 1, 0, htonl(OUR_ADDR), 0, m.error, sizeof(m.error)), 0);
	build_put16(m.frame + 20, 0x0001);
	cr_expect_eq(sn_icmp_error(&m.p, 3, 1, 0, htonl(OUR_ADDR), 0, m.error, sizeof(m.error)), 0);
}

Test(icmp_error, never_to_what_is_no_single_host)
{
	static const uint32_t bad[] = { 0, 0x00000001, 0x7f000001, 0x7fffffff, 0xe0000001, 0xefffffff, 0xf0000000,
					0xffffffff };
	static const uint32_t good[] = { 0x01000000, 0x7e000001, 0x80000000, 0xdfffffff, 0x64400001, 0xa9fe0001 };
	struct build b = sample(17);

	for (uint32_t i = 0; i < SN_ARRAY_LEN(bad); i++) {
		b.src = bad[i];
		cr_expect_eq(length_about(&b), 0, "source %08x", bad[i]);
	}
	for (uint32_t i = 0; i < SN_ARRAY_LEN(good); i++) {
		b.src = good[i];
		cr_expect_neq(length_about(&b), 0, "source %08x", good[i]);
	}
}

Test(icmp_error, never_about_what_came_to_a_group)
{
	static const uint32_t groups[] = { 0xe0000001, 0xefffffff, 0xffffffff };
	struct build b = sample(17);
	struct made m;

	for (uint32_t i = 0; i < SN_ARRAY_LEN(groups); i++) {
		b.dst = groups[i];
		cr_expect_eq(length_about(&b), 0, "destination %08x", groups[i]);
	}
	b = sample(17);
	cr_assert_eq(sn_parse(m.frame, build_frame(m.frame, &b), &m.p), SN_V_FORWARD);
	m.frame[0] |= 1;
	cr_expect_eq(sn_icmp_error(&m.p, 3, 1, 0, htonl(OUR_ADDR), 0, m.error, sizeof(m.error)), 0);
}
