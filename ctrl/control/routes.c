/* routes.c: the kernel's routes in control's memory. Caller: control's loop. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "routes.h"

#define MULTICAST 0xe0000000u /* 224.0.0.0/4 */

void sn_routes_init(struct sn_routes *r, const struct sn_links *links, struct sn_routing *routing)
{
	*r = (struct sn_routes){ .links = links, .routing = routing };
}

void sn_routes_fini(struct sn_routes *r)
{
	free(r->list);
	free(r->ranges);
	*r = (struct sn_routes){ 0 };
}

static void append(struct sn_routes *r, const struct sn_prefix_route *route)
{
	size_t room = r->room == 0 ? 256 : 2 * r->room;
	struct sn_prefix_route *list = r->list;

	if (r->count == r->room) {
		list = reallocarray(r->list, room, sizeof(*list));
		if (list == NULL) {
			r->lacking = true;
			return;
		}
		r->list = list;
		r->room = room;
	}
	list[r->count++] = *route;
}

void sn_routes_begin(struct sn_routes *r)
{
	r->count = 0;
	r->lacking = false;
	append(r, &(struct sn_prefix_route){
			  .first = MULTICAST, .prefix = 4, .rank = SN_RANK_FIXED, .interface = SN_ROUTE_NONE });
}

static uint16_t interface_of(const struct sn_routes *r, const struct sn_netlink_route *route)
{
	uint32_t index;

	if (route->type == RTN_LOCAL || route->type == RTN_ANYCAST)
		return SN_ROUTE_LOCAL;
	if (route->type != RTN_UNICAST)
		return SN_ROUTE_NONE;
	index = sn_links_index(r->links, route->ifindex);
	return index == SN_NONE ? SN_ROUTE_NONE : (uint16_t)index;
}

void sn_routes_add(void *ctx, const struct sn_netlink_route *route)
{
	struct sn_routes *r = ctx;
	uint32_t mask = route->prefix == 0 ? 0 : UINT32_MAX << (32 - route->prefix);
	struct sn_prefix_route p = { .first = ntohl(route->dst_be32) & mask,
				     .prefix = route->prefix,
				     .metric = route->metric,
				     .rank = route->local ? SN_RANK_LOCAL : SN_RANK_MAIN,
				     .interface = interface_of(r, route) };

	if (p.interface < SN_INTERFACES_MAX) {
		p.gateway_be32 = route->gateway_be32;
		p.mtu_b = (uint16_t)SN_MIN(route->mtu_b, (uint32_t)UINT16_MAX);
	}
	append(r, &p);
}

/* Whether workers have exactly these ranges now: publishing would only make every flow look up its next hop again. */
static bool published(const struct sn_routing *routing, const struct sn_route *ranges, size_t count)
{
	uint32_t generation = atomic_load_explicit(&routing->generation, memory_order_relaxed);
	const struct sn_route_copy *copy = &routing->copy[generation & 1];

	return copy->count == count && count <= SN_ROUTES_MAX &&
	       memcmp(copy->routes, ranges, count * sizeof(*ranges)) == 0;
}

int sn_routes_publish(struct sn_routes *r)
{
	size_t bound = sn_flatten_bound(r->count), count;
	struct sn_route *ranges = r->ranges;

	if (r->lacking)
		return -ENOMEM;
	if (bound > r->ranges_room) {
		ranges = reallocarray(r->ranges, bound, sizeof(*ranges));
		if (ranges == NULL)
			return -ENOMEM;
		r->ranges = ranges;
		r->ranges_room = bound;
	}
	count = sn_flatten(r->list, r->count, ranges);
	if (published(r->routing, ranges, count))
		return 0;
	return sn_route_publish(r->routing, ranges, (uint32_t)count);
}
