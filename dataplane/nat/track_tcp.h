/*
 * track_tcp.h: what the files of track share among themselves (track.c, track_tcp.c, track_window.c); for nobody else.
 */
#ifndef SN_TRACK_TCP_H
#define SN_TRACK_TCP_H

#include "nat/track.h"

/* One segment as the TCP tracker sees it. */
struct sn_segment {
	struct sn_tcp_view v;
	uint8_t cls; /* enum sn_tcp_class */
	uint8_t dir; /* enum sn_dir; the sender's side, !dir is the receiver's */
};

/* Sequence numbers compare on the circle. */
static inline bool sn_seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool sn_seq_after(uint32_t a, uint32_t b)
{
	return sn_seq_before(b, a);
}

static inline uint8_t sn_scale_get(const struct sn_tcp_track *t, uint8_t dir)
{
	return (uint8_t)((t->scales >> (dir * 4)) & 0xf);
}

static inline void sn_scale_set(struct sn_tcp_track *t, uint8_t dir, uint8_t scale)
{
	t->scales = (uint8_t)((t->scales & ~(0xf << (dir * 4))) | (scale & 0xf) << (dir * 4));
}

/* The first segment (SN_DIR_ORIGINAL) fills its own side of *t, which becomes all zero but for that. */
void sn_window_first(struct sn_tcp_track *t, const struct sn_segment *s);

/*
 * Window check of one segment (NETFILTER.md 4.4) of a flow that is still in its old state. SN_TRACK_ACCEPT and both
 * sides brought up to date, SN_TRACK_IGNORE or SN_TRACK_INVALID.
 */
enum sn_track_outcome sn_window_check(struct sn_flow *f, const struct sn_segment *s, const struct sn_policy *policy);

/* Takes the values of the SYN that was let through, now that the server has acknowledged it with s. */
void sn_window_resync(struct sn_tcp_track *t, const struct sn_segment *s);

/* TCP's part of sn_track_first() and sn_track_packet(); the first reply and the refresh rule are the callers'. */
struct sn_track sn_tcp_first(struct sn_flow *f, const struct sn_packet *p, const struct sn_policy *policy);
struct sn_track sn_tcp_packet(struct sn_flow *f, enum sn_dir dir, const struct sn_packet *p,
			      const struct sn_policy *policy, uint32_t now_ds);

#endif
