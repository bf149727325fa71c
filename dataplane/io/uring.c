/*
 * uring.c: see uring.h. Every request carries what it was for in its user data:
 *
 *     operation (8 bits) | watch or port (8) | frame (32)
 *
 * A frame is FILL while it is a provided buffer or the target of a read, TX while a request sends it.
 */
#include "io/uring.h"

#include "io/partial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SQ_ENTRIES 1024
#define CQ_ENTRIES 16384
#define DEPTH_MAX 4096
#define READ_BATCH 32      /* TUN: reads that do not wait, at a time, at most */
#define RESERVE_SHIFT 3    /* an eighth of the frames is not for receiving */
#define HEADROOM_B 256     /* as AF_XDP leaves */
#define ETHER_B 14
#define FIXED_CHUNK_B ((size_t)1 << 30)

enum operation { OP_POLL, OP_RECEIVE, OP_SEND, OP_READ };

struct watch {
	int fd;
	bool counter; /* an eventfd: its poll stays armed, so that nobody has to read it */
	bool armed;
};

struct uport {
	struct sn_uring *u;
	enum sn_uring_kind kind;
	uint8_t index;
	int fd;
	uint32_t depth;
	bool armed;                      /* PACKET: a receive is at work */
	uint32_t reading;                /* TUN: reads under way */
	bool more;                       /* TUN: no read of the last batch was in vain */
	uint32_t batch;                  /* TUN: reads in it */
	struct io_uring_buf_ring *buffers;
	size_t buffers_b;
	uint32_t provided;               /* buffers that the kernel has */
	uint32_t *frame_of;              /* by buffer id */
	uint16_t *ids;                   /* buffer ids that are free, a stack */
	uint32_t id_count;
	struct sn_desc *ready;           /* received, to be taken by rx; fewer than depth + READ_BATCH */
	uint32_t head, tail, ready_mask;
	struct sn_port_stats counts;     /* since the statistics were last brought up to date */
};

struct sn_uring {
	struct io_uring ring;
	struct sn_umem *umem;
	uint32_t fixed_frames;
	struct watch watches[SN_SOCKETS_MAX + 1];
	uint32_t watch_count;
	struct uport *ports[SN_SOCKETS_MAX];
	uint32_t calls; /* system calls, not yet told by kick */
};

enum sn_uring_kind sn_uring_kind(const char *name)
{
	return !strcmp(name, "packet") ? SN_URING_PACKET : !strcmp(name, "tun") ? SN_URING_TUN : SN_URING_KINDS;
}

static uint64_t tag(enum operation op, uint32_t who, uint32_t frame)
{
	return (uint64_t)op << 56 | (uint64_t)who << 48 | frame;
}

static void put_back(struct sn_umem *u, uint32_t frame)
{
	sn_umem_mark(u, frame, SN_FRAME_FREE);
	u->stack[u->free_count++] = frame;
}

static uint32_t take_for_receiving(struct uport *x)
{
	struct sn_umem *umem = x->u->umem;
	uint32_t frame;

	if (umem->free_count <= umem->frame_count >> RESERVE_SHIFT)
		return SN_NONE;
	frame = umem->stack[--umem->free_count];
	umem->socket[frame] = x->index;
	sn_umem_mark(umem, frame, SN_FRAME_FILL);
	return frame;
}

static struct io_uring_sqe *get_sqe(struct sn_uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (SN_LIKELY(sqe != NULL))
		return sqe;
	io_uring_submit(&u->ring);
	u->calls++;
	return io_uring_get_sqe(&u->ring);
}

/* --- what has completed --- */

static void received(struct uport *x, uint32_t frame, uint32_t offset_b, uint32_t len_b)
{
	struct sn_umem *umem = x->u->umem;
	uint8_t *packet = sn_umem_frame(umem, frame) + offset_b;

	sn_umem_mark(umem, frame, SN_FRAME_WORK);
	x->counts.received++;
	x->counts.completed += sn_partial_complete(packet, len_b);
	x->ready[x->tail++ & x->ready_mask] = (struct sn_desc){ .frame = frame, .offset_b = offset_b, .len_b = len_b };
}

static uint32_t room_b(const struct uport *x)
{
	return x->u->umem->frame_b - HEADROOM_B;
}

