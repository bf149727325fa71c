/*
 * test_mem.c: the port over memory: order, bounds, and frames that always come back.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "io/mem.h"
#include "seed.h"

#define FRAMES 64
#define FRAME_B 2048
#define DEPTH 24 /* not a power of two */

struct bench {
	struct sn_port in, out;
};

static struct bench start(void)
{
	static struct sn_umem umem; /* ports point at it */
	struct bench b;

	cr_assert_eq(sn_mem_umem(FRAMES, FRAME_B, &umem), 0);
	cr_assert_eq(sn_mem_port(&umem, 3, DEPTH, &b.in), 0);
	cr_assert_eq(sn_mem_port(&umem, 4, DEPTH, &b.out), 0);
	return b;
}

static void stop(struct bench *b)
{
	struct sn_umem *u = b->in.umem;

	sn_mem_port_free(&b->in);
	sn_mem_port_free(&b->in);
	sn_mem_port_free(&b->out);
	sn_umem_leave(u);
}

Test(mem, packets_go_through_unchanged_and_in_order)
{
	struct bench b = start();
	struct sn_desc descs[SN_BURST];
	uint8_t packet[1500], got[1500];

	for (uint32_t i = 0; i < DEPTH; i++) {
		memset(packet, (int)i + 1, sizeof(packet));
		cr_assert(sn_mem_put(&b.in, packet, 60 + i));
	}
	cr_assert(!sn_mem_put(&b.in, packet, 60), "room for DEPTH packets");
	cr_assert(sn_pending(&b.in));
	cr_assert_eq(sn_rx(&b.in, descs, SN_BURST), DEPTH);
	cr_assert(!sn_pending(&b.in));
	cr_assert_eq(sn_umem_state(b.in.umem, descs[0].frame), SN_FRAME_WORK);
	cr_assert_eq(sn_tx(&b.out, descs, DEPTH), DEPTH);
	cr_assert_eq(sn_kick(&b.out), 0);
	for (uint32_t i = 0; i < DEPTH; i++) {
		memset(packet, (int)i + 1, sizeof(packet));
		cr_assert_eq(sn_mem_get(&b.out, got, sizeof(got)), 60 + i);
		cr_assert_eq(memcmp(got, packet, 60 + i), 0);
	}
	cr_assert_eq(sn_mem_get(&b.out, got, sizeof(got)), 0);
	cr_assert_eq(b.in.umem->free_count, FRAMES);
	stop(&b);
}

Test(mem, what_does_not_fit_stays_the_callers)
{
	struct bench b = start();
	struct sn_desc descs[DEPTH + 8];
	uint8_t big[FRAME_B] = { 0 };

	cr_assert(!sn_mem_put(&b.in, big, FRAME_B), "longer than a frame with its headroom");
	cr_assert(sn_mem_put(&b.in, big, FRAME_B - 256));
	for (uint32_t i = 0; i < DEPTH + 8; i++)
		descs[i] = (struct sn_desc){ .frame = sn_umem_take(b.in.umem), .offset_b = 256, .len_b = 64 };
	cr_assert_eq(sn_tx(&b.out, descs, DEPTH + 8), DEPTH);
	cr_assert_eq(sn_umem_state(b.in.umem, descs[DEPTH].frame), SN_FRAME_WORK);
	while (sn_umem_take(b.in.umem) != SN_NONE)
		;
	cr_assert(!sn_mem_put(&b.in, big, 60), "no free frame");
	stop(&b);
}

Test(mem, random_traffic_conserves_frames)
{
	uint64_t seed = seed_start(23);
	struct bench b = start();
	struct sn_desc descs[8];
	uint32_t counts[SN_FRAME_STATES];
	uint64_t in = 0, out = 0, dropped = 0, word;

	for (uint32_t i = 0; i < 50000; i++) {
		uint32_t n = 0, sent = 0;

		in += sn_mem_put(&b.in, &in, sizeof(in));
		if (!seed_below(&seed, 3))
			n = sn_rx(&b.in, descs, 1 + seed_below(&seed, 8));
		sent = sn_tx(&b.out, descs, n);
		for (uint32_t d = sent; d < n; d++, dropped++)
			sn_umem_give(b.in.umem, descs[d].frame);
		for (uint32_t g = seed_below(&seed, 3); g && sn_mem_get(&b.out, &word, sizeof(word)); g--, out++)
			cr_assert(word >= out && word < in);
		sn_umem_count(b.in.umem, counts);
		cr_assert_eq(in - out - dropped, counts[SN_FRAME_FILL] + counts[SN_FRAME_TX]);
		cr_assert_eq(counts[SN_FRAME_FREE], b.in.umem->free_count);
	}
	cr_assert_gt(out, 1000);
	stop(&b);
}
