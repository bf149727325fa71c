/*
 * test_rewrite.c: each rewrite against its twin: the frame built, with all checksums in full, from the translated
 * description. They must be equal in every byte, and what sn_rewrite_* left in the packet equal to a fresh parse.
 */
#include <criterion/criterion.h>
#include <signal.h>

#include "packet/rewrite.h"
#include "packet_build.h"

#define SEED 1624u
#define ROUNDS 4000

static const uint8_t protos[] = { 6, 17, 1 };

static void same_ip(const struct sn_ip *a, const struct sn_ip *b)
{
	cr_assert_eq(a->src_be32, b->src_be32);
	cr_assert_eq(a->dst_be32, b->dst_be32);
	cr_assert_eq(a->src_port_be16, b->src_port_be16);
	cr_assert_eq(a->dst_port_be16, b->dst_port_be16);
	cr_assert_eq(a->ttl, b->ttl);
}

/* The frame of p is the twin's, and p says of it what a parser would. */
static void same(const struct sn_packet *p, const uint8_t *twin, uint32_t twin_b, uint32_t round)
{
	struct sn_packet fresh;

	cr_assert_eq(p->len_b, twin_b, "seed %u, round %u", SEED, round);
	for (uint32_t i = 0; i < twin_b; i++)
		cr_assert_eq(p->frame[i], twin[i], "seed %u, round %u: byte %u is %02x, not %02x", SEED, round, i,
			     p->frame[i], twin[i]);
	cr_assert_eq(sn_parse(p->frame, p->len_b, &fresh), SN_V_FORWARD);
	same_ip(&p->ip, &fresh.ip);
	if (p->kind == SN_PKT_ICMP_ERROR)
		same_ip(&p->quote, &fresh.quote);
}

static void translate_out(const struct build *b, uint32_t public, uint16_t public_port, uint32_t round)
{
	struct sn_flow f = build_flow(b->proto, b->src, b->sport, public, public_port);
	struct build twin = *b;
	uint8_t frame[BUILD_MAX_B], twin_frame[BUILD_MAX_B];
	struct sn_packet p;

	twin.src = public;
	twin.sport = public_port;
	cr_assert_eq(sn_parse(frame, build_frame(frame, b), &p), SN_V_FORWARD);
	sn_rewrite_out(&p, &f);
	same(&p, twin_frame, build_frame(twin_frame, &twin), round);
}

static void translate_in(const struct build *b, uint32_t inside, uint16_t inside_port, uint32_t round)
{
	uint16_t public_port = b->proto == 1 ? b->sport : b->dport;
	struct sn_flow f = build_flow(b->proto, inside, inside_port, b->dst, public_port);
	struct build twin = *b;
	uint8_t frame[BUILD_MAX_B], twin_frame[BUILD_MAX_B];
	struct sn_packet p;

	twin.dst = inside;
	*(b->proto == 1 ? &twin.sport : &twin.dport) = inside_port;
	cr_assert_eq(sn_parse(frame, build_frame(frame, b), &p), SN_V_FORWARD);
	sn_rewrite_in(&p, &f);
	same(&p, twin_frame, build_frame(twin_frame, &twin), round);
}

Test(rewrite, out_and_in)
{
	uint32_t state = SEED;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct build b = build_random_packet(&state, protos[i % 3]);

		b.udp_no_csum = build_random(&state) % 4 == 0;
		translate_out(&b, build_random(&state), (uint16_t)build_random(&state), i);
		translate_in(&b, build_random(&state), (uint16_t)build_random(&state), i);
	}
}

Test(rewrite, ends_that_make_sums_of_zero_and_ones)
{
	static const uint32_t addrs[] = { 0, 1, 0xffff, 0x10000, 0xffff0000, 0xfffffffe, 0xffffffff, 0x64400001 };
	static const uint16_t ports[] = { 0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff };
	uint32_t state = SEED + 1;

	for (uint32_t i = 0; i < 3 * 64 * 36; i++) {
		struct build b = build_random_packet(&state, protos[i % 3]);
		uint32_t addr_pair = i / 3 % 64, port_pair = i / 192;

		b.src = b.dst = addrs[addr_pair % 8];
		b.sport = b.dport = ports[port_pair % 6];
		translate_out(&b, addrs[addr_pair / 8], ports[port_pair / 6], i);
		translate_in(&b, addrs[addr_pair / 8], ports[port_pair / 6], i);
	}
}

