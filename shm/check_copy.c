/*
 * check_copy.c: a copy of one shard, so that a live one is proved by what it was at one time.
 *
 * The copy is a region of its own in private memory, of which only the pages of the shard under way are there. It is
 * made in relaxed words while the shard's worker may be writing; whether it is of one time is for check.c to find out.
 * A copy takes far less time than the proof, so that a busy shard is caught between two changes.
 */
#include <string.h>
#include <sys/mman.h>

#include "check_inner.h"

int sn_check_copy_make(struct sn_checker *c)
{
	size_t size_b = c->source.size_b;
	void *mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return -1;
	sn_copy_words(mem, c->source.base, sizeof(struct sn_header));
	if (sn_region_join(mem, size_b, true, &c->region) == 0)
		return 0;
	munmap(mem, size_b);
	return -1;
}

void sn_check_copy_free(struct sn_checker *c)
{
	if (c->region.base != c->source.base)
		munmap(c->region.base, c->region.size_b);
}

/* To the same place in the copy. at and size_b: multiples of 8, in the region. */
static void copy(struct sn_checker *c, const void *at, size_t size_b)
{
	sn_copy_words(c->region.base + ((const uint8_t *)at - c->source.base), at, size_b);
}

static void copy_slab(struct sn_checker *c, const struct sn_slab *slab, const void *records, size_t size_b)
{
	size_t chunk_b = slab->chunk_records * size_b;

	for (uint32_t k = 0; k < slab->chunk_count; k++) {
		if (sn_slab_owner(&slab->chunks[k]) != slab->shard)
			continue;
		copy(c, &slab->chunks[k], sizeof(slab->chunks[k]));
		copy(c, (const uint8_t *)records + k * chunk_b, chunk_b);
	}
}

static void copy_index(struct sn_checker *c, const struct sn_index *ix)
{
	copy(c, ix->buckets, ix->bucket_count * sizeof(*ix->buckets));
}

static void copy_block(struct sn_checker *c, const struct sn_ports *p, uint32_t block)
{
	size_t ports = (size_t)SN_L4_COUNT * p->block_size;

	copy(c, &p->blocks[block], sizeof(p->blocks[block]));
	copy(c, sn_ports_busy(p, block, SN_L4_TCP), ports / 8);
	copy(c, sn_ports_map(p, block, SN_L4_TCP), ports * sizeof(uint32_t));
}

/* A free block, which any shard may take meanwhile: its bits are copied if it was free before and after. */
static void copy_free_block(struct sn_checker *c, const struct sn_ports *p, uint32_t block, uint64_t word)
{
	size_t bits_b = (size_t)SN_L4_COUNT * p->block_size / 8;

	copy(c, sn_ports_busy(p, block, SN_L4_TCP), bits_b);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&p->owners[block], memory_order_relaxed) != word)
		memset(sn_ports_busy(&c->shard.ports, block, SN_L4_TCP), 0, bits_b);
}

static void copy_ports(struct sn_checker *c, const struct sn_ports *p, uint32_t shard)
{
	copy(c, p->addresses, p->address_count * sizeof(*p->addresses));
	copy(c, p->hold, p->hold_count * sizeof(*p->hold));
	for (uint32_t block = 0; block < sn_ports_block_count(p); block++) {
		uint64_t word = atomic_load_explicit(&p->owners[block], memory_order_acquire);
		struct sn_block_owner o = sn_block_owner_unpack(word);

		atomic_store_explicit(&c->shard.ports.owners[block], word, memory_order_relaxed);
		if (o.claimed && o.shard == shard)
			copy_block(c, p, block);
		else if (!o.claimed && shard == 0)
			copy_free_block(c, p, block, word);
	}
}

void sn_check_copy_shard(struct sn_checker *c)
{
	const struct sn_shard *s = &c->source_shard;

	madvise(c->region.base, c->region.size_b, MADV_DONTNEED); /* all of it is zero again */
	copy(c, c->source.hdr, sizeof(*c->source.hdr));
	copy(c, s->state, sizeof(*s->state));
	copy_index(c, &s->flow_index);
	copy_index(c, &s->binding_index);
	copy_index(c, &s->subscriber_index);
	copy_slab(c, &s->flows, c->source.flows, sizeof(*c->source.flows));
	copy_slab(c, &s->bindings, c->source.bindings, sizeof(*c->source.bindings));
	copy_slab(c, &s->subscribers, c->source.subscribers, sizeof(*c->source.subscribers));
	copy_ports(c, &s->ports, s->number);
}
