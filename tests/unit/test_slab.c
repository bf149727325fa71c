/*
 * test_slab.c: shards that share a pool of chunks: random takes and gives against a naive twin, kills at any instruction.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "seed.h"
#include "slab.h"
#include "step.h"

#define CHUNKS 6
#define SHARDS 3
#define RECORDS 64u /* per chunk, unless a test says otherwise */

struct arena {
	struct sn_intent intent[SHARDS];
	struct sn_slab_lease lease[SHARDS];
	_Atomic uint32_t pool_free;
	struct sn_chunk chunk[CHUNKS];
};

static struct arena *make(uint32_t records)
{
	struct arena *a = step_memory(sizeof(*a));

	sn_slab_format(a->chunk, CHUNKS, records);
	for (uint32_t s = 0; s < SHARDS; s++)
		sn_slab_lease_format(&a->lease[s], s, SHARDS, CHUNKS);
	atomic_store(&a->pool_free, CHUNKS);
	return a;
}

static struct sn_slab slab_of(struct arena *a, uint32_t shard, uint32_t records)
{
	return (struct sn_slab){ a->chunk, &a->lease[shard], &a->pool_free, CHUNKS, records, shard };
}

static struct sn_writer writer_of(struct arena *a, uint32_t shard)
{
	return (struct sn_writer){ (uint8_t *)a, sizeof(*a), &a->intent[shard] };
}

static int take(struct arena *a, uint32_t shard, uint32_t records, uint32_t *ret)
{
	struct sn_slab s = slab_of(a, shard, records);
	struct sn_writer w = writer_of(a, shard);
	int err;

	sn_intent_begin(&w, SN_INTENT_OPEN, 0, 0);
	err = sn_slab_take(&s, &w, ret);
	sn_intent_clear(&w);
	return err;
}

static void give(struct arena *a, uint32_t shard, uint32_t records, uint32_t number)
{
	struct sn_slab s = slab_of(a, shard, records);
	struct sn_writer w = writer_of(a, shard);

	sn_intent_begin(&w, SN_INTENT_CLOSE, 0, 0);
	sn_slab_give(&s, &w, number);
	sn_intent_clear(&w);
}

/* Counts, lists and the pool are what the bitmaps say. */
static void expect_whole(struct arena *a, uint32_t records)
{
	uint32_t live[SHARDS] = { 0 }, chunks[SHARDS] = { 0 }, listed[SHARDS] = { 0 }, pool = 0;

	for (uint32_t i = 0; i < CHUNKS; i++) {
		struct sn_chunk *c = &a->chunk[i];
		uint32_t owner = sn_slab_owner(c), used = 0;

		for (uint32_t word = 0; word < records / 64; word++) {
			used += (uint32_t)__builtin_popcountll(c->used[word]);
			cr_assert_eq(c->summary >> word & 1, c->used[word] == ~0ull);
		}
		cr_assert_eq(c->live, used);
		cr_assert_eq(c->listed, owner != SN_NONE && used < records, "chunk %u", i);
		pool += owner == SN_NONE;
		if (owner == SN_NONE) {
			cr_assert_eq(used, 0);
			continue;
		}
		live[owner] += used;
		chunks[owner]++;
		listed[owner] += c->listed;
	}
	cr_assert_eq(atomic_load(&a->pool_free), pool);
	for (uint32_t s = 0; s < SHARDS; s++) {
		uint32_t n = 0, prev = SN_NONE;

		for (uint32_t i = a->lease[s].first; i != SN_NONE; i = a->chunk[i].next, n++) {
			cr_assert_eq(sn_slab_owner(&a->chunk[i]), s);
			cr_assert_eq(a->chunk[i].prev, prev);
			prev = i;
		}
		cr_assert_eq(n, listed[s]);
		cr_assert_eq(a->lease[s].live, live[s]);
		cr_assert_eq(a->lease[s].chunks, chunks[s]);
	}
}

static void run_twin(uint32_t records, uint64_t *rng)
{
	struct arena *a = make(records);
	uint32_t total = CHUNKS * records, held[SHARDS] = { 0 }, refused = 0;
	uint8_t *owner = calloc(total, 1); /* shard + 1 */
	uint32_t *numbers[SHARDS];

	for (uint32_t s = 0; s < SHARDS; s++)
		numbers[s] = calloc(total, sizeof(uint32_t));
	for (uint32_t op = 0; op < 30000; op++) {
		uint32_t s = seed_below(rng, SHARDS);
		bool filling = op / (total * 3) % 2 == 0;

		if (held[s] == 0 || seed_below(rng, 10) < (filling ? 7u : 3u)) {
			uint32_t n = SN_NONE;
			int err = take(a, s, records, &n);

			refused += err == -ENOSPC;
			if (err)
				continue;
			cr_assert(n < total && owner[n] == 0, "record %u given twice", n);
			owner[n] = (uint8_t)(s + 1);
			numbers[s][held[s]++] = n;
		} else {
			uint32_t i = seed_below(rng, held[s]), n = numbers[s][i];

			give(a, s, records, n);
			owner[n] = 0;
			numbers[s][i] = numbers[s][--held[s]];
		}
		if (op % 997 == 0)
			expect_whole(a, records);
	}
	for (uint32_t n = 0; n < total; n++)
		for (uint32_t s = 0; s < SHARDS; s++) {
			struct sn_slab slab = slab_of(a, s, records);

			cr_assert_eq(sn_slab_has(&slab, n), owner[n] == s + 1);
		}
	if (records == 64)
		cr_assert_gt(refused, 0);
	free(owner);
	for (uint32_t s = 0; s < SHARDS; s++)
		free(numbers[s]);
}

