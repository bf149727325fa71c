/*
 * hash.h: the keyed hashes behind shards, indexes and port choice. The key is drawn once per region, so that nobody outside
 * can aim at a shard, a bucket or a port.
 *
 * Two hashes share it. What can be seen from outside, the choice of an address and a port, comes from SipHash-1-3: its
 * results tell nothing of the key. What never leaves the node, the place in an index and the shard, comes from one block
 * through four rounds of AES under the key, which a processor with AES instructions does in 20 cycles, several at a time.
 * Four rounds have no differential better than 2^-113 (Keliher and Sui), so two tuples that are chosen without the key, and without
 * seeing results, meet no more often than random ones.
 */
#ifndef SN_HASH_H
#define SN_HASH_H

#include "base.h"

#ifdef __AES__
#include <wmmintrin.h>
#endif

struct sn_hash_key {
	uint64_t k0, k1;
};

/* SipHash-1-3 of 16 bytes given as two words. Pure. */
uint64_t sn_hash2(const struct sn_hash_key *key, uint64_t a, uint64_t b);

/* What is added to the key for each round: the first digits of pi. */
#define SN_HASH_ROUNDS 4
#define SN_HASH_CONSTANTS                                                                                              \
	{ { 0x243f6a8885a308d3u, 0x13198a2e03707344u }, { 0xa4093822299f31d0u, 0x082efa98ec4e6c89u },                  \
	  { 0x452821e638d01377u, 0xbe5466cf34e90c6cu }, { 0xc0ac29b7c97c50ddu, 0x3f84d5b5b5470917u } }

/* The low word of (a, b) + key after four AES rounds under key + constant. Pure. The same on every machine. */
uint64_t sn_hash_block_portable(const struct sn_hash_key *key, uint64_t a, uint64_t b);

static inline uint64_t sn_hash_block(const struct sn_hash_key *key, uint64_t a, uint64_t b)
{
#ifdef __AES__
	static const uint64_t constants[SN_HASH_ROUNDS][2] = SN_HASH_CONSTANTS;
	__m128i k = _mm_set_epi64x((long long)key->k1, (long long)key->k0);
	__m128i x = _mm_xor_si128(_mm_set_epi64x((long long)b, (long long)a), k);

	for (int i = 0; i < SN_HASH_ROUNDS; i++)
		x = _mm_aesenc_si128(x, _mm_xor_si128(k, _mm_set_epi64x((long long)constants[i][1],
									(long long)constants[i][0])));
	return (uint64_t)_mm_cvtsi128_si64(x);
#else
	return sn_hash_block_portable(key, a, b);
#endif
}

/* Domain words, so that one key serves several uses; they go into the top byte of b. */
enum sn_hash_use {
	SN_HASH_SHARD = 1,
	SN_HASH_FLOW_INSIDE,
	SN_HASH_FLOW_OUTSIDE,
	SN_HASH_BINDING,
	SN_HASH_SUBSCRIBER,
	SN_HASH_PORT,
	SN_HASH_ADDRESS,
	SN_HASH_DATAGRAM,
	SN_HASH_IDENT,
};

/* Packing is injective, also between the uses: use | realm | proto | 0 | first port | second port, and two addresses. */
static inline uint64_t sn_hash_low(uint32_t addr1, uint32_t addr2)
{
	return (uint64_t)addr1 << 32 | addr2;
}

static inline uint64_t sn_hash_high(enum sn_hash_use use, uint8_t realm, uint8_t proto, uint16_t port1, uint16_t port2)
{
	return (uint64_t)use << 56 | (uint64_t)realm << 48 | (uint64_t)proto << 40 | (uint64_t)port1 << 16 | port2;
}

/* The shard of a subscriber: realm index and inside address. shards is a power of two. */
static inline uint32_t sn_hash_shard(const struct sn_hash_key *key, uint8_t realm, uint32_t inside_be32, uint32_t shards)
{
	uint64_t hash = sn_hash_block(key, sn_hash_low(inside_be32, 0), sn_hash_high(SN_HASH_SHARD, realm, 0, 0, 0));

	return (uint32_t)hash & (shards - 1);
}

/* Index keys. Addresses and ports in network byte order, as in the packet. */
static inline uint64_t sn_hash_flow_inside(const struct sn_hash_key *key, uint8_t realm, uint8_t proto,
					   uint32_t inside_be32, uint16_t inside_port_be16, uint32_t remote_be32,
					   uint16_t remote_port_be16)
{
	return sn_hash_block(key, sn_hash_low(inside_be32, remote_be32),
			     sn_hash_high(SN_HASH_FLOW_INSIDE, realm, proto, inside_port_be16, remote_port_be16));
}

static inline uint64_t sn_hash_flow_outside(const struct sn_hash_key *key, uint8_t proto, uint32_t remote_be32,
					    uint16_t remote_port_be16, uint32_t public_be32, uint16_t public_port_be16)
{
	return sn_hash_block(key, sn_hash_low(public_be32, remote_be32),
			     sn_hash_high(SN_HASH_FLOW_OUTSIDE, 0, proto, public_port_be16, remote_port_be16));
}

static inline uint64_t sn_hash_binding(const struct sn_hash_key *key, uint8_t realm, uint8_t proto,
				       uint32_t inside_be32, uint16_t inside_port_be16)
{
	return sn_hash_block(key, sn_hash_low(inside_be32, 0),
			     sn_hash_high(SN_HASH_BINDING, realm, proto, inside_port_be16, 0));
}

static inline uint64_t sn_hash_subscriber(const struct sn_hash_key *key, uint8_t realm, uint32_t inside_be32)
{
	return sn_hash_block(key, sn_hash_low(inside_be32, 0), sn_hash_high(SN_HASH_SUBSCRIBER, realm, 0, 0, 0));
}

/* Where a subscriber's search for an address (proto 0, port 0), a block or a port begins. */
uint64_t sn_hash_port(const struct sn_hash_key *key, uint8_t realm, uint32_t inside_be32, uint8_t proto,
		      uint16_t inside_port_be16);

#endif
