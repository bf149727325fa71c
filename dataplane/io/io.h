/*
 * io.h: packet input and output, one small interface. Implementations: xsk (AF_XDP), uring (io_uring over packet sockets and
 * TUN devices), mem (frames from memory, for tests and benchmarks).
 *
 * A port is one queue of one interface. Frames belong to the worker's UMEM and are named by number: rx gives frames into the
 * caller's hands (SN_FRAME_WORK), tx takes them out of them. Everything is for one thread; nothing blocks.
 */
#ifndef SN_IO_H
#define SN_IO_H

#include "base.h"
#include "io/umem.h"

#define SN_BURST 64

/* A packet in a frame. */
struct sn_desc {
	uint32_t frame;
	uint32_t offset_b; /* of the first byte in the frame */
	uint32_t len_b;
};

struct sn_port {
	const struct sn_io_ops *ops;
	struct sn_umem *umem;
	uint16_t interface; /* index in the policy */
	uint16_t queue;
	int fd;             /* to poll for input; -1 none */
	void *impl;
};

struct sn_io_ops {
	/* Up to max received packets into descs; refills the receive side from the UMEM's free frames. */
	uint32_t (*rx)(struct sn_port *p, struct sn_desc *descs, uint32_t max);
	/*
	 * Queues n packets for sending: those that fit are taken (the first ones), the rest stays the caller's. Returns how many. Completed frames are
	 * taken back into the UMEM on the way.
	 */
	uint32_t (*tx)(struct sn_port *p, const struct sn_desc *descs, uint32_t n);
	/* Makes what was queued leave, and the receive side go on, if the kernel asked to be woken. Returns the number of system calls made. */
	uint32_t (*kick)(struct sn_port *p);
	/* Whether input is waiting, without taking it. */
	bool (*pending)(const struct sn_port *p);
	/* A successor, before sn_umem_reclaim: corrects the states of the frames that a killed worker's port left. */
	void (*recover)(struct sn_port *p);
	/* Brings the statistics up to date; a few system calls. */
	void (*stats)(struct sn_port *p, struct sn_port_stats *s);
	/* Frames that the kernel has now, for receiving and for sending, by the port's own books; after recover they equal the states. */
	void (*owed)(const struct sn_port *p, uint32_t *ret_fill, uint32_t *ret_tx);
};

static inline uint32_t sn_rx(struct sn_port *p, struct sn_desc *descs, uint32_t max) { return p->ops->rx(p, descs, max); }
static inline uint32_t sn_tx(struct sn_port *p, const struct sn_desc *descs, uint32_t n) { return p->ops->tx(p, descs, n); }
static inline uint32_t sn_kick(struct sn_port *p) { return p->ops->kick(p); }
static inline bool sn_pending(const struct sn_port *p) { return p->ops->pending(p); }
static inline void sn_recover(struct sn_port *p) { p->ops->recover(p); }
static inline void sn_port_stats(struct sn_port *p, struct sn_port_stats *s) { p->ops->stats(p, s); }
static inline void sn_owed(const struct sn_port *p, uint32_t *ret_fill, uint32_t *ret_tx) { p->ops->owed(p, ret_fill, ret_tx); }

#endif
