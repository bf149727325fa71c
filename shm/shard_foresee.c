/*
 * shard_foresee.c: brings near what openings and ends of flows will touch, all those of a burst at a time.
 *
 * Callers: the worker that owns the shard, before sn_shard_open() and commands to close. Each step follows one more reference out of lines
 * that the step before has asked for. Nothing here decides or changes anything: a wrong guess costs a slow opening.
 */
#include "shard.h"

#include "shard_inner.h"

/* The number that a slab gives out after `ahead` others, if they are next to each other; SN_NONE if it has no chunk with room. */
static uint32_t next_number(const struct sn_slab *slab, uint32_t ahead)
{
	const struct sn_chunk *c = &slab->chunks[slab->lease->first];
	uint32_t word;

	if (slab->lease->first >= slab->chunk_count || c->summary == ~0ull)
		return SN_NONE;
	word = (uint32_t)__builtin_ctzll(~c->summary);
	return slab->lease->first * slab->chunk_records + word * 64 + (uint32_t)__builtin_ctzll(~c->used[word] | 1ull << 63) +
	       ahead;
}

static void fetch_lines(const void *at, size_t size_b)
{
	for (size_t i = 0; i < size_b; i += SN_CACHE_LINE)
		__builtin_prefetch((const uint8_t *)at + i, 1);
}

static void fetch_event(const struct sn_shard *s, uint32_t ahead)
{
	uint64_t seq = atomic_load_explicit(&s->events.head->head, memory_order_relaxed) + 1 + ahead;

	fetch_lines(&s->events.slots[seq & (s->events.slot_count - 1)], sizeof(struct sn_event));
}

static void fetch_new_records(const struct sn_shard *s, uint32_t ahead)
{
	uint32_t flow = next_number(&s->flows, ahead), binding = next_number(&s->bindings, ahead);

	if (flow < s->region->flow_count)
		fetch_lines(&s->region->flows[flow], sizeof(struct sn_flow));
	if (binding < s->region->binding_count)
		__builtin_prefetch(&s->region->bindings[binding], 1);
	fetch_event(s, ahead);
}

void sn_shard_foresee_keys(const struct sn_shard *s, struct sn_foresight *f, uint32_t ahead)
{
	const struct sn_hash_key *key = &s->region->hdr->key;

	f->subscriber_hash = sn_hash_subscriber(key, f->realm, f->inside_be32);
	f->binding_hash = sn_hash_binding(key, f->realm, f->proto, f->inside_be32, f->inside_port_be16);
	sn_index_prefetch(&s->subscriber_index, f->subscriber_hash);
	sn_index_prefetch(&s->binding_index, f->binding_hash);
	fetch_new_records(s, ahead);
}

void sn_shard_foresee_records(const struct sn_shard *s, struct sn_foresight *f)
{
	f->subscriber = sn_index_guess(&s->subscriber_index, f->subscriber_hash);
	f->binding = sn_index_guess(&s->binding_index, f->binding_hash);
	if (f->subscriber < s->region->subscriber_count)
		__builtin_prefetch(&s->region->subscribers[f->subscriber], 1);
	if (f->binding < s->region->binding_count)
		__builtin_prefetch(&s->region->bindings[f->binding], 1);
	f->port_start = sn_hash_port(&s->region->hdr->key, f->realm, f->inside_be32, f->proto, f->inside_port_be16);
}

static bool has_binding(const struct sn_shard *s, const struct sn_foresight *f)
{
	return f->binding < s->region->binding_count &&
	       s->region->bindings[f->binding].inside_port_be16 == f->inside_port_be16 &&
	       s->region->bindings[f->binding].subscriber == f->subscriber;
}

