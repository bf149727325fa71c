/*
 * check.h: proves the region's invariants, on a live node (read-only, with retries where a record is changing) or on a dead
 * one's file.
 *
 *   1 each live flow is found from both of its tuples, exactly once each
 *   2 no two bindings share (public address, port, protocol)
 *   3 the ports' busy bits are exactly the bound and the held ports; each bound port's binding points back
 *   4 counts add up: flows and bindings per subscriber, flows per binding, bound and held ports per block, live records per
 *     chunk and lease, chunks per shard, blocks per subscriber (and per address, but see ports.h)
 *   5 each claimed block is on the list of a live subscriber of the shard that its owner word names
 *   6 each flow, binding and subscriber is in the shard that its inside address hashes to
 */
#ifndef SN_CHECK_H
#define SN_CHECK_H

#include "region.h"

struct sn_check {
	uint64_t flows, bindings, subscribers, blocks, held;
	uint64_t violations;
	uint64_t unsettled; /* shards that were changing at each try, and so were not proved */
};

/*
 * report is called once per violation with one line of text (at most 1000 times). live: another process may be writing, so
 * each shard is copied between two looks at its count of changes, and again if it changed, and the copy is verified. (The copy
 * is as large as what the fullest shard uses.)
 * 0 clean, 1 violations, 2 not settled. No allocation but its own scratch (-ENOMEM).
 */
int sn_check_region(const struct sn_region *r, bool live, void (*report)(void *ctx, const char *line), void *ctx,
		    struct sn_check *ret);

#endif
