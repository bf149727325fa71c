/*
 * test_ring.c: one producer, one consumer: random batches against a counter, two processes, broken ends.
 */
#include <criterion/criterion.h>
#include <sched.h>

#include "ring.h"
#include "seed.h"
#include "step.h"

#define SLOTS 16u

struct slot {
	uint64_t n, check;
};

static struct sn_ring make(void)
{
	void *mem = step_memory(sn_ring_footprint(SLOTS, sizeof(struct slot)));

	sn_ring_format(mem);
	return sn_ring_join(mem, SLOTS, sizeof(struct slot));
}

/* Publishes up to max slots from *next on. */
static void send(const struct sn_ring *r, uint64_t *next, uint32_t max)
{
	uint32_t n = 0;
	struct slot *slot;

	while (n < max && (slot = sn_ring_reserve(r, n))) {
		*slot = (struct slot){ *next + n, ~(*next + n) };
		n++;
	}
	sn_ring_publish(r, n);
	*next += n;
}

/* Takes up to max slots, which must go on from *next. False if they do not. */
static bool take(const struct sn_ring *r, uint64_t *next, uint32_t max)
{
	uint32_t n = 0;
	const struct slot *slot;

	while (n < max && (slot = sn_ring_peek(r, n))) {
		if (slot->n != *next + n || slot->check != ~slot->n)
			return false;
		n++;
	}
	sn_ring_release(r, n);
	*next += n;
	return true;
}

Test(ring, random_batches)
{
	uint64_t rng = seed_start(50), sent = 0, taken = 0;
	struct sn_ring r = make();

	atomic_store(&r.ends->head, UINT32_MAX - 100); /* across the wrap */
	atomic_store(&r.ends->tail, UINT32_MAX - 100);
	for (int i = 0; i < 5000; i++) {
		send(&r, &sent, seed_below(&rng, SLOTS + 4));
		cr_assert_leq(sent - taken, SLOTS);
		cr_assert_eq(sn_ring_used(&r), sent - taken);
		cr_assert(take(&r, &taken, seed_below(&rng, SLOTS + 4)));
	}
	cr_assert_gt(taken, 20000);
}

Test(ring, full_and_empty)
{
	struct sn_ring r = make();
	uint64_t sent = 0;

	cr_assert_null(sn_ring_peek(&r, 0));
	send(&r, &sent, SLOTS + 1);
	cr_assert_eq(sent, SLOTS);
	cr_assert_null(sn_ring_reserve(&r, 0));
	cr_assert_not_null(sn_ring_peek(&r, SLOTS - 1));
	cr_assert_null(sn_ring_peek(&r, SLOTS));
	sn_ring_release(&r, 1);
	cr_assert_not_null(sn_ring_reserve(&r, 0));
	cr_assert_null(sn_ring_reserve(&r, 1));
}

Test(ring, ends_that_cannot_be)
{
	struct sn_ring r = make();

	atomic_store(&r.ends->head, 5);
	atomic_store(&r.ends->tail, 9); /* ahead of the producer */
	cr_assert_eq(sn_ring_used(&r), SLOTS);
	cr_assert_null(sn_ring_reserve(&r, 0));
	cr_assert_null(sn_ring_peek(&r, SLOTS));
}

Test(ring, footprint)
{
	cr_assert_eq(sn_ring_footprint(16, 8), sizeof(struct sn_ring_ends) + 128);
	cr_assert_eq(sn_ring_footprint(2, 24), sizeof(struct sn_ring_ends) + 64);
}

Test(ring, two_processes)
{
	const uint64_t total = 100000;
	uint64_t rng = seed_start(51), next = 0;
	struct sn_ring r = make();
	int status;
	pid_t child = fork();

	if (child == 0) {
		while (next < total) {
			uint32_t n = 1 + seed_below(&rng, SLOTS);

			send(&r, &next, (uint32_t)SN_MIN(n, total - next));
			sched_yield();
		}
		_exit(0);
	}
	cr_assert_gt(child, 0);
	while (next < total) {
		cr_assert(take(&r, &next, 1 + seed_below(&rng, SLOTS)));
		sched_yield();
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_eq(sn_ring_used(&r), 0);
}
