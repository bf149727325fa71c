/* test_view.c: what the API says of a record is what the record says; words out of range are contained. */
#include <arpa/inet.h>
#include <criterion/criterion.h>

#include "answer.h"
#include "shardnat.h"
#include "world.h"

static struct world w;
static struct sn_view view;
static struct sn_arena arena;

static void begin(void)
{
	struct sn_geometry geo = world_geometry(4, 8192, 2);

	world_make(&w, &geo);
	w.r.policy->copy[0] = w.policy;
	strcpy(w.r.policy->copy[0].realms[0], "home");
	sn_view_init(&view, &w.r);
	cr_assert_eq(sn_arena_init(&arena, sn_answer_arena_b(&w.r)), 0);
}

static void end(void)
{
	sn_arena_fini(&arena);
	world_drop(&w);
}

TestSuite(view, .init = begin, .fini = end);

static uint32_t open_flow(uint32_t n, uint8_t proto, uint16_t port)
{
	struct sn_open o = world_open(&w, n, proto, port, 1);
	uint32_t flow;

	o.now_ns = view.now_ns;
	atomic_init(&o.flow.expires_ds, sn_clock_ds(view.now_ns) + 300);
	cr_assert_eq(sn_shard_open(world_shard(&w, n), &o, &flow), SN_V_FORWARD);
	return flow;
}

static void expect_tuple(const struct sn_flow *record, const Shardnat__Flow *m, bool reply)
{
	struct sn_tuple want = sn_flow_tuple(record, reply ? SN_DIR_REPLY : SN_DIR_ORIGINAL);
	struct shardnat_tuple got = shardnat_flow_tuple(m, reply);

	cr_assert_eq(got.src, ntohl(want.src_be32));
	cr_assert_eq(got.dst, ntohl(want.dst_be32));
	if (record->proto == 1) {
		cr_assert_eq(got.icmp_id, ntohs(want.src_port_be16));
		cr_assert_eq(got.icmp_type << 8 | got.icmp_code, ntohs(want.dst_port_be16));
		return;
	}
	cr_assert_eq(got.src_port, ntohs(want.src_port_be16));
	cr_assert_eq(got.dst_port, ntohs(want.dst_port_be16));
}

/* The message's three ends give the same tuples as the record's. */
Test(view, tuples_are_those_of_the_record)
{
	static const uint8_t protos[] = { 6, 17, 1 };

	for (size_t i = 0; i < sizeof(protos) * 2; i++) {
		uint32_t number = open_flow(7, protos[i / 2], (uint16_t)(100 + i));
		struct sn_flow *record = &w.r.flows[number];
		Shardnat__Flow m = SHARDNAT__FLOW__INIT;

		if (record->proto == 1)
			record->remote_port_be16 = htons(8 << 8);
		record->flags = i % 2 ? SN_FLOW_FROM_OUTSIDE : 0;
		cr_assert(sn_view_flow(&view, number, &m));
		cr_assert_str_eq(m.realm, "home");
		cr_assert_eq(m.timeout_ds, 300);
		cr_assert_eq(m.block_ports, 64);
		cr_assert(m.public_port >= m.block_first_port && m.public_port < m.block_first_port + 64);
		expect_tuple(record, &m, false);
		expect_tuple(record, &m, true);
	}
}

Test(view, a_flow_past_its_timeout_is_not_shown)
{
	Shardnat__Flow m = SHARDNAT__FLOW__INIT;
	uint32_t number = open_flow(7, 17, 100);

	atomic_store(&w.r.flows[number].expires_ds, sn_clock_ds(view.now_ns));
	cr_assert_not(sn_view_flow(&view, number, &m));
	cr_assert_not(sn_view_flow(&view, SN_NONE, &m));
}

Test(view, words_out_of_range)
{
	struct sn_event e = { .realm = 255, .block = SN_NONE - 1, .proto = 6, .state = 200 };
	Shardnat__Flow m = SHARDNAT__FLOW__INIT;

	sn_view_event_flow(&view, &e, &m);
	cr_assert_str_eq(m.realm, "?");
	cr_assert_eq(m.block_ports, 0);
	cr_assert_null(shardnat_state_name(m.state));
	memset(w.r.policy->copy[0].realms[0], 0xff, SN_NAME_B);
	sn_view_refresh(&view);
	cr_assert_eq(strlen(sn_view_realm(&view, 0)), SN_NAME_B - 1);
}

