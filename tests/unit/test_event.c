/*
 * test_event.c: each event is read whole, or counted as missed: lapped readers, a writer killed at any instruction, another
 * process writing meanwhile.
 */
#include <criterion/criterion.h>

#include "event.h"
#include "seed.h"
#include "step.h"

#define SLOTS 8u

struct arena {
	struct sn_event_head head;
	struct sn_event slot[SLOTS];
};

static struct sn_event_ring ring_of(struct arena *a)
{
	return (struct sn_event_ring){ &a->head, a->slot, SLOTS };
}

static void publish(const struct sn_event_ring *r, uint64_t mark)
{
	struct sn_event e = { .time_ns = mark, .flow = (uint32_t)mark, .start_ds = ~(uint32_t)mark };

	for (int i = 0; i < 2; i++) {
		e.packets[i] = mark * 3;
		e.bytes[i] = mark * 5;
		e.reserved[i] = ~mark;
	}
	sn_event_publish(r, &e);
}

static bool is_whole(const struct sn_event *e)
{
	uint64_t mark = atomic_load(&e->seq);
	bool good = e->time_ns == mark && e->flow == (uint32_t)mark && e->start_ds == ~(uint32_t)mark;

	for (int i = 0; i < 2; i++)
		good = good && e->packets[i] == mark * 3 && e->bytes[i] == mark * 5 && e->reserved[i] == ~mark;
	return good;
}

Test(event, in_order)
{
	static struct arena a;
	struct sn_event_ring r = ring_of(&a);
	struct sn_event got[SLOTS];
	uint64_t cursor = 0, missed = 7;

	cr_assert_eq(sn_event_read(&r, &cursor, got, SLOTS, &missed), 0);
	cr_assert_eq(missed, 0);
	for (uint64_t i = 1; i <= SLOTS; i++)
		publish(&r, i);
	cr_assert_eq(sn_event_head(&r), SLOTS);
	cr_assert_eq(sn_event_read(&r, &cursor, got, 3, &missed), 3);
	cr_assert_eq(cursor, 3);
	cr_assert_eq(sn_event_read(&r, &cursor, got, SLOTS, &missed), SLOTS - 3);
	cr_assert_eq(missed, 0);
	cr_assert(is_whole(&got[0]) && atomic_load(&got[0].seq) == 4);
	cr_assert_eq(sn_event_read(&r, &cursor, got, SLOTS, &missed), 0);
}

Test(event, lapped_reader_counts_exactly)
{
	uint64_t rng = seed_start(60), published = 0, cursor = 0, read = 0, missed = 0;
	static struct arena a;
	struct sn_event_ring r = ring_of(&a);
	struct sn_event got[SLOTS * 2];

	for (int round = 0; round < 2000; round++) {
		uint64_t gap, expected;
		uint32_t n;

		for (uint32_t i = seed_below(&rng, SLOTS * 3); i > 0; i--)
			publish(&r, ++published);
		expected = published - cursor > SLOTS ? published - cursor - SLOTS : 0;
		n = sn_event_read(&r, &cursor, got, 1 + seed_below(&rng, SLOTS * 2), &gap);
		cr_assert_eq(gap, expected);
		for (uint32_t i = 0; i < n; i++)
			cr_assert(is_whole(&got[i]));
		cr_assert(n == 0 || atomic_load(&got[n - 1].seq) == cursor);
		read += n;
		missed += gap;
		cr_assert_eq(read + missed, cursor);
	}
	cr_assert_gt(missed, 1000);
	cr_assert_gt(read, 1000);
}

Test(event, cursor_from_the_future)
{
	static struct arena a;
	struct sn_event_ring r = ring_of(&a);
	struct sn_event got[2];
	uint64_t cursor = 900, missed;

	publish(&r, 1);
	cr_assert_eq(sn_event_read(&r, &cursor, got, 2, &missed), 0);
	cr_assert_eq(cursor, 900);
	cr_assert_eq(missed, 0);
}

struct stepping {
	struct arena *a;
	int wrong, before, after;
};

