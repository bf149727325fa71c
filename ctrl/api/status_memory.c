/* status_memory.c: what the region costs, by section, and how full its tables are. */
#include "answer.h"

static const char *const section_names[SN_SEC_COUNT] = {
	[SN_SEC_PROCESSES] = "processes",
	[SN_SEC_OWNERS] = "shard-owners",
	[SN_SEC_POLICY] = "policy",
	[SN_SEC_ROUTING] = "routing",
	[SN_SEC_STATS] = "worker-counters",
	[SN_SEC_COMMANDS] = "command-rings",
	[SN_SEC_REQUESTS] = "request-rings",
	[SN_SEC_HANDOFF] = "hand-off-rings",
	[SN_SEC_SHARDS] = "shards",
	[SN_SEC_INTENTS] = "intents",
	[SN_SEC_FLOW_INDEX] = "flow-index",
	[SN_SEC_BINDING_INDEX] = "binding-index",
	[SN_SEC_SUBSCRIBER_INDEX] = "subscriber-index",
	[SN_SEC_EVENTS] = "event-rings",
	[SN_SEC_AUDITS] = "audit-rings",
	[SN_SEC_HOLDS] = "hold-rings",
	[SN_SEC_FLOW_CHUNKS] = "flow-chunks",
	[SN_SEC_BINDING_CHUNKS] = "binding-chunks",
	[SN_SEC_SUBSCRIBER_CHUNKS] = "subscriber-chunks",
	[SN_SEC_FLOWS] = "flows",
	[SN_SEC_BINDINGS] = "bindings",
	[SN_SEC_SUBSCRIBERS] = "subscribers",
	[SN_SEC_ADDRESSES] = "pool-addresses",
	[SN_SEC_ADDRESS_SLOTS] = "pool-address-index",
	[SN_SEC_BLOCK_OWNERS] = "block-owners",
	[SN_SEC_BLOCKS] = "blocks",
	[SN_SEC_PORT_BUSY] = "port-bitmaps",
	[SN_SEC_PORT_MAP] = "port-map",
};

static const char *backing_name(uint32_t backing)
{
	static const char *const names[] = {
		[SN_BACKING_MEMORY] = "memory",
		[SN_BACKING_HUGETLB] = "hugetlb",
		[SN_BACKING_TMPFS] = "tmpfs",
	};

	return backing < SN_ARRAY_LEN(names) ? names[backing] : "?";
}

static void fill_slab(const char *name, uint32_t records, uint32_t chunk_records, uint32_t free_chunks, uint64_t live,
		      Shardnat__Slab *ret)
{
	ret->name = sn_text(name);
	ret->records = records;
	ret->chunks = chunk_records ? records / chunk_records : 0;
	ret->chunks_free = free_chunks;
	ret->live = live;
}

static void fill_slabs(const struct sn_region *r, struct sn_arena *a, Shardnat__StatusReply *ret)
{
	uint64_t flows = 0, bindings = 0, subscribers = 0;

	for (uint32_t i = 0; i < r->geo.shards; i++) {
		flows += r->shards[i].flows.live;
		bindings += r->shards[i].bindings.live;
		subscribers += r->shards[i].subscribers.live;
	}
	SN_TAKE_LIST(a, ret->slabs, (size_t)3, Shardnat__Slab, shardnat__slab__init);
	ret->n_slabs = 3;
	fill_slab("flows", r->flow_count, r->flow_chunk_records, r->hdr->flow_chunks_free, flows, ret->slabs[0]);
	fill_slab("bindings", r->binding_count, r->binding_chunk_records, r->hdr->binding_chunks_free, bindings,
		  ret->slabs[1]);
	fill_slab("subscribers", r->subscriber_count, r->subscriber_chunk_records, r->hdr->subscriber_chunks_free,
		  subscribers, ret->slabs[2]);
}

void sn_status_memory(struct sn_view *v, struct sn_arena *a, Shardnat__StatusReply *ret)
{
	const struct sn_region *r = v->region;
	Shardnat__Memory *m = sn_arena_take(a, 1, sizeof(*m));

	shardnat__memory__init(m);
	m->bytes = r->hdr->size_b;
	m->backing = sn_text(backing_name(r->hdr->backing));
	m->hugepages_added = r->hdr->hugepages_added;
	SN_TAKE_LIST(a, m->sections, (size_t)SN_SEC_COUNT, Shardnat__Section, shardnat__section__init);
	m->n_sections = SN_SEC_COUNT;
	for (int i = 0; i < SN_SEC_COUNT; i++) {
		m->sections[i]->name = sn_text(section_names[i]);
		m->sections[i]->bytes = sn_region_section_b(r, (enum sn_section)i);
	}
	ret->memory = m;
	fill_slabs(r, a, ret);
}