Test(slab, twin)
{
	uint64_t rng = seed_start(40);

	run_twin(64, &rng);
	run_twin(256, &rng);
	run_twin(SN_CHUNK_RECORDS_MAX, &rng);
}

Test(slab, the_whole_pool_to_one_shard_and_back)
{
	struct arena *a = make(RECORDS);
	uint32_t n;

	for (uint32_t i = 0; i < CHUNKS * RECORDS; i++)
		cr_assert_eq(take(a, 1, RECORDS, &n), 0);
	cr_assert_eq(take(a, 1, RECORDS, &n), -ENOSPC);
	cr_assert_eq(take(a, 2, RECORDS, &n), -ENOSPC);
	for (uint32_t i = 0; i < CHUNKS * RECORDS; i++)
		give(a, 1, RECORDS, i);
	expect_whole(a, RECORDS);
	cr_assert_eq(a->lease[1].chunks, 1, "the last one is kept");
	cr_assert_eq(take(a, 2, RECORDS, &n), 0);
	expect_whole(a, RECORDS);
}

Test(slab, foreign_numbers)
{
	struct arena *a = make(RECORDS);
	struct sn_slab mine = slab_of(a, 0, RECORDS), other = slab_of(a, 1, RECORDS);
	uint32_t n;

	cr_assert_eq(take(a, 0, RECORDS, &n), 0);
	cr_assert(sn_slab_has(&mine, n));
	cr_assert_not(sn_slab_has(&other, n));
	cr_assert_not(sn_slab_has(&mine, n + 1));
	cr_assert_not(sn_slab_has(&mine, SN_NONE));
	cr_assert_not(sn_slab_has(&mine, CHUNKS * RECORDS));
}

Test(slab, list_head_out_of_range_is_contained)
{
	struct arena *a = make(RECORDS);
	uint32_t n;

	cr_assert_eq(take(a, 0, RECORDS, &n), 0);
	a->lease[0].first = 12345;
	cr_assert_eq(take(a, 0, RECORDS, &n), 0);
	cr_assert_lt(n, CHUNKS * RECORDS);
}

Test(slab, giving_twice, .signal = SIGABRT)
{
	struct arena *a = make(RECORDS);
	uint32_t n = 0;

	take(a, 0, RECORDS, &n);
	give(a, 0, RECORDS, n);
	give(a, 0, RECORDS, n);
}

struct stepping {
	struct arena *a, before, after;
	int wrong;
	uint32_t number;
};

static void take_one(void *arg)
{
	uint32_t n;

	take(arg, 0, RECORDS, &n);
}

static void give_one(void *arg)
{
	struct stepping *s = arg;

	give(s->a, 0, RECORDS, s->number);
}

/* The pool's count is a hint that a kill may leave wrong, and a chunk's owner word counts up; all else is before or after. */
static bool same(const struct arena *a, const struct arena *b)
{
	return memcmp(a->lease, b->lease, sizeof(a->lease)) == 0 && memcmp(a->chunk, b->chunk, sizeof(a->chunk)) == 0;
}

static void look(void *ctx)
{
	struct stepping *s = ctx;
	struct arena copy = *s->a;
	struct sn_writer w = writer_of(&copy, 0);

	sn_intent_recover(&w);
	s->wrong += !same(&copy, &s->before) && !same(&copy, &s->after);
}

Test(slab, killed_while_leasing_a_chunk)
{
	static struct stepping s;

	s.a = make(RECORDS);
	s.before = *s.a;
	take_one(s.a);
	s.after = *s.a;
	*s.a = s.before;
	cr_assert_gt(step_through(s.a, sizeof(*s.a), take_one, s.a, look, &s), 20);
	cr_assert_eq(s.wrong, 0);
}

/* As soon as the chunk is in the pool, another shard takes a record of it: no recovery may undo that. */
static void look_with_thief(void *ctx)
{
	struct stepping *s = ctx;
	struct arena copy = *s->a;
	struct sn_writer w = writer_of(&copy, 0);
	struct sn_slab thief = slab_of(&copy, 2, RECORDS);
	bool free_again = sn_slab_owner(&copy.chunk[s->number / RECORDS]) == SN_NONE;
	uint32_t n = SN_NONE;

	look(ctx);
	copy.lease[2].hint = s->number / RECORDS;
	if (free_again && take(&copy, 2, RECORDS, &n) == 0)
		s->wrong += n / RECORDS != s->number / RECORDS;
	sn_intent_recover(&w);
	if (free_again)
		s->wrong += !sn_slab_has(&thief, n) || copy.chunk[n / RECORDS].live != 1;
}

Test(slab, killed_while_returning_a_chunk)
{
	static struct stepping s;
	uint32_t n;

	s.a = make(RECORDS);
	for (uint32_t i = 0; i <= RECORDS; i++)
		cr_assert_eq(take(s.a, 0, RECORDS, &n), 0);
	s.number = n;                  /* alone in the second chunk */
	give(s.a, 0, RECORDS, 0);      /* so that the first one has room */
	s.before = *s.a;
	give_one(&s);
	s.after = *s.a;
	cr_assert_eq(sn_slab_owner(&s.a->chunk[n / RECORDS]), SN_NONE);
	*s.a = s.before;
	cr_assert_gt(step_through(s.a, sizeof(*s.a), give_one, &s, look_with_thief, &s), 20);
	cr_assert_eq(s.wrong, 0);
}
