/*
 * fragments.c: fragments on their way to a flow. The worker that a datagram's hash names keeps what its first fragment told;
 * from there each fragment goes on, with the ports it lacks, like any packet: to this worker's flow or to its shard's owner.
 * Also the fragments that we make.
 *
 *     arrives --> worker of the hash: first: tell the table -----------------> steer -> translate
 *                                     later: told?  yes ----------------------> steer -> translate
 *                                                   no --> held --first came--^  (or dropped: time over, pushed out)
 */
#include "worker/worker.h"

#include "packet/bytes.h"
#include "packet/cut.h"

/* The datagram that a fragment is of. Never 0. */
static uint64_t name_of(const struct sn_worker *w, const struct sn_job *job)
{
	const struct sn_ip *ip = &job->packet.ip;
	uint16_t id_be16 = sn_bytes_get16(job->packet.frame + ip->l3_off_b + 4);

	return sn_hash_block(&w->region.hdr->key, sn_hash_low(ip->src_be32, ip->dst_be32),
			     sn_hash_high(SN_HASH_DATAGRAM, job->realm, ip->proto, id_be16, job->from_inside)) | 1;
}

static struct sn_told tell(struct sn_worker *w, const struct sn_job *job)
{
	const struct sn_ip *ip = &job->packet.ip;
	struct sn_told told = { .src_port_be16 = ip->src_port_be16, .dst_port_be16 = ip->dst_port_be16,
				.icmp_type = ip->icmp_type, .icmp_code = ip->icmp_code };
	struct sn_tcp_view tcp;

	if (job->packet.kind == SN_PKT_TCP) {
		sn_parse_tcp(&job->packet, &tcp);
		told.tcp_base = tcp.end - ip->l4_b;
	}
	if (job->from_inside)
		told.id_be16 = sn_nat_ident(&w->nat, true, 0, ip->dst_be32, ip->proto);
	return told;
}

/* The packet is as if it had brought its ports itself. */
static void take(struct sn_job *job, const struct sn_told *told)
{
	struct sn_ip *ip = &job->packet.ip;

	job->fragment = true;
	job->told = *told;
	job->verdict = SN_V_FORWARD;
	if (job->packet.kind != SN_PKT_FRAGMENT)
		return;
	ip->src_port_be16 = told->src_port_be16;
	ip->dst_port_be16 = told->dst_port_be16;
	ip->icmp_type = told->icmp_type;
	ip->icmp_code = told->icmp_code;
}

static void hold(struct sn_worker *w, struct sn_job *job, const struct sn_arrival *a, uint64_t name)
{
	bool pushed;
	uint32_t place = sn_fragments_hold(&w->fragments, name, w->nat.now_ds, &pushed);

	if (pushed)
		sn_burst_drop(w, w->held[place].desc.frame, SN_V_FRAGMENT);
	w->held[place] = *a;
	job->verdict = SN_JOB_GONE;
}

static void pass_on(struct sn_worker *w, uint32_t to, struct sn_job *job, const struct sn_arrival *a)
{
	bool ok = sn_handoff_put(w, to, job, job->packet.frame, job->packet.len_b);

	sn_burst_drop(w, a->desc.frame, ok ? SN_V_TO_OWNER : SN_V_NO_OWNER);
	job->verdict = SN_JOB_GONE;
}

void sn_fragment_arrives(struct sn_worker *w, struct sn_job *job, const struct sn_arrival *a)
{
	uint64_t name = name_of(w, job);
	uint32_t keeper = (uint32_t)((name >> 32) % w->region.geo.workers);
	const struct sn_told *known;
	struct sn_told told;

	if (a->is_told) {
		take(job, &a->told);
	} else if (a->hairpin) {
		return; /* nobody told what it is of */
	} else if (keeper != w->number) {
		pass_on(w, keeper, job, a);
	} else if (job->packet.kind != SN_PKT_FRAGMENT) {
		told = tell(w, job);
		take(job, sn_fragments_tell(&w->fragments, name, &told, w->nat.now_ds));
	} else {
		known = sn_fragments_told(&w->fragments, name, w->nat.now_ds);
		if (known)
			take(job, known);
		else
			hold(w, job, a, name);
	}
}

uint32_t sn_fragments_take(struct sn_worker *w, struct sn_arrival *arrivals, uint32_t max)
{
	uint32_t n = 0, place;

	while (n < max && (place = sn_fragments_release(&w->fragments)) != SN_NONE)
		arrivals[n++] = w->held[place];
	return n;
}

void sn_fragments_tick(struct sn_worker *w)
{
	uint32_t place;

	while ((place = sn_fragments_expire(&w->fragments, w->nat.now_ds)) != SN_NONE)
		sn_burst_drop(w, w->held[place].desc.frame, SN_V_FRAGMENT);
}

/* --- fragments of ours --- */

static void send_piece(struct sn_worker *w, const struct sn_job *job, struct sn_desc desc)
{
	sn_waiting_send(w, desc, job->out_interface, job->hop_be32, job->neighbour);
}

/* All fragments but the first, in frames of their own. False: there are not enough frames, and none is taken. */
static bool make_pieces(struct sn_worker *w, const struct sn_job *job, struct sn_desc *descs, uint32_t count)
{
	struct sn_umem *umem = &w->umem[w->number];

	for (uint32_t i = 1; i < count; i++) {
		descs[i] = (struct sn_desc){ .frame = sn_umem_take(umem) };
		if (descs[i].frame == SN_NONE) {
			while (--i > 0)
				sn_umem_give(umem, descs[i].frame);
			return false;
		}
		descs[i].len_b = sn_cut_later(&job->packet, job->cut_b, i, sn_umem_frame(umem, descs[i].frame));
	}
	return true;
}

void sn_fragment_send(struct sn_worker *w, struct sn_job *job, struct sn_desc desc)
{
	uint32_t count = sn_cut_count(&job->packet, job->cut_b);
	struct sn_desc pieces[SN_CUT_MAX];

	if (count == 0 || !make_pieces(w, job, pieces, count)) {
		sn_burst_drop(w, desc.frame, count == 0 ? SN_V_TOO_BIG : SN_V_TX_FULL);
		return;
	}
	if (count > 1)
		sn_cut_first(&job->packet, job->cut_b);
	desc.len_b = job->packet.len_b;
	send_piece(w, job, desc);
	w->stats->pieces += count - 1;
	for (uint32_t i = 1; i < count; i++)
		send_piece(w, job, pieces[i]);
}
