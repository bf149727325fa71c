/*
 * layout.h: from a geometry to what is where. Pure arithmetic, shared by format and join; private to region.c.
 */
#ifndef SN_LAYOUT_H
#define SN_LAYOUT_H

#include "region.h"

struct sn_slab_layout {
	uint32_t records; /* whole chunks */
	uint32_t chunks;
	uint32_t chunk_records;
	uint32_t buckets; /* of one shard's index */
};

struct sn_layout {
	struct sn_slab_layout flows, bindings, subscribers;
	uint32_t blocks; /* of all addresses */
	uint32_t address_slots;
	size_t section[SN_SEC_COUNT];
	size_t size_b;
};

/* 0, or -EINVAL if there can be no such region. */
int sn_layout_of(const struct sn_geometry *geo, struct sn_layout *ret);

/* Hash over sizes and offsets of every structure in the region. */
uint64_t sn_layout_hash(void);

/* Bytes between the intent slots of two shards. */
size_t sn_layout_intent_b(void);

#endif
