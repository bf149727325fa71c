/*
 * neighbours.h: what control knows of next hops beside what it publishes, and when it has the kernel asked.
 *
 *     worker's request -> WANTED, asked -> kernel says usable -> RESOLVED (MAC), asked again every 30 s while in use
 *                            |                                      |
 *          kernel says failed, or nothing for 5 s                   |- kernel deletes it: MAC stays, asked if in use
 *                            v                                      |- kernel says failed: WANTED if in use, or FAILED
 *                          FAILED -> requested, and 1 s is over -> WANTED
 *
 * Asking is repeated while a neighbour is in use because AF_XDP traffic confirms nothing to the kernel: without it a
 * changed MAC would never be noticed. Entry numbers are the region's, and stay with their (interface, address) until all are taken:
 * then those that failed, or that nobody has used for a while, make room, at most once a second.
 */
#ifndef SN_NEIGHBOURS_H
#define SN_NEIGHBOURS_H

#include "links.h"
#include "netlink.h"
#include "region.h"

/* Has the kernel resolve an address. 0, or -errno: ask again later. */
typedef int sn_ask_fn(void *ctx, uint32_t ifindex, uint32_t addr_be32);

/* Control's side of one entry. */
struct sn_neighbour_watch {
	uint32_t asked_ds;  /* when the kernel was last asked, or its answer came */
	uint32_t wanted_ds; /* when it became WANTED */
	bool asked;         /* asked_ds means something */
	bool pending;       /* to be asked at the next tick */
	bool steady;        /* the kernel never forgets it (permanent, noarp): not to be asked */
	bool gone;          /* the kernel has deleted it */
};

struct sn_neighbours {
	struct sn_region *region;
	const struct sn_links *links;
	sn_ask_fn *ask;
	void *ask_ctx;
	uint64_t full;     /* neighbours without an entry, because all are taken */
	uint32_t full_ds;  /* when room was last made */
	uint64_t refused;  /* requests that made no sense */
	struct sn_neighbour_watch watch[SN_NEIGHBOURS_MAX];
};

/* Takes over what a former control left in the region: what is WANTED will be asked for. */
void sn_neighbours_init(struct sn_neighbours *n, struct sn_region *r, const struct sn_links *links, sn_ask_fn *ask,
			void *ask_ctx);

/* Before a dump: what the dump does not name counts as deleted by the kernel. */
void sn_neighbours_begin(struct sn_neighbours *n);

/* The kernel's word; ctx is the struct sn_neighbours (an sn_netlink_neighbour_fn). */
void sn_neighbours_heard(void *ctx, const struct sn_netlink_neighbour *k);

/* Empties the workers' request rings. True if there was a request. */
bool sn_neighbours_requests(struct sn_neighbours *n);

/* Asks for what is due; every 100 ms or so, and after requests. */
void sn_neighbours_tick(struct sn_neighbours *n);

#endif
