/* packet.c: see packet.h. */
#include "packet.h"

#include <arpa/inet.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/parse.h"

#define INSIDE 0x64400000u /* 100.64.0.0/10 */
#define REMOTE 0xc6120000u /* 198.18.0.0/15 */
#define IP 14
#define L4 34

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 33;
}

/*
 * A subscriber's ports follow one another in steps that no port is met twice in; its first one and the remote ends
 * are random.
 */
struct tuple tuple_of(uint32_t n, uint32_t subscribers, uint8_t proto)
{
	uint32_t subscriber = (uint32_t)((uint64_t)n * 7919 % subscribers);
	uint64_t first = mix(subscriber), r = mix(n + 0x100000000u);

	return (struct tuple){
		.inside_be32 = htonl(INSIDE + 2 + subscriber),
		.inside_port_be16 = htons((uint16_t)(1024 + (first + n / subscribers * 36061ull) % 64512)),
		.remote_be32 = htonl(REMOTE + (uint32_t)(r & 0x1ffff)),
		.remote_port_be16 = htons((uint16_t)(1 + (r >> 32) % 65535)),
		.proto = proto,
	};
}

static void put_ip(uint8_t *f, uint32_t len_b, uint8_t proto, uint32_t src_be32, uint32_t dst_be32)
{
	static const uint8_t start[IP + 12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64 };

	memcpy(f, start, sizeof(start));
	sn_bytes_put16(f + IP + 2, htons((uint16_t)(len_b - IP)));
	f[IP + 9] = proto;
	sn_bytes_put32(f + IP + 12, src_be32);
	sn_bytes_put32(f + IP + 16, dst_be32);
	sn_bytes_put16(f + IP + 10, (uint16_t)~sn_csum_fold(sn_csum_add(f + IP, 20, 0)));
}

static uint16_t l4_sum(const uint8_t *f, uint32_t len_b)
{
	uint32_t sum = sn_csum_add(f + IP + 12, 8, (uint32_t)htons(f[IP + 9]) + htons((uint16_t)(len_b - L4)));

	return (uint16_t)~sn_csum_fold(sn_csum_add(f + L4, len_b - L4, sum));
}

static void put_tcp(uint8_t *f, uint32_t len_b, struct tuple *t, enum packet_way way, uint8_t flags)
{
	uint32_t payload_b = len_b - L4 - 20;

	sn_bytes_put32(f + L4 + 4, htonl(t->sent[way]));
	sn_bytes_put32(f + L4 + 8, flags & SN_ACK ? htonl(t->acked[way]) : 0);
	f[L4 + 12] = 0x50;
	f[L4 + 13] = flags;
	sn_bytes_put16(f + L4 + 14, htons(0xfff0));
	t->sent[way] += flags & SN_SYN ? 1 : payload_b;
	sn_bytes_put16(f + L4 + 16, l4_sum(f, len_b));
}

static void put_udp(uint8_t *f, uint32_t len_b)
{
	uint16_t sum;

	sn_bytes_put16(f + L4 + 4, htons((uint16_t)(len_b - L4)));
	sum = l4_sum(f, len_b);
	sn_bytes_put16(f + L4 + 6, sum ? sum : 0xffff); /* 0 would say that there is none */
}

void packet_build(uint8_t *f, uint32_t len_b, struct tuple *t, enum packet_way way, uint8_t tcp_flags)
{
	bool out = way == PACKET_OUT;

	memset(f, 0, len_b);
	if (tcp_flags & SN_SYN && t->proto == 6)
		len_b = L4 + 20; /* the rest is Ethernet's padding */
	put_ip(f, len_b, t->proto, out ? t->inside_be32 : t->remote_be32, out ? t->remote_be32 : t->public_be32);
	sn_bytes_put16(f + L4, out ? t->inside_port_be16 : t->remote_port_be16);
	sn_bytes_put16(f + L4 + 2, out ? t->remote_port_be16 : t->public_port_be16);
	if (t->proto == 6)
		put_tcp(f, len_b, t, way, tcp_flags);
	else
		put_udp(f, len_b);
}

void packet_settle(struct tuple *t)
{
	t->acked[0] = t->sent[1];
	t->acked[1] = t->sent[0];
}

uint32_t packet_imix_b(uint32_t n)
{
	uint32_t place = n % 12;

	return place < 7 ? PACKET_MIN_B : place < 11 ? 566 : PACKET_MAX_B;
}

bool packet_is_translated(uint8_t *f, uint32_t len_b, const struct tuple *t, enum packet_way way)
{
	bool out = way == PACKET_OUT;
	struct sn_packet p;

	if (sn_parse(f, len_b, &p) != SN_V_FORWARD || p.ip.ttl != 63 || p.ip.proto != t->proto)
		return false;
	if (p.ip.src_be32 != (out ? t->public_be32 : t->remote_be32) ||
	    p.ip.dst_be32 != (out ? t->remote_be32 : t->inside_be32) ||
	    p.ip.src_port_be16 != (out ? t->public_port_be16 : t->remote_port_be16) ||
	    p.ip.dst_port_be16 != (out ? t->remote_port_be16 : t->inside_port_be16))
		return false;
	return l4_sum(f, IP + p.ip.len_b) == 0;
}
