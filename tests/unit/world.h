/*
 * world.h: a small region with a pool and a policy, for tests of shards. The memory is shared, so that a child can be
 * killed in it.
 */
#ifndef SN_TEST_WORLD_H
#define SN_TEST_WORLD_H

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "shard.h"
#include "step.h"

#define WORLD_NOW_NS 1000000000000ull
#define WORLD_PUBLIC 0xcb007100u /* 203.0.113.0 */
#define WORLD_INSIDE 0x64400000u /* 100.64.0.0 */
#define WORLD_REMOTE 0xc6336400u /* 198.51.100.0 */

struct world {
	void *mem;
	size_t size_b;
	struct sn_region r;
	struct sn_policy policy;
	struct sn_shard shard[16];
};

static inline struct sn_geometry world_geometry(uint32_t shards, uint32_t flows, uint32_t addresses)
{
	return (struct sn_geometry){ .shards = shards,
				     .workers = 1,
				     .flows = flows,
				     .subscribers = 256,
				     .addresses = addresses,
				     .block_size = 64,
				     .events = 64,
				     .held_ports = 64,
				     .commands = 16,
				     .handoff = 16,
				     .audits = 16 };
}

static inline void world_policy(struct world *w)
{
	w->policy.pool_count = 1;
	w->policy.pools[0].addresses = w->r.geo.addresses;
	w->policy.limits.blocks = 4;
	w->policy.limits.outside_flows = 4;
	w->policy.limits.hold_down_ds = 1200;
}

static inline void world_make(struct world *w, const struct sn_geometry *geo)
{
	struct sn_ports p;

	memset(w, 0, sizeof(*w));
	w->size_b = sn_region_footprint(geo);
	w->mem = step_memory(w->size_b);
	SN_ASSERT(w->mem != NULL && geo->shards <= SN_ARRAY_LEN(w->shard));
	SN_ASSERT(sn_region_format(w->mem, w->size_b, geo, "test") == 0);
	SN_ASSERT(sn_region_join(w->mem, w->size_b, true, &w->r) == 0);
	w->r.hdr->key = (struct sn_hash_key){ 0x5d1f3a7711ull, 0x93c467e37dull }; /* the same each time */
	p = sn_region_ports(&w->r, SN_NONE);
	for (uint32_t i = 0; i < geo->addresses; i++)
		SN_ASSERT(sn_ports_add_address(&p, i, htonl(WORLD_PUBLIC + i), 0) == 0);
	for (uint32_t s = 0; s < geo->shards; s++)
		sn_shard_join(&w->shard[s], &w->r, s);
	world_policy(w);
}

/* A second view of the same bytes elsewhere, as a successor joins them. */
static inline void world_copy(struct world *to, const struct world *from)
{
	SN_ASSERT(to->size_b == from->size_b);
	memcpy(to->mem, from->mem, from->size_b);
	SN_ASSERT(sn_region_join(to->mem, to->size_b, true, &to->r) == 0);
	to->policy = from->policy;
	for (uint32_t s = 0; s < to->r.geo.shards; s++)
		sn_shard_join(&to->shard[s], &to->r, s);
}

static inline void world_drop(struct world *w)
{
	munmap(w->mem, w->size_b);
}

/* The shard of inside address number n. */
static inline struct sn_shard *world_shard(struct world *w, uint32_t n)
{
	return &w->shard[sn_hash_shard(&w->r.hdr->key, 0, htonl(WORLD_INSIDE + n), w->r.geo.shards)];
}

/* A flow of subscriber n from inside: from port to remote number `remote`. */
static inline struct sn_open world_open(const struct world *w, uint32_t n, uint8_t proto, uint16_t port,
					uint32_t remote)
{
	struct sn_open o = { .policy = &w->policy, .binding = SN_NONE, .bytes = 100, .now_ns = WORLD_NOW_NS };

	o.flow.inside_be32 = htonl(WORLD_INSIDE + n);
	o.flow.inside_port_be16 = htons(port);
	o.flow.remote_be32 = htonl(WORLD_REMOTE + remote);
	o.flow.remote_port_be16 = htons(443);
	o.flow.proto = proto;
	atomic_init(&o.flow.expires_ds, sn_clock_ds(WORLD_NOW_NS) + 3000);
	return o;
}

/* The same from outside, by the binding. */
static inline struct sn_open world_open_outside(const struct world *w, uint32_t n, uint8_t proto, uint16_t port,
						uint32_t remote, uint32_t binding)
{
	struct sn_open o = world_open(w, n, proto, port, remote);

	o.flow.flags = SN_FLOW_FROM_OUTSIDE;
	o.binding = binding;
	return o;
}

static inline void world_say(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

/* 0 clean, else what sn_check_region() says, with its lines on stderr. */
static inline int world_check(const struct world *w)
{
	struct sn_check found;
	int result = sn_check_region(&w->r, false, world_say, NULL, &found);

	if (result == 2)
		fprintf(stderr, "%llu shards unsettled\n", (unsigned long long)found.unsettled);
	return result;
}

/* Takes every audit record out of a shard's ring, as control does. */
static inline void world_drain_audits(struct sn_shard *s)
{
	while (sn_ring_peek(&s->audits, 0) != NULL)
		sn_ring_release(&s->audits, 1);
}

#endif
