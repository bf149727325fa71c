/*
 * rewrite.c: the bytes that a translation changes, and the checksums that follow them.
 *
 * Packets of a flow use the sums that its record carries. ICMP errors are rare and change two headers, so there the
 * difference of each word is taken from the word itself as it is replaced, and the outer checksum gets all of them.
 */
#include "packet/bytes.h"
#include "packet/rewrite.h"

#define IP_ID 4
#define IP_TTL 8
#define IP_CSUM 10
#define IP_SRC 12
#define IP_DST 16
#define L4_SRC_PORT 0
#define L4_DST_PORT 2
#define TCP_CSUM 16
#define TCP_MIN_B 20
#define TCP_OPT_END 0
#define TCP_OPT_NOP 1
#define TCP_OPT_MSS 2
#define UDP_CSUM 6
#define ICMP_CSUM 2
#define ICMP_ID 4
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17

/* Of a parsed protocol, so one of the three. */
static inline uint32_t l4_csum_off_b(uint8_t proto)
{
	return proto == PROTO_TCP ? TCP_CSUM : proto == PROTO_UDP ? UDP_CSUM : ICMP_CSUM;
}

/* What a word's change does to a sum over it. */
static inline uint32_t word_diff(uint16_t old, uint16_t new)
{
	return (uint32_t)(uint16_t)~old + new;
}

/* RFC 1624 eqn. 3: diff is the sum of word_diff() over the words that change. */
static inline uint16_t csum_updated(uint16_t csum, uint32_t diff)
{
	return (uint16_t)~sn_csum_fold((uint16_t)~csum + diff);
}

static inline void csum_update(uint8_t *at, uint32_t diff)
{
	sn_bytes_put16(at, csum_updated(sn_bytes_get16(at), diff));
}

/* 0 means "none" in UDP: it stays, and a sum that comes out as 0 is written in its other form. */
static inline void csum_update_udp(uint8_t *at, uint32_t diff)
{
	uint16_t csum = sn_bytes_get16(at);

	if (csum == 0)
		return;
	csum = csum_updated(csum, diff);
	sn_bytes_put16(at, csum == 0 ? 0xffff : csum);
}

static inline void csum_update_l4(uint8_t *l4, uint8_t proto, uint32_t diff)
{
	if (proto == PROTO_UDP)
		csum_update_udp(l4 + UDP_CSUM, diff);
	else
		csum_update(l4 + l4_csum_off_b(proto), diff);
}

/* The identifier of an ICMP query is its port in both directions. */
static inline void set_port(struct sn_packet *p, uint8_t *l4, uint32_t port_off_b, uint16_t port_be16)
{
	if (p->kind == SN_PKT_ICMP_QUERY) {
		sn_bytes_put16(l4 + ICMP_ID, port_be16);
		p->ip.src_port_be16 = port_be16;
		p->ip.dst_port_be16 = port_be16;
		return;
	}
	sn_bytes_put16(l4 + port_off_b, port_be16);
	*(port_off_b == L4_SRC_PORT ? &p->ip.src_port_be16 : &p->ip.dst_port_be16) = port_be16;
}

void sn_rewrite_out(struct sn_packet *p, const struct sn_flow *f)
{
	uint8_t *l3 = p->frame + p->ip.l3_off_b, *l4 = p->frame + p->ip.l4_off_b;

	SN_ASSERT(p->kind != SN_PKT_ICMP_ERROR);
	sn_bytes_put32(l3 + IP_SRC, f->public_be32);
	p->ip.src_be32 = f->public_be32;
	csum_update(l3 + IP_CSUM, f->csum_l3);
	set_port(p, l4, L4_SRC_PORT, f->public_port_be16);
	csum_update_l4(l4, p->ip.proto, f->csum_l4);
}

void sn_rewrite_in(struct sn_packet *p, const struct sn_flow *f)
{
	uint8_t *l3 = p->frame + p->ip.l3_off_b, *l4 = p->frame + p->ip.l4_off_b;

	SN_ASSERT(p->kind != SN_PKT_ICMP_ERROR);
	sn_bytes_put32(l3 + IP_DST, f->inside_be32);
	p->ip.dst_be32 = f->inside_be32;
	csum_update(l3 + IP_CSUM, (uint16_t)~f->csum_l3);
	set_port(p, l4, L4_DST_PORT, f->inside_port_be16);
	csum_update_l4(l4, p->ip.proto, (uint16_t)~f->csum_l4);
}

/* Stores a word and returns its word_diff(). */
static inline uint32_t replace16(uint8_t *at, uint16_t word)
{
	uint16_t old = sn_bytes_get16(at);

	sn_bytes_put16(at, word);
	return word_diff(old, word);
}

static inline uint32_t replace32(uint8_t *at, uint32_t word)
{
	uint16_t half[2];

	memcpy(half, &word, sizeof(half));
	return replace16(at, half[0]) + replace16(at + 2, half[1]);
}

void sn_rewrite_ttl(struct sn_packet *p)
{
	uint8_t *l3 = p->frame + p->ip.l3_off_b;
	uint16_t old = sn_bytes_get16(l3 + IP_TTL), new = (uint16_t)(old - __builtin_bswap16(0x0100));

	SN_ASSERT(p->ip.ttl > 1);
	sn_bytes_put16(l3 + IP_TTL, new);
	p->ip.ttl--;
	csum_update(l3 + IP_CSUM, word_diff(old, new));
}

/* Replaces one address of the outer header; the ICMP checksum does not cover it. */
static void replace_outer(struct sn_packet *p, uint32_t addr_off_b, uint32_t addr_be32)
{
	uint8_t *l3 = p->frame + p->ip.l3_off_b;

	csum_update(l3 + IP_CSUM, replace32(l3 + addr_off_b, addr_be32));
}

