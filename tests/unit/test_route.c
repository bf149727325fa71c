/*
 * test_route.c: ranges against a linear search, neighbours against a list, a control process killed at any instruction.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>

#include "route.h"
#include "seed.h"
#include "step.h"

static struct sn_routing *make(void)
{
	return step_memory(sizeof(struct sn_routing));
}

static uint32_t draw_routes(struct sn_route *routes, uint32_t max, uint64_t *rng)
{
	uint64_t at = seed_below(rng, 1u << 20);
	uint32_t n = 0;

	while (n < max && at < UINT32_MAX) {
		uint64_t last = at + seed_below(rng, 1u << 20);

		routes[n] = (struct sn_route){ .first = (uint32_t)at, .last = (uint32_t)SN_MIN(last, UINT32_MAX), .mtu_b = (uint16_t)n };
		n++;
		at = last + 1 + (seed_below(rng, 3) ? 0 : seed_below(rng, 1u << 20));
	}
	return n;
}

static const struct sn_route *search(const struct sn_route *routes, uint32_t n, uint32_t dst)
{
	for (uint32_t i = 0; i < n; i++)
		if (routes[i].first <= dst && dst <= routes[i].last)
			return &routes[i];
	return NULL;
}

Test(route, ranges)
{
	uint64_t rng = seed_start(70);
	struct sn_routing *r = make();
	static struct sn_route routes[3000];

	for (int round = 0; round < 5; round++) {
		uint32_t n = draw_routes(routes, 3000, &rng), hits = 0;

		cr_assert_eq(sn_route_publish(r, routes, n), 0);
		for (int i = 0; i < 3000; i++) {
			const struct sn_route *near = &routes[seed_below(&rng, n)];
			uint32_t dst = (i & 1 ? near->first : near->last) + seed_below(&rng, 3) - 1;
			const struct sn_route *want = search(routes, n, dst);
			struct sn_route got = { 0 };

			cr_assert_eq(sn_route_find(r, htonl(dst), &got), want != NULL);
			cr_assert(!want || want->mtu_b == got.mtu_b);
			hits += want != NULL;
		}
		cr_assert_gt(hits, 1000);
	}
	cr_assert_eq(atomic_load(&r->generation), 5);
}

Test(route, bad_lists_are_refused)
{
	struct sn_routing *r = make();
	struct sn_route overlap[] = { { .first = 1, .last = 5 }, { .first = 5, .last = 9 } };
	struct sn_route backwards[] = { { .first = 5, .last = 4 } };
	static struct sn_route many[SN_ROUTES_MAX + 2];
	struct sn_route got;

	cr_assert_eq(sn_route_publish(r, overlap, 2), -EINVAL);
	cr_assert_eq(sn_route_publish(r, backwards, 1), -EINVAL);
	cr_assert_eq(atomic_load(&r->generation), 0);
	cr_assert_not(sn_route_find(r, htonl(3), &got));
	for (uint32_t i = 0; i < SN_ARRAY_LEN(many); i++)
		many[i] = (struct sn_route){ .first = i, .last = i };
	cr_assert_eq(sn_route_publish(r, many, SN_ARRAY_LEN(many)), -E2BIG);
	cr_assert_eq(r->overflow, 2);
	cr_assert(sn_route_find(r, htonl(SN_ROUTES_MAX - 1), &got));
	cr_assert_not(sn_route_find(r, htonl(SN_ROUTES_MAX), &got));
	r->copy[1].count = UINT32_MAX;
	cr_assert_not(sn_route_find(r, htonl(SN_ROUTES_MAX), &got), "a corrupt count is contained");
	cr_assert_eq(sn_route_publish(r, NULL, 0), 0);
	cr_assert_eq(r->overflow, 0);
}

Test(route, neighbours)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 };
	struct sn_routing *r = make();
	struct sn_neighbour n;

	cr_assert_eq(sn_neighbour_find(r, 1, 5), SN_NEIGHBOUR_UNKNOWN);
	cr_assert_not(sn_neighbour_read(r, 0, &n));
	cr_assert_eq(sn_neighbour_set(r, 1, 5, SN_NB_WANTED, NULL, 10), 0);
	cr_assert_eq(sn_neighbour_set(r, 2, 5, SN_NB_RESOLVED, mac, 11), 1);
	cr_assert_eq(sn_neighbour_set(r, 1, 5, SN_NB_FAILED, NULL, 12), 0);
	cr_assert_eq(sn_neighbour_find(r, 1, 5), 0);
	cr_assert_eq(sn_neighbour_find(r, 2, 5), 1);
	cr_assert(sn_neighbour_read(r, 0, &n));
	cr_assert(n.state == SN_NB_FAILED && n.failed_ds == 12 && n.addr_be32 == 5 && n.interface == 1);
	cr_assert(sn_neighbour_read(r, 1, &n));
	cr_assert(n.state == SN_NB_RESOLVED && memcmp(n.mac, mac, 6) == 0);
	cr_assert_not(sn_neighbour_read(r, 2, &n));
	cr_assert_not(sn_neighbour_read(r, SN_NEIGHBOUR_UNKNOWN, &n));
	atomic_store(&r->neighbours[1].seq, 7);
	cr_assert_not(sn_neighbour_read(r, 1, &n), "changing for ever");
	cr_assert_eq(sn_neighbour_set(r, 2, 5, SN_NB_FREE, NULL, 12), 1);
	cr_assert_not(sn_neighbour_read(r, 1, &n), "free");
}

Test(route, all_neighbours)
{
	static const uint8_t mac[6] = { 2 };
	struct sn_routing *r = make();

	for (uint32_t i = 0; i < SN_NEIGHBOURS_MAX; i++)
		cr_assert_eq(sn_neighbour_set(r, i & 3, htonl(0x0a000000 + i), SN_NB_RESOLVED, mac, 0), (int)i);
	cr_assert_eq(sn_neighbour_set(r, 9, 1, SN_NB_RESOLVED, mac, 0), -ENOSPC);
	for (uint32_t i = 0; i < SN_NEIGHBOURS_MAX; i++)
		cr_assert_eq(sn_neighbour_find(r, i & 3, htonl(0x0a000000 + i)), i);
	cr_assert_eq(sn_neighbour_find(r, 0, 77), SN_NEIGHBOUR_UNKNOWN);
}

struct stepping {
	struct sn_routing *r;
	int wrong;
};

static void resolve(void *arg)
{
	static const uint8_t mac[6] = { 2, 2, 2, 2, 2, 2 };

	sn_neighbour_set(arg, 1, 5, SN_NB_RESOLVED, mac, 10);
	sn_neighbour_set(arg, 1, 6, SN_NB_RESOLVED, mac, 10);
}

/* Readers see an entry that is whole or none; a successor can set both. */
static void look(void *ctx)
{
	struct stepping *s = ctx;
	struct sn_neighbour n;
	static struct sn_routing copy;

	for (uint16_t i = 0; i < 4; i++)
		if (sn_neighbour_read(s->r, i, &n) && n.state == SN_NB_RESOLVED)
			s->wrong += n.mac[0] != 2 || n.mac[5] != 2 || n.interface != 1;
	memcpy(&copy, s->r, sizeof(copy));
	resolve(&copy);
	for (uint32_t addr = 5; addr <= 6; addr++)
		s->wrong += !sn_neighbour_read(&copy, sn_neighbour_find(&copy, 1, addr), &n) ||
			    n.state != SN_NB_RESOLVED || n.addr_be32 != addr;
}

