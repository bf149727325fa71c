/*
 * routes.h: control's copy of the kernel's IPv4 routes, and its publication in the region.
 *
 * The list is filled from one dump (begin, add ..., publish); it is in control's own memory and made anew for each
 * dump.
 */
#ifndef SN_ROUTES_H
#define SN_ROUTES_H

#include "flatten.h"
#include "links.h"
#include "netlink.h"

struct sn_routes {
	const struct sn_links *links;
	struct sn_routing *routing;
	struct sn_prefix_route *list;
	size_t count, room;
	struct sn_route *ranges; /* scratch of sn_routes_publish() */
	size_t ranges_room;
	bool lacking; /* memory ran out since the last begin */
};

void sn_routes_init(struct sn_routes *r, const struct sn_links *links, struct sn_routing *routing);
void sn_routes_fini(struct sn_routes *r);

/* Empties the list, but for what is fixed: multicast goes nowhere. */
void sn_routes_begin(struct sn_routes *r);

/* Adds one; ctx is the struct sn_routes (an sn_netlink_route_fn). */
void sn_routes_add(void *ctx, const struct sn_netlink_route *route);

/*
 * Flattens the list and publishes it, unless that is what the region has already. 0; -E2BIG: more than SN_ROUTES_MAX
 * ranges, the first ones are published; -ENOMEM: nothing was.
 */
int sn_routes_publish(struct sn_routes *r);

#endif
