/*
 * xsk.h: a port over AF_XDP. The supervisor makes the sockets and holds them for the node's life (xsk_make, ctrl side
 * uses it through the dataplane library); a worker, or its successor, maps the rings of a socket it was handed and goes
 * on where the rings stand. libxdp cannot adopt a socket made by another process, so the rings are mapped here
 * (XDP_MMAP_OFFSETS and four mmaps).
 */
#ifndef SN_XSK_H
#define SN_XSK_H

#include "io/io.h"

/* A worker learns a ring's size by mapping it; below the minimum two sizes would share a page count. */
#define SN_XSK_RING_MIN 256
#define SN_XSK_RING_MAX 32768

struct sn_xsk_config {
	uint32_t ifindex, queue;
	uint32_t fill, completion, rx, tx; /* ring sizes, powers of two, SN_XSK_RING_MIN..SN_XSK_RING_MAX */
	bool zero_copy;                    /* ask the driver for it; falls back to copy */
	bool busy_poll;
};

/*
 * Supervisor: makes and binds a socket. umem_mem: the mapped frames (from frame 0 on) of frames_b bytes, frame_b each.
 * share_fd: -1 for the first socket of a UMEM (which registers it), else that first socket. Tries again for up to a
 * second while the queue of a dead predecessor is busy. An fd, or -errno; *ret_zero_copy tells what was granted. A UMEM
 * is in zero-copy mode for all of its sockets or for none: one that shares a zero-copy UMEM fails with -EOPNOTSUPP
 * where the driver cannot. -EINVAL: ring sizes.
 */
int sn_xsk_make(const struct sn_xsk_config *c, void *umem_mem, size_t frames_b, uint32_t frame_b, int share_fd,
		bool *ret_zero_copy);

struct sn_xsk; /* ring mappings */

/*
 * Worker: joins a socket as port. index is its place in the worker's list (umem marks and frame socket bytes), the same
 * for each successor. Maps the rings; takes no frame yet: the first rx fills the fill ring, so it is due on each port
 * before the first sleep. 0 or -errno. Memory is allocated once here, before the sandbox closes. fd stays the caller's.
 *
 * rx leaves the last eighth of the UMEM's frames to tx, hand-off and ICMP errors. A UMEM wants 8/7 of the sum of its
 * fill rings, and the tx rings on top.
 */
int sn_xsk_join(int fd, uint32_t index, struct sn_umem *umem, uint16_t interface, uint16_t queue,
		struct sn_port *ret_port);
void sn_xsk_leave(struct sn_port *p);

/*
 * Worker, at start, before sn_umem_reclaim: corrects the state words that a killed predecessor left. A batch that was
 * cut off is settled by the ring's producer index: it had moved past the mark (FILL, TX) or not (FREE, WORK). What
 * waits in the receive ring is FILL and in the completion ring TX, whatever the word says: it is moved before the ring
 * is released. The fill and tx rings are not looked at: the kernel may show their consumer late.
 */
void sn_xsk_recover(struct sn_port *p);

enum sn_xsk_ring { SN_XSK_FILL, SN_XSK_COMPLETION, SN_XSK_RX, SN_XSK_TX, SN_XSK_RINGS };

/* Visits each frame that stands in a ring now, oldest first; what is no frame of the UMEM is left out. */
void sn_xsk_each(const struct sn_port *p, enum sn_xsk_ring ring, void (*visit)(void *ctx, uint32_t frame), void *ctx);

/*
 * Frames that the kernel owes: given for receiving and not come back, given for sending and not completed. From the rings'
 * free-running ends, so that after sn_xsk_recover they must equal the frames in FILL and TX of this socket.
 */
void sn_xsk_owed(const struct sn_port *p, uint32_t *ret_fill, uint32_t *ret_tx);

/* Descriptors from the kernel that named no frame of ours or one it was not given; they were ignored. */
uint64_t sn_xsk_refused(const struct sn_port *p);

/* Kernel's statistics of the socket: dropped, invalid, ring full, fill ring empty. */
struct sn_xsk_stats {
	uint64_t rx_dropped, rx_invalid, tx_invalid, rx_ring_full, fill_empty, tx_empty;
};
int sn_xsk_stats(int fd, struct sn_xsk_stats *ret);

#endif
