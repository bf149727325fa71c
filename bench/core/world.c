/* world.c: see world.h. */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 16
#define DEPTH 8192
#define PUBLIC 0x0a000000u /* 10/8: room for any pool */
#define LONG_DS 72000
#define RULES 16
#define ROUTERS 16

static const uint8_t router_mac[6] = { 2, 0, 0, 0, 1, 0 };

static uint32_t power_at_least(uint32_t n, uint32_t min, uint32_t max)
{
	uint32_t p = min;

	while (p < n && p < max)
		p <<= 1;
	return p;
}

static uint32_t blocks_of(const struct plan *p)
{
	return (p->ports + p->block_size - 1) / p->block_size;
}

/* Sizes beside the plan's are those of a configuration that says nothing about them. */
static struct sn_geometry geometry_of(const struct plan *p)
{
	uint32_t usable = (SN_PORT_COUNT - SN_MAX(SN_PORT_FIRST, p->block_size)) / p->block_size;
	uint32_t live = SN_MAX(p->flows, p->subscribers) + p->spare;

	return (struct sn_geometry){
		.shards = SHARDS,
		.workers = p->workers,
		.flows = live,
		.subscribers = p->subscribers,
		.addresses = (uint32_t)((uint64_t)p->subscribers * blocks_of(p) / usable) + 2,
		.block_size = p->block_size,
		.events = 8192,
		.held_ports = power_at_least(2 * (live / SHARDS), 1024, 1u << 20),
		.commands = 4096,
		.handoff = 1024,
		.audits = 1024,
	};
}

size_t world_region_b(const struct plan *p)
{
	struct sn_geometry geo = geometry_of(p);

	return sn_region_footprint(&geo);
}

uint32_t world_pages(const struct plan *p)
{
	return arena_pages(world_region_b(p)) + arena_pages(floor_footprint(p->flows));
}

static int make_region(struct world *w, struct arena *arena)
{
	struct sn_geometry geo = geometry_of(&w->plan);
	size_t region_b = world_region_b(&w->plan);
	void *mem = arena_take(arena, region_b), *floor = arena_take(arena, floor_footprint(w->plan.flows));
	int err;

	if (!mem || !floor)
		return -ENOMEM;
	err = sn_region_format(mem, region_b, &geo, "bench");
	if (err)
		return err;
	floor_make(&w->floor, floor, w->plan.flows);
	return sn_region_join(mem, region_b, true, &w->region) ? -EPROTO : 0;
}

/* --- what control and the supervisor would have written --- */

static void give_policy(struct world *w, struct sn_policy *p, bool is_short)
{
	*p = (struct sn_policy){ .generation = 1, .interface_count = 2, .realm_count = 1, .pool_count = 1,
				 .rule_count = RULES, .tcp_loose = 1, .tcp_max_retrans = 3 };
	sn_policy_profile(p, "rfc");
	p->timeout_ds[SN_T_UDP] = p->timeout_ds[SN_T_TCP_SYN_SENT] = is_short ? 1 : LONG_DS;
	p->timeout_ds[SN_T_UDP_STREAM] = p->timeout_ds[SN_T_TCP_ESTABLISHED] = LONG_DS;
	p->limits = (struct sn_limits){ .ports = { 16384, 16384, 16384 }, .flows = 65535, .flow_rate = 65535,
					.blocks = blocks_of(&w->plan) + 3, .outside_flows = 64,
					.hold_down_ds = w->plan.hold_down_ds, .icmp_rate = 100 };
	p->interfaces[0] = (struct sn_interface){ .name = "inside", .mtu_b = 1500, .side = SN_INSIDE,
						  .mac = { 2, 0, 0, 0, 2, 0 } };
	p->interfaces[1] = (struct sn_interface){ .name = "outside", .mtu_b = 1500, .side = SN_OUTSIDE,
						  .mac = { 2, 0, 0, 0, 2, 1 } };
	p->pools[0] = (struct sn_pool){ .name = "pool", .addresses = w->region.geo.addresses };
	for (uint32_t i = 0; i + 1 < RULES; i++)
		p->rules[i] = (struct sn_rule){ .source_be32 = htonl(0xc0a80000u + (i << 8)), .source_mask_be32 = htonl(0xffffff00u),
						.action = i % 2 ? SN_PASS : SN_TRANSLATE };
	p->rules[RULES - 1] = (struct sn_rule){ .source_be32 = htonl(0x64400000u), .source_mask_be32 = htonl(0xffc00000u) };
}

