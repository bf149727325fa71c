/*
 * policy.c: rules and the profiles of timeouts.
 */
#include "policy.h"

#include <errno.h>
#include <string.h>

#define S(seconds) ((seconds) * 10u)

struct profile {
	const char *name;
	uint32_t inbound_refresh;
	uint32_t timeout_ds[SN_T_COUNT];
};

static const struct profile profiles[] = {
	/*
	 * RFC 8512's defaults: trans-open until established, trans-close from the first FIN on. Data that nobody has acknowledged
	 * does not shorten an established connection's life (RFC 5382 REQ-5).
	 */
	{ "rfc", 0, {
		[SN_T_UDP] = S(300),
		[SN_T_UDP_STREAM] = S(300),
		[SN_T_ICMP] = S(60),
		[SN_T_TCP_SYN_SENT] = S(240),
		[SN_T_TCP_SYN_RECV] = S(240),
		[SN_T_TCP_ESTABLISHED] = S(7440),
		[SN_T_TCP_FIN_WAIT] = S(240),
		[SN_T_TCP_CLOSE_WAIT] = S(240),
		[SN_T_TCP_LAST_ACK] = S(240),
		[SN_T_TCP_TIME_WAIT] = S(240),
		[SN_T_TCP_CLOSE] = S(240),
		[SN_T_TCP_SYN_SENT2] = S(240),
		[SN_T_TCP_MAX_RETRANS] = S(300),
		[SN_T_TCP_UNACK] = S(7440),
	} },
	/* The defaults of nf_conntrack's sysctls. */
	{ "netfilter", 1, {
		[SN_T_UDP] = S(30),
		[SN_T_UDP_STREAM] = S(120),
		[SN_T_ICMP] = S(30),
		[SN_T_TCP_SYN_SENT] = S(120),
		[SN_T_TCP_SYN_RECV] = S(60),
		[SN_T_TCP_ESTABLISHED] = S(432000),
		[SN_T_TCP_FIN_WAIT] = S(120),
		[SN_T_TCP_CLOSE_WAIT] = S(60),
		[SN_T_TCP_LAST_ACK] = S(30),
		[SN_T_TCP_TIME_WAIT] = S(120),
		[SN_T_TCP_CLOSE] = S(10),
		[SN_T_TCP_SYN_SENT2] = S(120),
		[SN_T_TCP_MAX_RETRANS] = S(300),
		[SN_T_TCP_UNACK] = S(300),
	} },
};

static const char *const timeout_names[] = {
	[SN_T_UDP] = "udp",
	[SN_T_UDP_STREAM] = "udp-stream",
	[SN_T_ICMP] = "icmp",
	[SN_T_TCP_SYN_SENT] = "tcp-syn-sent",
	[SN_T_TCP_SYN_RECV] = "tcp-syn-recv",
	[SN_T_TCP_ESTABLISHED] = "tcp-established",
	[SN_T_TCP_FIN_WAIT] = "tcp-fin-wait",
	[SN_T_TCP_CLOSE_WAIT] = "tcp-close-wait",
	[SN_T_TCP_LAST_ACK] = "tcp-last-ack",
	[SN_T_TCP_TIME_WAIT] = "tcp-time-wait",
	[SN_T_TCP_CLOSE] = "tcp-close",
	[SN_T_TCP_SYN_SENT2] = "tcp-syn-sent2",
	[SN_T_TCP_MAX_RETRANS] = "tcp-max-retrans",
	[SN_T_TCP_UNACK] = "tcp-unacknowledged",
};

static_assert(SN_ARRAY_LEN(timeout_names) == SN_T_COUNT, "each timeout has a name");

uint32_t sn_policy_rule(const struct sn_policy *p, uint32_t inside_be32)
{
	uint32_t count = SN_MIN(p->rule_count, (uint32_t)SN_RULES_MAX);

	for (uint32_t i = 0; i < count; i++)
		if ((inside_be32 & p->rules[i].source_mask_be32) == p->rules[i].source_be32)
			return i;
	return SN_NONE;
}

int sn_policy_profile(struct sn_policy *p, const char *name)
{
	for (size_t i = 0; i < SN_ARRAY_LEN(profiles); i++) {
		if (strcmp(profiles[i].name, name) != 0)
			continue;
		memcpy(p->timeout_ds, profiles[i].timeout_ds, sizeof(p->timeout_ds));
		p->inbound_refresh = profiles[i].inbound_refresh;
		return 0;
	}
	return -EINVAL;
}

const char *sn_timeout_name(enum sn_timeout t)
{
	return (unsigned int)t < SN_T_COUNT ? timeout_names[t] : "?";
}
