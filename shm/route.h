/*
 * route.h: next hops. Control follows the kernel's routes and neighbours and publishes them here; workers look up.
 *
 * Routes are flattened by control into disjoint ranges sorted by first address, two copies with a generation; a look-up
 * is a binary search. Neighbours are entries in an array that are found by (interface, address) through a hash of entry
 * numbers; an entry is another neighbour's only in a later generation, so a flow may keep a number with the route generation.
 *
 * W: control, but for used_ds. R: workers, API.
 */
#ifndef SN_ROUTE_H
#define SN_ROUTE_H

#include "base.h"

#define SN_ROUTES_MAX 8192
#define SN_NEIGHBOURS_MAX 16384 /* power of two; entry 0xffff is never used */
#define SN_NEIGHBOUR_UNKNOWN UINT16_MAX

struct sn_route {
	uint32_t first, last;  /* host byte order, inclusive */
	uint32_t gateway_be32; /* 0: on link, the destination itself is the neighbour */
	uint16_t interface;    /* index in the policy's interfaces; SN_ROUTE_KERNEL, SN_ROUTE_NONE */
	uint16_t mtu_b;        /* 0: the interface's */
} SN_ALIGNED(8);

#define SN_ROUTE_NONE 0xffffu   /* unreachable, or through an interface that is not ours */
#define SN_ROUTE_LOCAL 0xfffeu  /* the node itself */

struct sn_route_copy {
	uint32_t count;
	uint32_t pad[3];
	struct sn_route routes[SN_ROUTES_MAX];
};

enum sn_neighbour_state { SN_NB_FREE, SN_NB_WANTED, SN_NB_RESOLVED, SN_NB_FAILED };

struct sn_neighbour {
	_Atomic uint32_t seq;   /* odd while control changes the entry; readers copy and compare */
	uint32_t addr_be32;
	uint16_t interface;
	uint8_t state;          /* enum sn_neighbour_state */
	uint8_t mac[6];
	uint8_t pad[3];
	_Atomic uint32_t used_ds; /* W: workers, relaxed: last use, so that control can have the kernel confirm it */
	uint32_t failed_ds;       /* W: control: when resolution failed */
	uint32_t reserved;
} SN_ALIGNED(8);

static_assert(sizeof(struct sn_neighbour) == 32, "two neighbours per line");

struct sn_routing {
	_Atomic uint32_t generation; /* W: control  release: active copy is generation & 1 */
	uint32_t overflow;           /* W: control  routes that did not fit (then they are missing: status warns) */
	_Atomic uint32_t neighbour_count; /* entries ever used */
	uint32_t recycled;           /* W: control  entries that were taken from a neighbour of no use, ever */
	uint32_t pad[12];
	struct sn_route_copy copy[2];
	struct sn_neighbour neighbours[SN_NEIGHBOURS_MAX];
	_Atomic uint32_t slots[SN_NEIGHBOURS_MAX * 2]; /* open hash, linear: entry number + 1 */
};

/*
 * Copies the route of a destination. False if there is none. A copy that control has begun to fill again meanwhile is left for the
 * newest one, a bounded number of times.
 */
bool sn_route_find(const struct sn_routing *r, uint32_t dst_be32, struct sn_route *ret);

/* Neighbour entry number of (interface, address); SN_NEIGHBOUR_UNKNOWN if control has none yet. */
uint16_t sn_neighbour_find(const struct sn_routing *r, uint16_t interface, uint32_t addr_be32);

/*
 * Consistent copy of an entry. False if the number is out of range, the entry is free, or it was changing each time of a
 * bounded number of tries.
 */
bool sn_neighbour_read(const struct sn_routing *r, uint16_t number, struct sn_neighbour *ret);

/*
 * Control: sets the state of (interface, address), adding the entry if need be; mac is taken when the state is resolved, and
 * may be NULL otherwise. The number, or -ENOSPC.
 */
int sn_neighbour_set(struct sn_routing *r, uint16_t interface, uint32_t addr_be32, enum sn_neighbour_state state,
		     const uint8_t mac[6], uint32_t now_ds);

/*
 * Control: takes the entries that `useless` names from their neighbours, for others, and finds all that stay anew. Meanwhile a
 * reader may miss one that is there, but never finds a wrong one. Ends the generation if any was taken. How many were.
 */
uint32_t sn_neighbour_recycle(struct sn_routing *r, bool (*useless)(void *ctx, uint16_t number, const struct sn_neighbour *n),
			      void *ctx);

/* Control: publishes a new sorted, disjoint list. -E2BIG if it does not fit (the first SN_ROUTES_MAX are published),
 * -EINVAL if it is not sorted (nothing is published). */
int sn_route_publish(struct sn_routing *r, const struct sn_route *routes, uint32_t count);

#endif
