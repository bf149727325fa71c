/*
 * test_index.c: random operations against a naive twin, overfull buckets, removal of displaced entries.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "index.h"
#include "seed.h"
#include "step.h"

#define BUCKETS_MAX 64
#define RECORDS 1000

struct arena {
	struct sn_intent intent;
	struct sn_index_bucket bucket[BUCKETS_MAX];
};

struct twin {
	uint64_t hash[RECORDS * 2]; /* two keys per record, as flows have */
	bool present[RECORDS * 2];
};

struct fixture {
	struct arena *arena;
	struct sn_index ix;
	struct sn_writer w;
};

static struct fixture make(uint32_t buckets, uint32_t number_bits)
{
	struct fixture f = { .arena = step_memory(sizeof(struct arena)) };

	f.ix = (struct sn_index){ f.arena->bucket, buckets, number_bits };
	f.w = (struct sn_writer){ (uint8_t *)f.arena, sizeof(*f.arena), &f.arena->intent };
	return f;
}

static int add(struct fixture *f, uint64_t hash, uint32_t number)
{
	int err;

	sn_intent_begin(&f->w, SN_INTENT_OPEN, number, 0);
	err = sn_index_add(&f->ix, &f->w, hash, number);
	sn_intent_clear(&f->w);
	return err;
}

static int drop(struct fixture *f, uint64_t hash, uint32_t number)
{
	int err;

	sn_intent_begin(&f->w, SN_INTENT_CLOSE, number, 0);
	err = sn_index_remove(&f->ix, &f->w, hash, number);
	sn_intent_clear(&f->w);
	return err;
}

static uint32_t times_found(const struct fixture *f, uint64_t hash, uint32_t number)
{
	struct sn_index_walk walk;
	uint32_t times = 0, at;

	sn_index_walk(&f->ix, hash, &walk);
	while ((at = sn_index_next(&f->ix, &walk)) != SN_NONE)
		times += at == number;
	return times;
}

static uint32_t entries_in(const struct fixture *f)
{
	uint32_t n = 0;

	for (uint32_t b = 0; b < f->ix.bucket_count; b++)
		for (uint32_t i = 0; i < SN_INDEX_ENTRIES; i++)
			n += f->arena->bucket[b].entry[i] != 0;
	return n;
}

static void expect_twin(const struct fixture *f, const struct twin *t)
{
	uint32_t present = 0;

	for (uint32_t k = 0; k < RECORDS * 2; k++) {
		uint32_t times = times_found(f, t->hash[k], k / 2);

		present += t->present[k];
		if (t->present[k])
			cr_assert_geq(times, 1, "key %u lost", k);
		else if (!t->present[k ^ 1])
			cr_assert_eq(times, 0, "key %u is still there", k);
	}
	cr_assert_eq(entries_in(f), present);
}

static void run_twin(uint32_t buckets, uint64_t *rng)
{
	struct fixture f = make(buckets, sn_index_number_bits(RECORDS));
	static struct twin t;
	uint32_t refused = 0, displaced = 0;

	memset(&t, 0, sizeof(t));
	for (uint32_t k = 0; k < RECORDS * 2; k++)
		t.hash[k] = seed_next(rng);
	for (uint32_t op = 0; op < 20000; op++) {
		uint32_t k = seed_below(rng, RECORDS * 2);

		if (t.present[k]) {
			cr_assert_eq(drop(&f, t.hash[k], k / 2), 0);
			t.present[k] = false;
		} else {
			int err = add(&f, t.hash[k], k / 2);

			cr_assert(err == 0 || err == -ENOSPC);
			refused += err != 0;
			t.present[k] = err == 0;
		}
		if (op % 1000 == 0)
			expect_twin(&f, &t);
		displaced += f.arena->bucket[0].displaced > 0;
	}
	if (buckets * SN_INDEX_ENTRIES < RECORDS)
		cr_assert_gt(refused, 0);
	cr_assert(buckets == 1 || displaced > 0);
	for (uint32_t k = 0; k < RECORDS * 2; k++)
		if (t.present[k])
			cr_assert_eq(drop(&f, t.hash[k], k / 2), 0);
	for (uint32_t b = 0; b < buckets; b++)
		for (uint32_t i = 0; i < 16; i++)
			cr_assert_eq(((uint32_t *)&f.arena->bucket[b])[i], 0, "bucket %u word %u", b, i);
}

Test(index, twin)
{
	uint64_t rng = seed_start(30);
	const uint32_t buckets[] = { 1, 2, 7, 16, 17, 40, 64 };

	for (size_t i = 0; i < SN_ARRAY_LEN(buckets); i++)
		run_twin(buckets[i], &rng);
}

/* Hashes of the last bucket: its neighbours wrap round to bucket 0. */
static uint64_t hash_of(uint32_t home, uint32_t buckets, uint32_t tag)
{
	return (uint64_t)tag << 32 | (((uint64_t)home << 32) / buckets + 1);
}

