/*
 * test_intent.c: a change of many stores, stopped after each instruction of the change and of its recovery.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "intent.h"
#include "seed.h"
#include "step.h"

#define WORDS 24
#define OWNERS 6
#define STORES 20

struct arena {
	struct sn_intent intent;
	_Atomic uint64_t first_word; /* so that no tested word is at offset 0 */
	_Atomic uint64_t head;
	_Atomic uint64_t owner[OWNERS];
	uint64_t word[WORDS];
};

#define DATA offsetof(struct arena, head)
#define DATA_B (sizeof(struct arena) - DATA)

enum kind { PUT8, PUT16, PUT32, PUT64, PUT32_RELEASE, PUT64_RELEASE, CLAIM, CLAIM_FAILS, RELEASE, KINDS };

struct store {
	enum kind kind;
	uint32_t at;
	uint64_t value;
};

struct plan {
	struct arena *arena;
	struct store store[STORES];
	uint32_t stores;
	bool has_record;
};

static struct sn_writer writer_of(struct arena *a)
{
	return (struct sn_writer){ .base = (uint8_t *)a, .size_b = sizeof(*a), .intent = &a->intent };
}

static void do_store(struct sn_writer *w, struct arena *a, const struct store *s)
{
	switch (s->kind) {
	case PUT8:
		sn_intent_put8(w, (uint8_t *)a->word + s->at, (uint8_t)s->value);
		break;
	case PUT16:
		sn_intent_put16(w, (uint16_t *)a->word + s->at, (uint16_t)s->value);
		break;
	case PUT32:
		sn_intent_put32(w, (uint32_t *)a->word + s->at, (uint32_t)s->value);
		break;
	case PUT64:
		sn_intent_put64(w, a->word + s->at, s->value);
		break;
	case PUT32_RELEASE:
		sn_intent_put32_release(w, (_Atomic uint32_t *)a->word + s->at, (uint32_t)s->value);
		break;
	case PUT64_RELEASE:
		sn_intent_put64_release(w, (_Atomic uint64_t *)a->word + s->at, s->value);
		break;
	case CLAIM:
		cr_assert(sn_intent_claim64(w, &a->owner[s->at % OWNERS], s->at % OWNERS + 1, s->value | 1ull << 63));
		break;
	case CLAIM_FAILS:
		cr_assert_not(sn_intent_claim64(w, &a->owner[s->at % OWNERS], 1000, s->value));
		break;
	default:
		sn_intent_release64(w, &a->owner[s->at % OWNERS], s->at % OWNERS + 1, s->value | 1ull << 62);
	}
}

static void do_plan(void *arg)
{
	struct plan *p = arg;
	struct sn_writer w = writer_of(p->arena);

	sn_intent_begin(&w, SN_INTENT_OPEN, 7, 8);
	for (uint32_t i = 0; i < p->stores; i++)
		do_store(&w, p->arena, &p->store[i]);
	if (p->has_record) {
		uint64_t next = atomic_load(&p->arena->head) + 1;

		sn_intent_commit_at64(&w, &p->arena->head, next);
		atomic_store(&p->arena->head, next);
	}
	sn_intent_clear(&w);
}

/* Each owner word is claimed or released once at most. */
static void draw_plan(struct plan *p, uint64_t *rng)
{
	uint32_t owner = 0;

	p->stores = 1 + seed_below(rng, STORES);
	p->has_record = seed_below(rng, 2);
	for (uint32_t i = 0; i < p->stores; i++) {
		struct store *s = &p->store[i];

		s->kind = seed_below(rng, owner < OWNERS ? KINDS : CLAIM);
		s->at = s->kind >= CLAIM ? owner++ : seed_below(rng, WORDS);
		s->value = seed_next(rng);
	}
}

/* The slot stays as the last change left it. */
static void fill(struct arena *a, uint64_t *rng)
{
	atomic_init(&a->head, 1);
	for (uint32_t i = 0; i < WORDS; i++)
		a->word[i] = seed_next(rng);
	for (uint32_t i = 0; i < OWNERS; i++)
		atomic_init(&a->owner[i], i + 1);
}

