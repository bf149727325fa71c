/*
 * test_ports.c: addresses, blocks claimed by rival shards, ports and their hold-down.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "world.h"

static struct world w;
static struct sn_ports *p0, *p1;
static struct sn_writer *w0, *w1;

static void make(void)
{
	struct sn_geometry geo = world_geometry(2, 64, 3);

	geo.held_ports = 4;
	world_make(&w, &geo);
	p0 = &w.shard[0].ports;
	p1 = &w.shard[1].ports;
	w0 = &w.shard[0].writer;
	w1 = &w.shard[1].writer;
}

static void drop(void)
{
	world_drop(&w);
}

TestSuite(ports, .init = make, .fini = drop);

static uint32_t claim(struct sn_ports *p, struct sn_writer *wr, uint32_t address, uint64_t start, uint32_t shard)
{
	uint32_t block = SN_NONE;

	sn_intent_begin(wr, SN_INTENT_CLAIM, 0, 0);
	if (sn_ports_claim(p, wr, address, start, (uint8_t)shard, 7, 1, &block) == 0)
		sn_intent_clear(wr);
	else
		sn_intent_undo(wr);
	return block;
}

static int bind_port(uint32_t block, enum sn_l4 l4, uint32_t start, uint32_t binding, uint16_t *ret_place)
{
	int err;

	sn_intent_begin(w0, SN_INTENT_OPEN, 0, 0);
	err = sn_ports_bind(p0, w0, block, l4, start, binding, ret_place);
	sn_intent_clear(w0);
	return err;
}

static void unbind_port(uint32_t block, enum sn_l4 l4, uint16_t place, uint32_t now_ds, uint32_t hold_ds)
{
	sn_intent_begin(w0, SN_INTENT_CLOSE, 0, 0);
	sn_ports_unbind(p0, w0, block, l4, place, now_ds, hold_ds);
	sn_intent_clear(w0);
}

Test(ports, addresses_are_found_and_strangers_are_not)
{
	for (uint32_t i = 0; i < 3; i++)
		cr_expect_eq(sn_ports_address(p0, htonl(WORLD_PUBLIC + i)), i);
	cr_expect_eq(sn_ports_address(p0, htonl(WORLD_PUBLIC + 3)), SN_NONE);
	cr_expect_eq(sn_ports_address(p0, 0), SN_NONE);
	cr_expect_eq(sn_ports_add_address(p0, 3, htonl(1), 0), -ENOSPC);
	cr_expect_eq(sn_ports_add_address(p0, 0, htonl(1), 0), -EEXIST);
	p0->addresses[1].state = SN_ADDRESS_ABSENT;
	cr_expect_eq(sn_ports_address(p0, htonl(WORLD_PUBLIC + 1)), SN_NONE);
	cr_expect_eq(sn_ports_add_address(p0, 1, htonl(WORLD_PUBLIC), 0), -EEXIST);
}

Test(ports, an_address_gives_each_block_above_1023_once_to_whichever_shard_comes_first)
{
	uint32_t usable = (65536 - 1024) / 64, given = 0;
	static bool seen[3 * 1024];

	for (uint32_t i = 0; i < usable; i++) {
		uint32_t block = i % 2 ? claim(p0, w0, 1, i * 977, 0) : claim(p1, w1, 1, i * 131, 1);

		cr_assert_neq(block, SN_NONE);
		cr_assert_not(seen[block]);
		cr_assert_geq(sn_ports_first_port(p0, block), 1024);
		cr_assert_eq(sn_ports_block_address(p0, block), 1);
		cr_assert_eq(sn_ports_owner(p1, block).shard, i % 2 ? 0 : 1);
		sn_ports_claimed(p0, block);
		seen[block] = true;
		given++;
	}
	cr_expect_eq(given, usable);
	cr_expect_eq(claim(p0, w0, 1, 0, 0), SN_NONE);
	cr_expect_neq(claim(p0, w0, 2, 0, 0), SN_NONE);
	cr_expect_eq(claim(p0, w0, 3, 0, 0), SN_NONE, "an address out of range");
}

Test(ports, the_same_start_finds_the_same_block_and_the_generation_goes_up)
{
	uint32_t block = claim(p0, w0, 0, 12345, 0);
	uint16_t generation = sn_ports_owner(p0, block).generation;

	sn_ports_claimed(p0, block);
	sn_intent_begin(w0, SN_INTENT_RETURN, block, 0);
	sn_ports_return(p0, w0, block);
	sn_intent_clear(w0);
	cr_expect_eq(p0->addresses[0].claimed, 0);
	cr_expect_eq(claim(p1, w1, 0, 12345, 1), block);
	cr_expect_eq(sn_ports_owner(p0, block).generation, generation + 1);
}

Test(ports, ports_wrap_within_the_block_and_run_out)
{
	uint32_t block = claim(p0, w0, 0, 0, 0);
	uint16_t place;

	for (uint32_t i = 0; i < 64; i++) {
		cr_assert_eq(bind_port(block, SN_L4_UDP, 60 + 64 * 5, 100 + i, &place), 0);
		cr_assert_eq(place, (60 + i) % 64);
		cr_assert_eq(sn_ports_binding(p0, block, SN_L4_UDP, place), 100 + i);
	}
	cr_expect_eq(bind_port(block, SN_L4_UDP, 0, 1, &place), -ENOSPC);
	cr_expect_eq(bind_port(block, SN_L4_TCP, 0, 1, &place), 0);
	cr_expect_eq(p0->blocks[block].bound[SN_L4_UDP], 64);
}

Test(ports, a_held_port_is_not_given_until_its_time_is_over)
{
	uint32_t block = claim(p0, w0, 0, 0, 0);
	uint16_t place, other;

	cr_assert_eq(bind_port(block, SN_L4_UDP, 5, 100, &place), 0);
	unbind_port(block, SN_L4_UDP, place, 1000, 1200);
	cr_expect_eq(sn_ports_binding(p0, block, SN_L4_UDP, place), SN_NONE);
	cr_assert_eq(bind_port(block, SN_L4_UDP, 5, 101, &other), 0);
	cr_expect_eq(other, 6);
	cr_expect_eq(sn_ports_release_held(p0, w0, 2199, 32), 0);
	cr_expect_eq(sn_ports_release_held(p0, w0, 2200, 32), 1);
	cr_assert_eq(bind_port(block, SN_L4_UDP, 5, 102, &other), 0);
	cr_expect_eq(other, 5);
}

Test(ports, without_hold_down_a_port_is_free_at_once)
{
	uint32_t block = claim(p0, w0, 0, 0, 0);
	uint16_t place;

	cr_assert_eq(bind_port(block, SN_L4_ICMP, 5, 100, &place), 0);
	unbind_port(block, SN_L4_ICMP, place, 1000, 0);
	cr_expect_eq(p0->blocks[block].held, 0);
	cr_assert_eq(bind_port(block, SN_L4_ICMP, 5, 100, &place), 0);
	cr_expect_eq(place, 5);
}

Test(ports, a_full_hold_ring_frees_the_oldest_early_and_counts_it)
{
	uint32_t block = claim(p0, w0, 0, 0, 0);
	uint16_t place[5];

	for (uint32_t i = 0; i < 5; i++)
		cr_assert_eq(bind_port(block, SN_L4_UDP, 10 + i, i, &place[i]), 0);
	for (uint32_t i = 0; i < 5; i++)
		unbind_port(block, SN_L4_UDP, place[i], 1000 + i, 1200);
	cr_expect_eq(p0->hold_ends->forced, 2, "four slots hold three ports");
	cr_expect_eq(p0->blocks[block].held, 3);
	cr_expect_eq(sn_ports_busy(p0, block, SN_L4_UDP)[0], 7ull << 12);
}

Test(ports, a_corrupt_hold_slot_is_passed_over)
{
	uint32_t block = claim(p0, w0, 0, 0, 0);
	uint16_t place;

	cr_assert_eq(bind_port(block, SN_L4_UDP, 1, 1, &place), 0);
	unbind_port(block, SN_L4_UDP, place, 1000, 10);
	p0->hold[0].block = 0xfffffff0u;
	cr_expect_eq(sn_ports_release_held(p0, w0, 2000, 32), 1);
	cr_expect_eq(p0->hold_ends->head, p0->hold_ends->tail);
}

Test(ports, numbers_out_of_range_are_nobodys)
{
	cr_expect_not(sn_ports_owner(p0, 3 * 1024).claimed);
	cr_expect_not(sn_ports_owner(p0, SN_NONE).claimed);
	cr_expect_eq(sn_ports_binding(p0, SN_NONE, SN_L4_UDP, 0), SN_NONE);
	cr_expect_eq(sn_ports_binding(p0, 0, SN_L4_COUNT, 0), SN_NONE);
	cr_expect_eq(sn_ports_binding(p0, 0, SN_L4_UDP, 64), SN_NONE);
}

Test(ports, an_undone_claim_leaves_the_block_to_others)
{
	uint32_t block;

	sn_intent_begin(w0, SN_INTENT_CLAIM, 0, 0);
	cr_assert_eq(sn_ports_claim(p0, w0, 0, 99, 0, 7, 1, &block), 0);
	sn_intent_undo(w0);
	cr_expect_eq(claim(p1, w1, 0, 99, 1), block);
}
