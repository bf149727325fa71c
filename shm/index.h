/*
 * index.h: from a 64-bit keyed hash to record numbers; cache line buckets, four bytes per entry, bounded probing.
 *
 * A bucket is one cache line: 15 entries and a word that counts the entries that wanted this bucket, or one before it, but
 * found it full and live in one of the next ones. A search reads the home bucket, and goes on only while the last bucket's
 * count says so, SN_INDEX_PROBES buckets at most. An entry is a tag (high bits of the hash) over a record number, 0 when empty;
 * record numbers are stored plus one. There is no tombstone and no rehash: a removal is one store (and one count down per
 * bucket passed when displaced; counts of buckets, not of homes, so they stay exact even where two keys of one record share
 * their tag and either's entry is removed).
 *
 * One index belongs to one shard: W: the owning worker, through its intent. R: the same; check and API never read it.
 * The index knows nothing of records: the caller compares keys.
 */
#ifndef SN_INDEX_H
#define SN_INDEX_H

#include "base.h"
#include "intent.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SN_INDEX_ENTRIES 15
#define SN_INDEX_PROBES 16

struct sn_index_bucket {
	uint32_t entry[SN_INDEX_ENTRIES];
	uint32_t displaced;
} SN_ALIGNED(SN_CACHE_LINE);

static_assert(sizeof(struct sn_index_bucket) == SN_CACHE_LINE, "a bucket is a line");

/* A process's view of one index. */
struct sn_index {
	struct sn_index_bucket *buckets;
	uint32_t bucket_count; /* any number >= 1 */
	uint32_t number_bits;  /* low bits of an entry that hold record number + 1 */
};

/* Buckets for so many entries at the load an index is meant for (80 %); at least 2. */
uint32_t sn_index_buckets_for(uint64_t entries);

/* Bits that a record number needs; record_count < 2^28. */
uint32_t sn_index_number_bits(uint32_t record_count);

static inline uint32_t sn_index_home(const struct sn_index *ix, uint64_t hash)
{
	return (uint32_t)(((hash & 0xffffffffu) * ix->bucket_count) >> 32);
}

static inline uint32_t sn_index_tag(const struct sn_index *ix, uint64_t hash)
{
	return (uint32_t)(hash >> 32) & ~((1u << ix->number_bits) - 1);
}

static inline void sn_index_prefetch(const struct sn_index *ix, uint64_t hash)
{
	__builtin_prefetch(&ix->buckets[sn_index_home(ix, hash)]);
}

/* A walk over the candidates of a hash: records whose tag matches, in bucket order. */
struct sn_index_walk {
	uint32_t tag, bucket, matches, probes; /* matches: entries of bucket still to be looked at; probes: buckets left after it */
};

/* Bit i: entry i is value under the mask. */
static inline uint32_t sn_index_equal(const struct sn_index_bucket *b, uint32_t mask, uint32_t value)
{
	uint32_t bits = 0;

#ifdef __SSE2__
	const __m128i *line = (const __m128i *)(const void *)b;
	__m128i values = _mm_set1_epi32((int)value), masks = _mm_set1_epi32((int)mask);

	__m128i same[4];

	for (uint32_t i = 0; i < 4; i++)
		same[i] = _mm_cmpeq_epi32(_mm_and_si128(_mm_load_si128(line + i), masks), values);
	bits = (uint32_t)_mm_movemask_epi8(
		_mm_packs_epi16(_mm_packs_epi32(same[0], same[1]), _mm_packs_epi32(same[2], same[3])));
#else
	for (uint32_t i = 0; i < SN_INDEX_ENTRIES; i++)
		bits |= (uint32_t)((b->entry[i] & mask) == value) << i;
#endif
	return bits & ((1u << SN_INDEX_ENTRIES) - 1);
}

/* Bit i: entry i is in use, or the tag is 0, and has this tag. */
static inline uint32_t sn_index_match(const struct sn_index *ix, const struct sn_index_bucket *b, uint32_t tag)
{
	return sn_index_equal(b, ~((1u << ix->number_bits) - 1), tag);
}

static inline void sn_index_walk(const struct sn_index *ix, uint64_t hash, struct sn_index_walk *ret_walk)
{
	ret_walk->tag = sn_index_tag(ix, hash);
	ret_walk->bucket = sn_index_home(ix, hash);
	ret_walk->matches = sn_index_match(ix, &ix->buckets[ret_walk->bucket], ret_walk->tag);
	ret_walk->probes = SN_MIN((uint32_t)SN_INDEX_PROBES, ix->bucket_count) - 1;
}

/* The next candidate's record number, or SN_NONE at the end. */
static inline uint32_t sn_index_next(const struct sn_index *ix, struct sn_index_walk *walk)
{
	for (;;) {
		const struct sn_index_bucket *b = &ix->buckets[walk->bucket];

		while (walk->matches) {
			uint32_t number = b->entry[__builtin_ctz(walk->matches)] & ((1u << ix->number_bits) - 1);

			walk->matches &= walk->matches - 1;
			if (SN_LIKELY(number))
				return number - 1;
		}
		if (SN_LIKELY(!b->displaced) || !walk->probes)
			return SN_NONE;
		walk->probes--;
		walk->bucket = walk->bucket + 1 == ix->bucket_count ? 0 : walk->bucket + 1;
		walk->matches = sn_index_match(ix, &ix->buckets[walk->bucket], walk->tag);
	}
}

/* The first candidate in the home bucket, SN_NONE if there is none in it: a guess for prefetching. */
static inline uint32_t sn_index_guess(const struct sn_index *ix, uint64_t hash)
{
	const struct sn_index_bucket *b = &ix->buckets[sn_index_home(ix, hash)];
	uint32_t matches = sn_index_match(ix, b, sn_index_tag(ix, hash));

	return matches ? (b->entry[__builtin_ctz(matches)] & ((1u << ix->number_bits) - 1)) - 1 : SN_NONE;
}

/* Adds an entry. 0, or -ENOSPC if every bucket within reach is full (nothing changed). Duplicates are not looked for. */
int sn_index_add(const struct sn_index *ix, struct sn_writer *w, uint64_t hash, uint32_t number);

/* Removes the entry of this hash and record. 0, or -ENOENT (nothing changed). */
int sn_index_remove(const struct sn_index *ix, struct sn_writer *w, uint64_t hash, uint32_t number);

/* Empties the index (cold rebuild; no intent: the shard is not in service). */
void sn_index_reset(const struct sn_index *ix);

#endif
