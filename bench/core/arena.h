/*
 * arena.h: the benchmark's memory, taken once at the start, so that no other program gets the huge pages between two
 * worlds. One thread, a stack: everything is given back at once.
 */
#ifndef BENCH_ARENA_H
#define BENCH_ARENA_H

#include "base.h"

#define ARENA_PACKETS_MAX 4 /* packet memories at a time */

struct arena {
	uint8_t *mem;
	size_t size_b, used_b;
	int packets[ARENA_PACKETS_MAX];
	uint32_t packets_used;
	bool huge; /* all of it */
};

/* Pages of 2 MB for so many bytes. */
uint32_t arena_pages(size_t size_b);

/* Huge pages where there are any, small ones elsewhere. 0 or -ENOMEM. */
int arena_open(struct arena *a, uint32_t pages, uint32_t packets);
void arena_close(struct arena *a);

/*
 * Zeroed memory, NULL if there is not so much left; a descriptor of formatted packet memory, -1. They stay the
 * arena's.
 */
void *arena_take(struct arena *a, size_t size_b);
int arena_take_packets(struct arena *a);

/* Everything is free again. */
void arena_reset(struct arena *a);

/* Bytes of one packet memory. */
size_t arena_packets_b(void);

#endif
