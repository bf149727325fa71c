/*
 * layout.c: sizes and places of the region's sections.
 *
 * Callers: region.c. A shard's indexes are sized for the fullest shard that subscribers make by chance: 2.5 times the
 * mean (simulated: 2.3). Records are the node's, and a shard wastes at most one chunk of them while it only grows, so
 * one chunk per shard is added: no flow is refused before all that were asked for are in use.
 */
#include "layout.h"

#include <errno.h>

#define CHUNKS_PER_SHARD 64
#define PAGE_B 4096u
#define HUGEPAGE_B (2u << 20)
#define RECORDS_MAX (1u << 27)
#define RING_MAX (1u << 24)
#define ADDRESSES_MAX 65536u

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static bool is_power(uint32_t n, uint32_t min, uint32_t max)
{
	return n >= min && n <= max && (n & (n - 1)) == 0;
}

static bool in_range(uint32_t n, uint32_t min, uint32_t max)
{
	return n >= min && n <= max;
}

static bool possible(const struct sn_geometry *g)
{
	return is_power(g->shards, 1, SN_SHARDS_MAX) && in_range(g->workers, 1, SN_WORKERS_MAX) &&
	       in_range(g->flows, 1, RECORDS_MAX) && in_range(g->subscribers, 1, RECORDS_MAX) &&
	       g->addresses <= ADDRESSES_MAX && is_power(g->block_size, SN_BLOCK_SIZE_MIN, SN_BLOCK_SIZE_MAX) &&
	       is_power(g->events, 2, RING_MAX) && is_power(g->held_ports, 2, RING_MAX) &&
	       is_power(g->commands, 2, RING_MAX) && is_power(g->handoff, 2, RING_MAX) &&
	       is_power(g->audits, 2, RING_MAX);
}

static uint32_t power_at_most(uint32_t n)
{
	return n == 0 ? 0 : 1u << (31 - __builtin_clz(n));
}

/* Entries of one shard's index: its share of all, in fifths. */
static uint64_t share(uint64_t records, uint32_t shards)
{
	return shards <= 2 ? records : records * 5 / (2ull * shards) + SN_INDEX_ENTRIES;
}

static struct sn_slab_layout slab_of(uint32_t records, uint32_t keys, uint32_t shards)
{
	uint32_t wanted = power_at_most(records / (shards * CHUNKS_PER_SHARD));
	struct sn_slab_layout l = { .chunk_records = SN_MAX(64u, SN_MIN(wanted, SN_CHUNK_RECORDS_MAX)) };

	l.chunks = (records + l.chunk_records - 1) / l.chunk_records + shards;
	l.records = l.chunks * l.chunk_records;
	l.buckets = sn_index_buckets_for(share(l.records, shards) * keys);
	return l;
}

size_t sn_layout_intent_b(void)
{
	return round_up(sizeof(struct sn_intent), SN_CACHE_LINE);
}

