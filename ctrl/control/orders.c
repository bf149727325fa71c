/* orders.c: see orders.h. */
#include "orders.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define SILENT_NS 1000000000u
#define FULL_MS 1u

void sn_orders_init(struct sn_orders *o, const struct sn_region *r, int listening)
{
	*o = (struct sn_orders){ .region = r, .listening = listening, .peer = -1 };
}

static void hang_up(struct sn_orders *o)
{
	if (o->peer >= 0)
		close(o->peer);
	o->peer = -1;
	o->busy = false;
}

void sn_orders_fini(struct sn_orders *o)
{
	hang_up(o);
}

int sn_orders_fd(const struct sn_orders *o)
{
	return o->busy ? -1 : o->peer >= 0 ? o->peer : o->listening;
}

static uint64_t now_ns(const struct sn_orders *o)
{
	return sn_clock_ns(&o->region->hdr->clock);
}

static bool may_ask(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == SN_UID_API || who.uid == 0);
}

static void take_peer(struct sn_orders *o)
{
	int fd = accept4(o->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (!may_ask(fd)) {
		o->refused++;
		close(fd);
		return;
	}
	o->peer = fd;
	o->silent_ns = now_ns(o) + SILENT_NS;
}

static bool is_sane(const struct sn_order *order, ssize_t len)
{
	return len >= (ssize_t)SN_ORDER_B(1) && order->op == SN_ORDER_DELETE && order->count >= 1 &&
	       order->count <= SN_ORDER_FLOWS && len == (ssize_t)SN_ORDER_B(order->count);
}

static void take_order(struct sn_orders *o)
{
	ssize_t len = recv(o->peer, &o->order, sizeof(o->order), MSG_TRUNC);

	if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (now_ns(o) >= o->silent_ns)
			hang_up(o);
		return;
	}
	o->busy = is_sane(&o->order, len);
	o->next = 0;
	if (!o->busy)
		hang_up(o);
}

/* Tells the owner of a flow to delete it. False: nobody owns it just now, or the owner's ring is full. */
static bool tell_owner(struct sn_orders *o, const struct sn_order_flow *f)
{
	const struct sn_region *r = o->region;
	uint32_t shard, worker;
	struct sn_command *slot;
	struct sn_ring ring;

	if (f->flow >= r->flow_count)
		return true;
	shard = __atomic_load_n(&r->flows[f->flow].shard, __ATOMIC_RELAXED);
	if (shard >= r->geo.shards)
		return true;
	worker = sn_region_owner(r, shard).worker;
	if (worker >= r->geo.workers)
		return false;
	ring = sn_region_commands(r, worker);
	slot = sn_ring_reserve(&ring, 0);
	if (!slot)
		return false;
	*slot = (struct sn_command){ SN_CMD_DELETE, shard, f->flow, f->gen };
	sn_ring_publish(&ring, 1);
	o->touched |= 1ull << worker;
	o->carried_out++;
	return true;
}

/* What the API does not read, it does not need. */
static void answer(struct sn_orders *o)
{
	struct sn_order_done done = { .given = o->next };

	send(o->peer, &done, sizeof(done), MSG_NOSIGNAL | MSG_DONTWAIT);
	hang_up(o);
}

static void carry_on(struct sn_orders *o)
{
	bool late = now_ns(o) >= o->order.deadline_ns;

	while (!late && o->next < o->order.count && tell_owner(o, &o->order.flows[o->next]))
		o->next++;
	if (late || o->next == o->order.count)
		answer(o);
}

uint32_t sn_orders_serve(struct sn_orders *o, uint32_t limit_ms)
{
	if (o->listening < 0)
		return limit_ms;
	if (o->peer < 0)
		take_peer(o);
	if (o->peer >= 0 && !o->busy)
		take_order(o);
	if (o->busy)
		carry_on(o);
	return o->busy ? SN_MIN(FULL_MS, limit_ms) : limit_ms;
}

uint64_t sn_orders_touched(struct sn_orders *o)
{
	uint64_t touched = o->touched;

	o->touched = 0;
	return touched;
}