static void on_receive(struct uport *x, const struct io_uring_cqe *cqe)
{
	uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT, frame;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		x->armed = false;
	if (!(cqe->flags & IORING_CQE_F_BUFFER)) {
		x->counts.fill_empty += cqe->res == -ENOBUFS;
		return;
	}
	SN_ASSERT(id < x->depth && x->id_count < x->depth);
	frame = x->frame_of[id];
	x->ids[x->id_count++] = (uint16_t)id;
	x->provided--;
	if (cqe->res > 0 && (uint32_t)cqe->res <= room_b(x)) {
		received(x, frame, HEADROOM_B, (uint32_t)cqe->res);
		return;
	}
	x->counts.too_big += cqe->res > 0;
	put_back(x->u->umem, frame);
}

/* A header that parse understands; nobody looks at its addresses. */
static void put_ethernet(uint8_t *at)
{
	memset(at, 0, ETHER_B - 2);
	at[ETHER_B - 2] = 0x08;
	at[ETHER_B - 1] = 0x00;
}

static void on_read(struct uport *x, uint32_t frame, int32_t len_b)
{
	uint8_t *packet = sn_umem_frame(x->u->umem, frame) + HEADROOM_B;

	x->reading--;
	x->more = x->more && len_b > 0;
	if (len_b > 0 && packet[0] >> 4 == 4) {
		put_ethernet(packet - ETHER_B);
		received(x, frame, HEADROOM_B - ETHER_B, (uint32_t)len_b + ETHER_B);
		return;
	}
	x->counts.invalid += len_b > 0;
	put_back(x->u->umem, frame);
}

static void on_completion(struct sn_uring *u, const struct io_uring_cqe *cqe)
{
	uint64_t data = io_uring_cqe_get_data64(cqe);
	uint32_t who = data >> 48 & 0xff, frame = (uint32_t)data;

	switch ((enum operation)(data >> 56)) {
	case OP_POLL:
		u->watches[who].armed = cqe->flags & IORING_CQE_F_MORE;
		break;
	case OP_RECEIVE:
		on_receive(u->ports[who], cqe);
		break;
	case OP_SEND:
		u->ports[who]->counts.tx_failed += cqe->res < 0;
		put_back(u->umem, frame);
		break;
	case OP_READ:
		on_read(u->ports[who], frame, cqe->res);
		break;
	}
}

static void collect(struct sn_uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe) {
		on_completion(u, cqe);
		n++;
	}
	if (n)
		io_uring_cq_advance(&u->ring, n);
}

/* Whether the kernel has completions that it puts into the ring only when it is called. */
static bool has_hidden(const struct sn_uring *u)
{
	return IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* --- receiving --- */

/* What the kernel has and what waits for rx are depth together at most, so that the ready queue has room for all. */
static void provide(struct uport *x)
{
	struct sn_umem *umem = x->u->umem;
	int n = 0;

	while (x->id_count && x->provided + (uint32_t)n + (x->tail - x->head) < x->depth) {
		uint32_t frame = take_for_receiving(x);
		uint16_t id;

		if (frame == SN_NONE)
			break;
		id = x->ids[--x->id_count];
		x->frame_of[id] = frame;
		io_uring_buf_ring_add(x->buffers, sn_umem_frame(umem, frame) + HEADROOM_B, room_b(x), id,
				      io_uring_buf_ring_mask(x->depth), n++);
	}
	if (n)
		io_uring_buf_ring_advance(x->buffers, n);
	x->provided += (uint32_t)n;
}

static void arm_receive(struct uport *x)
{
	struct io_uring_sqe *sqe = x->provided ? get_sqe(x->u) : NULL;

	if (!sqe)
		return;
	io_uring_prep_recv_multishot(sqe, x->index, NULL, 0, MSG_TRUNC);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->buf_group = x->index;
	io_uring_sqe_set_data64(sqe, tag(OP_RECEIVE, x->index, 0));
	x->armed = true;
}

/* A read into a frame; one that does not wait ends at once when there is nothing. */
static bool read_one(struct uport *x, bool wait)
{
	struct sn_uring *u = x->u;
	uint32_t frame = take_for_receiving(x);
	struct io_uring_sqe *sqe = frame == SN_NONE ? NULL : get_sqe(u);

	if (!sqe) {
		if (frame != SN_NONE)
			put_back(u->umem, frame);
		return false;
	}
	if (frame < u->fixed_frames)
		io_uring_prep_read_fixed(sqe, x->index, sn_umem_frame(u->umem, frame) + HEADROOM_B, room_b(x), 0, 0);
	else
		io_uring_prep_read(sqe, x->index, sn_umem_frame(u->umem, frame) + HEADROOM_B, room_b(x), 0);
	sqe->rw_flags = wait ? 0 : RWF_NOWAIT;
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, tag(OP_READ, x->index, frame));
	x->reading++;
	return true;
}

