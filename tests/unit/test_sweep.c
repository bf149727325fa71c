/* The sweep over a region in memory, whose records are laid out by hand. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sweep.h"

#define WHOLE UINT32_MAX
#define SECOND_NS 1000000000ull

static const struct sn_geometry geometry = { .shards = 4, .workers = 2, .flows = 16384, .subscribers = 4096,
					      .addresses = 2, .block_size = 512, .events = 64, .held_ports = 64,
					      .commands = 64, .handoff = 64, .audits = 64 };

static struct sn_region region;
static struct sn_sweep sweep;

/* Shards 0 and 1 are worker 0's, 2 and 3 worker 1's. */
static void set_up(void)
{
	size_t size_b = sn_region_footprint(&geometry);
	void *mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert(size_b > 0 && mem != MAP_FAILED);
	cr_assert_eq(sn_region_format(mem, size_b, &geometry, "test"), 0);
	cr_assert_eq(sn_region_join(mem, size_b, true, &region), 0);
	for (uint32_t i = 0; i < geometry.shards; i++)
		atomic_store(&region.owners[i], sn_shard_owner_pack((struct sn_shard_owner){ i / 2, 1 }));
	atomic_store(&region.hdr->clock.offset_ns, 1000 * SECOND_NS);
	sn_sweep_init(&sweep, &region);
}

static void tear_down(void)
{
	munmap(region.base, region.size_b);
}

TestSuite(sweep, .init = set_up, .fini = tear_down);

static uint32_t now_ds(void)
{
	return sn_clock_ds(sn_clock_ns(&region.hdr->clock));
}

static void next_second(void)
{
	atomic_fetch_add(&region.hdr->clock.offset_ns, SECOND_NS);
}

static void lease(struct sn_chunk *chunks, uint32_t chunk, uint32_t shard)
{
	atomic_store(&chunks[chunk].owner, 1u << 16 | (shard + 1));
}

static void use(struct sn_chunk *chunks, uint32_t per_chunk, uint32_t record)
{
	chunks[record / per_chunk].used[record % per_chunk / 64] |= 1ull << record % 64;
}

/* The record's whole chunk becomes the shard's. */
static void put_flow(uint32_t shard, uint32_t record, uint32_t gen, uint32_t expires_ds)
{
	lease(region.flow_chunks, record / region.flow_chunk_records, shard);
	use(region.flow_chunks, region.flow_chunk_records, record);
	atomic_store(&region.flows[record].expires_ds, expires_ds);
	atomic_store(&region.flows[record].gen, gen);
}

static struct sn_subscriber *put_subscriber(uint32_t record, uint32_t gen)
{
	struct sn_subscriber *u = &region.subscribers[record];

	use(region.subscriber_chunks, region.subscriber_chunk_records, record);
	*u = (struct sn_subscriber){ .gen = gen, .address = SN_NONE, .first_block = SN_NONE };
	return u;
}

static void put_block(uint32_t block, uint32_t subscriber, uint8_t shard, uint16_t generation)
{
	atomic_store(&sweep.ports.owners[block],
		     sn_block_owner_pack((struct sn_block_owner){ subscriber, generation, shard, true }));
	sweep.ports.blocks[block].next = SN_NONE;
}

/* Takes a command from a worker's ring. */
static bool take(uint32_t worker, struct sn_command *ret)
{
	struct sn_ring ring = sn_region_commands(&region, worker);
	const struct sn_command *c = sn_ring_peek(&ring, 0);

	if (c == NULL)
		return false;
	*ret = *c;
	sn_ring_release(&ring, 1);
	return true;
}

static void expect_command(uint32_t worker, uint32_t op, uint32_t shard, uint32_t record, uint32_t gen)
{
	struct sn_command c = { 0 };

	cr_assert(take(worker, &c));
	cr_assert(c.op == op && c.shard == shard && c.record == record && c.gen == gen, "%u %u %u %u", c.op, c.shard,
		  c.record, c.gen);
}

static void expect_none(void)
{
	struct sn_command c;

	for (uint32_t i = 0; i < geometry.workers; i++)
		cr_assert_not(take(i, &c), "op %u record %u", c.op, c.record);
}

