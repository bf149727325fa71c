/*
 * test_region.c: making and joining, what is refused, and that no two parts of the region overlap.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "world.h"

static struct sn_geometry geo;
static void *mem;
static size_t size_b;

static void make(void)
{
	geo = world_geometry(4, 1000, 3);
	geo.workers = 3;
	size_b = sn_region_footprint(&geo);
	mem = step_memory(size_b);
	cr_assert_eq(sn_region_format(mem, size_b, &geo, "test"), 0);
}

static void drop(void)
{
	munmap(mem, size_b);
}

TestSuite(region, .init = make, .fini = drop);

static struct sn_region join(void)
{
	struct sn_region r;

	cr_assert_eq(sn_region_join(mem, size_b, true, &r), 0);
	return r;
}

Test(region, what_was_made_is_joined_with_at_least_what_was_asked_for)
{
	struct sn_region r = join();

	cr_expect_geq(r.flow_count, 1000);
	cr_expect_geq(r.binding_count, 1000);
	cr_expect_geq(r.subscriber_count, 256);
	cr_expect_str_eq(r.hdr->instance, "test");
	cr_expect_eq(r.hdr->flow_chunks_free, r.flow_count / r.flow_chunk_records);
	cr_expect(r.hdr->boot_id[0] != 0 && r.hdr->boot_id[1] != 0);
	cr_expect(r.hdr->key.k0 != 0 || r.hdr->key.k1 != 0);
	for (uint32_t s = 0; s < 4; s++)
		cr_expect_eq(sn_region_owner(&r, s).worker, SN_NONE);
}

Test(region, two_regions_have_different_keys)
{
	struct sn_region r = join();
	struct sn_hash_key key = r.hdr->key;

	memset(mem, 0, size_b);
	cr_assert_eq(sn_region_format(mem, size_b, &geo, "test"), 0);
	cr_expect_neq(key.k0, r.hdr->key.k0);
}

Test(region, it_may_be_joined_anywhere_and_in_a_larger_file)
{
	void *other = step_memory(size_b * 2);
	struct sn_region r;

	memcpy(other, mem, size_b);
	cr_expect_eq(sn_region_join(other, size_b * 2, false, &r), 0);
	cr_expect_eq(r.size_b, size_b);
	cr_expect_not(r.writable);
	munmap(other, size_b * 2);
}

static int join_error(void)
{
	struct sn_region r = { .base = mem };
	int err = sn_region_join(mem, size_b, true, &r);

	if (err != 0)
		cr_expect_null(r.hdr, "what a failure leaves is untouched");
	return err;
}

Test(region, another_region_is_refused_with_its_reason)
{
	struct sn_header *h = mem, good = *h;
	struct sn_region r;

	cr_expect_eq(sn_region_join(mem, sizeof(*h) - 1, true, &r), SN_JOIN_GARBAGE);
	cr_expect_eq(sn_region_join(mem, size_b / 2, true, &r), SN_JOIN_SIZE);
	atomic_store(&h->magic, 0);
	cr_expect_eq(join_error(), SN_JOIN_GARBAGE);
	*h = good;
	h->abi_minor++;
	cr_expect_eq(join_error(), SN_JOIN_ABI);
	*h = good;
	h->layout_hash ^= 1;
	cr_expect_eq(join_error(), SN_JOIN_ABI);
	*h = good;
	h->size_b += 64;
	cr_expect_eq(join_error(), SN_JOIN_SIZE);
	*h = good;
	h->geometry.flows *= 2;
	cr_expect_eq(join_error(), SN_JOIN_SIZE);
	*h = good;
	h->geometry.shards = 3;
	cr_expect_eq(join_error(), SN_JOIN_SIZE);
	*h = good;
	h->section[SN_SEC_FLOWS] += 64;
	cr_expect_eq(join_error(), SN_JOIN_SIZE);
	*h = good;
	cr_expect_eq(join_error(), 0);
	for (int e = SN_JOIN_GARBAGE; e <= SN_JOIN_SIZE; e++)
		cr_expect_neq(strcmp(sn_join_error_text(e), sn_join_error_text(e + 1)), 0);
}

Test(region, impossible_geometries_have_no_footprint)
{
	struct sn_geometry bad[12];

	for (size_t i = 0; i < SN_ARRAY_LEN(bad); i++)
		bad[i] = geo;
	bad[0].shards = 0;
	bad[1].shards = 6;
	bad[2].shards = 512;
	bad[3].workers = 0;
	bad[4].workers = 65;
	bad[5].flows = 0;
	bad[6].flows = UINT32_MAX;
	bad[7].block_size = 32;
	bad[8].block_size = 100;
	bad[9].addresses = 65537;
	bad[10].events = 100;
	bad[11].subscribers = 0;
	for (size_t i = 0; i < SN_ARRAY_LEN(bad); i++) {
		cr_expect_eq(sn_region_footprint(&bad[i]), 0, "%zu", i);
		cr_expect_eq(sn_region_format(mem, size_b, &bad[i], "test"), -EINVAL, "%zu", i);
	}
	cr_expect_eq(sn_region_format(mem, size_b - 1, &geo, "test"), -ENOMEM);
}

/* --- nothing overlaps: each part is filled with a number of its own, and then all are looked at --- */

struct part {
	uint8_t *at;
	size_t size_b;
};

static struct part parts[256];
static uint32_t part_count;

static void add(void *at, size_t part_b)
{
	cr_assert_lt(part_count, SN_ARRAY_LEN(parts));
	cr_assert((uint8_t *)at >= (uint8_t *)mem && (uint8_t *)at + part_b <= (uint8_t *)mem + size_b);
	parts[part_count++] = (struct part){ at, part_b };
}

