/*
 * test_check.c: a sound region is clean; each kind of damage is found, and named; a shard in the middle of a change is
 * not called broken; and what check finds, a rebuild repairs.
 */
#include <criterion/criterion.h>
#include <ctype.h>

#include "seed.h"
#include "shard_inner.h"
#include "world.h"

#define FLOWS 60u

static struct world w;
static uint32_t flow; /* any live one */
static struct sn_flow *f;
static struct sn_binding *b;
static struct sn_subscriber *u;
static struct sn_shard *s;
static char first[256]; /* what check said first */

static void make(void)
{
	struct sn_geometry geo = world_geometry(4, 512, 2);

	geo.events = 1024;
	world_make(&w, &geo);
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct sn_open o = world_open(&w, i % 12, 17, (uint16_t)(1000 + i % 7), i);

		world_drain_audits(world_shard(&w, i % 12));
		cr_assert_eq(sn_shard_open(world_shard(&w, i % 12), &o, &flow), SN_V_FORWARD);
		if (i % 5 == 4)
			sn_shard_close(world_shard(&w, i % 12), flow, SN_REASON_EXPIRED, &w.policy, WORLD_NOW_NS);
		if (i % 5 == 4)
			flow = SN_NONE;
	}
	for (flow = 0; (w.r.flows[flow].gen & 1) == 0;)
		flow++;
	f = &w.r.flows[flow];
	b = &w.r.bindings[f->binding];
	u = &w.r.subscribers[b->subscriber];
	s = &w.shard[f->shard];
}

static void drop(void)
{
	world_drop(&w);
}

TestSuite(check, .init = make, .fini = drop);

static void keep_first(void *ctx, const char *line)
{
	(void)ctx;
	if (first[0] == '\0')
		snprintf(first, sizeof(first), "%s", line);
	for (const char *c = line; *c != '\0'; c++)
		cr_expect(isprint((unsigned char)*c) && *c != '"' && *c != '\\', "fit for JSON without escapes");
}

static int check(struct sn_check *ret)
{
	first[0] = '\0';
	return sn_check_region(&w.r, false, keep_first, NULL, ret);
}

/* Exactly this damage is in the region: it is found, and gone when a rebuild has been there. */
static void expect_found(const char *what)
{
	struct sn_check found;

	cr_expect_eq(check(&found), 1, "%s", what);
	cr_expect_gt(found.violations, 0);
	cr_expect_not_null(strstr(first, what), "said: %s", first);
	for (uint32_t i = 0; i < w.r.geo.shards; i++)
		sn_shard_rebuild(&w.shard[i]);
	cr_expect_eq(check(&found), 0, "after the rebuild: %s", first);
}

static struct sn_index_bucket *bucket_with_entries(const struct sn_index *ix, uint32_t *ret_slot)
{
	for (uint32_t i = 0; i < ix->bucket_count; i++)
		for (*ret_slot = 0; *ret_slot < SN_INDEX_ENTRIES; (*ret_slot)++)
			if (ix->buckets[i].entry[*ret_slot] != 0)
				return &ix->buckets[i];
	return NULL;
}

Test(check, a_sound_region_is_clean_and_counted)
{
	struct sn_check found;

	cr_expect_eq(check(&found), 0, "%s", first);
	cr_expect_eq(found.flows, FLOWS - FLOWS / 5);
	cr_expect_eq(found.subscribers, 12);
	cr_expect_eq(found.blocks, 12);
	cr_expect_eq(sn_check_region(&w.r, true, keep_first, NULL, &found), 0, "live too");
}

Test(check, a_shard_in_the_middle_of_a_change_is_not_proved)
{
	struct sn_check found;

	sn_intent_begin(&s->writer, SN_INTENT_OPEN, 0, 0);
	cr_expect_eq(check(&found), 2);
	cr_expect_eq(found.unsettled, 1);
	cr_expect_eq(sn_check_region(&w.r, true, keep_first, NULL, &found), 2);
}

/* Opens, refuses and closes for as long as it lives. */
static void keep_changing(void)
{
	w.policy.limits.ports[SN_L4_UDP] = 6;
	for (uint32_t i = 0;; i++) {
		struct sn_open o = world_open(&w, i % 12, 17, (uint16_t)(1000 + i % 9), i % 100);
		uint32_t n;

		world_drain_audits(world_shard(&w, i % 12));
		if (sn_shard_open(world_shard(&w, i % 12), &o, &n) == SN_V_FORWARD && i % 2)
			sn_shard_close(world_shard(&w, i % 12), n, SN_REASON_COMMAND, &w.policy, WORLD_NOW_NS);
		if (i % 64 == 0)
			usleep(200);
	}
}

