/*
 * test_hash.c: SipHash-1-3 and the AES rounds against vectors of other implementations, the AES instructions against plain C, and that no two keys are packed alike.
 */
#include <criterion/criterion.h>

#include "hash.h"
#include "seed.h"

Test(hash, vectors)
{
	/* PYTHONHASHSEED=0: CPython's own siphash13 of bytes(range(16)) and bytes(16), key 0 */
	struct sn_hash_key zero = { 0, 0 };
	/* a Python reimplementation that gives the published SipHash-2-4 vectors, key 00..0f */
	struct sn_hash_key count = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

	cr_assert_eq(sn_hash2(&zero, 0x0706050403020100, 0x0f0e0d0c0b0a0908), 0x8972188433a5c5b7);
	cr_assert_eq(sn_hash2(&zero, 0, 0), 0x76be999e3e25b2a0);
	cr_assert_eq(sn_hash2(&count, 0x0706050403020100, 0x0f0e0d0c0b0a0908), 0xcc4fdd1a7d908b66);
	cr_assert_eq(sn_hash2(&count, UINT64_MAX, UINT64_MAX), 0x04c3a2db341281ec);
	cr_assert_eq(sn_hash2(&count, 0x0123456789abcdef, 0xfedcba9876543210), 0x6511d8f212065f8b);
}

/* A Python implementation whose round gives FIPS 197's appendix B. */
Test(hash, block_vectors)
{
	struct sn_hash_key zero = { 0, 0 };
	struct sn_hash_key count = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

	cr_assert_eq(sn_hash_block_portable(&zero, 0, 0), 0xfc15b14cf8fef331);
	cr_assert_eq(sn_hash_block_portable(&count, 0, 0), 0x39c90f67c9ac41c6);
	cr_assert_eq(sn_hash_block_portable(&count, UINT64_MAX, UINT64_MAX), 0x7363f212b19787b7);
	cr_assert_eq(sn_hash_block_portable(&count, 0x0123456789abcdef, 0xfedcba9876543210), 0x4dacaabcf6719e68);
}

Test(hash, instructions_and_plain_c_agree)
{
	uint64_t rng = seed_start(2);

	for (int i = 0; i < 10000; i++) {
		struct sn_hash_key key = { seed_next(&rng), seed_next(&rng) };
		uint64_t a = seed_next(&rng), b = seed_next(&rng);

		cr_assert_eq(sn_hash_block(&key, a, b), sn_hash_block_portable(&key, a, b));
	}
}

static void expect_avalanche(uint64_t (*hash)(const struct sn_hash_key *key, uint64_t a, uint64_t b))
{
	uint64_t rng = seed_start(1);
	uint64_t flipped = 0;

	for (int i = 0; i < 1000; i++) {
		struct sn_hash_key key = { seed_next(&rng), seed_next(&rng) };
		uint64_t a = seed_next(&rng), b = seed_next(&rng), bit = 1ull << seed_below(&rng, 64);
		uint64_t h = hash(&key, a, b);

		flipped += (uint64_t)__builtin_popcountll(h ^ hash(&key, a ^ bit, b));
		flipped += (uint64_t)__builtin_popcountll(h ^ hash(&key, a, b ^ bit));
	}
	cr_assert(flipped > 62000 && flipped < 66000, "%llu of 128000 bits", (unsigned long long)flipped);
}

Test(hash, avalanche)
{
	expect_avalanche(sn_hash2);
	expect_avalanche(sn_hash_block);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Each argument moves the hash of each use, and the same argument in another place or use gives another hash. */
Test(hash, keys_are_packed_apart)
{
	struct sn_hash_key k = { 1, 2 };
	uint64_t h[64];
	size_t n = 0;

	for (uint32_t bit = 0; bit < 2; bit++) {
		uint16_t port = bit ? 0x0100 : 0x0001;
		uint32_t addr = bit ? 0x01000000 : 1;
		uint8_t byte = bit ? 0x80 : 1;

		h[n++] = sn_hash_flow_inside(&k, byte, 0, 0, 0, 0, 0);
		h[n++] = sn_hash_flow_inside(&k, 0, byte, 0, 0, 0, 0);
		h[n++] = sn_hash_flow_inside(&k, 0, 0, addr, 0, 0, 0);
		h[n++] = sn_hash_flow_inside(&k, 0, 0, 0, port, 0, 0);
		h[n++] = sn_hash_flow_inside(&k, 0, 0, 0, 0, addr, 0);
		h[n++] = sn_hash_flow_inside(&k, 0, 0, 0, 0, 0, port);
		h[n++] = sn_hash_flow_outside(&k, byte, 0, 0, 0, 0);
		h[n++] = sn_hash_flow_outside(&k, 0, addr, 0, 0, 0);
		h[n++] = sn_hash_flow_outside(&k, 0, 0, port, 0, 0);
		h[n++] = sn_hash_flow_outside(&k, 0, 0, 0, addr, 0);
		h[n++] = sn_hash_flow_outside(&k, 0, 0, 0, 0, port);
		h[n++] = sn_hash_binding(&k, byte, 0, 0, 0);
		h[n++] = sn_hash_binding(&k, 0, byte, 0, 0);
		h[n++] = sn_hash_binding(&k, 0, 0, addr, 0);
		h[n++] = sn_hash_binding(&k, 0, 0, 0, port);
		h[n++] = sn_hash_subscriber(&k, byte, 0);
		h[n++] = sn_hash_subscriber(&k, 0, addr);
		h[n++] = sn_hash_port(&k, byte, 0, 0, 0);
		h[n++] = sn_hash_port(&k, 0, addr, 0, 0);
		h[n++] = sn_hash_port(&k, 0, 0, byte, 0);
		h[n++] = sn_hash_port(&k, 0, 0, 0, port);
	}
	h[n++] = sn_hash_flow_inside(&k, 0, 0, 0, 0, 0, 0);
	h[n++] = sn_hash_flow_outside(&k, 0, 0, 0, 0, 0);
	h[n++] = sn_hash_binding(&k, 0, 0, 0, 0);
	h[n++] = sn_hash_subscriber(&k, 0, 0);
	h[n++] = sn_hash_port(&k, 0, 0, 0, 0);
	qsort(h, n, sizeof(h[0]), by_value);
	for (size_t i = 1; i < n; i++)
		cr_assert_neq(h[i], h[i - 1]);
}

Test(hash, shards_are_even)
{
	struct sn_hash_key k = { 11, 12 };
	uint32_t count[16] = { 0 };

	for (uint32_t i = 0; i < 16000; i++)
		count[sn_hash_shard(&k, 0, __builtin_bswap32(0x64400000 + i), 16)]++;
	for (uint32_t i = 0; i < 16; i++)
		cr_assert(count[i] > 850 && count[i] < 1150, "shard %u has %u", i, count[i]);
	cr_assert_eq(sn_hash_shard(&k, 3, 77, 1), 0);
}
