/*
 * sleep.c: a worker with nothing to do sleeps in its io_uring (io/uring.h): on its sockets, its eventfd, and a timeout.
 * Whoever puts something into a ring in memory for it looks at stats.sleeping and writes the eventfd.
 *
 *     sleeper: sleeping = 1, fence, look once more, wait      waker: publish, fence, sleeping? write
 */
#include "worker/worker.h"

#include <unistd.h>

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
	atomic_store_explicit(&w->stats->sleeping, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (!anything_waiting(w)) {
		w->stats->sleeps++;
		sn_uring_wait(w->uring, timeout_ms);
	}
	atomic_store_explicit(&w->stats->sleeping, 0, memory_order_relaxed);
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