/* Subscribers are behind access routers, a /20 each; the Internet is behind two gateways. */
static int give_routes(struct world *w)
{
	struct sn_route routes[ROUTERS + 2];
	uint32_t n = 0;

	for (uint32_t i = 0; i < ROUTERS; i++)
		routes[n++] = (struct sn_route){ .first = 0x64400000u + (i << 12), .last = 0x64400fffu + (i << 12),
						 .gateway_be32 = htonl(0x64800001u + i), .interface = 0 };
	routes[ROUTERS - 1].last = 0x647fffffu;
	routes[n++] = (struct sn_route){ .first = 0xc6120000u, .last = 0xc612ffffu, .gateway_be32 = htonl(0xc0000201u),
					 .interface = 1 };
	routes[n++] = (struct sn_route){ .first = 0xc6130000u, .last = 0xc613ffffu, .gateway_be32 = htonl(0xc0000202u),
					 .interface = 1 };
	for (uint32_t i = 0; i < n; i++)
		if (sn_neighbour_set(w->region.routing, routes[i].interface, routes[i].gateway_be32,
				     SN_NB_RESOLVED, router_mac, 0) < 0)
			return -ENOSPC;
	return sn_route_publish(w->region.routing, routes, n);
}

static int publish(struct world *w)
{
	struct sn_ports ports = sn_region_ports(&w->region, SN_NONE);
	int err = 0;

	give_policy(w, &w->region.policy->copy[0], false);
	give_policy(w, &w->region.policy->copy[1], true);
	for (uint32_t i = 0; !err && i < w->region.geo.addresses; i++)
		err = sn_ports_add_address(&ports, i, htonl(PUBLIC + i), 0);
	for (uint32_t i = 0; i < SHARDS; i++)
		atomic_store(&w->region.owners[i],
			     sn_shard_owner_pack((struct sn_shard_owner){ .worker = i % w->plan.workers, .epoch = 1 }));
	return err ? err : give_routes(w);
}

void world_be_short(struct world *w, bool is_short)
{
	atomic_store_explicit(&w->region.policy->active, is_short, memory_order_release);
}

/* --- workers --- */

static int join_umems(struct world *w, uint32_t number)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < w->plan.workers; i++)
		err = sn_umem_join(w->lanes[i].umem_fd, i == number, &w->lanes[number].worker->umem[i]);
	return err;
}

/* The ports come after the take-over, which is about AF_XDP sockets. */
static int make_worker(struct world *w, uint32_t number)
{
	struct lane *l = &w->lanes[number];
	struct sn_worker *worker = l->worker;
	int err;

	worker->region = w->region;
	err = sn_worker_init(worker, number);
	if (!err)
		err = join_umems(w, number);
	if (err)
		return err;
	sn_worker_take_over(worker);
	for (uint16_t i = 0; !err && i < 2; i++) {
		err = sn_mem_port(&worker->umem[number], i, DEPTH, &worker->ports[i]);
		worker->port_of_interface[i] = i;
	}
	worker->port_count = 2;
	return err;
}

static int make_lanes(struct world *w, struct arena *arena)
{
	int err = 0;

	for (uint32_t i = 0; i < w->plan.workers; i++) {
		w->lanes[i].worker = aligned_alloc(SN_CACHE_LINE, (sizeof(struct sn_worker) + 63) & ~(size_t)63);
		if (!w->lanes[i].worker)
			return -ENOMEM;
		memset(w->lanes[i].worker, 0, sizeof(struct sn_worker));
		w->lanes[i].umem_fd = arena_take_packets(arena);
		if (w->lanes[i].umem_fd < 0)
			return -ENOMEM;
	}
	for (uint32_t i = 0; !err && i < w->plan.workers; i++)
		err = make_worker(w, i);
	return err;
}

static void free_lane(struct world *w, struct lane *l)
{
	if (!l->worker)
		return;
	for (uint32_t i = 0; i < w->plan.workers; i++)
		sn_umem_leave(&l->worker->umem[i]);
	for (uint32_t i = 0; i < l->worker->port_count; i++)
		sn_mem_port_free(&l->worker->ports[i]);
	free(l->worker->nat.shards);
	free(l->worker->nat.owned);
	free(l->worker);
}

void world_free(struct world *w)
{
	for (uint32_t i = 0; i < w->plan.workers; i++)
		free_lane(w, &w->lanes[i]);
	free(w->tuples);
	*w = (struct world){ 0 };
}

int world_make(struct world *w, struct arena *arena, const struct plan *p)
{
	int err;

	*w = (struct world){ .plan = *p, .random = 0x2545f4914f6cdd1du };
	w->tuples = calloc(SN_MAX(p->flows, p->subscribers), sizeof(*w->tuples));
	err = w->tuples ? make_region(w, arena) : -ENOMEM;
	if (!err)
		err = publish(w);
	if (!err)
		err = make_lanes(w, arena);
	if (err)
		world_free(w);
	return err;
}
