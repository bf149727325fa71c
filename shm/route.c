/*
 * route.c: look-ups of next hops by workers, changes by control.
 *
 * Routes are read like a record under a sequence number, which is the generation: the copy that it names is not written
 * before it has moved on.
 *
 * An entry changes under seq; its interface and address only after the generation in which it was free has begun. Control
 * may be killed at any point: an entry whose seq stayed odd is read by nobody until its successor sets it again, and one
 * that was counted but has no slot yet is never found; sn_neighbour_recycle() gives those their slots.
 */
#include "route.h"

#include <errno.h>

#define READ_TRIES 16
#define SLOTS (SN_NEIGHBOURS_MAX * 2u)

/* Looks into a copy that may be changing meanwhile. */
static bool search(const struct sn_route_copy *copy, uint32_t dst, struct sn_route *ret)
{
	uint32_t low = 0, high = SN_MIN(__atomic_load_n(&copy->count, __ATOMIC_RELAXED), (uint32_t)SN_ROUTES_MAX);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		sn_copy_words(ret, &copy->routes[middle], sizeof(*ret));
		if (dst < ret->first)
			high = middle;
		else if (dst > ret->last)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

bool sn_route_find(const struct sn_routing *r, uint32_t dst_be32, struct sn_route *ret)
{
	uint32_t generation = atomic_load_explicit(&r->generation, memory_order_acquire), now;

	for (int i = 0; i < READ_TRIES; i++, generation = now) {
		struct sn_route route;
		bool found = search(&r->copy[generation & 1], __builtin_bswap32(dst_be32), &route);

		atomic_thread_fence(memory_order_acquire);
		now = atomic_load_explicit(&r->generation, memory_order_acquire);
		if (now != generation)
			continue;
		if (found)
			*ret = route;
		return found;
	}
	return false;
}

/* 0, or -EINVAL if a range is not after the one before it. */
static int check_order(const struct sn_route *routes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (routes[i].first > routes[i].last)
			return -EINVAL;
		if (i > 0 && routes[i].first <= routes[i - 1].last)
			return -EINVAL;
	}
	return 0;
}

int sn_route_publish(struct sn_routing *r, const struct sn_route *routes, uint32_t count)
{
	uint32_t next = atomic_load_explicit(&r->generation, memory_order_relaxed) + 1;
	struct sn_route_copy *copy = &r->copy[next & 1];
	uint32_t fit = SN_MIN(count, (uint32_t)SN_ROUTES_MAX);

	if (check_order(routes, count) < 0)
		return -EINVAL;
	/* Readers of this copy see that it is the old one before it changes. */
	atomic_thread_fence(memory_order_release);
	sn_copy_words(copy->routes, routes, fit * sizeof(*routes));
	__atomic_store_n(&copy->count, fit, __ATOMIC_RELAXED);
	r->overflow = count - fit;
	atomic_store_explicit(&r->generation, next, memory_order_release);
	return fit < count ? -E2BIG : 0;
}

/* --- neighbours --- */

static uint32_t slot_home(uint16_t interface, uint32_t addr_be32)
{
	uint64_t x = ((uint64_t)interface << 32 | addr_be32) * 0x9e3779b97f4a7c15u;

	return (uint32_t)(x >> 40) & (SLOTS - 1);
}

/* The slot of (interface, address), or the empty one where it would be; SLOTS if there is neither. */
static uint32_t find_slot(const struct sn_routing *r, uint16_t interface, uint32_t addr_be32)
{
	uint32_t home = slot_home(interface, addr_be32);

	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t slot = (home + i) & (SLOTS - 1);
		uint32_t entry = atomic_load_explicit(&r->slots[slot], memory_order_acquire);

		if (entry == 0)
			return slot;
		if (entry > SN_NEIGHBOURS_MAX)
			continue;
		if (r->neighbours[entry - 1].addr_be32 == addr_be32 && r->neighbours[entry - 1].interface == interface)
			return slot;
	}
	return SLOTS;
}

uint16_t sn_neighbour_find(const struct sn_routing *r, uint16_t interface, uint32_t addr_be32)
{
	uint32_t slot = find_slot(r, interface, addr_be32);
	uint32_t entry = slot == SLOTS ? 0 : atomic_load_explicit(&r->slots[slot], memory_order_acquire);

	return entry == 0 || entry > SN_NEIGHBOURS_MAX ? SN_NEIGHBOUR_UNKNOWN : (uint16_t)(entry - 1);
}

bool sn_neighbour_read(const struct sn_routing *r, uint16_t number, struct sn_neighbour *ret)
{
	const struct sn_neighbour *n = &r->neighbours[number % SN_NEIGHBOURS_MAX];

	if (number >= SN_NEIGHBOURS_MAX || number >= atomic_load_explicit(&r->neighbour_count, memory_order_acquire))
		return false;
	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t seq = atomic_load_explicit(&n->seq, memory_order_acquire);
		struct sn_neighbour copy;

		sn_copy_words(&copy, n, sizeof(copy));
		atomic_thread_fence(memory_order_acquire);
		if (seq & 1 || atomic_load_explicit(&n->seq, memory_order_relaxed) != seq)
			continue;
		if (copy.state == SN_NB_FREE)
			return false;
		*ret = copy;
		return true;
	}
	return false;
}

