/*
 * slab.h: records of one kind for the whole node, leased to shards in chunks.
 *
 * Capacity is the node's: a shard that runs out of records takes a chunk from the pool by one CAS on the chunk's owner
 * word, and gives it back when all of its records are free and it has another one to work with. Inside a chunk the owner
 * alone writes: a bitmap of records in use with a summary word. All changes go through the shard's intent; a chunk is in the
 * pool again only when the change that emptied it is true. A chunk in the pool has no record in use.
 *
 *     pool --CAS--> leased to shard s (list "with room" <-> full, not listed) --CAS--> pool
 */
#ifndef SN_SLAB_H
#define SN_SLAB_H

#include "base.h"
#include "intent.h"

#define SN_CHUNK_RECORDS_MAX 4096

/* One chunk's account, in the region. */
struct sn_chunk {
	_Atomic uint64_t owner; /* W: any owner by CAS  times leased << 16 | shard + 1, or 0 there: in the pool */
	uint32_t live;          /* W: owner, as all below. Records in use */
	uint32_t next, prev;    /* in the owner's list of chunks with room; SN_NONE ends */
	uint32_t listed;        /* 1 while in that list */
	uint64_t summary;       /* bit i: used[i] is all ones, or beyond chunk_records */
	uint64_t used[SN_CHUNK_RECORDS_MAX / 64];
} SN_ALIGNED(SN_CACHE_LINE);

/* One shard's part of a slab, in the region. W: owner. */
struct sn_slab_lease {
	uint32_t first;  /* chunk with room, SN_NONE */
	uint32_t chunks; /* leased */
	uint32_t live;   /* records in use by this shard */
	uint32_t hint;   /* pool chunk where the next search starts */
};

/* A process's view of one slab for one shard. */
struct sn_slab {
	struct sn_chunk *chunks;
	struct sn_slab_lease *lease;
	_Atomic uint32_t *pool_free; /* chunks in the pool: a hint, and what status shows */
	uint32_t chunk_count;
	uint32_t chunk_records; /* power of two, 64..SN_CHUNK_RECORDS_MAX */
	uint32_t shard;
};

/* Makes all chunks free (format). */
void sn_slab_format(struct sn_chunk *chunks, uint32_t chunk_count, uint32_t chunk_records);

/* Makes a shard's lease empty (format). */
void sn_slab_lease_format(struct sn_slab_lease *lease, uint32_t shard, uint32_t shards, uint32_t chunk_count);

/*
 * Takes a record. Must be called inside an open intent: the lease of a chunk, if one is needed, is part of the change.
 * 0 and the record's number (chunk * chunk_records + place), or -ENOSPC: no room here and no chunk in the pool.
 */
int sn_slab_take(struct sn_slab *s, struct sn_writer *w, uint32_t *ret_number);

/*
 * Gives a record back, and its chunk if that is now empty and the shard has another with room. Inside an open intent. A number
 * that is not in use by this shard is a bug (asserted).
 */
void sn_slab_give(struct sn_slab *s, struct sn_writer *w, uint32_t number);

/* Whether a record is in use by this shard (check, API: a number read from elsewhere may be anything). */
bool sn_slab_has(const struct sn_slab *s, uint32_t number);

/* Owner of a chunk: shard number, or SN_NONE for the pool. */
uint32_t sn_slab_owner(const struct sn_chunk *c);

#endif
