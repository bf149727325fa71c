/*
 * sleep.c: a worker with nothing to do sleeps in one io_uring: multishot polls on its sockets and on its eventfd, and a
 * timeout. Whoever puts something into a ring in memory for it looks at stats.sleeping and writes the eventfd.
 *
 *     sleeper: sleeping = 1, fence, look once more, wait      waker: publish, fence, sleeping? write
 */
#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define SN_CQ_TAG_WAKE UINT64_MAX

static int arm(struct sn_worker *w, int fd, uint64_t tag)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->uring);

	if (!sqe)
		return -ENOSPC;
	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	io_uring_sqe_set_data64(sqe, tag);
	return 0;
}

static int arm_tag(struct sn_worker *w, uint64_t tag)
{
	return arm(w, tag == SN_CQ_TAG_WAKE ? w->wake_fds[w->number] : w->ports[tag].fd, tag);
}

int sn_sleep_init(struct sn_worker *w)
{
	int err = io_uring_queue_init(2 * SN_SOCKETS_MAX, &w->uring, 0);

	if (err)
		return err;
	err = arm_tag(w, SN_CQ_TAG_WAKE);
	for (uint32_t i = 0; !err && i < w->port_count; i++)
		if (w->ports[i].fd >= 0)
			err = arm_tag(w, i);
	if (!err)
		err = SN_MIN(io_uring_submit(&w->uring), 0);
	return err;
}

/* Takes what completed; a multishot poll that ended is armed again. */
static void drain(struct sn_worker *w)
{
	struct io_uring_cqe *cqe;
	uint64_t count;

	while (io_uring_peek_cqe(&w->uring, &cqe) == 0) {
		uint64_t tag = io_uring_cqe_get_data64(cqe);
		bool more = cqe->flags & IORING_CQE_F_MORE;

		io_uring_cqe_seen(&w->uring, cqe);
		if (tag == SN_CQ_TAG_WAKE && read(w->wake_fds[w->number], &count, sizeof(count)) < 0)
			continue;
		if (!more && (tag == SN_CQ_TAG_WAKE || tag < w->port_count))
			arm_tag(w, tag);
	}
	io_uring_submit(&w->uring);
}

static bool anything_waiting(const struct sn_worker *w)
{
	for (uint32_t i = 0; i < w->port_count; i++)
		if (sn_pending(&w->ports[i]))
			return true;
	for (uint32_t i = 0; i < w->region.geo.workers; i++)
		if (i != w->number && sn_ring_used(&w->handoff_in[i]))
			return true;
	return sn_ring_used(&w->commands) != 0;
}

void sn_sleep(struct sn_worker *w, uint32_t timeout_ms)
{
	struct __kernel_timespec ts = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000l };
	struct io_uring_cqe *cqe;

	atomic_store_explicit(&w->stats->sleeping, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (!anything_waiting(w)) {
		w->stats->sleeps++;
		io_uring_wait_cqe_timeout(&w->uring, &cqe, &ts);
	}
	atomic_store_explicit(&w->stats->sleeping, 0, memory_order_relaxed);
	drain(w);
}

void sn_wake(struct sn_worker *w, uint32_t who)
{
	static const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (who < w->region.geo.workers &&
	    !atomic_load_explicit(&w->region.stats[who].sleeping, memory_order_relaxed))
		return;
	/* A full counter wakes just as well. */
	if (write(w->wake_fds[who], &one, sizeof(one)) == sizeof(one))
		w->stats->wakeups++;
}
