/* neighbours.c: requests in, the kernel's answers out to the region. Caller: control's loop. */
#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <string.h>

#include "neighbours.h"

#define USABLE (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)
#define STEADY (NUD_PERMANENT | NUD_NOARP)
#define ASK_AGAIN_DS 10u      /* while WANTED */
#define GIVE_UP_DS 50u        /* WANTED without an answer */
#define RETRY_DS 10u          /* after FAILED */
#define CONFIRM_DS 300u       /* between questions about one that is in use */
#define IN_USE_DS 300u
#define MAKE_ROOM_DS 10u      /* between two looks for entries of no use */
#define REQUESTS_MAX 1024u    /* per worker and call */

static const uint8_t no_mac[6];

static uint32_t now_ds(const struct sn_neighbours *n)
{
	return sn_clock_ds(sn_clock_ns(&n->region->hdr->clock));
}

static uint32_t entries(const struct sn_neighbours *n)
{
	uint32_t count = atomic_load_explicit(&n->region->routing->neighbour_count, memory_order_relaxed);

	return SN_MIN(count, (uint32_t)SN_NEIGHBOURS_MAX - 1);
}

static bool in_use(const struct sn_neighbour *entry, uint32_t now)
{
	return !sn_clock_due(atomic_load_explicit(&entry->used_ds, memory_order_relaxed) + IN_USE_DS, now);
}

/* One that the kernel is being asked for may have a packet waiting for it. */
static bool is_useless(void *ctx, uint16_t number, const struct sn_neighbour *entry)
{
	struct sn_neighbours *n = ctx;
	bool useless = entry->state == SN_NB_FAILED || (entry->state == SN_NB_RESOLVED && !in_use(entry, now_ds(n)));

	if (useless)
		n->watch[number] = (struct sn_neighbour_watch){ 0 };
	return useless;
}

/* Somebody may be asking for addresses that do not exist, one after the other. False: not now. */
static bool make_room(struct sn_neighbours *n)
{
	if (n->full_ds != 0 && !sn_clock_due(n->full_ds + MAKE_ROOM_DS, now_ds(n)))
		return false;
	n->full_ds = now_ds(n);
	return sn_neighbour_recycle(n->region->routing, is_useless, n) > 0;
}

/* Publishes a state. The entry's watch, NULL if there is no entry left. */
static struct sn_neighbour_watch *publish(struct sn_neighbours *n, uint16_t interface, uint32_t addr_be32,
					  enum sn_neighbour_state state, const uint8_t mac[6])
{
	int number = sn_neighbour_set(n->region->routing, interface, addr_be32, state, mac, now_ds(n));

	if (number < 0 && make_room(n))
		number = sn_neighbour_set(n->region->routing, interface, addr_be32, state, mac, now_ds(n));
	if (number < 0 || number >= SN_NEIGHBOURS_MAX) {
		n->full++;
		return NULL;
	}
	return &n->watch[number];
}

static void want(struct sn_neighbours *n, uint16_t interface, uint32_t addr_be32)
{
	struct sn_neighbour_watch *w = publish(n, interface, addr_be32, SN_NB_WANTED, no_mac);

	if (w != NULL)
		*w = (struct sn_neighbour_watch){ .wanted_ds = now_ds(n), .pending = true };
}

static void fail(struct sn_neighbours *n, uint16_t interface, uint32_t addr_be32)
{
	struct sn_neighbour_watch *w = publish(n, interface, addr_be32, SN_NB_FAILED, no_mac);

	if (w != NULL)
		*w = (struct sn_neighbour_watch){ 0 };
}

void sn_neighbours_init(struct sn_neighbours *n, struct sn_region *r, const struct sn_links *links, sn_ask_fn *ask,
			void *ask_ctx)
{
	struct sn_neighbour entry;

	*n = (struct sn_neighbours){ .region = r, .links = links, .ask = ask, .ask_ctx = ask_ctx };
	for (uint32_t i = 0; i < entries(n); i++)
		if (sn_neighbour_read(r->routing, (uint16_t)i, &entry) && entry.state == SN_NB_WANTED)
			n->watch[i] = (struct sn_neighbour_watch){ .wanted_ds = now_ds(n), .pending = true };
}

void sn_neighbours_begin(struct sn_neighbours *n)
{
	for (uint32_t i = 0; i < entries(n); i++)
		n->watch[i].gone = true;
}

static bool same_mac(const struct sn_neighbour *a, const uint8_t mac[6])
{
	for (int i = 0; i < 6; i++)
		if (a->mac[i] != mac[i])
			return false;
	return true;
}

static void heard_usable(struct sn_neighbours *n, uint16_t interface, const struct sn_netlink_neighbour *k)
{
	uint16_t number = sn_neighbour_find(n->region->routing, interface, k->addr_be32);
	struct sn_neighbour known;
	struct sn_neighbour_watch *w;

	if (number != SN_NEIGHBOUR_UNKNOWN && sn_neighbour_read(n->region->routing, number, &known) &&
	    known.state == SN_NB_RESOLVED && same_mac(&known, k->mac))
		w = &n->watch[number];
	else
		w = publish(n, interface, k->addr_be32, SN_NB_RESOLVED, k->mac);
	if (w == NULL)
		return;
	w->pending = false;
	w->gone = false;
	w->steady = (k->state & STEADY) != 0;
	if (k->state & NUD_REACHABLE) {
		w->asked = true;
		w->asked_ds = now_ds(n);
	}
}

/*
 * The kernel has no answer, or no longer. What is not ours yet stays unknown. One in use that stopped answering is
 * asked for anew at once: the kernel has tried only its last MAC.
 */
