/*
 * check_ports.c: blocks, busy bits and the hold ring of one shard.
 *
 * A block's busy bits must be its bound ports (map words) and its held ports (hold ring), each bit for one of the two.
 * Two bindings cannot share a port: each must be the one that the port's word names (check_records.c).
 */
#include "check_inner.h"
#include "shard_inner.h"

static uint64_t *held_word(const struct sn_checker *c, uint32_t block, uint32_t l4, uint32_t place)
{
	uint32_t size = c->shard.ports.block_size;

	return c->held_bits + (((size_t)block * SN_L4_COUNT + l4) * size + place) / 64;
}

static bool hold_is_sound(const struct sn_checker *c, const struct sn_hold *h)
{
	struct sn_block_owner o = sn_ports_owner(&c->shard.ports, h->block);

	return o.claimed && o.shard == c->shard.number && h->l4 < SN_L4_COUNT && h->place < c->shard.ports.block_size;
}

/* Sets or clears the scratch bits of all that is in the hold ring. Slots that a rebuild made void are passed over. */
static void mark_held(struct sn_checker *c, bool set)
{
	const struct sn_ports *p = &c->shard.ports;
	uint32_t tail = p->hold_ends->tail, used = p->hold_ends->head - tail;

	if (used >= p->hold_count) {
		if (set)
			sn_check_violation(c, "hold ring: its ends are %u apart, of %u slots", used, p->hold_count);
		return;
	}
	for (uint32_t i = 0; i < used; i++) {
		const struct sn_hold *h = &p->hold[(tail + i) & (p->hold_count - 1)];
		uint64_t bit = 1ull << (h->place % 64), *word;

		if (!hold_is_sound(c, h)) {
			if (set && h->l4 < SN_L4_COUNT)
				sn_check_violation(c, "hold ring: slot %u names no port of this shard",
						   (tail + i) & (p->hold_count - 1));
			continue;
		}
		word = held_word(c, h->block, h->l4, h->place);
		if (set && (*word & bit))
			sn_check_violation(c, "block %u: place %u is held twice", h->block, h->place);
		c->found.held += set;
		*word = set ? *word | bit : *word & ~bit;
	}
}

static void check_map_word(struct sn_checker *c, uint32_t block, uint32_t l4, uint32_t place, uint32_t binding)
{
	const struct sn_binding *b = sn_binding_at(&c->shard, binding);

	if (b == NULL || b->block != block || sn_l4_of(b->proto) != l4 || sn_binding_place(&c->shard, b) != place)
		sn_check_violation(c, "block %u: place %u is bound to binding %u, which is not there", block, place,
				   binding);
}

/* The bound ports among 64, as bits. */
static uint64_t bound_bits(struct sn_checker *c, uint32_t block, uint32_t l4, uint32_t place)
{
	const uint32_t *map = sn_ports_map(&c->shard.ports, block, l4) + place;
	uint64_t bits = 0;

	for (uint32_t i = 0; i < 64; i++) {
		uint32_t word = map[i];

		if (word == 0)
			continue;
		bits |= 1ull << i;
		check_map_word(c, block, l4, place + i, word - 1);
	}
	return bits;
}

static void check_block_l4(struct sn_checker *c, uint32_t block, uint32_t l4, uint32_t *held)
{
	const struct sn_ports *p = &c->shard.ports;
	uint32_t bound = 0;

	for (uint32_t place = 0; place < p->block_size; place += 64) {
		uint64_t bits = bound_bits(c, block, l4, place), held_bits = *held_word(c, block, l4, place);

		if (bits & held_bits)
			sn_check_violation(c, "block %u: a port from place %u on is bound and held", block, place);
		if ((bits | held_bits) != sn_ports_busy(p, block, l4)[place / 64])
			sn_check_violation(c, "block %u: busy bits from place %u on are not its bound and held ports",
					   block, place);
		bound += (uint32_t)__builtin_popcountll(bits);
		*held += (uint32_t)__builtin_popcountll(held_bits);
	}
	if (p->blocks[block].bound[l4] != bound)
		sn_check_violation(c, "block %u: counts %u bound ports, has %u", block, p->blocks[block].bound[l4],
				   bound);
}

static void check_block(struct sn_checker *c, uint32_t block)
{
	uint32_t held = 0;

	for (uint32_t l4 = 0; l4 < SN_L4_COUNT; l4++)
		check_block_l4(c, block, l4, &held);
	if (c->shard.ports.blocks[block].held != held)
		sn_check_violation(c, "block %u: counts %u held ports, has %u", block,
				   c->shard.ports.blocks[block].held, held);
}

/* Whether a block is on its subscriber's list. */
static bool is_listed(const struct sn_checker *c, uint32_t block, uint32_t subscriber)
{
	const struct sn_subscriber *u = sn_subscriber_at(&c->shard, subscriber);
	uint32_t at = u != NULL ? u->first_block : SN_NONE;

	for (uint32_t i = 0; u != NULL && i < u->blocks && sn_block_is_ours(&c->shard, at, subscriber); i++) {
		if (at == block)
			return true;
		at = c->shard.ports.blocks[at].next;
	}
	return false;
}

static bool is_empty(const struct sn_checker *c, uint32_t block)
{
	const struct sn_ports *p = &c->shard.ports;
	const uint64_t *busy = sn_ports_busy(p, block, SN_L4_TCP);

	for (uint32_t i = 0; i < SN_L4_COUNT * p->block_size / 64; i++)
		if (busy[i] != 0)
			return false;
	return true;
}

/* A free block is anybody's: it is looked at in shard 0's turn. */
static void check_free_block(struct sn_checker *c, uint32_t block)
{
	if (c->shard.number == 0 && !is_empty(c, block))
		sn_check_violation(c, "block %u: free, but has busy ports", block);
}

static void check_owned_block(struct sn_checker *c, uint32_t block, uint32_t subscriber)
{
	c->found.blocks++;
	if (is_listed(c, block, subscriber))
		c->subscribers[subscriber].blocks++;
	else
		sn_check_violation(c, "block %u: claimed for subscriber %u, which does not list it", block, subscriber);
	check_block(c, block);
}

void sn_check_ports(struct sn_checker *c)
{
	const struct sn_ports *p = &c->shard.ports;

	mark_held(c, true);
	for (uint32_t block = 0; block < sn_ports_block_count(p); block++) {
		struct sn_block_owner o = sn_ports_owner(p, block);

		if (!o.claimed)
			check_free_block(c, block);
		else if (o.shard >= c->region.geo.shards && c->shard.number == 0)
			sn_check_violation(c, "block %u: claimed by shard %u, which there is not", block, o.shard);
		else if (o.shard == c->shard.number)
			check_owned_block(c, block, o.subscriber);
	}
	mark_held(c, false);
}
