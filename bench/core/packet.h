/*
 * packet.h: the flows that the benchmark knows, and their frames: 64 bytes on the wire (60 without the checksum), or
 * IMIX (7 : 4 : 1 of 64, 570 and 1518). All checksums are right.
 */
#ifndef BENCH_PACKET_H
#define BENCH_PACKET_H

#include "base.h"

#define PACKET_MIN_B 60
#define PACKET_MAX_B 1514

/* A flow of the region as its two ends see it. */
struct tuple {
	uint32_t inside_be32, remote_be32, public_be32;
	uint16_t inside_port_be16, remote_port_be16, public_port_be16;
	uint8_t proto, shard;
	uint32_t sent[2];  /* TCP: next sequence number of the inside end [0] and the remote end [1] */
	uint32_t acked[2]; /* what that end has acknowledged */
};

enum packet_way { PACKET_OUT, PACKET_IN };

/* Flow number n of a world with so many subscribers: no two are the same. Public end and numbers are 0. */
struct tuple tuple_of(uint32_t n, uint32_t subscribers, uint8_t proto);

/*
 * Writes the tuple's next frame of len_b bytes, as it arrives at the node. tcp_flags: with SYN, no payload. The
 * sequence number goes on; the acknowledgement is that of packet_settle().
 */
void packet_build(uint8_t *frame, uint32_t len_b, struct tuple *t, enum packet_way way, uint8_t tcp_flags);

/* After all packets under way have arrived: both ends of a TCP flow know what the other one sent. */
void packet_settle(struct tuple *t);

/* Length of frame number n of IMIX. */
uint32_t packet_imix_b(uint32_t n);

/* Whether a frame that left is this tuple's, translated, with right checksums. */
bool packet_is_translated(uint8_t *frame, uint32_t len_b, const struct tuple *t, enum packet_way way);

#endif
