/*
 * slab.c: records out of chunks, chunks out of the pool.
 *
 * What is read from the region is checked before it is followed: a list that leads nowhere is taken to be at its end.
 */
#include "slab.h"

#include <errno.h>
#include <string.h>

#define OWNER_SHARD(word) ((uint32_t)((word) & 0xffff))
#define OWNER_POOL(word) ((word) & ~0xffffull)

void sn_slab_format(struct sn_chunk *chunks, uint32_t chunk_count, uint32_t chunk_records)
{
	uint32_t words = chunk_records / 64;

	SN_ASSERT(words >= 1 && words <= SN_ARRAY_LEN(chunks->used) && (chunk_records & (chunk_records - 1)) == 0);
	memset(chunks, 0, chunk_count * sizeof(*chunks));
	for (uint32_t i = 0; i < chunk_count; i++) {
		chunks[i].next = SN_NONE;
		chunks[i].prev = SN_NONE;
		chunks[i].summary = words == 64 ? 0 : ~0ull << words;
	}
}

void sn_slab_lease_format(struct sn_slab_lease *lease, uint32_t shard, uint32_t shards, uint32_t chunk_count)
{
	*lease = (struct sn_slab_lease){
		.first = SN_NONE,
		.hint = (uint32_t)((uint64_t)shard * chunk_count / shards),
	};
}

uint32_t sn_slab_owner(const struct sn_chunk *c)
{
	uint32_t shard = OWNER_SHARD(atomic_load_explicit(&c->owner, memory_order_acquire));

	return shard == 0 ? SN_NONE : shard - 1;
}

/* NULL at the end of a list, or where the number is none. */
static struct sn_chunk *chunk_at(const struct sn_slab *s, uint32_t number)
{
	return number < s->chunk_count ? &s->chunks[number] : NULL;
}

static uint32_t number_of(const struct sn_slab *s, const struct sn_chunk *c)
{
	return (uint32_t)(c - s->chunks);
}

/* --- the list of chunks with room --- */

static void list_push(struct sn_slab *s, struct sn_writer *w, struct sn_chunk *c)
{
	struct sn_chunk *second = chunk_at(s, s->lease->first);

	sn_intent_put32(w, &c->next, second ? s->lease->first : SN_NONE);
	sn_intent_put32(w, &c->prev, SN_NONE);
	sn_intent_put32(w, &c->listed, 1);
	if (second)
		sn_intent_put32(w, &second->prev, number_of(s, c));
	sn_intent_put32(w, &s->lease->first, number_of(s, c));
}

static void list_drop(struct sn_slab *s, struct sn_writer *w, struct sn_chunk *c)
{
	struct sn_chunk *next = chunk_at(s, c->next), *prev = chunk_at(s, c->prev);

	sn_intent_put32(w, prev ? &prev->next : &s->lease->first, c->next);
	if (next)
		sn_intent_put32(w, &next->prev, c->prev);
	sn_intent_put32(w, &c->next, SN_NONE);
	sn_intent_put32(w, &c->prev, SN_NONE);
	sn_intent_put32(w, &c->listed, 0);
}

/* --- the pool --- */

static bool lease_chunk(struct sn_slab *s, struct sn_writer *w, struct sn_chunk *c)
{
	uint64_t owner = atomic_load_explicit(&c->owner, memory_order_relaxed);

	if (OWNER_SHARD(owner) != 0)
		return false;
	if (!sn_intent_claim64(w, &c->owner, owner, owner + (1ull << 16) + s->shard + 1))
		return false;
	atomic_fetch_sub_explicit(s->pool_free, 1, memory_order_relaxed);
	sn_intent_put32(w, &s->lease->chunks, s->lease->chunks + 1);
	sn_intent_put32(w, &s->lease->hint, number_of(s, c));
	list_push(s, w, c);
	return true;
}

static struct sn_chunk *lease_any(struct sn_slab *s, struct sn_writer *w)
{
	uint32_t start = s->lease->hint;

	for (uint32_t i = 0; i < s->chunk_count; i++) {
		struct sn_chunk *c = &s->chunks[((uint64_t)start + i) % s->chunk_count];

		if (lease_chunk(s, w, c))
			return c;
	}
	return NULL;
}

static void return_chunk(struct sn_slab *s, struct sn_writer *w, struct sn_chunk *c)
{
	uint64_t owner = atomic_load_explicit(&c->owner, memory_order_relaxed);

	list_drop(s, w, c);
	sn_intent_put32(w, &s->lease->chunks, s->lease->chunks - 1);
	sn_intent_release64(w, &c->owner, owner, OWNER_POOL(owner));
	atomic_fetch_add_explicit(s->pool_free, 1, memory_order_relaxed);
}

/* --- records --- */

static bool has_room(const struct sn_slab *s, const struct sn_chunk *c)
{
	return sn_slab_owner(c) == s->shard && c->summary != ~0ull && ~c->used[__builtin_ctzll(~c->summary)] != 0;
}

int sn_slab_take(struct sn_slab *s, struct sn_writer *w, uint32_t *ret_number)
{
	struct sn_chunk *c = chunk_at(s, s->lease->first);
	uint32_t word, bit;

	if (!c || !has_room(s, c))
		c = lease_any(s, w);
	if (!c || !has_room(s, c))
		return -ENOSPC;
	word = (uint32_t)__builtin_ctzll(~c->summary);
	bit = (uint32_t)__builtin_ctzll(~c->used[word]);
	sn_intent_put64(w, &c->used[word], c->used[word] | 1ull << bit);
	sn_intent_put32(w, &c->live, c->live + 1);
	sn_intent_put32(w, &s->lease->live, s->lease->live + 1);
	if (c->used[word] == ~0ull)
		sn_intent_put64(w, &c->summary, c->summary | 1ull << word);
	if (c->summary == ~0ull)
		list_drop(s, w, c);
	*ret_number = number_of(s, c) * s->chunk_records + word * 64 + bit;
	return 0;
}

void sn_slab_give(struct sn_slab *s, struct sn_writer *w, uint32_t number)
{
	struct sn_chunk *c = chunk_at(s, number / s->chunk_records);
	uint32_t word = number % s->chunk_records / 64;

	SN_ASSERT(sn_slab_has(s, number));
	sn_intent_put64(w, &c->used[word], c->used[word] & ~(1ull << number % 64));
	sn_intent_put32(w, &c->live, c->live - 1);
	sn_intent_put32(w, &s->lease->live, s->lease->live - 1);
	if (c->summary & 1ull << word)
		sn_intent_put64(w, &c->summary, c->summary & ~(1ull << word));
	if (!c->listed)
		list_push(s, w, c);
	if (c->live == 0 && (chunk_at(s, c->next) || chunk_at(s, c->prev)))
		return_chunk(s, w, c);
}

bool sn_slab_has(const struct sn_slab *s, uint32_t number)
{
	const struct sn_chunk *c = chunk_at(s, number / s->chunk_records);

	if (!c || sn_slab_owner(c) != s->shard)
		return false;
	return c->used[number % s->chunk_records / 64] >> number % 64 & 1;
}