static void add_ring(struct sn_ring ring)
{
	add(ring.ends, sizeof(*ring.ends));
	add(ring.data, (size_t)ring.slots * ring.slot_b);
}

static void add_index(struct sn_index ix)
{
	add(ix.buckets, ix.bucket_count * sizeof(*ix.buckets));
}

static void add_shard(const struct sn_region *r, uint32_t s)
{
	struct sn_event_ring e = sn_region_events(r, s);
	struct sn_ports p = sn_region_ports(r, s);

	add_ring(sn_region_audits(r, s));
	add(e.head, sizeof(*e.head));
	add(e.slots, e.slot_count * sizeof(*e.slots));
	add(sn_region_intent(r, s), sizeof(struct sn_intent));
	add_index(sn_region_index(r, SN_SEC_FLOW_INDEX, s));
	add_index(sn_region_index(r, SN_SEC_BINDING_INDEX, s));
	add_index(sn_region_index(r, SN_SEC_SUBSCRIBER_INDEX, s));
	add(&r->shards[s], sizeof(r->shards[s]));
	add(p.hold, p.hold_count * sizeof(*p.hold));
}

static void add_ports(const struct sn_region *r)
{
	struct sn_ports p = sn_region_ports(r, SN_NONE);
	size_t blocks = sn_ports_block_count(&p), ports = blocks * SN_L4_COUNT * p.block_size;

	add(p.addresses, p.address_count * sizeof(*p.addresses));
	add(p.address_slots, p.address_slot_count * sizeof(*p.address_slots));
	add((void *)p.owners, blocks * sizeof(*p.owners));
	add(p.blocks, blocks * sizeof(*p.blocks));
	add(p.busy, ports / 8);
	add(p.map, ports * sizeof(*p.map));
}

static void add_records(const struct sn_region *r)
{
	add(r->flows, r->flow_count * sizeof(*r->flows));
	add(r->bindings, r->binding_count * sizeof(*r->bindings));
	add(r->subscribers, r->subscriber_count * sizeof(*r->subscribers));
	add(r->flow_chunks, r->flow_count / r->flow_chunk_records * sizeof(*r->flow_chunks));
	add(r->binding_chunks, r->binding_count / r->binding_chunk_records * sizeof(*r->binding_chunks));
	add(r->subscriber_chunks, r->subscriber_count / r->subscriber_chunk_records * sizeof(*r->subscriber_chunks));
}

Test(region, no_two_parts_overlap)
{
	struct sn_region r = join();

	add(r.hdr, sizeof(*r.hdr));
	add(r.processes, SN_PROCESSES_MAX * sizeof(*r.processes));
	add((void *)r.owners, 4 * sizeof(*r.owners));
	add(r.policy, sizeof(*r.policy));
	add(r.routing, sizeof(*r.routing));
	add(r.stats, 3 * sizeof(*r.stats));
	for (uint32_t i = 0; i < 3; i++) {
		add_ring(sn_region_commands(&r, i));
		add_ring(sn_region_requests(&r, i));
		for (uint32_t to = 0; to < 3; to++)
			add_ring(sn_region_handoff(&r, i, to));
	}
	for (uint32_t s = 0; s < 4; s++)
		add_shard(&r, s);
	add_records(&r);
	add_ports(&r);
	for (uint32_t i = 0; i < part_count; i++)
		memset(parts[i].at, (int)i, parts[i].size_b);
	for (uint32_t i = 0; i < part_count; i++)
		for (size_t b = 0; b < parts[i].size_b; b++)
			cr_assert_eq(parts[i].at[b], (uint8_t)i, "part %u is overwritten at %zu", i, b);
}

/* --- readers --- */

Test(region, only_live_records_in_range_are_read)
{
	struct sn_region r = join();
	struct sn_subscriber u;
	struct sn_binding b;
	struct sn_flow f;

	cr_expect_not(sn_region_read_flow(&r, 5, &f));
	cr_expect_not(sn_region_read_flow(&r, r.flow_count, &f));
	cr_expect_not(sn_region_read_binding(&r, SN_NONE, &b));
	cr_expect_not(sn_region_read_subscriber(&r, SN_NONE, &u));
	r.flows[5].inside_be32 = 77;
	atomic_store(&r.flows[5].gen, 3);
	cr_expect(sn_region_read_flow(&r, 5, &f) && f.inside_be32 == 77 && f.gen == 3);
}

/* --- sizes --- */

Test(region, a_million_flows_cost_at_most_200_bytes_each)
{
	struct sn_geometry big = { .shards = 16,
				   .workers = 2,
				   .flows = 1000000,
				   .subscribers = 50000,
				   .addresses = 64,
				   .block_size = 512,
				   .events = 4096,
				   .held_ports = 16384,
				   .commands = 256,
				   .handoff = 256,
				   .audits = 1024 };
	static const enum sn_section per_flow[] = { SN_SEC_FLOWS,    SN_SEC_FLOW_INDEX,    SN_SEC_FLOW_CHUNKS,
						    SN_SEC_BINDINGS, SN_SEC_BINDING_INDEX, SN_SEC_BINDING_CHUNKS };
	size_t need_b = sn_region_footprint(&big), sum_b = 0;
	void *large = mmap(NULL, need_b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct sn_region r;

	cr_assert_neq(large, MAP_FAILED);
	cr_assert_eq(sn_region_format(large, need_b, &big, "big"), 0);
	cr_assert_eq(sn_region_join(large, need_b, true, &r), 0);
	for (size_t i = 0; i < SN_ARRAY_LEN(per_flow); i++)
		sum_b += sn_region_section_b(&r, per_flow[i]);
	cr_expect_leq(sum_b, 200u * big.flows, "%zu", sum_b);
	munmap(large, need_b);
}
