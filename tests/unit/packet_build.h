/*
 * packet_build.h: frames for tests, built from a description with every checksum computed in full and naively (byte by
 * byte, in network order), so that what they are compared with shares no code with dataplane/packet/.
 *
 * A translated packet's twin is built by translating the description. Everything random comes from a seed.
 */
#ifndef SN_PACKET_BUILD_H
#define SN_PACKET_BUILD_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "flow.h"

#define BUILD_MAX_B 2048
#define GUARD_B 4096

struct build {
	uint32_t src, dst;         /* host order, like all of this */
	uint16_t sport, dport;     /* ICMP query: sport is the identifier */
	uint16_t payload_b;
	uint16_t first_word;       /* the first two bytes of the payload */
	uint16_t vlan[3];
	uint8_t vlans;
	uint8_t ip_options_b, tcp_options_b; /* multiples of 4 */
	uint8_t proto, ttl, tcp_flags, icmp_type, icmp_code;
	bool udp_no_csum;
	uint32_t seed;             /* of the bytes that have no meaning here */
	uint8_t tcp_options[40];
};

/* The packet quoted in an ICMP error, and how. */
struct build_quote {
	struct build packet;
	uint16_t l4_b;         /* so much of its L4 is quoted, if it has it */
	uint16_t extensions_b; /* RFC 4884, after padding to 128 bytes; 0: none, and the length byte is 0 */
};

static inline uint32_t build_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8 ^ *state << 15;
}

static inline void build_put16(uint8_t *at, uint32_t word)
{
	at[0] = (uint8_t)(word >> 8);
	at[1] = (uint8_t)word;
}

static inline void build_put32(uint8_t *at, uint32_t word)
{
	build_put16(at, word >> 16);
	build_put16(at + 2, word);
}

static inline uint32_t build_sum(const uint8_t *at, uint32_t len_b)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len_b; i++)
		sum += i & 1 ? at[i] : (uint32_t)at[i] << 8;
	return sum;
}

static inline uint16_t build_csum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

static inline void build_fill(uint8_t *at, uint32_t len_b, uint32_t seed)
{
	for (uint32_t i = 0; i < len_b; i++)
		at[i] = (uint8_t)build_random(&seed);
}

static inline uint32_t build_l4_header_b(const struct build *b)
{
	return b->proto == 6 ? 20u + b->tcp_options_b : 8u;
}

static inline uint32_t build_ip_b(const struct build *b)
{
	return 20u + b->ip_options_b + build_l4_header_b(b) + b->payload_b;
}

static inline void build_ip_header(uint8_t *ip, const struct build *b, uint32_t total_b)
{
	uint32_t header_b = 20u + b->ip_options_b;

	build_fill(ip, header_b, b->seed);
	ip[0] = (uint8_t)(0x40 | header_b / 4);
	build_put16(ip + 2, total_b);
	build_put16(ip + 6, b->seed & 1 ? 0x4000 : 0);
	ip[8] = b->ttl;
	ip[9] = b->proto;
	build_put16(ip + 10, 0);
	build_put32(ip + 12, b->src);
	build_put32(ip + 16, b->dst);
	build_put16(ip + 10, build_csum(build_sum(ip, header_b)));
}

/* TCP or UDP: the sum over the pseudo header too. */
static inline uint16_t build_l4_csum(const struct build *b, const uint8_t *l4, uint32_t l4_b)
{
	uint32_t pseudo = (b->src >> 16) + (b->src & 0xffff) + (b->dst >> 16) + (b->dst & 0xffff) + b->proto + l4_b;

	return build_csum(build_sum(l4, l4_b) + pseudo);
}

static inline void build_tcp(uint8_t *l4, const struct build *b, uint32_t l4_b)
{
	build_put16(l4, b->sport);
	build_put16(l4 + 2, b->dport);
	l4[12] = (uint8_t)((20u + b->tcp_options_b) / 4 << 4);
	l4[13] = b->tcp_flags;
	memcpy(l4 + 20, b->tcp_options, b->tcp_options_b);
	build_put16(l4 + 16, 0);
	build_put16(l4 + 16, build_l4_csum(b, l4, l4_b));
}

static inline void build_udp(uint8_t *l4, const struct build *b, uint32_t l4_b)
{
	uint16_t csum;

	build_put16(l4, b->sport);
	build_put16(l4 + 2, b->dport);
	build_put16(l4 + 4, l4_b);
	build_put16(l4 + 6, 0);
	csum = build_l4_csum(b, l4, l4_b);
	build_put16(l4 + 6, b->udp_no_csum ? 0 : csum == 0 ? 0xffff : csum);
}

static inline void build_icmp(uint8_t *l4, const struct build *b, uint32_t l4_b)
{
	l4[0] = b->icmp_type;
	l4[1] = b->icmp_code;
	build_put16(l4 + 4, b->sport);
	build_put16(l4 + 2, 0);
	build_put16(l4 + 2, build_csum(build_sum(l4, l4_b)));
}

/* An IP packet; its length. */
static inline uint32_t build_ip(uint8_t *ip, const struct build *b)
{
	uint32_t total_b = build_ip_b(b), header_b = 20u + b->ip_options_b, l4_b = total_b - header_b;
	uint8_t *l4 = ip + header_b;

	build_ip_header(ip, b, total_b);
	build_fill(l4, l4_b, b->seed + 1);
	if (b->payload_b >= 2)
		build_put16(l4 + build_l4_header_b(b), b->first_word);
	if (b->proto == 6)
		build_tcp(l4, b, l4_b);
	else if (b->proto == 17)
		build_udp(l4, b, l4_b);
	else
		build_icmp(l4, b, l4_b);
	return total_b;
}