static const Shardnat__Reply *ask(const Shardnat__Request *rq)
{
	static Shardnat__Reply reply;

	reply = (Shardnat__Reply)SHARDNAT__REPLY__INIT;
	sn_arena_reset(&arena);
	sn_answer(&view, &arena, rq, &reply);
	return &reply;
}

static const Shardnat__Reply *ask_flows(uint64_t cursor, uint32_t max)
{
	static Shardnat__FlowsRequest flows;
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT;

	flows = (Shardnat__FlowsRequest)SHARDNAT__FLOWS_REQUEST__INIT;
	flows.cursor = cursor;
	flows.max_flows = max;
	rq.kind_case = SHARDNAT__REQUEST__KIND_FLOWS;
	rq.flows = &flows;
	return ask(&rq);
}

Test(view, pages_have_each_flow_once)
{
	uint64_t cursor = 0, seen = 0, heads = 0;
	const Shardnat__FlowsReply *page;

	for (uint16_t i = 0; i < 50; i++)
		open_flow(i % 5, 17, (uint16_t)(1000 + i));
	do {
		page = ask_flows(cursor, 7)->flows;
		cr_assert_leq(page->n_flows, 7);
		cr_assert_eq(page->n_shards, 4);
		seen += page->n_flows;
		cursor = page->next_cursor;
	} while (!page->done);
	for (size_t i = 0; i < page->n_shards; i++)
		heads += page->shards[i]->seq;
	cr_assert_eq(seen, 50);
	cr_assert_eq(heads, 50); /* one NEW each */
}

Test(view, a_cursor_beyond_the_table_is_refused)
{
	const Shardnat__Reply *reply = ask_flows(UINT64_MAX, 0);

	cr_assert_eq(reply->kind_case, SHARDNAT__REPLY__KIND_ERROR);
	cr_assert_eq(reply->error->code, SHARDNAT__ERROR_CODE__ERROR_BAD_ARGUMENT);
}

Test(view, a_request_of_no_kind_is_refused)
{
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT;

	cr_assert_eq(ask(&rq)->error->code, SHARDNAT__ERROR_CODE__ERROR_UNKNOWN_REQUEST);
}

/* A list of blocks that goes round, and numbers that are none, end somewhere. */
Test(view, corrupt_lists_end)
{
	Shardnat__SubscribersRequest subscribers = SHARDNAT__SUBSCRIBERS_REQUEST__INIT;
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT;
	const Shardnat__Reply *reply;
	struct sn_shard *s = world_shard(&w, 3);
	uint32_t subscriber;

	open_flow(3, 6, 1000);
	subscriber = sn_shard_find_subscriber(s, 0, htonl(WORLD_INSIDE + 3));
	view.ports.blocks[w.r.subscribers[subscriber].first_block].next = w.r.subscribers[subscriber].first_block;
	rq.kind_case = SHARDNAT__REQUEST__KIND_SUBSCRIBERS;
	rq.subscribers = &subscribers;
	reply = ask(&rq);
	cr_assert_eq(reply->subscribers->n_subscribers, 1);
	cr_assert_eq(reply->subscribers->subscribers[0]->n_blocks, SN_ANSWER_BLOCKS);
	w.r.subscribers[subscriber].first_block = SN_NONE - 1;
	cr_assert_eq(ask(&rq)->subscribers->subscribers[0]->n_blocks, 0);
}

Test(view, status_and_its_warnings)
{
	Shardnat__StatusRequest status = SHARDNAT__STATUS_REQUEST__INIT;
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT;
	const Shardnat__StatusReply *reply;
	bool cold = false;

	w.r.policy->copy[0].cold_until_ds = sn_clock_ds(view.now_ns) + 305;
	w.r.stats[0].received = 10;
	w.r.stats[0].handed_in = 5;
	w.r.stats[0].verdict[SN_V_FORWARD] = 15;
	rq.kind_case = SHARDNAT__REQUEST__KIND_STATUS;
	rq.status = &status;
	reply = ask(&rq)->status;
	cr_assert_eq(reply->n_shards, 4);
	cr_assert_float_eq(reply->handoff_share, 0.5, 1e-9);
	cr_assert_str_eq(reply->verdicts[SN_V_FORWARD]->name, "forward");
	cr_assert_eq(reply->verdicts[SN_V_FORWARD]->value, 15);
	for (size_t i = 0; i < reply->n_warnings; i++)
		if (!strcmp(reply->warnings[i]->code, "cold-hold-down"))
			cold = reply->warnings[i]->seconds_left == 31 || reply->warnings[i]->seconds_left == 30;
	cr_assert(cold);
}
