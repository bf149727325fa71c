/*
 * stress_route.c: control publishes routes and changes neighbours as fast as it can, three workers look up. Each list
 * and each state has contents that follow from one number, so that a torn entry, or one found in a list that is being
 * replaced, is seen.
 */
#include <arpa/inet.h>
#include <string.h>

#include "route.h"
#include "seed.h"
#include "threads.h"

#define READERS 3u
#define PUBLICATIONS 30000u
#define ROUTES_MIN 64u
#define ROUTES_MAX 256u
#define COVERED (ROUTES_MIN * 8u) /* addresses that every list has a route for */
#define NEIGHBOURS 40u

struct reader {
	uint64_t rng, routes, neighbours;
};

static struct sn_routing routing;
static _Atomic bool done;

static uint32_t mix(uint32_t list, uint32_t i)
{
	uint64_t x = (uint64_t)list << 32 | i;

	return (uint32_t)seed_next(&x);
}

/* Ranges are of another width in each list. */
static struct sn_route route_of(uint16_t list, uint32_t i)
{
	uint32_t width = 8 + list % 5;

	return (struct sn_route){ .first = i * width,
				  .last = i * width + width - 1,
				  .gateway_be32 = mix(list, i),
				  .interface = (uint16_t)mix(list, i + 1000),
				  .mtu_b = list };
}

static void publish(uint16_t list, uint64_t *rng)
{
	static struct sn_route routes[ROUTES_MAX];
	uint32_t n = ROUTES_MIN + seed_below(rng, ROUTES_MAX - ROUTES_MIN + 1);

	for (uint32_t i = 0; i < n; i++)
		routes[i] = route_of(list, i);
	STRESS_ASSERT(sn_route_publish(&routing, routes, n) == 0, "list %u", list);
}

/* Neighbour number i is interface i % 4, address i; its MAC of version v is v and what follows from it. */
static void mac_of(uint32_t i, uint8_t v, uint8_t mac[6])
{
	for (uint32_t k = 0; k < 6; k++)
		mac[k] = (uint8_t)(v + k * (v ^ i));
}

static void change_neighbour(uint64_t *rng)
{
	uint32_t i = seed_below(rng, NEIGHBOURS), state = SN_NB_WANTED + seed_below(rng, 3);
	uint8_t mac[6];

	mac_of(i, (uint8_t)seed_next(rng), mac);
	STRESS_ASSERT(sn_neighbour_set(&routing, (uint16_t)(i % 4), htonl(i), state, mac, (uint32_t)seed_next(rng)) >=
			      0,
		      "%u", i);
}

static void control(void *seed)
{
	uint64_t rng = *(uint64_t *)seed;

	for (uint32_t n = 1; n <= PUBLICATIONS; n++) {
		publish((uint16_t)n, &rng);
		for (int i = 0; i < 4; i++)
			change_neighbour(&rng);
	}
	atomic_store_explicit(&done, true, memory_order_relaxed);
}

static void look_up_route(struct reader *r)
{
	uint32_t dst = seed_below(&r->rng, COVERED);
	struct sn_route got, want;

	/* Sixteen lists in a row, each of them replaced during one look-up: only when this thread was put aside each
	 * time. */
	if (!sn_route_find(&routing, htonl(dst), &got))
		return;
	want = route_of(got.mtu_b, got.first / (8 + got.mtu_b % 5));
	STRESS_ASSERT(memcmp(&got, &want, sizeof(want)) == 0, "the route of %u is torn: list %u, %u..%u", dst,
		      got.mtu_b, got.first, got.last);
	STRESS_ASSERT(got.first <= dst && dst <= got.last, "%u found in %u..%u", dst, got.first, got.last);
	r->routes++;
}

static void look_up_neighbour(struct reader *r)
{
	uint32_t i = seed_below(&r->rng, NEIGHBOURS);
	uint16_t number = sn_neighbour_find(&routing, (uint16_t)(i % 4), htonl(i));
	struct sn_neighbour n;
	uint8_t mac[6];

	if (number == SN_NEIGHBOUR_UNKNOWN || !sn_neighbour_read(&routing, number, &n))
		return;
	STRESS_ASSERT(n.addr_be32 == htonl(i) && n.interface == i % 4, "neighbour %u is another", i);
	mac_of(i, n.mac[0], mac);
	STRESS_ASSERT(n.state != SN_NB_RESOLVED || memcmp(n.mac, mac, 6) == 0, "the MAC of neighbour %u is torn", i);
	atomic_store_explicit(&routing.neighbours[number].used_ds, (uint32_t)r->neighbours, memory_order_relaxed);
	r->neighbours++;
}

static void work(void *arg)
{
	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		look_up_route(arg);
		look_up_neighbour(arg);
	}
}

int main(void)
{
	uint64_t seed = seed_start(105);
	struct reader readers[READERS] = { 0 };
	struct stress all;

	publish(0, &seed);
	stress_init(&all, READERS + 1);
	stress_run(&all, control, &seed);
	for (uint32_t i = 0; i < READERS; i++) {
		readers[i].rng = seed + 1 + i;
		stress_run(&all, work, &readers[i]);
	}
	stress_join(&all);
	for (uint32_t i = 0; i < READERS; i++) {
		STRESS_ASSERT(readers[i].routes > 0 && readers[i].neighbours > 0, "reader %u never found anything", i);
		printf("reader %u: %llu routes, %llu neighbours\n", i, (unsigned long long)readers[i].routes,
		       (unsigned long long)readers[i].neighbours);
	}
	return 0;
}