/* A device that had a packet may have more: then the next reads do not wait, twice as many each time, until one is in vain. */
static void arm_reads(struct uport *x)
{
	uint32_t n = 0;

	if (x->reading || x->tail - x->head >= x->depth)
		return;
	if (!x->more) {
		x->batch = 1;
		x->more = read_one(x, true);
		return;
	}
	x->batch = SN_MIN(2 * x->batch, READ_BATCH);
	while (n < x->batch && read_one(x, false))
		n++;
	/* these complete in the submission itself, or not at all */
	io_uring_submit(&x->u->ring);
	x->u->calls++;
	collect(x->u);
}

static uint32_t uring_rx(struct sn_port *p, struct sn_desc *descs, uint32_t max)
{
	struct uport *x = p->impl;
	struct sn_uring *u = x->u;
	uint32_t n;

	if (has_hidden(u)) {
		io_uring_get_events(&u->ring);
		u->calls++;
	}
	collect(u);
	if (x->kind == SN_URING_TUN)
		arm_reads(x);
	n = SN_MIN(x->tail - x->head, max);
	for (uint32_t i = 0; i < n; i++)
		descs[i] = x->ready[x->head++ & x->ready_mask];
	if (x->kind == SN_URING_PACKET) {
		provide(x);
		if (!x->armed)
			arm_receive(x);
	}
	return n;
}

static bool uring_pending(const struct sn_port *p)
{
	const struct uport *x = p->impl;

	return x->tail != x->head || has_hidden(x->u) || io_uring_cq_ready(&x->u->ring) ||
	       (x->kind == SN_URING_TUN && !x->reading);
}

/* --- sending --- */

static bool prepare_packet(struct uport *x, struct io_uring_sqe *sqe, const struct sn_desc *d)
{
	io_uring_prep_send(sqe, x->index, sn_umem_frame(x->u->umem, d->frame) + d->offset_b, d->len_b,
			   MSG_DONTWAIT | MSG_NOSIGNAL);
	return true;
}

static bool prepare_tun(struct uport *x, struct io_uring_sqe *sqe, const struct sn_desc *d)
{
	const uint8_t *packet = sn_umem_frame(x->u->umem, d->frame) + d->offset_b;

	if (d->len_b <= ETHER_B || packet[ETHER_B - 2] != 0x08 || packet[ETHER_B - 1] != 0x00)
		return false;
	if (d->frame < x->u->fixed_frames)
		io_uring_prep_write_fixed(sqe, x->index, packet + ETHER_B, d->len_b - ETHER_B, 0, 0);
	else
		io_uring_prep_write(sqe, x->index, packet + ETHER_B, d->len_b - ETHER_B, 0);
	sqe->rw_flags = RWF_NOWAIT;
	return true;
}

static bool send_one(struct uport *x, const struct sn_desc *d)
{
	struct sn_umem *umem = x->u->umem;
	struct io_uring_sqe *sqe = get_sqe(x->u);

	if (!sqe)
		return false;
	SN_ASSERT(d->frame < umem->frame_count && sn_umem_state(umem, d->frame) == SN_FRAME_WORK);
	SN_ASSERT(d->len_b && d->offset_b < umem->frame_b && d->len_b <= umem->frame_b - d->offset_b);
	umem->socket[d->frame] = x->index;
	sn_umem_mark(umem, d->frame, SN_FRAME_TX);
	if (!(x->kind == SN_URING_TUN ? prepare_tun : prepare_packet)(x, sqe, d)) {
		x->counts.invalid++;
		io_uring_prep_nop(sqe);
	} else {
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	io_uring_sqe_set_data64(sqe, tag(OP_SEND, x->index, d->frame));
	return true;
}

static uint32_t uring_tx(struct sn_port *p, const struct sn_desc *descs, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && send_one(p->impl, &descs[i]))
		i++;
	((struct uport *)p->impl)->counts.sent += i;
	return i;
}

