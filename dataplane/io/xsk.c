/*
 * xsk.c: a worker's port over an AF_XDP socket that the supervisor made (xsk_make.c).
 *
 * The order of stores is what makes a SIGKILL at any instruction harmless; each state and ring index is stored with
 * release:
 *
 *     give to the kernel:  mark = producer; frames FILLING/TXING; slots; producer += n; frames FILL/TX
 *     take from it:        frames WORK/FREE; consumer += n
 *
 * Own ends of the rings are read once, at join, and kept here; the kernel's ends are foreign and bounded by the ring's
 * size.
 */
#include "io/xsk.h"

#include "io/partial.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define SEND_CALLS_MAX 4 /* copy mode sends 32 packets per call */
#define RESERVE_SHIFT 3  /* an eighth of the frames is not for receiving */

struct ring {
	_Atomic uint32_t *ours, *theirs, *flags;
	void *slots;             /* uint64_t: fill, completion; struct xdp_desc: rx, tx */
	uint32_t size;
	uint32_t own;            /* copy of *ours */
	uint32_t seen;           /* last look at *theirs */
	void *map;
	size_t map_b;
};

struct sn_xsk {
	struct ring ring[SN_XSK_RINGS];
	struct sn_umem_marks *marks;
	uint8_t index;
	uint32_t send_calls;
	uint32_t reserve; /* frames */
	bool copies; /* the kernel copies; else the driver fills the frames */
	uint64_t refused;
	uint64_t received, sent, completed; /* since the statistics were last brought up to date */
};

static const struct {
	uint64_t page_off_b;
	size_t slot_b;
	bool produced; /* by us */
} kinds[SN_XSK_RINGS] = {
	[SN_XSK_FILL] = { XDP_UMEM_PGOFF_FILL_RING, sizeof(uint64_t), true },
	[SN_XSK_COMPLETION] = { XDP_UMEM_PGOFF_COMPLETION_RING, sizeof(uint64_t), false },
	[SN_XSK_RX] = { XDP_PGOFF_RX_RING, sizeof(struct xdp_desc), false },
	[SN_XSK_TX] = { XDP_PGOFF_TX_RING, sizeof(struct xdp_desc), true },
};

static uint64_t *address_slot(const struct ring *r, uint32_t at)
{
	return (uint64_t *)r->slots + (at & (r->size - 1));
}

static struct xdp_desc *packet_slot(const struct ring *r, uint32_t at)
{
	return (struct xdp_desc *)r->slots + (at & (r->size - 1));
}

static void look(struct ring *r)
{
	r->seen = atomic_load_explicit(r->theirs, memory_order_acquire);
}

static void advance(struct ring *r, uint32_t n)
{
	r->own += n;
	atomic_store_explicit(r->ours, r->own, memory_order_release);
}

/* Producer: slots free for us, looking again only if fewer than wanted are known of. */
static uint32_t room(struct ring *r, uint32_t wanted)
{
	if (r->size - (r->own - r->seen) < wanted)
		look(r);
	return r->own - r->seen > r->size ? 0 : r->size - (r->own - r->seen);
}

/* Consumer: slots filled for us, at most max. */
static uint32_t filled(struct ring *r, uint32_t max)
{
	if (r->seen == r->own)
		look(r);
	return SN_MIN(r->seen - r->own, SN_MIN(max, r->size));
}

static bool needs_wakeup(const struct ring *r)
{
	return atomic_load_explicit(r->flags, memory_order_relaxed) & XDP_RING_NEED_WAKEUP;
}

/* Frames that came back: what the kernel names must be a frame that it was given (state `given`). */
static bool came_back(struct sn_port *p, uint64_t address, enum sn_frame_state given, uint32_t *ret_frame)
{
	struct sn_xsk *x = p->impl;
	uint64_t frame = address / p->umem->frame_b;

	if (SN_UNLIKELY(frame >= p->umem->frame_count || sn_umem_state(p->umem, (uint32_t)frame) != given)) {
		x->refused++;
		return false;
	}
	*ret_frame = (uint32_t)frame;
	return true;
}

