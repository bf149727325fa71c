/*
 * parse.c: one pass over the headers of a frame, from Ethernet to L4 and, in an ICMP error, on to the quoted packet.
 *
 * Each function checks that its bytes are there before it reads one. Offsets only grow: Ethernet 14..22, L4 at most 82,
 * a quoted L4 at most 150, so sixteen bits hold every one of them.
 */
#include <arpa/inet.h>

#include "packet/bytes.h"
#include "packet/parse.h"

#define VLAN_TAG_B 4
#define TCP_MIN_B 20
#define UDP_B 8
#define ICMP_B 8
#define QUOTED_L4_MIN_B 8
#define EXTENDED_QUOTE_MIN_B 128 /* RFC 4884: a quote before extensions is at least this long */

#define IP_DF 0x4000
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

#define TCP_OPT_END 0
#define TCP_OPT_NOP 1
#define TCP_OPT_SCALE 3
#define TCP_OPT_SACK_PERMITTED 4
#define TCP_OPT_SACK 5
#define TCP_SCALE_MAX 14

enum icmp_kind { ICMP_OTHER, ICMP_QUERY, ICMP_ERROR };

static const uint8_t icmp_kind[256] = {
	[0] = ICMP_QUERY,  [8] = ICMP_QUERY,  [13] = ICMP_QUERY, [14] = ICMP_QUERY,
	[15] = ICMP_QUERY, [16] = ICMP_QUERY, [17] = ICMP_QUERY, [18] = ICMP_QUERY,
	[3] = ICMP_ERROR,  [4] = ICMP_ERROR,  [5] = ICMP_ERROR,  [11] = ICMP_ERROR, [12] = ICMP_ERROR,
};

/* One bit for each combination of FIN, SYN, RST, ACK and URG that netfilter takes (NETFILTER.md 4.3). */
#define FLAGS_THAT_MATTER (SN_FIN | SN_SYN | SN_RST | SN_ACK | SN_URG)
#define MAY_BE(flags) (UINT64_C(1) << (flags))
static const uint64_t possible_flags = MAY_BE(SN_SYN) | MAY_BE(SN_SYN | SN_URG) | MAY_BE(SN_SYN | SN_ACK) |
				       MAY_BE(SN_RST) | MAY_BE(SN_RST | SN_ACK) | MAY_BE(SN_FIN | SN_ACK) |
				       MAY_BE(SN_FIN | SN_ACK | SN_URG) | MAY_BE(SN_ACK) | MAY_BE(SN_ACK | SN_URG);

static inline uint16_t host16(const uint8_t *at)
{
	return ntohs(sn_bytes_get16(at));
}

static inline uint32_t host32(const uint8_t *at)
{
	return ntohl(sn_bytes_get32(at));
}

/* A sum of 32-bit words has the same fold as the sum of their halves; 64 bits hold the carries of 2^32 of them. */
static inline uint32_t fold_to_32(uint64_t sum)
{
	sum = (sum >> 32) + (uint32_t)sum;
	return (uint32_t)(sum >> 32) + (uint32_t)sum;
}

uint32_t sn_csum_add(const void *bytes, uint32_t len_b, uint32_t sum)
{
	const uint8_t *at = bytes;
	uint64_t wide = sum;
	uint32_t rest = 0;

	for (; len_b >= sizeof(rest); len_b -= sizeof(rest), at += sizeof(rest))
		wide += sn_bytes_get32(at);
	memcpy(&rest, at, len_b);
	return fold_to_32(wide + rest);
}

/* Words of any width have the same one's complement sum once it is folded; a carry out of 64 bits counts as one. */
static inline bool ip_checksum_right(const uint8_t *h, uint32_t header_b)
{
	uint64_t rest = sn_bytes_get32(h + 16), sum;
	bool carry;

	if (SN_UNLIKELY(header_b > SN_IP_MIN_B))
		rest += sn_csum_add(h + SN_IP_MIN_B, header_b - SN_IP_MIN_B, 0);
	carry = __builtin_add_overflow(sn_bytes_get64(h), sn_bytes_get64(h + 8), &sum);
	carry = __builtin_add_overflow(sum, rest + carry, &sum);
	return sn_csum_fold(fold_to_32(sum + carry)) == 0xffff;
}

static inline bool is_vlan(uint16_t type_be16)
{
	return type_be16 == htons(0x8100) || type_be16 == htons(0x88a8);
}

