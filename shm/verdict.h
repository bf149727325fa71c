/*
 * verdict.h: every end a packet can come to. Each packet received ends in exactly one verdict, so the counters of a worker
 * add up to the packets it received (but for at most one burst per kill, SN_V_LOST_IN_CRASH).
 *
 * X(identifier, name for operators, help). Names are part of the API and do not change.
 */
#ifndef SN_VERDICT_H
#define SN_VERDICT_H

#include "base.h"

#define SN_VERDICTS(X)                                                                                                 \
	X(FORWARD, "forward", "translated (or passed by rule) and queued for transmission")                            \
	X(TO_OWNER, "to-owner", "handed to the worker that owns the flow's shard, which gives it its verdict")          \
	X(NOT_IPV4, "not-ipv4", "not an IPv4 packet")                                                                  \
	X(MALFORMED, "malformed", "a header is truncated, or a length, data offset or header checksum is wrong")         \
	X(BAD_TCP, "bad-tcp", "TCP flags that no packet may have together")                                             \
	X(INVALID, "invalid", "not acceptable in the state of its flow, or no flow can start with it")                   \
	X(FRAGMENT, "fragment", "a fragment whose first part did not come in time, or of a flow that is not known")      \
	X(BAD_PROTOCOL, "bad-protocol", "neither TCP, UDP nor ICMP")                                                    \
	X(ICMP_TYPE, "icmp-type", "an ICMP message of a type that is not translated")                                    \
	X(ICMP_NO_FLOW, "icmp-no-flow", "an ICMP error about a flow that is not known")                                  \
	X(NO_RULE, "no-rule", "no rule covers the inside source address, or the frame has a VLAN tag")                      \
	X(NO_BINDING, "no-binding", "from outside to a pool address and port without a binding")                         \
	X(FILTERED, "filtered", "from outside to a binding whose filtering does not let it in")                          \
	X(BINDING_FLOWS, "binding-flows", "from outside, and the binding has all the flows from outside it may have")    \
	X(QUOTA_PORTS, "quota-ports", "the subscriber has all the ports or blocks it may have")                          \
	X(QUOTA_FLOWS, "quota-flows", "the subscriber has all the flows it may have")                                    \
	X(QUOTA_RATE, "quota-rate", "the subscriber opens flows faster than it may")                                     \
	X(NO_PORT, "no-port", "the pool has no block or port left for the subscriber")                                   \
	X(HELD_COLD, "held-cold", "after a cold start all ports are held until the hold-down time is over")              \
	X(TABLE_FULL, "table-full", "no flow, binding or subscriber record, or index slot, is left")                     \
	X(AUDIT_FULL, "audit-full", "the audit ring is full, so no block is given out")                                  \
	X(TTL, "ttl", "its time to live is over")                                \
	X(TOO_BIG, "too-big", "larger than the next hop takes")               \
	X(NO_ROUTE, "no-route", "no route to the destination")                                                          \
	X(NO_NEIGHBOUR, "no-neighbour", "the next hop did not answer in time, or too many packets wait for it")          \
	X(SELF, "self", "for the node's own address after translation")                                                 \
	X(NO_OWNER, "no-owner", "the flow's shard has no owner, or the owner's hand-off ring is full")                   \
	X(TX_FULL, "tx-full", "no room in the transmit ring or no free frame")                                          \
	X(LOST_IN_CRASH, "lost-in-crash", "in the hands of a worker when it died")

enum sn_verdict {
#define X(id, name, help) SN_V_##id,
	SN_VERDICTS(X)
#undef X
	SN_V_COUNT
};

/* Name and help line; "?" for a number that is none. */
const char *sn_verdict_name(enum sn_verdict v);
const char *sn_verdict_help(enum sn_verdict v);

#endif
