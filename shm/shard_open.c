/*
 * shard_open.c: opening a flow, with all that has to be there for it.
 *
 *     subscriber (SUBSCRIBE) -> limits -> binding found | port in a block of his | new block (CLAIM) -> flow (OPEN)
 *
 * Each of the three is an intent of its own. Nothing that another process reads is true before its commit; a refusal
 * leaves at most an empty subscriber or block behind, which control's sweep has returned.
 */
#include "shard.h"

#include "shard_inner.h"

/* One opening under way. */
struct opening {
	const struct sn_open *o;
	const struct sn_limits *limits;
	uint32_t now_ds;
	uint32_t subscriber;
	struct sn_subscriber *u;
	uint32_t binding; /* SN_NONE for pass */
	bool fresh;       /* the binding is made by this opening */
	uint16_t tokens;  /* of the subscriber's rate, now */
	uint64_t hash_in;      /* of the flow's key seen from inside */
	uint64_t hash_binding; /* of the binding's, from inside */
};

static bool from_outside(const struct opening *q)
{
	return q->o->flow.flags & SN_FLOW_FROM_OUTSIDE;
}

static bool passes(const struct opening *q)
{
	return q->o->flow.flags & SN_FLOW_PASS;
}

/* --- the subscriber --- */

static uint16_t rate_burst(const struct sn_limits *l)
{
	return (uint16_t)SN_MIN(l->flow_rate, UINT16_MAX);
}

static void fill_subscriber(const struct sn_shard *s, const struct opening *q, struct sn_subscriber *u)
{
	struct sn_subscriber fresh = {
		.inside_be32 = q->o->flow.inside_be32,
		.address = SN_NONE,
		.first_block = SN_NONE,
		.pool = q->o->pool,
		.realm = q->o->flow.realm,
		.shard = (uint8_t)s->number,
		.rate_tokens = rate_burst(q->limits),
		.rate_ds = q->now_ds,
	};

	atomic_init(&fresh.gen, atomic_load_explicit(&u->gen, memory_order_relaxed));
	sn_fill(u, &fresh, sizeof(fresh));
}

static uint32_t subscribe(struct sn_shard *s, const struct opening *q)
{
	const struct sn_flow *f = &q->o->flow;
	struct sn_writer *w = &s->writer;
	struct sn_subscriber *u;
	uint32_t n;

	sn_intent_begin(w, SN_INTENT_SUBSCRIBE, SN_NONE, 0);
	if (sn_slab_take(&s->subscribers, w, &n) != 0)
		goto fail;
	w->intent->record = n;
	u = &s->region->subscribers[n];
	fill_subscriber(s, q, u);
	if (sn_index_add(&s->subscriber_index, w, sn_hash_subscriber(&s->region->hdr->key, f->realm, f->inside_be32),
			 n) != 0)
		goto fail;
	sn_intent_put32_release(w, &u->gen, sn_gen_born(&u->gen));
	sn_intent_clear(w);
	return n;
fail:
	sn_intent_undo(w);
	return SN_NONE;
}

/* The subscriber that was foreseen, if it is the right one. */
static uint32_t foreseen_subscriber(const struct sn_shard *s, const struct opening *q)
{
	const struct sn_flow *f = &q->o->flow;
	const struct sn_subscriber *u = q->o->seen ? sn_subscriber_at(s, q->o->seen->subscriber) : NULL;

	return u != NULL && u->inside_be32 == f->inside_be32 && u->realm == f->realm ? q->o->seen->subscriber : SN_NONE;
}

static enum sn_verdict find_subscriber(struct sn_shard *s, struct opening *q)
{
	q->subscriber = foreseen_subscriber(s, q);
	if (q->subscriber == SN_NONE)
		q->subscriber = sn_shard_find_subscriber(s, q->o->flow.realm, q->o->flow.inside_be32);
	if (q->subscriber == SN_NONE && from_outside(q) && !passes(q))
		return SN_V_NO_BINDING;
	if (q->subscriber == SN_NONE)
		q->subscriber = subscribe(s, q);
	if (q->subscriber == SN_NONE)
		return SN_V_TABLE_FULL;
	q->u = &s->region->subscribers[q->subscriber];
	return SN_V_FORWARD;
}