struct looking {
	struct arena *arena, before, after;
	int wrong, back, forward;
};

static bool same(const struct arena *a, const struct arena *b)
{
	return memcmp((const uint8_t *)a + DATA, (const uint8_t *)b + DATA, DATA_B) == 0;
}

static void look_recover(void *ctx)
{
	struct looking *l = ctx;
	struct arena copy = *l->arena;
	struct sn_writer w = writer_of(&copy);
	int done = sn_intent_recover(&w);

	if (done < 0)
		l->wrong += done != -1 || !same(&copy, &l->before);
	else if (done > 0)
		l->wrong += !same(&copy, &l->after);
	else
		l->wrong += !same(&copy, &l->before) && !same(&copy, &l->after);
	l->wrong += sn_intent_open(&w) || sn_intent_recover(&w) != 0;
	l->back += done < 0;
	l->forward += done > 0;
}

Test(intent, each_kill_point_leaves_all_or_nothing)
{
	uint64_t rng = seed_start(20);
	struct arena *a = step_memory(sizeof(*a));
	int back = 0, forward = 0;

	for (int round = 0; round < 40; round++) {
		struct plan p = { .arena = a };
		struct looking l = { .arena = a };

		draw_plan(&p, &rng);
		fill(a, &rng);
		l.before = *a;
		do_plan(&p);
		l.after = *a;
		*a = l.before;
		cr_assert_gt(step_through(a, sizeof(*a), do_plan, &p, look_recover, &l), (int)p.stores);
		cr_assert_eq(l.wrong, 0, "round %d", round);
		cr_assert(same(a, &l.after));
		back += l.back;
		forward += l.forward;
	}
	cr_assert_gt(back, 100);
	cr_assert_gt(forward, 20);
}

static void do_recover(void *arg)
{
	struct sn_writer w = writer_of(arg);

	sn_intent_recover(&w);
}

/* Another process takes a claimed word as soon as it is given back, and then writes what the word guards (word 0). */
static void look_recover_again(void *ctx)
{
	struct looking *l = ctx;
	struct arena copy = *l->arena;
	struct sn_writer w = writer_of(&copy);
	bool taken = atomic_load(&copy.owner[0]) == 1;

	if (taken) {
		atomic_store(&copy.owner[0], 999);
		copy.word[0] = 4711;
	}
	sn_intent_recover(&w);
	if (taken) {
		l->wrong += atomic_load(&copy.owner[0]) != 999 || copy.word[0] != 4711;
		atomic_store(&copy.owner[0], 1);
		copy.word[0] = l->before.word[0];
		l->forward++;
	}
	l->wrong += !same(&copy, &l->before);
}

Test(intent, recovery_may_be_killed_too)
{
	uint64_t rng = seed_start(21);
	struct arena *a = step_memory(sizeof(*a));
	struct looking l = { .arena = a };
	struct sn_writer w = writer_of(a);

	fill(a, &rng);
	l.before = *a;
	sn_intent_begin(&w, SN_INTENT_CLAIM, 0, 0);
	sn_intent_put64(&w, &a->word[1], 1);
	cr_assert(sn_intent_claim64(&w, &a->owner[0], 1, 77));
	sn_intent_put64(&w, &a->word[0], 2);
	sn_intent_put32(&w, (uint32_t *)&a->word[0], 3);
	sn_intent_release64(&w, &a->owner[1], 2, 88);
	cr_assert_gt(step_through(a, sizeof(*a), do_recover, a, look_recover_again, &l), 4);
	cr_assert_eq(l.wrong, 0);
	cr_assert_gt(l.forward, 0);
	cr_assert(same(a, &l.before));
}

Test(intent, released_word_taken_by_others_stays_theirs)
{
	uint64_t rng = 1;
	struct arena a = { 0 };
	struct sn_writer w = writer_of(&a);

	fill(&a, &rng);
	sn_intent_begin(&w, SN_INTENT_RETURN, 0, 0);
	sn_intent_release64(&w, &a.owner[1], 2, 88);
	sn_intent_commit_at64(&w, &a.head, 2);
	cr_assert_eq(atomic_load(&a.owner[1]), 2, "given away before the change is true");
	atomic_store(&a.head, 2);
	atomic_store(&a.owner[1], 99); /* given at the first recovery, and taken */
	cr_assert_eq(sn_intent_recover(&w), 1);
	cr_assert_eq(atomic_load(&a.owner[1]), 99);
}

