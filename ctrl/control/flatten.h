/*
 * flatten.h: routes with prefixes -> sorted, disjoint ranges in which each address has the one route that wins. Pure.
 */
#ifndef SN_FLATTEN_H
#define SN_FLATTEN_H

#include "route.h"

/* Which of two routes to the same address wins, before anything else. */
enum sn_route_rank {
	SN_RANK_MAIN,
	SN_RANK_LOCAL, /* the kernel asks table local first, whatever the prefixes */
	SN_RANK_FIXED, /* what no table may change, as that multicast is not routed */
};

struct sn_prefix_route {
	uint32_t first;        /* host byte order; bits below the prefix are 0 */
	uint32_t metric;       /* the lowest wins among equal prefixes of a rank */
	uint32_t gateway_be32;
	uint16_t interface;    /* index in the policy, SN_ROUTE_LOCAL or SN_ROUTE_NONE */
	uint16_t mtu_b;
	uint8_t prefix;        /* 0..32 */
	uint8_t rank;          /* enum sn_route_rank */
};

/* Ranges that count routes can make at most. */
static inline size_t sn_flatten_bound(size_t count)
{
	return 2 * count + 1;
}

/*
 * Sorts routes in place and fills ret, which has room for sn_flatten_bound(count) ranges. Highest rank wins, then
 * longest prefix, then lowest metric, then lowest gateway, so that equal tables give equal ranges. Neighbouring
 * ranges that lead to the same next hop are one. Addresses without a route are in no range. The number of ranges.
 */
size_t sn_flatten(struct sn_prefix_route *routes, size_t count, struct sn_route *ret);

#endif
