/*
 * flow.h: the flow record, shardnat's conntrack entry.
 *
 * A flow joins three ends: the subscriber's inside end, the public end that stands for it, and the remote end. Its two
 * tuples (NETFILTER.md section 1) follow from these:
 *
 *     opened from inside     ORIGINAL src=inside dst=remote    REPLY src=remote dst=public
 *     opened from outside    ORIGINAL src=remote dst=public    REPLY src=inside dst=remote
 *
 * A packet from inside is looked up by (realm, proto, inside, remote), one from outside by (proto, remote, public); both
 * keys are in the shard's one flow index (index.h). For ICMP queries the inside and public "port" is the identifier and
 * the remote "port" is the request's type in its first byte and code in its second.
 *
 * Written by the worker that owns the shard. Read by control (sweep: line 0 only) and by the API (copy, then compare gen
 * again). A record is alive while gen is odd; gen is stored with release order after the body, and goes up by one at each
 * opening and at each closing, so (index, gen) names one flow for ever.
 */
#ifndef SN_FLOW_H
#define SN_FLOW_H

#include "base.h"

/* Directions are netfilter's: ORIGINAL is that of the packet which opened the flow. */
enum sn_dir { SN_DIR_ORIGINAL, SN_DIR_REPLY };

/* Status bits, with netfilter's values (nf_conntrack_common.h). */
enum sn_status {
	SN_ST_EXPECTED = 0x1,
	SN_ST_SEEN_REPLY = 0x2,
	SN_ST_ASSURED = 0x4,
	SN_ST_CONFIRMED = 0x8,
	SN_ST_SRC_NAT = 0x10,
	SN_ST_DST_NAT = 0x20,
	SN_ST_DYING = 0x200,
	SN_ST_FIXED_TIMEOUT = 0x400,
};

/* TCP states with netfilter's numbers; NONE for other protocols. */
enum sn_tcp_state {
	SN_TCP_NONE,
	SN_TCP_SYN_SENT,
	SN_TCP_SYN_RECV,
	SN_TCP_ESTABLISHED,
	SN_TCP_FIN_WAIT,
	SN_TCP_CLOSE_WAIT,
	SN_TCP_LAST_ACK,
	SN_TCP_TIME_WAIT,
	SN_TCP_CLOSE,
	SN_TCP_SYN_SENT2,
	SN_TCP_STATES
};

/* Bits of sn_flow.flags. */
enum sn_flow_flag {
	SN_FLOW_FROM_OUTSIDE = 0x01, /* ORIGINAL came from outside; counts against the binding, not the subscriber */
	SN_FLOW_PASS = 0x02,         /* tracked without translation: public end == inside end, no binding */
	SN_FLOW_HAIRPIN = 0x04,      /* the remote end is a pool address of ours */
};

/* What track keeps of a TCP connection beside its state: the sides are indexed by enum sn_dir. */
struct sn_tcp_track {
	uint32_t end[2];    /* highest sequence number + length sent */
	uint32_t maxend[2]; /* right edge the other side granted */
	uint32_t maxwin[2]; /* largest window this side advertised, scaled */
	uint32_t maxack[2]; /* highest acknowledgement this side sent */
	uint8_t flags[2];   /* SN_TCPF_* of track.h */
	uint8_t scales;     /* window scale that each side announced: ORIGINAL in the low four bits, REPLY in the high */
	uint8_t note;       /* of a SYN let through unchecked: its scale in the low four bits; SN_TCPN_* of track.h above */
	uint32_t last_seq;  /* of the last packet, to see retransmissions and challenge ACKs */
	uint32_t last_ack;
	uint32_t last_end;
	uint16_t last_win;
	uint8_t last;       /* class of the last packet that counted; SN_TCP_LAST_REPLY of track.h: its direction */
	uint8_t retrans;    /* consecutive retransmissions */
};

