/*
 * shard_rebuild.c: what a successor does first, and the way out when a shard's derived state cannot be trusted.
 *
 * Callers: the worker that takes a shard over. The truth is: chunk and block owner words,
 * and the records whose gen is odd. Indexes, bitmaps, lists and counts follow from them. A record that contradicts what
 * it refers to is dropped. The flag in the state makes a successor start again if this one is killed half way.
 */
#include <string.h>

#include "shard.h"
#include "shard_inner.h"

/* Records of one kind: where they are, and which of them are this shard's. */
struct kind {
	struct sn_slab *slab;
	uint8_t *records;
	size_t size_b;
	size_t gen_at_b;
};

static _Atomic uint32_t *gen_of(const struct kind *k, uint32_t number)
{
	return (_Atomic uint32_t *)(void *)(k->records + number * k->size_b + k->gen_at_b);
}

static void kill_record(_Atomic uint32_t *gen)
{
	atomic_store_explicit(gen, sn_gen_dead(gen), memory_order_release);
}

/* Calls keep for each live record in the shard's chunks; one that it does not keep is dead. Returns how many were kept.
 */
static uint32_t sift(struct sn_shard *s, const struct kind *k, bool (*keep)(struct sn_shard *s, uint32_t number))
{
	uint32_t kept = 0, per = k->slab->chunk_records;

	for (uint32_t c = 0; c < k->slab->chunk_count; c++) {
		if (sn_slab_owner(&k->slab->chunks[c]) != s->number)
			continue;
		for (uint32_t n = c * per; n < (c + 1) * per; n++) {
			if (!sn_alive(gen_of(k, n)))
				continue;
			if (keep(s, n))
				kept++;
			else
				kill_record(gen_of(k, n));
		}
	}
	return kept;
}

static bool index_one(struct sn_shard *s, const struct sn_index *ix, uint64_t hash, uint32_t number)
{
	int err;

	sn_intent_begin(&s->writer, SN_INTENT_OPEN, number, 0);
	err = sn_index_add(ix, &s->writer, hash, number);
	sn_intent_clear(&s->writer);
	return err == 0;
}

static void unindex_one(struct sn_shard *s, const struct sn_index *ix, uint64_t hash, uint32_t number)
{
	sn_intent_begin(&s->writer, SN_INTENT_CLOSE, number, 0);
	sn_index_remove(ix, &s->writer, hash, number);
	sn_intent_clear(&s->writer);
}

/* --- subscribers --- */

static bool keep_subscriber(struct sn_shard *s, uint32_t n)
{
	const struct sn_hash_key *key = &s->region->hdr->key;
	struct sn_subscriber *u = &s->region->subscribers[n];

	if (u->shard != s->number || sn_hash_shard(key, u->realm, u->inside_be32, s->region->geo.shards) != s->number ||
	    sn_shard_find_subscriber(s, u->realm, u->inside_be32) != SN_NONE ||
	    !index_one(s, &s->subscriber_index, sn_hash_subscriber(key, u->realm, u->inside_be32), n))
		return false;
	u->flows = 0;
	u->first_block = SN_NONE;
	u->blocks = 0;
	for (int l4 = 0; l4 < SN_L4_COUNT; l4++)
		u->ports[l4] = 0;
	return true;
}

/* --- blocks and held ports --- */

static void wipe_block(struct sn_shard *s, uint32_t block)
{
	struct sn_block *b = &s->ports.blocks[block];
	size_t ports = (size_t)SN_L4_COUNT * s->ports.block_size;

	memset(sn_ports_busy(&s->ports, block, SN_L4_TCP), 0, ports / 8);
	memset(sn_ports_map(&s->ports, block, SN_L4_TCP), 0, ports * sizeof(uint32_t));
	*b = (struct sn_block){ .next = SN_NONE, .claimed_ds = b->claimed_ds };
}

