/*
 * offloads.h: offloads of an interface that do not go with a NAT that sees frames: partial checksums of what leaves and
 * super-packets. They are switched off while the node runs.
 *
 * Called by publish.c and, for the end, xdp.c. What is to be switched on again is told by a directory among the pins,
 * offload-IFINDEX-MASK, so that it is not forgotten with a supervisor that is killed.
 */
#ifndef SN_OFFLOADS_H
#define SN_OFFLOADS_H

#include "base.h"

#define SN_OFFLOADS_PREFIX "offload-"

/*
 * Switches off what is on: all of them on a virtual interface (veth, virtio, tap, bridge), where they mean that somebody else
 * leaves work undone; receive merging (LRO, and GRO if a packet socket is there) on any. ret_text: their names, empty if none
 * was on. ret_virtual may be NULL. 0, or -errno: the first one that could not be switched off, the others are.
 */
int sn_offloads_off(const char *dir, uint32_t ifindex, bool packet_socket, char *ret_text, size_t room, bool *ret_virtual);

/* The driver's name ("veth"); "?" if it has none. */
void sn_offloads_driver(uint32_t ifindex, char *ret, size_t room);

/* Switches on again. name: that of the note. 0 (also if the interface is gone) or -errno. */
int sn_offloads_restore(const char *dir, const char *name);

#endif
