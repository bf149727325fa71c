/*
 * seed.h: reproducible random numbers for tests: the seed is printed, and SN_SEED in the environment sets it.
 */
#ifndef SN_TEST_SEED_H
#define SN_TEST_SEED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint64_t seed_start(uint64_t seed)
{
	const char *from = getenv("SN_SEED");

	if (from)
		seed = strtoull(from, NULL, 0);
	fprintf(stderr, "SN_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* The next number (splitmix64). */
static inline uint64_t seed_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* One of 0 .. n - 1. */
static inline uint32_t seed_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)(seed_next(state) % n);
}

#endif
