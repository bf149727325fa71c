/* Neighbours: requests from workers, answers from the kernel, and what is asked when; the clock is moved by hand. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <linux/neighbour.h>
#include <string.h>
#include <sys/mman.h>

#include "neighbours.h"

#define SECOND_NS 1000000000ull
#define HOST(n) __builtin_bswap32(0xc6336400u + (n)) /* 198.51.100.n */

static const struct sn_geometry geometry = { .shards = 1, .workers = 2, .flows = 4096, .subscribers = 64,
					      .addresses = 1, .block_size = 512, .events = 64, .held_ports = 64,
					      .commands = 64, .handoff = 64, .audits = 64 };
static const uint8_t mac_a[6] = { 2, 0, 0, 0, 0, 1 }, mac_b[6] = { 2, 0, 0, 0, 0, 2 };

static struct sn_region region;
static struct sn_links links = { .generation = 1, .count = 2, .ifindex = { 11, 12 } };
static struct sn_neighbours neighbours;
static uint32_t asked, asked_ifindex, asked_addr_be32;
static int answer;

static int ask(void *ctx, uint32_t ifindex, uint32_t addr_be32)
{
	(void)ctx;
	if (answer != 0)
		return answer;
	asked++;
	asked_ifindex = ifindex;
	asked_addr_be32 = addr_be32;
	return 0;
}

static void set_up(void)
{
	size_t size_b = sn_region_footprint(&geometry);
	void *mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert(size_b > 0 && mem != MAP_FAILED);
	cr_assert_eq(sn_region_format(mem, size_b, &geometry, "test"), 0);
	cr_assert_eq(sn_region_join(mem, size_b, true, &region), 0);
	sn_neighbours_init(&neighbours, &region, &links, ask, NULL);
}

static void tear_down(void)
{
	munmap(region.base, region.size_b);
}

TestSuite(neighbours, .init = set_up, .fini = tear_down);

static void pass_ms(uint64_t ms)
{
	atomic_fetch_add(&region.hdr->clock.offset_ns, ms * 1000000u);
}

static void post(uint32_t worker, uint32_t interface, uint32_t addr_be32)
{
	struct sn_ring ring = sn_region_requests(&region, worker);
	struct sn_request *slot = sn_ring_reserve(&ring, 0);

	cr_assert_not_null(slot);
	*slot = (struct sn_request){ interface, addr_be32 };
	sn_ring_publish(&ring, 1);
}

static void request(uint32_t worker, uint32_t interface, uint32_t addr_be32)
{
	post(worker, interface, addr_be32);
	cr_assert(sn_neighbours_requests(&neighbours));
	sn_neighbours_tick(&neighbours);
}

static void hear(uint32_t ifindex, uint32_t addr_be32, uint16_t state, const uint8_t *mac, bool deleted)
{
	struct sn_netlink_neighbour k = { addr_be32, ifindex, state, deleted, mac != NULL, { 0 } };

	if (mac != NULL)
		memcpy(k.mac, mac, 6);
	sn_neighbours_heard(&neighbours, &k);
}

/* State of an entry; SN_NB_FREE if there is none. */
static enum sn_neighbour_state state_of(uint16_t interface, uint32_t addr_be32, struct sn_neighbour *ret)
{
	uint16_t number = sn_neighbour_find(region.routing, interface, addr_be32);

	*ret = (struct sn_neighbour){ 0 };
	if (number == SN_NEIGHBOUR_UNKNOWN || !sn_neighbour_read(region.routing, number, ret))
		return SN_NB_FREE;
	return ret->state;
}

static void expect(uint16_t interface, uint32_t addr_be32, enum sn_neighbour_state state, const uint8_t *mac)
{
	struct sn_neighbour n;

	cr_assert_eq(state_of(interface, addr_be32, &n), state, "state %d", n.state);
	if (mac != NULL)
		cr_assert_eq(memcmp(n.mac, mac, 6), 0);
}

static void work(uint16_t interface, uint32_t addr_be32)
{
	uint16_t number = sn_neighbour_find(region.routing, interface, addr_be32);

	atomic_store(&region.routing->neighbours[number].used_ds, sn_clock_ds(sn_clock_ns(&region.hdr->clock)));
}

