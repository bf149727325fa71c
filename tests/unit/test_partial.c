/*
 * test_partial.c: completing partial checksums.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "io/partial.h"
#include "seed.h"

#define HEAD_B 34 /* Ethernet and IP */

static uint16_t slow_sum(const uint8_t *p, uint32_t len_b, uint32_t sum)
{
	for (uint32_t i = 0; i < len_b; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t pseudo_of(const uint8_t *ip, uint32_t l4_b)
{
	return slow_sum(ip + 12, 8, ip[9] + l4_b);
}

/* A frame with a partial checksum, as a local sender leaves it. Its length. */
static uint32_t make(uint64_t *seed, uint8_t *frame, uint8_t proto, uint32_t l4_b)
{
	uint8_t *ip = frame + 14;

	for (uint32_t i = 0; i < HEAD_B + l4_b; i++)
		frame[i] = (uint8_t)seed_next(seed);
	put16(frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(20 + l4_b));
	put16(ip + 6, 0x4000);
	ip[9] = proto;
	put16(ip + 20 + (proto == 6 ? 16 : 6), pseudo_of(ip, l4_b));
	return HEAD_B + l4_b;
}

static bool is_right(const uint8_t *frame)
{
	const uint8_t *ip = frame + 14;
	uint32_t l4_b = ((uint32_t)ip[2] << 8 | ip[3]) - 20;

	return slow_sum(ip + 20, l4_b, pseudo_of(ip, l4_b)) == 0xffff;
}

Test(partial, completes_what_is_partial_and_leaves_what_is_right)
{
	uint64_t seed = seed_start(11);
	uint8_t frame[2048], before[2048];

	for (uint32_t i = 0; i < 20000; i++) {
		uint8_t proto = i & 1 ? 6 : 17;
		uint32_t len_b = make(&seed, frame, proto, 20 + seed_below(&seed, 1480));

		if (is_right(frame))
			continue;
		cr_assert(sn_partial_complete(frame, len_b));
		cr_assert(is_right(frame), "proto %u, %u bytes", proto, len_b);
		memcpy(before, frame, len_b);
		cr_assert(!sn_partial_complete(frame, len_b));
		cr_assert_eq(memcmp(before, frame, len_b), 0);
	}
}

Test(partial, leaves_wrong_checksums_wrong)
{
	uint64_t seed = seed_start(12);
	uint8_t frame[256], before[256];
	uint32_t len_b = make(&seed, frame, 6, 60);

	put16(frame + HEAD_B + 16, (uint16_t)(pseudo_of(frame + 14, 60) + 1));
	memcpy(before, frame, len_b);
	cr_assert(!sn_partial_complete(frame, len_b), "damage is not repaired");
	cr_assert_eq(memcmp(before, frame, len_b), 0);
	make(&seed, frame, 17, 60);
	put16(frame + HEAD_B + 6, 0);
	cr_assert(!sn_partial_complete(frame, len_b), "UDP without a checksum");
}

Test(partial, leaves_fragments_and_what_is_cut_off)
{
	uint64_t seed = seed_start(13);
	uint8_t frame[256];
	uint32_t len_b = make(&seed, frame, 17, 100);

	cr_assert(!sn_partial_complete(frame, len_b - 1));
	put16(frame + 14 + 6, 0x2000);
	cr_assert(!sn_partial_complete(frame, len_b));
	make(&seed, frame, 1, 100);
	cr_assert(!sn_partial_complete(frame, len_b), "ICMP has no pseudo-header");
}

Test(partial, garbage_never_breaks_it)
{
	uint64_t seed = seed_start(14);
	uint8_t frame[200];

	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t len_b = make(&seed, frame, i & 1 ? 6 : 17, 20 + seed_below(&seed, 100));

		for (uint32_t n = seed_below(&seed, 6); n; n--)
			frame[12 + seed_below(&seed, 24)] = (uint8_t)seed_next(&seed);
		sn_partial_complete(frame, seed_below(&seed, len_b + 1));
	}
}
