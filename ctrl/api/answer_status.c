/*
 * answer_status.c: the node as a whole: counters, shards, pools; processes, memory and warnings have files of
 * their own.
 */
#include "answer.h"

static uint64_t relaxed(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void fill_shard(struct sn_view *v, uint32_t number, Shardnat__Shard *ret)
{
	const struct sn_region *r = v->region;
	const struct sn_shard_state *s = &r->shards[number];
	struct sn_shard_owner owner = sn_region_owner(r, number);
	struct sn_event_ring ring = sn_region_events(r, number);

	ret->number = number;
	ret->owned = owner.worker < r->geo.workers;
	ret->worker = ret->owned ? owner.worker : 0;
	ret->epoch = owner.epoch;
	ret->flows = s->flows.live;
	ret->bindings = s->bindings.live;
	ret->subscribers = s->subscribers.live;
	ret->event_head = sn_event_head(&ring);
	ret->opened = relaxed(&s->opened);
	ret->closed = relaxed(&s->closed);
	ret->refused = relaxed(&s->refused);
	ret->held_ports = s->hold.head - s->hold.tail;
	ret->held_forced = relaxed(&s->hold.forced);
	ret->audits = relaxed(&s->audit_seq);
}

static void fill_shards(struct sn_view *v, struct sn_arena *a, Shardnat__StatusReply *ret)
{
	uint32_t count = v->region->geo.shards;

	SN_TAKE_LIST(a, ret->shards, count, Shardnat__Shard, shardnat__shard__init);
	ret->n_shards = count;
	for (uint32_t i = 0; i < count; i++)
		fill_shard(v, i, ret->shards[i]);
}

static void fill_verdicts(struct sn_view *v, struct sn_arena *a, Shardnat__StatusReply *ret)
{
	SN_TAKE_LIST(a, ret->verdicts, (size_t)SN_V_COUNT, Shardnat__Counter, shardnat__counter__init);
	ret->n_verdicts = SN_V_COUNT;
	for (int i = 0; i < SN_V_COUNT; i++) {
		ret->verdicts[i]->name = sn_text(sn_verdict_name((enum sn_verdict)i));
		ret->verdicts[i]->help = sn_text(sn_verdict_help((enum sn_verdict)i));
		for (uint32_t w = 0; w < v->region->geo.workers; w++)
			ret->verdicts[i]->value += relaxed(&v->region->stats[w].verdict[i]);
	}
	for (uint32_t w = 0; w < v->region->geo.workers; w++) {
		ret->received += relaxed(&v->region->stats[w].received);
		ret->handed_in += relaxed(&v->region->stats[w].handed_in);
	}
	ret->handoff_share = ret->received ? (double)ret->handed_in / (double)ret->received : 0;
}

static void fill_pool(struct sn_view *v, uint32_t pool, Shardnat__PoolUse *ret)
{
	ret->name = sn_view_pool(v, pool);
	for (uint32_t i = 0; i < v->ports.address_count; i++) {
		const struct sn_address *address = &v->ports.addresses[i];

		if (address->pool != pool || address->state == SN_ADDRESS_ABSENT)
			continue;
		ret->addresses++;
		ret->blocks += sn_view_blocks_per_address(v);
		ret->blocks_claimed += atomic_load_explicit(&address->claimed, memory_order_relaxed);
	}
}

static void fill_pools(struct sn_view *v, struct sn_arena *a, Shardnat__StatusReply *ret)
{
	uint32_t count = SN_MIN(sn_policy_active(v->region->policy)->pool_count, (uint32_t)SN_POOLS_MAX);

	SN_TAKE_LIST(a, ret->pools, count, Shardnat__PoolUse, shardnat__pool_use__init);
	ret->n_pools = count;
	for (uint32_t i = 0; i < count; i++)
		fill_pool(v, i, ret->pools[i]);
}

static void fill_routing(const struct sn_routing *routing, Shardnat__StatusReply *ret)
{
	uint32_t generation = atomic_load_explicit(&routing->generation, memory_order_acquire);

	ret->routes = routing->copy[generation & 1].count;
	ret->neighbours = atomic_load_explicit(&routing->neighbour_count, memory_order_relaxed);
}

void sn_answer_status(struct sn_view *v, struct sn_arena *a, Shardnat__Reply *ret)
{
	Shardnat__StatusReply *reply = sn_arena_take(a, 1, sizeof(*reply));

	shardnat__status_reply__init(reply);
	reply->instance = sn_arena_printf(a, "%.*s", SN_NAME_B - 1, v->region->hdr->instance);
	reply->version = sn_text(SN_VERSION);
	reply->wall_ns = v->wall_ns;
	reply->created_wall_ns = v->region->hdr->created_wall_ns;
	reply->policy_generation = sn_policy_active(v->region->policy)->generation;
	sn_status_processes(v, a, reply);
	fill_shards(v, a, reply);
	fill_verdicts(v, a, reply);
	sn_status_memory(v, a, reply);
	fill_pools(v, a, reply);
	fill_routing(v->region->routing, reply);
	sn_status_warnings(v, a, reply);
	ret->kind_case = SHARDNAT__REPLY__KIND_STATUS;
	ret->status = reply;
}
