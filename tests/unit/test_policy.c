/*
 * test_policy.c: which rule covers an address, and the profiles.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>

#include "policy.h"

static struct sn_policy policy;

static void add_rule(const char *source, uint32_t mask)
{
	policy.rules[policy.rule_count++] = (struct sn_rule){
		.source_be32 = inet_addr(source), .source_mask_be32 = htonl(mask),
	};
}

Test(policy, first_match_decides)
{
	add_rule("100.64.1.0", 0xffffff00);
	add_rule("100.64.0.0", 0xffc00000);
	add_rule("100.64.1.7", 0xffffffff);
	cr_assert_eq(sn_policy_rule(&policy, inet_addr("100.64.1.7")), 0);
	cr_assert_eq(sn_policy_rule(&policy, inet_addr("100.64.2.0")), 1);
	cr_assert_eq(sn_policy_rule(&policy, inet_addr("100.127.255.255")), 1);
	cr_assert_eq(sn_policy_rule(&policy, inet_addr("100.128.0.0")), SN_NONE);
	add_rule("0.0.0.0", 0);
	cr_assert_eq(sn_policy_rule(&policy, inet_addr("100.128.0.0")), 3);
}

Test(policy, rule_count_out_of_range)
{
	policy.rule_count = UINT32_MAX;
	for (int i = 0; i < SN_RULES_MAX; i++)
		policy.rules[i] = (struct sn_rule){ .source_be32 = 1, .source_mask_be32 = UINT32_MAX };
	cr_assert_eq(sn_policy_rule(&policy, 2), SN_NONE);
}

Test(policy, profiles)
{
	cr_assert_eq(sn_policy_profile(&policy, "rfc"), 0);
	cr_assert_eq(policy.inbound_refresh, 0);
	cr_assert_eq(policy.timeout_ds[SN_T_UDP], 3000);
	cr_assert_eq(policy.timeout_ds[SN_T_UDP_STREAM], 3000);
	cr_assert_eq(policy.timeout_ds[SN_T_TCP_ESTABLISHED], 74400);
	cr_assert_eq(policy.timeout_ds[SN_T_TCP_UNACK], 74400);
	cr_assert_eq(policy.timeout_ds[SN_T_TCP_SYN_SENT2], 2400);
	cr_assert_eq(sn_policy_profile(&policy, "RFC"), -EINVAL);
	cr_assert_eq(policy.timeout_ds[SN_T_ICMP], 600, "untouched");
	cr_assert_eq(sn_policy_profile(&policy, "netfilter"), 0);
	cr_assert_eq(policy.inbound_refresh, 1);
	cr_assert_eq(policy.timeout_ds[SN_T_TCP_ESTABLISHED], 4320000);
	cr_assert_eq(policy.timeout_ds[SN_T_TCP_CLOSE], 100);
	for (int t = 0; t < SN_T_COUNT; t++)
		cr_assert_gt(policy.timeout_ds[t], 0, "%s", sn_timeout_name(t));
	cr_assert_str_eq(sn_timeout_name(SN_T_TCP_ESTABLISHED), "tcp-established");
	cr_assert_str_eq(sn_timeout_name(SN_T_COUNT), "?");
}
