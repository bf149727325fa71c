/* test_codec.c: what is packed comes back, and bytes from anywhere do no harm. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "flow_message.h"
#include "seed.h"

static Shardnat__EventBatch batch_of(Shardnat__Event **events, size_t count, const char *topic)
{
	Shardnat__EventBatch b = SHARDNAT__EVENT_BATCH__INIT;

	b.topic = (char *)topic;
	b.instance = (char *)"demo";
	b.publisher = 11;
	b.shard = 3;
	b.epoch = 2;
	b.prev_seq = 40;
	b.first_seq = 41;
	b.n_events = count;
	b.events = events;
	return b;
}

static uint8_t *packed(const Shardnat__EventBatch *b, size_t *ret_len_b)
{
	uint8_t *bytes;

	*ret_len_b = sn_batch_size(b);
	bytes = malloc(*ret_len_b);
	sn_batch_pack(b, bytes);
	return bytes;
}

/* A good message of two events of type NEW under a topic. */
static uint8_t *message(const char *topic, size_t *ret_len_b)
{
	Shardnat__Flow tcp = flow_message(6), icmp = flow_message(1);
	Shardnat__Event a = event_message(NEW, &tcp, 41), b = event_message(NEW, &icmp, 44);
	Shardnat__Event *events[] = { &a, &b };
	Shardnat__EventBatch batch = batch_of(events, 2, topic);

	return packed(&batch, ret_len_b);
}

Test(codec, topics_and_types)
{
	for (uint32_t type = 1; type <= SN_TOPICS; type++)
		cr_assert_eq(sn_topic_type(sn_topic_name(type)), type);
	cr_assert_null(sn_topic_name(0));
	cr_assert_null(sn_topic_name(SN_TOPICS + 1));
	cr_assert_eq(sn_topic_type("flow."), 0);
}

Test(codec, batch_round_trip)
{
	Shardnat__EventBatch *b;
	size_t len_b;
	uint8_t *bytes = message("flow.new", &len_b);

	cr_assert_str_eq((char *)bytes, "flow.new");
	cr_assert_eq(sn_batch_unpack(bytes, len_b, &b), 0);
	cr_assert_eq(b->n_events, 2);
	cr_assert_eq(b->prev_seq, 40);
	cr_assert_eq(b->first_seq, 41);
	cr_assert_eq(b->events[1]->seq, 44);
	cr_assert_eq(b->events[0]->flow->public_address, 0xcb007107);
	cr_assert_eq(b->events[0]->flow->timeout_ds, 1209);
	cr_assert_str_eq(b->events[1]->flow->realm, "default");
	sn_batch_free(b);
	free(bytes);
}

Test(codec, batch_that_only_tells_missed)
{
	Shardnat__EventBatch empty = batch_of(NULL, 0, "flow.destroy"), *b;
	size_t len_b;
	uint8_t *bytes;

	empty.missed = 9;
	bytes = packed(&empty, &len_b);
	cr_assert_eq(sn_batch_unpack(bytes, len_b, &b), 0);
	cr_assert_eq(b->missed, 9);
	sn_batch_free(b);
	free(bytes);
}

Test(codec, a_topic_must_be_the_batch_s_own)
{
	Shardnat__EventBatch *b;
	size_t len_b;
	uint8_t *bytes = message("flow.new", &len_b);

	memcpy(bytes, "flow.old", 8);
	cr_assert_eq(sn_batch_unpack(bytes, len_b, &b), -EBADMSG);
	free(bytes);
	bytes = message("flow.update", &len_b); /* but its events are NEW */
	cr_assert_eq(sn_batch_unpack(bytes, len_b, &b), -EBADMSG);
	free(bytes);
}

Test(codec, an_event_must_have_a_flow)
{
	Shardnat__Event e = event_message(NEW, NULL, 1), *events[] = { &e };
	Shardnat__EventBatch bad = batch_of(events, 1, "flow.new"), *b;
	size_t len_b;
	uint8_t *bytes = packed(&bad, &len_b);

	cr_assert_eq(sn_batch_unpack(bytes, len_b, &b), -EBADMSG);
	free(bytes);
}

/*
 * Each proper prefix is refused or is a shorter message, and is never read beyond its end (copied to its own
 * allocation).
 */
Test(codec, truncated_batches)
{
	Shardnat__EventBatch *b;
	size_t len_b;
	uint8_t *bytes = message("flow.new", &len_b);

	for (size_t cut = 0; cut < len_b; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, bytes, cut);
		if (!sn_batch_unpack(copy, cut, &b)) {
			cr_assert_lt(b->n_events, 2);
			sn_batch_free(b);
		}
		free(copy);
	}
	free(bytes);
}

Test(codec, damaged_batches)
{
	uint64_t seed = seed_start(20);
	size_t len_b;
	uint8_t *bytes = message("flow.new", &len_b), *copy = malloc(len_b);

	for (int round = 0; round < 20000; round++) {
		Shardnat__EventBatch *b;

		memcpy(copy, bytes, len_b);
		for (uint32_t n = 1 + seed_below(&seed, 4); n; n--)
			copy[seed_below(&seed, (uint32_t)len_b)] = (uint8_t)seed_below(&seed, 256);
		if (sn_batch_unpack(copy, len_b, &b))
			continue;
		for (size_t i = 0; i < b->n_events; i++)
			cr_assert_not_null(b->events[i]->flow);
		sn_batch_free(b);
	}
	free(copy);
	free(bytes);
}

Test(codec, requests_of_other_versions)
{
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT, *got = NULL;
	Shardnat__StatusRequest status = SHARDNAT__STATUS_REQUEST__INIT;
	uint8_t bytes[64];
	size_t len_b;

	rq.kind_case = SHARDNAT__REQUEST__KIND_STATUS;
	rq.status = &status;
	rq.version = SHARDNAT__API__API_VERSION;
	len_b = shardnat__request__pack(&rq, bytes);
	cr_assert_eq(sn_request_unpack(bytes, len_b, &got), 0);
	cr_assert_eq(got->kind_case, SHARDNAT__REQUEST__KIND_STATUS);
	sn_request_free(got);
	rq.version++;
	len_b = shardnat__request__pack(&rq, bytes);
	cr_assert_eq(sn_request_unpack(bytes, len_b, &got), -EPROTONOSUPPORT);
	cr_assert_eq(sn_request_unpack((const uint8_t *)"\xff\xff\xff", 3, &got), -EBADMSG);
}

Test(codec, requests_that_are_too_long)
{
	uint8_t *bytes = calloc(1, SN_REQUEST_MAX_B + 1);
	Shardnat__Request *got;

	cr_assert_eq(sn_request_unpack(bytes, SN_REQUEST_MAX_B + 1, &got), -EBADMSG);
	free(bytes);
}

Test(codec, a_status_always_has_its_memory)
{
	Shardnat__Reply reply = SHARDNAT__REPLY__INIT, *got;
	Shardnat__StatusReply status = SHARDNAT__STATUS_REPLY__INIT;
	uint8_t bytes[64];

	reply.version = SHARDNAT__API__API_VERSION;
	reply.kind_case = SHARDNAT__REPLY__KIND_STATUS;
	reply.status = &status;
	cr_assert_eq(sn_reply_unpack(bytes, shardnat__reply__pack(&reply, bytes), &got), -EBADMSG);
}
