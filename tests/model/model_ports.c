/*
 * model_ports.c: a million random claims, binds, unbinds, releases and returns by two shards on one pool, against a
 * naive twin: one word per port. Each operation is an intent, and one in eight is undone.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "seed.h"
#include "world.h"

#define OPS 1000000u
#define SHARDS 2u
#define ADDRESSES 2u
#define BLOCK 64u
#define PER_ADDRESS (65536u / BLOCK)
#define FIRST (1024u / BLOCK)
#define BLOCKS (ADDRESSES * PER_ADDRESS)
#define HELD 128u

enum port_state { FREE, BOUND, HELD_DOWN };

struct twin_port {
	enum port_state state;
	uint32_t binding;
};

struct twin_block {
	uint32_t owner; /* shard + 1, 0 free */
	uint16_t generation;
	uint32_t used; /* ports that are not free */
	struct twin_port port[SN_L4_COUNT][BLOCK];
};

/* The hold ring of the twin: oldest first. */
struct twin_hold {
	uint32_t block, l4, place, until_ds;
};

static struct twin_block twin[BLOCKS];
static struct twin_hold held[SHARDS][HELD];
static uint32_t held_count[SHARDS], forced[SHARDS];
static uint32_t claimed[SHARDS][BLOCKS], claimed_count[SHARDS];
static struct world w;
static uint64_t seed;
static uint32_t now_ds = 1000, next_binding = 1;

static bool undone(void)
{
	return seed_below(&seed, 8) == 0;
}

/* Ends the operation; true if it counts. */
static bool finish(struct sn_writer *wr)
{
	if (undone()) {
		sn_intent_undo(wr);
		return false;
	}
	sn_intent_clear(wr);
	return true;
}

static uint32_t twin_free_on(uint32_t address)
{
	uint32_t n = 0;

	for (uint32_t i = FIRST; i < PER_ADDRESS; i++)
		n += twin[address * PER_ADDRESS + i].owner == 0;
	return n;
}

static void do_claim(uint32_t s)
{
	uint32_t address = seed_below(&seed, ADDRESSES), block = SN_NONE;
	struct sn_shard *sh = &w.shard[s];
	int err;

	if (claimed_count[s] >= 24 && seed_below(&seed, 50) != 0)
		return;
	sn_intent_begin(&sh->writer, SN_INTENT_CLAIM, 0, 0);
	err = sn_ports_claim(&sh->ports, &sh->writer, address, seed_next(&seed), (uint8_t)s, s, now_ds, &block);
	if (err != 0) {
		sn_intent_undo(&sh->writer);
		cr_assert_eq(err, -ENOSPC);
		cr_assert_eq(twin_free_on(address), 0);
		return;
	}
	cr_assert(block / PER_ADDRESS == address && block % PER_ADDRESS >= FIRST && twin[block].owner == 0);
	if (!finish(&sh->writer)) {
		cr_assert_not(sn_ports_owner(&sh->ports, block).claimed);
		return;
	}
	sn_ports_claimed(&sh->ports, block);
	twin[block].owner = s + 1;
	twin[block].generation++;
	cr_assert_eq(sn_ports_owner(&sh->ports, block).generation, twin[block].generation);
	claimed[s][claimed_count[s]++] = block;
}

static void do_return(uint32_t s)
{
	struct sn_shard *sh = &w.shard[s];
	uint32_t at, block;

	if (claimed_count[s] == 0)
		return;
	at = seed_below(&seed, claimed_count[s]);
	block = claimed[s][at];
	if (twin[block].used != 0)
		return;
	sn_intent_begin(&sh->writer, SN_INTENT_RETURN, block, 0);
	sn_ports_return(&sh->ports, &sh->writer, block);
	cr_assert(sn_ports_owner(&sh->ports, block).claimed, "not before the change is true");
	sn_intent_clear(&sh->writer);
	cr_assert_not(sn_ports_owner(&sh->ports, block).claimed);
	twin[block].owner = 0;
	claimed[s][at] = claimed[s][--claimed_count[s]];
}

/* The first free place at or after start, wrapping. */
static uint32_t twin_first_free(const struct twin_block *b, uint32_t l4, uint32_t start)
{
	for (uint32_t i = 0; i < BLOCK; i++)
		if (b->port[l4][(start + i) % BLOCK].state == FREE)
			return (start + i) % BLOCK;
	return SN_NONE;
}

static void do_bind(uint32_t s, uint32_t block, uint32_t l4)
{
	uint32_t start = (uint32_t)seed_next(&seed), binding = next_binding++;
	uint32_t expected = twin_first_free(&twin[block], l4, start);
	struct sn_shard *sh = &w.shard[s];
	uint16_t place;
	int err;

	sn_intent_begin(&sh->writer, SN_INTENT_OPEN, 0, 0);
	err = sn_ports_bind(&sh->ports, &sh->writer, block, l4, start, binding, &place);
	cr_assert_eq(err, expected == SN_NONE ? -ENOSPC : 0);
	if (err == 0)
		cr_assert_eq(place, expected);
	if (!finish(&sh->writer) || err != 0)
		return;
	twin[block].port[l4][place] = (struct twin_port){ BOUND, binding };
	twin[block].used++;
}

