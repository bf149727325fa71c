/*
 * clock.c: the region's time.
 */
#include "clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t id)
{
	struct timespec t;

	SN_ASSERT(clock_gettime(id, &t) == 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t sn_clock_ns(const struct sn_clock *c)
{
	return read_ns(CLOCK_MONOTONIC) + atomic_load_explicit(&c->offset_ns, memory_order_relaxed);
}

uint64_t sn_clock_wall_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

#ifdef SN_TEST_CLOCK
void sn_clock_advance(struct sn_clock *c, uint64_t by_ns)
{
	atomic_fetch_add_explicit(&c->offset_ns, by_ns, memory_order_relaxed);
}
#endif