Test(neighbours, a_request_is_wanted_asked_and_resolved)
{
	request(1, 1, HOST(7));
	expect(1, HOST(7), SN_NB_WANTED, NULL);
	cr_assert(asked == 1 && asked_ifindex == 12 && asked_addr_be32 == HOST(7));
	hear(12, HOST(7), NUD_INCOMPLETE, NULL, false);
	expect(1, HOST(7), SN_NB_WANTED, NULL);
	hear(12, HOST(7), NUD_REACHABLE, mac_a, false);
	expect(1, HOST(7), SN_NB_RESOLVED, mac_a);
	request(0, 1, HOST(7));
	cr_assert_eq(asked, 1);
}

Test(neighbours, senseless_requests_are_counted)
{
	post(0, 2, HOST(7));
	post(0, UINT32_MAX, HOST(7));
	post(0, 0, 0);
	post(1, 0, __builtin_bswap32(0xe0000001u));
	sn_neighbours_requests(&neighbours);
	sn_neighbours_tick(&neighbours);
	cr_assert(neighbours.refused == 4 && asked == 0 && atomic_load(&region.routing->neighbour_count) == 0);
}

Test(neighbours, failed_is_tried_again_after_a_second)
{
	request(0, 0, HOST(7));
	hear(11, HOST(7), NUD_FAILED, NULL, false);
	expect(0, HOST(7), SN_NB_FAILED, NULL);
	request(0, 0, HOST(7));
	cr_assert_eq(asked, 1);
	pass_ms(1100);
	sn_neighbours_tick(&neighbours);
	cr_assert_eq(asked, 2);
	expect(0, HOST(7), SN_NB_WANTED, NULL);
	hear(11, HOST(7), NUD_FAILED, NULL, false);
	pass_ms(5000);
	sn_neighbours_tick(&neighbours);
	cr_assert_eq(asked, 2, "nobody has asked since");
	request(0, 0, HOST(7));
	cr_assert_eq(asked, 3);
	hear(11, HOST(7), NUD_INCOMPLETE, NULL, true);
	expect(0, HOST(7), SN_NB_FAILED, NULL);
}

Test(neighbours, without_an_answer_it_is_asked_again_and_given_up)
{
	request(0, 0, HOST(7));
	for (int i = 0; i < 4; i++) {
		pass_ms(1100);
		sn_neighbours_tick(&neighbours);
	}
	cr_assert_eq(asked, 5);
	expect(0, HOST(7), SN_NB_WANTED, NULL);
	pass_ms(1100);
	sn_neighbours_tick(&neighbours);
	cr_assert_eq(asked, 5);
	expect(0, HOST(7), SN_NB_FAILED, NULL);
}

Test(neighbours, while_nobody_listens_the_question_stays)
{
	answer = -1;
	request(0, 0, HOST(7));
	cr_assert_eq(asked, 0);
	answer = 0;
	sn_neighbours_tick(&neighbours);
	cr_assert_eq(asked, 1);
	sn_neighbours_tick(&neighbours);
	cr_assert_eq(asked, 1);
}

Test(neighbours, known_ones_are_taken_without_a_request)
{
	hear(11, HOST(1), NUD_STALE, mac_a, false);
	hear(12, HOST(1), NUD_PERMANENT, mac_b, false);
	hear(99, HOST(2), NUD_REACHABLE, mac_a, false);
	hear(11, HOST(3), NUD_FAILED, NULL, false);
	hear(11, HOST(4), NUD_REACHABLE, NULL, false);
	expect(0, HOST(1), SN_NB_RESOLVED, mac_a);
	expect(1, HOST(1), SN_NB_RESOLVED, mac_b);
	expect(0, HOST(3), SN_NB_FREE, NULL);
	expect(0, HOST(4), SN_NB_FREE, NULL);
	cr_assert_eq(atomic_load(&region.routing->neighbour_count), 2);
}

Test(neighbours, a_new_mac_is_taken)
{
	struct sn_neighbour before, after;

	hear(11, HOST(1), NUD_REACHABLE, mac_a, false);
	state_of(0, HOST(1), &before);
	hear(11, HOST(1), NUD_STALE, mac_a, false);
	state_of(0, HOST(1), &after);
	cr_assert_eq(atomic_load(&before.seq), atomic_load(&after.seq), "nothing changed, nothing is written");
	hear(11, HOST(1), NUD_REACHABLE, mac_b, false);
	expect(0, HOST(1), SN_NB_RESOLVED, mac_b);
}

Test(neighbours, one_in_use_is_asked_every_30_s_one_not_in_use_is_not)
{
	hear(11, HOST(1), NUD_REACHABLE, mac_a, false);
	hear(11, HOST(2), NUD_REACHABLE, mac_a, false);
	hear(11, HOST(3), NUD_PERMANENT, mac_a, false);
	for (int i = 0; i < 12; i++) {
		pass_ms(10000);
		work(0, HOST(1));
		work(0, HOST(3));
		sn_neighbours_tick(&neighbours);
	}
	cr_assert_eq(asked, 4);
	cr_assert_eq(asked_addr_be32, HOST(1));
}

