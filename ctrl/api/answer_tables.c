/* answer_tables.c: flows, subscribers, pools, rules. Pages go by record number, so that none depends on another. */
#include "answer.h"

#include <arpa/inet.h>

#include "client/shardnat.h"

/* Where every shard is, before the first record of the page is looked at. */
static void fill_shards(struct sn_view *v, struct sn_arena *a, Shardnat__FlowsReply *reply)
{
	const struct sn_region *r = v->region;

	SN_TAKE_LIST(a, reply->shards, r->geo.shards, Shardnat__ShardSeq, shardnat__shard_seq__init);
	reply->n_shards = r->geo.shards;
	for (uint32_t i = 0; i < r->geo.shards; i++) {
		struct sn_event_ring ring = sn_region_events(r, i);

		reply->shards[i]->shard = i;
		reply->shards[i]->epoch = sn_region_owner(r, i).epoch;
		reply->shards[i]->seq = sn_event_head(&ring);
	}
	atomic_thread_fence(memory_order_acquire);
}

static uint32_t page_size(uint32_t asked, uint32_t most)
{
	return asked && asked < most ? asked : most;
}

void sn_answer_flows(struct sn_view *v, struct sn_arena *a, const Shardnat__FlowsRequest *rq, Shardnat__Reply *ret)
{
	Shardnat__FlowsReply *reply = sn_arena_take(a, 1, sizeof(*reply));
	uint32_t max = page_size(rq->max_flows, SN_ANSWER_FLOWS);
	uint64_t end = SN_MIN(rq->cursor + SN_ANSWER_RECORDS, (uint64_t)v->region->flow_count);
	uint64_t number = rq->cursor;
	Shardnat__Flow counted;

	if (rq->cursor > v->region->flow_count) {
		sn_answer_error(a, SHARDNAT__ERROR_CODE__ERROR_BAD_ARGUMENT, "the cursor is beyond the table", ret);
		return;
	}
	shardnat__flows_reply__init(reply);
	fill_shards(v, a, reply);
	reply->flows = sn_arena_take(a, max, sizeof(reply->flows[0]));
	for (; number < end && reply->n_flows < max; number++) {
		Shardnat__Flow *f = rq->count_only ? &counted : sn_arena_take(a, 1, sizeof(*f));

		shardnat__flow__init(f);
		if (!sn_view_flow(v, (uint32_t)number, f) || !shardnat_filter_match(rq->filter, f)) {
			a->used_b -= rq->count_only ? 0 : (sizeof(*f) + 15) & ~(size_t)15;
			continue;
		}
		reply->matched++;
		if (!rq->count_only)
			reply->flows[reply->n_flows++] = f;
	}
	reply->examined = number - rq->cursor;
	reply->next_cursor = number;
	reply->done = number == v->region->flow_count;
	ret->kind_case = SHARDNAT__REPLY__KIND_FLOWS;
	ret->flows = reply;
}

static void fill_block(const struct sn_view *v, uint32_t number, const struct sn_block *b, Shardnat__Block *ret)
{
	shardnat__block__init(ret);
	ret->address = ntohl(v->ports.addresses[sn_ports_block_address(&v->ports, number)].addr_be32);
	ret->first_port = sn_ports_first_port(&v->ports, number);
	ret->ports = v->ports.block_size;
	ret->bound_tcp = b->bound[SN_L4_TCP];
	ret->bound_udp = b->bound[SN_L4_UDP];
	ret->bound_icmp = b->bound[SN_L4_ICMP];
	ret->held = b->held;
}

