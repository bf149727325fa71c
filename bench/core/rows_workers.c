/*
 * rows_workers.c: two workers on two cores, each with half of the shards, and packets of which so many arrive at the
 * wrong one. Time is that of the clock, batch by batch, from when both start until the last packet has left; the
 * median batch counts. Without the right to be scheduled first, a busy machine shows in these rows.
 */
#include "rows.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCHES_MAX 1024

/* One thread per worker; they wait at a barrier for each batch. */
struct runner {
	struct team *team;
	struct sn_worker *worker;
	uint32_t number;
	uint64_t start_ns, end_ns;
	pthread_t thread;
};

struct team {
	struct world *w;
	struct runner runners[WORLD_WORKERS_MAX];
	uint32_t active;              /* workers that take part */
	bool stop;
	pthread_barrier_t go, done;
	_Atomic uint32_t ready;       /* that are at the start of the batch */
	_Atomic uint32_t drained;     /* whose ports are empty, everything handed over */
	uint32_t *own[WORLD_WORKERS_MAX]; /* flows by owner */
	uint32_t own_count[WORLD_WORKERS_MAX];
};

static uint64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool handed_in(const struct runner *r)
{
	return sn_ring_used(&r->worker->handoff_in[1 - r->number]) != 0;
}

/* Until our ports are empty, then until nobody can hand us anything more. */
static void run_part(struct runner *r)
{
	struct team *t = r->team;

	atomic_fetch_add(&t->ready, 1);
	while (atomic_load(&t->ready) < t->active)
		;
	r->start_ns = wall_ns();
	while (sn_pending(&r->worker->ports[0]) || sn_pending(&r->worker->ports[1]))
		sn_worker_turn(r->worker);
	atomic_fetch_add(&t->drained, 1);
	while (atomic_load(&t->drained) < t->active || handed_in(r))
		sn_worker_turn(r->worker);
	r->end_ns = wall_ns();
}

static void *run_thread(void *arg)
{
	struct sched_param first = { .sched_priority = 1 };
	struct runner *r = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(r->number, &set);
	sched_setaffinity(0, sizeof(set), &set);
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &first); /* refused to all but root: see above */
	for (;;) {
		pthread_barrier_wait(&r->team->go);
		if (r->team->stop)
			return NULL;
		if (r->number < r->team->active)
			run_part(r);
		pthread_barrier_wait(&r->team->done);
	}
}

static void sort_flows(struct team *t)
{
	for (uint32_t i = 0; i < t->w->plan.workers; i++) {
		t->own[i] = calloc(t->w->live, sizeof(uint32_t));
		SN_ASSERT(t->own[i] != NULL);
	}
	for (uint32_t i = 0; i < t->w->live; i++) {
		uint32_t owner = t->w->tuples[i].shard % t->w->plan.workers;

		t->own[owner][t->own_count[owner]++] = i;
	}
}

static void start_team(struct team *t, struct world *w)
{
	*t = (struct team){ .w = w };
	sort_flows(t);
	pthread_barrier_init(&t->go, NULL, w->plan.workers + 1);
	pthread_barrier_init(&t->done, NULL, w->plan.workers + 1);
	for (uint32_t i = 0; i < w->plan.workers; i++) {
		t->runners[i] = (struct runner){ .team = t, .worker = w->lanes[i].worker, .number = i };
		SN_ASSERT(pthread_create(&t->runners[i].thread, NULL, run_thread, &t->runners[i]) == 0);
	}
}

static void stop_team(struct team *t)
{
	t->stop = true;
	pthread_barrier_wait(&t->go);
	for (uint32_t i = 0; i < t->w->plan.workers; i++) {
		pthread_join(t->runners[i].thread, NULL);
		free(t->own[i]);
	}
	pthread_barrier_destroy(&t->go);
	pthread_barrier_destroy(&t->done);
}

/* A batch for one worker: so many of a hundred packets are of the other one's flows. */
static void put_batch(struct team *t, uint32_t number, uint32_t wrong_percent)
{
	for (uint32_t i = 0; i < WORLD_BATCH; i++) {
		uint32_t owner = i % 100 < wrong_percent ? 1 - number : number;
		struct tuple *tuple = &t->w->tuples[t->own[owner][world_below(t->w, t->own_count[owner])]];

		traffic_put(t->w, &t->w->lanes[number], tuple, world_random(t->w) & 1 ? PACKET_OUT : PACKET_IN);
	}
}

static uint64_t batch_ns(const struct team *t)
{
	uint64_t start_ns = UINT64_MAX, end_ns = 0;

	for (uint32_t i = 0; i < t->active; i++) {
		start_ns = SN_MIN(start_ns, t->runners[i].start_ns);
		end_ns = SN_MAX(end_ns, t->runners[i].end_ns);
	}
	return end_ns - start_ns;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Packets per second of all that take part. */
static double rate(struct bench *b, struct team *t, uint32_t active, uint32_t wrong_percent)
{
	uint32_t batches = bench_packets(b) / WORLD_BATCH;
	uint64_t ns[BATCHES_MAX];

	t->active = active;
	for (uint32_t i = 0; i < batches; i++) {
		for (uint32_t n = 0; n < active; n++)
			put_batch(t, n, wrong_percent);
		atomic_store(&t->ready, 0);
		atomic_store(&t->drained, 0);
		pthread_barrier_wait(&t->go);
		pthread_barrier_wait(&t->done);
		ns[i] = batch_ns(t);
		t->w->lost += active * WORLD_BATCH - traffic_collect(t->w);
	}
	qsort(ns, batches, sizeof(*ns), compare);
	return active * WORLD_BATCH * 1e9 / (double)ns[batches / 2];
}

struct plan rows_workers_plan(const struct size *s)
{
	struct plan p = bench_plan(s);

	p.workers = 2;
	return p;
}

static void round_workers(struct bench *b, struct team *t)
{
	static const struct { const char *name; uint32_t percent; } shares[] = {
		{ "workers-2", 0 }, { "handoff-0", 0 }, { "handoff-50", 50 }, { "handoff-100", 100 },
	};
	const char *label = t->w->plan.label;
	double one = rate(b, t, 1, 0);

	report_add(&b->report, "workers-1", label, "packets/s", false, one, NULL, 0);
	for (size_t i = 0; i < SN_ARRAY_LEN(shares); i++)
		report_add(&b->report, shares[i].name, label, "packets/s", false, rate(b, t, 2, shares[i].percent), "workers-1", one);
}

int rows_workers(struct bench *b, const struct size *s)
{
	static struct world w;
	static struct team t;
	struct plan p = rows_workers_plan(s);
	int err = bench_make(b, &w, &p);

	if (err)
		return err;
	start_team(&t, &w);
	for (uint32_t i = 0; i < b->rounds; i++) {
		bench_progress("workers: round", i + 1, b->rounds);
		round_workers(b, &t);
	}
	stop_team(&t);
	bench_end(b, &w);
	world_free(&w);
	arena_reset(&b->arena);
	return 0;
}
