/*
 * shard.c: look-ups, and every change of a shard but the opening of a flow (shard_open.c).
 *
 * Callers: the worker that owns the shard. Each change is one intent (intent.h) whose commit is the head of the event
 * ring (flows), the head of the audit ring (blocks) or the clearing of the slot (subscribers, hold-down).
 */
#include "shard.h"

#include "shard_inner.h"

void sn_shard_join(struct sn_shard *s, struct sn_region *r, uint32_t number)
{
	SN_ASSERT(number < r->geo.shards);
	*s = (struct sn_shard){
		.region = r,
		.number = number,
		.epoch = sn_region_owner(r, number).epoch,
		.state = &r->shards[number],
		.writer = { .base = r->base, .size_b = r->size_b, .intent = sn_region_intent(r, number) },
		.flow_index = sn_region_index(r, SN_SEC_FLOW_INDEX, number),
		.binding_index = sn_region_index(r, SN_SEC_BINDING_INDEX, number),
		.subscriber_index = sn_region_index(r, SN_SEC_SUBSCRIBER_INDEX, number),
		.flows = sn_region_slab(r, SN_SEC_FLOW_CHUNKS, number),
		.bindings = sn_region_slab(r, SN_SEC_BINDING_CHUNKS, number),
		.subscribers = sn_region_slab(r, SN_SEC_SUBSCRIBER_CHUNKS, number),
		.ports = sn_region_ports(r, number),
		.events = sn_region_events(r, number),
		.audits = sn_region_audits(r, number),
	};
}

/* --- look-ups --- */

uint32_t sn_shard_find_inside(const struct sn_shard *s, uint64_t hash, uint8_t realm, uint8_t proto,
			      uint32_t inside_be32, uint16_t inside_port_be16, uint32_t remote_be32,
			      uint16_t remote_port_be16, uint32_t now_ds)
{
	struct sn_index_walk walk;
	uint32_t n;

	sn_index_walk(&s->flow_index, hash, &walk);
	while ((n = sn_index_next(&s->flow_index, &walk)) != SN_NONE) {
		if (n < s->region->flow_count &&
		    sn_shard_is_inside(s, &s->region->flows[n], realm, proto, inside_be32, inside_port_be16,
				       remote_be32, remote_port_be16, now_ds))
			return n;
	}
	return SN_NONE;
}

uint32_t sn_shard_find_outside(const struct sn_shard *s, uint64_t hash, uint8_t proto, uint32_t remote_be32,
			       uint16_t remote_port_be16, uint32_t public_be32, uint16_t public_port_be16,
			       uint32_t now_ds)
{
	struct sn_index_walk walk;
	uint32_t n;

	sn_index_walk(&s->flow_index, hash, &walk);
	while ((n = sn_index_next(&s->flow_index, &walk)) != SN_NONE) {
		if (n < s->region->flow_count &&
		    sn_shard_is_outside(s, &s->region->flows[n], proto, remote_be32, remote_port_be16, public_be32,
					public_port_be16, now_ds))
			return n;
	}
	return SN_NONE;
}

uint32_t sn_shard_find_subscriber(const struct sn_shard *s, uint8_t realm, uint32_t inside_be32)
{
	uint64_t hash = sn_hash_subscriber(&s->region->hdr->key, realm, inside_be32);
	struct sn_index_walk walk;
	uint32_t n;

	sn_index_walk(&s->subscriber_index, hash, &walk);
	while ((n = sn_index_next(&s->subscriber_index, &walk)) != SN_NONE) {
		const struct sn_subscriber *u = sn_subscriber_at(s, n);

		if (u != NULL && u->inside_be32 == inside_be32 && u->realm == realm)
			return n;
	}
	return SN_NONE;
}

uint32_t sn_shard_find_binding_at(const struct sn_shard *s, uint64_t hash, uint32_t subscriber, uint8_t proto,
				  uint16_t inside_port_be16)
{
	struct sn_index_walk walk;
	uint32_t n;

	sn_index_walk(&s->binding_index, hash, &walk);
	while ((n = sn_index_next(&s->binding_index, &walk)) != SN_NONE) {
		const struct sn_binding *b = sn_binding_at(s, n);

		if (b != NULL && b->subscriber == subscriber && b->proto == proto &&
		    b->inside_port_be16 == inside_port_be16)
			return n;
	}
	return SN_NONE;
}

uint32_t sn_shard_find_binding(const struct sn_shard *s, uint32_t subscriber, uint8_t proto, uint16_t inside_port_be16)
{
	const struct sn_subscriber *u = sn_subscriber_at(s, subscriber);
	uint64_t hash;

	if (u == NULL)
		return SN_NONE;
	hash = sn_hash_binding(&s->region->hdr->key, u->realm, proto, u->inside_be32, inside_port_be16);
	return sn_shard_find_binding_at(s, hash, subscriber, proto, inside_port_be16);
}

