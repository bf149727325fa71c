/*
 * partial.c: see partial.h. Sums are in the byte order of memory, as RFC 1071 allows.
 */
#include "io/partial.h"

#include "packet/bytes.h"

#include <arpa/inet.h>

#define ETHER_B 14
#define TAG_B 4
#define IP_B 20
#define TCP 6
#define UDP 17

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint64_t sum_of(const uint8_t *p, uint32_t len_b)
{
	uint64_t sum = 0;

	for (; len_b >= 4; p += 4, len_b -= 4)
		sum += sn_bytes_get32(p);
	if (len_b >= 2) {
		sum += sn_bytes_get16(p);
		p += 2;
		len_b -= 2;
	}
	return len_b ? sum + htons((uint16_t)(*p << 8)) : sum;
}

/* The IPv4 header behind up to two tags, whole with all that it says is behind it; NULL if it is not. */
static uint8_t *find_ip(uint8_t *frame, uint32_t len_b)
{
	uint32_t at = ETHER_B;

	for (uint32_t tags = 0; tags < 2 && at + TAG_B <= len_b; tags++) {
		uint16_t type = ntohs(sn_bytes_get16(frame + at - 2));

		if (type != 0x8100 && type != 0x88a8)
			break;
		at += TAG_B;
	}
	if (at + IP_B > len_b || ntohs(sn_bytes_get16(frame + at - 2)) != 0x0800 || frame[at] >> 4 != 4)
		return NULL;
	return ntohs(sn_bytes_get16(frame + at + 2)) <= len_b - at ? frame + at : NULL;
}

bool sn_partial_complete(uint8_t *frame, uint32_t len_b)
{
	uint8_t *ip = find_ip(frame, len_b), *l4, *field;
	uint32_t head_b, l4_b;
	uint64_t pseudo;
	uint16_t sum;

	if (!ip || (ip[9] != TCP && ip[9] != UDP) || sn_bytes_get16(ip + 6) & htons(0x3fff))
		return false;
	head_b = (ip[0] & 15u) * 4;
	if (head_b < IP_B || ntohs(sn_bytes_get16(ip + 2)) < head_b + (ip[9] == TCP ? 20 : 8))
		return false;
	l4 = ip + head_b;
	l4_b = ntohs(sn_bytes_get16(ip + 2)) - head_b;
	field = l4 + (ip[9] == TCP ? 16 : 6);
	pseudo = sum_of(ip + 12, 8) + htons(ip[9]) + htons((uint16_t)l4_b);
	if (SN_LIKELY(sn_bytes_get16(field) != fold(pseudo)) || fold(pseudo + sum_of(l4, l4_b)) == 0xffff)
		return false;
	sn_bytes_put16(field, 0);
	sum = (uint16_t)~fold(pseudo + sum_of(l4, l4_b));
	sn_bytes_put16(field, sum ? sum : 0xffff);
	return true;
}
