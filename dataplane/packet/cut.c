/*
 * cut.c: headers of fragments. A packet that is a fragment already is cut into smaller ones of the same datagram.
 */
#include <arpa/inet.h>

#include "packet/bytes.h"
#include "packet/cut.h"

#define IP_LEN 2
#define IP_FRAGMENT 6
#define IP_CSUM 10
#define IP_MF 0x2000u
#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_COPIED 0x80

static uint32_t header_b(const struct sn_packet *p)
{
	return p->ip.l4_off_b - p->ip.l3_off_b;
}

/* Bytes of payload in each fragment but the last. */
static uint32_t piece_b(const struct sn_packet *p, uint32_t mtu_b)
{
	return mtu_b > header_b(p) ? (mtu_b - header_b(p)) & ~7u : 0;
}

uint32_t sn_cut_count(const struct sn_packet *p, uint32_t mtu_b)
{
	uint32_t each_b = piece_b(p, mtu_b), count;

	if (p->ip.len_b <= mtu_b)
		return 1;
	if (each_b == 0)
		return 0;
	count = (p->ip.l4_b + each_b - 1) / each_b;
	return count <= SN_CUT_MAX ? count : 0;
}

/* Length, offset and checksum of a fragment at ip. from_b: where it begins in the packet's payload. */
static void write_header(uint8_t *ip, uint32_t ip_header_b, uint32_t from_b, uint32_t payload_b, bool more)
{
	uint32_t word = ntohs(sn_bytes_get16(ip + IP_FRAGMENT)) + from_b / 8;

	sn_bytes_put16(ip + IP_LEN, htons((uint16_t)(ip_header_b + payload_b)));
	sn_bytes_put16(ip + IP_FRAGMENT, htons((uint16_t)(more ? word | IP_MF : word)));
	sn_bytes_put16(ip + IP_CSUM, 0);
	sn_bytes_put16(ip + IP_CSUM, (uint16_t)~sn_csum_fold(sn_csum_add(ip, ip_header_b, 0)));
}

/* Options that only the first fragment has are overwritten in the others. */
static void blank_options(uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != OPTION_END) {
		uint32_t option_b = *at == OPTION_NOP || end - at < 2 ? 1 : at[1];

		if (*at != OPTION_NOP && (option_b < 2 || option_b > (uint32_t)(end - at)))
			return;
		if (!(*at & OPTION_COPIED))
			memset(at, OPTION_NOP, option_b);
		at += option_b;
	}
}

uint32_t sn_cut_later(const struct sn_packet *p, uint32_t mtu_b, uint32_t n, uint8_t *out)
{
	uint32_t each_b = piece_b(p, mtu_b), from_b = n * each_b, payload_b = SN_MIN(each_b, p->ip.l4_b - from_b);
	uint8_t *ip = out + p->ip.l3_off_b, *l4 = out + p->ip.l4_off_b;

	SN_ASSERT(from_b < p->ip.l4_b);
	memcpy(out, p->frame, p->ip.l4_off_b);
	memcpy(l4, p->frame + p->ip.l4_off_b + from_b, payload_b);
	blank_options(ip + SN_IP_MIN_B, l4);
	write_header(ip, header_b(p), from_b, payload_b, from_b + payload_b < p->ip.l4_b);
	return p->ip.l4_off_b + payload_b;
}

void sn_cut_first(struct sn_packet *p, uint32_t mtu_b)
{
	uint32_t each_b = piece_b(p, mtu_b);

	write_header(p->frame + p->ip.l3_off_b, header_b(p), 0, each_b, true);
	p->ip.l4_b = (uint16_t)each_b;
	p->ip.len_b = (uint16_t)(header_b(p) + each_b);
	p->len_b = p->ip.l4_off_b + each_b;
}
