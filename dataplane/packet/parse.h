/*
 * parse.h: from the bytes of a frame to what the rest of the packet path asks about it.
 *
 * Pure functions over bytes: every length is checked here and nowhere trusted again; nothing outside [frame, frame +
 * len_b) is read. Used unchanged by the worker, the tests, the benchmarks and the fuzzers.
 */
#ifndef SN_PARSE_H
#define SN_PARSE_H

#include "base.h"
#include "verdict.h"

#define SN_ETH_B 14
#define SN_VLANS_MAX 2
#define SN_IP_MIN_B 20

enum sn_kind {
	SN_PKT_TCP,
	SN_PKT_UDP,
	SN_PKT_ICMP_QUERY, /* echo, timestamp, information, address mask: request or reply */
	SN_PKT_ICMP_ERROR, /* types 3, 4, 5, 11, 12, with a quoted packet */
	SN_PKT_OTHER,      /* another protocol: only with SN_V_BAD_PROTOCOL */
	SN_PKT_FRAGMENT,   /* a fragment that is not the first: no L4 header, no ports until somebody sets them */
};

/* TCP flag bits as on the wire. */
enum sn_tcp_flag {
	SN_FIN = 1, SN_SYN = 2, SN_RST = 4, SN_PSH = 8, SN_ACK = 16, SN_URG = 32, SN_ECE = 64, SN_CWR = 128,
};

/* Offsets of one IPv4 packet's headers from the start of the frame, and its addresses. Quoted packets have one too. */
struct sn_ip {
	uint16_t l3_off_b, l4_off_b;
	uint16_t len_b;       /* IP total length as the header says */
	uint16_t l4_b;        /* bytes of L4 that are really there (of a quote: often 8) */
	uint32_t src_be32, dst_be32;
	uint16_t src_port_be16; /* ICMP query: the identifier, in both */
	uint16_t dst_port_be16;
	uint8_t proto;
	uint8_t icmp_type, icmp_code; /* ICMP */
	uint8_t ttl;
	bool df;
};

struct sn_packet {
	uint8_t *frame;       /* first byte of the Ethernet header */
	uint32_t len_b;       /* of the frame, padding cut off: l3_off_b + ip.len_b */
	struct sn_ip ip;
	struct sn_ip quote;   /* ICMP errors: the packet that they are about */
	uint8_t kind;         /* enum sn_kind */
	uint8_t tcp_flags;
	uint8_t vlans;        /* tags before the IP header */
	uint16_t vlan[SN_VLANS_MAX]; /* their ids, outer first */
};

/*
 * Parses a frame. SN_V_FORWARD when the packet may go on (all fields that its kind has are set), otherwise the verdict
 * that it ends in: NOT_IPV4, MALFORMED (any header truncated, version, IP header checksum, total length beyond the
 * frame, UDP length beyond the datagram or below 8, TCP data offset), BAD_TCP (flag combinations that netfilter calls
 * invalid), BAD_PROTOCOL, ICMP_TYPE, FRAGMENT. Of a quoted packet the header and eight
 * bytes of L4 must be there; its IP checksum must be right and its options are skipped, and the ICMP checksum over it
 * all must be right (RFC 5508 REQ-3), else MALFORMED; a quoted fragment with an offset, or a quote of another protocol
 * or of no ICMP query: ICMP_TYPE. ret is meaningful only with SN_V_FORWARD, SN_V_FRAGMENT
 * and SN_V_BAD_PROTOCOL (the IP header).
 *
 * FRAGMENT is an IP fragment (offset or more-fragments) that may be part of a datagram: the first one has the kind and the ports
 * of its L4 header, which is whole, a later one is SN_PKT_FRAGMENT. Impossible ones are MALFORMED: beyond 65535 bytes,
 * empty, not a multiple of eight bytes though more follow, or into a TCP header (RFC 1858). ICMP errors in fragments: ICMP_TYPE.
 */
enum sn_verdict sn_parse(uint8_t *frame, uint32_t len_b, struct sn_packet *ret);

/* What track needs of a TCP header; the caller knows that the packet is TCP and parsed. Host byte order. */
struct sn_tcp_view {
	uint32_t seq, ack, end; /* end: seq + payload + SYN + FIN */
	uint32_t sack;          /* highest right edge of a SACK block, or ack if none is above it */
	uint16_t window;        /* as in the header, unscaled */
	uint16_t payload_b;
	uint8_t flags;
	uint8_t scale;          /* window scale option's value, at most 14 */
	bool has_scale;
	bool sack_permitted;
};

void sn_parse_tcp(const struct sn_packet *p, struct sn_tcp_view *ret);

/*
 * RFC 1071 sum helpers over bytes as they lie in memory; the fold returns 16 bits, not inverted. Only the last piece
 * may be odd.
 */
uint32_t sn_csum_add(const void *bytes, uint32_t len_b, uint32_t sum);

static inline uint16_t sn_csum_fold(uint32_t sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)((sum >> 16) + sum);
}

#endif
