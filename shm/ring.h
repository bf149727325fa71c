/*
 * ring.h: a ring of fixed-size slots with one producer and one consumer, in two processes or one.
 *
 * The ends are in the region; their owner may be killed and succeeded at any point: what was published stays, what was not
 * released is seen again.
 */
#ifndef SN_RING_H
#define SN_RING_H

#include "base.h"

struct sn_ring_ends {
	_Atomic uint32_t head SN_ALIGNED(SN_CACHE_LINE); /* W: producer  release after slots */
	_Atomic uint32_t tail SN_ALIGNED(SN_CACHE_LINE); /* W: consumer  release after reading slots */
} SN_ALIGNED(SN_CACHE_LINE);

/* A process's view. slots is a power of two. */
struct sn_ring {
	struct sn_ring_ends *ends;
	uint8_t *data;
	uint32_t slots;
	uint32_t slot_b;
};

/* Bytes in the region: ends and slots, a multiple of a cache line. */
size_t sn_ring_footprint(uint32_t slots, uint32_t slot_b);

/* Zeroes the ends of a ring laid out at mem, and joins one. */
void sn_ring_format(void *mem);
struct sn_ring sn_ring_join(void *mem, uint32_t slots, uint32_t slot_b);

/* Producer: the slot `ahead` places after the last published one, NULL if there is no room. Then publish n slots at once. */
void *sn_ring_reserve(const struct sn_ring *r, uint32_t ahead);
void sn_ring_publish(const struct sn_ring *r, uint32_t n);

/* Consumer: the slot `ahead` places after the oldest one, NULL if it is not published yet. Then release n slots at once. */
void *sn_ring_peek(const struct sn_ring *r, uint32_t ahead);
void sn_ring_release(const struct sn_ring *r, uint32_t n);

/* Slots published and not released; at most slots whatever the ends say. */
uint32_t sn_ring_used(const struct sn_ring *r);

#endif
