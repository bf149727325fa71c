/*
 * icmp_error.c: ICMP errors that the node itself originates. For the worker; rate limits are its business.
 */
#include <arpa/inet.h>

#include "packet/bytes.h"
#include "packet/rewrite.h"

#define ICMP_B 8
#define DATAGRAM_MAX_B 576 /* RFC 1812 4.3.2.3 */
#define TTL 64
#define TOS_INTERNETWORK_CONTROL 0xc0 /* RFC 1812 4.3.2.5: precedence 6 */

/* RFC 1812 4.3.2.7: zero, loopback, multicast, broadcast and class E name no single host. */
static bool is_one_host(uint32_t addr_be32)
{
	uint32_t net = ntohl(addr_be32) >> 24;

	return net != 0 && net != 127 && net < 224;
}

static bool is_multicast_or_broadcast(uint32_t addr_be32)
{
	uint32_t addr = ntohl(addr_be32);

	return addr >> 28 == 0xe || addr == UINT32_MAX;
}

static bool may_be_answered(const struct sn_packet *p)
{
	const uint8_t *l3 = p->frame + p->ip.l3_off_b;
	bool later_fragment = (ntohs(sn_bytes_get16(l3 + 6)) & 0x1fff) != 0;
	bool to_a_group = (p->frame[0] & 1) != 0 || is_multicast_or_broadcast(p->ip.dst_be32);

	return p->kind != SN_PKT_ICMP_ERROR && !later_fragment && !to_a_group && is_one_host(p->ip.src_be32);
}

static void write_ethernet(const struct sn_packet *p, uint8_t *eth)
{
	sn_rewrite_mac(eth, p->frame + 6, p->frame);
	sn_bytes_put16(eth + 12, htons(0x0800));
}

static void write_ip(uint8_t *ip, uint32_t total_b, uint16_t ip_id, uint32_t src_be32, uint32_t dst_be32)
{
	ip[0] = 0x45;
	ip[1] = TOS_INTERNETWORK_CONTROL;
	sn_bytes_put16(ip + 2, htons((uint16_t)total_b));
	sn_bytes_put16(ip + 4, htons(ip_id));
	sn_bytes_put16(ip + 6, 0);
	ip[8] = TTL;
	ip[9] = 1;
	sn_bytes_put16(ip + 10, 0);
	sn_bytes_put32(ip + 12, src_be32);
	sn_bytes_put32(ip + 16, dst_be32);
	sn_bytes_put16(ip + 10, (uint16_t)~sn_csum_fold(sn_csum_add(ip, SN_IP_MIN_B, 0)));
}

static void write_icmp(uint8_t *icmp, uint8_t type, uint8_t code, uint32_t info, const uint8_t *quote, uint32_t quote_b)
{
	icmp[0] = type;
	icmp[1] = code;
	sn_bytes_put16(icmp + 2, 0);
	sn_bytes_put32(icmp + 4, htonl(info));
	memcpy(icmp + ICMP_B, quote, quote_b);
	sn_bytes_put16(icmp + 2, (uint16_t)~sn_csum_fold(sn_csum_add(icmp, ICMP_B + quote_b, 0)));
}

uint32_t sn_icmp_error(const struct sn_packet *p, uint8_t type, uint8_t code, uint32_t info, uint32_t src_be32,
		       uint16_t ip_id, uint8_t *out, uint32_t room_b)
{
	uint32_t quote_b = SN_MIN((uint32_t)p->ip.len_b, DATAGRAM_MAX_B - SN_IP_MIN_B - ICMP_B);
	uint32_t total_b = SN_IP_MIN_B + ICMP_B + quote_b;

	if (room_b < SN_ETH_B + total_b || !may_be_answered(p))
		return 0;
	write_ethernet(p, out);
	write_ip(out + SN_ETH_B, total_b, ip_id, src_be32, p->ip.src_be32);
	write_icmp(out + SN_ETH_B + SN_IP_MIN_B, type, code, info, p->frame + p->ip.l3_off_b, quote_b);
	return SN_ETH_B + total_b;
}
