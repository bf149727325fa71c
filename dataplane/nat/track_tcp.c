/*
 * track_tcp.c: the states of a TCP connection as the node sees them (NETFILTER.md 4.3).
 *
 * A segment takes three steps: the transition table and its exceptions say where the connection would go (struct step),
 * the window check says whether the segment belongs to it (track_window.c), and only then the state changes (commit).
 * The order of the exceptions is netfilter's, and matters.
 *
 *     NONE -SYN-> SYN_SENT -SYN/ACK-> SYN_RECV -ACK-> ESTABLISHED -FIN-> FIN_WAIT -ACK-> CLOSE_WAIT -FIN-> LAST_ACK
 *     -ACK-> TIME_WAIT; RST leads to CLOSE from anywhere; SYN_SENT2 is a simultaneous open.
 */
#include "nat/track_tcp.h"

enum { NO = SN_TCP_NONE, SS = SN_TCP_SYN_SENT, SR = SN_TCP_SYN_RECV, ES = SN_TCP_ESTABLISHED, FW = SN_TCP_FIN_WAIT,
       CW = SN_TCP_CLOSE_WAIT, LA = SN_TCP_LAST_ACK, TW = SN_TCP_TIME_WAIT, CL = SN_TCP_CLOSE, S2 = SN_TCP_SYN_SENT2,
       IG = SN_TCP_STATES, /* let through, the state stays */
       IV };               /* invalid */

