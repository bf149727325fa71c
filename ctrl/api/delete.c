/* delete.c: see delete.h. */
#include "delete.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 200000
#define MS_NS 1000000u

static int connect_control(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static uint64_t now_ns(const struct sn_view *v)
{
	return sn_clock_ns(&v->region->hdr->clock);
}

/* How many flows control told their workers of; -EAGAIN: it went away before it answered, -ETIMEDOUT. */
static int await_done(const struct sn_view *v, int fd, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sn_order_done done;

	for (uint64_t now = now_ns(v); now < deadline_ns; now = now_ns(v)) {
		if (poll(&p, 1, (int)((deadline_ns - now) / MS_NS) + 1) != 1)
			continue;
		return recv(fd, &done, sizeof(done), 0) == sizeof(done) ? (int)done.given : -EAGAIN;
	}
	return -ETIMEDOUT;
}

static int send_order(const struct sn_view *v, const char *path, const struct sn_order *order)
{
	int fd = connect_control(path), got;

	if (fd < 0)
		return fd;
	got = send(fd, order, SN_ORDER_B(order->count), MSG_NOSIGNAL) < 0 ? -EAGAIN : await_done(v, fd, order->deadline_ns);
	close(fd);
	return got;
}

/* An order given twice does no more than once: a control that died over it has a successor. */
static int give_order(struct sn_delete *d, const struct sn_view *v)
{
	const struct timespec nap = { .tv_nsec = MS_NS };
	int got = -ENOENT;

	if (!d->control)
		return got;
	d->order.deadline_ns = now_ns(v) + SN_DELETE_NS;
	while ((got = send_order(v, d->control, &d->order)) == -EAGAIN && now_ns(v) < d->order.deadline_ns)
		nanosleep(&nap, NULL);
	return got;
}

static bool is_gone(const struct sn_view *v, const Shardnat__Flow *f)
{
	return atomic_load_explicit(&v->region->flows[(uint32_t)f->id].gen, memory_order_acquire) != f->id >> 32;
}

static size_t count_left(const struct sn_view *v, const Shardnat__FlowsReply *page)
{
	size_t left = 0;

	for (size_t i = 0; i < page->n_flows; i++)
		left += !is_gone(v, page->flows[i]);
	return left;
}

/* Workers are quick; those that are not have until the deadline. */
static void await_gone(const struct sn_view *v, const Shardnat__FlowsReply *page, uint64_t deadline_ns)
{
	const struct timespec nap = { .tv_nsec = LOOK_NS };

	while (count_left(v, page) > 0 && now_ns(v) < deadline_ns)
		nanosleep(&nap, NULL);
}

/* Leaves the flows that are gone on the page, and says so. */
static void fill(const struct sn_view *v, struct sn_arena *a, const Shardnat__FlowsReply *page, bool quiet,
		 Shardnat__DeleteReply *ret)
{
	ret->flows = sn_arena_take(a, page->n_flows, sizeof(ret->flows[0]));
	for (size_t i = 0; i < page->n_flows; i++) {
		if (!is_gone(v, page->flows[i])) {
			ret->left++;
			continue;
		}
		ret->deleted++;
		if (!quiet)
			ret->flows[ret->n_flows++] = page->flows[i];
	}
	ret->next_cursor = page->next_cursor;
	ret->done = page->done;
}

static char *trouble(struct sn_arena *a, int got, uint64_t left)
{
	if (!left)
		return sn_text("");
	if (got < 0)
		return sn_arena_printf(a, "control did not answer in time: %llu flows were left",
				       (unsigned long long)left);
	return sn_arena_printf(a, "a worker did not answer in time: %llu flows were left, or end when it does",
			       (unsigned long long)left);
}

/* Fills the order with the flows of a page, and has it carried out. How it went, as give_order() says. */
static int end_flows(struct sn_delete *d, const struct sn_view *v, const Shardnat__FlowsReply *page)
{
	int got;

	d->order.op = SN_ORDER_DELETE;
	d->order.count = (uint32_t)page->n_flows;
	for (size_t i = 0; i < page->n_flows; i++)
		d->order.flows[i] = (struct sn_order_flow){ (uint32_t)page->flows[i]->id,
							    (uint32_t)(page->flows[i]->id >> 32) };
	got = give_order(d, v);
	if (got > 0)
		await_gone(v, page, d->order.deadline_ns);
	return got;
}

/* Nothing can have happened. */
static bool is_out_of_reach(int got)
{
	return got == -ENOENT || got == -ECONNREFUSED || got == -EACCES || got == -EMFILE;
}

void sn_delete_answer(struct sn_delete *d, struct sn_view *v, struct sn_arena *a, const Shardnat__DeleteRequest *rq,
		      Shardnat__Reply *ret)
{
	Shardnat__FlowsRequest choose = SHARDNAT__FLOWS_REQUEST__INIT;
	Shardnat__DeleteReply *reply = sn_arena_take(a, 1, sizeof(*reply));
	Shardnat__FlowsReply *page;
	int got = 0;

	shardnat__delete_reply__init(reply);
	choose.filter = rq->filter;
	choose.cursor = rq->cursor;
	choose.max_flows = rq->max_flows && rq->max_flows < SN_ORDER_FLOWS ? rq->max_flows : SN_ORDER_FLOWS;
	sn_view_refresh(v);
	sn_answer_flows(v, a, &choose, ret);
	if (ret->kind_case != SHARDNAT__REPLY__KIND_FLOWS)
		return;
	page = ret->flows;
	if (page->n_flows)
		got = end_flows(d, v, page);
	if (is_out_of_reach(got)) {
		sn_answer_error(a, SHARDNAT__ERROR_CODE__ERROR_CONTROL,
				"the control process cannot be reached; no flow was deleted", ret);
		return;
	}
	fill(v, a, page, rq->quiet, reply);
	reply->trouble = trouble(a, got, reply->left);
	ret->kind_case = SHARDNAT__REPLY__KIND_DELETE_FLOWS;
	ret->delete_flows = reply;
}
