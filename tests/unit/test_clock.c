/*
 * test_clock.c: time goes on, also across the wrap of the tenths.
 */
#include <criterion/criterion.h>

#include "clock.h"

Test(clock, offset_moves_time)
{
	struct sn_clock c = { 0 }, ahead = { 0 };
	uint64_t now = sn_clock_ns(&c);

	atomic_store(&ahead.offset_ns, 3600000000000ull);
	cr_assert_geq(sn_clock_ns(&c), now);
	cr_assert_geq(sn_clock_ns(&ahead), now + 3600000000000ull);
	cr_assert_gt(sn_clock_wall_ns(), 1700000000000000000ull);
}

Test(clock, due)
{
	cr_assert(sn_clock_due(5, 5));
	cr_assert(sn_clock_due(5, 6));
	cr_assert_not(sn_clock_due(6, 5));
	cr_assert_not(sn_clock_due(3, UINT32_MAX - 2), "a deadline after the wrap");
	cr_assert(sn_clock_due(UINT32_MAX - 2, 3), "a deadline before the wrap");
	cr_assert_eq(sn_clock_ds(99999999), 0);
	cr_assert_eq(sn_clock_ds(100000000), 1);
}