Test(index, overfull_bucket_overflows_and_comes_back)
{
	struct fixture f = make(20, 10);
	uint32_t n = SN_INDEX_ENTRIES * SN_INDEX_PROBES;

	for (uint32_t i = 0; i < n; i++)
		cr_assert_eq(add(&f, hash_of(19, 20, i << 12), i), 0);
	cr_assert_eq(add(&f, hash_of(19, 20, n << 12), n), -ENOSPC);
	cr_assert_eq(entries_in(&f), n);
	cr_assert_eq(f.arena->bucket[19].displaced, n - SN_INDEX_ENTRIES);
	cr_assert_eq(f.arena->bucket[0].displaced, n - 2 * SN_INDEX_ENTRIES);
	cr_assert_eq(f.arena->bucket[14].displaced, 0);
	for (uint32_t i = n; i-- > SN_INDEX_ENTRIES;)
		cr_assert_eq(drop(&f, hash_of(19, 20, i << 12), i), 0);
	cr_assert_eq(f.arena->bucket[19].displaced, 0);
	cr_assert_eq(times_found(&f, hash_of(19, 20, 3 << 12), 3), 1);
	cr_assert_eq(drop(&f, hash_of(19, 20, 77 << 12), 77), -ENOENT);
	cr_assert_eq(drop(&f, hash_of(19, 20, 3 << 12), 4), -ENOENT, "right hash, wrong record");
}

/* Both keys of a record with one tag in neighbouring buckets: their entries are alike, and either may be removed first. */
Test(index, two_keys_alike)
{
	for (uint32_t first = 0; first < 2; first++) {
		struct fixture f = make(8, 10);
		uint64_t key[2] = { hash_of(2, 8, 0xabcd000), hash_of(3, 8, 0xabcd000) };

		for (uint32_t i = 0; i < SN_INDEX_ENTRIES; i++) {
			cr_assert_eq(add(&f, hash_of(2, 8, 0x111 << 12), i), 0);
			cr_assert_eq(add(&f, hash_of(3, 8, 0x222 << 12), i + 100), 0);
		}
		cr_assert_eq(add(&f, key[0], 500), 0);
		cr_assert_eq(add(&f, key[1], 500), 0);
		cr_assert_eq(drop(&f, key[first], 500), 0);
		cr_assert_eq(times_found(&f, key[!first], 500), 1);
		cr_assert_eq(drop(&f, key[!first], 500), 0);
		cr_assert_eq(f.arena->bucket[2].displaced + f.arena->bucket[3].displaced, 0);
	}
}

Test(index, tag_zero_is_not_an_empty_entry)
{
	struct fixture f = make(2, 10);
	struct sn_index_walk walk;

	sn_index_walk(&f.ix, 0, &walk);
	cr_assert_eq(sn_index_next(&f.ix, &walk), SN_NONE);
	cr_assert_eq(add(&f, 0, 0), 0);
	cr_assert_eq(times_found(&f, 0, 0), 1);
	sn_index_reset(&f.ix);
	cr_assert_eq(times_found(&f, 0, 0), 0);
}

struct stepping {
	struct fixture *f;
	struct sn_index_bucket before[BUCKETS_MAX], after[BUCKETS_MAX];
	int wrong;
};

static void add_one(void *arg)
{
	add(arg, hash_of(19, 20, 0x999 << 12), 900);
}

static void look(void *ctx)
{
	struct stepping *s = ctx;
	struct arena copy = *s->f->arena;
	struct sn_writer w = { (uint8_t *)&copy, sizeof(copy), &copy.intent };

	sn_intent_recover(&w);
	s->wrong += memcmp(copy.bucket, s->before, sizeof(copy.bucket)) != 0 &&
		    memcmp(copy.bucket, s->after, sizeof(copy.bucket)) != 0;
}

Test(index, killed_while_adding_a_displaced_entry)
{
	struct fixture f = make(20, 10);
	static struct stepping s;
	struct arena start;

	for (uint32_t i = 0; i < SN_INDEX_ENTRIES * 5; i++)
		cr_assert_eq(add(&f, hash_of(19, 20, i << 12), i), 0);
	s.f = &f;
	start = *f.arena;
	memcpy(s.before, f.arena->bucket, sizeof(s.before));
	add_one(&f);
	memcpy(s.after, f.arena->bucket, sizeof(s.after));
	*f.arena = start;
	cr_assert_gt(step_through(f.arena, sizeof(*f.arena), add_one, &f, look, &s), 10);
	cr_assert_eq(s.wrong, 0);
}

Test(index, sizes)
{
	cr_assert_eq(sn_index_number_bits(1), 1);
	cr_assert_eq(sn_index_number_bits(1023), 10);
	cr_assert_eq(sn_index_number_bits(1024), 11);
	cr_assert_eq(sn_index_number_bits((1u << 28) - 1), 28);
	cr_assert_eq(sn_index_buckets_for(0), 2);
	cr_assert_eq(sn_index_buckets_for(1200), 100);
	cr_assert_eq(sn_index_buckets_for(1201), 101);
}
