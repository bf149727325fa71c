/*
 * stress_ports.c: four shards, each in a thread, claim and return the blocks of the same two addresses, of which there
 * are fewer than they want. No block may be owned by two, nobody may see less than what the owner before has done to
 * it, and counts add up.
 */
#include "seed.h"
#include "threads.h"
#include "world.h"

#define SHARDS 4u
#define ADDRESSES 2u
#define OPS 60000u
#define WANT 12u
#define BLOCKS_MAX 64u

struct owner {
	struct sn_shard *s;
	uint64_t rng;
	uint32_t block[WANT], blocks, claims, refused;
};

static struct world w;
static _Atomic uint32_t holder[BLOCKS_MAX]; /* shard + 1 */
static uint32_t claims_of[BLOCKS_MAX];	    /* W: whoever holds the block, and nobody else: plain on purpose */

/* A port is bound and unbound, as an owner does. */
static void use(struct owner *o, uint32_t block)
{
	struct sn_shard *s = o->s;
	uint16_t place;

	sn_intent_begin(&s->writer, SN_INTENT_OPEN, block, 0);
	STRESS_ASSERT(sn_ports_bind(&s->ports, &s->writer, block, SN_L4_UDP, (uint32_t)seed_next(&o->rng), s->number,
				    &place) == 0,
		      "block %u has no free port", block);
	STRESS_ASSERT(sn_ports_binding(&s->ports, block, SN_L4_UDP, place) == s->number, "block %u", block);
	sn_ports_unbind(&s->ports, &s->writer, block, SN_L4_UDP, place, 0, 0);
	sn_intent_clear(&s->writer);
}

static void own(struct owner *o, uint32_t block)
{
	uint32_t before = atomic_exchange_explicit(&holder[block], o->s->number + 1, memory_order_relaxed);

	STRESS_ASSERT(before == 0, "block %u is shard %u's and shard %u's", block, before - 1, o->s->number);
	claims_of[block]++;
	STRESS_ASSERT(sn_ports_owner(&o->s->ports, block).generation == (uint16_t)claims_of[block],
		      "block %u: generation %u after %u claims", block, sn_ports_owner(&o->s->ports, block).generation,
		      claims_of[block]);
	sn_ports_claimed(&o->s->ports, block);
	o->block[o->blocks++] = block;
	o->claims++;
	use(o, block);
}

/* One claim in eight is taken back before it is true. */
static void claim(struct owner *o)
{
	struct sn_shard *s = o->s;
	uint32_t block;

	sn_intent_begin(&s->writer, SN_INTENT_CLAIM, 0, 0);
	if (sn_ports_claim(&s->ports, &s->writer, seed_below(&o->rng, ADDRESSES), seed_next(&o->rng),
			   (uint8_t)s->number, o->claims, 0, &block) != 0) {
		sn_intent_undo(&s->writer);
		o->refused++;
	} else if (seed_below(&o->rng, 8) == 0) {
		sn_intent_undo(&s->writer);
	} else {
		sn_intent_clear(&s->writer);
		own(o, block);
	}
}

static void give_back(struct owner *o, uint32_t at)
{
	uint32_t block = o->block[at], before;

	o->block[at] = o->block[--o->blocks];
	sn_intent_begin(&o->s->writer, SN_INTENT_RETURN, block, 0);
	sn_ports_return(&o->s->ports, &o->s->writer, block);
	before = atomic_exchange_explicit(&holder[block], 0, memory_order_relaxed);
	STRESS_ASSERT(before == o->s->number + 1, "block %u was taken from shard %u", block, o->s->number);
	sn_intent_clear(&o->s->writer);
}

static void run(void *arg)
{
	struct owner *o = arg;

	for (uint32_t i = 0; i < OPS; i++) {
		if (o->blocks < WANT && seed_below(&o->rng, 5) < 3)
			claim(o);
		else if (o->blocks > 0)
			give_back(o, seed_below(&o->rng, o->blocks));
	}
}

static void expect_counts(const struct owner *owners)
{
	uint32_t owned = 0, held = 0, counted = 0;

	for (uint32_t s = 0; s < SHARDS; s++)
		owned += owners[s].blocks;
	for (uint32_t b = 0; b < sn_ports_block_count(&w.shard[0].ports); b++) {
		struct sn_block_owner o = sn_ports_owner(&w.shard[0].ports, b);

		STRESS_ASSERT((o.claimed ? o.shard + 1u : 0) == holder[b], "block %u: its word names another owner", b);
		held += holder[b] != 0;
	}
	for (uint32_t a = 0; a < ADDRESSES; a++)
		counted += w.shard[0].ports.addresses[a].claimed;
	STRESS_ASSERT(owned == held && held == counted, "%u blocks owned, %u held, %u counted", owned, held, counted);
}

int main(void)
{
	struct sn_geometry geo = world_geometry(SHARDS, 256, ADDRESSES);
	struct owner owners[SHARDS] = { 0 };
	uint64_t seed = seed_start(103);
	struct stress all;

	geo.block_size = SN_BLOCK_SIZE_MAX;
	world_make(&w, &geo);
	STRESS_ASSERT(sn_ports_block_count(&w.shard[0].ports) <= BLOCKS_MAX, "blocks");
	stress_init(&all, SHARDS);
	for (uint32_t s = 0; s < SHARDS; s++) {
		owners[s] = (struct owner){ .s = &w.shard[s], .rng = seed + s };
		stress_run(&all, run, &owners[s]);
	}
	stress_join(&all);
	expect_counts(owners);
	for (uint32_t s = 0; s < SHARDS; s++)
		printf("shard %u: %u claims, %u refused\n", s, owners[s].claims, owners[s].refused);
	world_drop(&w);
	return 0;
}