struct sn_flow {
	/* Line 0: all that a UDP hit, the sweep and the rewrite need. */
	uint32_t inside_be32;
	uint32_t public_be32;
	uint32_t remote_be32;
	uint16_t inside_port_be16;
	uint16_t public_port_be16;
	uint16_t remote_port_be16;
	uint8_t proto;  /* IP protocol number */
	uint8_t realm;  /* index of the inside end's realm in the policy */
	uint8_t state;  /* enum sn_tcp_state */
	uint8_t shard;  /* owner */
	uint16_t csum_l3; /* one's complement sum to add to the IP checksum outwards (subtract inwards), see rewrite.h */
	uint16_t csum_l4; /* the same for the TCP, UDP or ICMP checksum */
	uint16_t status;  /* enum sn_status */
	uint16_t nh_gen;  /* low half of the route generation that nexthop[] is from */
	uint8_t rule;     /* index of the rule that decided */
	uint8_t flags;    /* enum sn_flow_flag */
	_Atomic uint32_t gen;        /* odd: alive */
	_Atomic uint32_t expires_ds; /* sn_clock_ds() at which the flow is over; it never matches from then on */
	uint32_t binding;            /* index, SN_NONE for pass-through */
	uint32_t packets[2];         /* low words, by enum sn_dir; the carry goes to line 1 */
	uint32_t bytes[2];           /* IP length, low words */
	uint16_t nexthop[2];         /* neighbour index to the remote [0] and to the inside end [1]; UINT16_MAX unknown */

	/* Line 1: TCP, and what is written rarely. */
	struct sn_tcp_track tcp SN_ALIGNED(SN_CACHE_LINE);
	uint32_t start_ds;
	uint16_t packets_hi[2];
	uint16_t bytes_hi[2];
};

static_assert(offsetof(struct sn_flow, tcp) == 64, "line 1 starts with the TCP part");
static_assert(sizeof(struct sn_flow) == 128, "two cache lines per flow");

/* One tuple, as an operator sees it. Ports of ICMP: src_port the identifier, dst_port type (first byte) and code. */
struct sn_tuple {
	uint32_t src_be32, dst_be32;
	uint16_t src_port_be16, dst_port_be16;
	uint8_t proto;
};

/* The flow's tuple in one direction; derived, nothing is stored twice. For an ICMP REPLY the type is the reply's. */
struct sn_tuple sn_flow_tuple(const struct sn_flow *f, enum sn_dir dir);

/* Counters with their high words. */
uint64_t sn_flow_packets(const struct sn_flow *f, enum sn_dir dir);
uint64_t sn_flow_bytes(const struct sn_flow *f, enum sn_dir dir);

/*
 * Sets csum_l3 and csum_l4 from the inside and public ends: sums of ~old + new over 16-bit words as they lie in memory, to
 * be added to ~checksum (RFC 1624, eqn. 3). ICMP has no pseudo header: its csum_l4 is that of the identifier alone.
 */
static inline void sn_flow_set_sums(struct sn_flow *f)
{
	uint32_t in = ~f->inside_be32, out = f->public_be32;
	uint32_t l3 = (in & 0xffff) + (in >> 16) + (out & 0xffff) + (out >> 16);
	uint32_t l4 = (uint32_t)(uint16_t)~f->inside_port_be16 + f->public_port_be16 + (f->proto == 1 ? 0 : l3);

	l3 = (l3 & 0xffff) + (l3 >> 16);
	l4 = (l4 & 0xffff) + (l4 >> 16);
	f->csum_l3 = (uint16_t)((l3 & 0xffff) + (l3 >> 16));
	f->csum_l4 = (uint16_t)((l4 & 0xffff) + (l4 >> 16));
}

/* Count one packet of len_b bytes (IP length). Owner only; others may be reading. */
static inline void sn_flow_account(struct sn_flow *f, enum sn_dir dir, uint32_t len_b)
{
	uint32_t packets = f->packets[dir] + 1, bytes = f->bytes[dir] + len_b;

	__atomic_store_n(&f->packets[dir], packets, __ATOMIC_RELAXED);
	if (SN_UNLIKELY(packets == 0))
		__atomic_store_n(&f->packets_hi[dir], (uint16_t)(f->packets_hi[dir] + 1), __ATOMIC_RELAXED);
	__atomic_store_n(&f->bytes[dir], bytes, __ATOMIC_RELAXED);
	if (SN_UNLIKELY(bytes < len_b))
		__atomic_store_n(&f->bytes_hi[dir], (uint16_t)(f->bytes_hi[dir] + 1), __ATOMIC_RELAXED);
}

/* Direction of a packet of this flow that came from inside (true) or outside (false). */
static inline enum sn_dir sn_flow_dir(const struct sn_flow *f, bool from_inside)
{
	return (f->flags & SN_FLOW_FROM_OUTSIDE) ? (from_inside ? SN_DIR_REPLY : SN_DIR_ORIGINAL)
						 : (from_inside ? SN_DIR_ORIGINAL : SN_DIR_REPLY);
}

/* The type of the reply to an ICMP query (8 -> 0, 13 -> 14, 15 -> 16, 17 -> 18). */
static inline uint8_t sn_icmp_reply_type(uint8_t request)
{
	return request == 8 ? 0 : (uint8_t)(request + 1);
}

#endif
