/*
 * test_fragments.c: what is told about datagrams and held for them, against a naive twin; and cutting, against joining again.
 */
#include <criterion/criterion.h>

#include "packet/cut.h"
#include "packet/fragments.h"
#include "packet_build.h"
#include "seed.h"

static struct sn_fragments table;

static struct sn_told told_of(uint16_t port, uint16_t id)
{
	return (struct sn_told){ .src_port_be16 = port, .dst_port_be16 = 9, .id_be16 = id };
}

Test(fragments, told_until_its_time_is_over)
{
	struct sn_told told = told_of(7, 1);

	cr_assert_null(sn_fragments_told(&table, 5, 100));
	sn_fragments_tell(&table, 5, &told, 100);
	cr_assert_eq(sn_fragments_told(&table, 5, 100)->src_port_be16, 7);
	cr_assert_not_null(sn_fragments_told(&table, 5, 100 + SN_FRAGMENT_LIFE_DS - 1));
	cr_assert_null(sn_fragments_told(&table, 5, 100 + SN_FRAGMENT_LIFE_DS));
	cr_assert_null(sn_fragments_told(&table, 7, 100), "another datagram");
}

Test(fragments, a_repetition_keeps_the_identification)
{
	struct sn_told first = told_of(7, 1), again = told_of(7, 2), other = told_of(8, 3);

	sn_fragments_tell(&table, 5, &first, 100);
	cr_expect_eq(sn_fragments_tell(&table, 5, &again, 101)->id_be16, 1);
	cr_expect_eq(sn_fragments_tell(&table, 5, &other, 102)->id_be16, 3, "the name was used again");
	cr_expect_eq(sn_fragments_tell(&table, 5, &again, 500)->id_be16, 2, "after its time");
}

Test(fragments, released_when_the_first_comes)
{
	struct sn_told told = told_of(7, 1);
	bool pushed;
	uint32_t a = sn_fragments_hold(&table, 5, 100, &pushed), b = sn_fragments_hold(&table, 9, 100, &pushed);
	uint32_t c = sn_fragments_hold(&table, 5, 100, &pushed);

	cr_assert(!pushed && a != b && b != c && a != c);
	cr_assert_eq(sn_fragments_release(&table), SN_NONE);
	sn_fragments_tell(&table, 5, &told, 101);
	cr_expect_eq(sn_fragments_release(&table), a);
	cr_expect_eq(sn_fragments_release(&table), c);
	cr_expect_eq(sn_fragments_release(&table), SN_NONE);
	cr_expect_eq(sn_fragments_expire(&table, 100 + SN_FRAGMENT_HELD_DS - 1), SN_NONE);
	cr_expect_eq(sn_fragments_expire(&table, 100 + SN_FRAGMENT_HELD_DS), b);
	cr_expect_eq(table.held_count, 0);
}

Test(fragments, a_flood_pushes_out_the_oldest)
{
	uint32_t first = SN_NONE, place;
	bool pushed;

	for (uint32_t i = 0; i < SN_FRAGMENTS_HELD; i++) {
		place = sn_fragments_hold(&table, 2 * i + 1, 100, &pushed);
		first = i == 0 ? place : first;
		cr_assert(!pushed);
	}
	cr_expect_eq(sn_fragments_hold(&table, 9999, 100, &pushed), first);
	cr_expect(pushed);
	cr_expect_eq(table.held_count, SN_FRAGMENTS_HELD);
}

