/*
 * stress_ring.c: a producer and a consumer on one ring of few slots, each in batches of random size. Every slot must
 * arrive once, in order and whole.
 */
#include <sched.h>

#include "ring.h"
#include "seed.h"
#include "threads.h"

#define SLOTS 16u
#define RECORDS 400000u

/* Its other words follow from its number. */
struct record {
	uint64_t number, twice, square;
};

static struct sn_ring ring;
static uint64_t seed;

static void fill(struct record *r, uint64_t number)
{
	*r = (struct record){ number, number * 2, number * number };
}

static void expect(const struct record *r, uint64_t number)
{
	STRESS_ASSERT(r->number == number && r->twice == number * 2 && r->square == number * number,
		      "record %llu came as %llu, %llu, %llu", (unsigned long long)number, (unsigned long long)r->number,
		      (unsigned long long)r->twice, (unsigned long long)r->square);
}

static void produce(void *unused)
{
	uint64_t rng = seed, sent = 0;

	(void)unused;
	while (sent < RECORDS) {
		uint32_t want = 1 + seed_below(&rng, SLOTS), n = 0;
		struct record *r;

		while (n < want && sent + n < RECORDS && (r = sn_ring_reserve(&ring, n)) != NULL)
			fill(r, sent + n++);
		sn_ring_publish(&ring, n);
		sent += n;
		if (n == 0)
			sched_yield();
	}
}

static void consume(void *unused)
{
	uint64_t rng = seed + 1, got = 0;

	(void)unused;
	while (got < RECORDS) {
		uint32_t want = 1 + seed_below(&rng, SLOTS), n = 0;
		const struct record *r;

		STRESS_ASSERT(sn_ring_used(&ring) <= SLOTS, "more than there are slots");
		while (n < want && (r = sn_ring_peek(&ring, n)) != NULL)
			expect(r, got + n++);
		sn_ring_release(&ring, n);
		got += n;
		if (n == 0)
			sched_yield();
	}
}

int main(void)
{
	static uint8_t mem[sizeof(struct sn_ring_ends) + SLOTS * sizeof(struct record)] SN_ALIGNED(SN_CACHE_LINE);
	struct stress all;

	seed = seed_start(101);
	STRESS_ASSERT(sn_ring_footprint(SLOTS, sizeof(struct record)) <= sizeof(mem), "size");
	sn_ring_format(mem);
	ring = sn_ring_join(mem, SLOTS, sizeof(struct record));
	stress_init(&all, 2);
	stress_run(&all, produce, NULL);
	stress_run(&all, consume, NULL);
	stress_join(&all);
	STRESS_ASSERT(sn_ring_used(&ring) == 0, "%u records are left", sn_ring_used(&ring));
	printf("%u records through %u slots\n", RECORDS, SLOTS);
	return 0;
}
