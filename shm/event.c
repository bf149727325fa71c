/*
 * event.c: one writer that never waits, any number of readers that never hold it up.
 *
 * A slot's seq is 0 while it is written and the event's number before and after; a reader that finds the same number before
 * and after its copy has a whole event. Bodies are copied in relaxed words, since a reader may well copy what is being
 * overwritten, and find out afterwards.
 *
 * A writer that is killed after the slot and before the head leaves an event that never was: no reader looks past the head,
 * and the successor writes the same slot again. The event that was in it one lap before is lost, and counted as missed.
 */
#include "event.h"

#include "clock.h"

static struct sn_event *slot_of(const struct sn_event_ring *r, uint64_t seq)
{
	return &r->slots[seq & (r->slot_count - 1)];
}

/* Word 0 is seq, which both sides handle apart. */
static void copy_body(struct sn_event *ret, const struct sn_event *e)
{
	sn_copy_words(&ret->time_ns, &e->time_ns, sizeof(*e) - offsetof(struct sn_event, time_ns));
}

uint64_t sn_event_head(const struct sn_event_ring *r)
{
	return atomic_load_explicit(&r->head->head, memory_order_acquire);
}

void sn_event_publish(const struct sn_event_ring *r, const struct sn_event *e)
{
	uint64_t seq = atomic_load_explicit(&r->head->head, memory_order_relaxed) + 1;
	struct sn_event *slot = slot_of(r, seq);

	atomic_store_explicit(&slot->seq, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	copy_body(slot, e);
	atomic_store_explicit(&slot->seq, seq, memory_order_release);
	atomic_store_explicit(&r->head->head, seq, memory_order_release);
}

/* False if the event of this number is not, or no longer, in its slot. */
static bool copy_event(const struct sn_event_ring *r, uint64_t seq, struct sn_event *ret)
{
	const struct sn_event *slot = slot_of(r, seq);

	if (atomic_load_explicit(&slot->seq, memory_order_acquire) != seq)
		return false;
	copy_body(ret, slot);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&slot->seq, memory_order_relaxed) != seq)
		return false;
	atomic_init(&ret->seq, seq);
	return true;
}

uint32_t sn_event_read(const struct sn_event_ring *r, uint64_t *cursor, struct sn_event *ret_events, uint32_t max,
		       uint64_t *ret_missed)
{
	uint64_t head = sn_event_head(r);
	uint64_t last = *cursor, missed = 0;
	uint32_t n = 0;

	if (last < head && head - last > r->slot_count) {
		missed = head - last - r->slot_count;
		last += missed;
	}
	while (n < max && last < head) {
		last++;
		if (copy_event(r, last, &ret_events[n]))
			n++;
		else
			missed++;
	}
	*cursor = last;
	*ret_missed = missed;
	return n;
}

void sn_event_of_flow(struct sn_event *ret, const struct sn_flow *f, uint32_t flow, uint64_t now_ns)
{
	uint32_t now_ds = sn_clock_ds(now_ns);
	uint32_t expires_ds = atomic_load_explicit(&f->expires_ds, memory_order_relaxed);

	*ret = (struct sn_event){
		.time_ns = now_ns,
		.flow = flow,
		.gen = atomic_load_explicit(&f->gen, memory_order_relaxed),
		.flags = f->flags,
		.inside_be32 = f->inside_be32,
		.public_be32 = f->public_be32,
		.remote_be32 = f->remote_be32,
		.inside_port_be16 = f->inside_port_be16,
		.public_port_be16 = f->public_port_be16,
		.remote_port_be16 = f->remote_port_be16,
		.proto = f->proto,
		.realm = f->realm,
		.state = f->state,
		.shard = f->shard,
		.status = f->status,
		.rule = f->rule,
		.timeout_ds = sn_clock_due(expires_ds, now_ds) ? 0 : expires_ds - now_ds,
		.subscriber = SN_NONE,
		.block = SN_NONE,
		.start_ds = f->start_ds,
		.packets = { sn_flow_packets(f, SN_DIR_ORIGINAL), sn_flow_packets(f, SN_DIR_REPLY) },
		.bytes = { sn_flow_bytes(f, SN_DIR_ORIGINAL), sn_flow_bytes(f, SN_DIR_REPLY) },
	};
}