/* --- limits --- */

/* Whole flows the subscriber may open now: those it has and those of the time since, exact over any number of calls. */
static uint16_t rate_tokens(const struct opening *q)
{
	uint64_t rate = q->limits->flow_rate, passed = q->now_ds - q->u->rate_ds;
	uint64_t earned;

	if ((int32_t)passed < 0)
		passed = 0;
	earned = (q->u->rate_ds * rate % 10 + passed * rate) / 10;
	return (uint16_t)SN_MIN(q->u->rate_tokens + earned, rate_burst(q->limits));
}

static enum sn_verdict check_subscriber(struct opening *q)
{
	const struct sn_limits *l = q->limits;

	if (from_outside(q))
		return SN_V_FORWARD;
	if (l->flows != 0 && q->u->flows >= l->flows)
		return SN_V_QUOTA_FLOWS;
	q->tokens = rate_tokens(q);
	return l->flow_rate != 0 && q->tokens == 0 ? SN_V_QUOTA_RATE : SN_V_FORWARD;
}

static enum sn_verdict check_new_binding(const struct opening *q)
{
	uint32_t cold_ds = q->o->policy->cold_until_ds;
	enum sn_l4 l4 = sn_l4_of(q->o->flow.proto);

	if (cold_ds != 0 && !sn_clock_due(cold_ds, q->now_ds))
		return SN_V_HELD_COLD;
	if (q->limits->ports[l4] != 0 && q->u->ports[l4] >= q->limits->ports[l4])
		return SN_V_QUOTA_PORTS;
	return SN_V_FORWARD;
}

/* --- the binding --- */

/* From outside: the binding that the caller found must be the one that the flow says. */
static enum sn_verdict check_given(const struct sn_shard *s, struct opening *q)
{
	const struct sn_binding *b = sn_binding_at(s, q->o->binding);

	if (b == NULL || b->subscriber != q->subscriber || b->proto != q->o->flow.proto ||
	    b->inside_port_be16 != q->o->flow.inside_port_be16)
		return SN_V_NO_BINDING;
	if (b->flows <= b->outside_flows && !q->o->policy->inbound_refresh && !sn_binding_in_use(b, q->now_ds))
		return SN_V_NO_BINDING;
	if (b->outside_flows == UINT16_MAX ||
	    (q->limits->outside_flows != 0 && b->outside_flows >= q->limits->outside_flows))
		return SN_V_BINDING_FLOWS;
	q->binding = q->o->binding;
	return SN_V_FORWARD;
}

static enum sn_verdict find_binding(const struct sn_shard *s, struct opening *q)
{
	const struct sn_flow *f = &q->o->flow;

	if (passes(q))
		return SN_V_FORWARD;
	if (sn_l4_of(f->proto) == SN_L4_COUNT)
		return SN_V_BAD_PROTOCOL;
	if (from_outside(q))
		return check_given(s, q);
	q->hash_binding = q->o->seen ? q->o->seen->binding_hash
				     : sn_hash_binding(&s->region->hdr->key, f->realm, f->proto, f->inside_be32,
						       f->inside_port_be16);
	q->binding = sn_shard_find_binding_at(s, q->hash_binding, q->subscriber, f->proto, f->inside_port_be16);
	q->fresh = q->binding == SN_NONE;
	return q->fresh ? check_new_binding(q) : SN_V_FORWARD;
}

static bool address_is_active(const struct sn_shard *s, uint32_t address)
{
	return address < s->ports.address_count && s->ports.addresses[address].state == SN_ADDRESS_ACTIVE;
}