/* Ethernet and tags; the offset of the IP header. */
static inline uint32_t build_ethernet(uint8_t *frame, const struct build *b)
{
	uint32_t off_b = 14;

	build_fill(frame, 12, b->seed + 2);
	frame[0] &= 0xfe;
	for (uint32_t i = 0; i < b->vlans; i++, off_b += 4) {
		build_put16(frame + off_b - 2, i == 0 && b->vlans > 1 ? 0x88a8 : 0x8100);
		build_put16(frame + off_b, 0x6000u | b->vlan[i]);
	}
	build_put16(frame + off_b - 2, 0x0800);
	return off_b;
}

/* A frame; its length. */
static inline uint32_t build_frame(uint8_t *frame, const struct build *b)
{
	uint32_t off_b = build_ethernet(frame, b);

	return off_b + build_ip(frame + off_b, b);
}

/* What an error says after its own eight bytes; the length. */
static inline uint32_t build_quoted(uint8_t *at, const struct build_quote *q, uint8_t *ret_words)
{
	uint32_t whole_b = build_ip(at, &q->packet);
	uint32_t quoted_b = SN_MIN(whole_b, 20u + q->packet.ip_options_b + q->l4_b);

	*ret_words = 0;
	if (q->extensions_b == 0)
		return quoted_b;
	quoted_b = SN_MIN(quoted_b, 128u);
	memset(at + quoted_b, 0, 128 - quoted_b);
	build_fill(at + 128, q->extensions_b, q->packet.seed + 3);
	*ret_words = 128 / 4;
	return 128u + q->extensions_b;
}

/* An ICMP error as o says (addresses, options, type, code) with a quote; the frame's length. */
static inline uint32_t build_error(uint8_t *frame, const struct build *o, const struct build_quote *q)
{
	uint32_t l3_off_b = build_ethernet(frame, o), header_b = 20u + o->ip_options_b, l4_b;
	uint8_t *l4 = frame + l3_off_b + header_b;

	memset(l4, 0, 8);
	l4_b = 8 + build_quoted(l4 + 8, q, &l4[5]);
	l4[0] = o->icmp_type;
	l4[1] = o->icmp_code;
	build_put16(l4 + 2, build_csum(build_sum(l4, l4_b)));
	build_ip_header(frame + l3_off_b, o, header_b + l4_b);
	return l3_off_b + header_b + l4_b;
}

/* A random description of a valid packet of proto (1: a query). */
static inline struct build build_random_packet(uint32_t *state, uint8_t proto)
{
	static const uint8_t flags[] = { 0x02, 0x18 };
	static const uint8_t queries[] = { 0, 8, 13, 14, 15, 16, 17, 18 };
	struct build b = {
		.src = build_random(state),
		.dst = build_random(state),
		.sport = (uint16_t)build_random(state),
		.dport = (uint16_t)build_random(state),
		.payload_b = (uint16_t)(build_random(state) % 200),
		.first_word = (uint16_t)build_random(state),
		.vlans = (uint8_t)(build_random(state) % 3),
		.ip_options_b = (uint8_t)(build_random(state) % 4 == 0 ? build_random(state) % 11 * 4 : 0),
		.proto = proto,
		.ttl = (uint8_t)(2 + build_random(state) % 254),
		.tcp_flags = flags[build_random(state) % 2],
		.icmp_type = queries[build_random(state) % sizeof(queries)],
		.seed = build_random(state),
	};

	for (uint32_t i = 0; i < b.vlans; i++)
		b.vlan[i] = build_random(state) & 0xfff;
	return b;
}

/* A record with these ends (host order) and the sums that shm puts into it, computed here on their own. */
static inline struct sn_flow build_flow(uint8_t proto, uint32_t inside, uint16_t inside_port, uint32_t public,
					uint16_t public_port)
{
	uint32_t in[2] = { inside >> 16, inside & 0xffff }, out[2] = { public >> 16, public & 0xffff };
	uint32_t addr = (in[0] ^ 0xffff) + (in[1] ^ 0xffff) + out[0] + out[1];
	uint32_t port = (inside_port ^ 0xffffu) + public_port;
	struct sn_flow f = {
		.proto = proto,
		.inside_be32 = htonl(inside),
		.public_be32 = htonl(public),
		.inside_port_be16 = htons(inside_port),
		.public_port_be16 = htons(public_port),
		.csum_l3 = htons((uint16_t)~build_csum(addr)),
		.csum_l4 = htons((uint16_t)~build_csum(proto == 1 ? port : addr + port)),
	};

	return f;
}

/* Copies bytes to the end of a page behind which nothing may be read; give the result to build_unguard. */
static inline uint8_t *build_guard(const uint8_t *bytes, uint32_t len_b)
{
	uint8_t *pages = mmap(NULL, 2 * GUARD_B, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || len_b > GUARD_B || mprotect(pages + GUARD_B, GUARD_B, PROT_NONE))
		abort();
	memcpy(pages + GUARD_B - len_b, bytes, len_b);
	return pages + GUARD_B - len_b;
}

static inline void build_unguard(uint8_t *bytes, uint32_t len_b)
{
	munmap(bytes + len_b - GUARD_B, 2 * GUARD_B);
}

#endif