/* Gives free frames to the receive side; they are the top of the stack, which keeps them in place until the end. */
static void refill(struct sn_port *p)
{
	struct sn_xsk *x = p->impl;
	struct sn_umem *u = p->umem;
	struct ring *r = &x->ring[SN_XSK_FILL];
	uint32_t n = room(r, SN_BURST);

	if (n < SN_BURST || u->free_count <= x->reserve)
		return;
	n = SN_MIN(n, u->free_count - x->reserve);
	u->free_count -= n;
	atomic_store_explicit(&x->marks->fill_start, r->own, memory_order_release);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t frame = u->stack[u->free_count + i];

		u->socket[frame] = x->index;
		sn_umem_mark(u, frame, SN_FRAME_FILLING);
		*address_slot(r, r->own + i) = (uint64_t)frame * u->frame_b;
	}
	advance(r, n);
	for (uint32_t i = 0; i < n; i++)
		sn_umem_mark(u, u->stack[u->free_count + i], SN_FRAME_FILL);
}

/* What is copied may come from a virtual device, whose senders leave checksums undone. */
static void complete(struct sn_port *p, const struct sn_desc *descs, uint32_t n)
{
	struct sn_xsk *x = p->impl;

	for (uint32_t i = 0; i < n; i++)
		x->completed += sn_partial_complete(sn_umem_frame(p->umem, descs[i].frame) + descs[i].offset_b,
						    descs[i].len_b);
}

static uint32_t xsk_rx(struct sn_port *p, struct sn_desc *descs, uint32_t max)
{
	struct sn_xsk *x = p->impl;
	struct ring *r = &x->ring[SN_XSK_RX];
	uint32_t n = filled(r, max), got = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *d = packet_slot(r, r->own + i);
		struct sn_desc *to = &descs[got];

		if (!came_back(p, d->addr, SN_FRAME_FILL, &to->frame))
			continue;
		to->offset_b = (uint32_t)(d->addr % p->umem->frame_b);
		to->len_b = SN_MIN(d->len, p->umem->frame_b - to->offset_b);
		sn_umem_mark(p->umem, to->frame, SN_FRAME_WORK);
		__builtin_prefetch(sn_umem_frame(p->umem, to->frame) + to->offset_b);
		got++;
	}
	if (n)
		advance(r, n);
	x->received += got;
	if (x->copies)
		complete(p, descs, got);
	refill(p);
	return got;
}

/* Takes completed frames back. They are not used again before the ring is released. */
static void reap(struct sn_port *p)
{
	struct ring *r = &((struct sn_xsk *)p->impl)->ring[SN_XSK_COMPLETION];
	struct sn_umem *u = p->umem;
	uint32_t n = filled(r, r->size);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t frame;

		if (!came_back(p, *address_slot(r, r->own + i), SN_FRAME_TX, &frame))
			continue;
		sn_umem_mark(u, frame, SN_FRAME_FREE);
		u->stack[u->free_count++] = frame;
	}
	if (n)
		advance(r, n);
}

/* The kernel skips a descriptor that it finds wrong and never completes it: its frame would be lost. */
static void check_sendable(const struct sn_umem *u, const struct sn_desc *d)
{
	SN_ASSERT(d->frame < u->frame_count && sn_umem_state(u, d->frame) == SN_FRAME_WORK);
	SN_ASSERT(d->len_b && d->offset_b < u->frame_b && d->len_b <= u->frame_b - d->offset_b);
}

static uint32_t xsk_tx(struct sn_port *p, const struct sn_desc *descs, uint32_t n)
{
	struct sn_xsk *x = p->impl;
	struct sn_umem *u = p->umem;
	struct ring *r = &x->ring[SN_XSK_TX];

	reap(p);
	n = SN_MIN(n, room(r, n));
	if (!n)
		return 0;
	atomic_store_explicit(&x->marks->tx_start, r->own, memory_order_release);
	for (uint32_t i = 0; i < n; i++) {
		const struct sn_desc *d = &descs[i];

		check_sendable(u, d);
		u->socket[d->frame] = x->index;
		sn_umem_mark(u, d->frame, SN_FRAME_TXING);
		*packet_slot(r, r->own + i) = (struct xdp_desc){
			.addr = (uint64_t)d->frame * u->frame_b + d->offset_b, .len = d->len_b,
		};
	}
	advance(r, n);
	for (uint32_t i = 0; i < n; i++)
		sn_umem_mark(u, descs[i].frame, SN_FRAME_TX);
	x->sent += n;
	return n;
}

/*
 * EAGAIN is also what copy mode answers when its batch is used up; after any other refusal the packets wait for the
 * next kick.
 */
static bool send_again(ssize_t answer)
{
	return answer >= 0 || errno == EAGAIN || errno == EBUSY;
}