/* Binds a port in one of the subscriber's blocks, the newest first: the block, or SN_NONE. */
static uint32_t bind_somewhere(struct sn_shard *s, const struct opening *q, uint32_t binding, uint16_t *ret_place)
{
	const struct sn_flow *f = &q->o->flow;
	uint64_t start = q->o->seen ? q->o->seen->port_start
				    : sn_hash_port(&s->region->hdr->key, f->realm, f->inside_be32, f->proto,
						   f->inside_port_be16);
	uint32_t block = q->u->first_block;

	for (uint32_t i = 0; i < q->u->blocks && sn_block_is_ours(s, block, q->subscriber); i++) {
		if (address_is_active(s, sn_ports_block_address(&s->ports, block)) &&
		    sn_ports_bind(&s->ports, &s->writer, block, sn_l4_of(f->proto), (uint32_t)start, binding,
				  ret_place) == 0)
			return block;
		block = s->ports.blocks[block].next;
	}
	return SN_NONE;
}

static void fill_binding(struct sn_shard *s, const struct opening *q, struct sn_binding *b, uint32_t block, uint16_t place)
{
	struct sn_binding fresh = {
		.subscriber = q->subscriber,
		.block = block,
		.inside_port_be16 = q->o->flow.inside_port_be16,
		.public_port_be16 = htons((uint16_t)(sn_ports_first_port(&s->ports, block) + place)),
		.proto = q->o->flow.proto,
		.used_until = sn_binding_time(q->now_ds),
	};

	atomic_init(&fresh.gen, atomic_load_explicit(&b->gen, memory_order_relaxed));
	sn_fill(b, &fresh, sizeof(fresh));
}

/* Makes the binding inside the open change. SN_V_NO_PORT: none of the subscriber's blocks has room. */
static enum sn_verdict make_binding(struct sn_shard *s, struct opening *q)
{
	uint32_t *ports = &q->u->ports[sn_l4_of(q->o->flow.proto)];
	struct sn_writer *w = &s->writer;
	struct sn_binding *b;
	uint32_t n, block;
	uint16_t place;

	if (sn_slab_take(&s->bindings, w, &n) != 0)
		return SN_V_TABLE_FULL;
	b = &s->region->bindings[n];
	block = bind_somewhere(s, q, n, &place);
	if (block == SN_NONE)
		return SN_V_NO_PORT;
	fill_binding(s, q, b, block, place);
	if (sn_index_add(&s->binding_index, w, q->hash_binding, n) != 0)
		return SN_V_TABLE_FULL;
	sn_intent_put32(w, ports, *ports + 1);
	sn_intent_put32_release(w, &b->gen, sn_gen_born(&b->gen));
	q->binding = n;
	return SN_V_FORWARD;
}

/* --- a new block --- */

/* Whether the subscriber is tied to its address: it has blocks, and their address is in service. */
static bool is_paired(const struct sn_shard *s, const struct opening *q)
{
	return q->u->blocks > 0 && address_is_active(s, q->u->address);
}

static uint32_t claim_on(struct sn_shard *s, const struct opening *q, uint32_t address)
{
	const struct sn_flow *f = &q->o->flow;
	uint64_t start = sn_hash_port(&s->region->hdr->key, f->realm, f->inside_be32, 0, (uint16_t)(q->u->blocks + 1));
	uint32_t block;

	if (!address_is_active(s, address) || sn_ports_claim(&s->ports, &s->writer, address, start, (uint8_t)s->number,
							     q->subscriber, q->now_ds, &block) != 0)
		return SN_NONE;
	return block;
}

/* A block on any address of the pool: each is tried once, from a place that the subscriber's hash gives. */
static uint32_t claim_in_pool(struct sn_shard *s, const struct opening *q)
{
	const struct sn_flow *f = &q->o->flow;
	const struct sn_pool *pool = &q->o->policy->pools[q->o->pool];
	uint64_t start = sn_hash_port(&s->region->hdr->key, f->realm, f->inside_be32, 0, 0);

	if (q->o->pool >= SN_MIN(q->o->policy->pool_count, (uint32_t)SN_POOLS_MAX))
		return SN_NONE;
	for (uint32_t i = 0; i < pool->addresses; i++) {
		uint32_t block = claim_on(s, q, pool->first_address + (uint32_t)((start + i) % pool->addresses));

		if (block != SN_NONE)
			return block;
	}
	return SN_NONE;
}

