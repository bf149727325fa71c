/*
 * flatten.c: a walk over prefixes in address order with a stack of those that are open. Prefixes nest or are apart,
 * so the stack is at most 33 deep; each level holds the winner among itself and all that enclose it.
 */
#include <stdlib.h>

#include "flatten.h"

#define DEPTH 33

struct level {
	uint32_t last;   /* where this prefix ends */
	uint8_t prefix;
	const struct sn_prefix_route *winner;
};

struct walk {
	struct level open[DEPTH];
	uint32_t depth;
	uint64_t next; /* the first address no range has been made for yet */
	struct sn_route *ret;
	size_t count;
};

static uint32_t last_of(const struct sn_prefix_route *r)
{
	return r->first | (r->prefix == 0 ? UINT32_MAX : (uint32_t)((1ull << (32 - r->prefix)) - 1));
}

static bool beats(const struct sn_prefix_route *a, const struct sn_prefix_route *b)
{
	if (a->rank != b->rank)
		return a->rank > b->rank;
	if (a->prefix != b->prefix)
		return a->prefix > b->prefix;
	if (a->metric != b->metric)
		return a->metric < b->metric;
	return a->gateway_be32 < b->gateway_be32;
}

/* Enclosing prefixes before enclosed ones; equal ones from the winner down. */
static int compare(const void *left, const void *right)
{
	const struct sn_prefix_route *a = left, *b = right;

	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	if (beats(a, b))
		return -1;
	return beats(b, a);
}

static bool same_hop(const struct sn_route *range, const struct sn_prefix_route *r)
{
	return range->gateway_be32 == r->gateway_be32 && range->interface == r->interface && range->mtu_b == r->mtu_b;
}

/* The addresses from walk->next to last have their winner: the innermost open level's. */
static void emit(struct walk *w, uint64_t last)
{
	const struct sn_prefix_route *r = w->open[w->depth - 1].winner;
	struct sn_route *before = w->count > 0 ? &w->ret[w->count - 1] : NULL;

	if (w->next > last)
		return;
	if (before != NULL && (uint64_t)before->last + 1 == w->next && same_hop(before, r))
		before->last = (uint32_t)last;
	else
		w->ret[w->count++] = (struct sn_route){ .first = (uint32_t)w->next,
							.last = (uint32_t)last,
							.gateway_be32 = r->gateway_be32,
							.interface = r->interface,
							.mtu_b = r->mtu_b };
	w->next = last + 1;
}

/* Closes the levels that end before an address. */
static void close_before(struct walk *w, uint64_t address)
{
	while (w->depth > 0 && w->open[w->depth - 1].last < address) {
		emit(w, w->open[w->depth - 1].last);
		w->depth--;
	}
}

static void enter(struct walk *w, const struct sn_prefix_route *r)
{
	const struct sn_prefix_route *outer;

	close_before(w, r->first);
	if (w->depth > 0 && w->open[w->depth - 1].last == last_of(r) && w->open[w->depth - 1].prefix == r->prefix)
		return; /* the same prefix again: the first of them is the best */
	if (w->depth > 0 && r->first > 0)
		emit(w, (uint64_t)r->first - 1);
	w->next = r->first;
	outer = w->depth > 0 ? w->open[w->depth - 1].winner : NULL;
	SN_ASSERT(w->depth < DEPTH);
	w->open[w->depth++] = (struct level){ .last = last_of(r),
					      .prefix = r->prefix,
					      .winner = outer != NULL && beats(outer, r) ? outer : r };
}

size_t sn_flatten(struct sn_prefix_route *routes, size_t count, struct sn_route *ret)
{
	struct walk w = { .ret = ret };

	if (count > 0)
		qsort(routes, count, sizeof(*routes), compare);
	for (size_t i = 0; i < count; i++)
		enter(&w, &routes[i]);
	close_before(&w, 1ull << 32);
	return w.count;
}
