/*
 * rows_full.c: does it cost more to find a port where few are left? Two worlds of the same flows, subscribers and
 * blocks: in one most flows are TCP, so that a tenth of each subscriber's UDP ports are taken; in the other all are
 * UDP, and two ports are left.
 */
#include "rows.h"

#include <string.h>

#define BLOCK 128u
#define TAKEN_FEW 12u
#define TAKEN_MOST 126u
#define TIMES 4 /* per round; the flows are few */

struct plan rows_full_plan(const struct size *s, bool full)
{
	struct plan p = bench_plan(s);

	p.block_size = p.ports = BLOCK;
	p.flows = p.subscribers * TAKEN_MOST;
	p.tcp = full ? 0 : p.subscribers * (TAKEN_MOST - TAKEN_FEW);
	p.hold_down_ds = 0; /* the two ports are free again at once */
	p.spare = p.subscribers;
	return p;
}

/* New flows per second: one for each subscriber. */
static double opened(struct world *w)
{
	uint64_t ns = 0, open_ns, close_ns;

	for (uint32_t i = 0; i < TIMES; i++) {
		traffic_churn(w, w->plan.subscribers, &open_ns, &close_ns);
		ns += open_ns;
	}
	return TIMES * w->plan.subscribers * 1e9 / (double)ns;
}

int rows_full(struct bench *b, const struct size *s)
{
	static struct world few, most;
	struct plan few_plan = rows_full_plan(s, false), most_plan = rows_full_plan(s, true);
	int err = bench_make(b, &few, &few_plan);

	if (err)
		return err;
	err = bench_make(b, &most, &most_plan);
	for (uint32_t i = 0; !err && i < b->rounds; i++) {
		double at_10 = opened(&few), at_99 = opened(&most);

		bench_progress("ports: round", i + 1, b->rounds);
		report_add(&b->report, "new-full-10", s->label, "flows/s", false, at_10, NULL, 0);
		report_add(&b->report, "new-full-99", s->label, "flows/s", false, at_99, "new-full-10", at_10);
	}
	bench_end(b, &few);
	if (!err)
		bench_end(b, &most);
	world_free(&few);
	if (!err)
		world_free(&most);
	arena_reset(&b->arena);
	return err;
}
