/*
 * fuzz_parse.c: any bytes as a frame, through parse, rewrite and icmp_error.
 *
 * Not only must nothing crash: a rewrite with the sums that belong to it leaves the one's complement sum of everything
 * that a checksum covers as it was (right stays right, wrong stays wrong), and the packet as a fresh parse finds it.
 * Flows come from a hash of the input. Each input is taken twice, the second time with its IP and ICMP checksums put
 * right first, because otherwise nearly every mutation would end at the first header.
 */
#include "packet/rewrite.h"
#include "packet_build.h"

#define INPUT_MAX_B 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_b);

static uint32_t hash_of(const uint8_t *data, size_t size_b)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size_b; i++)
		hash = (hash ^ data[i]) * 16777619u;
	return hash;
}

static uint32_t at16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static void mend_ip(uint8_t *ip, uint32_t left_b)
{
	uint32_t header_b = left_b ? (ip[0] & 15u) * 4 : 0;

	if (header_b < 20 || header_b > left_b)
		return;
	build_put16(ip + 10, 0);
	build_put16(ip + 10, build_csum(build_sum(ip, header_b)));
}

static void mend_icmp(uint8_t *icmp, uint32_t left_b)
{
	if (left_b < 8)
		return;
	mend_ip(icmp + 8, left_b - 8);
	build_put16(icmp + 2, 0);
	build_put16(icmp + 2, build_csum(build_sum(icmp, left_b)));
}

static bool is_tag(uint32_t type)
{
	return type == 0x8100 || type == 0x88a8;
}

/* Puts checksums right wherever there is room for what they cover. */
static void mend(uint8_t *frame, uint32_t len_b)
{
	uint32_t off_b = 14, header_b, total_b;

	while (off_b + 4 <= len_b && off_b < 22 && is_tag(at16(frame + off_b - 2)))
		off_b += 4;
	if (off_b + 20 > len_b)
		return;
	mend_ip(frame + off_b, len_b - off_b);
	header_b = (frame[off_b] & 15u) * 4;
	total_b = at16(frame + off_b + 2);
	if (frame[off_b + 9] == 1 && total_b > header_b && total_b <= len_b - off_b)
		mend_icmp(frame + off_b + header_b, total_b - header_b);
}

/* Sum over what a checksum covers, in a form in which 0 and 0xffff are the same. */
static uint16_t residue(uint32_t sum)
{
	return build_csum(sum) % 0xffff;
}

static uint16_t l4_residue(const uint8_t *frame, const struct sn_ip *ip)
{
	const uint8_t *l4 = frame + ip->l4_off_b;
	uint32_t csum_off_b = ip->proto == 6 ? 16 : ip->proto == 17 ? 6 : 2;
	uint32_t pseudo = ip->proto == 1 ? 0 : build_sum(frame + ip->l3_off_b + 12, 8);

	if (ip->l4_b < csum_off_b + 2)
		return 0;
	if (ip->proto == 17 && at16(l4 + 6) == 0)
		return 0xffff; /* no residue is this */
	return residue(build_sum(l4, ip->l4_b) + pseudo);
}

static bool ip_right(const uint8_t *frame, const struct sn_ip *ip)
{
	return build_csum(build_sum(frame + ip->l3_off_b, (uint32_t)ip->l4_off_b - ip->l3_off_b)) == 0;
}

static void check_same_ip(const struct sn_ip *a, const struct sn_ip *b)
{
	SN_ASSERT(a->l3_off_b == b->l3_off_b && a->l4_off_b == b->l4_off_b);
	SN_ASSERT(a->len_b == b->len_b && a->l4_b == b->l4_b);
	SN_ASSERT(a->src_be32 == b->src_be32 && a->dst_be32 == b->dst_be32);
	SN_ASSERT(a->src_port_be16 == b->src_port_be16 && a->dst_port_be16 == b->dst_port_be16);
	SN_ASSERT(a->proto == b->proto && a->ttl == b->ttl && a->df == b->df);
}

static void check_fresh(const struct sn_packet *p)
{
	struct sn_packet fresh;

	SN_ASSERT(sn_parse(p->frame, p->len_b, &fresh) == SN_V_FORWARD);
	SN_ASSERT(fresh.kind == p->kind && fresh.len_b == p->len_b && fresh.tcp_flags == p->tcp_flags);
	check_same_ip(&fresh.ip, &p->ip);
	if (p->kind == SN_PKT_ICMP_ERROR)
		check_same_ip(&fresh.quote, &p->quote);
}

static void check_bounds(const struct sn_ip *ip, uint32_t end_b)
{
	SN_ASSERT(ip->l4_off_b >= ip->l3_off_b + 20 && ip->l4_off_b + ip->l4_b <= end_b);
	SN_ASSERT(ip->l4_b >= 8 && sn_l4_of(ip->proto) != SN_L4_COUNT);
}

static void check_parsed(const struct sn_packet *p, uint32_t size_b)
{
	struct sn_tcp_view view;

	SN_ASSERT(p->len_b <= size_b && p->len_b == p->ip.l3_off_b + (uint32_t)p->ip.len_b);
	SN_ASSERT(ip_right(p->frame, &p->ip));
	check_bounds(&p->ip, p->len_b);
	if (p->kind == SN_PKT_ICMP_ERROR) {
		SN_ASSERT(ip_right(p->frame, &p->quote));
		check_bounds(&p->quote, p->len_b);
	}
	if (p->kind == SN_PKT_TCP) {
		sn_parse_tcp(p, &view);
		SN_ASSERT(view.payload_b <= p->ip.l4_b - 20 && view.scale <= 14);
		SN_ASSERT((int32_t)(view.sack - view.ack) >= 0);
	}
}

