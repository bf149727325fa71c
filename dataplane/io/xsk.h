/*
 * xsk.h: a port over AF_XDP. The supervisor makes the sockets and holds them for the node's life (xsk_make, ctrl side uses
 * it through the dataplane library); a worker, or its successor, maps the rings of a socket it was handed and goes on
 * where the rings stand. libxdp cannot adopt a socket made by another process, so the rings are mapped here
 * (XDP_MMAP_OFFSETS and four mmaps).
 */
#ifndef SN_XSK_H
#define SN_XSK_H

#include "io/io.h"

struct sn_xsk_config {
	uint32_t ifindex, queue;
	uint32_t fill, completion, rx, tx; /* ring sizes, powers of two */
	bool zero_copy;                    /* ask the driver for it; falls back to copy */
	bool busy_poll;
};

/*
 * Supervisor: makes and binds a socket. umem_mem: the mapped frames (from frame 0 on) of frames_b bytes, frame_b each. share_fd:
 * -1 for the first socket of a UMEM (which registers it), else that first socket. Tries again for up to a second while the queue
 * of a dead predecessor is busy. An fd, or -errno; *ret_zero_copy tells what was granted.
 */
int sn_xsk_make(const struct sn_xsk_config *c, void *umem_mem, size_t frames_b, uint32_t frame_b, int share_fd,
		bool *ret_zero_copy);

struct sn_xsk; /* ring mappings */

/*
 * Worker: joins a socket as port. index is its place in the worker's list (umem marks and frame socket bytes). Maps the
 * rings; takes no frame yet. 0 or -errno. Memory for *ret_impl is allocated once here, before the sandbox closes.
 */
int sn_xsk_join(int fd, uint32_t index, struct sn_umem *umem, uint16_t interface, uint16_t queue, struct sn_port *ret_port);
void sn_xsk_leave(struct sn_port *p);

/*
 * Worker, at start, before sn_umem_reclaim: looks through the rings that a predecessor left and corrects the state words of
 * the frames that are in them (umem.h): what is in the receive and fill rings is FILL, in tx and completion TX, batches that were
 * cut off are settled by the ring's producer index.
 */
void sn_xsk_recover(struct sn_port *p);

/* Kernel's statistics of the socket: dropped, invalid, ring full, fill ring empty. */
struct sn_xsk_stats {
	uint64_t rx_dropped, rx_invalid, tx_invalid, rx_ring_full, fill_empty, tx_empty;
};
int sn_xsk_stats(int fd, struct sn_xsk_stats *ret);

#endif
