/*
 * test_index_attack.c: a subscriber who knows everything but the key (the code, the geometry, its own shard, what is in the index)
 * and picks its tuples so that they collide. It tries keys of its own, sweeps single bits and fields, and takes low-weight
 * differences; none of that may fill a bucket, or repeat a tag, more often than chance does.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "hash.h"
#include "index.h"
#include "seed.h"

#define TUPLES 60000u
#define BUCKETS 8192u /* 7.3 tuples each, of 15 */
#define ROUNDS 8

struct tuple {
	uint32_t inside, remote;
	uint16_t inside_port, remote_port;
	uint8_t proto;
};

struct tactic {
	const char *name;
	struct tuple (*nth)(uint32_t n, const struct sn_hash_key *guess);
};

static uint64_t hash_of(const struct sn_hash_key *key, struct tuple t)
{
	return sn_hash_flow_inside(key, 0, t.proto, t.inside, t.inside_port, t.remote, t.remote_port);
}

/* Fields counted up, each on its own: its ports, then the remote addresses. */
static struct tuple count_ports(uint32_t n, const struct sn_hash_key *guess)
{
	(void)guess;
	return (struct tuple){ 0x0a40, 0x0108, (uint16_t)n, 0xbb01, 17 };
}

static struct tuple count_remotes(uint32_t n, const struct sn_hash_key *guess)
{
	(void)guess;
	return (struct tuple){ 0x0a40, n, 1, 0xbb01, 17 };
}

/* Multiples of the number of buckets, which would fall together under any unkeyed reduction. */
static struct tuple stride(uint32_t n, const struct sn_hash_key *guess)
{
	(void)guess;
	return (struct tuple){ 0x0a40, n * BUCKETS, 1, 0xbb01, 6 };
}

static void flip(struct tuple *t, uint32_t bit)
{
	if (bit < 32)
		t->inside ^= 1u << bit;
	else if (bit < 64)
		t->remote ^= 1u << (bit - 32);
	else if (bit < 80)
		t->inside_port ^= (uint16_t)(1u << (bit - 64));
	else
		t->remote_port ^= (uint16_t)(1u << (bit - 80));
}

/* Three bits away from one tuple, over both addresses and both ports: each triple once, i < j < k. */
static struct tuple few_bits(uint32_t n, const struct sn_hash_key *guess)
{
	static uint32_t i, j, k;
	struct tuple t = { .proto = 17 };

	(void)guess;
	if (n == 0)
		i = 0, j = 1, k = 1;
	if (++k == 96) {
		if (++j == 95)
			j = ++i + 1;
		k = j + 1;
	}
	flip(&t, i);
	flip(&t, j);
	flip(&t, k);
	return t;
}

/* All of them in one bucket and with one tag under a key of its own, in the hope that another key is not so different. */
static struct tuple aimed(uint32_t n, const struct sn_hash_key *guess)
{
	static uint32_t at;
	struct tuple t;

	if (n == 0)
		at = 0;
	do {
		at++;
		t = (struct tuple){ 0x0a40, at, (uint16_t)(at >> 3), 0xbb01, 17 };
	} while ((hash_of(guess, t) & 0xff) != 0);
	return t;
}

static const struct tactic tactics[] = {
	{ "own ports", count_ports }, { "remote addresses", count_remotes }, { "strides", stride },
	{ "few bits", few_bits },     { "another key", aimed },
};

struct outcome {
	uint32_t fullest;     /* tuples in the fullest bucket */
	uint32_t over;        /* tuples beyond what their bucket holds */
	uint32_t twins;       /* pairs of tuples that share bucket and tag */
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* hashes: sorted by bucket and tag here. */
static struct outcome judge(uint64_t *hashes, uint32_t n)
{
	const struct sn_index ix = { .bucket_count = BUCKETS, .number_bits = 20 };
	struct outcome o = { 0 };
	uint32_t in_bucket = 0;

	for (uint32_t i = 0; i < n; i++)
		hashes[i] = (uint64_t)sn_index_home(&ix, hashes[i]) << 32 | sn_index_tag(&ix, hashes[i]);
	qsort(hashes, n, sizeof(*hashes), by_value);
	for (uint32_t i = 0; i < n; i++) {
		in_bucket = i > 0 && hashes[i] >> 32 == hashes[i - 1] >> 32 ? in_bucket + 1 : 1;
		o.fullest = SN_MAX(o.fullest, in_bucket);
		o.over += in_bucket > SN_INDEX_ENTRIES;
		o.twins += i > 0 && hashes[i] == hashes[i - 1];
	}
	return o;
}

static void expect_no_worse_than_chance(const char *name, struct outcome o, struct outcome chance)
{
	cr_expect_leq(o.fullest, chance.fullest + 8, "%s: %u in a bucket, %u by chance", name, o.fullest, chance.fullest);
	cr_expect_leq(o.over, 2 * chance.over + 60, "%s: %u beyond their buckets, %u by chance", name, o.over, chance.over);
	cr_expect_leq(o.twins, chance.twins + 60, "%s: %u twins, %u by chance", name, o.twins, chance.twins);
}

Test(index_attack, picked_tuples_collide_no_more_than_random_ones)
{
	static uint64_t hashes[TUPLES], random[TUPLES];
	uint64_t rng = seed_start(3);

	for (int round = 0; round < ROUNDS; round++) {
		struct sn_hash_key key = { seed_next(&rng), seed_next(&rng) };
		struct sn_hash_key guess = { seed_next(&rng), seed_next(&rng) };

		for (size_t i = 0; i < SN_ARRAY_LEN(tactics); i++) {
			for (uint32_t n = 0; n < TUPLES; n++) {
				hashes[n] = hash_of(&key, tactics[i].nth(n, &guess));
				random[n] = seed_next(&rng);
			}
			expect_no_worse_than_chance(tactics[i].name, judge(hashes, TUPLES), judge(random, TUPLES));
		}
	}
}

/* The same against a key that is known fills one bucket: the test can tell. */
Test(index_attack, with_the_key_it_would_work)
{
	static uint64_t hashes[4000], random[4000];
	uint64_t rng = seed_start(4);
	struct sn_hash_key key = { seed_next(&rng), seed_next(&rng) };
	struct outcome o, chance;
	uint32_t n = 0;

	for (uint32_t at = 0; n < SN_ARRAY_LEN(hashes); at++) {
		uint64_t h = hash_of(&key, (struct tuple){ 0x0a40, at, 7, 0xbb01, 17 });

		if ((uint32_t)h < UINT32_MAX / 256)
			hashes[n++] = h;
	}
	for (uint32_t k = 0; k < n; k++)
		random[k] = seed_next(&rng);
	o = judge(hashes, n);
	chance = judge(random, n);
	cr_expect_gt(o.fullest, chance.fullest + 8);
	cr_expect_gt(o.over, 2 * chance.over + 60);
}

/* Nor is the shard theirs to choose: addresses next to each other, and ones a power of two apart, spread over all shards. */
Test(index_attack, shards_are_not_chosen)
{
	uint64_t rng = seed_start(5);

	for (uint32_t step = 1; step != 0 && step < 1u << 20; step *= 2) {
		struct sn_hash_key key = { seed_next(&rng), seed_next(&rng) };
		uint32_t count[16] = { 0 };

		for (uint32_t i = 0; i < 4096; i++)
			count[sn_hash_shard(&key, 0, __builtin_bswap32(i * step), 16)]++;
		for (uint32_t s = 0; s < 16; s++)
			cr_expect(count[s] > 160 && count[s] < 360, "step %u: shard %u has %u of 4096", step, s, count[s]);
	}
}