Test(sweep, only_what_is_over_is_told_to_its_owner)
{
	put_flow(3, 5, 7, now_ds() - 1);
	put_flow(3, 70, 9, now_ds());
	put_flow(3, 71, 9, now_ds() + 1000);
	put_flow(3, 72, 8, 0);
	cr_assert_gt(sn_sweep_slice(&sweep, WHOLE), 0);
	expect_command(1, SN_CMD_EXPIRE, 3, 5, 7);
	expect_command(1, SN_CMD_EXPIRE, 3, 70, 9);
	expect_none();
	cr_assert_eq(sn_sweep_touched(&sweep), 2);
	cr_assert_eq(sn_sweep_touched(&sweep), 0);
}

Test(sweep, a_chunk_in_the_pool_and_a_shard_without_owner_are_passed_by)
{
	put_flow(200, 5, 7, 0);
	put_flow(1, region.flow_chunk_records, 7, 0);
	put_flow(0, 2 * region.flow_chunk_records, 7, 0);
	atomic_store(&region.flow_chunks[2].owner, 1u << 16);
	atomic_store(&region.owners[1], sn_shard_owner_pack((struct sn_shard_owner){ SN_NONE, 2 }));
	sn_sweep_slice(&sweep, WHOLE);
	expect_none();
	cr_assert_eq(sweep.skipped, 1);
}

Test(sweep, once_a_second_of_the_regions_time)
{
	put_flow(0, 1, 1, now_ds());
	sn_sweep_slice(&sweep, WHOLE);
	expect_command(0, SN_CMD_EXPIRE, 0, 1, 1);
	sn_sweep_slice(&sweep, WHOLE);
	expect_none();
	put_flow(0, 2, 1, now_ds() + 5);
	next_second();
	sn_sweep_slice(&sweep, WHOLE);
	expect_command(0, SN_CMD_EXPIRE, 0, 1, 1);
	expect_command(0, SN_CMD_EXPIRE, 0, 2, 1);
	expect_none();
}

Test(sweep, small_slices_see_everything_once)
{
	uint32_t got = 0, slices = 0;
	struct sn_command c;

	for (uint32_t i = 0; i < 10000; i += 50)
		put_flow(0, i, 1, 0);
	do {
		slices++;
		while (take(0, &c))
			cr_assert_eq(c.record, 50 * got++);
	} while (sn_sweep_slice(&sweep, 128) == 0);
	while (take(0, &c))
		cr_assert_eq(c.record, 50 * got++);
	cr_assert_eq(got, 200);
	cr_assert_gt(slices, 10000 / 128);
}

Test(sweep, a_full_ring_is_waited_for)
{
	struct sn_command c;
	uint32_t got = 0;

	for (uint32_t i = 0; i < 1000; i++)
		put_flow(0, i, 1, 0);
	while (got < 1000) {
		uint32_t wait_ms = sn_sweep_slice(&sweep, WHOLE);

		cr_assert(wait_ms > 0 && (wait_ms <= 5 || got + geometry.commands >= 1000));
		while (take(0, &c))
			cr_assert_eq(c.record, got++);
	}
	sn_sweep_slice(&sweep, WHOLE);
	expect_none();
	cr_assert_eq(sweep.passes, 1);
}

Test(sweep, a_worker_that_takes_nothing_does_not_hold_up_the_other)
{
	uint32_t slices = 0;

	for (uint32_t i = 0; i < 1000; i++)
		put_flow(0, i, 1, 0);
	put_flow(2, 8192, 1, 0);
	while (sn_sweep_slice(&sweep, WHOLE) <= 5)
		cr_assert_lt(++slices, 100);
	cr_assert_eq(sweep.skipped, 1000 - geometry.commands);
	expect_command(1, SN_CMD_EXPIRE, 2, 8192, 1);
	next_second();
	expect_command(0, SN_CMD_EXPIRE, 0, 0, 1);
	sn_sweep_slice(&sweep, WHOLE);
	cr_assert_eq(sweep.expired, geometry.commands + 2, "the next pass tries the worker again");
}