static void twin_release_oldest(uint32_t s)
{
	struct twin_hold h = held[s][0];

	twin[h.block].port[h.l4][h.place].state = FREE;
	twin[h.block].used--;
	memmove(&held[s][0], &held[s][1], --held_count[s] * sizeof(h));
}

static void twin_unbind(uint32_t s, uint32_t block, uint32_t l4, uint32_t place, uint32_t hold_ds)
{
	struct twin_port *p = &twin[block].port[l4][place];

	if (hold_ds == 0) {
		p->state = FREE;
		twin[block].used--;
		return;
	}
	if (held_count[s] == HELD - 1) {
		twin_release_oldest(s);
		forced[s]++;
	}
	p->state = HELD_DOWN;
	held[s][held_count[s]++] = (struct twin_hold){ block, l4, place, now_ds + hold_ds };
}

static void do_unbind(uint32_t s, uint32_t block, uint32_t l4)
{
	uint32_t place = seed_below(&seed, BLOCK), hold_ds = seed_below(&seed, 3) * 100;
	struct sn_shard *sh = &w.shard[s];

	if (twin[block].port[l4][place].state != BOUND)
		return;
	sn_intent_begin(&sh->writer, SN_INTENT_CLOSE, 0, 0);
	sn_ports_unbind(&sh->ports, &sh->writer, block, l4, (uint16_t)place, now_ds, hold_ds);
	if (finish(&sh->writer))
		twin_unbind(s, block, l4, place, hold_ds);
}

static void do_release(uint32_t s)
{
	uint32_t max = seed_below(&seed, 8), expected = 0, released;

	now_ds += seed_below(&seed, 3);
	while (expected < max && held_count[s] > 0 && sn_clock_due(held[s][0].until_ds, now_ds)) {
		twin_release_oldest(s);
		expected++;
	}
	released = sn_ports_release_held(&w.shard[s].ports, &w.shard[s].writer, now_ds, max);
	cr_assert_eq(released, expected);
}

static void expect_port(uint32_t s, uint32_t block, uint32_t l4, uint32_t place)
{
	const struct twin_port *t = &twin[block].port[l4][place];
	const struct sn_ports *p = &w.shard[s].ports;
	bool busy = sn_ports_busy(p, block, l4)[place / 64] >> (place % 64) & 1;

	cr_assert_eq(sn_ports_binding(p, block, l4, (uint16_t)place), t->state == BOUND ? t->binding : SN_NONE);
	cr_assert_eq(busy, t->state != FREE);
}

static void expect_same(void)
{
	for (uint32_t block = 0; block < BLOCKS; block++) {
		struct sn_block_owner o = sn_ports_owner(&w.shard[0].ports, block);

		cr_assert_eq(o.claimed ? o.shard + 1u : 0, twin[block].owner);
		for (uint32_t l4 = 0; l4 < SN_L4_COUNT; l4++)
			for (uint32_t place = 0; place < BLOCK; place++)
				expect_port(0, block, l4, place);
	}
	for (uint32_t s = 0; s < SHARDS; s++) {
		cr_assert_eq(w.shard[s].state->hold.head - w.shard[s].state->hold.tail, held_count[s]);
		cr_assert_eq(w.shard[s].state->hold.forced, forced[s]);
	}
}

static void do_one(void)
{
	uint32_t s = seed_below(&seed, SHARDS), what = seed_below(&seed, 100), l4 = seed_below(&seed, SN_L4_COUNT),
		 block;

	if (what < 2)
		do_claim(s);
	else if (what < 4)
		do_return(s);
	else if (what < 10)
		do_release(s);
	if (what < 10 || claimed_count[s] == 0)
		return;
	block = claimed[s][seed_below(&seed, claimed_count[s])];
	if (what < 50)
		do_bind(s, block, l4);
	else
		do_unbind(s, block, l4);
	expect_port(s, block, l4, seed_below(&seed, BLOCK));
}

Test(ports, does_what_its_naive_twin_does, .timeout = 290)
{
	struct sn_geometry geo = world_geometry(SHARDS, 64, ADDRESSES);

	geo.held_ports = HELD;
	seed = seed_start(20261123);
	world_make(&w, &geo);
	for (uint32_t i = 1; i <= OPS; i++) {
		do_one();
		if (i % 100000 == 0)
			expect_same();
	}
	fprintf(stderr, "%u operations: %u bindings tried, %u and %u ports released early\n", OPS, next_binding,
		forced[0], forced[1]);
	cr_expect(forced[0] > 0 && forced[1] > 0);
	world_drop(&w);
}