/* Sections are placed in the order of enum sn_section, which is that of the sizes here. */
static void sizes_of(const struct sn_geometry *g, const struct sn_layout *l, size_t size_b[SN_SEC_COUNT])
{
	size_t shards = g->shards, workers = g->workers, ports = (size_t)l->blocks * SN_L4_COUNT * g->block_size;

	size_b[SN_SEC_PROCESSES] = SN_PROCESSES_MAX * sizeof(struct sn_process);
	size_b[SN_SEC_OWNERS] = shards * sizeof(uint64_t);
	size_b[SN_SEC_POLICY] = sizeof(struct sn_policy_box);
	size_b[SN_SEC_ROUTING] = sizeof(struct sn_routing);
	size_b[SN_SEC_STATS] = workers * sizeof(struct sn_worker_stats);
	size_b[SN_SEC_COMMANDS] = workers * sn_ring_footprint(g->commands, sizeof(struct sn_command));
	size_b[SN_SEC_REQUESTS] = workers * sn_ring_footprint(g->commands, sizeof(struct sn_request));
	size_b[SN_SEC_HANDOFF] = workers * workers * sn_ring_footprint(g->handoff, sizeof(struct sn_handoff));
	size_b[SN_SEC_SHARDS] = shards * sizeof(struct sn_shard_state);
	size_b[SN_SEC_INTENTS] = shards * sn_layout_intent_b();
	size_b[SN_SEC_FLOW_INDEX] = shards * l->flows.buckets * sizeof(struct sn_index_bucket);
	size_b[SN_SEC_BINDING_INDEX] = shards * l->bindings.buckets * sizeof(struct sn_index_bucket);
	size_b[SN_SEC_SUBSCRIBER_INDEX] = shards * l->subscribers.buckets * sizeof(struct sn_index_bucket);
	size_b[SN_SEC_EVENTS] = shards * (sizeof(struct sn_event_head) + g->events * sizeof(struct sn_event));
	size_b[SN_SEC_AUDITS] = shards * sn_ring_footprint(g->audits, sizeof(struct sn_audit));
	size_b[SN_SEC_HOLDS] = shards * g->held_ports * sizeof(struct sn_hold);
	size_b[SN_SEC_FLOW_CHUNKS] = l->flows.chunks * sizeof(struct sn_chunk);
	size_b[SN_SEC_BINDING_CHUNKS] = l->bindings.chunks * sizeof(struct sn_chunk);
	size_b[SN_SEC_SUBSCRIBER_CHUNKS] = l->subscribers.chunks * sizeof(struct sn_chunk);
	size_b[SN_SEC_FLOWS] = l->flows.records * sizeof(struct sn_flow);
	size_b[SN_SEC_BINDINGS] = l->bindings.records * sizeof(struct sn_binding);
	size_b[SN_SEC_SUBSCRIBERS] = l->subscribers.records * sizeof(struct sn_subscriber);
	size_b[SN_SEC_ADDRESSES] = g->addresses * sizeof(struct sn_address);
	size_b[SN_SEC_ADDRESS_SLOTS] = l->address_slots * sizeof(uint32_t);
	size_b[SN_SEC_BLOCK_OWNERS] = l->blocks * sizeof(uint64_t);
	size_b[SN_SEC_BLOCKS] = l->blocks * sizeof(struct sn_block);
	size_b[SN_SEC_PORT_BUSY] = ports / 8;
	size_b[SN_SEC_PORT_MAP] = ports * sizeof(uint32_t);
}

/* Small sections start on a cache line, large ones on a page; the whole is hugepages. */
static void place(struct sn_layout *l, const size_t size_b[SN_SEC_COUNT])
{
	size_t at = sizeof(struct sn_header);

	for (int s = 0; s < SN_SEC_COUNT; s++) {
		at = round_up(at, size_b[s] >= PAGE_B ? PAGE_B : SN_CACHE_LINE);
		l->section[s] = at;
		at += size_b[s];
	}
	l->size_b = round_up(at, HUGEPAGE_B);
}

int sn_layout_of(const struct sn_geometry *geo, struct sn_layout *ret)
{
	size_t size_b[SN_SEC_COUNT];
	struct sn_layout l = { 0 };

	if (!possible(geo))
		return -EINVAL;
	l.flows = slab_of(geo->flows, 2, geo->shards);
	l.bindings = slab_of(geo->flows, 1, geo->shards);
	l.subscribers = slab_of(geo->subscribers, 1, geo->shards);
	l.blocks = geo->addresses * (SN_PORT_COUNT / geo->block_size);
	l.address_slots = 2;
	while (l.address_slots < 2 * geo->addresses)
		l.address_slots *= 2;
	sizes_of(geo, &l, size_b);
	place(&l, size_b);
	*ret = l;
	return 0;
}

#define SIZE(type) sizeof(struct type)
#define AT(type, field) offsetof(struct type, field)