static void heard_unusable(struct sn_neighbours *n, uint16_t interface, const struct sn_netlink_neighbour *k)
{
	uint16_t number = sn_neighbour_find(n->region->routing, interface, k->addr_be32);
	struct sn_neighbour known;

	if (number == SN_NEIGHBOUR_UNKNOWN || !sn_neighbour_read(n->region->routing, number, &known))
		return;
	if (known.state == SN_NB_RESOLVED && k->deleted) {
		n->watch[number].gone = true;
		n->watch[number].steady = false;
	} else if (known.state == SN_NB_RESOLVED && in_use(&known, now_ds(n))) {
		want(n, interface, k->addr_be32);
	} else if (known.state == SN_NB_WANTED || known.state == SN_NB_RESOLVED) {
		fail(n, interface, k->addr_be32);
	}
}

static bool is_unicast(uint32_t addr_be32)
{
	uint32_t address = ntohl(addr_be32);

	return address != 0 && address < 0xe0000000u;
}

void sn_neighbours_heard(void *ctx, const struct sn_netlink_neighbour *k)
{
	struct sn_neighbours *n = ctx;
	uint32_t index = sn_links_index(n->links, k->ifindex);

	if (index == SN_NONE || !is_unicast(k->addr_be32))
		return;
	if (!k->deleted && (k->state & USABLE) && (k->has_mac || (k->state & NUD_NOARP)))
		heard_usable(n, (uint16_t)index, k);
	else if (k->deleted || (k->state & NUD_FAILED))
		heard_unusable(n, (uint16_t)index, k);
}

/* A TUN device has no MAC addresses: whatever is behind it is resolved. */
static bool is_resolved_by_nature(const struct sn_neighbours *n, uint32_t interface)
{
	const struct sn_interface *i = &sn_policy_active(n->region->policy)->interfaces[interface];

	return i->ifindex != 0 && !memcmp(i->mac, no_mac, sizeof(no_mac));
}

static void resolve_by_nature(struct sn_neighbours *n, uint16_t interface, uint32_t addr_be32)
{
	struct sn_neighbour_watch *w = publish(n, interface, addr_be32, SN_NB_RESOLVED, no_mac);

	if (w == NULL)
		return;
	w->pending = false;
	w->steady = true;
}

static void request(struct sn_neighbours *n, struct sn_request q)
{
	uint16_t number;
	struct sn_neighbour known;

	if (q.interface >= n->links->count || !is_unicast(q.addr_be32)) {
		n->refused++;
		return;
	}
	if (is_resolved_by_nature(n, q.interface)) {
		resolve_by_nature(n, (uint16_t)q.interface, q.addr_be32);
		return;
	}
	number = sn_neighbour_find(n->region->routing, (uint16_t)q.interface, q.addr_be32);
	if (number != SN_NEIGHBOUR_UNKNOWN && sn_neighbour_read(n->region->routing, number, &known)) {
		if (known.state == SN_NB_WANTED || known.state == SN_NB_RESOLVED)
			return;
		if (known.state == SN_NB_FAILED && !sn_clock_due(known.failed_ds + RETRY_DS, now_ds(n))) {
			n->watch[number].pending = true; /* the packet waits, its worker does not ask again */
			return;
		}
	}
	want(n, (uint16_t)q.interface, q.addr_be32);
}

bool sn_neighbours_requests(struct sn_neighbours *n)
{
	bool any = false;

	for (uint32_t worker = 0; worker < n->region->geo.workers; worker++) {
		struct sn_ring ring = sn_region_requests(n->region, worker);
		const struct sn_request *q;

		for (uint32_t i = 0; i < REQUESTS_MAX && (q = sn_ring_peek(&ring, 0)) != NULL; i++) {
			request(n, *q);
			sn_ring_release(&ring, 1);
			any = true;
		}
	}
	return any;
}

/* Whether the kernel is to be asked about an entry now. A WANTED one is given up here, a FAILED one requested again. */
static bool is_due(struct sn_neighbours *n, const struct sn_neighbour *entry, const struct sn_neighbour_watch *w,
		   uint32_t now)
{
	if (entry->state == SN_NB_WANTED && sn_clock_due(w->wanted_ds + GIVE_UP_DS, now)) {
		fail(n, entry->interface, entry->addr_be32);
		return false;
	}
	if (entry->state == SN_NB_FAILED) {
		if (!w->pending || !sn_clock_due(entry->failed_ds + RETRY_DS, now))
			return false;
		want(n, entry->interface, entry->addr_be32);
	}
	if (w->pending)
		return true;
	if (entry->state == SN_NB_WANTED)
		return sn_clock_due(w->asked_ds + ASK_AGAIN_DS, now);
	if (entry->state != SN_NB_RESOLVED || w->steady || !in_use(entry, now))
		return false;
	return !w->asked || sn_clock_due(w->asked_ds + (w->gone ? ASK_AGAIN_DS : CONFIRM_DS), now);
}

void sn_neighbours_tick(struct sn_neighbours *n)
{
	uint32_t now = now_ds(n), count = entries(n);
	struct sn_neighbour entry;

	for (uint32_t i = 0; i < count; i++) {
		struct sn_neighbour_watch *w = &n->watch[i];

		if (!sn_neighbour_read(n->region->routing, (uint16_t)i, &entry) || !is_due(n, &entry, w, now))
			continue;
		if (entry.interface >= n->links->count || n->links->ifindex[entry.interface] == 0)
			continue;
		if (n->ask(n->ask_ctx, n->links->ifindex[entry.interface], entry.addr_be32) != 0)
			return;
		w->pending = false;
		w->asked = true;
		w->asked_ds = now;
	}
}
