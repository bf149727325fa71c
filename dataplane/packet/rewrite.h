/*
 * rewrite.h: changes a parsed packet in place. Pure functions over bytes; they decide nothing.
 *
 * Checksums are updated, never recomputed (RFC 1624, eqn. 3): a flow carries the one's complement differences of its
 * translation, so a hit costs two additions. All sums are over 16-bit words as they lie in memory.
 */
#ifndef SN_REWRITE_H
#define SN_REWRITE_H

#include "flow.h"
#include "parse.h"

/*
 * The sums of a flow's translation outwards (inside -> public), for sn_flow.csum_l3 and csum_l4: sn_flow_set_sums in
 * shm.
 */

/*
 * Outwards: source = the public end. Inwards: destination = the inside end. IP and L4 checksums follow; a UDP checksum
 * of 0 stays 0, and one that becomes 0 is sent as 0xffff. For TCP, UDP and ICMP queries. p->ip is brought up to date.
 */
void sn_rewrite_out(struct sn_packet *p, const struct sn_flow *f);
void sn_rewrite_in(struct sn_packet *p, const struct sn_flow *f);

/* The same for a fragment that is not the first: its bytes have an address only. The ports of p->ip follow all the same. */
void sn_rewrite_later_out(struct sn_packet *p, const struct sn_flow *f);
void sn_rewrite_later_in(struct sn_packet *p, const struct sn_flow *f);

/* A new IP identification, and the IP checksum with it. */
void sn_rewrite_id(struct sn_packet *p, uint16_t id_be16);

/* Lowers the maximum segment size of a TCP SYN to most_b where it is above; without the option nothing changes. */
void sn_rewrite_mss(struct sn_packet *p, uint16_t most_b);

/* TTL - 1 and the IP checksum with it. The TTL must be above 1. */
void sn_rewrite_ttl(struct sn_packet *p);

/*
 * An ICMP error about a packet of flow f. Outwards (the error comes from inside, about a packet that came in): the
 * quote's destination, the inside end, becomes the public end; the outer source becomes new_src_be32. Inwards: the
 * quote's source, the public end, becomes the inside end, and the outer destination too. The quote's IP checksum and,
 * where it is there, its L4 checksum follow, and so does the outer ICMP checksum; 8 bytes of quoted L4 suffice.
 */
void sn_rewrite_error_out(struct sn_packet *p, const struct sn_flow *f, uint32_t new_src_be32);
void sn_rewrite_error_in(struct sn_packet *p, const struct sn_flow *f);

/* Ethernet addresses. Frame and MACs may not overlap. */
void sn_rewrite_mac(uint8_t *frame, const uint8_t dst[6], const uint8_t src[6]);

/*
 * Makes an ICMP error of ours about packet p (as it arrived): writes a whole frame without VLAN tag to out (room_b
 * bytes), with the Ethernet addresses of p turned round, source src_be32, TTL 64, DF clear, and the offending packet
 * quoted up to 576 bytes in all (RFC 1812). info: the second word of the ICMP header in host order (next-hop MTU for
 * 3/4), else 0. The length, or 0 if no error may be sent: p is an ICMP error, not the first fragment, or its source is
 * multicast, broadcast, class E, loopback or net 0, or it came to a group or broadcast address, IP or Ethernet (RFC
 * 1812 4.3.2.7), or room_b is too small. out may not overlap the frame of p.
 */
uint32_t sn_icmp_error(const struct sn_packet *p, uint8_t type, uint8_t code, uint32_t info, uint32_t src_be32,
		       uint16_t ip_id, uint8_t *out, uint32_t room_b);

#endif
