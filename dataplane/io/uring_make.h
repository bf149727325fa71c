/*
 * uring_make.h: descriptors for the ports of uring.h. Called by the supervisor, which holds them for the node's life.
 */
#ifndef SN_URING_MAKE_H
#define SN_URING_MAKE_H

#include "base.h"

/*
 * A packet socket on an interface, with a filter that lets nothing in until another takes its place. It does not get what the
 * host itself sends. alone: it is the interface's only one; else the packets are shared out by receive queue with the
 * sockets that joined the group before (group_fd: one of them, -1 for the first). An fd, or -errno.
 */
int sn_packet_make(uint32_t ifindex, bool alone, int group_fd);

/*
 * A queue of an existing TUN device, without packet information. An fd, or -errno: -EBUSY (another program has it, or it has
 * one queue and that is taken), -EINVAL (not a TUN device, or of another user).
 */
int sn_tun_make(const char *name);

#endif
