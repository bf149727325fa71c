/*
 * sweep.h: ageing. Once a second of the region's time control reads every record in use and tells owners what is over:
 * flows past their timeout, blocks with nothing bound or held, subscribers with nothing at all. The owner looks again
 * and removes. The sweep writes nothing but command rings; whatever it reads is range-checked.
 *
 *     idle --a second is over--> flows -> blocks -> subscribers -> idle
 *
 * It works in slices, so that netlink is served in between.
 *
 * A command ring that is full makes the sweep wait at that record. A worker that takes nothing meanwhile (it is dead or
 * stopped) is left out for the rest of the pass, so that it does not hold up the others.
 */
#ifndef SN_SWEEP_H
#define SN_SWEEP_H

#include "region.h"

#define SN_SWEEP_SLICE 262144u /* records per slice: some 2 ms of reading */

enum sn_sweep_phase { SN_SWEEP_IDLE, SN_SWEEP_FLOWS, SN_SWEEP_BLOCKS, SN_SWEEP_SUBSCRIBERS };

struct sn_sweep {
	const struct sn_region *region;
	struct sn_ports ports;
	enum sn_sweep_phase phase;
	uint32_t next;            /* record or block to look at next in this phase */
	uint32_t now_ds;          /* of this slice */
	uint64_t due_ns;          /* next pass; region time */
	uint64_t touched;         /* bit per worker: has new commands since sn_sweep_touched() */
	uint64_t stuck;           /* bit per worker: left out of this pass */
	uint32_t stalled_worker;  /* whose ring was full at the end of the last slice; SN_NONE */
	uint32_t stalled_tail;    /* its consumer's end then */
	uint32_t stalls;          /* slices since, without a step of it */
	uint64_t passes, expired, returned, left, skipped; /* commands sent by kind, and not sent because of stuck */
};

static_assert(SN_WORKERS_MAX <= 64, "a bit per worker");

void sn_sweep_init(struct sn_sweep *s, const struct sn_region *r);

/*
 * Goes on for at most budget records. In how many milliseconds to call again: 0 at once, 1..5 while a ring is full,
 * else when the next pass is due. Calls at other times do no harm: they find nothing due.
 */
uint32_t sn_sweep_slice(struct sn_sweep *s, uint32_t budget);

/* Workers (bits) that got commands since the last call: to be woken if they sleep. */
uint64_t sn_sweep_touched(struct sn_sweep *s);

#endif
