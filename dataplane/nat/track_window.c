/*
 * track_window.c: TCP window tracking (NETFILTER.md 4.4): does a segment fit what both sides have sent and granted?
 *
 * Called by track_tcp.c, before the flow's state changes. The node sees every segment but not which of them arrive, so
 * the bounds are guesses from outside: a segment has to intersect the window, an acknowledgement be of data seen.
 */
#include "nat/track_tcp.h"

/* A side may acknowledge at least this far back, however small its window. */
#define ACK_WINDOW_MIN_B 66000

/* What a segment says, with the holes of strange stacks filled. */
struct claim {
	uint32_t seq, end, ack, sack;
};

static uint32_t at_least_one(uint32_t window_b)
{
	return window_b ? window_b : 1;
}

static uint32_t ack_window(const struct sn_tcp_track *t, uint8_t dir)
{
	return SN_MAX(t->maxwin[dir], (uint32_t)ACK_WINDOW_MIN_B);
}

/*
 * Options of a SYN replace what the side announced before; only liberality outlives it. (Netfilter keeps all that was
 * announced if the new SYN has no option at all, which no receiver would.)
 */
static void take_options(struct sn_tcp_track *t, const struct sn_segment *s)
{
	uint8_t flags = t->flags[s->dir] & SN_TCPF_BE_LIBERAL;

	if (s->v.has_scale)
		flags |= SN_TCPF_WINDOW_SCALE;
	if (s->v.sack_permitted)
		flags |= SN_TCPF_SACK_PERM;
	t->flags[s->dir] = flags;
	sn_scale_set(t, s->dir, s->v.has_scale ? s->v.scale : 0);
}

/* The sender's side begins with this SYN or SYN/ACK. Scaling holds only if both sides announce it. */
static void begin_with_syn(struct sn_tcp_track *t, const struct sn_segment *s)
{
	uint8_t dir = s->dir;

	t->end[dir] = t->maxend[dir] = s->v.end;
	t->maxwin[dir] = at_least_one(s->v.window);
	take_options(t, s);
	if (dir == SN_DIR_REPLY && !(t->flags[0] & t->flags[1] & SN_TCPF_WINDOW_SCALE))
		t->scales = 0;
}

/* The sender's side begins in the middle: its history is unknown, so this segment is all of it. */
static void begin_midstream(struct sn_tcp_track *t, const struct sn_segment *s, uint32_t sack)
{
	uint8_t from = s->dir, to = !s->dir;

	t->end[from] = s->v.end;
	t->maxwin[from] = at_least_one((uint32_t)s->v.window << sn_scale_get(t, from));
	t->maxend[from] = s->v.end + t->maxwin[from];
	if (t->maxwin[to] == 0)
		t->end[to] = t->maxend[to] = sack;
	else if (sack == t->end[to] + 1)
		t->end[to]++; /* the answer to a keep-alive probe */
}

void sn_window_first(struct sn_tcp_track *t, const struct sn_segment *s)
{
	*t = (struct sn_tcp_track){ .last = SN_TCPC_NONE };
	t->end[s->dir] = t->maxend[s->dir] = s->v.end;
	t->maxwin[s->dir] = at_least_one(s->v.window);
	if (s->cls == SN_TCPC_SYN) {
		take_options(t, s);
		return;
	}
	t->maxend[s->dir] += t->maxwin[s->dir];
	t->flags[0] = t->flags[1] = SN_TCPF_SACK_PERM | SN_TCPF_BE_LIBERAL;
}

/* A side that was never seen begins, or a newer SYN begins it again. True: a lone SYN, there is nothing to check. */
static bool begin_side(struct sn_flow *f, const struct sn_segment *s, uint32_t sack)
{
	struct sn_tcp_track *t = &f->tcp;
	bool syn = s->v.flags & SN_SYN, lone = syn && !(s->v.flags & SN_ACK);

	if (t->maxwin[s->dir] == 0) {
		if (syn)
			begin_with_syn(t, s);
		else
			begin_midstream(t, s, sack);
		return lone;
	}
	if (syn && sn_seq_after(s->v.end, t->end[s->dir]) &&
	    (f->state == SN_TCP_SYN_SENT || f->state == SN_TCP_SYN_RECV)) {
		begin_with_syn(t, s);
		return lone && s->dir == SN_DIR_REPLY;
	}
	return false;
}

/* No ACK flag counts as a good acknowledgement; so do a zero one of a RST, and its zero sequence in answer to a SYN. */
static struct claim claim_of(const struct sn_flow *f, const struct sn_segment *s, uint32_t sack)
{
	const struct sn_tcp_track *t = &f->tcp;
	struct claim c = { .seq = s->v.seq, .end = s->v.end, .ack = s->v.ack, .sack = sack };
	bool rst = s->v.flags & SN_RST;

	if (!(s->v.flags & SN_ACK) || (rst && c.ack == 0))
		c.ack = c.sack = t->end[!s->dir];
	if (rst && c.seq == 0 && f->state == SN_TCP_SYN_SENT)
		c.seq = c.end = t->end[s->dir];
	return c;
}

/* More than the receiver granted, but no more than one window of it: the peer may take it, so it counts as sent. */
static bool overshoots_a_little(const struct sn_tcp_track *t, uint8_t from, const struct claim *c)
{
	uint8_t to = !from;

	return t->maxwin[to] && sn_seq_after(c->end, t->end[from] - t->maxwin[to] - 1) &&
	       sn_seq_after(c->sack, t->end[to] - ack_window(t, from) - 1) &&
	       c->end - t->maxend[from] + 1 <= t->maxwin[to] && sn_seq_before(c->sack, t->end[to] + 1);
}

