/*
 * test_verdict.c: every verdict has words of its own.
 */
#include <criterion/criterion.h>

#include "verdict.h"

Test(verdict, names_are_unique)
{
	for (int v = 0; v < SN_V_COUNT; v++) {
		cr_assert_gt(strlen(sn_verdict_name(v)), 0);
		cr_assert_gt(strlen(sn_verdict_help(v)), 0);
		for (int other = 0; other < v; other++)
			cr_assert_str_neq(sn_verdict_name(v), sn_verdict_name(other));
	}
	cr_assert_str_eq(sn_verdict_name(SN_V_NO_PORT), "no-port");
}

Test(verdict, no_such_number)
{
	cr_assert_str_eq(sn_verdict_name(SN_V_COUNT), "?");
	cr_assert_str_eq(sn_verdict_help((enum sn_verdict)-1), "?");
}
