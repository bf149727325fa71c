/*
 * mem.c: a port over memory, for tests and benchmarks. Two queues of descriptors, one per direction; frames go through
 * the same states as with AF_XDP (FILL while waiting to be received, TX once sent).
 */
#include "io/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEADROOM_B 256 /* as the kernel leaves before a received packet */

struct queue {
	struct sn_desc *descs;
	uint32_t mask, depth;
	uint32_t head, tail; /* free running */
};

struct sn_mem {
	struct queue in, out;
};

static uint32_t used(const struct queue *q)
{
	return q->head - q->tail;
}

static bool put(struct queue *q, struct sn_desc d)
{
	if (used(q) == q->depth)
		return false;
	q->descs[q->head++ & q->mask] = d;
	return true;
}

static int queue_init(struct queue *q, uint32_t depth)
{
	uint32_t slots = 1;

	while (slots < depth)
		slots <<= 1;
	*q = (struct queue){ .descs = calloc(slots, sizeof(*q->descs)), .mask = slots - 1, .depth = depth };
	return q->descs ? 0 : -ENOMEM;
}

static uint32_t mem_rx(struct sn_port *p, struct sn_desc *descs, uint32_t max)
{
	struct queue *q = &((struct sn_mem *)p->impl)->in;
	uint32_t n = SN_MIN(max, used(q));

	for (uint32_t i = 0; i < n; i++) {
		descs[i] = q->descs[q->tail++ & q->mask];
		sn_umem_mark(p->umem, descs[i].frame, SN_FRAME_WORK);
	}
	return n;
}

static uint32_t mem_tx(struct sn_port *p, const struct sn_desc *descs, uint32_t n)
{
	struct queue *q = &((struct sn_mem *)p->impl)->out;
	uint32_t done = 0;

	while (done < n && put(q, descs[done])) {
		SN_ASSERT(sn_umem_state(p->umem, descs[done].frame) == SN_FRAME_WORK);
		sn_umem_mark(p->umem, descs[done++].frame, SN_FRAME_TX);
	}
	return done;
}

static uint32_t mem_kick(struct sn_port *p)
{
	(void)p;
	return 0;
}

static bool mem_pending(const struct sn_port *p)
{
	return used(&((struct sn_mem *)p->impl)->in) > 0;
}

static const struct sn_io_ops mem_ops = {
	.rx = mem_rx, .tx = mem_tx, .kick = mem_kick, .pending = mem_pending,
};

/* By way of a memfd, so that there is one way to lay out and to join. */
int sn_mem_umem(uint32_t frame_count, uint32_t frame_b, struct sn_umem *ret)
{
	size_t size_b = sn_umem_footprint(frame_count, frame_b);
	int fd = memfd_create("shardnat-mem", MFD_CLOEXEC);
	int err = -ENOMEM;
	void *mem;

	if (fd < 0)
		return err;
	if (ftruncate(fd, (off_t)size_b))
		goto out_fd;
	mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		goto out_fd;
	sn_umem_format(mem, frame_count, frame_b);
	munmap(mem, size_b);
	if (sn_umem_join(fd, true, ret))
		goto out_fd;
	sn_umem_reclaim(ret);
	err = 0;
out_fd:
	close(fd);
	return err;
}

int sn_mem_port(struct sn_umem *umem, uint16_t interface, uint32_t depth, struct sn_port *ret)
{
	struct sn_mem *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	if (queue_init(&m->in, depth) || queue_init(&m->out, depth)) {
		free(m->in.descs);
		free(m);
		return -ENOMEM;
	}
	*ret = (struct sn_port){ .ops = &mem_ops, .umem = umem, .interface = interface, .fd = -1, .impl = m };
	return 0;
}

void sn_mem_port_free(struct sn_port *p)
{
	struct sn_mem *m = p ? p->impl : NULL;

	if (!m)
		return;
	free(m->in.descs);
	free(m->out.descs);
	free(m);
	p->impl = NULL;
}

bool sn_mem_put(struct sn_port *p, const void *frame, uint32_t len_b)
{
	struct queue *q = &((struct sn_mem *)p->impl)->in;
	struct sn_desc d = { .offset_b = HEADROOM_B, .len_b = len_b };

	if (len_b > p->umem->frame_b - HEADROOM_B || used(q) == q->depth)
		return false;
	d.frame = sn_umem_take(p->umem);
	if (d.frame == SN_NONE)
		return false;
	memcpy(sn_umem_frame(p->umem, d.frame) + d.offset_b, frame, len_b);
	sn_umem_mark(p->umem, d.frame, SN_FRAME_FILL);
	return put(q, d);
}

uint32_t sn_mem_get(struct sn_port *p, void *buf, uint32_t room_b)
{
	struct queue *q = &((struct sn_mem *)p->impl)->out;
	struct sn_desc d;

	if (!used(q))
		return 0;
	d = q->descs[q->tail++ & q->mask];
	memcpy(buf, sn_umem_frame(p->umem, d.frame) + d.offset_b, SN_MIN(d.len_b, room_b));
	sn_umem_mark(p->umem, d.frame, SN_FRAME_WORK);
	sn_umem_give(p->umem, d.frame);
	return d.len_b;
}
