/*
 * track.h: connection tracking that means what netfilter's means: states, timeouts, ASSURED and what an event is worth.
 *
 * Pure functions over a record and a parsed packet: no clock, no table, no event is touched. The caller stores the
 * deadline, publishes the UPDATE that `change` asks for, and closes or reopens the flow as the outcome says.
 *
 * TCP follows netfilter's table and window tracking (NETFILTER.md 4.3, 4.4), UDP its two-second rule (4.5).
 */
#ifndef SN_TRACK_H
#define SN_TRACK_H

#include "event.h"
#include "flow.h"
#include "packet/parse.h"
#include "policy.h"

/* Bits of sn_tcp_track.flags, per side; netfilter's meaning and values. */
enum sn_tcpf {
	SN_TCPF_WINDOW_SCALE = 0x01,
	SN_TCPF_SACK_PERM = 0x02,
	SN_TCPF_CLOSE_INIT = 0x04,        /* this side sent the first FIN */
	SN_TCPF_BE_LIBERAL = 0x08,
	SN_TCPF_DATA_UNACKNOWLEDGED = 0x10,
	SN_TCPF_MAXACK_SET = 0x20,
};

/* Bits of sn_tcp_track.note, of the connection. The first two describe the SYN that was let through. */
enum sn_tcpn {
	SN_TCPN_SCALE = 0x0f,             /* mask: its window scale */
	SN_TCPN_WINDOW_SCALE = 0x10,
	SN_TCPN_SACK_PERM = 0x20,
	SN_TCPN_EXP_CHALLENGE_ACK = 0x40,
	SN_TCPN_SIMULTANEOUS_OPEN = 0x80,
};

/* Class of a segment; the rows of the transition table, and sn_tcp_track.last together with the direction. */
enum sn_tcp_class {
	SN_TCPC_SYN,
	SN_TCPC_SYNACK,
	SN_TCPC_FIN,
	SN_TCPC_ACK,
	SN_TCPC_RST,
	SN_TCPC_NONE,
	SN_TCPC_COUNT,
	SN_TCP_LAST_REPLY = 0x80,
};

enum sn_track_outcome {
	SN_TRACK_ACCEPT,  /* forward */
	SN_TRACK_IGNORE,  /* forward, uncounted; the deadline stays, a change (the first reply, say) holds all the same */
	SN_TRACK_INVALID, /* drop, SN_V_INVALID */
	SN_TRACK_DESTROY, /* forward, then close the flow (RST without a reply) with SN_REASON_RESET */
	SN_TRACK_REOPEN,  /* close the flow with SN_REASON_REOPENED, then handle the packet as the first of a new one */
};

/*
 * The caller obeys all three fields whatever the outcome: a FIN or RST that answers another one may be INVALID and
 * shorten the deadline all the same. Packets that may not refresh the flow (policy.h inbound_refresh) never move the
 * deadline outwards, but a closing one may move it inwards.
 */
struct sn_track {
	uint8_t outcome;     /* enum sn_track_outcome */
	uint8_t change;      /* enum sn_change bits: not 0 asks for an UPDATE event; always 0 for a first packet */
	uint32_t timeout_ds; /* new timeout from now; 0: keep the old deadline */
};

/*
 * The first packet of a flow: sets state, status (NAT bits are kept) and tcp of an otherwise filled, not yet opened
 * record, and its timeout. SN_TRACK_ACCEPT or SN_TRACK_INVALID (nothing may start with it; f is then undefined).
 */
struct sn_track sn_track_first(struct sn_flow *f, const struct sn_packet *p, const struct sn_policy *policy);

/*
 * A later packet of the flow, in direction dir. Changes state, status and tcp of the record. start_ds and now_ds serve
 * UDP's two-second rule, expires_ds is read to see whether a deadline would move inwards. An ICMP error is ignored.
 */
struct sn_track sn_track_packet(struct sn_flow *f, enum sn_dir dir, const struct sn_packet *p,
				const struct sn_policy *policy, uint32_t now_ds);

/*
 * A fragment of a TCP segment that is not the first: what the segment brings goes further than its first fragment said.
 * base: sequence number where the segment's TCP header begins, SYN and FIN counted.
 */
void sn_track_later(struct sn_flow *f, enum sn_dir dir, const struct sn_packet *p, uint32_t base);

/* Name of a TCP state as conntrack prints it. */
const char *sn_tcp_state_name(uint8_t state);

#endif