/* Whatever happens, no place is given out twice, and counts are those of the places. */
Test(fragments, random_operations)
{
	uint64_t seed = seed_start(1);
	uint32_t now_ds = 1000, place;
	static bool mine[SN_FRAGMENTS_HELD];
	uint32_t mine_count = 0;

	for (uint32_t step = 0; step < 200000; step++) {
		uint64_t name = seed_below(&seed, 300) * 0x100000 + 1;
		struct sn_told told = told_of((uint16_t)name, (uint16_t)step);
		bool pushed;

		now_ds += seed_below(&seed, 16) == 0;
		switch (seed_below(&seed, 4)) {
		case 0:
			sn_fragments_tell(&table, name, &told, now_ds);
			cr_assert_eq(sn_fragments_told(&table, name, now_ds)->src_port_be16, (uint16_t)name);
			break;
		case 1:
			place = sn_fragments_hold(&table, name, now_ds, &pushed);
			cr_assert_eq(pushed, mine[place]);
			mine_count += !pushed;
			mine[place] = true;
			break;
		default:
			place = step & 1 ? sn_fragments_release(&table) : sn_fragments_expire(&table, now_ds);
			if (place == SN_NONE)
				break;
			cr_assert(mine[place]);
			mine[place] = false;
			mine_count--;
		}
		cr_assert_eq(table.held_count, mine_count);
	}
}

/* Cuts a packet, and joins it again by what the fragments' headers say. */
static void cut_and_join(const struct build *b, uint32_t mtu_b)
{
	uint8_t frame[BUILD_MAX_B], piece[BUILD_MAX_B], joined[BUILD_MAX_B] = { 0 };
	uint32_t len_b = build_frame(frame, b), count, seen_b = 0;
	struct sn_packet p, q;

	cr_assert_eq(sn_parse(frame, len_b, &p), SN_V_FORWARD);
	count = sn_cut_count(&p, mtu_b);
	cr_assert_gt(count, 1);
	for (uint32_t i = count; i-- > 0;) {
		uint32_t piece_b = i == 0 ? 0 : sn_cut_later(&p, mtu_b, i, piece), word;

		if (i == 0) {
			sn_cut_first(&p, mtu_b);
			memcpy(piece, p.frame, p.len_b);
			piece_b = p.len_b;
		}
		cr_assert_eq(sn_parse(piece, piece_b, &q), SN_V_FRAGMENT, "fragment %u of %u", i, count);
		cr_assert_leq(q.ip.len_b, mtu_b);
		word = (uint32_t)(piece[q.ip.l3_off_b + 6] << 8 | piece[q.ip.l3_off_b + 7]);
		cr_assert_eq((word & 0x2000) != 0, i + 1 < count);
		memcpy(joined + (word & 0x1fff) * 8, piece + q.ip.l4_off_b, q.ip.l4_b);
		seen_b += q.ip.l4_b;
	}
	cr_assert_eq(sn_cut_count(&p, mtu_b), 1);
	build_frame(frame, b);
	cr_assert_eq(seen_b, len_b - p.ip.l4_off_b);
	cr_assert_arr_eq(joined, frame + p.ip.l4_off_b, seen_b);
}

Test(cut, joins_again)
{
	uint64_t seed = seed_start(1);

	for (uint32_t i = 0; i < 2000; i++) {
		struct build b = { .src = seed_below(&seed, 1u << 31), .dst = seed_below(&seed, 1u << 31), .sport = 7, .dport = 9,
				   .proto = i & 1 ? 17 : 6, .ttl = 64, .payload_b = 200 + seed_below(&seed, 800),
				   .tcp_flags = 16, .seed = 2 };

		cut_and_join(&b, 68 + seed_below(&seed, 130));
	}
}

Test(cut, what_cannot_be_cut)
{
	struct build b = { .src = 1, .dst = 2, .proto = 17, .ttl = 64, .payload_b = 1000, .seed = 2 };
	uint8_t frame[BUILD_MAX_B];
	struct sn_packet p;

	cr_assert_eq(sn_parse(frame, build_frame(frame, &b), &p), SN_V_FORWARD);
	cr_expect_eq(sn_cut_count(&p, 27), 0, "no room for eight bytes");
	cr_expect_eq(sn_cut_count(&p, 28), 0, "too many");
	cr_expect_eq(sn_cut_count(&p, 1028), 1);
	cr_expect_eq(sn_cut_count(&p, 1027), 2);
}
