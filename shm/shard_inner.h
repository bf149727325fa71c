/*
 * shard_inner.h: what shard.c, shard_open.c and shard_rebuild.c share. Private to them and to check.c.
 *
 * Numbers that come out of the region go through the *_at() functions here: NULL for whatever cannot be.
 */
#ifndef SN_SHARD_INNER_H
#define SN_SHARD_INNER_H

#include <arpa/inet.h>

#include "shard.h"

static inline bool sn_alive(const _Atomic uint32_t *gen)
{
	return atomic_load_explicit(gen, memory_order_relaxed) & 1;
}

/* The gen of a record that comes alive, and of one that goes. */
static inline uint32_t sn_gen_born(const _Atomic uint32_t *gen)
{
	return (atomic_load_explicit(gen, memory_order_relaxed) + 1) | 1;
}

static inline uint32_t sn_gen_dead(const _Atomic uint32_t *gen)
{
	return (atomic_load_explicit(gen, memory_order_relaxed) + 1) & ~1u;
}

/*
 * Gives a dead record its new body. Readers of what was there before, who may be copying it still, see the gen of its
 * death before any of this (region.c).
 */
static inline void sn_fill(void *record, const void *body, size_t size_b)
{
	atomic_thread_fence(memory_order_release);
	sn_copy_words(record, body, size_b);
}

/* A live record of this shard, or NULL. */
static inline struct sn_flow *sn_flow_at(const struct sn_shard *s, uint32_t number)
{
	struct sn_flow *f = &s->region->flows[number];

	return number < s->region->flow_count && sn_alive(&f->gen) && f->shard == s->number ? f : NULL;
}

static inline struct sn_subscriber *sn_subscriber_at(const struct sn_shard *s, uint32_t number)
{
	struct sn_subscriber *u = &s->region->subscribers[number];

	return number < s->region->subscriber_count && sn_alive(&u->gen) && u->shard == s->number ? u : NULL;
}

static inline bool sn_block_is_ours(const struct sn_shard *s, uint32_t block, uint32_t subscriber)
{
	struct sn_block_owner o = sn_ports_owner(&s->ports, block);

	return o.claimed && o.shard == s->number && o.subscriber == subscriber;
}

static inline struct sn_binding *sn_binding_at(const struct sn_shard *s, uint32_t number)
{
	struct sn_binding *b = &s->region->bindings[number];

	if (number >= s->region->binding_count || !sn_alive(&b->gen) || sn_l4_of(b->proto) == SN_L4_COUNT)
		return NULL;
	return sn_subscriber_at(s, b->subscriber) && sn_block_is_ours(s, b->block, b->subscriber) ? b : NULL;
}

/* Place of a binding's public port in its block. */
static inline uint16_t sn_binding_place(const struct sn_shard *s, const struct sn_binding *b)
{
	return (uint16_t)(ntohs(b->public_port_be16) & (s->ports.block_size - 1));
}

static inline uint64_t sn_flow_hash_in(const struct sn_shard *s, const struct sn_flow *f)
{
	return sn_hash_flow_inside(&s->region->hdr->key, f->realm, f->proto, f->inside_be32, f->inside_port_be16,
				   f->remote_be32, f->remote_port_be16);
}

static inline uint64_t sn_flow_hash_out(const struct sn_shard *s, const struct sn_flow *f)
{
	return sn_hash_flow_outside(&s->region->hdr->key, f->proto, f->remote_be32, f->remote_port_be16, f->public_be32,
				    f->public_port_be16);
}

static inline uint64_t sn_binding_hash_of(const struct sn_shard *s, const struct sn_subscriber *u,
					  const struct sn_binding *b)
{
	return sn_hash_binding(&s->region->hdr->key, u->realm, b->proto, u->inside_be32, b->inside_port_be16);
}

static inline bool sn_same_inside(const struct sn_flow *a, const struct sn_flow *b)
{
	return a->inside_be32 == b->inside_be32 && a->remote_be32 == b->remote_be32 &&
	       a->inside_port_be16 == b->inside_port_be16 && a->remote_port_be16 == b->remote_port_be16 &&
	       a->proto == b->proto && a->realm == b->realm;
}

/* The subscriber of a live flow, SN_NONE if it is gone (a flow from outside that is passed does not keep it). */
uint32_t sn_shard_subscriber_of(const struct sn_shard *s, const struct sn_flow *f);

/* sn_shard_find_binding() of a live subscriber, by the hash. */
uint32_t sn_shard_find_binding_at(const struct sn_shard *s, uint64_t hash, uint32_t subscriber, uint8_t proto,
				  uint16_t inside_port_be16);

/* Publishes the event as the commit of the open change, and clears the slot. */
void sn_shard_commit(struct sn_shard *s, const struct sn_event *e);

/* An event about a live flow, all but type, change and reason. subscriber: the flow's, SN_NONE if it is gone. */
void sn_shard_event(const struct sn_shard *s, uint32_t flow, uint32_t subscriber, uint64_t now_ns, struct sn_event *ret);

/* Fills and publishes the audit record reserved in slot, as the commit of the open change; the slot is cleared. */
void sn_shard_audit(struct sn_shard *s, struct sn_audit *slot, enum sn_audit_type type, uint32_t subscriber,
		    uint32_t block);

#endif