Test(sweep, an_empty_block_is_returned_but_one_stays_with_a_subscriber_in_use)
{
	struct sn_subscriber *u = put_subscriber(3, 1);

	u->flows = 1;
	u->blocks = 3;
	u->first_block = 10;
	put_block(10, 3, 2, 5);
	put_block(11, 3, 2, 6);
	put_block(12, 3, 2, 7);
	sweep.ports.blocks[10].next = 11;
	sweep.ports.blocks[11].next = 12;
	sweep.ports.blocks[10].bound[SN_L4_UDP] = 1;
	sn_sweep_slice(&sweep, WHOLE);
	expect_command(1, SN_CMD_RETURN_BLOCK, 2, 12, 7);
	expect_none();
	sweep.ports.blocks[11].held = 1;
	next_second();
	sn_sweep_slice(&sweep, WHOLE);
	expect_none();
}

Test(sweep, blocks_of_idle_and_missing_subscribers_are_returned)
{
	put_subscriber(3, 1)->blocks = 1;
	put_block(10, 3, 0, 1);
	put_block(11, 4, 1, 2);
	put_block(12, SN_NONE, 3, 3);
	put_block(13, 3, 77, 4);
	sn_sweep_slice(&sweep, WHOLE);
	expect_command(0, SN_CMD_RETURN_BLOCK, 0, 10, 1);
	expect_command(0, SN_CMD_RETURN_BLOCK, 1, 11, 2);
	expect_command(1, SN_CMD_RETURN_BLOCK, 3, 12, 3);
	expect_none();
}

Test(sweep, a_list_that_goes_round_ends)
{
	struct sn_subscriber *u = put_subscriber(3, 1);

	u->flows = 1;
	u->blocks = 2;
	u->first_block = 10;
	put_block(10, 3, 2, 5);
	put_block(11, 3, 2, 6);
	sweep.ports.blocks[10].bound[0] = 1;
	sweep.ports.blocks[10].next = 10;
	sn_sweep_slice(&sweep, WHOLE);
	expect_command(1, SN_CMD_RETURN_BLOCK, 2, 11, 6);
	expect_none();
}

Test(sweep, only_a_subscriber_without_anything_leaves)
{
	lease(region.subscriber_chunks, 0, 1);
	put_subscriber(0, 3);
	put_subscriber(1, 3)->flows = 1;
	put_subscriber(2, 3)->blocks = 1;
	put_subscriber(3, 3)->ports[SN_L4_ICMP] = 1;
	put_subscriber(4, 4);
	sn_sweep_slice(&sweep, WHOLE);
	expect_command(0, SN_CMD_LEAVE, 1, 0, 3);
	expect_none();
}

static void scribble(void *mem, size_t size_b)
{
	uint8_t *bytes = mem;

	for (size_t i = 0; i < size_b; i++)
		bytes[i] = (uint8_t)rand();
}

/* Noise everywhere the sweep reads: it must end, and tell only workers there are about records there are. */
static void sweep_noise(unsigned int seed)
{
	uint32_t slices = 0;
	struct sn_command c;

	srand(seed);
	set_up();
	scribble(region.flow_chunks, region.flow_count / region.flow_chunk_records * sizeof(struct sn_chunk));
	scribble(region.subscriber_chunks,
		 region.subscriber_count / region.subscriber_chunk_records * sizeof(struct sn_chunk));
	scribble(region.flows, region.flow_count * sizeof(struct sn_flow));
	scribble(region.subscribers, region.subscriber_count * sizeof(struct sn_subscriber));
	scribble(sweep.ports.blocks, sn_ports_block_count(&sweep.ports) * sizeof(struct sn_block));
	scribble(sweep.ports.owners, sn_ports_block_count(&sweep.ports) * sizeof(uint64_t));
	for (uint32_t i = 0; i < region.flow_count / region.flow_chunk_records; i++)
		lease(region.flow_chunks, i, (uint32_t)rand() % 6);
	while (sn_sweep_slice(&sweep, 5000) <= 5) {
		cr_assert_lt(++slices, 10000, "seed %u", seed);
		for (uint32_t w = 0; w < geometry.workers; w++)
			while (take(w, &c)) {
				cr_assert(c.shard / 2 == w && c.op >= SN_CMD_EXPIRE && c.op <= SN_CMD_LEAVE, "seed %u",
					  seed);
				cr_assert_lt(c.record, region.flow_count, "seed %u", seed);
			}
	}
	tear_down();
}

Test(sweep_noise, is_contained)
{
	for (unsigned int seed = 1; seed <= 5; seed++)
		sweep_noise(seed);
}