/* The list of blocks may change while it is walked: a bounded number, and each still claimed by this subscriber. */
static void fill_blocks(struct sn_view *v, struct sn_arena *a, uint32_t subscriber, uint32_t first,
			Shardnat__Subscriber *ret)
{
	uint32_t block = first, all = v->ports.address_count * v->ports.blocks_per_address;

	ret->blocks = sn_arena_take(a, SN_ANSWER_BLOCKS, sizeof(ret->blocks[0]));
	while (block < all && ret->n_blocks < SN_ANSWER_BLOCKS) {
		struct sn_block_owner owner = sn_ports_owner(&v->ports, block);
		struct sn_block b = v->ports.blocks[block];
		Shardnat__Block *m;

		if (!owner.claimed || owner.subscriber != subscriber)
			return;
		m = sn_arena_take(a, 1, sizeof(*m));
		fill_block(v, block, &b, m);
		ret->blocks[ret->n_blocks++] = m;
		block = b.next;
	}
}

static void fill_subscriber(struct sn_view *v, struct sn_arena *a, uint32_t number, const struct sn_subscriber *s,
			    Shardnat__Subscriber *ret)
{
	shardnat__subscriber__init(ret);
	ret->address = ntohl(s->inside_be32);
	ret->realm = sn_view_realm(v, s->realm);
	ret->shard = s->shard;
	ret->flows = s->flows;
	ret->ports_tcp = s->ports[SN_L4_TCP];
	ret->ports_udp = s->ports[SN_L4_UDP];
	ret->ports_icmp = s->ports[SN_L4_ICMP];
	ret->refused = s->refused;
	if (s->address < v->ports.address_count)
		ret->public_address = ntohl(v->ports.addresses[s->address].addr_be32);
	ret->pool = sn_view_pool(v, s->pool);
	fill_blocks(v, a, number, s->first_block, ret);
}

void sn_answer_subscribers(struct sn_view *v, struct sn_arena *a, const Shardnat__SubscribersRequest *rq,
			   Shardnat__Reply *ret)
{
	Shardnat__SubscribersReply *reply = sn_arena_take(a, 1, sizeof(*reply));
	uint32_t max = page_size(rq->max_subscribers, SN_ANSWER_SUBSCRIBERS);
	uint64_t end = SN_MIN(rq->cursor + SN_ANSWER_RECORDS, (uint64_t)v->region->subscriber_count);
	uint64_t number = rq->cursor;
	struct sn_subscriber s;

	if (rq->cursor > v->region->subscriber_count) {
		sn_answer_error(a, SHARDNAT__ERROR_CODE__ERROR_BAD_ARGUMENT, "the cursor is beyond the table", ret);
		return;
	}
	shardnat__subscribers_reply__init(reply);
	reply->subscribers = sn_arena_take(a, max, sizeof(reply->subscribers[0]));
	for (; number < end && reply->n_subscribers < max; number++) {
		Shardnat__Subscriber *m;

		if (!sn_region_read_subscriber(v->region, (uint32_t)number, &s) ||
		    (rq->address && rq->address != ntohl(s.inside_be32)))
			continue;
		m = sn_arena_take(a, 1, sizeof(*m));
		fill_subscriber(v, a, (uint32_t)number, &s, m);
		reply->subscribers[reply->n_subscribers++] = m;
	}
	reply->next_cursor = number;
	reply->done = number == v->region->subscriber_count;
	ret->kind_case = SHARDNAT__REPLY__KIND_SUBSCRIBERS;
	ret->subscribers = reply;
}

static const char *address_state(uint8_t state)
{
	static const char *const names[] = {
		[SN_ADDRESS_ABSENT] = "absent",
		[SN_ADDRESS_ACTIVE] = "active",
		[SN_ADDRESS_DRAINING] = "draining",
		[SN_ADDRESS_COOLING] = "cooling",
	};

	return state < SN_ARRAY_LEN(names) ? names[state] : "?";
}

static bool in_pool(const struct sn_address *address, uint32_t pool)
{
	return address->pool == pool && address->state != SN_ADDRESS_ABSENT;
}

