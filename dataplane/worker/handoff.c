/*
 * handoff.c: packets that arrived at the wrong worker. One ring per pair of workers, in the region; each slot keeps a frame
 * of the receiver's UMEM, which the sender fills in place. The sender moves only head, the receiver only tail and, while a
 * slot is its own, the slot's frame. Whoever is killed, a frame is in one slot or in the receiver's hands, never in both.
 *
 *     receiver takes:   len = 0 -> frame = fresh one -> tail + 1     (a successor skips slots whose len is 0)
 */
#include "worker/worker.h"

#include <string.h>

/* The place of a packet in its new frame: as much headroom as the kernel leaves. */
#define SN_HANDOFF_OFFSET_B 256

static struct sn_handoff *slot_at(const struct sn_ring *r, uint32_t i)
{
	return (struct sn_handoff *)(r->data + (size_t)i * r->slot_b);
}

/* Keeps a slot's frame if it is one of ours that no other slot has; otherwise the slot is emptied. */
static void keep_frame(struct sn_umem *umem, struct sn_handoff *slot)
{
	uint32_t frame = slot->frame - 1;

	if (slot->frame != 0 && frame < umem->frame_count && sn_umem_state(umem, frame) == SN_FRAME_WORK) {
		sn_umem_mark(umem, frame, SN_FRAME_HANDOFF);
		return;
	}
	atomic_store_explicit(&slot->len_b, 0, memory_order_relaxed);
	slot->frame = 0;
}

void sn_handoff_recover(struct sn_worker *w)
{
	struct sn_umem *umem = &w->umem[w->number];
	uint32_t slots = w->region.geo.handoff;

	/* What is in no slot was being taken or put when the predecessor died: it is in our hands now, and reclaimed. */
	for (uint32_t i = 0; i < umem->frame_count; i++)
		if (sn_umem_state(umem, i) == SN_FRAME_HANDOFF)
			sn_umem_mark(umem, i, SN_FRAME_WORK);
		else if (sn_umem_state(umem, i) == SN_FRAME_WORK)
			sn_umem_mark(umem, i, SN_FRAME_FREE);
	for (uint32_t from = 0; from < w->region.geo.workers; from++)
		for (uint32_t i = 0; from != w->number && i < slots; i++)
			keep_frame(umem, slot_at(&w->handoff_in[from], i));
}

void sn_handoff_stock(struct sn_worker *w)
{
	struct sn_umem *umem = &w->umem[w->number];

	for (uint32_t from = 0; from < w->region.geo.workers; from++)
		for (uint32_t i = 0; from != w->number && i < w->region.geo.handoff; i++) {
			struct sn_handoff *slot = slot_at(&w->handoff_in[from], i);
			uint32_t frame = slot->frame ? SN_NONE : sn_umem_take(umem);

			if (frame == SN_NONE)
				continue;
			sn_umem_mark(umem, frame, SN_FRAME_HANDOFF);
			atomic_store_explicit(&slot->frame, frame + 1, memory_order_release);
		}
}

/* A hairpinned fragment's ports are no longer those that its first one told. */
static struct sn_told told_now(const struct sn_job *job)
{
	struct sn_told told = job->told;

	told.src_port_be16 = job->packet.ip.src_port_be16;
	told.dst_port_be16 = job->packet.ip.dst_port_be16;
	return told;
}

bool sn_handoff_put(struct sn_worker *w, uint32_t to, const struct sn_job *job, const uint8_t *packet, uint32_t len_b)
{
	const struct sn_umem *umem = &w->umem[to];
	struct sn_handoff *slot = sn_ring_reserve(&w->handoff_out[to], w->handoff_filled[to]);
	uint32_t frame;

	if (!slot)
		return false;
	frame = atomic_load_explicit(&slot->frame, memory_order_acquire) - 1;
	if (frame >= umem->frame_count || len_b > umem->frame_b - SN_HANDOFF_OFFSET_B)
		return false;
	memcpy(sn_umem_frame(umem, frame) + SN_HANDOFF_OFFSET_B, packet, len_b);
	slot->interface = job->interface;
	slot->flags = (uint16_t)((job->hairpin ? SN_HANDOFF_HAIRPIN : 0) | (job->fragment ? SN_HANDOFF_TOLD : 0));
	if (SN_UNLIKELY(job->fragment))
		slot->told = told_now(job);
	slot->offset_b = SN_HANDOFF_OFFSET_B;
	atomic_store_explicit(&slot->len_b, len_b, memory_order_relaxed);
	w->handoff_filled[to]++;
	return true;
}

void sn_handoff_flush(struct sn_worker *w)
{
	for (uint32_t to = 0; to < w->region.geo.workers; to++) {
		if (!w->handoff_filled[to])
			continue;
		sn_ring_publish(&w->handoff_out[to], w->handoff_filled[to]);
		w->handoff_filled[to] = 0;
		sn_wake(w, to);
	}
}

/* Takes the packet out of a slot, leaving a fresh frame in it. False: the slot had none, or there is no frame for it. */
static bool take_slot(struct sn_worker *w, struct sn_handoff *slot, struct sn_arrival *a)
{
	struct sn_umem *umem = &w->umem[w->number];
	uint32_t len_b = atomic_load_explicit(&slot->len_b, memory_order_relaxed);
	uint32_t frame = slot->frame - 1, fresh;

	if (len_b == 0 || frame >= umem->frame_count)
		return false;
	atomic_store_explicit(&slot->len_b, 0, memory_order_relaxed);
	if (len_b > umem->frame_b || slot->offset_b > umem->frame_b - len_b ||
	    slot->interface >= w->nat.policy->interface_count) {
		w->stats->corrupt++;
		return false;
	}
	fresh = sn_umem_take(umem);
	if (fresh == SN_NONE) {
		w->stats->handed_in++;
		sn_count(w, SN_V_TX_FULL);
		return false;
	}
	a->desc = (struct sn_desc){ .frame = frame, .offset_b = slot->offset_b, .len_b = len_b };
	a->interface = slot->interface;
	a->hairpin = slot->flags & SN_HANDOFF_HAIRPIN;
	a->is_told = slot->flags & SN_HANDOFF_TOLD;
	a->told = slot->told;
	sn_umem_mark(umem, fresh, SN_FRAME_HANDOFF);
	atomic_store_explicit(&slot->frame, fresh + 1, memory_order_release);
	sn_umem_mark(umem, frame, SN_FRAME_WORK);
	w->stats->handed_in++;
	return true;
}

uint32_t sn_handoff_take(struct sn_worker *w, uint32_t from, struct sn_arrival *arrivals, uint32_t max)
{
	const struct sn_ring *ring = &w->handoff_in[from];
	uint32_t taken = 0, seen = 0;

	for (struct sn_handoff *slot; seen < max && (slot = sn_ring_peek(ring, seen)); seen++)
		taken += take_slot(w, slot, &arrivals[taken]);
	if (seen)
		sn_ring_release(ring, seen);
	return taken;
}
