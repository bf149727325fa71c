/*
 * test_uring.c: ports over io_uring, with a pair of datagram sockets in place of a packet socket and its wire.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/mem.h"
#include "io/uring.h"
#include "seed.h"

#define FRAMES 256
#define FRAME_B 2048
#define DEPTH 64

static struct sn_umem umem;
static struct sn_uring *uring;
static struct sn_port port;
static int wire;

static void join(int fd)
{
	cr_assert_eq(sn_uring_open(&umem, false, &uring), 0);
	cr_assert_eq(sn_uring_join(uring, fd, SN_URING_PACKET, 3, DEPTH, 1, 0, &port), 0);
}

static int pair[2];

static void start(void)
{
	cr_assert_eq(sn_mem_umem(FRAMES, FRAME_B, &umem), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
	wire = pair[1];
	join(pair[0]);
}

static void stop(void)
{
	sn_uring_close(uring);
	sn_umem_leave(&umem);
	close(pair[0]);
	close(pair[1]);
}

TestSuite(uring, .init = start, .fini = stop);

/* Every frame is in one state, and those of the kernel are the ones it owes. */
static void expect_conserved(uint32_t in_hand)
{
	uint32_t counts[SN_FRAME_STATES], fill, tx;

	sn_umem_count(&umem, counts);
	sn_owed(&port, &fill, &tx);
	cr_assert_eq(counts[SN_FRAME_FILL], fill);
	cr_assert_eq(counts[SN_FRAME_TX], tx);
	cr_assert_eq(counts[SN_FRAME_WORK], in_hand);
	cr_assert_eq(counts[SN_FRAME_FREE], umem.free_count);
	cr_assert_eq(fill + tx + in_hand + umem.free_count, FRAMES);
}

static uint32_t receive(struct sn_desc *descs, uint32_t max)
{
	uint32_t n = sn_rx(&port, descs, max);

	sn_kick(&port);
	return n;
}

static void give_back(const struct sn_desc *descs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sn_umem_give(&umem, descs[i].frame);
}

Test(uring, packets_come_in_order_and_whole)
{
	uint64_t seed = seed_start(21);
	uint8_t sent[1500];
	uint32_t next_sent = 0, next_seen = 0, len_b[5000];
	struct sn_desc descs[SN_BURST];

	while (next_seen < SN_ARRAY_LEN(len_b)) {
		while (next_sent < SN_ARRAY_LEN(len_b)) {
			len_b[next_sent] = 60 + seed_below(&seed, 1440);
			memset(sent, (uint8_t)next_sent, sizeof(sent));
			if (send(wire, sent, len_b[next_sent], 0) < 0)
				break;
			next_sent++;
		}
		for (uint32_t n = receive(descs, 1 + seed_below(&seed, SN_BURST)), i = 0; i < n; i++, next_seen++) {
			memset(sent, (uint8_t)next_seen, sizeof(sent));
			cr_assert_eq(descs[i].len_b, len_b[next_seen]);
			cr_assert_eq(memcmp(sn_umem_frame(&umem, descs[i].frame) + descs[i].offset_b, sent, len_b[next_seen]), 0);
			sn_umem_give(&umem, descs[i].frame);
		}
	}
	expect_conserved(0);
}

Test(uring, sends_what_it_is_given)
{
	uint8_t got[2048];

	for (uint32_t i = 0; i < 1000; i++) {
		struct sn_desc d = { .frame = sn_umem_take(&umem), .offset_b = i % 256, .len_b = 60 + i };

		memset(sn_umem_frame(&umem, d.frame) + d.offset_b, (uint8_t)i, d.len_b);
		cr_assert_eq(sn_tx(&port, &d, 1), 1);
		cr_assert_gt(sn_kick(&port), 0);
		cr_assert_eq(recv(wire, got, sizeof(got), 0), (ssize_t)d.len_b);
		cr_assert(got[0] == (uint8_t)i && got[d.len_b - 1] == (uint8_t)i);
		expect_conserved(0);
	}
	cr_assert_eq(sn_kick(&port), 0, "nothing to do is no system call");
}

