/*
 * waiting.c: the last step before a port: the next hop's MAC address. A packet whose next hop is not resolved waits in a
 * small room while control has the kernel ask; it leaves when the answer is there, or is dropped after three seconds, when the
 * kernel gives up, or when the room is full.
 */
#include "worker/worker.h"

#include "packet/rewrite.h"

#define SN_WAITING_DS 30

static void request(struct sn_worker *w, uint16_t interface, uint32_t hop_be32)
{
	struct sn_request *r = sn_ring_reserve(&w->requests, 0);

	/* A full ring means that control has enough to do: the packet that waits asks again when it is retried. */
	if (!r)
		return;
	*r = (struct sn_request){ .interface = interface, .addr_be32 = hop_be32 };
	sn_ring_publish(&w->requests, 1);
	sn_wake(w, w->region.geo.workers);
}

/* Sends if the neighbour is resolved. */
static bool send_resolved(struct sn_worker *w, struct sn_desc desc, const struct sn_neighbour *n, uint16_t number)
{
	struct sn_neighbour *entry = &w->region.routing->neighbours[number];

	if (n->state != SN_NB_RESOLVED)
		return false;
	sn_rewrite_mac(sn_umem_frame(&w->umem[w->number], desc.frame) + desc.offset_b, n->mac,
		       w->nat.policy->interfaces[n->interface].mac);
	if (atomic_load_explicit(&entry->used_ds, memory_order_relaxed) != w->nat.now_ds)
		atomic_store_explicit(&entry->used_ds, w->nat.now_ds, memory_order_relaxed);
	sn_burst_send(w, desc, n->interface);
	return true;
}

static bool read_neighbour(const struct sn_worker *w, uint16_t interface, uint32_t hop_be32, uint16_t *number,
			   struct sn_neighbour *ret)
{
	if (*number == SN_NEIGHBOUR_UNKNOWN)
		*number = sn_neighbour_find(w->region.routing, interface, hop_be32);
	return *number != SN_NEIGHBOUR_UNKNOWN && sn_neighbour_read(w->region.routing, *number, ret) &&
	       ret->interface < w->nat.policy->interface_count && ret->interface == interface &&
	       ret->addr_be32 == hop_be32;
}

void sn_waiting_send(struct sn_worker *w, struct sn_desc desc, uint16_t interface, uint32_t hop_be32, uint16_t number)
{
	struct sn_neighbour n;

	if (SN_LIKELY(read_neighbour(w, interface, hop_be32, &number, &n)) && send_resolved(w, desc, &n, number))
		return;
	if (w->waiting_count == SN_WAITING_MAX) {
		sn_burst_drop(w, desc.frame, SN_V_NO_NEIGHBOUR);
		return;
	}
	request(w, interface, hop_be32);
	w->waiting[w->waiting_count++] = (struct sn_waiting){
		.desc = desc, .interface = interface, .hop_be32 = hop_be32, .until_ds = w->nat.now_ds + SN_WAITING_DS,
	};
}

/* True if the packet is gone: sent or dropped. */
static bool retry(struct sn_worker *w, const struct sn_waiting *p)
{
	uint16_t number = SN_NEIGHBOUR_UNKNOWN;
	struct sn_neighbour n;
	bool known = read_neighbour(w, p->interface, p->hop_be32, &number, &n);

	if (known && send_resolved(w, p->desc, &n, number))
		return true;
	if (!sn_clock_due(p->until_ds, w->nat.now_ds)) {
		if (!known)
			request(w, p->interface, p->hop_be32);
		return false;
	}
	sn_burst_drop(w, p->desc.frame, SN_V_NO_NEIGHBOUR);
	return true;
}

void sn_waiting_retry(struct sn_worker *w)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < w->waiting_count; i++)
		if (!retry(w, &w->waiting[i]))
			w->waiting[kept++] = w->waiting[i];
	w->waiting_count = kept;
}
