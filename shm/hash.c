/*
 * hash.c: SipHash-1-3 over two words, and what it is used for.
 */
#include "hash.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	s->v0 ^= m;
}

uint64_t sn_hash2(const struct sn_hash_key *key, uint64_t a, uint64_t b)
{
	struct sip s = {
		.v0 = key->k0 ^ 0x736f6d6570736575u,
		.v1 = key->k1 ^ 0x646f72616e646f6du,
		.v2 = key->k0 ^ 0x6c7967656e657261u,
		.v3 = key->k1 ^ 0x7465646279746573u,
	};

	sip_word(&s, a);
	sip_word(&s, b);
	sip_word(&s, 16ull << 56); /* the padding block: length 16, no bytes left over */
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t sn_hash_port(const struct sn_hash_key *key, uint8_t realm, uint32_t inside_be32, uint8_t proto,
		      uint16_t inside_port_be16)
{
	enum sn_hash_use use = proto == 0 && inside_port_be16 == 0 ? SN_HASH_ADDRESS : SN_HASH_PORT;

	return sn_hash2(key, sn_hash_low(inside_be32, 0), sn_hash_high(use, realm, proto, inside_port_be16, 0));
}