/* A flow whose inside (or public) end is this one, and whose other end is anything. */
static struct sn_flow flow_from(uint8_t proto, uint32_t addr_be32, uint16_t port_be16, bool is_inside, uint32_t *state)
{
	uint32_t addr = ntohl(addr_be32), other = build_random(state);
	uint16_t port = ntohs(port_be16), other_port = (uint16_t)build_random(state);

	return is_inside ? build_flow(proto, addr, port, other, other_port)
			 : build_flow(proto, other, other_port, addr, port);
}

static void rewrite_query(struct sn_packet *p, bool out, uint32_t *state)
{
	struct sn_flow f = flow_from(p->ip.proto, out ? p->ip.src_be32 : p->ip.dst_be32,
				     out ? p->ip.src_port_be16 : p->ip.dst_port_be16, out, state);

	if (out)
		sn_rewrite_out(p, &f);
	else
		sn_rewrite_in(p, &f);
}

static void rewrite_error(struct sn_packet *p, bool out, uint32_t *state)
{
	struct sn_flow f = flow_from(p->quote.proto, out ? p->quote.dst_be32 : p->quote.src_be32,
				     out ? p->quote.dst_port_be16 : p->quote.src_port_be16, out, state);
	uint16_t quoted = l4_residue(p->frame, &p->quote);

	if (out)
		sn_rewrite_error_out(p, &f, build_random(state));
	else
		sn_rewrite_error_in(p, &f);
	SN_ASSERT(ip_right(p->frame, &p->quote));
	SN_ASSERT(l4_residue(p->frame, &p->quote) == quoted);
}

static void check_rewrite(struct sn_packet p, bool out, uint32_t *state)
{
	uint16_t before = l4_residue(p.frame, &p.ip);

	if (p.kind == SN_PKT_ICMP_ERROR)
		rewrite_error(&p, out, state);
	else
		rewrite_query(&p, out, state);
	if (p.ip.ttl > 1)
		sn_rewrite_ttl(&p);
	SN_ASSERT(ip_right(p.frame, &p.ip));
	SN_ASSERT(l4_residue(p.frame, &p.ip) == before);
	check_fresh(&p);
}

static void check_own_error(const struct sn_packet *p, uint32_t *state)
{
	uint32_t room_b = build_random(state) % 700, info = build_random(state) & 0xffff;
	uint8_t *out = malloc(room_b ? room_b : 1);
	uint32_t len_b = sn_icmp_error(p, build_random(state) & 1 ? 3 : 11, 1, info, htonl(0xc6336401), 1, out, room_b);
	struct sn_packet error;

	SN_ASSERT(len_b <= room_b && len_b <= 14 + 576);
	if (len_b > 0) {
		SN_ASSERT(sn_parse(out, len_b, &error) == SN_V_FORWARD && error.kind == SN_PKT_ICMP_ERROR);
		SN_ASSERT(error.len_b == len_b && error.ip.dst_be32 == p->ip.src_be32);
		SN_ASSERT(error.quote.src_be32 == p->ip.src_be32 && error.quote.dst_be32 == p->ip.dst_be32);
		SN_ASSERT(error.quote.src_port_be16 == p->ip.src_port_be16);
		SN_ASSERT(error.quote.dst_port_be16 == p->ip.dst_port_be16);
	}
	free(out);
}

/* A record that has nothing to do with the packet: the result is wrong, but inside the frame. */
static void rewrite_with_any_flow(struct sn_packet p, uint32_t *state)
{
	struct sn_flow f;

	build_fill((uint8_t *)&f, sizeof(f), build_random(state));
	if (p.kind == SN_PKT_ICMP_ERROR) {
		sn_rewrite_error_in(&p, &f);
		sn_rewrite_error_out(&p, &f, build_random(state));
	} else {
		sn_rewrite_in(&p, &f);
		sn_rewrite_out(&p, &f);
	}
}

static void take(const uint8_t *data, uint32_t size_b, uint32_t state, bool mended)
{
	uint8_t *frame = malloc(size_b ? size_b : 1);
	struct sn_packet p;
	enum sn_verdict v;

	memcpy(frame, data, size_b);
	if (mended)
		mend(frame, size_b);
	v = sn_parse(frame, size_b, &p);
	SN_ASSERT(v < SN_V_COUNT);
	if (v == SN_V_FORWARD) {
		check_parsed(&p, size_b);
		check_own_error(&p, &state);
		check_rewrite(p, state & 1, &state);
		SN_ASSERT(sn_parse(frame, size_b, &p) == SN_V_FORWARD);
		rewrite_with_any_flow(p, &state);
	}
	free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_b)
{
	uint32_t hash = hash_of(data, size_b);

	if (size_b > INPUT_MAX_B)
		return 0;
	take(data, (uint32_t)size_b, hash, false);
	take(data, (uint32_t)size_b, hash + 1, true);
	return 0;
}
