/* control.c: the loop. Caller: main.c. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control.h"

#define TICK_MS 100u
#define MS_NS 1000000u
#define REFRESH_NS (50u * MS_NS)
#define REFRESH_COST 10u /* reading the kernel takes a tenth of the time at most */

static uint64_t now_ns(const struct sn_control *c)
{
	return sn_clock_ns(&c->region.hdr->clock);
}

/* Tells an operator, once until the trouble is over. */
static void tell(struct sn_control *c, enum sn_control_trouble t, const char *text, int err)
{
	if (c->troubles >> t & 1)
		return;
	c->troubles |= 1u << t;
	fprintf(stderr, "shardnat-ctrl: %s: %s%s%s\n", c->region.hdr->instance, text, err != 0 ? ": " : "",
		err != 0 ? strerror(-err) : "");
}

static void tell_over(struct sn_control *c, enum sn_control_trouble t)
{
	c->troubles &= ~(1u << t);
}

static int ask_supervisor(void *ctx, uint32_t ifindex, uint32_t addr_be32)
{
	struct sn_control *c = ctx;

	return sn_asker_send(&c->asker, &(struct sn_ask){ ifindex, addr_be32 }, now_ns(c));
}

int sn_control_init(struct sn_control *c, const char *supervisor_path, int journal_fd, int orders_fd)
{
	int err = sn_audits_init(&c->audits, &c->region, journal_fd);

	if (err != 0)
		return err;
	err = sn_netlink_init(&c->netlink);
	if (err != 0)
		return err;
	sn_asker_init(&c->asker, supervisor_path);
	sn_links_refresh(&c->links, c->region.policy);
	sn_routes_init(&c->routes, &c->links, c->region.routing);
	sn_neighbours_init(&c->neighbours, &c->region, &c->links, ask_supervisor, c);
	sn_sweep_init(&c->sweep, &c->region);
	sn_orders_init(&c->orders, &c->region, orders_fd);
	c->routes_refresh.stale = true;
	c->neighbours_refresh.stale = true;
	return 0;
}

void sn_control_fini(struct sn_control *c)
{
	sn_orders_fini(&c->orders);
	sn_asker_fini(&c->asker);
	sn_routes_fini(&c->routes);
	sn_netlink_fini(&c->netlink);
}

static int read_routes(struct sn_control *c)
{
	int err;

	sn_routes_begin(&c->routes);
	err = sn_netlink_dump_routes(&c->netlink, sn_routes_add, &c->routes);
	if (err != 0)
		return err;
	err = sn_routes_publish(&c->routes);
	if (err == -E2BIG)
		tell(c, SN_TROUBLE_ROUTES,
		     "the kernel has more routes than fit: the highest addresses have none here", 0);
	else if (err == 0)
		tell_over(c, SN_TROUBLE_ROUTES);
	return err == -E2BIG ? 0 : err;
}

static int read_neighbours(struct sn_control *c)
{
	sn_neighbours_begin(&c->neighbours);
	return sn_netlink_dump_neighbours(&c->netlink, sn_neighbours_heard, &c->neighbours);
}

/* Reads anew what is stale and due. What did not succeed, or changed meanwhile, stays stale. */
static void refresh(struct sn_control *c, struct sn_refresh *r, int (*read_all)(struct sn_control *c))
{
	uint64_t start_ns = now_ns(c), cost_ns;
	int err;

	if (!r->stale || start_ns < r->due_ns)
		return;
	err = read_all(c);
	r->stale = err != 0;
	if (err != 0 && err != -EAGAIN)
		tell(c, SN_TROUBLE_NETLINK, "cannot read routes and neighbours, trying again", err);
	else if (err == 0)
		tell_over(c, SN_TROUBLE_NETLINK);
	cost_ns = now_ns(c) - start_ns;
	r->due_ns = start_ns + SN_MAX((uint64_t)REFRESH_NS, SN_MIN(cost_ns * REFRESH_COST, 1000ull * MS_NS));
}

