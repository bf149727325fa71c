/*
 * test_parse.c: sn_parse and sn_parse_tcp on packets built from descriptions, cut at every byte, and with each header
 * field that may be wrong made wrong. Frames lie against a page that may not be read.
 */
#include <criterion/criterion.h>

#include "packet/parse.h"
#include "packet_build.h"

#define SEED 20261122u

static const uint8_t protos[] = { 6, 17, 1 };

static enum sn_verdict parse_guarded(const uint8_t *frame, uint32_t len_b)
{
	struct sn_packet p;
	uint8_t *guarded = build_guard(frame, len_b);
	enum sn_verdict v = sn_parse(guarded, len_b, &p);

	if (v == SN_V_FORWARD && p.kind == SN_PKT_TCP) {
		struct sn_tcp_view view;

		sn_parse_tcp(&p, &view);
	}
	build_unguard(guarded, len_b);
	return v;
}

static void mend_ip(uint8_t *ip)
{
	uint32_t header_b = (ip[0] & 15u) * 4;

	build_put16(ip + 10, 0);
	build_put16(ip + 10, build_csum(build_sum(ip, header_b)));
}

static void mend_icmp(uint8_t *icmp, uint32_t len_b)
{
	build_put16(icmp + 2, 0);
	build_put16(icmp + 2, build_csum(build_sum(icmp, len_b)));
}

static void expect(const uint8_t *frame, uint32_t len_b, enum sn_verdict v)
{
	enum sn_verdict got = parse_guarded(frame, len_b);

	cr_expect_eq(got, v, "verdict %d, not %d", got, v);
}

static struct build sample(uint8_t proto)
{
	struct build b = { .src = 0x64400102, .dst = 0xc6336407, .sport = 40001, .dport = 443, .payload_b = 9,
			   .proto = proto, .ttl = 64, .tcp_flags = SN_ACK, .icmp_type = 8, .seed = 7 };

	return b;
}

static struct build_quote sample_quote(uint8_t proto)
{
	struct build_quote q = { .packet = sample(proto), .l4_b = 8 };

	return q;
}

static struct build sample_error(void)
{
	struct build o = sample(1);

	o.icmp_type = 3;
	o.icmp_code = 3;
	return o;
}

Test(parse, finds_every_field)
{
	uint32_t state = SEED;

	for (uint32_t i = 0; i < 3000; i++) {
		struct build b = build_random_packet(&state, protos[i % 3]);
		uint8_t frame[BUILD_MAX_B];
		uint32_t len_b = build_frame(frame, &b), padding_b = build_random(&state) % 30;
		struct sn_packet p;

		memset(frame + len_b, 0xee, padding_b);
		cr_assert_eq(sn_parse(frame, len_b + padding_b, &p), SN_V_FORWARD, "seed %u, packet %u", SEED, i);
		cr_assert_eq(p.frame, frame);
		cr_assert_eq(p.len_b, len_b);
		cr_assert_eq(p.kind, b.proto == 6 ? SN_PKT_TCP : b.proto == 17 ? SN_PKT_UDP : SN_PKT_ICMP_QUERY);
		cr_assert_eq(p.vlans, b.vlans);
		for (uint32_t v = 0; v < b.vlans; v++)
			cr_assert_eq(p.vlan[v], b.vlan[v]);
		cr_assert_eq(p.ip.l3_off_b, 14 + 4 * b.vlans);
		cr_assert_eq(p.ip.l4_off_b, p.ip.l3_off_b + 20 + b.ip_options_b);
		cr_assert_eq(p.ip.len_b, build_ip_b(&b));
		cr_assert_eq(p.ip.l4_b, build_l4_header_b(&b) + b.payload_b);
		cr_assert_eq(p.ip.src_be32, htonl(b.src));
		cr_assert_eq(p.ip.dst_be32, htonl(b.dst));
		cr_assert_eq(p.ip.src_port_be16, htons(b.sport));
		cr_assert_eq(p.ip.dst_port_be16, htons(b.proto == 1 ? b.sport : b.dport));
		cr_assert_eq(p.ip.proto, b.proto);
		cr_assert_eq(p.ip.ttl, b.ttl);
		cr_assert_eq(p.ip.df, (b.seed & 1) != 0);
		cr_assert_eq(p.ip.icmp_type, b.proto == 1 ? b.icmp_type : 0);
		cr_assert_eq(p.tcp_flags, b.proto == 6 ? b.tcp_flags : 0);
	}
}

