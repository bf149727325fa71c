/*
 * check_inner.h: what the parts of check share. Private to check.c, check_records.c and check_ports.c.
 */
#ifndef SN_CHECK_INNER_H
#define SN_CHECK_INNER_H

#include "check.h"
#include "shard.h"

#define SN_CHECK_LINES 1000
#define SN_CHECK_LINE_B 160

/* What was counted while a shard was walked, to be compared with what its records say. */
struct sn_check_binding {
	uint32_t flows, outside_flows;
};

struct sn_check_subscriber {
	uint32_t flows, blocks;
	uint32_t ports[SN_L4_COUNT];
};

/* One check under way. Everything is scratch of its own; the region is only read. */
struct sn_checker {
	struct sn_region source;           /* what was asked for */
	struct sn_shard source_shard;
	struct sn_region region;           /* the same, or a copy of one shard of it if it is live */
	struct sn_shard shard;             /* being verified */
	struct sn_check_binding *bindings; /* by record number */
	struct sn_check_subscriber *subscribers;
	uint64_t *held_bits;   /* like sn_ports.busy: ports in the shard's hold ring */
	struct sn_check found; /* by this try at this shard */
	uint32_t lines;
	char (*line)[SN_CHECK_LINE_B]; /* violations of this try */
};

/* Notes a violation of the shard being verified. */
void sn_check_violation(struct sn_checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The copy of a live region: made empty (0, -1: no memory), filled with source_shard, and dropped, if it was made. */
int sn_check_copy_make(struct sn_checker *c);
void sn_check_copy_shard(struct sn_checker *c);
void sn_check_copy_free(struct sn_checker *c);

/* Each verifies its part of the shard in c->shard, and counts into c->found and the scratch. In this order. */
void sn_check_slabs(struct sn_checker *c);
void sn_check_subscribers(struct sn_checker *c);
void sn_check_bindings(struct sn_checker *c);
void sn_check_flows(struct sn_checker *c);
void sn_check_ports(struct sn_checker *c);
void sn_check_counts(struct sn_checker *c);

#endif