/* The quoted L4 header's checksum, if so much of it was quoted. Returns its own word_diff(). */
static uint32_t update_quoted_csum(struct sn_packet *p, uint32_t diff)
{
	uint8_t *l4 = p->frame + p->quote.l4_off_b;
	uint32_t csum_off_b = l4_csum_off_b(p->quote.proto);
	uint16_t old;

	if (p->quote.l4_b < csum_off_b + sizeof(old))
		return 0;
	old = sn_bytes_get16(l4 + csum_off_b);
	csum_update_l4(l4, p->quote.proto, diff);
	return word_diff(old, sn_bytes_get16(l4 + csum_off_b));
}

/* Replaces one end of the quoted packet, and brings its checksums and the outer ICMP checksum after it. */
static void replace_quoted(struct sn_packet *p, uint32_t addr_off_b, uint32_t addr_be32, uint32_t port_off_b,
			   uint16_t port_be16)
{
	uint8_t *l3 = p->frame + p->quote.l3_off_b, *l4 = p->frame + p->quote.l4_off_b;
	bool icmp = p->quote.proto == PROTO_ICMP;
	uint16_t old_csum = sn_bytes_get16(l3 + IP_CSUM);
	uint32_t addr_diff = replace32(l3 + addr_off_b, addr_be32);
	uint32_t port_diff = replace16(l4 + (icmp ? ICMP_ID : port_off_b), port_be16);
	uint32_t diff = addr_diff + port_diff;

	csum_update(l3 + IP_CSUM, addr_diff);
	diff += word_diff(old_csum, sn_bytes_get16(l3 + IP_CSUM));
	diff += update_quoted_csum(p, icmp ? port_diff : addr_diff + port_diff);
	csum_update(p->frame + p->ip.l4_off_b + ICMP_CSUM, diff);
}

/* The value of the MSS option, NULL if there is none whole. */
static uint8_t *find_mss(uint8_t *at, const uint8_t *end)
{
	while (end - at >= 2 && *at != TCP_OPT_END) {
		if (*at == TCP_OPT_NOP) {
			at++;
			continue;
		}
		if (at[1] < 2 || at[1] > end - at)
			return NULL;
		if (at[0] == TCP_OPT_MSS && at[1] == 4)
			return at + 2;
		at += at[1];
	}
	return NULL;
}

void sn_rewrite_mss(struct sn_packet *p, uint16_t most_b)
{
	uint8_t *tcp = p->frame + p->ip.l4_off_b;
	uint8_t *mss = find_mss(tcp + TCP_MIN_B, tcp + (tcp[12] >> 4) * 4);
	uint16_t old, new = __builtin_bswap16(most_b);

	if (!mss || (old = sn_bytes_get16(mss), __builtin_bswap16(old) <= most_b))
		return;
	sn_bytes_put16(mss, new);
	/* At an odd place its bytes are the halves of two words of the sum, the other way round. */
	if ((mss - tcp) % 2 != 0)
		csum_update(tcp + TCP_CSUM, word_diff(__builtin_bswap16(old), most_b));
	else
		csum_update(tcp + TCP_CSUM, word_diff(old, new));
}

void sn_rewrite_later_out(struct sn_packet *p, const struct sn_flow *f)
{
	replace_outer(p, IP_SRC, f->public_be32);
	p->ip.src_be32 = f->public_be32;
	p->ip.src_port_be16 = f->public_port_be16;
	if (p->ip.proto == PROTO_ICMP)
		p->ip.dst_port_be16 = f->public_port_be16;
}

void sn_rewrite_later_in(struct sn_packet *p, const struct sn_flow *f)
{
	replace_outer(p, IP_DST, f->inside_be32);
	p->ip.dst_be32 = f->inside_be32;
	p->ip.dst_port_be16 = f->inside_port_be16;
	if (p->ip.proto == PROTO_ICMP)
		p->ip.src_port_be16 = f->inside_port_be16;
}

void sn_rewrite_id(struct sn_packet *p, uint16_t id_be16)
{
	uint8_t *l3 = p->frame + p->ip.l3_off_b;

	csum_update(l3 + IP_CSUM, replace16(l3 + IP_ID, id_be16));
}

void sn_rewrite_error_out(struct sn_packet *p, const struct sn_flow *f, uint32_t new_src_be32)
{
	SN_ASSERT(p->kind == SN_PKT_ICMP_ERROR);
	replace_quoted(p, IP_DST, f->public_be32, L4_DST_PORT, f->public_port_be16);
	p->quote.dst_be32 = f->public_be32;
	p->quote.dst_port_be16 = f->public_port_be16;
	if (p->quote.proto == PROTO_ICMP)
		p->quote.src_port_be16 = f->public_port_be16;
	replace_outer(p, IP_SRC, new_src_be32);
	p->ip.src_be32 = new_src_be32;
}

void sn_rewrite_error_in(struct sn_packet *p, const struct sn_flow *f)
{
	SN_ASSERT(p->kind == SN_PKT_ICMP_ERROR);
	replace_quoted(p, IP_SRC, f->inside_be32, L4_SRC_PORT, f->inside_port_be16);
	p->quote.src_be32 = f->inside_be32;
	p->quote.src_port_be16 = f->inside_port_be16;
	if (p->quote.proto == PROTO_ICMP)
		p->quote.dst_port_be16 = f->inside_port_be16;
	replace_outer(p, IP_DST, f->inside_be32);
	p->ip.dst_be32 = f->inside_be32;
}

void sn_rewrite_mac(uint8_t *frame, const uint8_t dst[6], const uint8_t src[6])
{
	memcpy(frame, dst, 6);
	memcpy(frame + 6, src, 6);
}