static void link_block(struct sn_shard *s, struct sn_subscriber *u, uint32_t block)
{
	s->ports.blocks[block].next = u->first_block;
	u->first_block = block;
	u->blocks++;
	if (u->address >= s->ports.address_count)
		u->address = sn_ports_block_address(&s->ports, block);
}

static void rebuild_blocks(struct sn_shard *s)
{
	for (uint32_t block = 0; block < sn_ports_block_count(&s->ports); block++) {
		struct sn_block_owner o = sn_ports_owner(&s->ports, block);
		struct sn_subscriber *u;

		if (!o.claimed || o.shard != s->number)
			continue;
		wipe_block(s, block);
		u = sn_subscriber_at(s, o.subscriber);
		if (u != NULL && u->blocks < UINT16_MAX) {
			link_block(s, u, block);
			continue;
		}
		sn_intent_begin(&s->writer, SN_INTENT_RETURN, block, o.generation);
		sn_ports_return(&s->ports, &s->writer, block);
		sn_intent_clear(&s->writer);
	}
}

static bool mark_busy(struct sn_shard *s, uint32_t block, enum sn_l4 l4, uint16_t place)
{
	uint64_t *word = &sn_ports_busy(&s->ports, block, l4)[place / 64];
	uint64_t bit = 1ull << (place % 64);

	if (*word & bit)
		return false;
	*word |= bit;
	return true;
}

/* A slot that holds nothing is made one that is skipped (its protocol is none). */
static void rebuild_held(struct sn_shard *s)
{
	struct sn_hold_ends *e = &s->state->hold;

	if (e->head - e->tail >= s->ports.hold_count)
		e->head = e->tail = 0;
	for (uint32_t at = e->tail; at != e->head; at++) {
		struct sn_hold *h = &s->ports.hold[at & (s->ports.hold_count - 1)];
		struct sn_block_owner o = sn_ports_owner(&s->ports, h->block);

		if (o.claimed && o.shard == s->number && h->l4 < SN_L4_COUNT && h->place < s->ports.block_size &&
		    mark_busy(s, h->block, h->l4, h->place))
			s->ports.blocks[h->block].held++;
		else
			h->l4 = SN_L4_COUNT;
	}
}

/* --- bindings --- */

static bool keep_binding(struct sn_shard *s, uint32_t n)
{
	struct sn_binding *b = sn_binding_at(s, n);
	struct sn_subscriber *u;
	enum sn_l4 l4;
	uint16_t place;

	if (b == NULL || ntohs(b->public_port_be16) / s->ports.block_size != b->block % s->ports.blocks_per_address ||
	    sn_shard_find_binding(s, b->subscriber, b->proto, b->inside_port_be16) != SN_NONE)
		return false;
	u = &s->region->subscribers[b->subscriber];
	l4 = sn_l4_of(b->proto);
	place = sn_binding_place(s, b);
	if (!mark_busy(s, b->block, l4, place))
		return false;
	sn_ports_map(&s->ports, b->block, l4)[place] = n + 1;
	s->ports.blocks[b->block].bound[l4]++;
	u->ports[l4]++;
	b->flows = 0;
	b->outside_flows = 0;
	/* One that does not fit in the index has no flows either, and goes as unused. */
	index_one(s, &s->binding_index, sn_binding_hash_of(s, u, b), n);
	return true;
}

/* After the flows: a binding that none holds goes, its port free at once. */
static bool keep_used_binding(struct sn_shard *s, uint32_t n)
{
	struct sn_binding *b = &s->region->bindings[n];
	struct sn_subscriber *u = &s->region->subscribers[b->subscriber];
	enum sn_l4 l4 = sn_l4_of(b->proto);
	uint16_t place = sn_binding_place(s, b);

	if (b->flows > 0)
		return true;
	sn_ports_busy(&s->ports, b->block, l4)[place / 64] &= ~(1ull << (place % 64));
	sn_ports_map(&s->ports, b->block, l4)[place] = 0;
	s->ports.blocks[b->block].bound[l4]--;
	u->ports[l4]--;
	unindex_one(s, &s->binding_index, sn_binding_hash_of(s, u, b), n);
	return false;
}