Test(parse, finds_the_quote_of_every_error)
{
	static const uint8_t errors[] = { 3, 4, 5, 11, 12 };
	uint32_t state = SEED + 1;

	for (uint32_t i = 0; i < 3000; i++) {
		struct build o = build_random_packet(&state, 1);
		struct build_quote q = { .packet = build_random_packet(&state, protos[i % 3]) };
		uint8_t frame[BUILD_MAX_B];
		uint32_t len_b;
		struct sn_packet p;

		o.icmp_type = errors[build_random(&state) % 5];
		q.l4_b = (uint16_t)(8 + build_random(&state) % 100);
		len_b = build_error(frame, &o, &q);
		cr_assert_eq(sn_parse(frame, len_b, &p), SN_V_FORWARD, "seed %u, packet %u", SEED + 1, i);
		cr_assert_eq(p.kind, SN_PKT_ICMP_ERROR);
		cr_assert_eq(p.ip.icmp_type, o.icmp_type);
		cr_assert_eq(p.quote.l3_off_b, p.ip.l4_off_b + 8);
		cr_assert_eq(p.quote.l4_off_b, p.quote.l3_off_b + 20 + q.packet.ip_options_b);
		cr_assert_eq(p.quote.l4_b, SN_MIN(q.l4_b, build_l4_header_b(&q.packet) + q.packet.payload_b));
		cr_assert_eq(p.quote.len_b, build_ip_b(&q.packet));
		cr_assert_eq(p.quote.src_be32, htonl(q.packet.src));
		cr_assert_eq(p.quote.dst_be32, htonl(q.packet.dst));
		cr_assert_eq(p.quote.proto, q.packet.proto);
		cr_assert_eq(p.quote.src_port_be16, htons(q.packet.sport));
		cr_assert_eq(p.quote.dst_port_be16, htons(q.packet.proto == 1 ? q.packet.sport : q.packet.dport));
		cr_assert_eq(p.quote.icmp_type, q.packet.proto == 1 ? q.packet.icmp_type : 0);
	}
}

Test(parse, quote_ends_where_extensions_begin)
{
	struct build o = sample_error();
	struct build_quote q = sample_quote(17);
	uint8_t frame[BUILD_MAX_B];
	struct sn_packet p;

	q.packet.payload_b = 500;
	q.l4_b = 500;
	q.extensions_b = 12;
	cr_assert_eq(sn_parse(frame, build_error(frame, &o, &q), &p), SN_V_FORWARD);
	cr_expect_eq(p.quote.l4_b, 128 - 20);
	cr_expect_eq(p.ip.l4_b, 8 + 128 + 12);
}

Test(parse, a_redirects_gateway_is_not_a_quote_length)
{
	struct build o = sample_error();
	struct build_quote q = sample_quote(17);
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b;
	struct sn_packet p;

	o.icmp_type = 5;
	q.packet.payload_b = 300;
	q.l4_b = 300;
	len_b = build_error(frame, &o, &q);
	frame[14 + 20 + 5] = 40;
	mend_icmp(frame + 14 + 20, len_b - 34);
	cr_assert_eq(sn_parse(frame, len_b, &p), SN_V_FORWARD);
	cr_expect_eq(p.quote.l4_b, 300);
}