/* The four bounds, in netfilter's order. */
static enum sn_track_outcome check_bounds(struct sn_tcp_track *t, uint8_t from, const struct claim *c)
{
	uint8_t to = !from;

	if (!sn_seq_before(c->seq, t->maxend[from] + 1)) {
		if (!overshoots_a_little(t, from, c))
			return SN_TRACK_INVALID;
		t->end[from] = c->end;
		t->flags[from] |= SN_TCPF_DATA_UNACKNOWLEDGED;
		return SN_TRACK_IGNORE;
	}
	if (!sn_seq_before(c->sack, t->end[to] + 1))
		return SN_TRACK_INVALID;
	if (t->maxwin[to] && !sn_seq_after(c->end, t->end[from] - t->maxwin[to] - 1))
		return SN_TRACK_IGNORE;
	if (!sn_seq_after(c->sack, t->end[to] - ack_window(t, from) - 1))
		return SN_TRACK_IGNORE;
	return SN_TRACK_ACCEPT;
}

static void advance_sender(struct sn_tcp_track *t, const struct sn_segment *s, const struct claim *c, uint32_t window_b)
{
	uint8_t from = s->dir;

	t->maxwin[from] = SN_MAX(t->maxwin[from], window_b + (c->sack - c->ack));
	if (sn_seq_after(c->end, t->end[from])) {
		t->end[from] = c->end;
		t->flags[from] |= SN_TCPF_DATA_UNACKNOWLEDGED;
	}
	if (!(s->v.flags & SN_ACK))
		return;
	if (!(t->flags[from] & SN_TCPF_MAXACK_SET) || sn_seq_after(c->ack, t->maxack[from]))
		t->maxack[from] = c->ack;
	t->flags[from] |= SN_TCPF_MAXACK_SET;
}

static void advance_receiver(struct sn_tcp_track *t, uint8_t from, const struct claim *c, uint32_t window_b)
{
	uint8_t to = !from;

	if (t->maxwin[to] && sn_seq_after(c->end, t->maxend[from]))
		t->maxwin[to] += c->end - t->maxend[from];
	if (sn_seq_after(c->sack + window_b, t->maxend[to] - 1))
		t->maxend[to] = c->sack + at_least_one(window_b);
	if (c->ack == t->end[to])
		t->flags[to] &= (uint8_t)~SN_TCPF_DATA_UNACKNOWLEDGED;
}

/* Identical segments in a row, without anything from the other side between them, are retransmissions. */
static void count_retransmissions(struct sn_tcp_track *t, const struct sn_segment *s, const struct claim *c)
{
	bool last_reply = t->last & SN_TCP_LAST_REPLY;

	if (s->cls != SN_TCPC_ACK)
		return;
	if (last_reply == (s->dir == SN_DIR_REPLY) && t->last_seq == c->seq && t->last_ack == c->ack &&
	    t->last_end == c->end && t->last_win == s->v.window) {
		t->retrans += t->retrans < UINT8_MAX;
		return;
	}
	t->last_seq = c->seq;
	t->last_ack = c->ack;
	t->last_end = c->end;
	t->last_win = s->v.window;
	t->retrans = 0;
}

enum sn_track_outcome sn_window_check(struct sn_flow *f, const struct sn_segment *s, const struct sn_policy *policy)
{
	struct sn_tcp_track *t = &f->tcp;
	bool sack_counts = (t->flags[!s->dir] & SN_TCPF_SACK_PERM) && sn_seq_after(s->v.sack, s->v.ack);
	uint32_t sack = sack_counts ? s->v.sack : s->v.ack;
	uint32_t window_b = s->v.window;

	if (begin_side(f, s, sack))
		return SN_TRACK_ACCEPT;

	struct claim c = claim_of(f, s, sack);
	enum sn_track_outcome outcome = check_bounds(t, s->dir, &c);
	bool liberal = policy->tcp_liberal || (t->flags[s->dir] & SN_TCPF_BE_LIBERAL);

	if (outcome != SN_TRACK_ACCEPT)
		return liberal ? SN_TRACK_ACCEPT : outcome;

	if (!(s->v.flags & SN_SYN))
		window_b <<= sn_scale_get(t, s->dir);
	advance_sender(t, s, &c, window_b);
	advance_receiver(t, s->dir, &c, window_b);
	count_retransmissions(t, s, &c);
	return SN_TRACK_ACCEPT;
}

void sn_window_resync(struct sn_tcp_track *t, const struct sn_segment *s)
{
	uint8_t client = !s->dir, server = s->dir, flags = 0;

	if (t->note & SN_TCPN_WINDOW_SCALE)
		flags |= SN_TCPF_WINDOW_SCALE;
	if (t->note & SN_TCPN_SACK_PERM)
		flags |= SN_TCPF_SACK_PERM;
	t->note &= (uint8_t)~SN_TCPN_EXP_CHALLENGE_ACK;

	t->end[client] = t->maxend[client] = t->last_end;
	t->maxwin[client] = at_least_one(t->last_win);
	t->flags[client] = flags;
	sn_scale_set(t, client, t->note & SN_TCPN_SCALE);

	t->end[server] = t->maxend[server] = t->maxwin[server] = t->maxack[server] = 0;
	t->flags[server] &= SN_TCPF_BE_LIBERAL;
	sn_scale_set(t, server, 0);
}
