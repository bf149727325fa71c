/*
 * rows_sweep.c: forwarding with and without control's sweep on another core, by turns. The sweep runs as control runs
 * it, a pass each second; its cost is also given as a share of a core at a pass every two seconds.
 */
#include "rows.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "sweep.h"

#define SAMPLE_NS 2100000000u /* longer than two passes */
#define PASS_EVERY_NS 2e9

struct sweeper {
	struct sn_sweep sweep;
	_Atomic bool stop;
	uint64_t spent_ns;
	pthread_t thread;
};

static uint64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Away from the worker, where there is another core. */
static void leave_core(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (long i = 0; i < SN_MAX(sysconf(_SC_NPROCESSORS_ONLN) - 1, 1); i++)
		CPU_SET((size_t)i, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *sweep_on(void *arg)
{
	struct sweeper *s = arg;
	uint64_t start;

	leave_core();
	start = spent_ns();
	while (!atomic_load(&s->stop)) {
		uint32_t ms = SN_MIN(sn_sweep_slice(&s->sweep, SN_SWEEP_SLICE), 20u);
		struct timespec pause = { .tv_nsec = (long)ms * 1000000 };

		if (ms)
			nanosleep(&pause, NULL);
	}
	s->spent_ns = spent_ns() - start;
	return NULL;
}

static double visit_a_while(struct world *w)
{
	static const struct visit both = { .out = true, .in = true };
	uint64_t ns = 0, packets = 0, start = wall_ns();

	while (wall_ns() - start < SAMPLE_NS) {
		ns += traffic_visit(w, &both, 16 * WORLD_BATCH);
		packets += 16 * WORLD_BATCH;
	}
	return (double)ns / (double)packets;
}

static double visit_swept(struct world *w, struct sweeper *s)
{
	double ns;

	*s = (struct sweeper){ .stop = false };
	sn_sweep_init(&s->sweep, &w->region);
	SN_ASSERT(pthread_create(&s->thread, NULL, sweep_on, s) == 0);
	ns = visit_a_while(w);
	atomic_store(&s->stop, true);
	pthread_join(s->thread, NULL);
	return ns;
}

void rows_sweep(struct bench *b, struct world *w)
{
	static struct sweeper s;
	double off = visit_a_while(w), on = visit_swept(w, &s);
	double per_pass = (double)s.spent_ns / (double)SN_MAX(s.sweep.passes, 1u);

	report_add(&b->report, "sweep-off", w->plan.label, "ns/packet", true, off, NULL, 0);
	report_add(&b->report, "sweep", w->plan.label, "ns/packet", true, on, "sweep-off", off);
	report_add(&b->report, "sweep-core", w->plan.label, "% of a core", true, 100 * per_pass / PASS_EVERY_NS, NULL, 0);
}