/* --- flows --- */

static bool ends_agree(const struct sn_shard *s, const struct sn_flow *f)
{
	const struct sn_binding *b = sn_binding_at(s, f->binding);
	const struct sn_subscriber *u;

	if (f->flags & SN_FLOW_PASS)
		return f->binding == SN_NONE && f->public_be32 == f->inside_be32;
	if (b == NULL || b->proto != f->proto || b->inside_port_be16 != f->inside_port_be16 ||
	    b->public_port_be16 != f->public_port_be16 ||
	    f->public_be32 != s->ports.addresses[sn_ports_block_address(&s->ports, b->block)].addr_be32)
		return false;
	u = &s->region->subscribers[b->subscriber];
	return u->inside_be32 == f->inside_be32 && u->realm == f->realm &&
	       sn_shard_find_binding(s, b->subscriber, b->proto, b->inside_port_be16) == f->binding;
}

static bool is_double(const struct sn_shard *s, const struct sn_flow *f)
{
	struct sn_index_walk walk;
	uint32_t n;

	sn_index_walk(&s->flow_index, sn_flow_hash_in(s, f), &walk);
	while ((n = sn_index_next(&s->flow_index, &walk)) != SN_NONE) {
		const struct sn_flow *other = sn_flow_at(s, n);

		if (other != NULL && other != f && sn_same_inside(other, f))
			return true;
	}
	return false;
}

static bool index_flow(struct sn_shard *s, const struct sn_flow *f, uint32_t n)
{
	if (!index_one(s, &s->flow_index, sn_flow_hash_in(s, f), n))
		return false;
	if (index_one(s, &s->flow_index, sn_flow_hash_out(s, f), n))
		return true;
	unindex_one(s, &s->flow_index, sn_flow_hash_in(s, f), n);
	return false;
}

static void count_flow(struct sn_shard *s, const struct sn_flow *f)
{
	uint32_t subscriber = sn_shard_subscriber_of(s, f);
	bool outside = f->flags & SN_FLOW_FROM_OUTSIDE;

	if (!(f->flags & SN_FLOW_PASS)) {
		s->region->bindings[f->binding].flows++;
		s->region->bindings[f->binding].outside_flows += outside;
	}
	if (subscriber != SN_NONE && !outside)
		s->region->subscribers[subscriber].flows++;
}

/* Clients hear of a flow that is dropped. */
static bool drop_flow(struct sn_shard *s, uint32_t n)
{
	struct sn_event e;

	sn_event_of_flow(&e, &s->region->flows[n], n, sn_clock_ns(&s->region->hdr->clock));
	e.type = SN_EVENT_DESTROY;
	e.epoch = s->epoch;
	e.block = SN_NONE;
	e.shard = (uint8_t)s->number;
	e.timeout_ds = 0;
	sn_event_publish(&s->events, &e);
	return false;
}

static bool keep_flow(struct sn_shard *s, uint32_t n)
{
	struct sn_flow *f = sn_flow_at(s, n);
	const struct sn_region *r = s->region;

	if (f == NULL || sn_hash_shard(&r->hdr->key, f->realm, f->inside_be32, r->geo.shards) != s->number ||
	    !ends_agree(s, f) || is_double(s, f) || !index_flow(s, f, n))
		return drop_flow(s, n);
	count_flow(s, f);
	return true;
}

/* --- slabs, last: they follow from what was kept --- */

static void enlist_chunk(struct sn_slab *slab, uint32_t number)
{
	struct sn_chunk *c = &slab->chunks[number];

	c->listed = c->summary != ~0ull;
	c->prev = SN_NONE;
	c->next = c->listed ? slab->lease->first : SN_NONE;
	if (!c->listed)
		return;
	if (c->next != SN_NONE)
		slab->chunks[c->next].prev = number;
	slab->lease->first = number;
}

