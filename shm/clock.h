/*
 * clock.h: time in the region is CLOCK_MONOTONIC plus an offset word, so that it goes on through every restart of a
 * process, depends on none that ticks, and can be advanced by tests.
 *
 * The offset is written by the test tool alone (tests/lab/advance, built with -Dtest_clock=true); in other builds
 * sn_clock_advance does not exist and the offset stays 0.
 */
#ifndef SN_CLOCK_H
#define SN_CLOCK_H

#include "base.h"

struct sn_clock {
	_Atomic uint64_t offset_ns; /* W: test tool  R: all  relaxed */
};

/* Nanoseconds. */
uint64_t sn_clock_ns(const struct sn_clock *c);

/* Tenths of a second, the unit of every timeout in the region; wraps after 13 years. */
static inline uint32_t sn_clock_ds(uint64_t now_ns)
{
	return (uint32_t)(now_ns / 100000000u);
}

/* Whether a deadline is reached: true at now == deadline; right across the wrap. */
static inline bool sn_clock_due(uint32_t deadline_ds, uint32_t now_ds)
{
	return (int32_t)(now_ds - deadline_ds) >= 0;
}

/* CLOCK_REALTIME in nanoseconds since the epoch, for what people and the police read. */
uint64_t sn_clock_wall_ns(void);

#ifdef SN_TEST_CLOCK
/* Moves time forward. */
void sn_clock_advance(struct sn_clock *c, uint64_t by_ns);
#endif

#endif
