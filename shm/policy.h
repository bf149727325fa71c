/*
 * policy.h: what control wants and workers obey: interfaces, realms, pools, rules, timeouts, limits. No names of files or
 * users: only what the packet path and the CLI need.
 *
 * W: control (built by the supervisor at the first start). Two copies in the region: the inactive one is filled, then its
 * number published; a worker takes the active copy once per burst and acknowledges its generation. R: all.
 */
#ifndef SN_POLICY_H
#define SN_POLICY_H

#include "base.h"

#define SN_NAME_B 32
#define SN_INTERFACES_MAX 16
#define SN_REALMS_MAX 16
#define SN_POOLS_MAX 64
#define SN_RULES_MAX 128
#define SN_LOCAL_MAX 64

enum sn_side { SN_INSIDE, SN_OUTSIDE };

struct sn_interface {
	char name[SN_NAME_B];
	uint32_t ifindex;
	uint32_t addr_be32; /* the node's own address on it, source of its ICMP errors; 0: none */
	uint16_t mtu_b;     /* IP datagram */
	uint8_t side;       /* enum sn_side */
	uint8_t realm;
	uint8_t mac[6];
	uint16_t queues;
};

enum sn_action { SN_TRANSLATE, SN_PASS };

/* Dependence of mapping and filtering (RFC 4787). */
enum sn_dependence { SN_ENDPOINT_INDEPENDENT, SN_ADDRESS_DEPENDENT, SN_ADDRESS_AND_PORT_DEPENDENT };

struct sn_rule {
	uint32_t source_be32, source_mask_be32; /* inside address */
	uint8_t action;    /* enum sn_action */
	uint8_t filtering; /* enum sn_dependence */
	uint16_t pool;
};

/* Timeouts, in tenths of a second; the first ones by RFC 8512's names. */
enum sn_timeout {
	SN_T_UDP,            /* udp: unreplied, and replied before it is a stream */
	SN_T_UDP_STREAM,     /* netfilter's stream; equal to udp in the RFC profile */
	SN_T_ICMP,
	SN_T_TCP_SYN_SENT,   /* netfilter's names from here; see the table of profiles in README.md */
	SN_T_TCP_SYN_RECV,
	SN_T_TCP_ESTABLISHED,
	SN_T_TCP_FIN_WAIT,
	SN_T_TCP_CLOSE_WAIT,
	SN_T_TCP_LAST_ACK,
	SN_T_TCP_TIME_WAIT,
	SN_T_TCP_CLOSE,
	SN_T_TCP_SYN_SENT2,
	SN_T_TCP_MAX_RETRANS,
	SN_T_TCP_UNACK,
	SN_T_COUNT
};

/* Limits; 0 means none, except where said. */
struct sn_limits {
	uint32_t ports[SN_L4_COUNT];   /* bindings per subscriber and protocol */
	uint32_t flows;                /* per subscriber, opened from inside */
	uint32_t flow_rate;            /* new flows per second and subscriber */
	uint32_t blocks;               /* per subscriber; at least 1 */
	uint32_t outside_flows;        /* per binding, opened from outside; default 64 */
	uint32_t hold_down_ds;         /* port hold-down */
	uint32_t icmp_rate;            /* ICMP errors the node originates per second and worker */
};

struct sn_pool {
	char name[SN_NAME_B];
	uint32_t first_address, addresses; /* in the array of ports.h, contiguous per pool */
};

struct sn_policy {
	uint64_t generation;
	uint32_t interface_count, realm_count, pool_count, rule_count, local_count;
	uint32_t tcp_loose, tcp_liberal, tcp_max_retrans;
	uint32_t tcp_mss;          /* SYNs that allow more are made to say this; 0: as they are */
	uint32_t inbound_refresh;  /* 1: packets from outside refresh a flow opened from outside too (netfilter profile) */
	uint32_t cold_until_ds;    /* ports are held until then; 0: not at all */
	uint32_t timeout_ds[SN_T_COUNT];
	struct sn_limits limits;
	struct sn_interface interfaces[SN_INTERFACES_MAX];
	char realms[SN_REALMS_MAX][SN_NAME_B];
	struct sn_pool pools[SN_POOLS_MAX];
	struct sn_rule rules[SN_RULES_MAX]; /* first match decides */
	uint32_t local_be32[SN_LOCAL_MAX];  /* the node's own addresses: never translated, go to the kernel */
};

struct sn_policy_box {
	_Atomic uint32_t active; /* W: control  release after the copy: 0 or 1 */
	uint32_t pad[15];
	struct sn_policy copy[2];
};

/* The active copy; its address stays good until the next but one change. */
static inline const struct sn_policy *sn_policy_active(const struct sn_policy_box *box)
{
	return &box->copy[atomic_load_explicit(&box->active, memory_order_acquire) & 1];
}

/* The first rule that covers an inside address (source_be32 has no bits outside its mask); index, or SN_NONE. */
uint32_t sn_policy_rule(const struct sn_policy *p, uint32_t inside_be32);

/* The two profiles of timeouts; -EINVAL for another name ("rfc", "netfilter"). Sets timeout_ds and inbound_refresh. */
int sn_policy_profile(struct sn_policy *p, const char *name);

/* Name of a timeout as in the configuration ("udp", "tcp-established", ...); "?" for a number that is none. */
const char *sn_timeout_name(enum sn_timeout t);

#endif
