/*
 * traffic.h: packets through a world. A batch is made outside of the time measured, then the worker turns until all
 * of it has ended. All times are nanoseconds of processor time in those turns.
 */
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include "world.h"

/* Processor time of this thread: what other programs take of the core is not in it, what they do to its caches is. */
uint64_t spent_ns(void);

/* What packets of flows that are there look like. */
struct visit {
	uint32_t flows;     /* visited at random: the first so many; 0: the plan's */
	bool out, in;       /* ways; both: by turns */
	bool imix;
};

/* Opens the plan's flows and answers each, so that they are established and assured. */
void traffic_fill(struct world *w, void (*progress)(const char *what, uint32_t done, uint32_t of));

/* Packets of established flows. Time. */
uint64_t traffic_visit(struct world *w, const struct visit *v, uint32_t packets);

/*
 * For batches of other kinds: a packet of an established flow to one worker; and all that was sent is taken out, how
 * many.
 */
void traffic_put(struct world *w, struct lane *l, struct tuple *t, enum packet_way way);
uint32_t traffic_collect(struct world *w);

/*
 * Opens flows without a reply, waits until they are over, and closes them by commands, as control asks. Times of
 * both.
 */
void traffic_churn(struct world *w, uint32_t count, uint64_t *ret_open_ns, uint64_t *ret_close_ns);

/* Packets from outside to ports of the pool that nothing is bound to. Time. */
uint64_t traffic_unsolicited(struct world *w, uint32_t packets);

#endif
