/*
 * shard.h: the changes a shard goes through, each whole or not at all (intent.h), and its look-ups.
 *
 * Callers: the worker that owns the shard (and model tests, benchmarks). One struct sn_shard per owned shard, in the
 * worker's own memory. Nothing here allocates, blocks or makes a system call.
 */
#ifndef SN_SHARD_H
#define SN_SHARD_H

#include "region.h"

struct sn_shard {
	struct sn_region *region;
	uint32_t number;
	uint32_t epoch;
	struct sn_shard_state *state;
	struct sn_writer writer;
	struct sn_index flow_index;       /* both keys of each flow */
	struct sn_index binding_index;
	struct sn_index subscriber_index;
	struct sn_slab flows, bindings, subscribers;
	struct sn_ports ports;
	struct sn_event_ring events;
	struct sn_ring audits;
};

/* Joins a shard of the region as its owner; epoch from the owner map. Does not look at the intent: sn_shard_recover() does. */
void sn_shard_join(struct sn_shard *s, struct sn_region *r, uint32_t number);

/*
 * What a successor does before the first packet: rolls the intent forward or back; if the intent or a quick look at the
 * heads of lists shows corruption, rebuilds. Returns 1 if something was rolled, 2 if the shard was rebuilt, 0 otherwise.
 */
int sn_shard_recover(struct sn_shard *s);

/* Rebuilds indexes, bitmaps, lists and counts of this shard from its live records. The number of flows. */
uint32_t sn_shard_rebuild(struct sn_shard *s);

/* --- look-ups: numbers, SN_NONE if there is none. Flows past their timeout are not found. --- */

/* Whether a record is alive, of this shard, and not past its timeout. */
static inline bool sn_shard_in_time(const struct sn_shard *s, const struct sn_flow *f, uint32_t now_ds)
{
	return (atomic_load_explicit(&f->gen, memory_order_relaxed) & 1) && f->shard == s->number &&
	       !sn_clock_due(atomic_load_explicit(&f->expires_ds, memory_order_relaxed), now_ds);
}

/* Whether a record of the region is the flow with these ends, seen from inside, and from outside. */
static inline bool sn_shard_is_inside(const struct sn_shard *s, const struct sn_flow *f, uint8_t realm, uint8_t proto,
				      uint32_t inside_be32, uint16_t inside_port_be16, uint32_t remote_be32,
				      uint16_t remote_port_be16, uint32_t now_ds)
{
	return f->inside_be32 == inside_be32 && f->remote_be32 == remote_be32 &&
	       f->inside_port_be16 == inside_port_be16 && f->remote_port_be16 == remote_port_be16 &&
	       f->proto == proto && f->realm == realm && sn_shard_in_time(s, f, now_ds);
}

static inline bool sn_shard_is_outside(const struct sn_shard *s, const struct sn_flow *f, uint8_t proto,
				       uint32_t remote_be32, uint16_t remote_port_be16, uint32_t public_be32,
				       uint16_t public_port_be16, uint32_t now_ds)
{
	return f->public_be32 == public_be32 && f->remote_be32 == remote_be32 &&
	       f->public_port_be16 == public_port_be16 && f->remote_port_be16 == remote_port_be16 &&
	       f->proto == proto && sn_shard_in_time(s, f, now_ds);
}

uint32_t sn_shard_find_inside(const struct sn_shard *s, uint64_t hash, uint8_t realm, uint8_t proto, uint32_t inside_be32,
			      uint16_t inside_port_be16, uint32_t remote_be32, uint16_t remote_port_be16, uint32_t now_ds);
uint32_t sn_shard_find_outside(const struct sn_shard *s, uint64_t hash, uint8_t proto, uint32_t remote_be32,
			       uint16_t remote_port_be16, uint32_t public_be32, uint16_t public_port_be16, uint32_t now_ds);
uint32_t sn_shard_find_subscriber(const struct sn_shard *s, uint8_t realm, uint32_t inside_be32);
uint32_t sn_shard_find_binding(const struct sn_shard *s, uint32_t subscriber, uint8_t proto, uint16_t inside_port_be16);

/* --- what is foreseen --- */

/*
 * An opening from inside that is to come. The caller fills in the ends; the steps, in this order and each for a whole burst before the
 * next, find out the rest and bring near what sn_shard_open() will touch. ahead: openings foreseen in this shard before it. Hints: nothing
 * is decided, and nothing changes.
 */
