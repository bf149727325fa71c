/*
 * burst.c: a burst of packets from arrival to verdict, in stages, so that the memory each stage needs is on its way while
 * the stage before works on other packets of the burst.
 */
#include "worker/worker.h"

#include "packet/rewrite.h"

#include <string.h>

void sn_burst_drop(struct sn_worker *w, uint32_t frame, enum sn_verdict v)
{
	sn_count(w, v);
	sn_umem_give(&w->umem[w->number], frame);
}

void sn_burst_send(struct sn_worker *w, struct sn_desc desc, uint16_t interface)
{
	uint16_t port = interface < SN_INTERFACES_MAX ? w->port_of_interface[interface] : UINT16_MAX;
	struct sn_batch *b;

	if (port == UINT16_MAX) {
		sn_burst_drop(w, desc.frame, SN_V_NO_ROUTE);
		return;
	}
	b = &w->batches[port];
	if (b->n == SN_ARRAY_LEN(b->descs))
		sn_burst_flush(w);
	b->descs[b->n++] = desc;
}

static void flush_port(struct sn_worker *w, struct sn_port *port, struct sn_batch *b)
{
	uint32_t sent = sn_tx(port, b->descs, b->n);

	w->stats->verdict[SN_V_FORWARD] += sent;
	for (uint32_t i = sent; i < b->n; i++)
		sn_burst_drop(w, b->descs[i].frame, SN_V_TX_FULL);
	b->n = 0;
}

void sn_burst_flush(struct sn_worker *w)
{
	for (uint32_t i = 0; i < w->port_count; i++)
		if (w->batches[i].n)
			flush_port(w, &w->ports[i], &w->batches[i]);
}

/* May one more ICMP error be sent now? */
static bool error_allowed(struct sn_worker *w)
{
	uint32_t rate = w->nat.policy->limits.icmp_rate;

	if (rate == 0)
		return true;
	if (w->nat.now_ds - w->error_tokens_ds >= 10) {
		w->error_tokens_ds = w->nat.now_ds;
		w->error_tokens = rate;
	}
	if (w->error_tokens == 0)
		return false;
	w->error_tokens--;
	return true;
}

/* Sends the ICMP error that a job asks for, back to where the packet came from. */
static void send_error(struct sn_worker *w, const struct sn_job *job)
{
	const struct sn_interface *in = &w->nat.policy->interfaces[job->interface];
	uint16_t port = w->port_of_interface[job->interface];
	struct sn_umem *umem = &w->umem[w->number];
	struct sn_desc desc;

	if (job->hairpin || in->addr_be32 == 0 || port == UINT16_MAX || !error_allowed(w))
		return;
	desc.frame = sn_umem_take(umem);
	if (desc.frame == SN_NONE)
		return;
	desc.offset_b = 0;
	desc.len_b = sn_icmp_error(&job->packet, job->error_type, job->error_code, job->error_mtu_b, in->addr_be32,
				   w->ip_id++, sn_umem_frame(umem, desc.frame), umem->frame_b);
	if (desc.len_b == 0 || sn_tx(&w->ports[port], &desc, 1) == 0) {
		sn_umem_give(umem, desc.frame);
		return;
	}
	w->stats->originated++;
}

/* Stage 1: the bytes of all packets are on their way. */
static void stage_fetch(const struct sn_worker *w, struct sn_job *jobs, const struct sn_arrival *arrivals, uint32_t n)
{
	const struct sn_umem *umem = &w->umem[w->number];

	for (uint32_t i = 0; i < n; i++) {
		jobs[i].packet.frame = sn_umem_frame(umem, arrivals[i].desc.frame) + arrivals[i].desc.offset_b;
		__builtin_prefetch(jobs[i].packet.frame, 1);
	}
}

static void want_error(struct sn_job *job, uint8_t type, uint8_t code)
{
	job->error_type = type;
	job->error_code = code;
}

