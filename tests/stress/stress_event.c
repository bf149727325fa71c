/*
 * stress_event.c: one producer that never waits and three readers of one broadcast ring. Every event read must be whole
 * and of the number that its place in the sequence says, and read and missed must add up to what was published, for
 * each reader.
 */
#include <string.h>

#include "event.h"
#include "seed.h"
#include "threads.h"

#define SLOTS 64u
#define READERS 3u
#define EVENTS 300000u
#define BATCH_MAX 32u

struct reader {
	uint64_t seed, got, missed;
};

static struct sn_event_head head;
static struct sn_event slots[SLOTS];
static const struct sn_event_ring ring = { &head, slots, SLOTS };

/* A number for word i of event n: no two words of two events are the same but by chance. */
static uint64_t word(uint64_t n, uint32_t i)
{
	uint64_t x = n * 31 + i;

	return seed_next(&x);
}

static void fill(struct sn_event *ret, uint64_t n)
{
	memset(ret, 0, sizeof(*ret)); /* events are compared whole */
	atomic_init(&ret->seq, n);
	ret->time_ns = word(n, 0);
	ret->flow = (uint32_t)word(n, 1);
	ret->gen = (uint32_t)word(n, 2);
	ret->inside_be32 = (uint32_t)word(n, 3);
	ret->remote_be32 = (uint32_t)word(n, 4);
	ret->timeout_ds = (uint32_t)word(n, 5);
	for (uint32_t i = 0; i < 2; i++) {
		ret->packets[i] = word(n, 6 + i);
		ret->bytes[i] = word(n, 8 + i);
		ret->reserved[i] = word(n, 10 + i);
	}
}

static void produce(void *unused)
{
	(void)unused;
	for (uint64_t n = 1; n <= EVENTS; n++) {
		struct sn_event e;

		fill(&e, n);
		sn_event_publish(&ring, &e);
	}
}

/* The sequence numbers that this read moved over are last + 1 .. cursor: those missed, and those got in rising order.
 */
static void expect_batch(const struct sn_event *e, uint32_t n, uint64_t last, uint64_t cursor, uint64_t missed)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t seq = atomic_load_explicit(&e[i].seq, memory_order_relaxed);
		struct sn_event want;

		fill(&want, seq);
		STRESS_ASSERT(seq > last && seq <= cursor, "event %llu after %llu", (unsigned long long)seq,
			      (unsigned long long)last);
		STRESS_ASSERT(memcmp(&e[i], &want, sizeof(want)) == 0, "event %llu is torn", (unsigned long long)seq);
		missed -= seq - last - 1 <= missed ? seq - last - 1 : missed + 1;
		last = seq;
	}
	STRESS_ASSERT(missed == cursor - last, "the missed do not fill the gaps");
}

static void consume(void *arg)
{
	struct sn_event batch[BATCH_MAX];
	struct reader *r = arg;
	uint64_t cursor = 0;

	while (cursor < EVENTS) {
		uint64_t missed, last = cursor;
		uint32_t n = sn_event_read(&ring, &cursor, batch, 1 + seed_below(&r->seed, BATCH_MAX), &missed);

		STRESS_ASSERT(cursor - last == n + missed, "the cursor moved by %llu, not %llu",
			      (unsigned long long)(cursor - last), (unsigned long long)(n + missed));
		expect_batch(batch, n, last, cursor, missed);
		r->got += n;
		r->missed += missed;
	}
	STRESS_ASSERT(r->got + r->missed == EVENTS, "%llu read and %llu missed of %u", (unsigned long long)r->got,
		      (unsigned long long)r->missed, EVENTS);
}

int main(void)
{
	uint64_t seed = seed_start(102);
	struct reader readers[READERS] = { 0 };
	struct stress all;

	stress_init(&all, READERS + 1);
	stress_run(&all, produce, NULL);
	for (uint32_t i = 0; i < READERS; i++) {
		readers[i].seed = seed + i;
		stress_run(&all, consume, &readers[i]);
	}
	stress_join(&all);
	for (uint32_t i = 0; i < READERS; i++)
		printf("reader %u: %llu events, %llu missed\n", i, (unsigned long long)readers[i].got,
		       (unsigned long long)readers[i].missed);
	return 0;
}
