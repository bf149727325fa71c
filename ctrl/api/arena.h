/*
 * arena.h: the memory of one reply: taken once at start, handed out in pieces, empty again for the next request. Its
 * size bounds every reply, so that no request makes the process grow.
 */
#ifndef SN_API_ARENA_H
#define SN_API_ARENA_H

#include "base.h"

struct sn_arena {
	uint8_t *mem;
	size_t size_b, used_b;
};

/* Maps size_b bytes (pages that are never used cost nothing). 0 or -ENOMEM. */
int sn_arena_init(struct sn_arena *a, size_t size_b);
void sn_arena_fini(struct sn_arena *a);
void sn_arena_reset(struct sn_arena *a);

/* count zeroed elements of size_b bytes each. The caller keeps to what the arena was sized for (asserted). */
void *sn_arena_take(struct sn_arena *a, size_t count, size_t size_b);

/* A formatted string. */
char *sn_arena_printf(struct sn_arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