Test(neighbours, deleted_by_the_kernel_the_mac_stays_until_it_fails)
{
	hear(11, HOST(1), NUD_REACHABLE, mac_a, false);
	hear(11, HOST(1), NUD_STALE, mac_a, true);
	expect(0, HOST(1), SN_NB_RESOLVED, mac_a);
	pass_ms(1100);
	work(0, HOST(1));
	sn_neighbours_tick(&neighbours);
	cr_assert_eq(asked, 1);
	pass_ms(31000);
	hear(11, HOST(1), NUD_FAILED, NULL, false);
	expect(0, HOST(1), SN_NB_FAILED, NULL);
}

/* Its MAC may have changed: the kernel's probes went to the old one. */
Test(neighbours, one_in_use_that_fails_is_wanted_at_once)
{
	hear(11, HOST(1), NUD_REACHABLE, mac_a, false);
	work(0, HOST(1));
	hear(11, HOST(1), NUD_FAILED, NULL, false);
	expect(0, HOST(1), SN_NB_WANTED, NULL);
	sn_neighbours_tick(&neighbours);
	cr_assert_eq(asked, 1);
	hear(11, HOST(1), NUD_FAILED, NULL, false);
	expect(0, HOST(1), SN_NB_FAILED, NULL);
}

Test(neighbours, what_a_dump_does_not_name_is_asked_for)
{
	hear(11, HOST(1), NUD_REACHABLE, mac_a, false);
	hear(11, HOST(2), NUD_REACHABLE, mac_a, false);
	sn_neighbours_begin(&neighbours);
	hear(11, HOST(2), NUD_STALE, mac_a, false);
	pass_ms(2000);
	work(0, HOST(1));
	work(0, HOST(2));
	sn_neighbours_tick(&neighbours);
	cr_assert(asked == 1 && asked_addr_be32 == HOST(1));
}

Test(neighbours, a_successor_asks_for_what_was_wanted)
{
	answer = -1;
	request(0, 0, HOST(7));
	answer = 0;
	sn_neighbours_init(&neighbours, &region, &links, ask, NULL);
	sn_neighbours_tick(&neighbours);
	cr_assert(asked == 1 && asked_addr_be32 == HOST(7));
}

/* Every entry taken: what comes then is counted, and what is there still works. */
Test(neighbours, a_full_table_is_counted)
{
	for (uint32_t i = 0; i < SN_NEIGHBOURS_MAX + 100; i++)
		hear(11, __builtin_bswap32(0x0a000001u + i), NUD_STALE, mac_a, false);
	cr_assert_geq(neighbours.full, 100);
	cr_assert_leq(atomic_load(&region.routing->neighbour_count), SN_NEIGHBOURS_MAX);
	expect(0, __builtin_bswap32(0x0a000001u), SN_NB_RESOLVED, mac_a);
	request(0, 1, HOST(7));
	expect(1, HOST(7), SN_NB_FREE, NULL);
	sn_neighbours_tick(&neighbours);
}

/* Somebody asks for one address after the other; they fail, and new ones have room all the same. */
Test(neighbours, a_scan_does_not_fill_the_table_for_ever)
{
	request(0, 1, HOST(7));
	hear(12, HOST(7), NUD_REACHABLE, mac_a, false);
	for (uint32_t i = 0; i < SN_NEIGHBOURS_MAX - 1; i++)
		sn_neighbour_set(region.routing, 0, htonl(0x0a000000 + i), SN_NB_FAILED, NULL, 1);
	pass_ms(1000);
	work(1, HOST(7));
	request(0, 1, HOST(8));
	expect(1, HOST(8), SN_NB_WANTED, NULL);
	expect(1, HOST(7), SN_NB_RESOLVED, mac_a);
	expect(0, htonl(0x0a000000), SN_NB_FREE, NULL);
	cr_assert_eq(neighbours.full, 0);
}

Test(neighbours, what_is_behind_a_device_without_macs_is_resolved)
{
	static const uint8_t none[6];

	region.policy->copy[0].interfaces[1].ifindex = 12;
	request(0, 1, HOST(7));
	expect(1, HOST(7), SN_NB_RESOLVED, none);
	pass_ms(60000);
	work(1, HOST(7));
	sn_neighbours_tick(&neighbours);
	cr_assert_eq(asked, 0);
}
