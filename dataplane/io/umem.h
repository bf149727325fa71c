/*
 * umem.h: one worker's packet memory: a memfd (hugetlb where possible) of frames and, before them, a table with the
 * state of each frame, so that a successor can return every frame whenever the worker is killed.
 *
 *     fd:  [ header and state words, rounded up to 2 MB ][ frames: count * frame_b ]
 *                                                         ^ registered with AF_XDP: frame n is at n * frame_b
 *
 * W: the worker that owns it; other workers write into frames that are in SN_FRAME_HANDOFF (ring.h slots); the kernel
 * into those in SN_FRAME_FILL. A frame is always in exactly one state; the states' counts add up to the frame count.
 */
#ifndef SN_UMEM_H
#define SN_UMEM_H

#include "base.h"
#include "process.h"

enum sn_frame_state {
	SN_FRAME_FREE,    /* on the free stack (which is private, and rebuilt from these words) */
	SN_FRAME_WORK,    /* in the worker's hands: being looked at, or waiting for a neighbour */
	SN_FRAME_FILLING, /* about to be given to the kernel for receiving; the fill ring decides whether it was */
	SN_FRAME_FILL,    /* the kernel's, to come back through a receive ring */
	SN_FRAME_TXING,   /* about to be given to the kernel for sending */
	SN_FRAME_TX,      /* the kernel's, to come back through a completion ring */
	SN_FRAME_HANDOFF, /* in a slot of a hand-off ring to this worker */
	SN_FRAME_STATES
};

#define SN_UMEM_MAGIC 0x6d656d75u
#define SN_UMEM_HEADROOM_B 0  /* the kernel adds XDP_PACKET_HEADROOM (256) of its own */
#define SN_SOCKETS_MAX SN_PORTS_MAX

/* Per socket: where the batch began that FILLING and TXING frames belong to (ring positions, free running). */
struct sn_umem_marks {
	_Atomic uint32_t fill_start;
	_Atomic uint32_t tx_start;
};

struct sn_umem_header {
	uint32_t magic;
	uint32_t frame_count;
	uint32_t frame_b;      /* 2048 or 4096 */
	uint32_t frames_off_b; /* of frame 0 in the fd */
	struct sn_umem_marks marks[SN_SOCKETS_MAX];
	/* at the next cache line: a state byte per frame, then a socket byte per frame */
};

struct sn_umem {
	struct sn_umem_header *hdr;
	uint8_t *frames;
	_Atomic uint8_t *state; /* enum sn_frame_state per frame; written with sn_umem_mark() */
	uint8_t *socket;     /* FILL*, TX*: which socket (index in this worker's list) */
	uint32_t *stack;     /* free frames, private */
	uint32_t free_count;
	uint32_t frame_count, frame_b;
	size_t map_b;
};

/* Bytes of an fd for so many frames. */
size_t sn_umem_footprint(uint32_t frame_count, uint32_t frame_b);

/* Lays out fresh zeroed memory (the supervisor, once). */
void sn_umem_format(void *mem, uint32_t frame_count, uint32_t frame_b);

/* Offset of frame 0, for registration. */
size_t sn_umem_frames_off_b(uint32_t frame_count);

/*
 * Maps an fd; its size comes from the header, which is range-checked. The owner gets a free stack, empty until
 * sn_umem_reclaim(). 0, -errno, -EPROTO (not such memory).
 */
int sn_umem_join(int fd, bool as_owner, struct sn_umem *ret);
void sn_umem_leave(struct sn_umem *u);

/* Owner: takes a free frame into SN_FRAME_WORK (SN_NONE if none is left), and gives back one in WORK or HANDOFF. */
uint32_t sn_umem_take(struct sn_umem *u);
void sn_umem_give(struct sn_umem *u, uint32_t frame);

/*
 * Rebuilds the free stack from the state words (after the sockets and hand-off rings were looked through); WORK becomes
 * FREE. What nothing accounts for (a byte that is no state, a cut-off batch of a socket that was not recovered) is
 * taken for the kernel's: lost, but never owned twice. Returns how many were in WORK.
 */
uint32_t sn_umem_reclaim(struct sn_umem *u);

/* Frames by state; their sum is frame_count. */
void sn_umem_count(const struct sn_umem *u, uint32_t ret_counts[SN_FRAME_STATES]);

/*
 * Owner: moves a frame to a state. Release: a successor that sees it sees every store before it (a killed worker's
 * stores end at one point of the program's order).
 */
static inline void sn_umem_mark(struct sn_umem *u, uint32_t frame, enum sn_frame_state state)
{
	atomic_store_explicit(&u->state[frame], (uint8_t)state, memory_order_release);
}

static inline enum sn_frame_state sn_umem_state(const struct sn_umem *u, uint32_t frame)
{
	return atomic_load_explicit(&u->state[frame], memory_order_relaxed);
}

static inline uint8_t *sn_umem_frame(const struct sn_umem *u, uint32_t frame)
{
	return u->frames + (size_t)frame * u->frame_b;
}

#endif
