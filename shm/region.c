/*
 * region.c: makes and joins the region, and finds its parts.
 *
 * Callers: the supervisor formats; every process joins. Format writes only what is not zero: fresh pages are zero, and
 * zero means free, dead or empty wherever there are many of something. A view keeps its own checked copy of geometry
 * and offsets, so that no word that changes later in the header leads it astray.
 */
#include "region.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "layout.h"

#define READ_TRIES 8

size_t sn_region_footprint(const struct sn_geometry *geo)
{
	struct sn_layout l;

	return sn_layout_of(geo, &l) == 0 ? l.size_b : 0;
}

size_t sn_region_section_b(const struct sn_region *r, enum sn_section s)
{
	uint64_t end = s + 1 < SN_SEC_COUNT ? r->section[s + 1] : r->size_b;

	return end - r->section[s];
}

static void read_boot_id(uint64_t ret_id[2])
{
	unsigned int part[5] = { 0 };
	unsigned long long node = 0;
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	ret_id[0] = ret_id[1] = 0;
	if (f == NULL)
		return;
	if (fscanf(f, "%8x-%4x-%4x-%4x-%12llx", &part[0], &part[1], &part[2], &part[3], &node) == 5) {
		ret_id[0] = (uint64_t)part[0] << 32 | (part[1] & 0xffff) << 16 | (part[2] & 0xffff);
		ret_id[1] = (uint64_t)part[3] << 48 | node;
	}
	fclose(f);
}

static int fill_header(struct sn_header *h, const struct sn_geometry *geo, const struct sn_layout *l,
		       const char *instance)
{
	if (getrandom(&h->key, sizeof(h->key), 0) != (ssize_t)sizeof(h->key))
		return -EIO;
	h->abi_major = SN_ABI_MAJOR;
	h->abi_minor = SN_ABI_MINOR;
	h->layout_hash = sn_layout_hash();
	h->size_b = l->size_b;
	read_boot_id(h->boot_id);
	h->created_wall_ns = sn_clock_wall_ns();
	h->geometry = *geo;
	snprintf(h->instance, sizeof(h->instance), "%s", instance);
	atomic_store_explicit(&h->flow_chunks_free, l->flows.chunks, memory_order_relaxed);
	atomic_store_explicit(&h->binding_chunks_free, l->bindings.chunks, memory_order_relaxed);
	atomic_store_explicit(&h->subscriber_chunks_free, l->subscribers.chunks, memory_order_relaxed);
	for (int s = 0; s < SN_SEC_COUNT; s++)
		h->section[s] = l->section[s];
	return 0;
}

static void take_layout(struct sn_region *r, const struct sn_layout *l)
{
	for (int s = 0; s < SN_SEC_COUNT; s++)
		r->section[s] = l->section[s];
	r->flow_count = l->flows.records;
	r->binding_count = l->bindings.records;
	r->subscriber_count = l->subscribers.records;
	r->flow_chunk_records = l->flows.chunk_records;
	r->binding_chunk_records = l->bindings.chunk_records;
	r->subscriber_chunk_records = l->subscribers.chunk_records;
	r->flow_buckets = l->flows.buckets;
	r->binding_buckets = l->bindings.buckets;
	r->subscriber_buckets = l->subscribers.buckets;
}

static void *at(const struct sn_region *r, enum sn_section s)
{
	return r->base + r->section[s];
}

static struct sn_region view(void *mem, const struct sn_geometry *geo, const struct sn_layout *l, bool writable)
{
	struct sn_region r = { .base = mem, .size_b = l->size_b, .writable = writable, .hdr = mem, .geo = *geo };

	take_layout(&r, l);
	r.processes = at(&r, SN_SEC_PROCESSES);
	r.owners = at(&r, SN_SEC_OWNERS);
	r.policy = at(&r, SN_SEC_POLICY);
	r.routing = at(&r, SN_SEC_ROUTING);
	r.stats = at(&r, SN_SEC_STATS);
	r.shards = at(&r, SN_SEC_SHARDS);
	r.flows = at(&r, SN_SEC_FLOWS);
	r.bindings = at(&r, SN_SEC_BINDINGS);
	r.subscribers = at(&r, SN_SEC_SUBSCRIBERS);
	r.flow_chunks = at(&r, SN_SEC_FLOW_CHUNKS);
	r.binding_chunks = at(&r, SN_SEC_BINDING_CHUNKS);
	r.subscriber_chunks = at(&r, SN_SEC_SUBSCRIBER_CHUNKS);
	return r;
}

static void format_shard(const struct sn_region *r, uint32_t shard, const struct sn_layout *l)
{
	struct sn_shard_owner nobody = { .worker = SN_NONE, .epoch = 0 };
	struct sn_shard_state *st = &r->shards[shard];
	uint32_t shards = r->geo.shards;

	atomic_store_explicit(&r->owners[shard], sn_shard_owner_pack(nobody), memory_order_relaxed);
	sn_slab_lease_format(&st->flows, shard, shards, l->flows.chunks);
	sn_slab_lease_format(&st->bindings, shard, shards, l->bindings.chunks);
	sn_slab_lease_format(&st->subscribers, shard, shards, l->subscribers.chunks);
	sn_ring_format(sn_region_audits(r, shard).ends);
}

