/* floor.c: see floor.h. */
#include "floor.h"

#include <string.h>

#define BURST 32
#define ENTRIES 8 /* in use in a line of 16: two tuples for each of four flows */

static uint64_t next_random(struct floor *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	return f->random ^= f->random << 17;
}

size_t floor_footprint(uint32_t flows)
{
	return (size_t)flows / 4 * SN_CACHE_LINE + (size_t)flows * SN_CACHE_LINE;
}

void floor_make(struct floor *f, void *mem, uint32_t flows)
{
	*f = (struct floor){ .index = mem, .flows = flows / 4 * 4, .random = 0x9e3779b97f4a7c15u };
	f->records = (uint8_t *)mem + (size_t)flows / 4 * SN_CACHE_LINE;
	for (uint32_t tuple = 0; tuple < 2 * f->flows; tuple++)
		f->index[tuple / ENTRIES * 16 + tuple % ENTRIES] = (uint32_t)((next_random(f) >> 32) * f->flows >> 32);
}

void floor_run(struct floor *f, uint32_t packets)
{
	static uint8_t headers[BURST][SN_CACHE_LINE], out[BURST][SN_CACHE_LINE];
	const uint32_t *entry[BURST];
	uint8_t *record[BURST];

	for (uint32_t done = 0; done < packets; done += BURST) {
		for (uint32_t i = 0; i < BURST; i++) {
			uint64_t r = next_random(f);

			entry[i] = &f->index[((r >> 32) * (f->flows / 4) >> 32) * 16 + (r & (ENTRIES - 1))];
			__builtin_prefetch(entry[i]);
		}
		for (uint32_t i = 0; i < BURST; i++) {
			record[i] = f->records + (size_t)*entry[i] * SN_CACHE_LINE;
			__builtin_prefetch(record[i], 1);
		}
		for (uint32_t i = 0; i < BURST; i++) {
			++*(uint32_t *)(void *)record[i];
			memcpy(out[i], headers[i], 32);
			__asm__ volatile("" : : "r"(out[i]) : "memory");
		}
	}
}