uint64_t sn_layout_hash(void)
{
	static const size_t facts[] = {
		SIZE(sn_header),
		AT(sn_header, geometry),
		AT(sn_header, key),
		AT(sn_header, clock),
		AT(sn_header, instance),
		AT(sn_header, flow_chunks_free),
		AT(sn_header, section),
		SN_SEC_COUNT,
		SIZE(sn_geometry),
		AT(sn_geometry, block_size),
		AT(sn_geometry, audits),
		SIZE(sn_hash_key),
		SIZE(sn_clock),
		SIZE(sn_process),
		AT(sn_process, role),
		SN_PROCESSES_MAX,
		SIZE(sn_policy_box),
		AT(sn_policy_box, copy),
		SIZE(sn_policy),
		AT(sn_policy, timeout_ds),
		AT(sn_policy, limits),
		AT(sn_policy, interfaces),
		AT(sn_policy, realms),
		AT(sn_policy, pools),
		AT(sn_policy, rules),
		AT(sn_policy, local_be32),
		SIZE(sn_limits),
		AT(sn_limits, hold_down_ds),
		SIZE(sn_interface),
		AT(sn_interface, mac),
		SIZE(sn_rule),
		AT(sn_rule, pool),
		SIZE(sn_pool),
		SIZE(sn_routing),
		AT(sn_routing, copy),
		AT(sn_routing, neighbours),
		AT(sn_routing, slots),
		SIZE(sn_route),
		AT(sn_route, interface),
		SIZE(sn_neighbour),
		AT(sn_neighbour, mac),
		AT(sn_neighbour, used_ds),
		SIZE(sn_worker_stats),
		AT(sn_worker_stats, verdict),
		AT(sn_worker_stats, frames),
		AT(sn_worker_stats, sleeping),
		AT(sn_worker_stats, ports),
		SIZE(sn_port_stats),
		SN_V_COUNT,
		SIZE(sn_command),
		AT(sn_command, gen),
		SIZE(sn_request),
		SIZE(sn_handoff),
		AT(sn_handoff, offset_b),
		SIZE(sn_ring_ends),
		AT(sn_ring_ends, tail),
		SIZE(sn_shard_state),
		AT(sn_shard_state, hold),
		AT(sn_shard_state, audit_seq),
		AT(sn_shard_state, rebuilding),
		AT(sn_shard_state, rule_hits),
		SIZE(sn_slab_lease),
		AT(sn_slab_lease, live),
		AT(sn_slab_lease, hint),
		SIZE(sn_chunk),
		AT(sn_chunk, live),
		AT(sn_chunk, next),
		AT(sn_chunk, listed),
		AT(sn_chunk, summary),
		AT(sn_chunk, used),
		SIZE(sn_intent),
		AT(sn_intent, commit_where),
		AT(sn_intent, changes),
		AT(sn_intent, note),
		SIZE(sn_intent_note),
		SIZE(sn_index_bucket),
		AT(sn_index_bucket, displaced),
		SIZE(sn_event_head),
		SIZE(sn_event),
		AT(sn_event, epoch),
		AT(sn_event, inside_be32),
		AT(sn_event, proto),
		AT(sn_event, timeout_ds),
		AT(sn_event, packets),
		SIZE(sn_audit),
		AT(sn_audit, inside_be32),
		AT(sn_audit, type),
		AT(sn_audit, block),
		SIZE(sn_flow),
		AT(sn_flow, proto),
		AT(sn_flow, status),
		AT(sn_flow, gen),
		AT(sn_flow, expires_ds),
		AT(sn_flow, packets),
		AT(sn_flow, nexthop),
		AT(sn_flow, tcp),
		AT(sn_flow, start_ds),
		AT(sn_flow, bytes_hi),
		SIZE(sn_tcp_track),
		AT(sn_tcp_track, scales),
		AT(sn_tcp_track, last_ack),
		SIZE(sn_binding),
		AT(sn_binding, block),
		AT(sn_binding, inside_port_be16),
		AT(sn_binding, proto),
		SIZE(sn_subscriber),
		AT(sn_subscriber, flows),
		AT(sn_subscriber, first_block),
		AT(sn_subscriber, ports),
		AT(sn_subscriber, realm),
		AT(sn_subscriber, rate_ds),
		SIZE(sn_address),
		AT(sn_address, state),
		AT(sn_address, claimed),
		SIZE(sn_block),
		AT(sn_block, held),
		SIZE(sn_hold),
		AT(sn_hold, place),
		SIZE(sn_hold_ends),
		AT(sn_hold_ends, forced),
	};
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < SN_ARRAY_LEN(facts); i++)
		h = (h ^ facts[i]) * 0x100000001b3ull;
	return h;
}