/* Chooses the payload so that the checksum field of the packet comes out as csum. */
static void choose_csum(struct build *b, uint16_t csum)
{
	uint8_t ip[BUILD_MAX_B], *at = ip + 20 + b->ip_options_b + (b->proto == 6 ? 16 : b->proto == 17 ? 6 : 2);

	b->payload_b = 16;
	for (uint32_t word = 0; word < 65536; word++) {
		b->first_word = (uint16_t)word;
		build_ip(ip, b);
		if (at[0] == csum >> 8 && at[1] == (csum & 0xff))
			return;
	}
	cr_assert_fail("no payload gives checksum %04x", csum);
}

/* The packet after translation is the one whose checksum is chosen; the other follows from it. */
Test(rewrite, checksum_becomes_or_was_zero)
{
	uint32_t state = SEED + 2;

	for (uint32_t i = 0; i < 12; i++) {
		struct build after = build_random_packet(&state, protos[i % 3]), before;
		uint32_t other = build_random(&state);
		uint16_t port = (uint16_t)build_random(&state);

		choose_csum(&after, after.proto == 17 ? 0xffff : 0);
		translate_out(&after, other, port, i);
		before = after;
		before.src = other;
		before.sport = port;
		translate_out(&before, after.src, after.sport, i);
	}
}

Test(rewrite, udp_checksum_of_none_stays_none)
{
	uint32_t state = SEED + 3;
	struct build b = build_random_packet(&state, 17);
	struct sn_flow f = build_flow(17, b.src, b.sport, 0xc6336401, 4242);
	uint8_t frame[BUILD_MAX_B];
	struct sn_packet p;

	b.udp_no_csum = true;
	cr_assert_eq(sn_parse(frame, build_frame(frame, &b), &p), SN_V_FORWARD);
	sn_rewrite_out(&p, &f);
	cr_expect_eq(frame[p.ip.l4_off_b + 6] | frame[p.ip.l4_off_b + 7], 0);
	cr_expect_eq(p.ip.src_port_be16, htons(4242));
}

Test(rewrite, out_and_back_is_the_same_packet)
{
	uint32_t state = SEED + 4;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct build b = build_random_packet(&state, protos[i % 3]), back;
		struct sn_flow f = build_flow(b.proto, b.src, b.sport, build_random(&state), (uint16_t)i);
		uint8_t frame[BUILD_MAX_B], twin[BUILD_MAX_B];
		struct sn_packet p;

		back = b;
		back.dst = ntohl(f.public_be32);
		*(b.proto == 1 ? &back.sport : &back.dport) = ntohs(f.public_port_be16);
		cr_assert_eq(sn_parse(frame, build_frame(frame, &back), &p), SN_V_FORWARD);
		sn_rewrite_in(&p, &f);
		back.dst = b.src;
		*(b.proto == 1 ? &back.sport : &back.dport) = b.sport;
		same(&p, twin, build_frame(twin, &back), i);
	}
}

/* A corrupt packet must not come out with a right checksum. */
Test(rewrite, does_not_mend_a_wrong_checksum)
{
	uint32_t state = SEED + 5;

	for (uint32_t i = 0; i < 300; i++) {
		struct build b = build_random_packet(&state, protos[i % 3]), twin;
		struct sn_flow f = build_flow(b.proto, b.src, b.sport, build_random(&state), 99);
		uint8_t frame[BUILD_MAX_B], twin_frame[BUILD_MAX_B];
		uint32_t len_b;
		struct sn_packet p;

		b.payload_b += 2;
		len_b = build_frame(frame, &b);
		frame[len_b - 1] ^= 0x40;
		cr_assert_eq(sn_parse(frame, len_b, &p), SN_V_FORWARD);
		sn_rewrite_out(&p, &f);
		twin = b;
		twin.src = ntohl(f.public_be32);
		twin.sport = 99;
		build_frame(twin_frame, &twin);
		twin_frame[len_b - 1] ^= 0x40;
		cr_assert_arr_eq(frame, twin_frame, len_b, "seed %u, round %u", SEED + 5, i);
	}
}

Test(rewrite, ttl)
{
	uint32_t state = SEED + 6;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct build b = build_random_packet(&state, protos[i % 3]);
		uint8_t frame[BUILD_MAX_B], twin[BUILD_MAX_B];
		struct sn_packet p;

		b.ttl = (uint8_t)(2 + i % 254);
		cr_assert_eq(sn_parse(frame, build_frame(frame, &b), &p), SN_V_FORWARD);
		sn_rewrite_ttl(&p);
		b.ttl--;
		same(&p, twin, build_frame(twin, &b), i);
	}
}