Test(parse, cut_at_every_byte)
{
	uint32_t state = SEED + 2;

	for (uint32_t i = 0; i < 60; i++) {
		struct build b = build_random_packet(&state, protos[i % 3]);
		struct build_quote q = { .packet = build_random_packet(&state, protos[i / 3 % 3]), .l4_b = 30 };
		uint8_t frame[BUILD_MAX_B];
		uint32_t len_b;

		if (b.proto == 1 && i & 1) {
			b.icmp_type = 11;
			len_b = build_error(frame, &b, &q);
		} else {
			len_b = build_frame(frame, &b);
		}
		for (uint32_t n = 0; n < len_b; n++)
			cr_assert_eq(parse_guarded(frame, n), SN_V_MALFORMED, "seed %u, packet %u, %u bytes",
				     SEED + 2, i, n);
		cr_assert_eq(parse_guarded(frame, len_b), SN_V_FORWARD);
	}
}

/* The same with headers that agree: the total length and the checksums are those of the shorter packet. */
static void shorten(uint8_t *frame, uint32_t header_b, uint32_t total_b, bool icmp)
{
	build_put16(frame + 14 + 2, total_b);
	mend_ip(frame + 14);
	if (icmp && total_b >= header_b + 4)
		mend_icmp(frame + 14 + header_b, total_b - header_b);
}

static void expect_shortened(const struct build *b, const struct build_quote *q, uint32_t least_l4_b)
{
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b = q ? build_error(frame, b, q) : build_frame(frame, b), header_b = 20u + b->ip_options_b;

	for (uint32_t total_b = len_b - 14; total_b > 0; total_b--) {
		bool whole = total_b >= header_b + least_l4_b;
		enum sn_verdict v;

		shorten(frame, header_b, total_b, b->proto == 1);
		v = parse_guarded(frame, 14 + total_b);
		cr_assert_eq(v, whole ? SN_V_FORWARD : SN_V_MALFORMED, "protocol %u, %u bytes: verdict %d",
			     b->proto, total_b, v);
	}
}

Test(parse, total_length_cut_at_every_byte)
{
	for (uint32_t options_b = 0; options_b <= 40; options_b += 20) {
		struct build tcp = sample(6), udp = sample(17), echo = sample(1), error = sample_error();
		struct build_quote q = sample_quote(17);

		tcp.ip_options_b = udp.ip_options_b = echo.ip_options_b = error.ip_options_b = (uint8_t)options_b;
		q.packet.ip_options_b = (uint8_t)(40 - options_b);
		q.packet.payload_b = 30;
		q.l4_b = 38;
		tcp.tcp_options_b = 12;
		expect_shortened(&tcp, NULL, 32);
		expect_shortened(&udp, NULL, 8u + udp.payload_b);
		expect_shortened(&echo, NULL, 8);
		expect_shortened(&error, &q, 8 + 20 + q.packet.ip_options_b + 8);
	}
}

Test(parse, not_ipv4)
{
	struct build b = sample(17);
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b = build_frame(frame, &b);

	build_put16(frame + 12, 0x0806);
	expect(frame, len_b, SN_V_NOT_IPV4);
	build_put16(frame + 12, 0x86dd);
	expect(frame, len_b, SN_V_NOT_IPV4);
	b.vlans = 3;
	len_b = build_frame(frame, &b);
	expect(frame, len_b, SN_V_NOT_IPV4);
}