void sn_shard_foresee_block(const struct sn_shard *s, struct sn_foresight *f)
{
	const struct sn_ports *p = &s->ports;
	enum sn_l4 l4 = sn_l4_of(f->proto);
	uint32_t place = (uint32_t)f->port_start & (p->block_size - 1);

	f->block = SN_NONE;
	if (f->subscriber >= s->region->subscriber_count || l4 == SN_L4_COUNT)
		return;
	if (!has_binding(s, f))
		f->binding = SN_NONE;
	f->block = f->binding != SN_NONE ? s->region->bindings[f->binding].block
					 : s->region->subscribers[f->subscriber].first_block;
	if (f->block >= sn_ports_block_count(p)) {
		f->block = SN_NONE;
		return;
	}
	__builtin_prefetch(&p->owners[f->block]);
	__builtin_prefetch(&p->blocks[f->block], 1);
	if (f->binding != SN_NONE)
		return;
	__builtin_prefetch(&sn_ports_busy(p, f->block, l4)[place / 64], 1);
	__builtin_prefetch(&sn_ports_map(p, f->block, l4)[place], 1);
}

/* The port that the binding has, or that a new one will get if no other takes it first; host byte order. */
static uint16_t port_of(const struct sn_shard *s, const struct sn_foresight *f)
{
	uint32_t place = (uint32_t)f->port_start & (s->ports.block_size - 1);
	uint64_t clear;

	if (f->binding != SN_NONE)
		return ntohs(s->region->bindings[f->binding].public_port_be16);
	clear = ~sn_ports_busy(&s->ports, f->block, sn_l4_of(f->proto))[place / 64] & ~0ull << place % 64;
	if (clear != 0)
		place = (place & ~63u) + (uint32_t)__builtin_ctzll(clear);
	return (uint16_t)(sn_ports_first_port(&s->ports, f->block) + place);
}

void sn_shard_foresee_port(const struct sn_shard *s, const struct sn_foresight *f)
{
	uint32_t public_be32;

	if (f->block == SN_NONE)
		return;
	public_be32 = s->ports.addresses[sn_ports_block_address(&s->ports, f->block)].addr_be32;
	sn_index_prefetch(&s->flow_index,
			  sn_hash_flow_outside(&s->region->hdr->key, f->proto, f->remote_be32, f->remote_port_be16,
					       public_be32, htons(port_of(s, f))));
}

/* --- ends --- */

void sn_shard_foresee_end(const struct sn_shard *s, uint32_t flow)
{
	if (flow < s->region->flow_count)
		fetch_lines(&s->region->flows[flow], sizeof(struct sn_flow));
}

void sn_shard_foresee_end_keys(const struct sn_shard *s, uint32_t flow, uint32_t ahead)
{
	const struct sn_flow *f = sn_flow_at(s, flow);

	if (f == NULL)
		return;
	sn_index_prefetch(&s->flow_index, sn_flow_hash_in(s, f));
	sn_index_prefetch(&s->flow_index, sn_flow_hash_out(s, f));
	sn_index_prefetch(&s->binding_index, sn_hash_binding(&s->region->hdr->key, f->realm, f->proto, f->inside_be32,
							     f->inside_port_be16));
	if (f->binding < s->region->binding_count)
		__builtin_prefetch(&s->region->bindings[f->binding], 1);
	fetch_event(s, ahead);
}

void sn_shard_foresee_end_port(const struct sn_shard *s, uint32_t flow)
{
	const struct sn_flow *f = sn_flow_at(s, flow);
	const struct sn_binding *b;
	enum sn_l4 l4;
	uint16_t place;

	if (f == NULL || f->binding >= s->region->binding_count)
		return;
	b = &s->region->bindings[f->binding];
	l4 = sn_l4_of(f->proto);
	if (b->subscriber >= s->region->subscriber_count || b->block >= sn_ports_block_count(&s->ports) || l4 == SN_L4_COUNT)
		return;
	place = sn_binding_place(s, b);
	__builtin_prefetch(&s->region->subscribers[b->subscriber], 1);
	__builtin_prefetch(&s->ports.owners[b->block]);
	__builtin_prefetch(&s->ports.blocks[b->block], 1);
	__builtin_prefetch(&sn_ports_busy(&s->ports, b->block, l4)[place / 64], 1);
	__builtin_prefetch(&sn_ports_map(&s->ports, b->block, l4)[place], 1);
}