/* From here on readers see that the entry changes; what the generation was before is seen before it too. */
static uint32_t begin_change(struct sn_neighbour *n)
{
	uint32_t odd = atomic_load_explicit(&n->seq, memory_order_relaxed) | 1;

	atomic_store_explicit(&n->seq, odd, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	return odd;
}

static void write_neighbour(struct sn_neighbour *n, enum sn_neighbour_state state, const uint8_t *mac, uint32_t now_ds)
{
	uint32_t odd = begin_change(n);

	for (size_t i = 0; state == SN_NB_RESOLVED && i < sizeof(n->mac); i++)
		__atomic_store_n(&n->mac[i], mac[i], __ATOMIC_RELAXED);
	if (state == SN_NB_FAILED)
		__atomic_store_n(&n->failed_ds, now_ds, __ATOMIC_RELAXED);
	__atomic_store_n(&n->state, (uint8_t)state, __ATOMIC_RELAXED);
	atomic_store_explicit(&n->seq, odd + 1, memory_order_release);
}

/* A free entry's number: one that was never used, or was given up; SN_NEIGHBOURS_MAX if there is none. */
static uint32_t find_free(const struct sn_routing *r)
{
	uint32_t count = atomic_load_explicit(&r->neighbour_count, memory_order_relaxed);

	if (count < SN_NEIGHBOURS_MAX)
		return count;
	for (uint32_t i = 0; i < SN_NEIGHBOURS_MAX; i++)
		if (r->neighbours[i].state == SN_NB_FREE)
			return i;
	return SN_NEIGHBOURS_MAX;
}

static void name_neighbour(struct sn_neighbour *n, uint16_t interface, uint32_t addr_be32, uint32_t now_ds)
{
	begin_change(n);
	__atomic_store_n(&n->addr_be32, addr_be32, __ATOMIC_RELAXED);
	__atomic_store_n(&n->interface, interface, __ATOMIC_RELAXED);
	atomic_store_explicit(&n->used_ds, now_ds, memory_order_relaxed);
}

int sn_neighbour_set(struct sn_routing *r, uint16_t interface, uint32_t addr_be32, enum sn_neighbour_state state,
		     const uint8_t mac[6], uint32_t now_ds)
{
	uint16_t known = sn_neighbour_find(r, interface, addr_be32);
	uint32_t slot, number;
	struct sn_neighbour *n;

	if (known != SN_NEIGHBOUR_UNKNOWN) {
		write_neighbour(&r->neighbours[known], state, mac, now_ds);
		return known;
	}
	slot = find_slot(r, interface, addr_be32);
	number = find_free(r);
	if (number >= SN_NEIGHBOURS_MAX || slot == SLOTS)
		return -ENOSPC;
	n = &r->neighbours[number];
	name_neighbour(n, interface, addr_be32, now_ds);
	write_neighbour(n, state, mac, now_ds);
	if (number >= atomic_load_explicit(&r->neighbour_count, memory_order_relaxed))
		atomic_store_explicit(&r->neighbour_count, number + 1, memory_order_release);
	atomic_store_explicit(&r->slots[slot], number + 1, memory_order_release);
	return (int)number;
}

/* The same routes under the next generation: whoever keeps numbers with a generation forgets them. */
static void end_generation(struct sn_routing *r)
{
	uint32_t generation = atomic_load_explicit(&r->generation, memory_order_relaxed);
	const struct sn_route_copy *now = &r->copy[generation & 1];
	struct sn_route_copy *next = &r->copy[(generation + 1) & 1];
	uint32_t count = SN_MIN(now->count, (uint32_t)SN_ROUTES_MAX);

	atomic_thread_fence(memory_order_release);
	sn_copy_words(next->routes, now->routes, count * sizeof(now->routes[0]));
	__atomic_store_n(&next->count, count, __ATOMIC_RELAXED);
	atomic_store_explicit(&r->generation, generation + 1, memory_order_release);
}

static void rebuild_slots(struct sn_routing *r)
{
	uint32_t count = SN_MIN(atomic_load_explicit(&r->neighbour_count, memory_order_relaxed), SN_NEIGHBOURS_MAX);

	for (uint32_t i = 0; i < SLOTS; i++)
		atomic_store_explicit(&r->slots[i], 0, memory_order_relaxed);
	for (uint32_t i = 0; i < count; i++) {
		const struct sn_neighbour *n = &r->neighbours[i];
		uint32_t slot = n->state == SN_NB_FREE ? SLOTS : find_slot(r, n->interface, n->addr_be32);

		if (slot != SLOTS)
			atomic_store_explicit(&r->slots[slot], i + 1, memory_order_release);
	}
}

uint32_t sn_neighbour_recycle(struct sn_routing *r, bool (*useless)(void *ctx, uint16_t number, const struct sn_neighbour *n),
			      void *ctx)
{
	uint32_t count = SN_MIN(atomic_load_explicit(&r->neighbour_count, memory_order_relaxed), SN_NEIGHBOURS_MAX);
	uint32_t taken = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct sn_neighbour *n = &r->neighbours[i];

		if (n->state == SN_NB_FREE || !useless(ctx, (uint16_t)i, n))
			continue;
		write_neighbour(n, SN_NB_FREE, NULL, 0);
		taken++;
	}
	r->recycled += taken;
	if (taken)
		end_generation(r);
	rebuild_slots(r);
	return taken;
}
