/*
 * report.h: rows of the benchmark: a sample per round, the median and the spread of them, against a peer (mostly the
 * floor) that was measured in the same rounds. A table for people, a JSON array for machines.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "base.h"

#include <stdio.h>

#define REPORT_ROWS_MAX 96
#define REPORT_ROUNDS_MAX 32

struct report_row {
	char name[40], unit[24], peer[40];
	bool lower;   /* is better */
	uint32_t rounds;
	double value[REPORT_ROUNDS_MAX], peer_value[REPORT_ROUNDS_MAX];
};

struct report {
	struct report_row rows[REPORT_ROWS_MAX];
	uint32_t count;
	uint32_t printed;
};

/*
 * Adds a round's sample to the row name/label, which begins to exist by that. peer: another row's full name, NULL for
 * none.
 */
void report_add(struct report *r, const char *name, const char *label, const char *unit, bool lower, double value,
		const char *peer, double peer_value);

/* Prints the rows that were not printed yet. */
void report_print(struct report *r, FILE *to);

/* Writes all rows. 0 or -errno. */
int report_json(const struct report *r, const char *path);

#endif
