/*
 * ports.c: public addresses, blocks and ports.
 *
 * Callers: shard.c and its kin (changes), workers (which shard has a public port), control (addresses), check.
 * Invariant: a port is busy when it is bound or held; it is bound when its map word is not 0; a block that is not
 * claimed has nothing bound and nothing held, so its bits and words are 0. Numbers read from the region are looked at
 * before use: a corrupt block is out of range, a corrupt hold slot is skipped.
 */
#include "ports.h"

#include <errno.h>

/* So that one intent's notes suffice for all: three for each port, one for the tail. */
#define RELEASE_MAX 30u

int sn_ports_add_address(struct sn_ports *p, uint32_t index, uint32_t addr_be32, uint16_t pool)
{
	uint32_t slot = sn_ports_address_slot(p, addr_be32);
	struct sn_address *a = &p->addresses[index];

	if (index >= p->address_count)
		return -ENOSPC;
	if (a->state != SN_ADDRESS_ABSENT || sn_ports_address(p, addr_be32) != SN_NONE)
		return -EEXIST;
	for (uint32_t i = 0; i < p->address_slot_count; i++, slot = (slot + 1) & (p->address_slot_count - 1)) {
		if (p->address_slots[slot] != 0)
			continue;
		a->addr_be32 = addr_be32;
		a->pool = pool;
		a->state = SN_ADDRESS_ACTIVE;
		p->address_slots[slot] = index + 1;
		return 0;
	}
	return -ENOSPC;
}

/* Blocks of an address that may be claimed: from the first one that lies above port 1023. */
static uint32_t first_usable(const struct sn_ports *p)
{
	return (SN_PORT_FIRST + p->block_size - 1) / p->block_size;
}

static bool claim_block(struct sn_ports *p, struct sn_writer *w, uint32_t block, uint8_t shard, uint32_t subscriber)
{
	uint64_t word = atomic_load_explicit(&p->owners[block], memory_order_acquire);
	struct sn_block_owner o = sn_block_owner_unpack(word);

	if (o.claimed)
		return false;
	o = (struct sn_block_owner){
		.subscriber = subscriber, .generation = (uint16_t)(o.generation + 1), .shard = shard, .claimed = true
	};
	return sn_intent_claim64(w, &p->owners[block], word, sn_block_owner_pack(o));
}

int sn_ports_claim(struct sn_ports *p, struct sn_writer *w, uint32_t address, uint64_t start, uint8_t shard,
		   uint32_t subscriber, uint32_t now_ds, uint32_t *ret_block)
{
	uint32_t first = first_usable(p), usable = p->blocks_per_address - first;
	uint32_t place = (uint32_t)(start % usable);

	if (address >= p->address_count ||
	    atomic_load_explicit(&p->addresses[address].claimed, memory_order_relaxed) >= usable)
		return -ENOSPC;
	for (uint32_t i = 0; i < usable; i++, place = place + 1 == usable ? 0 : place + 1) {
		uint32_t block = address * p->blocks_per_address + first + place;

		if (!claim_block(p, w, block, shard, subscriber))
			continue;
		sn_copy_words(&p->blocks[block], &(struct sn_block){ .next = SN_NONE, .claimed_ds = now_ds },
			      sizeof(struct sn_block));
		*ret_block = block;
		return 0;
	}
	return -ENOSPC;
}

void sn_ports_claimed(struct sn_ports *p, uint32_t block)
{
	atomic_fetch_add_explicit(&p->addresses[sn_ports_block_address(p, block)].claimed, 1, memory_order_relaxed);
}

/* Counts down, but not below 0: a worker killed before it counted its claim left the count one short. */
static void count_return(struct sn_ports *p, uint32_t block)
{
	_Atomic uint32_t *claimed = &p->addresses[sn_ports_block_address(p, block)].claimed;
	uint32_t n = atomic_load_explicit(claimed, memory_order_relaxed);

	while (n > 0 &&
	       !atomic_compare_exchange_weak_explicit(claimed, &n, n - 1, memory_order_relaxed, memory_order_relaxed))
		;
}

void sn_ports_return(struct sn_ports *p, struct sn_writer *w, uint32_t block)
{
	uint64_t word = atomic_load_explicit(&p->owners[block], memory_order_acquire);
	struct sn_block_owner o = sn_block_owner_unpack(word);
	const struct sn_block *b = &p->blocks[block];

	SN_ASSERT(o.claimed && b->held == 0);
	for (int l4 = 0; l4 < SN_L4_COUNT; l4++)
		SN_ASSERT(b->bound[l4] == 0);
	count_return(p, block);
	o = (struct sn_block_owner){ .generation = o.generation };
	sn_intent_release64(w, &p->owners[block], word, sn_block_owner_pack(o));
}