Test(intent, claim_taken_over_is_not_given_back)
{
	uint64_t rng = 1;
	struct arena a = { 0 };
	struct sn_writer w = writer_of(&a);

	fill(&a, &rng);
	sn_intent_begin(&w, SN_INTENT_CLAIM, 0, 0);
	cr_assert(sn_intent_claim64(&w, &a.owner[0], 1, 77));
	cr_assert_not(sn_intent_claim64(&w, &a.owner[1], 5, 78));
	cr_assert_eq(atomic_load(&a.intent.notes), 1);
	atomic_store(&a.owner[0], 500);
	cr_assert_eq(sn_intent_recover(&w), -1);
	cr_assert_eq(atomic_load(&a.owner[0]), 500);
}

Test(intent, undo)
{
	uint64_t rng = 3;
	struct arena a = { 0 }, before;
	struct sn_writer w = writer_of(&a);

	fill(&a, &rng);
	before = a;
	sn_intent_begin(&w, SN_INTENT_OPEN, 0, 0);
	sn_intent_put8(&w, (uint8_t *)&a.word[3] + 5, 1);
	sn_intent_put64(&w, &a.word[3], 2);
	cr_assert(sn_intent_claim64(&w, &a.owner[2], 3, 9));
	cr_assert(sn_intent_open(&w));
	sn_intent_undo(&w);
	cr_assert_not(sn_intent_open(&w));
	cr_assert(same(&a, &before));
}

static void corrupt_and_check(void (*corrupt)(struct arena *))
{
	uint64_t rng = 4;
	struct arena a = { 0 }, before;
	struct sn_writer w = writer_of(&a);

	fill(&a, &rng);
	sn_intent_begin(&w, SN_INTENT_OPEN, 0, 0);
	sn_intent_put32(&w, (uint32_t *)&a.word[0], 5);
	corrupt(&a);
	before = a;
	cr_assert_eq(sn_intent_recover(&w), -EBADMSG);
	cr_assert_not(sn_intent_open(&w));
	cr_assert(same(&a, &before));
}

static void too_many_notes(struct arena *a)
{
	atomic_store(&a->intent.notes, SN_INTENT_NOTES + 1);
}

static void note_outside(struct arena *a)
{
	a->intent.note[0].where = 4ull << 56 | sizeof(*a);
}

static void note_across_the_end(struct arena *a)
{
	a->intent.note[0].where = 8ull << 56 | (sizeof(*a) - 4);
}

static void note_without_width(struct arena *a)
{
	a->intent.note[0].where = 3ull << 56 | DATA;
}

static void unknown_op(struct arena *a)
{
	atomic_store(&a->intent.op, 0xfff);
}

static void commit_outside(struct arena *a)
{
	a->intent.commit_where = 8ull << 56 | 1ull << 40;
}

Test(intent, corrupt_slot_is_refused)
{
	corrupt_and_check(too_many_notes);
	corrupt_and_check(note_outside);
	corrupt_and_check(note_across_the_end);
	corrupt_and_check(note_without_width);
	corrupt_and_check(unknown_op);
	corrupt_and_check(commit_outside);
}

Test(intent, more_stores_than_notes, .signal = SIGABRT)
{
	static struct arena a;
	struct sn_writer w = writer_of(&a);

	sn_intent_begin(&w, SN_INTENT_OPEN, 0, 0);
	for (uint32_t i = 0; i <= SN_INTENT_NOTES; i++)
		sn_intent_put64(&w, &a.word[0], i);
}

Test(intent, change_within_a_change, .signal = SIGABRT)
{
	static struct arena a;
	struct sn_writer w = writer_of(&a);

	sn_intent_begin(&w, SN_INTENT_OPEN, 0, 0);
	sn_intent_begin(&w, SN_INTENT_CLOSE, 0, 0);
}
