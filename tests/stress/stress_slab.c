/*
 * stress_slab.c: four shards, each in a thread, take and give records; chunks go to and fro between them and a pool
 * that is smaller than what they want. No record may be two shards', and nobody may see less than what the shard before
 * has done to a chunk.
 */
#include "seed.h"
#include "threads.h"
#include "world.h"

#define SHARDS 4u
#define RECORDS 512u
#define WANT 320u
#define OPS 150000u
#define RECORDS_MAX 1024u

struct owner {
	struct sn_shard *s;
	uint64_t rng;
	uint32_t record[WANT], records, goal, taken, refused;
};

static struct world w;
static uint32_t owner_of[RECORDS_MAX]; /* shard + 1. W: whoever has the record, and nobody else: plain on purpose */

/* One in eight is taken back before it is true. */
static void take(struct owner *o)
{
	struct sn_shard *s = o->s;
	uint32_t n;

	sn_intent_begin(&s->writer, SN_INTENT_OPEN, 0, 0);
	if (sn_slab_take(&s->flows, &s->writer, &n) != 0) {
		sn_intent_undo(&s->writer);
		o->refused++;
		return;
	}
	if (seed_below(&o->rng, 8) == 0) {
		sn_intent_undo(&s->writer);
		return;
	}
	sn_intent_clear(&s->writer);
	STRESS_ASSERT(n < w.r.flow_count && owner_of[n] == 0, "record %u is shard %u's and shard %u's", n,
		      owner_of[n] - 1, s->number);
	owner_of[n] = s->number + 1;
	o->record[o->records++] = n;
	o->taken++;
}

static void give(struct owner *o)
{
	uint32_t at = seed_below(&o->rng, o->records), n = o->record[at];
	struct sn_shard *s = o->s;

	STRESS_ASSERT(owner_of[n] == s->number + 1 && sn_slab_has(&s->flows, n), "record %u was taken from shard %u", n,
		      s->number);
	owner_of[n] = 0;
	o->record[at] = o->record[--o->records];
	sn_intent_begin(&s->writer, SN_INTENT_CLOSE, 0, 0);
	sn_slab_give(&s->flows, &s->writer, n);
	sn_intent_clear(&s->writer);
}

/* Towards a goal that changes, so that chunks empty and fill. */
static void run(void *arg)
{
	struct owner *o = arg;

	for (uint32_t i = 0; i < OPS; i++) {
		if (seed_below(&o->rng, 200) == 0)
			o->goal = seed_below(&o->rng, WANT + 1);
		if (o->records < o->goal)
			take(o);
		else if (o->records > 0)
			give(o);
	}
}

static void expect_counts(const struct owner *o)
{
	uint32_t chunks = 0, live = 0;

	for (uint32_t k = 0; k < o->s->flows.chunk_count; k++) {
		if (sn_slab_owner(&o->s->flows.chunks[k]) != o->s->number)
			continue;
		chunks++;
		live += o->s->flows.chunks[k].live;
	}
	STRESS_ASSERT(o->s->flows.lease->live == o->records && live == o->records,
		      "shard %u: %u records, counts %u, its chunks %u", o->s->number, o->records,
		      o->s->flows.lease->live, live);
	STRESS_ASSERT(o->s->flows.lease->chunks == chunks, "shard %u: %u chunks, counts %u", o->s->number, chunks,
		      o->s->flows.lease->chunks);
}

int main(void)
{
	struct sn_geometry geo = world_geometry(SHARDS, RECORDS, 1);
	static struct owner owners[SHARDS];
	uint64_t seed = seed_start(104);
	struct stress all;

	world_make(&w, &geo);
	STRESS_ASSERT(w.r.flow_count <= RECORDS_MAX && w.r.flow_count < SHARDS * WANT, "%u records", w.r.flow_count);
	stress_init(&all, SHARDS);
	for (uint32_t s = 0; s < SHARDS; s++) {
		owners[s] = (struct owner){ .s = &w.shard[s], .rng = seed + s };
		stress_run(&all, run, &owners[s]);
	}
	stress_join(&all);
	for (uint32_t s = 0; s < SHARDS; s++) {
		expect_counts(&owners[s]);
		printf("shard %u: %u records taken, %u refused\n", s, owners[s].taken, owners[s].refused);
	}
	world_drop(&w);
	return 0;
}