Test(uring, what_cannot_be_sent_is_counted_and_its_frame_is_free)
{
	struct sn_port_stats s = { 0 };
	uint32_t n = 0;

	for (; n < 3000; n++) {
		struct sn_desc d = { .frame = sn_umem_take(&umem), .len_b = 60 };

		cr_assert_eq(sn_tx(&port, &d, 1), 1);
		sn_kick(&port);
	}
	expect_conserved(0);
	sn_port_stats(&port, &s);
	cr_assert_eq(s.sent, n);
	cr_assert_gt(s.tx_failed, 0, "the other end takes nothing");
}

Test(uring, too_big_is_dropped_and_counted)
{
	static uint8_t big[FRAME_B];
	struct sn_desc descs[SN_BURST];
	struct sn_port_stats s = { 0 };

	receive(descs, SN_BURST);
	cr_assert_eq(send(wire, big, FRAME_B - 255, 0), FRAME_B - 255);
	cr_assert_eq(send(wire, big, FRAME_B - 256, 0), FRAME_B - 256);
	cr_assert_eq(receive(descs, SN_BURST), 1, "what fits just so");
	cr_assert_eq(descs[0].len_b, FRAME_B - 256);
	give_back(descs, 1);
	expect_conserved(0);
	sn_port_stats(&port, &s);
	cr_assert(s.too_big == 1 && s.received == 1 && s.kind == SN_PORT_PACKET);
}

/* All frames but the reserve are in the caller's hands: packets wait in the socket, and come when there are frames again. */
Test(uring, goes_on_after_it_ran_out_of_frames)
{
	struct sn_desc descs[FRAMES];
	uint8_t packet[100] = { 0 };
	uint32_t n = 0, more;

	for (uint32_t idle = 0; idle < 8; ) {
		while (send(wire, packet, sizeof(packet), 0) > 0)
			;
		more = receive(descs + n, SN_MIN(FRAMES - n, SN_BURST));
		idle = more ? 0 : idle + 1;
		n += more;
	}
	cr_assert_eq(n, FRAMES - FRAMES / 8);
	expect_conserved(n);
	give_back(descs, n);
	for (n = 0; !n; n = receive(descs, SN_BURST))
		;
	for (; n; n = receive(descs, SN_BURST))
		give_back(descs, n);
	expect_conserved(0);
}

Test(uring, a_successor_gets_all_frames)
{
	struct sn_desc descs[SN_BURST];
	uint8_t packet[100] = { 0 };
	struct sn_uring *dead = uring;

	receive(descs, SN_BURST);
	cr_assert_eq(send(wire, packet, sizeof(packet), 0), (ssize_t)sizeof(packet));
	cr_assert_eq(receive(descs, SN_BURST), 1);
	descs[1] = (struct sn_desc){ .frame = sn_umem_take(&umem), .len_b = 60 };
	cr_assert_eq(sn_tx(&port, &descs[1], 1), 1);
	sn_uring_close(dead); /* as the kernel does with a dead process's */
	join(pair[0]);
	sn_recover(&port);
	cr_assert_eq(sn_umem_reclaim(&umem), 1, "the packet in hand");
	cr_assert_eq(umem.free_count, FRAMES);
	expect_conserved(0);
	cr_assert_eq(send(wire, packet, sizeof(packet), 0), (ssize_t)sizeof(packet));
	while (!receive(descs, 1))
		;
}

Test(uring, input_and_eventfds_end_a_sleep)
{
	struct sn_desc descs[SN_BURST];
	uint8_t packet[100] = { 0 };
	uint64_t one = 1;
	int counter = eventfd(0, EFD_NONBLOCK);

	cr_assert_eq(sn_uring_watch(uring, counter, true), 0);
	receive(descs, SN_BURST);
	for (uint32_t i = 0; i < 3; i++) {
		cr_assert_eq(write(counter, &one, sizeof(one)), (ssize_t)sizeof(one));
		sn_uring_wait(uring, 60000);
	}
	cr_assert_eq(send(wire, packet, sizeof(packet), 0), (ssize_t)sizeof(packet));
	sn_uring_wait(uring, 60000);
	cr_assert(sn_pending(&port));
	cr_assert_eq(receive(descs, SN_BURST), 1);
	cr_assert(!sn_pending(&port));
	close(counter);
}
