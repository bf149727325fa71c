/*
 * index.c: changes of an index; looking up is in the header.
 */
#include "index.h"

#include <errno.h>
#include <string.h>

#define LOAD_PERCENT 80

uint32_t sn_index_buckets_for(uint64_t entries)
{
	uint64_t per_100 = SN_INDEX_ENTRIES * LOAD_PERCENT;
	uint64_t buckets = (entries * 100 + per_100 - 1) / per_100;

	SN_ASSERT(buckets < UINT32_MAX);
	return (uint32_t)SN_MAX(buckets, 2u);
}

uint32_t sn_index_number_bits(uint32_t record_count)
{
	SN_ASSERT(record_count < 1u << 28);
	return 32 - (uint32_t)__builtin_clz(record_count | 1);
}

static uint32_t entry_of(const struct sn_index *ix, uint64_t hash, uint32_t number)
{
	SN_ASSERT(number < (1u << ix->number_bits) - 1);
	return sn_index_tag(ix, hash) | (number + 1);
}

static uint32_t reach(const struct sn_index *ix)
{
	return SN_MIN((uint32_t)SN_INDEX_PROBES, ix->bucket_count);
}

static struct sn_index_bucket *bucket_at(const struct sn_index *ix, uint32_t home, uint32_t distance)
{
	uint64_t n = (uint64_t)home + distance;

	return &ix->buckets[n >= ix->bucket_count ? n - ix->bucket_count : n];
}

/* Place of an entry (0: an empty one) in a bucket, SN_NONE if it is not there. */
static uint32_t slot_of(const struct sn_index_bucket *b, uint32_t entry)
{
	uint32_t bits = sn_index_equal(b, UINT32_MAX, entry);

	return bits ? (uint32_t)__builtin_ctz(bits) : SN_NONE;
}

/* Counts an entry that came to live (or lived) at a distance in the buckets before it. */
static void count_passed(const struct sn_index *ix, struct sn_writer *w, uint32_t home, uint32_t distance, bool comes)
{
	for (uint32_t d = 0; d < distance; d++) {
		struct sn_index_bucket *b = bucket_at(ix, home, d);

		if (comes)
			sn_intent_put32(w, &b->displaced, b->displaced + 1);
		else if (b->displaced > 0)
			sn_intent_put32(w, &b->displaced, b->displaced - 1);
	}
}

int sn_index_add(const struct sn_index *ix, struct sn_writer *w, uint64_t hash, uint32_t number)
{
	uint32_t entry = entry_of(ix, hash, number), home = sn_index_home(ix, hash);

	for (uint32_t d = 0; d < reach(ix); d++) {
		struct sn_index_bucket *b = bucket_at(ix, home, d);
		uint32_t slot = slot_of(b, 0);

		if (slot == SN_NONE)
			continue;
		sn_intent_put32(w, &b->entry[slot], entry);
		count_passed(ix, w, home, d, true);
		return 0;
	}
	return -ENOSPC;
}

int sn_index_remove(const struct sn_index *ix, struct sn_writer *w, uint64_t hash, uint32_t number)
{
	uint32_t entry = entry_of(ix, hash, number), home = sn_index_home(ix, hash);

	for (uint32_t d = 0; d < reach(ix); d++) {
		struct sn_index_bucket *b = bucket_at(ix, home, d);
		uint32_t slot = slot_of(b, entry);

		if (slot != SN_NONE) {
			sn_intent_put32(w, &b->entry[slot], 0);
			count_passed(ix, w, home, d, false);
			return 0;
		}
		if (b->displaced == 0)
			break;
	}
	return -ENOENT;
}

void sn_index_reset(const struct sn_index *ix)
{
	memset(ix->buckets, 0, ix->bucket_count * sizeof(*ix->buckets));
}