Test(route, control_killed)
{
	struct stepping s = { .r = make() };

	sn_neighbour_set(s.r, 1, 5, SN_NB_WANTED, NULL, 0);
	cr_assert_gt(step_through(s.r, sizeof(*s.r), resolve, s.r, look, &s), 10);
	cr_assert_eq(s.wrong, 0);
}

static bool is_odd(void *ctx, uint16_t number, const struct sn_neighbour *n)
{
	(void)ctx;
	(void)number;
	return ntohl(n->addr_be32) & 1;
}

/* A full table makes room; what stays keeps its number, what goes is never found again, and kept numbers are of an old generation. */
Test(route, neighbours_make_room)
{
	static const struct sn_route route = { .first = 1, .last = 9, .interface = 3 };
	static const uint8_t mac[6] = { 2 };
	struct sn_routing *r = make();
	struct sn_neighbour n;
	struct sn_route got;
	uint32_t generation;
	int number;

	cr_assert_eq(sn_route_publish(r, &route, 1), 0);
	generation = atomic_load(&r->generation);
	for (uint32_t i = 0; i < SN_NEIGHBOURS_MAX; i++)
		sn_neighbour_set(r, 0, htonl(0x0a000000 + i), SN_NB_RESOLVED, mac, 0);
	cr_assert_eq(sn_neighbour_set(r, 0, htonl(0x0b000000), SN_NB_RESOLVED, mac, 0), -ENOSPC);
	cr_assert_eq(sn_neighbour_recycle(r, is_odd, NULL), SN_NEIGHBOURS_MAX / 2);
	cr_assert_neq(atomic_load(&r->generation), generation);
	cr_assert(sn_route_find(r, htonl(5), &got) && got.interface == 3, "the routes stay");
	for (uint32_t i = 0; i < SN_NEIGHBOURS_MAX; i++)
		cr_assert_eq(sn_neighbour_find(r, 0, htonl(0x0a000000 + i)), i & 1 ? SN_NEIGHBOUR_UNKNOWN : i);
	number = sn_neighbour_set(r, 1, htonl(0x0b000000), SN_NB_RESOLVED, mac, 0);
	cr_assert(number >= 0 && (number & 1) && sn_neighbour_read(r, (uint16_t)number, &n));
	cr_assert(n.addr_be32 == htonl(0x0b000000) && n.interface == 1);
	cr_assert_eq(sn_neighbour_find(r, 1, htonl(0x0b000000)), number);
	for (uint32_t i = 1; i < SN_NEIGHBOURS_MAX / 2; i++)
		cr_assert_geq(sn_neighbour_set(r, 1, htonl(0x0b000000 + i), SN_NB_RESOLVED, mac, 0), 0);
	cr_assert_eq(sn_neighbour_set(r, 1, 77, SN_NB_RESOLVED, mac, 0), -ENOSPC);
}

static bool is_none(void *ctx, uint16_t number, const struct sn_neighbour *n)
{
	(void)ctx;
	(void)number;
	(void)n;
	return false;
}

/* Control was killed while it found all anew: the next one finds those that stayed, under their numbers. */
Test(route, slots_come_back)
{
	static const uint8_t mac[6] = { 2 };
	struct sn_routing *r = make();

	for (uint32_t addr = 4; addr < 8; addr++)
		sn_neighbour_set(r, 1, htonl(addr), SN_NB_RESOLVED, mac, 0);
	memset(r->slots, 0, sizeof(r->slots));
	cr_assert_eq(sn_neighbour_find(r, 1, htonl(4)), SN_NEIGHBOUR_UNKNOWN);
	cr_assert_eq(sn_neighbour_recycle(r, is_none, NULL), 0);
	for (uint32_t addr = 4; addr < 8; addr++)
		cr_assert_eq(sn_neighbour_find(r, 1, htonl(addr)), addr - 4);
	cr_assert_eq(atomic_load(&r->generation), 0, "nobody has to forget");
}
