/*
 * floor.h: what memory alone costs for each packet of F flows: one random index line (4-byte entries, one per tuple,
 * four flows to a line), then the record line of 64 bytes that it names, both prefetched over a burst of 32, one word
 * of the record written, 32 bytes of header copied. Nothing that a flow engine does can be cheaper on this machine.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include "base.h"

struct floor {
	uint32_t *index;   /* 16 entries to a line, eight in use */
	uint8_t *records;  /* 64 bytes each */
	uint32_t flows;
	uint64_t random;
};

/* Bytes for so many flows. */
size_t floor_footprint(uint32_t flows);

/* Lays it out in zeroed memory. */
void floor_make(struct floor *f, void *mem, uint32_t flows);

/* Handles so many packets. */
void floor_run(struct floor *f, uint32_t packets);

#endif
