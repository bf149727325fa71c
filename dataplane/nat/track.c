/*
 * track.c: one packet meets its flow: dispatch by protocol, UDP, ICMP, the first reply, and who may refresh it.
 *
 * Called by translate for each packet of a flow. TCP is in track_tcp.c (states) and track_window.c (sequence numbers).
 * Invariants: ASSURED and SEEN_REPLY are never cleared; an INVALID packet changes neither state nor status.
 */
#include "nat/track.h"
#include "nat/track_tcp.h"
#include "packet/bytes.h"

/* A UDP flow with replies is a stream when it is still active after this time. */
#define UDP_STREAM_AFTER_DS 20

static struct sn_track accept_for(uint32_t timeout_ds)
{
	return (struct sn_track){ .outcome = SN_TRACK_ACCEPT, .timeout_ds = timeout_ds };
}

static struct sn_track only(enum sn_track_outcome outcome)
{
	return (struct sn_track){ .outcome = (uint8_t)outcome };
}

/* The age of a flow that may become a stream; one that has become one is not asked again: start_ds is in line 1. */
static bool is_stream(const struct sn_flow *f, uint32_t now_ds)
{
	return (f->status & SN_ST_ASSURED) || now_ds - f->start_ds > UDP_STREAM_AFTER_DS;
}

/* The packet that brings the first reply is still counted as one-way: SEEN_REPLY is set after it. */
static struct sn_track udp_packet(struct sn_flow *f, const struct sn_policy *policy, uint32_t now_ds)
{
	struct sn_track r = accept_for(policy->timeout_ds[SN_T_UDP]);

	if (!(f->status & SN_ST_SEEN_REPLY) || !is_stream(f, now_ds))
		return r;
	r.timeout_ds = policy->timeout_ds[SN_T_UDP_STREAM];
	if (!(f->status & SN_ST_ASSURED)) {
		f->status |= SN_ST_ASSURED;
		r.change = SN_CHANGE_ASSURED;
	}
	return r;
}

static bool icmp_is_request(uint8_t type)
{
	return type == 8 || type == 13 || type == 15 || type == 17;
}

/* Requests go one way and replies the other: an echo request never answers an echo request. */
static struct sn_track icmp_packet(enum sn_dir dir, const struct sn_packet *p, const struct sn_policy *policy)
{
	if (icmp_is_request(p->ip.icmp_type) != (dir == SN_DIR_ORIGINAL))
		return only(SN_TRACK_INVALID);
	return accept_for(policy->timeout_ds[SN_T_ICMP]);
}

struct sn_track sn_track_first(struct sn_flow *f, const struct sn_packet *p, const struct sn_policy *policy)
{
	f->state = SN_TCP_NONE;
	f->status = (uint16_t)((f->status & (SN_ST_SRC_NAT | SN_ST_DST_NAT)) | SN_ST_CONFIRMED);
	f->tcp = (struct sn_tcp_track){ 0 };

	switch ((enum sn_kind)p->kind) {
	case SN_PKT_TCP:
		return sn_tcp_first(f, p, policy);
	case SN_PKT_UDP:
		return accept_for(policy->timeout_ds[SN_T_UDP]);
	case SN_PKT_ICMP_QUERY:
		return icmp_packet(SN_DIR_ORIGINAL, p, policy);
	case SN_PKT_OTHER:
	case SN_PKT_FRAGMENT:
	case SN_PKT_ICMP_ERROR:
		break;
	}
	return only(SN_TRACK_INVALID);
}

static struct sn_track packet_by_kind(struct sn_flow *f, enum sn_dir dir, const struct sn_packet *p,
				      const struct sn_policy *policy, uint32_t now_ds)
{
	switch ((enum sn_kind)p->kind) {
	case SN_PKT_TCP:
		return sn_tcp_packet(f, dir, p, policy, now_ds);
	case SN_PKT_UDP:
		return udp_packet(f, policy, now_ds);
	case SN_PKT_ICMP_QUERY:
		return icmp_packet(dir, p, policy);
	case SN_PKT_OTHER:
	case SN_PKT_FRAGMENT:
	case SN_PKT_ICMP_ERROR:
		break;
	}
	return only(SN_TRACK_IGNORE);
}

static bool may_refresh(const struct sn_flow *f, enum sn_dir dir, const struct sn_policy *policy)
{
	return policy->inbound_refresh || !(f->flags & SN_FLOW_FROM_OUTSIDE) || dir == SN_DIR_REPLY;
}

static bool moves_inwards(const struct sn_flow *f, uint32_t timeout_ds, uint32_t now_ds)
{
	int32_t left_ds = (int32_t)(atomic_load_explicit(&f->expires_ds, memory_order_relaxed) - now_ds);

	return left_ds > 0 && timeout_ds < (uint32_t)left_ds;
}

struct sn_track sn_track_packet(struct sn_flow *f, enum sn_dir dir, const struct sn_packet *p,
				const struct sn_policy *policy, uint32_t now_ds)
{
	struct sn_track r = packet_by_kind(f, dir, p, policy, now_ds);
	bool counts = r.outcome == SN_TRACK_ACCEPT || (r.outcome == SN_TRACK_IGNORE && p->kind != SN_PKT_ICMP_ERROR);

	if (counts && dir == SN_DIR_REPLY && !(f->status & SN_ST_SEEN_REPLY)) {
		f->status |= SN_ST_SEEN_REPLY;
		r.change |= SN_CHANGE_REPLY;
	}
	if (f->status & SN_ST_FIXED_TIMEOUT)
		r.timeout_ds = 0;
	else if (r.timeout_ds && !may_refresh(f, dir, policy) && !moves_inwards(f, r.timeout_ds, now_ds))
		r.timeout_ds = 0;
	return r;
}

void sn_track_later(struct sn_flow *f, enum sn_dir dir, const struct sn_packet *p, uint32_t base)
{
	uint32_t off_b = (__builtin_bswap16(sn_bytes_get16(p->frame + p->ip.l3_off_b + 6)) & 0x1fffu) * 8;
	uint32_t end = base + off_b + p->ip.l4_b;

	if ((int32_t)(end - f->tcp.end[dir]) > 0)
		f->tcp.end[dir] = end;
}