static uint32_t uring_kick(struct sn_port *p)
{
	struct sn_uring *u = ((struct uport *)p->impl)->u;
	uint32_t calls;

	if (io_uring_sq_ready(&u->ring)) {
		io_uring_submit(&u->ring);
		u->calls++;
		collect(u);
	}
	calls = u->calls;
	u->calls = 0;
	return calls;
}

/* --- take-over --- */

static void uring_recover(struct sn_port *p)
{
	const struct uport *x = p->impl;
	struct sn_umem *umem = x->u->umem;

	for (uint32_t i = 0; i < umem->frame_count; i++) {
		enum sn_frame_state state = sn_umem_state(umem, i);

		if ((state == SN_FRAME_FILL || state == SN_FRAME_TX) && umem->socket[i] == x->index)
			sn_umem_mark(umem, i, SN_FRAME_FREE);
	}
}

static void uring_owed(const struct sn_port *p, uint32_t *ret_fill, uint32_t *ret_tx)
{
	const struct uport *x = p->impl;

	*ret_fill = x->provided + x->reading;
	*ret_tx = 0;
}

/* Reading the kernel's counters of a packet socket sets them to 0. */
static void uring_stats(struct sn_port *p, struct sn_port_stats *s)
{
	struct uport *x = p->impl;
	struct tpacket_stats kernel = { 0 };
	socklen_t len_b = sizeof(kernel);

	s->kind = x->kind == SN_URING_TUN ? SN_PORT_TUN : SN_PORT_PACKET;
	s->received += x->counts.received;
	s->sent += x->counts.sent;
	s->too_big += x->counts.too_big;
	s->invalid += x->counts.invalid;
	s->tx_failed += x->counts.tx_failed;
	s->fill_empty += x->counts.fill_empty;
	s->completed += x->counts.completed;
	x->counts = (struct sn_port_stats){ 0 };
	if (x->kind == SN_URING_PACKET && !getsockopt(x->fd, SOL_PACKET, PACKET_STATISTICS, &kernel, &len_b))
		s->dropped += kernel.tp_drops;
}

static const struct sn_io_ops uring_ops = {
	.rx = uring_rx, .tx = uring_tx, .kick = uring_kick, .pending = uring_pending, .recover = uring_recover,
	.owed = uring_owed, .stats = uring_stats,
};

/* --- set-up --- */

static int ring_open(struct io_uring *ring)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG, .cq_entries = CQ_ENTRIES,
	};
	int err = io_uring_queue_init_params(SQ_ENTRIES, ring, &p);

	if (err != -EINVAL)
		return err;
	p = (struct io_uring_params){ .flags = IORING_SETUP_CQSIZE, .cq_entries = CQ_ENTRIES }; /* before Linux 6.1 */
	return io_uring_queue_init_params(SQ_ENTRIES, ring, &p);
}

/* As many frames as may be locked: half as many, and half of that, until it is allowed. */
static void register_frames(struct sn_uring *u)
{
	size_t all_b = (size_t)u->umem->frame_count * u->umem->frame_b;

	for (size_t len_b = SN_MIN(all_b, FIXED_CHUNK_B); len_b >= u->umem->frame_b; len_b /= 2) {
		struct iovec iov = { .iov_base = u->umem->frames, .iov_len = len_b };

		if (io_uring_register_buffers(&u->ring, &iov, 1) == 0) {
			u->fixed_frames = (uint32_t)(len_b / u->umem->frame_b);
			return;
		}
	}
}

