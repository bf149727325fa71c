/*
 * ring.c: the ends are free running; what the other side's end says is only ever believed within the ring's size.
 */
#include "ring.h"

size_t sn_ring_footprint(uint32_t slots, uint32_t slot_b)
{
	size_t data_b = (size_t)slots * slot_b;

	return sizeof(struct sn_ring_ends) + (data_b + SN_CACHE_LINE - 1) / SN_CACHE_LINE * SN_CACHE_LINE;
}

void sn_ring_format(void *mem)
{
	struct sn_ring_ends *ends = mem;

	atomic_init(&ends->head, 0);
	atomic_init(&ends->tail, 0);
}

struct sn_ring sn_ring_join(void *mem, uint32_t slots, uint32_t slot_b)
{
	SN_ASSERT(slots > 0 && (slots & (slots - 1)) == 0);
	return (struct sn_ring){
		.ends = mem,
		.data = (uint8_t *)mem + sizeof(struct sn_ring_ends),
		.slots = slots,
		.slot_b = slot_b,
	};
}

static void *slot_at(const struct sn_ring *r, uint32_t place)
{
	return r->data + (size_t)(place & (r->slots - 1)) * r->slot_b;
}

uint32_t sn_ring_used(const struct sn_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->ends->tail, memory_order_acquire);
	uint32_t head = atomic_load_explicit(&r->ends->head, memory_order_acquire);

	return SN_MIN(head - tail, r->slots);
}

void *sn_ring_reserve(const struct sn_ring *r, uint32_t ahead)
{
	uint32_t head = atomic_load_explicit(&r->ends->head, memory_order_relaxed);

	return ahead < r->slots - sn_ring_used(r) ? slot_at(r, head + ahead) : NULL;
}

void sn_ring_publish(const struct sn_ring *r, uint32_t n)
{
	uint32_t head = atomic_load_explicit(&r->ends->head, memory_order_relaxed);

	atomic_store_explicit(&r->ends->head, head + n, memory_order_release);
}

void *sn_ring_peek(const struct sn_ring *r, uint32_t ahead)
{
	uint32_t tail = atomic_load_explicit(&r->ends->tail, memory_order_relaxed);

	return ahead < sn_ring_used(r) ? slot_at(r, tail + ahead) : NULL;
}

void sn_ring_release(const struct sn_ring *r, uint32_t n)
{
	uint32_t tail = atomic_load_explicit(&r->ends->tail, memory_order_relaxed);

	atomic_store_explicit(&r->ends->tail, tail + n, memory_order_release);
}