uint32_t sn_shard_subscriber_of(const struct sn_shard *s, const struct sn_flow *f)
{
	const struct sn_binding *b = sn_binding_at(s, f->binding);

	return b != NULL ? b->subscriber : sn_shard_find_subscriber(s, f->realm, f->inside_be32);
}

/* --- records that go out --- */

void sn_shard_event(const struct sn_shard *s, uint32_t flow, uint32_t subscriber, uint64_t now_ns, struct sn_event *ret)
{
	const struct sn_flow *f = &s->region->flows[flow];
	const struct sn_binding *b = &s->region->bindings[f->binding];

	sn_event_of_flow(ret, f, flow, now_ns);
	ret->epoch = s->epoch;
	ret->subscriber = subscriber;
	if (f->binding < s->region->binding_count && b->subscriber == subscriber)
		ret->block = b->block;
}

void sn_shard_commit(struct sn_shard *s, const struct sn_event *e)
{
	sn_intent_commit_at64(&s->writer, &s->events.head->head, sn_event_head(&s->events) + 1);
	sn_event_publish(&s->events, e);
	sn_intent_clear(&s->writer);
}

void sn_shard_audit(struct sn_shard *s, struct sn_audit *slot, enum sn_audit_type type, uint32_t subscriber,
		    uint32_t block)
{
	const struct sn_subscriber *u = sn_subscriber_at(s, subscriber);
	_Atomic uint32_t *head = &s->audits.ends->head;

	sn_intent_put64(&s->writer, &s->state->audit_seq, s->state->audit_seq + 1);
	*slot = (struct sn_audit){
		.seq = s->state->audit_seq,
		.wall_ns = sn_clock_wall_ns(),
		.epoch = s->epoch,
		.inside_be32 = u != NULL ? u->inside_be32 : 0,
		.public_be32 = s->ports.addresses[sn_ports_block_address(&s->ports, block)].addr_be32,
		.first_port = sn_ports_first_port(&s->ports, block),
		.ports = (uint16_t)s->ports.block_size,
		.type = (uint8_t)type,
		.realm = u != NULL ? u->realm : 0,
		.shard = (uint8_t)s->number,
		.subscriber = subscriber,
		.block = block,
	};
	sn_intent_commit_at32(&s->writer, head, atomic_load_explicit(head, memory_order_relaxed) + 1);
	sn_ring_publish(&s->audits, 1);
	sn_intent_clear(&s->writer);
}

void sn_shard_update(struct sn_shard *s, uint32_t flow, uint8_t change, uint64_t now_ns)
{
	const struct sn_flow *f = sn_flow_at(s, flow);
	struct sn_event e;

	if (f == NULL)
		return;
	sn_shard_event(s, flow, sn_shard_subscriber_of(s, f), now_ns, &e);
	e.type = SN_EVENT_UPDATE;
	e.change = change;
	sn_event_publish(&s->events, &e);
}

/* --- closing a flow --- */

static void lower32(struct sn_writer *w, uint32_t *count)
{
	if (*count > 0)
		sn_intent_put32(w, count, *count - 1);
}

static void unbind(struct sn_shard *s, const struct sn_binding *b, uint32_t number, uint32_t hold_ds, uint32_t now_ds)
{
	enum sn_l4 l4 = sn_l4_of(b->proto);
	uint16_t place = sn_binding_place(s, b);

	if (sn_ports_binding(&s->ports, b->block, l4, place) == number)
		sn_ports_unbind(&s->ports, &s->writer, b->block, l4, place, now_ds, hold_ds);
}

static void drop_binding(struct sn_shard *s, struct sn_binding *b, uint32_t number, uint32_t hold_ds, uint32_t now_ds)
{
	struct sn_subscriber *u = &s->region->subscribers[b->subscriber];

	unbind(s, b, number, hold_ds, now_ds);
	sn_index_remove(&s->binding_index, &s->writer, sn_binding_hash_of(s, u, b), number);
	lower32(&s->writer, &u->ports[sn_l4_of(b->proto)]);
	sn_intent_put32_release(&s->writer, &b->gen, sn_gen_dead(&b->gen));
	if (sn_slab_has(&s->bindings, number))
		sn_slab_give(&s->bindings, &s->writer, number);
}

/* A flow lets its binding go. */
static void let_go(struct sn_shard *s, const struct sn_flow *f, uint32_t hold_ds, uint32_t now_ds)
{
	int32_t left_ds = (int32_t)(atomic_load_explicit(&f->expires_ds, memory_order_relaxed) - now_ds);
	struct sn_binding *b = sn_binding_at(s, f->binding);

	if (b == NULL)
		return;
	if (b->flows <= 1) {
		drop_binding(s, b, f->binding, hold_ds, now_ds);
		return;
	}
	sn_intent_put32(&s->writer, &b->flows, b->flows - 1);
	if (!(f->flags & SN_FLOW_FROM_OUTSIDE))
		sn_shard_use_binding(s, f, now_ds, left_ds > 0 ? (uint32_t)left_ds : 0);
	else if (b->outside_flows > 0)
		sn_intent_put16(&s->writer, &b->outside_flows, (uint16_t)(b->outside_flows - 1));
}

