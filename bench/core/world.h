/*
 * world.h: a region with live flows and the workers that own it, as a node has them: 16 shards, rules, quotas,
 * events, routes and neighbours, huge pages where there are any; packets go in and out by memory ports. Every change
 * is made by packets and commands through the production turn.
 */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include "arena.h"
#include "floor.h"
#include "io/mem.h"
#include "packet.h"
#include "worker/worker.h"

#define WORLD_WORKERS_MAX 2
#define WORLD_BATCH 1024  /* packets put in at a time */

struct plan {
	char label[8];          /* "1m" */
	uint32_t flows;         /* that are visited */
	uint32_t subscribers;
	uint32_t workers;
	uint32_t tcp;           /* the first so many are TCP, the others and those opened later UDP */
	uint32_t block_size;
	uint32_t ports;         /* of one protocol, per subscriber: the pool has blocks for them */
	uint32_t hold_down_ds;
	uint32_t spare;         /* flows that may be open beside those */
};

/* One worker, with a port inside [0] and one outside [1]. */
struct lane {
	struct sn_worker *worker;
	int umem_fd;
};

struct world {
	struct plan plan;
	struct sn_region region;
	struct floor floor;
	struct lane lanes[WORLD_WORKERS_MAX];
	struct tuple *tuples;
	uint32_t live;          /* of them */
	uint32_t opened;        /* tuple_of() numbers used so far */
	uint64_t cursors[SN_SHARDS_MAX]; /* of events read */
	uint64_t random;
	uint64_t lost;          /* packets that did not end as expected */
};

/* Pages of the arena that a world needs, and bytes of its region. */
uint32_t world_pages(const struct plan *p);
size_t world_region_b(const struct plan *p);

/* Makes it, without flows (traffic.h opens them). The memory stays the arena's. 0 or -errno. */
int world_make(struct world *w, struct arena *arena, const struct plan *p);
void world_free(struct world *w);

/* Timeouts: a flow without a reply is over at once, or lives long. */
void world_be_short(struct world *w, bool is_short);

static inline uint32_t world_random(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (uint32_t)(w->random >> 32);
}

/* A random number below n. */
static inline uint32_t world_below(struct world *w, uint32_t n)
{
	return (uint32_t)((uint64_t)world_random(w) * n >> 32);
}

#endif
