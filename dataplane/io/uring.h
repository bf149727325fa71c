/*
 * uring.h: a worker's io_uring: ports over packet sockets and TUN devices, and the sleep of a worker with any ports.
 *
 *     packet socket   one multishot receive into provided buffers (frames), one submission for all that is to be sent
 *     TUN device      one read that waits, then as many as there are packets, into fixed buffers; writes from them. Its
 *                     packets have no Ethernet header: rx puts one before each, tx takes it off
 *     others (AF_XDP, the eventfd)   a poll that is armed only while the worker sleeps
 *
 * One ring, one thread; completions are taken in by sn_rx, sn_kick and sn_uring_wait. Partial checksums are completed on
 * the way in (partial.h). What is longer than a frame (a super-packet of the kernel's) is dropped and counted.
 *
 * What a kill can lose: at most what was in flight in this process: packets that were received into frames and not handled,
 * and packets that were queued for sending and not submitted; what was waiting in the socket or device is there for the
 * successor. The kernel ends all requests of a process before it reports its death, and it copies what is sent when it takes
 * the request, so that every frame of such a port is free then (recover).
 */
#ifndef SN_URING_H
#define SN_URING_H

#include "io/io.h"

struct sn_uring;

enum sn_uring_kind { SN_URING_PACKET, SN_URING_TUN, SN_URING_KINDS };

/* Names of the kinds, as on the worker's command line: "packet", "tun". SN_URING_KINDS if it is none. */
enum sn_uring_kind sn_uring_kind(const char *name);

/*
 * Makes the ring, for descriptors numbered below SN_SOCKETS_MAX. umem: where the frames are; as many of them as may be
 * locked become fixed buffers if fixed is wanted. Before the sandbox. 0 or -errno.
 */
int sn_uring_open(struct sn_umem *umem, bool fixed, struct sn_uring **ret);
void sn_uring_close(struct sn_uring *u);

/*
 * Joins a packet socket (bound, with its filter) or a TUN device (IFF_NO_PI) as port. index: as for sn_xsk_join. depth: frames
 * that may wait for packets, a power of two, at most 4096. Takes no frame yet. Before the sandbox. 0 or -errno. fd stays the
 * caller's, and is not to be polled by others: the port's fd is -1.
 */
int sn_uring_join(struct sn_uring *u, int fd, enum sn_uring_kind kind, uint32_t index, uint32_t depth, uint16_t interface,
		  uint16_t queue, struct sn_port *ret_port);

/* Another descriptor whose input ends a sleep. counter: an eventfd, which nobody need read. 0, or -ENOSPC. */
int sn_uring_watch(struct sn_uring *u, int fd, bool counter);

/* Submits what is queued and sleeps until there is input anywhere, a signal, or timeout_ms are over. */
void sn_uring_wait(struct sn_uring *u, uint32_t timeout_ms);

#endif
