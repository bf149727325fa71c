/* test_stream.c: events come out in their shard's order, and every gap is counted, once. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "client/stream.h"
#include "flow_message.h"

static struct sn_stream stream;

static void begin(unsigned int classes)
{
	sn_stream_init(&stream, classes);
}

/* A batch as it comes from the wire: shard 1, publisher, the events' numbers, ended by 0. */
static Shardnat__EventBatch *batch(Shardnat__EventType type, uint64_t publisher, uint64_t published, uint64_t round,
				   unsigned int topics, ...)
{
	Shardnat__Flow flow = flow_message(17);
	Shardnat__Event events[16], *list[16];
	Shardnat__EventBatch b = SHARDNAT__EVENT_BATCH__INIT, *ret = NULL;
	uint8_t *bytes;
	va_list args;

	b.topic = (char *)sn_topic_name(type);
	b.instance = (char *)"demo";
	b.publisher = publisher;
	b.shard = 1;
	b.published = published;
	b.round_last_seq = round;
	b.round_topics = topics;
	va_start(args, topics);
	for (int seq; (seq = va_arg(args, int)); b.n_events++) {
		events[b.n_events] = event_message(type, &flow, (uint64_t)seq);
		list[b.n_events] = &events[b.n_events];
	}
	va_end(args);
	b.events = list;
	bytes = malloc(sn_batch_size(&b));
	sn_batch_pack(&b, bytes);
	cr_assert_eq(sn_batch_unpack(bytes, sn_batch_size(&b), &ret), 0);
	free(bytes);
	return ret;
}

static void expect(uint64_t seq, uint64_t missed)
{
	struct shardnat_event e;

	cr_assert(sn_stream_pop(&stream, &e), "no event where %llu should be", (unsigned long long)seq);
	cr_assert_eq(e.event ? e.event->seq : 0, seq, "%llu where %llu should be",
		     (unsigned long long)(e.event ? e.event->seq : 0), (unsigned long long)seq);
	cr_assert_eq(e.missed, missed, "missed %llu, not %llu", (unsigned long long)e.missed, (unsigned long long)missed);
}

static void expect_none(void)
{
	struct shardnat_event e;

	cr_assert_not(sn_stream_pop(&stream, &e));
}

Test(stream, classes_of_a_round_are_merged)
{
	unsigned int topics = SHARDNAT_ALL;

	begin(SHARDNAT_ALL);
	sn_stream_put(&stream, batch(NEW, 9, 0, 6, topics, 2, 4, 0));
	expect_none();
	sn_stream_put(&stream, batch(UPDATE, 9, 0, 6, topics, 1, 3, 6, 0));
	expect_none();
	sn_stream_put(&stream, batch(DESTROY, 9, 0, 6, topics, 5, 0));
	for (uint64_t seq = 1; seq <= 6; seq++)
		expect(seq, 0);
	expect_none();
	sn_stream_fini(&stream);
}

Test(stream, one_class_waits_for_no_other)
{
	begin(SHARDNAT_NEW);
	sn_stream_put(&stream, batch(NEW, 9, 0, 6, SHARDNAT_ALL, 2, 4, 0));
	expect(2, 0);
	expect(4, 0);
	sn_stream_put(&stream, batch(NEW, 9, 2, 30, SHARDNAT_ALL, 30, 0));
	expect(30, 0); /* others' events between are no gap */
	sn_stream_fini(&stream);
}

Test(stream, a_lost_batch_is_counted)
{
	begin(SHARDNAT_NEW);
	sn_stream_put(&stream, batch(NEW, 9, 0, 2, SHARDNAT_NEW, 1, 2, 0));
	expect(1, 0);
	expect(2, 0);
	expect_none();
	sn_stream_put(&stream, batch(NEW, 9, 7, 20, SHARDNAT_NEW, 19, 20, 0));
	expect(19, 5);
	expect(20, 0);
	sn_stream_fini(&stream);
}

Test(stream, a_round_with_a_lost_batch_ends_with_the_next_round)
{
	begin(SHARDNAT_NEW | SHARDNAT_DESTROY);
	sn_stream_put(&stream, batch(NEW, 9, 0, 2, SHARDNAT_ALL, 1, 0));
	expect_none(); /* DESTROY of this round is lost */
	sn_stream_put(&stream, batch(NEW, 9, 1, 4, SHARDNAT_NEW, 4, 0));
	expect(1, 0);
	expect(4, 0);
	sn_stream_put(&stream, batch(NEW, 9, 2, 6, SHARDNAT_NEW | SHARDNAT_DESTROY, 6, 0));
	expect_none();
	sn_stream_flush(&stream); /* nothing else came */
	expect(6, 0);
	expect_none();
	sn_stream_fini(&stream);
}

Test(stream, the_publisher_s_own_loss_is_counted_once)
{
	struct shardnat_event e;

	begin(SHARDNAT_NEW | SHARDNAT_UPDATE);
	for (Shardnat__EventType type = NEW; type <= UPDATE; type++) {
		Shardnat__EventBatch *b = batch(type, 9, 0, 50, SHARDNAT_ALL, 0);

		b->missed = 50;
		b->missed_last_seq = 50;
		sn_stream_put(&stream, b);
	}
	cr_assert(sn_stream_pop(&stream, &e));
	cr_assert_null(e.event);
	cr_assert_eq(e.missed, 50);
	cr_assert(e.missed_at_most); /* some may have been DESTROY */
	expect_none();
	sn_stream_fini(&stream);
}

Test(stream, a_restart_of_the_publisher_is_counted)
{
	Shardnat__EventBatch *b;

	begin(SHARDNAT_ALL);
	sn_stream_seed(&stream, 1, 0);
	sn_stream_put(&stream, batch(NEW, 9, 0, 10, SHARDNAT_NEW, 10, 0));
	expect(10, 0);
	b = batch(NEW, 12, 3, 25, SHARDNAT_NEW, 25, 0);
	b->start_seq = 17; /* 11..17 came while there was none; three more before we were connected again */
	sn_stream_put(&stream, b);
	expect(25, 7 + 3);
	sn_stream_put(&stream, batch(UPDATE, 12, 2, 26, SHARDNAT_UPDATE, 26, 0));
	expect(26, 2);
	sn_stream_fini(&stream);
}

Test(stream, the_first_publisher_s_past_is_no_loss)
{
	begin(SHARDNAT_ALL);
	sn_stream_put(&stream, batch(NEW, 9, 1000, 2000, SHARDNAT_NEW, 2000, 0));
	expect(2000, 0);
	sn_stream_fini(&stream);
}

Test(stream, what_cannot_be_is_refused)
{
	Shardnat__EventBatch *b = batch(NEW, 9, 0, 1, SHARDNAT_NEW, 1, 0);

	begin(SHARDNAT_NEW);
	b->shard = SN_STREAM_SHARDS;
	cr_assert_eq(sn_stream_put(&stream, b), -EBADMSG);
	cr_assert_eq(sn_stream_put(&stream, batch(DESTROY, 9, 0, 1, SHARDNAT_DESTROY, 1, 0)), -EBADMSG);
	expect_none();
	sn_stream_fini(&stream);
}