static void enlist_block(struct sn_shard *s, const struct opening *q, uint32_t block, bool paired)
{
	struct sn_writer *w = &s->writer;

	__atomic_store_n(&s->ports.blocks[block].next, q->u->first_block, __ATOMIC_RELAXED);
	sn_intent_put32(w, &q->u->first_block, block);
	sn_intent_put16(w, &q->u->blocks, (uint16_t)(q->u->blocks + 1));
	if (paired)
		return;
	sn_intent_put32(w, &q->u->address, sn_ports_block_address(&s->ports, block));
	sn_intent_put16(w, &q->u->pool, q->o->pool);
}

static enum sn_verdict claim_block(struct sn_shard *s, const struct opening *q)
{
	struct sn_audit *slot = sn_ring_reserve(&s->audits, 0);
	struct sn_writer *w = &s->writer;
	bool paired = is_paired(s, q);
	uint32_t block;

	if (q->u->blocks >= SN_MAX(q->limits->blocks, 1u) || q->u->blocks == UINT16_MAX)
		return SN_V_QUOTA_PORTS;
	if (slot == NULL)
		return SN_V_AUDIT_FULL;
	sn_intent_begin(w, SN_INTENT_CLAIM, SN_NONE, 0);
	block = paired ? claim_on(s, q, q->u->address) : claim_in_pool(s, q);
	if (block == SN_NONE) {
		sn_intent_undo(w);
		return SN_V_NO_PORT;
	}
	w->intent->record = block;
	enlist_block(s, q, block, paired);
	sn_shard_audit(s, slot, SN_AUDIT_BLOCK_GIVEN, q->subscriber, block);
	sn_ports_claimed(&s->ports, block);
	return SN_V_FORWARD;
}

/* --- the flow --- */

static void set_public_end(const struct sn_shard *s, const struct opening *q, struct sn_flow *f)
{
	const struct sn_binding *b = &s->region->bindings[q->binding];

	if (passes(q)) {
		f->public_be32 = f->inside_be32;
		f->public_port_be16 = f->inside_port_be16;
	} else {
		f->public_be32 = s->ports.addresses[sn_ports_block_address(&s->ports, b->block)].addr_be32;
		f->public_port_be16 = b->public_port_be16;
	}
	sn_flow_set_sums(f);
}

/* The record is dead: gen keeps its number, all else is new. */
static void fill_flow(const struct sn_shard *s, const struct opening *q, struct sn_flow *f)
{
	struct sn_flow flow = q->o->flow;

	atomic_init(&flow.gen, atomic_load_explicit(&f->gen, memory_order_relaxed));
	set_public_end(s, q, &flow);
	flow.shard = (uint8_t)s->number;
	flow.binding = passes(q) ? SN_NONE : q->binding;
	flow.start_ds = q->now_ds;
	for (int dir = 0; dir < 2; dir++) {
		flow.packets[dir] = flow.bytes[dir] = 0;
		flow.packets_hi[dir] = flow.bytes_hi[dir] = 0;
	}
	sn_flow_account(&flow, SN_DIR_ORIGINAL, q->o->bytes);
	sn_fill(f, &flow, sizeof(flow));
}

/* Takes and indexes the record inside the open change: its number, or SN_NONE. */
static uint32_t make_flow(struct sn_shard *s, const struct opening *q)
{
	struct sn_writer *w = &s->writer;
	struct sn_flow *f;
	uint32_t n;

	if (sn_slab_take(&s->flows, w, &n) != 0)
		return SN_NONE;
	f = &s->region->flows[n];
	w->intent->record = n;
	w->intent->gen = atomic_load_explicit(&f->gen, memory_order_relaxed);
	fill_flow(s, q, f);
	if (sn_index_add(&s->flow_index, w, q->hash_in, n) != 0 ||
	    sn_index_add(&s->flow_index, w, sn_flow_hash_out(s, f), n) != 0)
		return SN_NONE;
	return n;
}