Test(rewrite, ttl_of_one_is_a_bug, .signal = SIGABRT)
{
	uint32_t state = SEED + 7;
	struct build b = build_random_packet(&state, 17);
	uint8_t frame[BUILD_MAX_B];
	struct sn_packet p;

	b.ttl = 1;
	cr_assert_eq(sn_parse(frame, build_frame(frame, &b), &p), SN_V_FORWARD);
	sn_rewrite_ttl(&p);
}

/* A random error and quote; the outer addresses too. */
static void random_error(uint32_t *state, uint8_t proto, struct build *ret, struct build_quote *ret_quote)
{
	static const uint8_t errors[] = { 3, 4, 5, 11, 12 };

	*ret = build_random_packet(state, 1);
	ret->icmp_type = errors[build_random(state) % 5];
	*ret_quote = (struct build_quote){ .packet = build_random_packet(state, proto) };
	ret_quote->packet.udp_no_csum = build_random(state) % 4 == 0;
	ret_quote->l4_b = (uint16_t)(build_random(state) % 2 ? 8 : 8 + build_random(state) % 120);
	if (ret_quote->l4_b == 17)
		ret_quote->l4_b--; /* half a TCP checksum is none: the twin would have its first byte translated */
	if (build_random(state) % 3 == 0 && (ret->icmp_type == 3 || ret->icmp_type > 10)) {
		ret_quote->extensions_b = (uint16_t)(4 + build_random(state) % 5 * 4);
		ret_quote->l4_b = UINT8_MAX;
	}
}

static void translate_error_out(const struct build *o, const struct build_quote *q, const struct sn_flow *f,
				uint32_t new_src, uint32_t round)
{
	struct build twin = *o;
	struct build_quote twin_quote = *q;
	uint8_t frame[BUILD_MAX_B], twin_frame[BUILD_MAX_B];
	struct sn_packet p;

	twin.src = new_src;
	twin_quote.packet.dst = ntohl(f->public_be32);
	*(f->proto == 1 ? &twin_quote.packet.sport : &twin_quote.packet.dport) = ntohs(f->public_port_be16);
	cr_assert_eq(sn_parse(frame, build_error(frame, o, q), &p), SN_V_FORWARD);
	sn_rewrite_error_out(&p, f, htonl(new_src));
	same(&p, twin_frame, build_error(twin_frame, &twin, &twin_quote), round);
}

static void translate_error_in(const struct build *o, const struct build_quote *q, const struct sn_flow *f,
			       uint32_t round)
{
	struct build twin = *o;
	struct build_quote twin_quote = *q;
	uint8_t frame[BUILD_MAX_B], twin_frame[BUILD_MAX_B];
	struct sn_packet p;

	twin.dst = ntohl(f->inside_be32);
	twin_quote.packet.src = ntohl(f->inside_be32);
	twin_quote.packet.sport = ntohs(f->inside_port_be16);
	cr_assert_eq(sn_parse(frame, build_error(frame, o, q), &p), SN_V_FORWARD);
	sn_rewrite_error_in(&p, f);
	same(&p, twin_frame, build_error(twin_frame, &twin, &twin_quote), round);
}

Test(rewrite_error, out)
{
	uint32_t state = SEED + 8;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct build o;
		struct build_quote q;
		struct sn_flow f;

		random_error(&state, protos[i % 3], &o, &q);
		f = build_flow(q.packet.proto, q.packet.dst, q.packet.proto == 1 ? q.packet.sport : q.packet.dport,
			       build_random(&state), (uint16_t)build_random(&state));
		translate_error_out(&o, &q, &f, build_random(&state), i);
	}
}

Test(rewrite_error, in)
{
	uint32_t state = SEED + 9;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct build o;
		struct build_quote q;
		struct sn_flow f;

		random_error(&state, protos[i % 3], &o, &q);
		o.dst = q.packet.src;
		f = build_flow(q.packet.proto, build_random(&state), (uint16_t)build_random(&state), q.packet.src,
			       q.packet.sport);
		translate_error_in(&o, &q, &f, i);
	}
}

/* The quote's own UDP or TCP checksum is or becomes zero, and the outer one must still be right. */
Test(rewrite_error, quoted_checksum_of_zero)
{
	uint32_t state = SEED + 10;

	for (uint32_t i = 0; i < 12; i++) {
		struct build o;
		struct build_quote q;
		struct sn_flow f;

		random_error(&state, protos[i % 3], &o, &q);
		q.l4_b = 20;
		choose_csum(&q.packet, q.packet.proto == 17 ? 0xffff : 0);
		o.dst = q.packet.src;
		f = build_flow(q.packet.proto, build_random(&state), 7, q.packet.src, q.packet.sport);
		translate_error_in(&o, &q, &f, i);
		f = build_flow(q.packet.proto, q.packet.src, q.packet.sport, o.src, 77);
		q.packet.src = o.dst = ntohl(f.public_be32);
		q.packet.sport = 77;
		translate_error_in(&o, &q, &f, i);
	}
}

