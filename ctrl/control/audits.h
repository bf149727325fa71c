/*
 * audits.h: empties the shards' audit rings (shm/audit.h), without which blocks are refused. With a file each record is
 * written to it, 64 bytes as it is in the ring, before it is released; a control that is killed in between writes it
 * twice, with the same sequence number.
 */
#ifndef SN_AUDITS_H
#define SN_AUDITS_H

#include "region.h"

struct sn_audits {
	const struct sn_region *region;
	int fd;             /* -1: records are counted and let go */
	uint64_t end_b;     /* where the next record goes */
	uint64_t drained;
};

/*
 * Whole records already in the file stay; a torn one at its end is overwritten. 0 or -errno (-EINVAL: opened with
 * O_APPEND).
 */
int sn_audits_init(struct sn_audits *a, const struct sn_region *r, int fd);

/* Drains what is there. 0, or -errno from writing: the rest stays in the rings. */
int sn_audits_drain(struct sn_audits *a);

#endif