static void format_worker(const struct sn_region *r, uint32_t worker)
{
	sn_ring_format(sn_region_commands(r, worker).ends);
	sn_ring_format(sn_region_requests(r, worker).ends);
	for (uint32_t to = 0; to < r->geo.workers; to++)
		sn_ring_format(sn_region_handoff(r, worker, to).ends);
}

int sn_region_format(void *mem, size_t size_b, const struct sn_geometry *geo, const char *instance)
{
	struct sn_layout l;
	struct sn_region r;
	int err = sn_layout_of(geo, &l);

	if (err != 0)
		return err;
	if (size_b < l.size_b)
		return -ENOMEM;
	err = fill_header(mem, geo, &l, instance);
	if (err != 0)
		return err;
	r = view(mem, geo, &l, true);
	sn_slab_format(r.flow_chunks, l.flows.chunks, l.flows.chunk_records);
	sn_slab_format(r.binding_chunks, l.bindings.chunks, l.bindings.chunk_records);
	sn_slab_format(r.subscriber_chunks, l.subscribers.chunks, l.subscribers.chunk_records);
	for (uint32_t i = 0; i < geo->shards; i++)
		format_shard(&r, i, &l);
	for (uint32_t i = 0; i < geo->workers; i++)
		format_worker(&r, i);
	atomic_store_explicit(&r.hdr->magic, SN_MAGIC, memory_order_release);
	return 0;
}

static bool same_sections(const struct sn_header *h, const struct sn_layout *l)
{
	for (int s = 0; s < SN_SEC_COUNT; s++)
		if (h->section[s] != l->section[s])
			return false;
	return true;
}

int sn_region_join(void *mem, size_t size_b, bool writable, struct sn_region *ret)
{
	const struct sn_header *h = mem;
	struct sn_geometry geo;
	struct sn_layout l;

	if (size_b < sizeof(*h) || atomic_load_explicit(&h->magic, memory_order_acquire) != SN_MAGIC)
		return SN_JOIN_GARBAGE;
	if (h->abi_major != SN_ABI_MAJOR || h->abi_minor != SN_ABI_MINOR || h->layout_hash != sn_layout_hash())
		return SN_JOIN_ABI;
	geo = h->geometry;
	if (sn_layout_of(&geo, &l) != 0 || l.size_b != h->size_b || l.size_b > size_b || !same_sections(h, &l))
		return SN_JOIN_SIZE;
	*ret = view(mem, &geo, &l, writable);
	return 0;
}

const char *sn_join_error_text(int error)
{
	switch (error) {
	case 0:
		return "no error";
	case SN_JOIN_GARBAGE:
		return "it is not a shardnat region, or one whose making was never finished";
	case SN_JOIN_ABI:
		return "it was made by another version of shardnat";
	case SN_JOIN_SIZE:
		return "its header does not agree with its size: it is damaged or truncated";
	default:
		return "unknown error";
	}
}

static struct sn_ring ring_at(const struct sn_region *r, enum sn_section s, uint32_t number, uint32_t slots,
			      uint32_t slot_b)
{
	return sn_ring_join(r->base + r->section[s] + number * sn_ring_footprint(slots, slot_b), slots, slot_b);
}

struct sn_ring sn_region_commands(const struct sn_region *r, uint32_t worker)
{
	SN_ASSERT(worker < r->geo.workers);
	return ring_at(r, SN_SEC_COMMANDS, worker, r->geo.commands, sizeof(struct sn_command));
}

struct sn_ring sn_region_requests(const struct sn_region *r, uint32_t worker)
{
	SN_ASSERT(worker < r->geo.workers);
	return ring_at(r, SN_SEC_REQUESTS, worker, r->geo.commands, sizeof(struct sn_request));
}

struct sn_ring sn_region_handoff(const struct sn_region *r, uint32_t from, uint32_t to)
{
	SN_ASSERT(from < r->geo.workers && to < r->geo.workers);
	return ring_at(r, SN_SEC_HANDOFF, from * r->geo.workers + to, r->geo.handoff, sizeof(struct sn_handoff));
}

struct sn_ring sn_region_audits(const struct sn_region *r, uint32_t shard)
{
	SN_ASSERT(shard < r->geo.shards);
	return ring_at(r, SN_SEC_AUDITS, shard, r->geo.audits, sizeof(struct sn_audit));
}

struct sn_event_ring sn_region_events(const struct sn_region *r, uint32_t shard)
{
	size_t one_b = sizeof(struct sn_event_head) + (size_t)r->geo.events * sizeof(struct sn_event);
	uint8_t *mem = r->base + r->section[SN_SEC_EVENTS] + shard * one_b;

