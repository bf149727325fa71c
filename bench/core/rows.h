/*
 * rows.h: which worlds are made and what is measured in each. A round of a row follows a round of its peer (the
 * floor, mostly), so that a noisy minute of the machine is in both.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "report.h"
#include "traffic.h"

struct bench {
	bool quick;
	uint32_t rounds;
	const char *flows; /* labels, "1k,1m" */
	const char *only;  /* names of rows, NULL: all */
	struct arena arena;
	struct report report;
	uint64_t lost;     /* packets that did not end as they should: the figures are not good */
};

struct size {
	const char *label;
	uint32_t flows, subscribers;
};

/* Huge pages that the largest worlds need, packet memory included. */
uint32_t bench_pages(const struct bench *b);

/* 0 or -errno. */
int bench_run(struct bench *b);

/* --- for the files of rows --- */

/* Whether a row, or one of a list with commas, was asked for. */
bool bench_wants(const struct bench *b, const char *row);

/* UDP flows, one worker, default blocks. */
struct plan bench_plan(const struct size *s);

/* Makes a world and its flows, with progress. 0 or -errno. The arena is reset when all worlds are freed. */
int bench_make(struct bench *b, struct world *w, const struct plan *p);

/* Says and counts what went wrong, prints the new rows. */
void bench_end(struct bench *b, struct world *w);

void bench_progress(const char *what, uint32_t done, uint32_t of);

/* Packets of one sample. */
uint32_t bench_packets(const struct bench *b);

/* rows_workers.c: one worker, two workers, hand-off. */
int rows_workers(struct bench *b, const struct size *s);
struct plan rows_workers_plan(const struct size *s);

/* rows_sweep.c: forwarding while control's sweep reads all flows; round of a world that is there. */
void rows_sweep(struct bench *b, struct world *w);

/* rows_full.c: new flows where 10 % and 99 % of every subscriber's ports are taken. */
int rows_full(struct bench *b, const struct size *s);
struct plan rows_full_plan(const struct size *s, bool full);

/*
 * rows_profile.c: a run for callgrind (bench/part-core), which collects in visit_turns, open_turns or close_turns.
 * what: udp, tcp, new or close. Prints the number of packets (or flows) in it. 0, -EINVAL for another word, -errno.
 */
int rows_profile(const char *what);

#endif