static int serve_kernel(struct sn_control *c)
{
	int news = sn_netlink_follow(&c->netlink, sn_neighbours_heard, &c->neighbours);

	if (news < 0)
		return news;
	if (sn_links_refresh(&c->links, c->region.policy))
		news |= SN_NETLINK_LOST;
	if (news & (SN_NETLINK_ROUTES | SN_NETLINK_LOST))
		c->routes_refresh.stale = true;
	if (news & SN_NETLINK_LOST)
		c->neighbours_refresh.stale = true;
	refresh(c, &c->neighbours_refresh, read_neighbours);
	refresh(c, &c->routes_refresh, read_routes);
	return 0;
}

static void serve_neighbours(struct sn_control *c)
{
	uint64_t full = c->neighbours.full;
	bool asked = sn_neighbours_requests(&c->neighbours);

	if (asked || now_ns(c) >= c->tick_ns) {
		sn_neighbours_tick(&c->neighbours);
		c->tick_ns = now_ns(c) + TICK_MS * MS_NS;
	}
	if (c->neighbours.full != full)
		tell(c, SN_TROUBLE_NEIGHBOURS,
		     "no room for another neighbour: packets to new next hops are dropped", 0);
}

static void serve_audits(struct sn_control *c)
{
	int err = sn_audits_drain(&c->audits);

	if (err != 0)
		tell(c, SN_TROUBLE_JOURNAL, "cannot write audit records; new blocks will be refused", err);
	else
		tell_over(c, SN_TROUBLE_JOURNAL);
}

static void write_event(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void wake_workers(struct sn_control *c)
{
	uint64_t touched = sn_sweep_touched(&c->sweep) | sn_orders_touched(&c->orders);

	/* Pairs with the worker's own fence between saying that it sleeps and looking at its ring a last time. */
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < c->region.geo.workers; i++)
		if ((touched >> i & 1) &&
		    atomic_load_explicit(&c->region.stats[i].sleeping, memory_order_relaxed) != 0)
			write_event(c->wake[i]);
}

/* Milliseconds until something stale may be read; at most limit. */
static uint32_t refresh_wait(const struct sn_refresh *r, uint64_t now, uint32_t limit)
{
	if (!r->stale)
		return limit;
	return now >= r->due_ns ? 0 : (uint32_t)SN_MIN((r->due_ns - now) / MS_NS + 1, (uint64_t)limit);
}

/* Waits for anything to do. 1: a signal came, 0, or -errno. */
static int wait_for_work(struct sn_control *c, uint32_t wait_ms)
{
	struct pollfd fds[] = { { .fd = c->signals, .events = POLLIN },
				{ .fd = c->own_wake, .events = POLLIN },
				{ .fd = sn_netlink_fd(&c->netlink), .events = POLLIN },
				{ .fd = sn_orders_fd(&c->orders), .events = POLLIN } };
	uint64_t count;

	if (poll(fds, SN_ARRAY_LEN(fds), (int)wait_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[0].revents != 0)
		return 1;
	if ((fds[1].revents & POLLIN) && read(c->own_wake, &count, sizeof(count)) < 0 && errno != EAGAIN &&
	    errno != EINTR)
		return -errno;
	return 0;
}

int sn_control_run(struct sn_control *c)
{
	uint32_t wait_ms;
	uint64_t now;
	int err;

	for (;;) {
		err = serve_kernel(c);
		if (err != 0)
			return err;
		serve_neighbours(c);
		serve_audits(c);
		wait_ms = SN_MIN(sn_sweep_slice(&c->sweep, SN_SWEEP_SLICE), TICK_MS);
		wait_ms = sn_orders_serve(&c->orders, wait_ms);
		wake_workers(c);
		now = now_ns(c);
		wait_ms = refresh_wait(&c->routes_refresh, now, wait_ms);
		wait_ms = refresh_wait(&c->neighbours_refresh, now, wait_ms);
		err = wait_for_work(c, wait_ms);
		if (err != 0)
			return err > 0 ? 0 : err;
	}
}