static uint32_t kick_tx(struct sn_port *p)
{
	struct sn_xsk *x = p->impl;
	struct ring *r = &x->ring[SN_XSK_TX];
	uint32_t calls = 0;
	bool more = true;

	for (look(r); more && r->seen != r->own && needs_wakeup(r) && calls < x->send_calls; look(r)) {
		more = send_again(sendto(p->fd, NULL, 0, MSG_DONTWAIT, NULL, 0));
		calls++;
	}
	return calls;
}

static uint32_t xsk_kick(struct sn_port *p)
{
	struct sn_xsk *x = p->impl;
	uint32_t calls = kick_tx(p);

	if (needs_wakeup(&x->ring[SN_XSK_FILL])) {
		recvfrom(p->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
		calls++;
	}
	reap(p);
	return calls;
}

static bool xsk_pending(const struct sn_port *p)
{
	const struct ring *r = &((const struct sn_xsk *)p->impl)->ring[SN_XSK_RX];

	return atomic_load_explicit(r->theirs, memory_order_acquire) != r->own;
}

/* The kernel counts for the socket's life, over all its workers; we count for ours. */
static void xsk_stats(struct sn_port *p, struct sn_port_stats *s)
{
	struct sn_xsk *x = p->impl;
	struct sn_xsk_stats kernel;

	s->kind = x->copies ? SN_PORT_XSK_COPY : SN_PORT_XSK_ZERO_COPY;
	s->received += x->received;
	s->sent += x->sent;
	s->completed += x->completed;
	x->received = x->sent = x->completed = 0;
	if (sn_xsk_stats(p->fd, &kernel))
		return;
	s->dropped = kernel.rx_dropped + kernel.rx_ring_full;
	s->fill_empty = kernel.fill_empty;
	s->invalid = kernel.rx_invalid + kernel.tx_invalid + x->refused;
}

static const struct sn_io_ops xsk_ops = {
	.rx = xsk_rx, .tx = xsk_tx, .kick = xsk_kick, .pending = xsk_pending, .recover = sn_xsk_recover,
	.stats = xsk_stats, .owed = sn_xsk_owed,
};

/*
 * The largest power of two of slots that can be mapped is the ring's size: the kernel refuses to map more than it has.
 */
static int ring_map(int fd, enum sn_xsk_ring kind, const struct xdp_ring_offset *off, struct ring *r)
{
	uint8_t *map = MAP_FAILED;
	uint32_t size;

	for (size = SN_XSK_RING_MAX; size >= SN_XSK_RING_MIN; size /= 2) {
		r->map_b = off->desc + size * kinds[kind].slot_b;
		map = mmap(NULL, r->map_b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
			   (off_t)kinds[kind].page_off_b);
		if (map != MAP_FAILED)
			break;
	}
	if (map == MAP_FAILED)
		return -errno;
	r->map = map;
	r->size = size;
	r->slots = map + off->desc;
	r->flags = (_Atomic uint32_t *)(map + off->flags);
	r->ours = (_Atomic uint32_t *)(map + (kinds[kind].produced ? off->producer : off->consumer));
	r->theirs = (_Atomic uint32_t *)(map + (kinds[kind].produced ? off->consumer : off->producer));
	r->own = atomic_load_explicit(r->ours, memory_order_relaxed);
	look(r);
	return 0;
}

static void rings_unmap(struct sn_xsk *x)
{
	for (uint32_t k = 0; k < SN_XSK_RINGS; k++)
		if (x->ring[k].map)
			munmap(x->ring[k].map, x->ring[k].map_b);
}

static int rings_map(int fd, struct sn_xsk *x)
{
	struct xdp_mmap_offsets off;
	socklen_t len_b = sizeof(off);
	const struct xdp_ring_offset *offs[SN_XSK_RINGS] = {
		[SN_XSK_FILL] = &off.fr, [SN_XSK_COMPLETION] = &off.cr, [SN_XSK_RX] = &off.rx, [SN_XSK_TX] = &off.tx,
	};

	if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len_b))
		return -errno;
	for (uint32_t k = 0; k < SN_XSK_RINGS; k++) {
		int err = ring_map(fd, k, offs[k], &x->ring[k]);

		if (err) {
			rings_unmap(x);
			return err;
		}
	}
	return 0;
}

int sn_xsk_join(int fd, uint32_t index, struct sn_umem *umem, uint16_t interface, uint16_t queue,
		struct sn_port *ret_port)
{
	struct xdp_options options = { 0 };
	socklen_t len_b = sizeof(options);
	struct sn_xsk *x;
	int err;

