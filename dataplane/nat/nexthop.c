/*
 * nexthop.c: from a destination to (interface, neighbour), through the routes that control published. A flow remembers the
 * neighbour's number together with the route generation, so an established packet looks at one neighbour entry only.
 */
#include "nat/nat.h"

#include <string.h>

#include "route.h"

static enum sn_verdict check_size(const struct sn_nat *nat, struct sn_job *job, uint16_t route_mtu_b)
{
	uint16_t mtu_b = nat->policy->interfaces[job->out_interface].mtu_b;

	if (route_mtu_b != 0)
		mtu_b = SN_MIN(mtu_b, route_mtu_b);
	if (SN_LIKELY(job->packet.ip.len_b <= mtu_b))
		return SN_V_FORWARD;
	if (!job->packet.ip.df) {
		job->cut_b = mtu_b;
		return SN_V_FORWARD;
	}
	job->error_type = 3;
	job->error_code = 4;
	job->error_mtu_b = mtu_b;
	return SN_V_TOO_BIG;
}

/* Keeps a resolved neighbour for the packets that follow. */
static void keep_hop(struct sn_nat *nat, struct sn_job *job)
{
	struct sn_hop *h = &nat->hops[job->neighbour % SN_HOPS];
	struct sn_neighbour n;

	if (job->neighbour == SN_NEIGHBOUR_UNKNOWN || !sn_neighbour_read(nat->region->routing, job->neighbour, &n) ||
	    n.state != SN_NB_RESOLVED || n.interface != job->out_interface || n.addr_be32 != job->hop_be32)
		return;
	/* A flow may have this number from before, for another neighbour: it forgets at the next turn. */
	if (atomic_load_explicit(&nat->region->routing->generation, memory_order_relaxed) != nat->route_gen)
		return;
	*h = (struct sn_hop){
		.live_seq = &nat->region->routing->neighbours[job->neighbour].seq,
		.seq = atomic_load_explicit(&n.seq, memory_order_relaxed),
		.number = job->neighbour,
		.interface = n.interface,
		.mtu_b = nat->policy->interfaces[n.interface].mtu_b,
	};
	memcpy(h->macs, n.mac, sizeof(n.mac));
	memcpy(h->macs + sizeof(n.mac), nat->policy->interfaces[n.interface].mac, sizeof(n.mac));
	job->hop = h;
}

void sn_nat_refresh_hops(struct sn_nat *nat)
{
	if (SN_LIKELY(nat->hops_generation == nat->policy->generation))
		return;
	nat->hops_generation = nat->policy->generation;
	memset(nat->hops, 0, sizeof(nat->hops));
}

/* The number is of this turn's generation; if that has ended, the entry may be another neighbour's. */
static bool use_cached(const struct sn_nat *nat, struct sn_job *job, uint16_t number)
{
	const struct sn_routing *routing = nat->region->routing;
	const struct sn_neighbour *n = &routing->neighbours[number];

	if (number >= SN_NEIGHBOURS_MAX)
		return false;
	job->neighbour = number;
	job->out_interface = __atomic_load_n(&n->interface, __ATOMIC_RELAXED);
	job->hop_be32 = __atomic_load_n(&n->addr_be32, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_acquire);
	return job->out_interface < nat->policy->interface_count &&
	       atomic_load_explicit(&routing->generation, memory_order_relaxed) == nat->route_gen;
}

static enum sn_verdict look_up(const struct sn_nat *nat, struct sn_job *job, uint32_t dst_be32, uint16_t *cache)
{
	const struct sn_routing *routing = nat->region->routing;
	struct sn_route route;

	if (!sn_route_find(routing, dst_be32, &route) || route.interface == SN_ROUTE_NONE) {
		job->error_type = 3;
		job->error_code = 0;
		return SN_V_NO_ROUTE;
	}
	if (route.interface == SN_ROUTE_LOCAL)
		return SN_V_SELF;
	if (route.interface >= nat->policy->interface_count)
		return SN_V_NO_ROUTE;
	job->out_interface = route.interface;
	job->hop_be32 = route.gateway_be32 ? route.gateway_be32 : dst_be32;
	job->neighbour = sn_neighbour_find(routing, job->out_interface, job->hop_be32);
	/* A route with an MTU of its own is looked up each time: the entry of the neighbour does not know it. */
	if (cache && route.mtu_b == 0)
		*cache = job->neighbour;
	return check_size(nat, job, route.mtu_b);
}

enum sn_verdict sn_nat_next_hop(struct sn_nat *nat, struct sn_job *job, uint32_t dst_be32, uint16_t *cache)
{
	bool known = cache && *cache != SN_NEIGHBOUR_UNKNOWN && use_cached(nat, job, *cache);
	enum sn_verdict v = known ? check_size(nat, job, 0) : look_up(nat, job, dst_be32, cache);

	job->hop = NULL;
	if (v == SN_V_FORWARD)
		keep_hop(nat, job);
	return v;
}