/* Stage 2: what the packets are. */
static void stage_parse(struct sn_worker *w, struct sn_job *jobs, const struct sn_arrival *arrivals, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct sn_arrival *a = &arrivals[i];
		const struct sn_interface *in = &w->nat.policy->interfaces[a->interface];
		struct sn_job *job = &jobs[i];

		job->interface = a->interface;
		job->hairpin = a->hairpin;
		job->from_inside = in->side == SN_INSIDE && !a->hairpin;
		job->realm = in->realm;
		job->error_type = 0;
		job->error_mtu_b = 0;
		job->fragment = false;
		job->cut_b = 0;
		job->verdict = (uint8_t)sn_parse(job->packet.frame, a->desc.len_b, &job->packet);
		/* A tag names another network, whose addresses are not these: no interface with a tag can be configured. */
		if (SN_UNLIKELY((job->verdict == SN_V_FORWARD || job->verdict == SN_V_FRAGMENT) && job->packet.vlans != 0))
			job->verdict = SN_V_NO_RULE;
		if (SN_LIKELY(job->verdict == SN_V_FORWARD))
			continue;
		if (job->verdict == SN_V_FRAGMENT)
			sn_fragment_arrives(w, job, a);
		else if (job->verdict == SN_V_BAD_PROTOCOL && job->from_inside)
			want_error(job, 3, 2);
	}
}

static enum sn_verdict hand_over(struct sn_worker *w, const struct sn_job *job)
{
	uint32_t to = SN_NONE;

	if (sn_nat_mine(&w->nat, job->shard, &to) || to == SN_NONE)
		return SN_V_NO_OWNER;
	return sn_handoff_put(w, to, job, job->packet.frame, job->packet.len_b) ? SN_V_TO_OWNER : SN_V_NO_OWNER;
}

/* Says to control, ten times a second at most, that a neighbour is in use. */
static inline void say_used(struct sn_worker *w, const struct sn_hop *hop)
{
	struct sn_hop *h = &w->nat.hops[hop - w->nat.hops];

	if (SN_LIKELY(h->used_ds == w->nat.now_ds))
		return;
	h->used_ds = w->nat.now_ds;
	atomic_store_explicit(&w->region.routing->neighbours[h->number].used_ds, h->used_ds, memory_order_relaxed);
}

static inline void send_to(struct sn_worker *w, struct sn_desc desc, uint8_t *frame, const struct sn_hop *hop)
{
	say_used(w, hop);
	memcpy(frame, hop->macs, sizeof(hop->macs));
	sn_burst_send(w, desc, hop->interface);
}

/* Stage 5: out, or to its owner, or dropped. */
static void finish(struct sn_worker *w, struct sn_job *job, struct sn_desc desc)
{
	if (SN_LIKELY(job->verdict == SN_V_FORWARD && job->cut_b == 0)) {
		desc.len_b = job->packet.len_b;
		if (SN_LIKELY(job->hop != NULL))
			send_to(w, desc, job->packet.frame, job->hop);
		else
			sn_waiting_send(w, desc, job->out_interface, job->hop_be32, job->neighbour);
		return;
	}
	if (job->verdict == SN_JOB_GONE)
		return;
	if (job->verdict == SN_V_FORWARD) {
		sn_fragment_send(w, job, desc);
		return;
	}
	if (job->verdict == SN_V_TO_OWNER)
		job->verdict = (uint8_t)hand_over(w, job);
	else if (job->error_type != 0)
		send_error(w, job);
	sn_burst_drop(w, desc.frame, job->verdict);
}

/* Stage 4: the work. */
static void translate(struct sn_worker *w, struct sn_job *job)
{
	bool hairpin = job->hairpin;

	job->verdict = (uint8_t)sn_nat_translate(&w->nat, job);
	if (SN_UNLIKELY(job->hairpin && !hairpin))
		w->stats->hairpins++;
}

void sn_burst_run(struct sn_worker *w, const struct sn_arrival *arrivals, uint32_t n)
{
	struct sn_job jobs[SN_BURST];

	sn_nat_refresh_hops(&w->nat);
	stage_fetch(w, jobs, arrivals, n);
	stage_parse(w, jobs, arrivals, n);
	sn_nat_steer_burst(&w->nat, jobs, n); /* stage 3 */
	for (uint32_t i = 0; i < n; i++) {
		if (jobs[i].verdict == SN_V_FORWARD)
			translate(w, &jobs[i]);
		finish(w, &jobs[i], arrivals[i].desc);
	}
}
