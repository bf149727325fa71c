/* Flattening of routes: known cases, and random tables against a search that looks at every route. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "flatten.h"

#define ROUTES_MAX 300

static struct sn_prefix_route route(uint32_t first, uint8_t prefix, uint16_t interface)
{
	return (struct sn_prefix_route){ .first = first, .prefix = prefix, .interface = interface };
}

static const struct sn_route *find(const struct sn_route *ranges, size_t count, uint32_t address)
{
	for (size_t i = 0; i < count; i++)
		if (ranges[i].first <= address && address <= ranges[i].last)
			return &ranges[i];
	return NULL;
}

static bool covers(const struct sn_prefix_route *r, uint32_t address)
{
	return r->prefix == 0 || ((address ^ r->first) >> (32 - r->prefix)) == 0;
}

/* The twin: what the kernel would do, by looking at every route. */
static const struct sn_prefix_route *naive_find(const struct sn_prefix_route *r, size_t count, uint32_t address)
{
	const struct sn_prefix_route *best = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!covers(&r[i], address))
			continue;
		if (best == NULL || r[i].rank > best->rank ||
		    (r[i].rank == best->rank && r[i].prefix > best->prefix) ||
		    (r[i].rank == best->rank && r[i].prefix == best->prefix && r[i].metric < best->metric))
			best = &r[i];
	}
	return best;
}

static void expect_same(const struct sn_prefix_route *r, size_t n, const struct sn_route *ranges, size_t count,
			uint32_t address, unsigned int seed)
{
	const struct sn_prefix_route *want = naive_find(r, n, address);
	const struct sn_route *got = find(ranges, count, address);

	cr_assert_eq(want == NULL, got == NULL, "seed %u address %08x", seed, address);
	if (want != NULL)
		cr_assert(got->interface == want->interface && got->gateway_be32 == want->gateway_be32 &&
				  got->mtu_b == want->mtu_b,
			  "seed %u address %08x", seed, address);
}

static void expect_sorted(const struct sn_route *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		cr_assert(ranges[i].first <= ranges[i].last);
		if (i > 0)
			cr_assert(ranges[i - 1].last < ranges[i].first);
	}
}

Test(flatten, nothing)
{
	struct sn_route ret[1];

	cr_assert_eq(sn_flatten(NULL, 0, ret), 0);
}

Test(flatten, default_route_with_a_hole_at_each_end)
{
	struct sn_prefix_route r[] = { route(0, 0, 1), route(0, 32, 2), route(UINT32_MAX, 32, 3) };
	struct sn_route ret[7];

	cr_assert_eq(sn_flatten(r, 3, ret), 3);
	cr_assert(ret[0].first == 0 && ret[0].last == 0 && ret[0].interface == 2);
	cr_assert(ret[1].first == 1 && ret[1].last == UINT32_MAX - 1 && ret[1].interface == 1);
	cr_assert(ret[2].first == UINT32_MAX && ret[2].last == UINT32_MAX && ret[2].interface == 3);
}

Test(flatten, equal_neighbours_are_one_range)
{
	struct sn_prefix_route r[] = { route(0x0a000000, 9, 1), route(0x0a800000, 9, 1) };
	struct sn_route ret[5];

	cr_assert_eq(sn_flatten(r, 2, ret), 1);
	cr_assert(ret[0].first == 0x0a000000 && ret[0].last == 0x0affffff);
}

Test(flatten, lowest_metric_wins)
{
	struct sn_prefix_route r[] = { route(0, 0, 1), route(0, 0, 2), route(0, 0, 3) };
	struct sn_route ret[7];

	r[0].metric = 100;
	r[1].metric = 20;
	r[2].metric = 300;
	cr_assert_eq(sn_flatten(r, 3, ret), 1);
	cr_assert_eq(ret[0].interface, 2);
}

/* A short local prefix beats a longer one of table main inside it, as in the kernel. */
Test(flatten, local_before_longer_prefix)
{
	struct sn_prefix_route r[] = { route(0x7f000001, 32, 1), route(0x7f000000, 8, SN_ROUTE_LOCAL) };
	struct sn_route ret[5];

	r[1].rank = SN_RANK_LOCAL;
	cr_assert_eq(sn_flatten(r, 2, ret), 1);
	cr_assert(ret[0].first == 0x7f000000 && ret[0].last == 0x7fffffff && ret[0].interface == SN_ROUTE_LOCAL);
}

Test(flatten, every_length_nested)
{
	struct sn_prefix_route r[33];
	struct sn_route ret[67];
	size_t count;

	for (uint8_t i = 0; i < 33; i++)
		r[32 - i] = route(0, i, i);
	count = sn_flatten(r, 33, ret);
	cr_assert_eq(count, 33);
	expect_sorted(ret, count);
	cr_assert(ret[0].interface == 32 && ret[32].interface == 0 && ret[32].last == UINT32_MAX);
}

/* Prefixes drawn from few bits, so that they meet, nest and repeat. */
static void draw(struct sn_prefix_route *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t prefix = (uint8_t)(rand() % 33);
		uint32_t mask = prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
		uint32_t address = (uint32_t)(rand() % 4) << 30 | (uint32_t)(rand() % 16) << 20 |
				   (uint32_t)(rand() % 8);

		r[i] = route(address & mask, prefix, (uint16_t)(rand() % 4));
		r[i].rank = rand() % 5 == 0 ? SN_RANK_LOCAL : SN_RANK_MAIN;
		r[i].metric = (uint32_t)i; /* no ties: which of two equal routes wins is not said */
		r[i].gateway_be32 = (uint32_t)(rand() % 2);
		r[i].mtu_b = rand() % 8 == 0 ? 1400 : 0;
	}
}

static void compare_random(unsigned int seed)
{
	struct sn_prefix_route r[ROUTES_MAX], sorted[ROUTES_MAX];
	struct sn_route ret[2 * ROUTES_MAX + 1];
	size_t n, count;

	srand(seed);
	n = (size_t)(rand() % ROUTES_MAX);
	draw(r, n);
	memcpy(sorted, r, n * sizeof(*r));
	count = sn_flatten(sorted, n, ret);
	cr_assert(count <= sn_flatten_bound(n));
	expect_sorted(ret, count);
	for (size_t i = 0; i < n; i++)
		for (int d = -1; d <= 1; d++) {
			uint32_t size = r[i].prefix == 0 ? 0 : 1u << (32 - r[i].prefix);

			expect_same(r, n, ret, count, r[i].first + (uint32_t)d, seed);
			expect_same(r, n, ret, count, r[i].first + size + (uint32_t)d, seed);
		}
	for (int i = 0; i < 200; i++)
		expect_same(r, n, ret, count, (uint32_t)rand() << 1 ^ (uint32_t)rand(), seed);
}

Test(flatten, random_tables_as_the_naive_twin)
{
	for (unsigned int seed = 1; seed <= 60; seed++)
		compare_random(seed);
}