	SN_ASSERT(shard < r->geo.shards);
	return (struct sn_event_ring){ .head = (struct sn_event_head *)mem,
				       .slots = (struct sn_event *)(mem + sizeof(struct sn_event_head)),
				       .slot_count = r->geo.events };
}

struct sn_intent *sn_region_intent(const struct sn_region *r, uint32_t shard)
{
	SN_ASSERT(shard < r->geo.shards);
	return (struct sn_intent *)(r->base + r->section[SN_SEC_INTENTS] + shard * sn_layout_intent_b());
}

struct sn_index sn_region_index(const struct sn_region *r, enum sn_section s, uint32_t shard)
{
	uint32_t buckets = s == SN_SEC_FLOW_INDEX      ? r->flow_buckets
			   : s == SN_SEC_BINDING_INDEX ? r->binding_buckets
						       : r->subscriber_buckets;
	uint32_t records = s == SN_SEC_FLOW_INDEX      ? r->flow_count
			   : s == SN_SEC_BINDING_INDEX ? r->binding_count
						       : r->subscriber_count;

	SN_ASSERT(shard < r->geo.shards);
	return (struct sn_index){ .buckets = (struct sn_index_bucket *)at(r, s) + (size_t)shard * buckets,
				  .bucket_count = buckets,
				  .number_bits = sn_index_number_bits(records) };
}

struct sn_slab sn_region_slab(const struct sn_region *r, enum sn_section s, uint32_t shard)
{
	struct sn_shard_state *st = &r->shards[shard];

	SN_ASSERT(shard < r->geo.shards);
	if (s == SN_SEC_FLOW_CHUNKS)
		return (struct sn_slab){ r->flow_chunks,
					 &st->flows,
					 &r->hdr->flow_chunks_free,
					 r->flow_count / r->flow_chunk_records,
					 r->flow_chunk_records,
					 shard };
	if (s == SN_SEC_BINDING_CHUNKS)
		return (struct sn_slab){ r->binding_chunks,
					 &st->bindings,
					 &r->hdr->binding_chunks_free,
					 r->binding_count / r->binding_chunk_records,
					 r->binding_chunk_records,
					 shard };
	return (struct sn_slab){ r->subscriber_chunks,
				 &st->subscribers,
				 &r->hdr->subscriber_chunks_free,
				 r->subscriber_count / r->subscriber_chunk_records,
				 r->subscriber_chunk_records,
				 shard };
}

struct sn_ports sn_region_ports(const struct sn_region *r, uint32_t shard)
{
	struct sn_ports p = {
		.addresses = at(r, SN_SEC_ADDRESSES),
		.address_slots = at(r, SN_SEC_ADDRESS_SLOTS),
		.owners = at(r, SN_SEC_BLOCK_OWNERS),
		.blocks = at(r, SN_SEC_BLOCKS),
		.busy = at(r, SN_SEC_PORT_BUSY),
		.map = at(r, SN_SEC_PORT_MAP),
		.address_count = r->geo.addresses,
		.address_slot_count = 2,
		.block_size = r->geo.block_size,
		.block_shift = (uint32_t)__builtin_ctz(r->geo.block_size),
		.blocks_per_address = SN_PORT_COUNT / r->geo.block_size,
	};

	while (p.address_slot_count < 2 * p.address_count)
		p.address_slot_count *= 2;
	if (shard == SN_NONE)
		return p;
	SN_ASSERT(shard < r->geo.shards);
	p.hold_ends = &r->shards[shard].hold;
	p.hold = (struct sn_hold *)at(r, SN_SEC_HOLDS) + (size_t)shard * r->geo.held_ports;
	p.hold_count = r->geo.held_ports;
	return p;
}

/* Copies a record whose gen is the same odd number before and after. */
static bool read_record(void *ret, const void *record, size_t size_b, const _Atomic uint32_t *gen)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t before = atomic_load_explicit(gen, memory_order_acquire);

		if ((before & 1) == 0)
			return false;
		sn_copy_words(ret, record, size_b);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(gen, memory_order_relaxed) == before)
			return true;
	}
	return false;
}

bool sn_region_read_flow(const struct sn_region *r, uint32_t number, struct sn_flow *ret)
{
	const struct sn_flow *f = &r->flows[number];

	return number < r->flow_count && read_record(ret, f, sizeof(*f), &f->gen);
}

bool sn_region_read_binding(const struct sn_region *r, uint32_t number, struct sn_binding *ret)
{
	const struct sn_binding *b = &r->bindings[number];

	return number < r->binding_count && read_record(ret, b, sizeof(*b), &b->gen);
}

bool sn_region_read_subscriber(const struct sn_region *r, uint32_t number, struct sn_subscriber *ret)
{
	const struct sn_subscriber *s = &r->subscribers[number];

	return number < r->subscriber_count && read_record(ret, s, sizeof(*s), &s->gen);
}