int sn_uring_open(struct sn_umem *umem, bool fixed, struct sn_uring **ret)
{
	struct sn_uring *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	u->umem = umem;
	err = ring_open(&u->ring);
	if (err)
		goto fail_memory;
	err = io_uring_register_files_sparse(&u->ring, SN_SOCKETS_MAX);
	if (err)
		goto fail_ring;
	if (fixed)
		register_frames(u);
	io_uring_register_ring_fd(&u->ring); /* cheaper calls, where the kernel can */
	*ret = u;
	return 0;

fail_ring:
	io_uring_queue_exit(&u->ring);
fail_memory:
	free(u);
	return err;
}

static void uport_free(struct uport *x)
{
	if (!x)
		return;
	if (x->buffers)
		munmap(x->buffers, x->buffers_b);
	free(x->frame_of);
	free(x->ids);
	free(x->ready);
	free(x);
}

void sn_uring_close(struct sn_uring *u)
{
	if (!u)
		return;
	io_uring_queue_exit(&u->ring);
	for (uint32_t i = 0; i < SN_SOCKETS_MAX; i++)
		uport_free(u->ports[i]);
	free(u);
}

static int buffers_make(struct uport *x)
{
	struct io_uring_buf_reg reg = { .ring_entries = x->depth, .bgid = x->index };
	void *mem;

	x->frame_of = calloc(x->depth, sizeof(*x->frame_of));
	x->ids = calloc(x->depth, sizeof(*x->ids));
	if (!x->frame_of || !x->ids)
		return -ENOMEM;
	while (x->id_count < x->depth) {
		x->ids[x->id_count] = (uint16_t)x->id_count;
		x->id_count++;
	}
	x->buffers_b = x->depth * sizeof(struct io_uring_buf);
	mem = mmap(NULL, x->buffers_b, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	if (mem == MAP_FAILED)
		return -ENOMEM;
	x->buffers = mem;
	io_uring_buf_ring_init(x->buffers);
	reg.ring_addr = (uintptr_t)mem;
	return io_uring_register_buf_ring(&x->u->ring, &reg, 0);
}

int sn_uring_join(struct sn_uring *u, int fd, enum sn_uring_kind kind, uint32_t index, uint32_t depth, uint16_t interface,
		  uint16_t queue, struct sn_port *ret_port)
{
	struct uport *x;
	int err;

	if (index >= SN_SOCKETS_MAX || u->ports[index] || !depth || depth > DEPTH_MAX || depth & (depth - 1))
		return -EINVAL;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	*x = (struct uport){ .u = u, .kind = kind, .index = (uint8_t)index, .fd = fd, .depth = depth };
	x->ready_mask = 2 * SN_MAX(depth, READ_BATCH) - 1;
	x->ready = calloc(x->ready_mask + 1, sizeof(*x->ready));
	err = x->ready ? SN_MIN(io_uring_register_files_update(&u->ring, index, &fd, 1), 0) : -ENOMEM;
	if (!err && kind == SN_URING_PACKET)
		err = buffers_make(x);
	if (err) {
		uport_free(x);
		return err;
	}
	u->ports[index] = x;
	*ret_port = (struct sn_port){
		.ops = &uring_ops, .umem = u->umem, .interface = interface, .queue = queue, .fd = -1, .impl = x,
	};
	return 0;
}

/* --- sleep --- */

int sn_uring_watch(struct sn_uring *u, int fd, bool counter)
{
	if (u->watch_count == SN_ARRAY_LEN(u->watches))
		return -ENOSPC;
	u->watches[u->watch_count++] = (struct watch){ .fd = fd, .counter = counter };
	return 0;
}

static void arm_watches(struct sn_uring *u)
{
	for (uint32_t i = 0; i < u->watch_count; i++) {
		struct io_uring_sqe *sqe = u->watches[i].armed ? NULL : get_sqe(u);

		if (!sqe)
			continue;
		if (u->watches[i].counter)
			io_uring_prep_poll_multishot(sqe, u->watches[i].fd, POLLIN);
		else
			io_uring_prep_poll_add(sqe, u->watches[i].fd, POLLIN);
		io_uring_sqe_set_data64(sqe, tag(OP_POLL, i, 0));
		u->watches[i].armed = true;
	}
}

void sn_uring_wait(struct sn_uring *u, uint32_t timeout_ms)
{
	struct __kernel_timespec ts = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000l };
	struct io_uring_cqe *cqe;

	arm_watches(u);
	io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
	collect(u);
}