/* Fills the tags and *ret_l3_off_b, the offset of the IP header. */
static inline enum sn_verdict parse_ethernet(const uint8_t *frame, uint32_t len_b, struct sn_packet *ret,
					     uint32_t *ret_l3_off_b)
{
	uint32_t off_b = SN_ETH_B;
	uint16_t type_be16;

	if (SN_UNLIKELY(len_b < SN_ETH_B))
		return SN_V_MALFORMED;
	type_be16 = sn_bytes_get16(frame + SN_ETH_B - 2);
	ret->vlans = 0;
	while (SN_UNLIKELY(is_vlan(type_be16)) && ret->vlans < SN_VLANS_MAX) {
		if (len_b < off_b + VLAN_TAG_B)
			return SN_V_MALFORMED;
		ret->vlan[ret->vlans++] = host16(frame + off_b) & 0x0fff;
		type_be16 = sn_bytes_get16(frame + off_b + 2);
		off_b += VLAN_TAG_B;
	}
	*ret_l3_off_b = off_b;
	return SN_LIKELY(type_be16 == htons(0x0800)) ? SN_V_FORWARD : SN_V_NOT_IPV4;
}

/* An IPv4 header at off_b, whole before end_b. What follows it is not looked at: l4_b is what the header says. */
static inline bool parse_ip_header(const uint8_t *frame, uint32_t off_b, uint32_t end_b, struct sn_ip *ret)
{
	const uint8_t *h = frame + off_b;
	uint32_t header_b, total_b;

	if (SN_UNLIKELY(end_b < off_b + SN_IP_MIN_B || h[0] >> 4 != 4))
		return false;
	header_b = (h[0] & 0x0fu) * 4;
	total_b = host16(h + 2);
	if (SN_UNLIKELY(header_b < SN_IP_MIN_B || end_b < off_b + header_b || total_b < header_b))
		return false;
	if (SN_UNLIKELY(!ip_checksum_right(h, header_b)))
		return false;
	*ret = (struct sn_ip){
		.l3_off_b = (uint16_t)off_b,
		.l4_off_b = (uint16_t)(off_b + header_b),
		.len_b = (uint16_t)total_b,
		.l4_b = (uint16_t)(total_b - header_b),
		.src_be32 = sn_bytes_get32(h + 12),
		.dst_be32 = sn_bytes_get32(h + 16),
		.proto = h[9],
		.ttl = h[8],
		.df = (host16(h + 6) & IP_DF) != 0,
	};
	return true;
}

static inline void take_ports(const uint8_t *l4, struct sn_ip *ret)
{
	ret->src_port_be16 = sn_bytes_get16(l4);
	ret->dst_port_be16 = sn_bytes_get16(l4 + 2);
}

static inline void take_identifier(const uint8_t *icmp, struct sn_ip *ret)
{
	ret->src_port_be16 = sn_bytes_get16(icmp + 4);
	ret->dst_port_be16 = ret->src_port_be16;
}

static inline enum sn_verdict parse_tcp(struct sn_packet *ret)
{
	const uint8_t *tcp = ret->frame + ret->ip.l4_off_b;
	uint32_t header_b;

	if (SN_UNLIKELY(ret->ip.l4_b < TCP_MIN_B))
		return SN_V_MALFORMED;
	header_b = (tcp[12] >> 4) * 4u;
	if (SN_UNLIKELY(header_b < TCP_MIN_B || header_b > ret->ip.l4_b))
		return SN_V_MALFORMED;
	ret->kind = SN_PKT_TCP;
	ret->tcp_flags = tcp[13];
	take_ports(tcp, &ret->ip);
	return SN_LIKELY(possible_flags >> (tcp[13] & FLAGS_THAT_MATTER) & 1) ? SN_V_FORWARD : SN_V_BAD_TCP;
}

static inline enum sn_verdict parse_udp(struct sn_packet *ret)
{
	const uint8_t *udp = ret->frame + ret->ip.l4_off_b;
	uint32_t udp_b;

	if (SN_UNLIKELY(ret->ip.l4_b < UDP_B))
		return SN_V_MALFORMED;
	udp_b = host16(udp + 4);
	if (SN_UNLIKELY(udp_b < UDP_B || udp_b > ret->ip.l4_b))
		return SN_V_MALFORMED;
	ret->kind = SN_PKT_UDP;
	take_ports(udp, &ret->ip);
	return SN_V_FORWARD;
}

