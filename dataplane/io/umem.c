/*
 * umem.c: packet memory of a worker: layout, join, and the stack of free frames.
 *
 * Called by the supervisor (format), the worker that owns it and, without a stack, the workers that hand packets to it.
 * The state bytes are the truth; the stack is a private copy of which of them say FREE.
 */
#include "io/umem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define HUGE_B ((size_t)2 << 20)
#define FRAMES_MAX (1u << 22)
#define STATE_OFF_B ((sizeof(struct sn_umem_header) + SN_CACHE_LINE - 1) & ~(size_t)(SN_CACHE_LINE - 1))

static size_t round_up(size_t n_b)
{
	return (n_b + HUGE_B - 1) & ~(HUGE_B - 1);
}

static bool possible(uint32_t frame_count, uint32_t frame_b)
{
	return frame_count > 0 && frame_count <= FRAMES_MAX && (frame_b == 2048 || frame_b == 4096);
}

size_t sn_umem_frames_off_b(uint32_t frame_count)
{
	return round_up(STATE_OFF_B + 2 * (size_t)frame_count);
}

size_t sn_umem_footprint(uint32_t frame_count, uint32_t frame_b)
{
	return sn_umem_frames_off_b(frame_count) + round_up((size_t)frame_count * frame_b);
}

void sn_umem_format(void *mem, uint32_t frame_count, uint32_t frame_b)
{
	struct sn_umem_header *h = mem;

	SN_ASSERT(possible(frame_count, frame_b));
	h->frame_count = frame_count;
	h->frame_b = frame_b;
	h->frames_off_b = (uint32_t)sn_umem_frames_off_b(frame_count);
	atomic_thread_fence(memory_order_release);
	h->magic = SN_UMEM_MAGIC;
}

/* Bytes to map according to a header, 0 if it is not one. */
static size_t claimed_b(const struct sn_umem_header *h)
{
	if (h->magic != SN_UMEM_MAGIC || !possible(h->frame_count, h->frame_b) ||
	    h->frames_off_b != sn_umem_frames_off_b(h->frame_count))
		return 0;
	return sn_umem_footprint(h->frame_count, h->frame_b);
}

static int header_read(int fd, struct sn_umem_header *ret)
{
	struct stat st;
	void *mem;

	if (fstat(fd, &st))
		return -errno;
	if ((size_t)st.st_size < HUGE_B)
		return -EPROTO;
	mem = mmap(NULL, HUGE_B, PROT_READ, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	*ret = *(const struct sn_umem_header *)mem;
	munmap(mem, HUGE_B);
	return claimed_b(ret) && claimed_b(ret) <= (size_t)st.st_size ? 0 : -EPROTO;
}

int sn_umem_join(int fd, bool as_owner, struct sn_umem *ret)
{
	struct sn_umem_header h = { 0 };
	struct sn_umem u = { 0 };
	void *mem;
	int err = header_read(fd, &h);

	if (err)
		return err;
	u.frame_count = h.frame_count;
	u.frame_b = h.frame_b;
	u.map_b = claimed_b(&h);
	if (as_owner && !(u.stack = calloc(u.frame_count, sizeof(*u.stack))))
		return -ENOMEM;
	mem = mmap(NULL, u.map_b, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED) {
		err = -errno;
		goto fail_stack;
	}
	u.hdr = mem;
	u.frames = (uint8_t *)mem + h.frames_off_b;
	u.state = (_Atomic uint8_t *)mem + STATE_OFF_B;
	u.socket = (uint8_t *)mem + STATE_OFF_B + u.frame_count;
	*ret = u;
	return 0;

fail_stack:
	free(u.stack);
	return err;
}

void sn_umem_leave(struct sn_umem *u)
{
	if (!u || !u->hdr)
		return;
	munmap(u->hdr, u->map_b);
	free(u->stack);
	*u = (struct sn_umem){ 0 };
}

uint32_t sn_umem_take(struct sn_umem *u)
{
	uint32_t frame;

	if (!u->free_count)
		return SN_NONE;
	frame = u->stack[--u->free_count];
	sn_umem_mark(u, frame, SN_FRAME_WORK);
	return frame;
}

void sn_umem_give(struct sn_umem *u, uint32_t frame)
{
	SN_ASSERT(frame < u->frame_count && u->free_count < u->frame_count);
	SN_ASSERT(sn_umem_state(u, frame) == SN_FRAME_WORK || sn_umem_state(u, frame) == SN_FRAME_HANDOFF);
	sn_umem_mark(u, frame, SN_FRAME_FREE);
	u->stack[u->free_count++] = frame;
}

/* What a frame is once nobody is in the middle of anything. */
static enum sn_frame_state settled(enum sn_frame_state state)
{
	switch (state) {
	case SN_FRAME_FREE:
	case SN_FRAME_WORK:
		return SN_FRAME_FREE;
	case SN_FRAME_TXING:
	case SN_FRAME_TX:
		return SN_FRAME_TX;
	case SN_FRAME_HANDOFF:
		return SN_FRAME_HANDOFF;
	default:
		return SN_FRAME_FILL;
	}
}

uint32_t sn_umem_reclaim(struct sn_umem *u)
{
	uint32_t in_work = 0;

	SN_ASSERT(u->stack);
	u->free_count = 0;
	for (uint32_t i = 0; i < u->frame_count; i++) {
		enum sn_frame_state was = sn_umem_state(u, i);

		in_work += was == SN_FRAME_WORK;
		sn_umem_mark(u, i, settled(was));
		if (settled(was) == SN_FRAME_FREE)
			u->stack[u->free_count++] = i;
	}
	return in_work;
}

void sn_umem_count(const struct sn_umem *u, uint32_t ret_counts[SN_FRAME_STATES])
{
	for (uint32_t s = 0; s < SN_FRAME_STATES; s++)
		ret_counts[s] = 0;
	for (uint32_t i = 0; i < u->frame_count; i++) {
		enum sn_frame_state s = sn_umem_state(u, i);

		ret_counts[s < SN_FRAME_STATES ? s : SN_FRAME_FILL]++;
	}
}