static void recount_chunk(const struct kind *k, uint32_t number)
{
	struct sn_chunk *c = &k->slab->chunks[number];
	uint32_t words = k->slab->chunk_records / 64;

	memset(c->used, 0, sizeof(c->used));
	c->live = 0;
	c->summary = words == 64 ? 0 : ~0ull << words;
	for (uint32_t i = 0; i < k->slab->chunk_records; i++) {
		if (!sn_alive(gen_of(k, number * k->slab->chunk_records + i)))
			continue;
		c->used[i / 64] |= 1ull << (i % 64);
		c->live++;
	}
	for (uint32_t i = 0; i < words; i++)
		if (c->used[i] == ~0ull)
			c->summary |= 1ull << i;
}

static void rebuild_slab(const struct sn_shard *s, const struct kind *k)
{
	struct sn_slab_lease *lease = k->slab->lease;

	lease->first = SN_NONE;
	lease->chunks = lease->live = 0;
	for (uint32_t c = 0; c < k->slab->chunk_count; c++) {
		if (sn_slab_owner(&k->slab->chunks[c]) != s->number)
			continue;
		recount_chunk(k, c);
		enlist_chunk(k->slab, c);
		lease->chunks++;
		lease->live += k->slab->chunks[c].live;
	}
}

static void set_rebuilding(struct sn_shard *s, uint64_t value)
{
	atomic_thread_fence(memory_order_seq_cst);
	__atomic_store_n(&s->state->rebuilding, value, __ATOMIC_SEQ_CST);
	atomic_thread_fence(memory_order_seq_cst);
}

uint32_t sn_shard_rebuild(struct sn_shard *s)
{
	struct sn_region *r = s->region;
	struct kind flows = { &s->flows, (uint8_t *)r->flows, sizeof(*r->flows), offsetof(struct sn_flow, gen) };
	struct kind bindings = { &s->bindings, (uint8_t *)r->bindings, sizeof(*r->bindings),
				 offsetof(struct sn_binding, gen) };
	struct kind subscribers = { &s->subscribers, (uint8_t *)r->subscribers, sizeof(*r->subscribers),
				    offsetof(struct sn_subscriber, gen) };
	uint32_t kept;

	set_rebuilding(s, 1);
	sn_index_reset(&s->flow_index);
	sn_index_reset(&s->binding_index);
	sn_index_reset(&s->subscriber_index);
	sift(s, &subscribers, keep_subscriber);
	rebuild_blocks(s);
	rebuild_held(s);
	sift(s, &bindings, keep_binding);
	kept = sift(s, &flows, keep_flow);
	sift(s, &bindings, keep_used_binding);
	rebuild_slab(s, &flows);
	rebuild_slab(s, &bindings);
	rebuild_slab(s, &subscribers);
	set_rebuilding(s, 0);
	return kept;
}

/* --- take-over --- */

static bool lease_is_sound(const struct sn_slab *slab)
{
	const struct sn_slab_lease *l = slab->lease;

	if (l->chunks > slab->chunk_count || l->live > (uint64_t)l->chunks * slab->chunk_records)
		return false;
	return l->first == SN_NONE ||
	       (l->first < slab->chunk_count && sn_slab_owner(&slab->chunks[l->first]) == slab->shard);
}

static bool heads_are_sound(const struct sn_shard *s)
{
	const struct sn_hold_ends *e = &s->state->hold;

	return s->state->rebuilding == 0 && e->head - e->tail < s->ports.hold_count && lease_is_sound(&s->flows) &&
	       lease_is_sound(&s->bindings) && lease_is_sound(&s->subscribers);
}

int sn_shard_recover(struct sn_shard *s)
{
	int rolled = sn_intent_recover(&s->writer);

	if ((rolled != 0 && rolled != 1 && rolled != -1) || !heads_are_sound(s)) {
		sn_shard_rebuild(s);
		return 2;
	}
	return rolled != 0;
}