/* The first place at or after start, wrapping, whose bit is clear; SN_NONE. */
static uint32_t find_clear(const uint64_t *bits, uint32_t size, uint32_t start)
{
	uint32_t words = size / 64, word = start / 64;
	uint64_t mask = ~0ull << (start % 64);

	for (uint32_t i = 0; i <= words; i++) {
		uint64_t clear = ~bits[word] & mask;

		if (clear != 0)
			return word * 64 + (uint32_t)__builtin_ctzll(clear);
		word = word + 1 == words ? 0 : word + 1;
		mask = ~0ull;
	}
	return SN_NONE;
}

int sn_ports_bind(struct sn_ports *p, struct sn_writer *w, uint32_t block, enum sn_l4 l4, uint32_t start,
		  uint32_t binding, uint16_t *ret_place)
{
	uint64_t *bits = sn_ports_busy(p, block, l4);
	struct sn_block *b = &p->blocks[block];
	uint32_t place = find_clear(bits, p->block_size, start & (p->block_size - 1));

	if (place == SN_NONE)
		return -ENOSPC;
	sn_intent_put64(w, &bits[place / 64], bits[place / 64] | 1ull << (place % 64));
	sn_intent_put32(w, &sn_ports_map(p, block, l4)[place], binding + 1);
	sn_intent_put16(w, &b->bound[l4], (uint16_t)(b->bound[l4] + 1));
	*ret_place = (uint16_t)place;
	return 0;
}

static void clear_busy(struct sn_ports *p, struct sn_writer *w, uint32_t block, enum sn_l4 l4, uint16_t place)
{
	uint64_t *word = &sn_ports_busy(p, block, l4)[place / 64];

	sn_intent_put64(w, word, *word & ~(1ull << (place % 64)));
}

/* Whether a hold slot describes a port that can be in hold-down. */
static bool hold_sound(const struct sn_ports *p, const struct sn_hold *h)
{
	return h->block < sn_ports_block_count(p) && h->l4 < SN_L4_COUNT && h->place < p->block_size &&
	       p->blocks[h->block].held > 0;
}

static void release_oldest(struct sn_ports *p, struct sn_writer *w)
{
	struct sn_hold_ends *e = p->hold_ends;
	struct sn_hold h = p->hold[e->tail & (p->hold_count - 1)];

	if (hold_sound(p, &h)) {
		clear_busy(p, w, h.block, h.l4, h.place);
		sn_intent_put16(w, &p->blocks[h.block].held, (uint16_t)(p->blocks[h.block].held - 1));
	}
	sn_intent_put32(w, &e->tail, e->tail + 1);
}

static void hold(struct sn_ports *p, struct sn_writer *w, struct sn_hold h)
{
	struct sn_hold_ends *e = p->hold_ends;

	if (e->head - e->tail >= p->hold_count - 1) {
		release_oldest(p, w);
		sn_intent_put64(w, &e->forced, e->forced + 1);
	}
	sn_copy_words(&p->hold[e->head & (p->hold_count - 1)], &h, sizeof(h));
	sn_intent_put32(w, &e->head, e->head + 1);
	sn_intent_put16(w, &p->blocks[h.block].held, (uint16_t)(p->blocks[h.block].held + 1));
}

void sn_ports_unbind(struct sn_ports *p, struct sn_writer *w, uint32_t block, enum sn_l4 l4, uint16_t place,
		     uint32_t now_ds, uint32_t hold_ds)
{
	struct sn_block *b = &p->blocks[block];

	sn_intent_put32(w, &sn_ports_map(p, block, l4)[place], 0);
	if (b->bound[l4] > 0)
		sn_intent_put16(w, &b->bound[l4], (uint16_t)(b->bound[l4] - 1));
	if (hold_ds == 0)
		clear_busy(p, w, block, l4, place);
	else
		hold(p, w, (struct sn_hold){ .block = block, .until_ds = now_ds + hold_ds, .place = place, .l4 = l4 });
}

static bool oldest_due(const struct sn_ports *p, uint32_t now_ds)
{
	const struct sn_hold_ends *e = p->hold_ends;

	return e->head != e->tail && sn_clock_due(p->hold[e->tail & (p->hold_count - 1)].until_ds, now_ds);
}

uint32_t sn_ports_release_held(struct sn_ports *p, struct sn_writer *w, uint32_t now_ds, uint32_t max)
{
	uint32_t n = 0;

	if (max == 0 || !oldest_due(p, now_ds))
		return 0;
	sn_intent_begin(w, SN_INTENT_HOLD, 0, 0);
	for (; n < SN_MIN(max, RELEASE_MAX) && oldest_due(p, now_ds); n++)
		release_oldest(p, w);
	sn_intent_clear(w);
	return n;
}