Test(rewrite_error, extensions_are_not_touched)
{
	uint32_t state = SEED + 11;
	struct build o;
	struct build_quote q;
	struct sn_flow f;
	uint8_t frame[BUILD_MAX_B], before[BUILD_MAX_B];
	uint32_t len_b;
	struct sn_packet p;

	random_error(&state, 6, &o, &q);
	o.icmp_type = 11;
	q.packet.payload_b = 150;
	q.l4_b = UINT8_MAX;
	q.extensions_b = 16;
	len_b = build_error(frame, &o, &q);
	memcpy(before, frame, len_b);
	f = build_flow(6, 0x0a000001, 5, q.packet.src, q.packet.sport);
	cr_assert_eq(sn_parse(frame, len_b, &p), SN_V_FORWARD);
	cr_assert_eq(p.quote.l4_b, 108 - q.packet.ip_options_b);
	sn_rewrite_error_in(&p, &f);
	cr_expect_arr_eq(frame + len_b - 16, before + len_b - 16, 16);
}

/* The whole path from outside: nothing behind the last byte is written either. */
Test(rewrite_error, stays_inside_the_frame)
{
	uint32_t state = SEED + 12;

	for (uint32_t i = 0; i < 300; i++) {
		struct build o;
		struct build_quote q;
		struct sn_flow f;
		uint8_t frame[BUILD_MAX_B], *guarded;
		uint32_t len_b;
		struct sn_packet p;

		random_error(&state, protos[i % 3], &o, &q);
		q.l4_b = (uint16_t)(8 + i / 3 % 13);
		q.extensions_b = 0;
		len_b = build_error(frame, &o, &q);
		guarded = build_guard(frame, len_b);
		f = build_flow(q.packet.proto, 0x0a000001, 5, q.packet.src, q.packet.sport);
		cr_assert_eq(sn_parse(guarded, len_b, &p), SN_V_FORWARD);
		sn_rewrite_error_in(&p, &f);
		sn_rewrite_error_out(&p, &f, 0);
		build_unguard(guarded, len_b);
	}
}

Test(rewrite, mac)
{
	uint8_t frame[14] = { [12] = 8 };
	static const uint8_t dst[6] = { 1, 2, 3, 4, 5, 6 }, src[6] = { 7, 8, 9, 10, 11, 12 };

	sn_rewrite_mac(frame, dst, src);
	cr_expect_arr_eq(frame, dst, 6);
	cr_expect_arr_eq(frame + 6, src, 6);
	cr_expect_eq(frame[12], 8);
}

/* A SYN whose option area begins with `nops` NOPs and an MSS of 1460; what the MSS is after lowering it to most_b. */
static uint16_t lowered(uint32_t nops, uint16_t most_b)
{
	struct build b = { .src = 1, .dst = 2, .sport = 7, .dport = 9, .proto = 6, .ttl = 9, .payload_b = 8, .tcp_flags = 2, .seed = 2 };
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b = build_frame(frame, &b);
	uint8_t *tcp = frame + 34;
	struct sn_packet p;
	uint32_t pseudo = 0;

	tcp[12] = 7 << 4; /* the payload's eight bytes become options */
	memset(tcp + 20, 1, 8);
	memcpy(tcp + 20 + nops, "\x02\x04\x05\xb4", 4);
	tcp[16] = tcp[17] = 0;
	build_put16(tcp + 16, build_csum(build_sum(tcp, 28)));
	cr_assert_eq(sn_parse(frame, len_b, &p), SN_V_FORWARD);
	pseudo = sn_csum_fold(sn_csum_add(tcp, 28, 0));
	sn_rewrite_mss(&p, most_b);
	cr_assert_eq(sn_csum_fold(sn_csum_add(tcp, 28, 0)), pseudo, "the sum over it all stays, %u NOPs", nops);
	return (uint16_t)(tcp[22 + nops] << 8 | tcp[23 + nops]);
}

Test(rewrite, mss_is_lowered_at_any_place)
{
	for (uint32_t nops = 0; nops <= 4; nops++) {
		cr_expect_eq(lowered(nops, 1360), 1360);
		cr_expect_eq(lowered(nops, 88), 88);
		cr_expect_eq(lowered(nops, 1460), 1460);
		cr_expect_eq(lowered(nops, 9000), 1460, "never raised");
	}
}