void sn_shard_close(struct sn_shard *s, uint32_t flow, enum sn_reason reason, const struct sn_policy *policy,
		    uint64_t now_ns)
{
	struct sn_flow *f = sn_flow_at(s, flow);
	struct sn_writer *w = &s->writer;
	struct sn_subscriber *u;
	struct sn_event e;

	if (f == NULL || !sn_slab_has(&s->flows, flow))
		return;
	sn_shard_event(s, flow, sn_shard_subscriber_of(s, f), now_ns, &e);
	e.type = SN_EVENT_DESTROY;
	e.reason = (uint8_t)reason;
	sn_intent_begin(w, SN_INTENT_CLOSE, flow, atomic_load_explicit(&f->gen, memory_order_relaxed));
	sn_index_remove(&s->flow_index, w, sn_flow_hash_in(s, f), flow);
	sn_index_remove(&s->flow_index, w, sn_flow_hash_out(s, f), flow);
	let_go(s, f, policy->limits.hold_down_ds, sn_clock_ds(now_ns));
	u = sn_subscriber_at(s, e.subscriber);
	if (u != NULL && !(f->flags & SN_FLOW_FROM_OUTSIDE))
		lower32(w, &u->flows);
	sn_intent_put64(w, &s->state->closed, s->state->closed + 1);
	sn_intent_put32_release(w, &f->gen, sn_gen_dead(&f->gen));
	sn_slab_give(&s->flows, w, flow);
	sn_shard_commit(s, &e);
}

/* --- commands of control --- */

bool sn_shard_expire(struct sn_shard *s, uint32_t flow, uint32_t gen, const struct sn_policy *policy, uint64_t now_ns)
{
	const struct sn_flow *f = sn_flow_at(s, flow);

	if (f == NULL || atomic_load_explicit(&f->gen, memory_order_relaxed) != gen ||
	    sn_shard_in_time(s, f, sn_clock_ds(now_ns)))
		return false;
	sn_shard_close(s, flow, SN_REASON_EXPIRED, policy, now_ns);
	return true;
}

static bool block_is_empty(const struct sn_shard *s, uint32_t block)
{
	const struct sn_block *b = &s->ports.blocks[block];

	return b->held == 0 && b->bound[SN_L4_TCP] == 0 && b->bound[SN_L4_UDP] == 0 && b->bound[SN_L4_ICMP] == 0;
}

/* The word that points at a block in its subscriber's list; NULL if it is not on it. */
static uint32_t *link_to(const struct sn_shard *s, struct sn_subscriber *u, uint32_t block)
{
	uint32_t *link = &u->first_block;

	for (uint32_t i = 0; i < u->blocks && *link < sn_ports_block_count(&s->ports); i++) {
		if (*link == block)
			return link;
		link = &s->ports.blocks[*link].next;
	}
	return NULL;
}

bool sn_shard_return_block(struct sn_shard *s, uint32_t block, uint16_t generation, uint64_t now_ns)
{
	struct sn_block_owner o = sn_ports_owner(&s->ports, block);
	struct sn_writer *w = &s->writer;
	struct sn_subscriber *u;
	struct sn_audit *slot;
	uint32_t *link;

	(void)now_ns; /* the audit record bears the wall clock */
	if (!o.claimed || o.shard != s->number || o.generation != generation || !block_is_empty(s, block))
		return false;
	slot = sn_ring_reserve(&s->audits, 0);
	if (slot == NULL)
		return false;
	u = sn_subscriber_at(s, o.subscriber);
	link = u != NULL ? link_to(s, u, block) : NULL;
	sn_intent_begin(w, SN_INTENT_RETURN, block, generation);
	if (link != NULL) {
		sn_intent_put32(w, link, s->ports.blocks[block].next);
		sn_intent_put16(w, &u->blocks, (uint16_t)(u->blocks - 1));
		if (u->blocks == 0)
			sn_intent_put32(w, &u->address, SN_NONE);
	}
	sn_ports_return(&s->ports, w, block);
	sn_shard_audit(s, slot, SN_AUDIT_BLOCK_RETURNED, o.subscriber, block);
	return true;
}

bool sn_shard_leave(struct sn_shard *s, uint32_t subscriber, uint32_t gen)
{
	struct sn_subscriber *u = sn_subscriber_at(s, subscriber);
	struct sn_writer *w = &s->writer;

	if (u == NULL || atomic_load_explicit(&u->gen, memory_order_relaxed) != gen || u->flows != 0 ||
	    u->blocks != 0 || !sn_slab_has(&s->subscribers, subscriber))
		return false;
	sn_intent_begin(w, SN_INTENT_LEAVE, subscriber, gen);
	sn_index_remove(&s->subscriber_index, w, sn_hash_subscriber(&s->region->hdr->key, u->realm, u->inside_be32),
			subscriber);
	sn_intent_put32_release(w, &u->gen, sn_gen_dead(&u->gen));
	sn_slab_give(&s->subscribers, w, subscriber);
	sn_intent_clear(w);
	return true;
}