/* End of the quoted packet: that of the message, or where RFC 4884 extensions begin (types 3, 11, 12). */
static uint32_t quote_end(const struct sn_packet *p)
{
	const uint8_t *icmp = p->frame + p->ip.l4_off_b;
	uint32_t limit_b = icmp[5] * 4u;
	bool has_length = icmp[0] == 3 || icmp[0] == 11 || icmp[0] == 12;

	if (!has_length || limit_b < EXTENDED_QUOTE_MIN_B)
		limit_b = UINT16_MAX;
	return p->ip.l4_off_b + SN_MIN((uint32_t)p->ip.l4_b, ICMP_B + limit_b);
}

/* What identifies the quoted packet's flow; its first eight bytes of L4 are there. */
static enum sn_verdict parse_quoted_l4(const uint8_t *l4, struct sn_ip *quote)
{
	if (sn_l4_of(quote->proto) == SN_L4_COUNT)
		return SN_V_ICMP_TYPE;
	if (sn_l4_of(quote->proto) != SN_L4_ICMP) {
		take_ports(l4, quote);
		return SN_V_FORWARD;
	}
	quote->icmp_type = l4[0];
	quote->icmp_code = l4[1];
	take_identifier(l4, quote);
	return icmp_kind[l4[0]] == ICMP_QUERY ? SN_V_FORWARD : SN_V_ICMP_TYPE;
}

static enum sn_verdict parse_icmp_error(struct sn_packet *ret)
{
	const uint8_t *icmp = ret->frame + ret->ip.l4_off_b;
	struct sn_ip *quote = &ret->quote;
	uint32_t end_b = quote_end(ret);

	ret->kind = SN_PKT_ICMP_ERROR;
	if (sn_csum_fold(sn_csum_add(icmp, ret->ip.l4_b, 0)) != 0xffff)
		return SN_V_MALFORMED;
	if (!parse_ip_header(ret->frame, ret->ip.l4_off_b + ICMP_B, end_b, quote))
		return SN_V_MALFORMED;
	quote->l4_b = SN_MIN(quote->l4_b, (uint16_t)(end_b - quote->l4_off_b));
	if (quote->l4_b < QUOTED_L4_MIN_B)
		return SN_V_MALFORMED;
	if (host16(ret->frame + quote->l3_off_b + 6) & IP_OFFSET)
		return SN_V_ICMP_TYPE;
	return parse_quoted_l4(ret->frame + quote->l4_off_b, quote);
}

static enum sn_verdict parse_icmp(struct sn_packet *ret)
{
	const uint8_t *icmp = ret->frame + ret->ip.l4_off_b;

	if (ret->ip.l4_b < ICMP_B)
		return SN_V_MALFORMED;
	ret->ip.icmp_type = icmp[0];
	ret->ip.icmp_code = icmp[1];
	if (icmp_kind[icmp[0]] == ICMP_ERROR)
		return parse_icmp_error(ret);
	if (icmp_kind[icmp[0]] != ICMP_QUERY)
		return SN_V_ICMP_TYPE;
	ret->kind = SN_PKT_ICMP_QUERY;
	take_identifier(icmp, &ret->ip);
	return SN_V_FORWARD;
}

static inline enum sn_verdict parse_l4(struct sn_packet *ret)
{
	switch (sn_l4_of(ret->ip.proto)) {
	case SN_L4_TCP:
		return parse_tcp(ret);
	case SN_L4_UDP:
		return parse_udp(ret);
	case SN_L4_ICMP:
		return parse_icmp(ret);
	default:
		ret->kind = SN_PKT_OTHER;
		return SN_V_BAD_PROTOCOL;
	}
}

/* The first fragment's L4 header says what the datagram is; its lengths are those of the whole. */
static enum sn_verdict parse_first_fragment(struct sn_packet *ret)
{
	const uint8_t *l4 = ret->frame + ret->ip.l4_off_b;

	if (ret->ip.l4_b < UDP_B)
		return SN_V_MALFORMED;
	switch (sn_l4_of(ret->ip.proto)) {
	case SN_L4_TCP:
		return parse_tcp(ret);
	case SN_L4_UDP:
		ret->kind = SN_PKT_UDP;
		take_ports(l4, &ret->ip);
		return SN_V_FORWARD;
	case SN_L4_ICMP:
		return icmp_kind[l4[0]] == ICMP_QUERY ? parse_icmp(ret) : SN_V_ICMP_TYPE;
	default:
		ret->kind = SN_PKT_OTHER;
		return SN_V_BAD_PROTOCOL;
	}
}