	if (index >= SN_SOCKETS_MAX)
		return -EINVAL;
	if (getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &len_b))
		return -errno;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	err = rings_map(fd, x);
	if (err) {
		free(x);
		return err;
	}
	x->marks = &umem->hdr->marks[index];
	x->index = (uint8_t)index;
	x->copies = !(options.flags & XDP_OPTIONS_ZEROCOPY);
	x->send_calls = options.flags & XDP_OPTIONS_ZEROCOPY ? 1 : SEND_CALLS_MAX;
	x->reserve = umem->frame_count >> RESERVE_SHIFT;
	*ret_port = (struct sn_port){
		.ops = &xsk_ops, .umem = umem, .interface = interface, .queue = queue, .fd = fd, .impl = x,
	};
	return 0;
}

void sn_xsk_leave(struct sn_port *p)
{
	if (!p || !p->impl)
		return;
	rings_unmap(p->impl);
	free(p->impl);
	p->impl = NULL;
}

void sn_xsk_each(const struct sn_port *p, enum sn_xsk_ring ring, void (*visit)(void *ctx, uint32_t frame), void *ctx)
{
	const struct ring *r = &((const struct sn_xsk *)p->impl)->ring[ring];
	uint32_t theirs = atomic_load_explicit(r->theirs, memory_order_acquire);
	uint32_t from = kinds[ring].produced ? theirs : r->own;
	uint32_t n = SN_MIN((kinds[ring].produced ? r->own : theirs) - from, r->size);

	for (uint32_t i = 0; i < n; i++) {
		bool packets = kinds[ring].slot_b == sizeof(struct xdp_desc);
		uint64_t address = packets ? packet_slot(r, from + i)->addr : *address_slot(r, from + i);

		if (address / p->umem->frame_b < p->umem->frame_count)
			visit(ctx, (uint32_t)(address / p->umem->frame_b));
	}
}

void sn_xsk_owed(const struct sn_port *p, uint32_t *ret_fill, uint32_t *ret_tx)
{
	const struct ring *r = ((const struct sn_xsk *)p->impl)->ring;

	*ret_fill = r[SN_XSK_FILL].own - r[SN_XSK_RX].own;
	*ret_tx = r[SN_XSK_TX].own - r[SN_XSK_COMPLETION].own;
}

/* A cut-off batch of this socket: all of it was published, or nothing. */
static void settle(struct sn_port *p, enum sn_frame_state cut, enum sn_frame_state to)
{
	const struct sn_xsk *x = p->impl;

	for (uint32_t i = 0; i < p->umem->frame_count; i++)
		if (sn_umem_state(p->umem, i) == cut && p->umem->socket[i] == x->index)
			sn_umem_mark(p->umem, i, to);
}

static void is_fill(void *ctx, uint32_t frame)
{
	sn_umem_mark(ctx, frame, SN_FRAME_FILL);
}

static void is_tx(void *ctx, uint32_t frame)
{
	sn_umem_mark(ctx, frame, SN_FRAME_TX);
}

void sn_xsk_recover(struct sn_port *p)
{
	const struct sn_xsk *x = p->impl;
	bool filled_up = atomic_load_explicit(&x->marks->fill_start, memory_order_acquire) != x->ring[SN_XSK_FILL].own;
	bool sent = atomic_load_explicit(&x->marks->tx_start, memory_order_acquire) != x->ring[SN_XSK_TX].own;

	settle(p, SN_FRAME_FILLING, filled_up ? SN_FRAME_FILL : SN_FRAME_FREE);
	settle(p, SN_FRAME_TXING, sent ? SN_FRAME_TX : SN_FRAME_WORK);
	sn_xsk_each(p, SN_XSK_RX, is_fill, p->umem);
	sn_xsk_each(p, SN_XSK_COMPLETION, is_tx, p->umem);
}

uint64_t sn_xsk_refused(const struct sn_port *p)
{
	return ((const struct sn_xsk *)p->impl)->refused;
}

int sn_xsk_stats(int fd, struct sn_xsk_stats *ret)
{
	struct xdp_statistics s = { 0 };
	socklen_t len_b = sizeof(s);

	if (getsockopt(fd, SOL_XDP, XDP_STATISTICS, &s, &len_b))
		return -errno;
	*ret = (struct sn_xsk_stats){
		.rx_dropped = s.rx_dropped, .rx_invalid = s.rx_invalid_descs, .tx_invalid = s.tx_invalid_descs,
		.rx_ring_full = s.rx_ring_full, .fill_empty = s.rx_fill_ring_empty_descs,
		.tx_empty = s.tx_ring_empty_descs,
	};
	return 0;
}