static void fill_pool(struct sn_view *v, struct sn_arena *a, uint32_t pool, Shardnat__Pool *ret)
{
	struct sn_ports *p = &v->ports;
	size_t count = 0;

	for (uint32_t i = 0; i < p->address_count; i++)
		count += in_pool(&p->addresses[i], pool);
	ret->name = sn_view_pool(v, pool);
	ret->block_size = p->block_size;
	ret->addresses = sn_arena_take(a, count, sizeof(ret->addresses[0]));
	for (uint32_t i = 0; i < p->address_count && ret->n_addresses < count; i++) {
		const struct sn_address *address = &p->addresses[i];
		Shardnat__PoolAddress *m;

		if (!in_pool(address, pool))
			continue;
		m = sn_arena_take(a, 1, sizeof(*m));
		shardnat__pool_address__init(m);
		m->address = ntohl(address->addr_be32);
		m->state = sn_text(address_state(address->state));
		m->blocks_claimed = atomic_load_explicit(&address->claimed, memory_order_relaxed);
		m->blocks = sn_view_blocks_per_address(v);
		ret->addresses[ret->n_addresses++] = m;
	}
}

void sn_answer_pools(struct sn_view *v, struct sn_arena *a, Shardnat__Reply *ret)
{
	const struct sn_policy *policy = sn_policy_active(v->region->policy);
	uint32_t count = SN_MIN(policy->pool_count, (uint32_t)SN_POOLS_MAX);
	Shardnat__PoolsReply *reply = sn_arena_take(a, 1, sizeof(*reply));

	shardnat__pools_reply__init(reply);
	SN_TAKE_LIST(a, reply->pools, count, Shardnat__Pool, shardnat__pool__init);
	reply->n_pools = count;
	for (uint32_t i = 0; i < count; i++)
		fill_pool(v, a, i, reply->pools[i]);
	ret->kind_case = SHARDNAT__REPLY__KIND_POOLS;
	ret->pools = reply;
}

static const char *filtering_name(uint8_t filtering)
{
	static const char *const names[] = {
		[SN_ENDPOINT_INDEPENDENT] = "endpoint-independent",
		[SN_ADDRESS_DEPENDENT] = "address-dependent",
		[SN_ADDRESS_AND_PORT_DEPENDENT] = "address-and-port-dependent",
	};

	return filtering < SN_ARRAY_LEN(names) ? names[filtering] : "?";
}

static void fill_rule(struct sn_view *v, uint32_t number, const struct sn_rule *rule, Shardnat__Rule *ret)
{
	bool pass = rule->action == SN_PASS;

	ret->number = number;
	ret->source = ntohl(rule->source_be32);
	ret->source_mask = ntohl(rule->source_mask_be32);
	ret->action = sn_text(pass ? "pass" : "translate");
	ret->pool = sn_text(pass ? "" : sn_view_pool(v, rule->pool));
	ret->filtering = sn_text(pass ? "" : filtering_name(rule->filtering));
	for (uint32_t shard = 0; shard < v->region->geo.shards; shard++)
		ret->hits += __atomic_load_n(&v->region->shards[shard].rule_hits[number], __ATOMIC_RELAXED);
}

void sn_answer_rules(struct sn_view *v, struct sn_arena *a, Shardnat__Reply *ret)
{
	const struct sn_policy *policy = sn_policy_active(v->region->policy);
	uint32_t count = SN_MIN(policy->rule_count, (uint32_t)SN_RULES_MAX);
	Shardnat__RulesReply *reply = sn_arena_take(a, 1, sizeof(*reply));

	shardnat__rules_reply__init(reply);
	SN_TAKE_LIST(a, reply->rules, count, Shardnat__Rule, shardnat__rule__init);
	reply->n_rules = count;
	for (uint32_t i = 0; i < count; i++)
		fill_rule(v, i, &policy->rules[i], reply->rules[i]);
	ret->kind_case = SHARDNAT__REPLY__KIND_RULES;
	ret->rules = reply;
}