struct sn_foresight {
	uint32_t inside_be32, remote_be32;
	uint16_t inside_port_be16, remote_port_be16;
	uint8_t proto, realm;
	uint32_t subscriber, binding, block; /* probably; SN_NONE */
	uint64_t subscriber_hash, binding_hash;
	uint64_t port_start;                 /* sn_hash_port() */
};

void sn_shard_foresee_keys(const struct sn_shard *s, struct sn_foresight *f, uint32_t ahead);
void sn_shard_foresee_records(const struct sn_shard *s, struct sn_foresight *f);
void sn_shard_foresee_block(const struct sn_shard *s, struct sn_foresight *f);
void sn_shard_foresee_port(const struct sn_shard *s, const struct sn_foresight *f);

/* The same for a flow that is to be closed, by its number, which may be anything: three steps. */
void sn_shard_foresee_end(const struct sn_shard *s, uint32_t flow);
void sn_shard_foresee_end_keys(const struct sn_shard *s, uint32_t flow, uint32_t ahead);
void sn_shard_foresee_end_port(const struct sn_shard *s, uint32_t flow);

/* --- changes --- */

/* A flow to open. */
struct sn_open {
	/*
	 * The record as it shall be, filled in by the caller: inside end, remote end, proto, realm, state, status, flags, rule, tcp,
	 * nexthop. expires_ds absolute. The public end, checksum sums, shard, gen, binding, start_ds and counters are set here.
	 */
	struct sn_flow flow;
	const struct sn_policy *policy;
	uint32_t binding;   /* from outside: the binding it comes in by; otherwise SN_NONE */
	uint16_t pool;      /* from inside: where a new subscriber's address is from */
	uint32_t bytes;     /* IP length of the first packet */
	uint64_t now_ns;
	const struct sn_foresight *seen; /* from inside: what was foreseen of it, or NULL */
};

/*
 * Opens a flow: subscriber, block and binding are found or made, limits checked, both keys indexed, NEW published.
 * SN_V_FORWARD and the flow's number, or the verdict that says why not (and then no flow, binding or port is taken; a
 * subscriber or block that was made on the way stays, empty, until control's sweep has it returned). A flow of the same tuples that is
 * still there is closed first: as expired if it is past its timeout, else as reopened. A subscriber that has blocks gets more of them from
 * its paired address alone, as long as that is active.
 */
enum sn_verdict sn_shard_open(struct sn_shard *s, const struct sn_open *o, uint32_t *ret_flow);

/* Closes a flow: out of the indexes, the binding let go (its port into hold-down if it was the last), DESTROY published. */
void sn_shard_close(struct sn_shard *s, uint32_t flow, enum sn_reason reason, const struct sn_policy *policy, uint64_t now_ns);

/* An outbound packet of a flow, or a flow that is closed: strangers may open flows through its binding for so long at least. */
static inline void sn_shard_use_binding(struct sn_shard *s, const struct sn_flow *f, uint32_t now_ds, uint32_t for_ds)
{
	uint8_t until = sn_binding_time(now_ds + SN_MIN(for_ds, (uint32_t)SN_BINDING_MOST_DS));
	struct sn_binding *b;

	if (f->binding >= s->region->binding_count)
		return;
	b = &s->region->bindings[f->binding];
	if ((int8_t)(until - b->used_until) > 0)
		__atomic_store_n(&b->used_until, until, __ATOMIC_RELAXED);
}

/* Publishes an UPDATE of a live flow. change: enum sn_change bits. */
void sn_shard_update(struct sn_shard *s, uint32_t flow, uint8_t change, uint64_t now_ns);

/* Commands from control; each looks again and does nothing if the record is not what it was. True if something changed. */
bool sn_shard_expire(struct sn_shard *s, uint32_t flow, uint32_t gen, const struct sn_policy *policy, uint64_t now_ns);
bool sn_shard_return_block(struct sn_shard *s, uint32_t block, uint16_t generation, uint64_t now_ns);
bool sn_shard_leave(struct sn_shard *s, uint32_t subscriber, uint32_t gen);

/* Frees ports whose hold-down is over, a bounded number per call. */
static inline uint32_t sn_shard_tick(struct sn_shard *s, uint64_t now_ns)
{
	return sn_ports_release_held(&s->ports, &s->writer, sn_clock_ds(now_ns), 32);
}

#endif