static void count_flow(struct sn_shard *s, const struct opening *q)
{
	uint8_t rule = q->o->flow.rule;
	struct sn_writer *w = &s->writer;
	struct sn_binding *b = &s->region->bindings[q->binding];

	if (!passes(q)) {
		sn_intent_put32(w, &b->flows, b->flows + 1);
		if (from_outside(q))
			sn_intent_put16(w, &b->outside_flows, (uint16_t)(b->outside_flows + 1));
	}
	if (!from_outside(q)) {
		sn_intent_put32(w, &q->u->flows, q->u->flows + 1);
		sn_intent_put32(w, &q->u->rate_ds, q->now_ds);
		sn_intent_put16(w, &q->u->rate_tokens, (uint16_t)(q->tokens - (q->tokens > 0)));
	}
	sn_intent_put64(w, &s->state->opened, s->state->opened + 1);
	if (rule < SN_RULES_MAX)
		sn_intent_put64(w, &s->state->rule_hits[rule], s->state->rule_hits[rule] + 1);
}

/* The change itself: all of it, or a verdict and nothing of it. */
static enum sn_verdict open_flow(struct sn_shard *s, struct opening *q, uint32_t *ret_flow)
{
	enum sn_verdict v = SN_V_FORWARD;
	struct sn_writer *w = &s->writer;
	_Atomic uint32_t *gen;
	struct sn_event e;
	uint32_t flow;

	sn_intent_begin(w, SN_INTENT_OPEN, SN_NONE, 0);
	if (q->fresh)
		v = make_binding(s, q);
	if (v != SN_V_FORWARD)
		goto fail;
	v = SN_V_TABLE_FULL;
	flow = make_flow(s, q);
	if (flow == SN_NONE)
		goto fail;
	count_flow(s, q);
	gen = &s->region->flows[flow].gen;
	sn_intent_put32_release(w, gen, sn_gen_born(gen));
	sn_shard_event(s, flow, q->subscriber, q->o->now_ns, &e);
	e.type = SN_EVENT_NEW;
	sn_shard_commit(s, &e);
	*ret_flow = flow;
	return SN_V_FORWARD;
fail:
	sn_intent_undo(w);
	return v;
}

/* A flow past its timeout that has not been swept, or one that the caller gives up by opening it anew, makes way. */
static void clear_the_way(struct sn_shard *s, const struct opening *q)
{
	const struct sn_open *o = q->o;
	struct sn_index_walk walk;
	uint32_t n;

	sn_index_walk(&s->flow_index, q->hash_in, &walk);
	while ((n = sn_index_next(&s->flow_index, &walk)) != SN_NONE) {
		const struct sn_flow *f = sn_flow_at(s, n);

		if (f == NULL || !sn_same_inside(f, &o->flow))
			continue;
		sn_shard_close(s, n, sn_clock_due(f->expires_ds, q->now_ds) ? SN_REASON_EXPIRED : SN_REASON_REOPENED,
			       o->policy, o->now_ns);
		return;
	}
}

static enum sn_verdict try_open(struct sn_shard *s, struct opening *q, uint32_t *ret_flow)
{
	enum sn_verdict v = find_subscriber(s, q);

	if (v == SN_V_FORWARD)
		v = check_subscriber(q);
	if (v == SN_V_FORWARD)
		v = find_binding(s, q);
	if (v == SN_V_FORWARD)
		v = open_flow(s, q, ret_flow);
	if (v != SN_V_NO_PORT)
		return v;
	v = claim_block(s, q);
	return v == SN_V_FORWARD ? open_flow(s, q, ret_flow) : v;
}

static void count_refusal(struct sn_shard *s, struct sn_subscriber *u)
{
	__atomic_store_n(&s->state->refused, s->state->refused + 1, __ATOMIC_RELAXED);
	if (u != NULL)
		__atomic_store_n(&u->refused, u->refused + 1, __ATOMIC_RELAXED);
}

enum sn_verdict sn_shard_open(struct sn_shard *s, const struct sn_open *o, uint32_t *ret_flow)
{
	struct opening q = {
		.o = o,
		.limits = &o->policy->limits,
		.now_ds = sn_clock_ds(o->now_ns),
		.binding = SN_NONE,
		.hash_in = sn_flow_hash_in(s, &o->flow),
	};
	enum sn_verdict v;

	clear_the_way(s, &q);
	v = try_open(s, &q, ret_flow);
	if (v != SN_V_FORWARD)
		count_refusal(s, q.u);
	return v;
}