static enum sn_verdict parse_fragment(struct sn_packet *ret, uint16_t word)
{
	uint32_t off_b = (word & IP_OFFSET) * 8u;
	bool more = word & IP_MF;
	enum sn_verdict v;

	if (ret->ip.l4_b == 0 || off_b + ret->ip.len_b > UINT16_MAX || (more && ret->ip.l4_b % 8 != 0))
		return SN_V_MALFORMED;
	if (off_b == 0) {
		v = parse_first_fragment(ret);
		return v == SN_V_FORWARD ? SN_V_FRAGMENT : v;
	}
	ret->kind = SN_PKT_FRAGMENT;
	if (sn_l4_of(ret->ip.proto) == SN_L4_COUNT)
		return SN_V_BAD_PROTOCOL;
	if (ret->ip.proto == 6 && off_b < TCP_MIN_B)
		return SN_V_MALFORMED;
	return SN_V_FRAGMENT;
}

enum sn_verdict sn_parse(uint8_t *frame, uint32_t len_b, struct sn_packet *ret)
{
	uint32_t l3_off_b;
	enum sn_verdict v = parse_ethernet(frame, len_b, ret, &l3_off_b);

	if (SN_UNLIKELY(v != SN_V_FORWARD))
		return v;
	if (SN_UNLIKELY(!parse_ip_header(frame, l3_off_b, len_b, &ret->ip) || ret->ip.len_b > len_b - l3_off_b))
		return SN_V_MALFORMED;
	ret->frame = frame;
	ret->len_b = l3_off_b + ret->ip.len_b;
	ret->tcp_flags = 0;
	if (SN_UNLIKELY(host16(frame + l3_off_b + 6) & (IP_MF | IP_OFFSET)))
		return parse_fragment(ret, host16(frame + l3_off_b + 6));
	return parse_l4(ret);
}

/* Highest above ack: compared with one another, edges far apart could go round in a circle. */
static uint32_t highest_sack(const uint8_t *option, uint32_t option_b, uint32_t ack)
{
	uint32_t highest = ack;

	for (uint32_t edge = 6; edge + 4 <= option_b; edge += 8) {
		uint32_t right = host32(option + edge);

		if ((int32_t)(right - ack) > (int32_t)(highest - ack))
			highest = right;
	}
	return highest;
}

static void parse_tcp_option(const uint8_t *option, uint32_t option_b, struct sn_tcp_view *ret)
{
	if (option[0] == TCP_OPT_SCALE && option_b == 3) {
		ret->has_scale = true;
		ret->scale = SN_MIN(option[2], TCP_SCALE_MAX);
	} else if (option[0] == TCP_OPT_SACK_PERMITTED && option_b == 2) {
		ret->sack_permitted = true;
	} else if (option[0] == TCP_OPT_SACK && option_b >= 10 && (option_b - 2) % 8 == 0) {
		ret->sack = highest_sack(option, option_b, ret->ack);
	}
}

/* The options up to the first one that is not whole. */
static void parse_tcp_options(const uint8_t *at, const uint8_t *end, struct sn_tcp_view *ret)
{
	while (at < end && *at != TCP_OPT_END) {
		if (*at == TCP_OPT_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return;
		parse_tcp_option(at, at[1], ret);
		at += at[1];
	}
}

void sn_parse_tcp(const struct sn_packet *p, struct sn_tcp_view *ret)
{
	const uint8_t *tcp = p->frame + p->ip.l4_off_b;
	uint32_t header_b = (tcp[12] >> 4) * 4u;
	uint32_t seq = host32(tcp + 4), ack = host32(tcp + 8);
	uint16_t payload_b = (uint16_t)(p->ip.l4_b - header_b);

	*ret = (struct sn_tcp_view){
		.seq = seq,
		.ack = ack,
		.end = seq + payload_b + !!(p->tcp_flags & SN_SYN) + !!(p->tcp_flags & SN_FIN),
		.sack = ack,
		.window = host16(tcp + 14),
		.payload_b = payload_b,
		.flags = p->tcp_flags,
	};
	parse_tcp_options(tcp + TCP_MIN_B, tcp + header_b, ret);
}