static const uint8_t next_state[2][SN_TCPC_COUNT][SN_TCP_STATES] = {
	[SN_DIR_ORIGINAL] = {
		/*                    NO  SS  SR  ES  FW  CW  LA  TW  CL  S2 */
		[SN_TCPC_SYN]    = { SS, SS, IG, IG, IG, IG, IG, SS, SS, S2 },
		[SN_TCPC_SYNACK] = { IV, IV, SR, IV, IV, IV, IV, IV, IV, SR },
		[SN_TCPC_FIN]    = { IV, IV, FW, FW, LA, LA, LA, TW, CL, IV },
		[SN_TCPC_ACK]    = { ES, IV, ES, ES, CW, CW, TW, TW, CL, IV },
		[SN_TCPC_RST]    = { IV, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		[SN_TCPC_NONE]   = { IV, IV, IV, IV, IV, IV, IV, IV, IV, IV },
	},
	[SN_DIR_REPLY] = {
		[SN_TCPC_SYN]    = { IV, S2, IV, IV, IV, IV, IV, SS, IV, S2 },
		[SN_TCPC_SYNACK] = { IV, SR, IG, IG, IG, IG, IG, IG, IG, SR },
		[SN_TCPC_FIN]    = { IV, IV, FW, FW, LA, LA, LA, TW, CL, IV },
		[SN_TCPC_ACK]    = { IV, IG, SR, ES, CW, CW, TW, TW, CL, IG },
		[SN_TCPC_RST]    = { IV, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		[SN_TCPC_NONE]   = { IV, IV, IV, IV, IV, IV, IV, IV, IV, IV },
	},
};

static_assert(SN_T_TCP_SYN_SENT2 - SN_T_TCP_SYN_SENT == SN_TCP_SYN_SENT2 - SN_TCP_SYN_SENT,
	      "timeouts are in the order of the states");

/* Below this what is left of a timeout is not worth cutting. */
#define CUT_ABOVE_DS 1200

/* Where a segment leads, if its sequence numbers are right. */
struct step {
	uint8_t from, to;   /* states; from is not always the flow's own (resynchronisation) */
	uint8_t outcome;    /* not SN_TRACK_ACCEPT: final, the state stays */
	bool skip_window;
};

const char *sn_tcp_state_name(uint8_t state)
{
	static const char *const names[SN_TCP_STATES] = {
		"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT",
		"CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2",
	};

	return state < SN_TCP_STATES ? names[state] : "?";
}

static uint8_t class_of(uint8_t flags)
{
	if (flags & SN_RST)
		return SN_TCPC_RST;
	if (flags & SN_SYN)
		return flags & SN_ACK ? SN_TCPC_SYNACK : SN_TCPC_SYN;
	if (flags & SN_FIN)
		return SN_TCPC_FIN;
	return flags & SN_ACK ? SN_TCPC_ACK : SN_TCPC_NONE;
}

static struct sn_segment segment_of(const struct sn_packet *p, enum sn_dir dir)
{
	struct sn_segment s = { .dir = (uint8_t)dir };

	sn_parse_tcp(p, &s.v);
	s.cls = class_of(s.v.flags);
	return s;
}

static uint8_t last_class(const struct sn_tcp_track *t)
{
	return t->last & (uint8_t)~SN_TCP_LAST_REPLY;
}

static uint8_t last_dir(const struct sn_tcp_track *t)
{
	return t->last & SN_TCP_LAST_REPLY ? SN_DIR_REPLY : SN_DIR_ORIGINAL;
}

static void set_last(struct sn_tcp_track *t, const struct sn_segment *s)
{
	t->last = s->cls | (s->dir == SN_DIR_REPLY ? SN_TCP_LAST_REPLY : 0);
}

static bool is_closing(uint8_t state)
{
	return state >= FW && state <= CL;
}

static bool is_established(const struct sn_flow *f)
{
	return f->state == ES && (f->status & SN_ST_ASSURED);
}

/* A SYN on a closed connection opens a new one if the close was orderly, or its own side reset it. */
static bool may_reopen(const struct sn_tcp_track *t, const struct sn_segment *s)
{
	return ((t->flags[0] | t->flags[1]) & SN_TCPF_CLOSE_INIT) ||
	       (last_class(t) == SN_TCPC_RST && last_dir(t) == s->dir);
}

/* What a let-through client SYN offered, in case the server takes it up. */
static void note_syn(struct sn_flow *f, const struct sn_segment *s)
{
	uint8_t note = 0;

	if (s->v.has_scale)
		note |= SN_TCPN_WINDOW_SCALE | (s->v.scale & SN_TCPN_SCALE);
	if (s->v.sack_permitted)
		note |= SN_TCPN_SACK_PERM;
	if (f->state == LA)
		note |= SN_TCPN_EXP_CHALLENGE_ACK;
	f->tcp.note = note;
}

static bool acks_noted_syn(const struct sn_tcp_track *t, const struct sn_segment *s)
{
	return s->cls == SN_TCPC_SYNACK && last_class(t) == SN_TCPC_SYN && last_dir(t) != s->dir &&
	       s->v.ack == t->last_end;
}

/* The ends may be in sync while the record is not: let the segment pass and remember it, the answer will tell. */
static void let_through(struct sn_flow *f, const struct sn_segment *s, struct step *step)
{
	struct sn_tcp_track *t = &f->tcp;

	if (acks_noted_syn(t, s)) {
		step->from = SS;
		step->to = SR;
		sn_window_resync(t, s);
		return;
	}
	set_last(t, s);
	t->last_seq = s->v.seq;
	t->last_end = s->v.end;
	t->last_win = s->v.window;
	if (s->cls == SN_TCPC_SYN && s->dir == SN_DIR_ORIGINAL)
		note_syn(f, s);
	if (s->cls == SN_TCPC_ACK && s->dir == SN_DIR_REPLY && f->state == SS)
		t->last_ack = s->v.ack;
	step->outcome = SN_TRACK_IGNORE;
}

/* The answer to a SYN that was let through in LAST_ACK (RFC 5961) is not the acknowledgement of the last FIN. */
static bool is_challenge_ack(struct sn_flow *f, const struct sn_segment *s)
{
	struct sn_tcp_track *t = &f->tcp;

	if (f->state != LA || s->cls != SN_TCPC_ACK || last_class(t) != SN_TCPC_SYN || last_dir(t) == s->dir ||
	    !(t->note & SN_TCPN_EXP_CHALLENGE_ACK))
		return false;
	t->note &= (uint8_t)~SN_TCPN_EXP_CHALLENGE_ACK;
	return true;
}

/* A RST that answers a let-through SYN or the ACK of a half-open connection: the window knows nothing of those. */
static bool resets_let_through(const struct sn_flow *f, const struct sn_segment *s)
{
	const struct sn_tcp_track *t = &f->tcp;
	uint8_t last = last_class(t);

	if (s->v.ack == t->last_end &&
	    (((f->status & SN_ST_SEEN_REPLY) && last == SN_TCPC_SYN && last_dir(t) != s->dir) ||
	     (!(f->status & SN_ST_ASSURED) && last == SN_TCPC_ACK)))
		return true;
	return f->state == SS && last == SN_TCPC_ACK && last_dir(t) == SN_DIR_REPLY && s->v.seq == t->last_ack;
}

/* Exactly where the peer expects it, or directly behind the same side's last segment. */
static bool reset_is_exact(const struct sn_tcp_track *t, const struct sn_segment *s)
{
	return s->v.seq == t->maxack[!s->dir] ||
	       (last_class(t) == SN_TCPC_ACK && last_dir(t) == s->dir && s->v.seq == t->last_end);
}

/* RST to CLOSE, RFC 5961: one that is in the window but not exact leaves it to the challenge ACK what happens. */
static void step_reset(const struct sn_flow *f, const struct sn_segment *s, struct step *step)
{
	const struct sn_tcp_track *t = &f->tcp;
	uint8_t to = !s->dir;

	if (is_closing(f->state)) {
		step->skip_window = true;
		return;
	}
	if ((t->flags[to] & SN_TCPF_MAXACK_SET) && last_class(t) != SN_TCPC_SYN) {
		if (s->v.seq == 0 && !is_established(f))
			return;
		if (sn_seq_before(s->v.seq, t->maxack[to])) {
			step->outcome = SN_TRACK_INVALID;
			return;
		}
		if (!is_established(f) || reset_is_exact(t, s))
			return;
		step->to = step->from;
	}
	step->skip_window = resets_let_through(f, s);
}

/* The table and its exceptions. Notes what later segments are judged by; the state itself stays. */
static struct step step_of(struct sn_flow *f, const struct sn_segment *s)
{
	struct step step = { .from = f->state, .outcome = SN_TRACK_ACCEPT };

	step.to = next_state[s->dir][s->cls][f->state];
	switch (step.to) {
	case IV:
		step.outcome = SN_TRACK_INVALID;
		break;
	case IG:
		let_through(f, s, &step);
		break;
	case SS:
		if (!is_closing(f->state))
			break;
		if (may_reopen(&f->tcp, s))
			step.outcome = SN_TRACK_REOPEN;
		else
			let_through(f, s, &step);
		break;
	case S2:
		f->tcp.note |= SN_TCPN_SIMULTANEOUS_OPEN;
		break;
	case SR:
		if (s->cls == SN_TCPC_ACK && (f->tcp.note & SN_TCPN_SIMULTANEOUS_OPEN))
			step.to = ES;
		break;
	case TW:
		if (is_challenge_ack(f, s))
			step.outcome = SN_TRACK_IGNORE;
		break;
	case CL:
		if (s->cls == SN_TCPC_RST)
			step_reset(f, s, &step);
		break;
	}
	return step;
}

/* The first that applies. */
static uint32_t timeout_of(const struct sn_tcp_track *t, const struct sn_segment *s, uint8_t state,
			   const struct sn_policy *policy)
{
	const uint32_t *ds = policy->timeout_ds;
	uint32_t full = ds[SN_T_TCP_SYN_SENT + state - SN_TCP_SYN_SENT];

	if (t->retrans >= policy->tcp_max_retrans && full > ds[SN_T_TCP_MAX_RETRANS])
		return ds[SN_T_TCP_MAX_RETRANS];
	if (s->cls == SN_TCPC_RST)
		return ds[SN_T_TCP_CLOSE];
	if (((t->flags[0] | t->flags[1]) & SN_TCPF_DATA_UNACKNOWLEDGED) && full > ds[SN_T_TCP_UNACK])
		return ds[SN_T_TCP_UNACK];
	if (t->last_win == 0 && full > ds[SN_T_TCP_MAX_RETRANS])
		return ds[SN_T_TCP_MAX_RETRANS];
	return full;
}

/* How long a connection may stand that one side only is known to want. */
static uint32_t doubtful_ds(const struct sn_policy *policy)
{
	return SN_MIN(policy->timeout_ds[SN_T_TCP_UNACK], policy->timeout_ds[SN_T_TCP_MAX_RETRANS]);
}

/* Before the first reply: a RST ends the flow, a repeated SYN does not even count, all else keeps it for a while only. */
static void commit_unreplied(const struct sn_segment *s, const struct step *step, const struct sn_policy *policy,
			     struct sn_track *r)
{
	if (s->cls == SN_TCPC_RST)
		*r = (struct sn_track){ .outcome = SN_TRACK_DESTROY };
	else if (s->cls == SN_TCPC_SYN && step->from == SS)
		*r = (struct sn_track){ .outcome = SN_TRACK_IGNORE, .change = r->change };
	else if (step->to == ES)
		r->timeout_ds = SN_MIN(r->timeout_ds, doubtful_ds(policy));
}

/* The segment is accepted: state, status and timeout follow. */
static struct sn_track commit(struct sn_flow *f, const struct sn_segment *s, const struct step *step,
			      const struct sn_policy *policy)
{
	struct sn_track r = { .outcome = SN_TRACK_ACCEPT };

	set_last(&f->tcp, s);
	f->state = step->to;
	if (step->from != step->to) {
		r.change = SN_CHANGE_STATE;
		if (step->to == FW)
			f->tcp.flags[s->dir] |= SN_TCPF_CLOSE_INIT;
	}
	r.timeout_ds = timeout_of(&f->tcp, s, step->to, policy);
	if (!(f->status & SN_ST_SEEN_REPLY)) {
		commit_unreplied(s, step, policy, &r);
	} else if (!(f->status & SN_ST_ASSURED) && (step->from == SR || step->from == ES) && step->to == ES) {
		f->status |= SN_ST_ASSURED;
		r.change |= SN_CHANGE_ASSURED;
	}
	return r;
}

/*
 * A FIN or RST outside the window, answered by another from the other side: the ends agree that it is over and only the
 * record does not, so what is left of a long timeout is cut.
 */
static struct sn_track out_of_window(struct sn_flow *f, const struct sn_segment *s, const struct sn_policy *policy,
				     uint32_t now_ds)
{
	struct sn_track r = { .outcome = SN_TRACK_INVALID };
	struct sn_tcp_track *t = &f->tcp;
	uint8_t last = last_class(t);
	int32_t left_ds = (int32_t)(atomic_load_explicit(&f->expires_ds, memory_order_relaxed) - now_ds);

	if (!(f->status & SN_ST_ASSURED) || (f->status & SN_ST_FIXED_TIMEOUT) ||
	    (s->cls != SN_TCPC_RST && s->cls != SN_TCPC_FIN))
		return r;
	if (last_dir(t) == s->dir || (last != SN_TCPC_FIN && last != SN_TCPC_RST))
		set_last(t, s);
	else if (left_ds >= CUT_ABOVE_DS && (uint32_t)left_ds > doubtful_ds(policy))
		r.timeout_ds = doubtful_ds(policy);
	return r;
}

static struct sn_track follow(struct sn_flow *f, const struct sn_segment *s, const struct sn_policy *policy,
			      uint32_t now_ds)
{
	struct step step = step_of(f, s);

	if (step.outcome == SN_TRACK_ACCEPT && !step.skip_window) {
		step.outcome = (uint8_t)sn_window_check(f, s, policy);
		if (step.outcome == SN_TRACK_INVALID)
			return out_of_window(f, s, policy, now_ds);
	}
	if (step.outcome != SN_TRACK_ACCEPT)
		return (struct sn_track){ .outcome = step.outcome };
	return commit(f, s, &step, policy);
}

struct sn_track sn_tcp_first(struct sn_flow *f, const struct sn_packet *p, const struct sn_policy *policy)
{
	struct sn_segment s = segment_of(p, SN_DIR_ORIGINAL);

	if (s.cls != SN_TCPC_SYN && (s.cls != SN_TCPC_ACK || !policy->tcp_loose))
		return (struct sn_track){ .outcome = SN_TRACK_INVALID };
	sn_window_first(&f->tcp, &s);

	struct sn_track r = follow(f, &s, policy, 0);

	r.change = 0;
	return r;
}

struct sn_track sn_tcp_packet(struct sn_flow *f, enum sn_dir dir, const struct sn_packet *p,
			      const struct sn_policy *policy, uint32_t now_ds)
{
	struct sn_segment s = segment_of(p, dir);

	SN_ASSERT(f->state < SN_TCP_STATES);
	return follow(f, &s, policy, now_ds);
}