Test(check, a_changing_shard_is_never_called_broken, .timeout = 60)
{
	pid_t child = fork();
	uint64_t proved = 0, changes = s->writer.intent->changes;

	if (child == 0)
		keep_changing();
	for (uint32_t i = 0; i < 60 || s->writer.intent->changes < changes + 1000; i++) {
		struct sn_check found;

		cr_expect_neq(sn_check_region(&w.r, true, keep_first, NULL, &found), 1, "%s", first);
		proved += w.r.geo.shards - found.unsettled;
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	fprintf(stderr, "%llu shards proved while they changed\n", (unsigned long long)proved);
}

Test(check, flow_missing_from_the_index)
{
	uint32_t slot;

	bucket_with_entries(&s->flow_index, &slot)->entry[slot] = 0;
	expect_found("found 0 times");
}

Test(check, index_entry_that_leads_nowhere)
{
	for (uint32_t i = 0; i < SN_INDEX_ENTRIES; i++)
		if (s->flow_index.buckets[1].entry[i] == 0) {
			s->flow_index.buckets[1].entry[i] = 0xffffffff;
			break;
		}
	expect_found("flow index:");
}

Test(check, binding_missing_from_the_index)
{
	uint32_t slot;

	bucket_with_entries(&s->binding_index, &slot)->entry[slot] = 0;
	expect_found("found 0 times from its inside end");
}

Test(check, subscriber_missing_from_the_index)
{
	uint32_t slot;

	bucket_with_entries(&s->subscriber_index, &slot)->entry[slot] = 0;
	expect_found("found 0 times from its address");
}

Test(check, flow_with_another_inside_end_than_its_binding)
{
	f->inside_port_be16 ^= 1;
	expect_found("inside end is not that of its binding");
}

Test(check, flow_with_another_public_end_than_its_binding)
{
	f->public_port_be16 ^= 1;
	expect_found("public end is not that of its binding");
}

Test(check, flow_whose_binding_is_out_of_range)
{
	f->binding = 0xfffffff0;
	expect_found("its binding");
}

Test(check, flow_in_another_shard)
{
	f->shard ^= 1;
	expect_found("in a shard that is not its own");
}

Test(check, two_bindings_with_one_public_port)
{
	const struct sn_binding *other = NULL;

	for (uint32_t i = 0; i < w.r.binding_count && other == NULL; i++)
		if (sn_alive(&w.r.bindings[i].gen) && &w.r.bindings[i] != b && w.r.bindings[i].block == b->block)
			other = &w.r.bindings[i];
	cr_assert_not_null(other);
	b->public_port_be16 = other->public_port_be16;
	expect_found("is binding");
}

Test(check, binding_whose_port_is_not_in_its_block)
{
	b->public_port_be16 ^= htons(64);
	expect_found("is not in its block");
}

Test(check, binding_of_no_subscriber)
{
	b->subscriber = 0xfffffff0;
	expect_found("its protocol, subscriber or block cannot be");
}

Test(check, map_word_of_a_binding_that_is_not_there)
{
	for (uint32_t place = 0; place < 64; place++)
		if (sn_ports_binding(&s->ports, b->block, SN_L4_UDP, (uint16_t)place) == SN_NONE) {
			sn_ports_map(&s->ports, b->block, SN_L4_UDP)[place] = 0xfffffff0;
			break;
		}
	expect_found("which is not there");
}

Test(check, busy_bit_of_nobody)
{
	sn_ports_busy(&s->ports, b->block, SN_L4_TCP)[0] ^= 1;
	expect_found("busy bits");
}

Test(check, busy_bit_lost)
{
	sn_ports_busy(&s->ports, b->block, SN_L4_UDP)[0] = 0;
	expect_found("busy bits");
}

Test(check, counts)
{
	struct {
		uint32_t *count;
		const char *what;
	} counts[] = { { &u->flows, "flows" },
		       { &u->ports[SN_L4_UDP], "udp ports" },
		       { &b->flows, "flows" },
		       { &s->state->flows.live, "records in use" },
		       { &s->state->flows.chunks, "chunks" } };

	for (size_t i = 0; i < SN_ARRAY_LEN(counts); i++) {
		++*counts[i].count;
		expect_found(counts[i].what);
	}
}

Test(check, small_counts)
{
	struct {
		uint16_t *count;
		const char *what;
	} counts[] = { { &u->blocks, "blocks" },
		       { &b->outside_flows, "flows from outside" },
		       { &s->ports.blocks[b->block].bound[SN_L4_UDP], "bound ports" },
		       { &s->ports.blocks[b->block].held, "held ports" } };

	for (size_t i = 0; i < SN_ARRAY_LEN(counts); i++) {
		++*counts[i].count;
		expect_found(counts[i].what);
	}
}

Test(check, chunk_bits)
{
	struct sn_chunk *c = &w.r.flow_chunks[flow / w.r.flow_chunk_records];

	c->used[0] ^= 1ull << 63;
	expect_found("taken from its chunk but not alive");
	c->used[flow % w.r.flow_chunk_records / 64] ^= 1ull << flow % 64;
	expect_found("not taken but alive");
	c->summary ^= 1;
	expect_found("summary");
}

Test(check, chunk_list)
{
	s->state->flows.first = SN_NONE;
	expect_found("chunks have room");
	s->state->flows.first = 0xfffffff0;
	expect_found("on the list of chunks with room");
}

Test(check, block_off_its_subscribers_list)
{
	u->first_block = SN_NONE;
	expect_found("does not list it");
}

Test(check, block_claimed_for_nobody)
{
	struct sn_block_owner o = { .subscriber = 200, .generation = 9, .shard = 0, .claimed = true };

	atomic_store(&s->ports.owners[500], sn_block_owner_pack(o));
	expect_found("claimed for subscriber 200");
}

Test(check, free_block_with_a_busy_port)
{
	struct sn_check found;

	sn_ports_busy(&s->ports, 500, SN_L4_TCP)[0] = 4;
	cr_expect_eq(check(&found), 1);
	cr_expect_not_null(strstr(first, "free, but has busy ports"), "%s", first);
}

Test(check, address_that_counts_too_many_blocks)
{
	struct sn_check found;

	w.shard[0].ports.addresses[0].claimed += 100;
	cr_expect_eq(check(&found), 1);
	cr_expect_not_null(strstr(first, "blocks claimed"), "%s", first);
}

Test(check, hold_ring_slot_that_names_nothing)
{
	struct sn_shard *h = NULL;

	for (uint32_t i = 0; i < w.r.geo.shards && h == NULL; i++)
		if (w.shard[i].state->hold.head != w.shard[i].state->hold.tail)
			h = &w.shard[i];
	cr_assert_not_null(h);
	h->ports.hold[h->state->hold.tail & (h->ports.hold_count - 1)].block = 0xfffffff0;
	expect_found("names no port");
}

Test(check, hold_ring_ends)
{
	s->state->hold.tail = s->state->hold.head + 1;
	expect_found("hold ring");
}

/* --- any damage: never a crash, and a take-over makes it whole again --- */

static uint64_t seed;

static void scribble(enum sn_section section, uint32_t words)
{
	uint8_t *at = w.r.base + w.r.section[section];
	size_t size_b = sn_region_section_b(&w.r, section);

	for (uint32_t i = 0; i < words; i++)
		at[seed_next(&seed) % size_b] = (uint8_t)seed_next(&seed);
}

Test(check, random_damage_is_contained)
{
	static const enum sn_section sections[] = { SN_SEC_FLOW_INDEX, SN_SEC_BINDING_INDEX, SN_SEC_SUBSCRIBER_INDEX,
						    SN_SEC_FLOWS,      SN_SEC_BINDINGS,      SN_SEC_SUBSCRIBERS,
						    SN_SEC_HOLDS,      SN_SEC_BLOCKS,        SN_SEC_PORT_BUSY,
						    SN_SEC_PORT_MAP };
	struct sn_check found;

	seed = seed_start(77);
	for (uint32_t round = 0; round < 300; round++) {
		enum sn_section section = sections[seed_below(&seed, SN_ARRAY_LEN(sections))];
		size_t size_b = sn_region_section_b(&w.r, section);

		scribble(section, (uint32_t)SN_MIN(size_b / 50, 2000u));
		check(&found);
		for (uint32_t i = 0; i < 20; i++) {
			struct sn_open o = world_open(&w, i % 12, 17, (uint16_t)seed_below(&seed, 50), i);
			uint32_t n;

			sn_shard_open(world_shard(&w, i % 12), &o, &n);
			sn_shard_close(&w.shard[i % 4], seed_below(&seed, w.r.flow_count), SN_REASON_COMMAND, &w.policy,
				       WORLD_NOW_NS);
			sn_shard_tick(&w.shard[i % 4], WORLD_NOW_NS + round * 10000000000ull);
			world_drain_audits(&w.shard[i % 4]);
		}
		for (uint32_t i = 0; i < w.r.geo.shards; i++)
			sn_shard_rebuild(&w.shard[i]);
		/* Bits of free blocks are no shard's: nobody rebuilds them. */
		if (section != SN_SEC_PORT_BUSY)
			cr_assert_eq(check(&found), 0, "section %d: %s", section, first);
		else
			memset(w.shard[0].ports.busy, 0, sn_region_section_b(&w.r, SN_SEC_PORT_BUSY));
		for (uint32_t i = 0; section == SN_SEC_PORT_BUSY && i < w.r.geo.shards; i++)
			sn_shard_rebuild(&w.shard[i]);
	}
}
