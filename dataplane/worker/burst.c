/*
 * burst.c: a burst of packets from arrival to verdict, in stages, so that the memory each stage needs is on its way while
 * the stage before works on other packets of the burst.
 */
#include "worker/worker.h"

#include "packet/rewrite.h"

#include <string.h>

struct sn_stage {
	struct sn_job jobs[SN_BURST];
	uint8_t *packet[SN_BURST];
	enum sn_verdict verdict[SN_BURST];
	bool mine[SN_BURST];
};

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

/* Stage 1: parse and steer; the index bucket of what stays is on its way afterwards. */
static void stage_steer(struct sn_worker *w, struct sn_stage *st, const struct sn_arrival *a, uint32_t i)
{
	struct sn_umem *umem = &w->umem[w->number];
	struct sn_job *job = &st->jobs[i];
	const struct sn_interface *in = &w->nat.policy->interfaces[a->interface];
	uint32_t to = SN_NONE;

	st->packet[i] = sn_umem_frame(umem, a->desc.frame) + a->desc.offset_b;
	job->interface = a->interface;
	job->hairpin = a->hairpin;
	job->from_inside = in->side == SN_INSIDE && !a->hairpin;
	job->realm = in->realm;
	job->error_type = 0;
	job->error_mtu_b = 0;
	st->mine[i] = false;
	st->verdict[i] = sn_parse(st->packet[i], a->desc.len_b, &job->packet);
	if (st->verdict[i] == SN_V_FORWARD)
		st->verdict[i] = sn_nat_steer(&w->nat, job);
	if (st->verdict[i] != SN_V_FORWARD)
		return;
	st->mine[i] = sn_nat_mine(&w->nat, job->shard, &to);
	if (st->mine[i])
		sn_nat_prefetch_bucket(&w->nat, job);
	else
		st->verdict[i] = SN_V_TO_OWNER;
}

static enum sn_verdict hand_over(struct sn_worker *w, const struct sn_job *job, const uint8_t *packet, uint32_t len_b)
{
	uint32_t to = SN_NONE;

	if (sn_nat_mine(&w->nat, job->shard, &to) || to == SN_NONE)
		return SN_V_NO_OWNER;
	return sn_handoff_put(w, to, job, packet, len_b) ? SN_V_TO_OWNER : SN_V_NO_OWNER;
}

/* Stage 4: out, or to its owner, or dropped. */
static void finish(struct sn_worker *w, struct sn_stage *st, const struct sn_arrival *a, uint32_t i)
{
	const struct sn_job *job = &st->jobs[i];
	struct sn_desc desc = a->desc;

	if (st->verdict[i] == SN_V_FORWARD) {
		desc.len_b = job->packet.len_b;
		sn_waiting_send(w, desc, job->out_interface, job->hop_be32, job->neighbour);
		return;
	}
	if (st->verdict[i] == SN_V_TO_OWNER)
		st->verdict[i] = hand_over(w, job, st->packet[i], job->packet.len_b);
	else if (job->error_type != 0)
		send_error(w, job);
	sn_burst_drop(w, desc.frame, st->verdict[i]);
}

static void translate(struct sn_worker *w, struct sn_stage *st, uint32_t i)
{
	struct sn_job *job = &st->jobs[i];
	bool hairpin = job->hairpin;

	st->verdict[i] = sn_nat_translate(&w->nat, job);
	if (job->hairpin && !hairpin)
		w->stats->hairpins++;
}

void sn_burst_run(struct sn_worker *w, const struct sn_arrival *arrivals, uint32_t n)
{
	struct sn_stage st;

	for (uint32_t i = 0; i < n; i++)
		stage_steer(w, &st, &arrivals[i], i);
	for (uint32_t i = 0; i < n; i++)
		if (st.mine[i])
			sn_nat_prefetch_record(&w->nat, &st.jobs[i]);
	for (uint32_t i = 0; i < n; i++) {
		if (st.mine[i])
			translate(w, &st, i);
		finish(w, &st, &arrivals[i], i);
	}
}
