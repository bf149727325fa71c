/*
 * tcp_segment.h: TCP segments for tests, as real frames: a description of what a tracker looks at, built over
 * packet_build.h (checksums right) and parsed by sn_parse().
 */
#ifndef SN_TEST_TCP_SEGMENT_H
#define SN_TEST_TCP_SEGMENT_H

#include "packet/parse.h"
#include "packet_build.h"

#define SEGMENT_CLIENT 0x0a010002u
#define SEGMENT_SERVER 0x0a020002u

struct segment {
	uint8_t dir;       /* enum sn_dir; the client's are ORIGINAL */
	uint8_t flags;     /* enum sn_tcp_flag */
	uint32_t seq, ack;
	uint16_t len_b, window;
	uint8_t scale;     /* option: window scale + 1 */
	bool sack_ok;      /* option: SACK permitted */
	uint32_t sack[2];  /* option: one block */
};

static inline uint8_t segment_options(uint8_t *opt, const struct segment *s)
{
	uint8_t n = 0;

	if (s->sack_ok) {
		memcpy(opt + n, (uint8_t[]){ 1, 1, 4, 2 }, 4);
		n += 4;
	}
	if (s->scale) {
		memcpy(opt + n, (uint8_t[]){ 1, 3, 3, (uint8_t)(s->scale - 1) }, 4);
		n += 4;
	}
	if (s->sack[0] != s->sack[1]) {
		memcpy(opt + n, (uint8_t[]){ 1, 1, 5, 10 }, 4);
		build_put32(opt + n + 4, s->sack[0]);
		build_put32(opt + n + 8, s->sack[1]);
		n += 12;
	}
	return n;
}

/* A frame of BUILD_MAX_B bytes; its length. */
static inline uint32_t segment_frame(uint8_t *frame, const struct segment *s, uint16_t client_port,
				     uint16_t server_port)
{
	bool reply = s->dir == SN_DIR_REPLY;
	struct build b = {
		.src = reply ? SEGMENT_SERVER : SEGMENT_CLIENT,
		.dst = reply ? SEGMENT_CLIENT : SEGMENT_SERVER,
		.sport = reply ? server_port : client_port,
		.dport = reply ? client_port : server_port,
		.payload_b = s->len_b,
		.proto = 6,
		.ttl = 64,
		.tcp_flags = s->flags,
	};
	uint32_t len_b;
	uint8_t *l4 = frame + 34;

	b.tcp_options_b = segment_options(b.tcp_options, s);
	len_b = build_frame(frame, &b);
	build_put32(l4 + 4, s->seq);
	build_put32(l4 + 8, s->ack);
	build_put16(l4 + 14, s->window);
	build_put16(l4 + 16, 0);
	build_put16(l4 + 16, build_l4_csum(&b, l4, len_b - 34));
	return len_b;
}

/* The same, parsed; false if the parser does not let it through. */
static inline bool segment_packet(struct sn_packet *ret, uint8_t *frame, const struct segment *s)
{
	return sn_parse(frame, segment_frame(frame, s, 40000, 443), ret) == SN_V_FORWARD;
}

#endif
