/*
 * audit.h: who had which public ports, and when. One ring per shard from its owner to control; not lossy: a record is in
 * the ring before the block's first packet leaves, and a full ring refuses new blocks (SN_V_AUDIT_FULL).
 */
#ifndef SN_AUDIT_H
#define SN_AUDIT_H

#include "base.h"
#include "ring.h"

enum sn_audit_type { SN_AUDIT_BLOCK_GIVEN = 1, SN_AUDIT_BLOCK_RETURNED };

struct sn_audit {
	uint64_t seq;     /* per shard, from 1, never restarts */
	uint64_t wall_ns; /* CLOCK_REALTIME */
	uint32_t epoch;
	uint32_t inside_be32, public_be32;
	uint16_t first_port, ports; /* host byte order: the block is first_port .. first_port + ports - 1 */
	uint8_t type, realm, shard, pad;
	uint32_t subscriber, block;
	uint32_t reserved[5];
};

static_assert(sizeof(struct sn_audit) == 64, "one line per audit record");

#endif