static void publish_next(void *arg)
{
	struct sn_event_ring r = ring_of(arg);

	publish(&r, sn_event_head(&r) + 1);
}

/* A reader of what the dead writer left, and the successor's event in the same place. */
static void look(void *ctx)
{
	struct stepping *s = ctx;
	struct arena copy = *s->a;
	struct sn_event_ring r = ring_of(&copy);
	struct sn_event got[SLOTS];
	uint64_t cursor = SLOTS, missed, head = sn_event_head(&r);
	uint32_t n = sn_event_read(&r, &cursor, got, SLOTS, &missed);

	s->before += head == SLOTS * 2;
	s->after += head > SLOTS * 2;
	s->wrong += n + missed != head - SLOTS || n < SLOTS - 1;
	for (uint32_t i = 0; i < n; i++)
		s->wrong += !is_whole(&got[i]);
	publish_next(&copy);
	cursor = head;
	s->wrong += sn_event_read(&r, &cursor, got, 1, &missed) != 1 || missed != 0 || !is_whole(&got[0]);
}

Test(event, writer_killed)
{
	struct stepping s = { .a = step_memory(sizeof(struct arena)) };
	struct sn_event_ring r = ring_of(s.a);

	for (uint64_t i = 1; i <= SLOTS * 2; i++)
		publish(&r, i);
	cr_assert_gt(step_through(s.a, sizeof(*s.a), publish_next, s.a, look, &s), 5);
	cr_assert_eq(s.wrong, 0);
	cr_assert_gt(s.before, 0);
	cr_assert_gt(s.after, 0);
}

Test(event, writer_in_another_process)
{
	const uint64_t total = 200000;
	struct arena *a = step_memory(sizeof(*a));
	struct sn_event_ring r = ring_of(a);
	uint64_t cursor = 0, read = 0, missed = 0;
	struct sn_event got[SLOTS];
	pid_t child = fork();

	if (child == 0) {
		for (uint64_t i = 1; i <= total; i++)
			publish(&r, i);
		_exit(0);
	}
	cr_assert_gt(child, 0);
	while (cursor < total) {
		uint64_t gap;
		uint32_t n = sn_event_read(&r, &cursor, got, SLOTS, &gap);

		for (uint32_t i = 0; i < n; i++)
			cr_assert(is_whole(&got[i]));
		read += n;
		missed += gap;
	}
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_assert_eq(read + missed, total);
}

Test(event, of_flow)
{
	struct sn_flow f = {
		.inside_be32 = 1, .public_be32 = 2, .remote_be32 = 3, .inside_port_be16 = 4, .public_port_be16 = 5,
		.remote_port_be16 = 6, .proto = 17, .realm = 7, .state = 8, .shard = 9, .status = 10, .rule = 11,
		.flags = 12, .packets = { 13, 14 }, .packets_hi = { 1, 0 }, .bytes = { 15, 16 }, .bytes_hi = { 0, 2 },
		.start_ds = 17,
	};
	struct sn_event e;

	atomic_store(&f.gen, 21);
	atomic_store(&f.expires_ds, 150);
	sn_event_of_flow(&e, &f, 99, 10000000000ull);
	cr_assert(e.inside_be32 == 1 && e.public_be32 == 2 && e.remote_be32 == 3 && e.inside_port_be16 == 4);
	cr_assert(e.public_port_be16 == 5 && e.remote_port_be16 == 6 && e.proto == 17 && e.realm == 7 && e.state == 8);
	cr_assert(e.shard == 9 && e.status == 10 && e.rule == 11 && e.flags == 12 && e.start_ds == 17);
	cr_assert(e.packets[0] == (1ull << 32 | 13) && e.packets[1] == 14);
	cr_assert(e.bytes[0] == 15 && e.bytes[1] == (2ull << 32 | 16));
	cr_assert(e.flow == 99 && e.gen == 21 && e.timeout_ds == 50 && e.time_ns == 10000000000ull);
	cr_assert(e.subscriber == SN_NONE && e.block == SN_NONE);
	sn_event_of_flow(&e, &f, 99, 15000000000ull);
	cr_assert_eq(e.timeout_ds, 0);
}
