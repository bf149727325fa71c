/*
 * rows.h: which worlds are made and what is measured in each. A round of a row follows a round of the floor, so that a noisy minute
 * of the machine is in both.
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
	struct report report;
	uint64_t lost;     /* packets that did not end as they should: the figures are not good */
};

/* Huge pages that the largest world needs. */
uint32_t bench_pages(const struct bench *b);

/* 0 or -errno. */
int bench_run(struct bench *b);

#endif