Test(parse, wrong_ip_header)
{
	struct build b = sample(17);
	uint8_t good[BUILD_MAX_B], frame[BUILD_MAX_B];
	uint32_t len_b = build_frame(good, &b);

	for (uint32_t bit = 0; bit < 160; bit++) {
		memcpy(frame, good, len_b);
		frame[14 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		expect(frame, len_b, SN_V_MALFORMED);
	}
	for (uint32_t version = 0; version < 16; version++) {
		memcpy(frame, good, len_b);
		frame[14] = (uint8_t)(version << 4 | 5);
		mend_ip(frame + 14);
		expect(frame, len_b, version == 4 ? SN_V_FORWARD : SN_V_MALFORMED);
	}
	for (uint32_t words = 0; words < 5; words++) {
		memcpy(frame, good, len_b);
		frame[14] = (uint8_t)(0x40 | words);
		mend_ip(frame + 14);
		expect(frame, len_b, SN_V_MALFORMED);
	}
}

Test(parse, total_length_beyond_the_frame_or_inside_the_header)
{
	struct build b = sample(17);
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b = build_frame(frame, &b);
	static const uint32_t wrong[] = { 0, 1, 19, 20, 27, 0xffff };

	for (uint32_t i = 0; i < SN_ARRAY_LEN(wrong); i++) {
		shorten(frame, 20, wrong[i], false);
		expect(frame, len_b, SN_V_MALFORMED);
	}
	shorten(frame, 20, len_b - 14 + 1, false);
	expect(frame, len_b, SN_V_MALFORMED);
}

Test(parse, fragments)
{
	struct build b = sample(17);
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b = build_frame(frame, &b);
	static const uint16_t fragments[] = { 0x0001, 0x1f00, 0x0100, 0x4100 };
	struct sn_packet p;

	for (uint32_t i = 0; i < SN_ARRAY_LEN(fragments); i++) {
		build_put16(frame + 14 + 6, fragments[i]);
		mend_ip(frame + 14);
		expect(frame, len_b, SN_V_FRAGMENT);
		cr_assert_eq(sn_parse(frame, len_b, &p), SN_V_FRAGMENT);
		cr_expect_eq(p.kind, SN_PKT_FRAGMENT);
	}
	build_put16(frame + 14 + 6, 0x1fff);
	mend_ip(frame + 14);
	expect(frame, len_b, SN_V_MALFORMED); /* it would end beyond 65535 */
}

/* Bytes of L4 that the sample has when it is cut to a first fragment of so many. */
static enum sn_verdict first_fragment(uint8_t proto, uint8_t icmp_type, uint32_t l4_b, struct sn_packet *ret)
{
	struct build b = { .src = 0x64400001, .dst = 0xc6120001, .sport = 7, .dport = 9, .proto = proto, .ttl = 9,
			   .payload_b = 64, .tcp_flags = 2, .icmp_type = icmp_type, .seed = 2 };
	static uint8_t frame[BUILD_MAX_B];

	build_frame(frame, &b);
	build_put16(frame + 14 + 2, 20 + l4_b);
	build_put16(frame + 14 + 6, 0x2000);
	mend_ip(frame + 14);
	return sn_parse(frame, 14 + 20 + l4_b, ret);
}

Test(parse, first_fragments)
{
	struct sn_packet p;

	cr_assert_eq(first_fragment(17, 0, 64, &p), SN_V_FRAGMENT, "shorter than its UDP length says");
	cr_expect_eq(p.kind, SN_PKT_UDP);
	cr_expect_eq(p.ip.src_port_be16, htons(7));
	cr_assert_eq(first_fragment(6, 0, 40, &p), SN_V_FRAGMENT);
	cr_expect_eq(p.kind, SN_PKT_TCP);
	cr_assert_eq(first_fragment(1, 8, 40, &p), SN_V_FRAGMENT);
	cr_expect_eq(p.kind, SN_PKT_ICMP_QUERY);
	cr_expect_eq(first_fragment(17, 0, 63, &p), SN_V_MALFORMED, "no multiple of eight");
	cr_expect_eq(first_fragment(6, 0, 16, &p), SN_V_MALFORMED, "half a TCP header");
	cr_expect_eq(first_fragment(17, 0, 0, &p), SN_V_MALFORMED, "nothing");
	cr_expect_eq(first_fragment(1, 3, 40, &p), SN_V_ICMP_TYPE, "an error in fragments");
}

Test(parse, later_fragment_into_a_tcp_header)
{
	struct build b = { .src = 0x64400001, .dst = 0xc6120001, .proto = 6, .ttl = 9, .payload_b = 64, .tcp_flags = 2, .seed = 2 };
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b = build_frame(frame, &b);

	build_put16(frame + 14 + 6, 1);
	mend_ip(frame + 14);
	expect(frame, len_b, SN_V_MALFORMED);
}

Test(parse, other_protocols)
{
	struct build b = sample(17);
	uint8_t frame[BUILD_MAX_B];

	for (uint32_t proto = 0; proto < 256; proto++) {
		uint32_t len_b;

		b.proto = 17;
		len_b = build_frame(frame, &b);
		frame[14 + 9] = (uint8_t)proto;
		mend_ip(frame + 14);
		if (proto != 1 && proto != 6 && proto != 17)
			expect(frame, len_b, SN_V_BAD_PROTOCOL);
	}
}

Test(parse, udp_lengths)
{
	struct build b = sample(17);
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b = build_frame(frame, &b), most = 8u + b.payload_b;

	for (uint32_t udp_b = 0; udp_b < 100; udp_b++) {
		build_put16(frame + 14 + 20 + 4, udp_b);
		expect(frame, len_b, udp_b >= 8 && udp_b <= most ? SN_V_FORWARD : SN_V_MALFORMED);
	}
}

Test(parse, tcp_data_offset)
{
	struct build b = sample(6);
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b;

	b.payload_b = 13;
	len_b = build_frame(frame, &b);
	for (uint32_t words = 0; words < 16; words++) {
		frame[14 + 20 + 12] = (uint8_t)(words << 4);
		expect(frame, len_b, words >= 5 && words * 4 <= 33 ? SN_V_FORWARD : SN_V_MALFORMED);
	}
}

static bool netfilter_takes(uint32_t flags)
{
	static const uint8_t good[] = { SN_SYN, SN_SYN | SN_URG, SN_SYN | SN_ACK, SN_RST, SN_RST | SN_ACK,
					SN_FIN | SN_ACK, SN_FIN | SN_ACK | SN_URG, SN_ACK, SN_ACK | SN_URG };

	for (uint32_t i = 0; i < sizeof(good); i++)
		if (good[i] == (flags & ~(uint32_t)(SN_PSH | SN_ECE | SN_CWR)))
			return true;
	return false;
}

Test(parse, tcp_flags)
{
	struct build b = sample(6);
	uint8_t frame[BUILD_MAX_B];

	for (uint32_t flags = 0; flags < 256; flags++) {
		b.tcp_flags = (uint8_t)flags;
		expect(frame, build_frame(frame, &b), netfilter_takes(flags) ? SN_V_FORWARD : SN_V_BAD_TCP);
	}
}

Test(parse, icmp_types)
{
	static const char kinds[] = "q--eee--q--eeqqqqqq"; /* 0..18; what an e quotes here is no packet: malformed */
	struct build b = sample(1);
	uint8_t frame[BUILD_MAX_B];

	for (uint32_t type = 0; type < 256; type++) {
		char kind = type < sizeof(kinds) - 1 ? kinds[type] : '-';

		b.icmp_type = (uint8_t)type;
		expect(frame, build_frame(frame, &b),
		       kind == 'q' ? SN_V_FORWARD : kind == 'e' ? SN_V_MALFORMED : SN_V_ICMP_TYPE);
	}
}

/* Changes one 16-bit word of the quoted packet, and makes what covers it right again where asked. */
static enum sn_verdict with_quoted_word(uint32_t off_b, uint16_t word, bool mend_quote, bool mend_outer)
{
	struct build o = sample_error();
	struct build_quote q = sample_quote(17);
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b = build_error(frame, &o, &q);

	build_put16(frame + 42 + off_b, word);
	if (mend_quote)
		mend_ip(frame + 42);
	if (mend_outer)
		mend_icmp(frame + 34, len_b - 34);
	return parse_guarded(frame, len_b);
}

Test(parse, quotes_that_are_not_translated)
{
	cr_expect_eq(with_quoted_word(8, 64 << 8 | 17, true, true), SN_V_FORWARD);
	cr_expect_eq(with_quoted_word(8, 64 << 8 | 17, true, false), SN_V_FORWARD);
	cr_expect_eq(with_quoted_word(8, 63 << 8 | 17, true, false), SN_V_FORWARD, "right headers add nothing");
	cr_expect_eq(with_quoted_word(8, 63 << 8 | 17, false, true), SN_V_MALFORMED, "quoted IP checksum");
	cr_expect_eq(with_quoted_word(20, 1, true, false), SN_V_MALFORMED, "ICMP checksum");
	cr_expect_eq(with_quoted_word(8, 64 << 8 | 47, true, true), SN_V_ICMP_TYPE, "GRE");
	cr_expect_eq(with_quoted_word(6, 0x0001, true, true), SN_V_ICMP_TYPE, "a later fragment");
	cr_expect_eq(with_quoted_word(6, 0x2000, true, true), SN_V_FORWARD, "a first fragment");
	cr_expect_eq(with_quoted_word(2, 27, true, true), SN_V_MALFORMED, "total length without eight bytes");
	cr_expect_eq(with_quoted_word(2, 0xffff, true, true), SN_V_FORWARD, "total length of what was not quoted");
	cr_expect_eq(with_quoted_word(0, 0x4f00, true, true), SN_V_MALFORMED, "options beyond the end");
	cr_expect_eq(with_quoted_word(0, 0x6500, true, true), SN_V_MALFORMED, "version 6");
}

Test(parse, quotes_of_icmp)
{
	static const char kinds[] = "q-------q----qqqqqq";
	struct build o = sample_error();
	struct build_quote q = sample_quote(1);
	uint8_t frame[BUILD_MAX_B];

	for (uint32_t type = 0; type < 256; type++) {
		bool query = type < sizeof(kinds) - 1 && kinds[type] == 'q';

		q.packet.icmp_type = (uint8_t)type;
		expect(frame, build_error(frame, &o, &q), query ? SN_V_FORWARD : SN_V_ICMP_TYPE);
	}
}

/* The largest datagram there is: no offset, length or sum may wrap. */
Test(parse, sixty_four_kilobytes)
{
	static uint8_t frame[22 + 65535];
	struct build o = sample_error();
	struct build_quote q = sample_quote(17);
	struct sn_packet p;

	o.vlans = 2;
	o.ip_options_b = 40;
	q.packet.ip_options_b = 40;
	build_error(frame, &o, &q);
	build_put16(frame + 22 + 2, 65535);
	mend_ip(frame + 22);
	build_put16(frame + 90 + 2, 65535);
	mend_ip(frame + 90);
	memset(frame + 90 + 68, 0xff, sizeof(frame) - 90 - 68);
	build_put16(frame + 82 + 2, 0);
	build_put16(frame + 82 + 2, ntohs((uint16_t)~sn_csum_fold(sn_csum_add(frame + 82, 65535 - 60, 0))));
	cr_assert_eq(sn_parse(frame, sizeof(frame), &p), SN_V_FORWARD);
	cr_expect_eq(p.len_b, sizeof(frame));
	cr_expect_eq(p.ip.l4_b, 65535 - 60);
	cr_expect_eq(p.quote.l4_off_b, 150);
	cr_expect_eq(p.quote.l4_b, sizeof(frame) - 150);
	cr_expect_eq(sn_parse(frame, sizeof(frame) - 1, &p), SN_V_MALFORMED);
}

static uint32_t quoted_l4_with_length(uint8_t words)
{
	struct build o = sample_error();
	struct build_quote q = sample_quote(17);
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b;
	struct sn_packet p;

	q.packet.payload_b = 180;
	q.l4_b = 180;
	len_b = build_error(frame, &o, &q);
	frame[34 + 5] = words;
	mend_icmp(frame + 34, len_b - 34);
	return sn_parse(frame, len_b, &p) == SN_V_FORWARD ? p.quote.l4_b : 0;
}

Test(parse, quote_lengths_that_lie)
{
	cr_expect_eq(quoted_l4_with_length(0), 180);
	cr_expect_eq(quoted_l4_with_length(1), 180, "too short to be one: old senders left anything there");
	cr_expect_eq(quoted_l4_with_length(31), 180);
	cr_expect_eq(quoted_l4_with_length(32), 128 - 20);
	cr_expect_eq(quoted_l4_with_length(40), 160 - 20);
	cr_expect_eq(quoted_l4_with_length(255), 180, "beyond the message");
}

Test(parse, ethertypes_near_ours)
{
	static const uint16_t types[] = { 0x0000, 0x002e, 0x05dc, 0x0008, 0x0801, 0x9100, 0x0081, 0xa888, 0x8847 };
	struct build b = sample(17);
	uint8_t frame[BUILD_MAX_B];
	uint32_t len_b = build_frame(frame, &b);

	for (uint32_t i = 0; i < SN_ARRAY_LEN(types); i++) {
		build_put16(frame + 12, types[i]);
		expect(frame, len_b, SN_V_NOT_IPV4);
	}
}

static struct sn_tcp_view view_of(struct build *b)
{
	uint8_t frame[BUILD_MAX_B];
	struct sn_packet p;
	struct sn_tcp_view view;
	uint32_t len_b = build_frame(frame, b);
	uint8_t *tcp = frame + 34, *guarded;

	build_put32(tcp + 4, 0xfffffff0);
	build_put32(tcp + 8, 0x7ffffff8);
	build_put16(tcp + 14, 0xfedc);
	guarded = build_guard(frame, len_b);
	cr_assert_eq(sn_parse(guarded, len_b, &p), SN_V_FORWARD);
	sn_parse_tcp(&p, &view);
	build_unguard(guarded, len_b);
	return view;
}

Test(parse_tcp, header)
{
	struct build b = sample(6);
	struct sn_tcp_view v;

	b.payload_b = 100;
	v = view_of(&b);
	cr_expect_eq(v.seq, 0xfffffff0);
	cr_expect_eq(v.ack, 0x7ffffff8);
	cr_expect_eq(v.sack, 0x7ffffff8);
	cr_expect_eq(v.end, 84, "across the wrap");
	cr_expect_eq(v.window, 0xfedc);
	cr_expect_eq(v.payload_b, 100);
	cr_expect_eq(v.flags, SN_ACK);
	cr_expect(!v.has_scale && !v.sack_permitted);
	b.tcp_flags = SN_SYN;
	cr_expect_eq(view_of(&b).end, 85);
	b.tcp_flags = SN_FIN | SN_ACK;
	cr_expect_eq(view_of(&b).end, 85);
	b.tcp_flags = SN_ACK;
	b.payload_b = 0;
	cr_expect_eq(view_of(&b).end, 0xfffffff0);
}

static struct sn_tcp_view view_with(const uint8_t *options, uint8_t options_b)
{
	struct build b = sample(6);

	b.payload_b = 0;
	b.tcp_options_b = options_b;
	memcpy(b.tcp_options, options, options_b);
	return view_of(&b);
}

#define VIEW(...) view_with((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

Test(parse_tcp, options_of_a_syn)
{
	struct sn_tcp_view v = VIEW(2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 9);

	cr_expect(v.sack_permitted && v.has_scale);
	cr_expect_eq(v.scale, 9);
	cr_expect_eq(VIEW(3, 3, 255, 0).scale, 14, "clamped");
	cr_expect(VIEW(3, 3, 0, 0).has_scale, "a scale of 0 is one");
	cr_expect(!VIEW(3, 2, 3, 3).has_scale, "of the wrong length");
	cr_expect(!VIEW(0, 3, 3, 9).has_scale, "behind the end");
}

Test(parse_tcp, sack)
{
	cr_expect_eq(VIEW(1, 1, 5, 10, 0x7f, 0xff, 0xff, 0xff, 0x80, 0, 0, 5).sack, 0x80000005, "across the sign");
	cr_expect_eq(VIEW(1, 1, 5, 18, 0x80, 0, 0, 1, 0x80, 0, 0, 9, 0x80, 0, 0, 1, 0x80, 0, 0, 5).sack, 0x80000009);
	cr_expect_eq(VIEW(1, 1, 5, 10, 0x7f, 0, 0, 0, 0x7f, 0, 0, 5).sack, 0x7ffffff8, "below the ACK");
	cr_expect_eq(VIEW(1, 1, 5, 18, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0).sack, 0xc0000000,
		     "the second is after the first, but before the ACK");
	cr_expect_eq(VIEW(5, 12, 1, 1, 1, 1, 0x80, 0, 0, 1, 1, 1).sack, 0x7ffffff8, "of a length that no block has");
	cr_expect_eq(VIEW(1, 1, 5, 18, 0x80, 0, 0, 1, 0x80, 0, 0, 9).sack, 0x7ffffff8, "longer than the header");
}

Test(parse_tcp, options_that_lie)
{
	cr_expect(!VIEW(9, 0, 3, 3, 9, 4, 2, 0).has_scale, "length 0 must end it");
	cr_expect(!VIEW(9, 1, 3, 3, 9, 4, 2, 0).has_scale, "length 1 must end it");
	cr_expect(!VIEW(9, 255, 3, 3, 9, 4, 2, 0).has_scale);
	cr_expect(!VIEW(1, 1, 1, 3).has_scale, "a kind in the last byte");
	cr_expect(!VIEW(1, 1, 3, 3).has_scale, "without its value");
	cr_expect(!VIEW(1, 1, 1, 9).has_scale, "unknown, in the last byte");
}

Test(parse_tcp, any_options)
{
	uint32_t state = SEED + 3;

	for (uint32_t i = 0; i < 5000; i++) {
		uint8_t options[40];

		build_fill(options, sizeof(options), build_random(&state));
		for (uint32_t k = 0; k < sizeof(options); k++)
			options[k] = options[k] % 3 ? options[k] % 12 : options[k];
		view_with(options, (uint8_t)(build_random(&state) % 11 * 4));
	}
}

Test(csum, is_that_of_rfc_1071)
{
	uint32_t state = SEED + 4;
	uint8_t bytes[1600];

	for (uint32_t len_b = 0; len_b < sizeof(bytes); len_b++) {
		uint16_t got;

		build_fill(bytes, len_b, build_random(&state));
		got = (uint16_t)~sn_csum_fold(sn_csum_add(bytes, len_b, 0));
		cr_assert_eq(ntohs(got), build_csum(build_sum(bytes, len_b)), "%u bytes", len_b);
	}
}

Test(csum, carries_are_not_lost)
{
	static uint8_t ones[65534];

	memset(ones, 0xff, sizeof(ones));
	cr_expect_eq(sn_csum_fold(sn_csum_add(ones, sizeof(ones), 0)), 0xffff);
	cr_expect_eq(sn_csum_fold(sn_csum_add(ones, sizeof(ones), UINT32_MAX)), 0xffff);
	cr_expect_eq(sn_csum_fold(sn_csum_add(ones, 4, 1)), 1);
	cr_expect_eq(sn_csum_fold(0xffffffff), 0xffff);
	cr_expect_eq(sn_csum_fold(0x0001ffff), 1);
	cr_expect_eq(sn_csum_fold(0), 0);
}
