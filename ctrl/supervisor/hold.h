/*
 * hold.h: the tc program that keeps from the kernel what a packet socket took (program `hold` of dataplane/steer.bpf.c):
 * a packet socket is a tap, so without it the kernel would forward the same packet untranslated.
 *
 * Called by xdp.c alone. The filter outlives the supervisor, as tc filters do. What is to be undone is told by directories
 * among the pins: hold-IFINDEX (the filter is there), clsact-IFINDEX (the qdisc is ours too).
 */
#ifndef SN_HOLD_H
#define SN_HOLD_H

#include "base.h"

#define SN_HOLD_PREFIX "hold-"

/* Puts the program on an interface's ingress, the first filter there; again over an older one of ours. 0 or -errno. */
int sn_hold_put(const char *dir, int program, uint32_t ifindex);

/* Takes it away again, with the qdisc if it was ours. name: "hold-IFINDEX". 0, also if it was not there or the interface is gone; -errno. */
int sn_hold_remove(const char *dir, const char *name);

#endif
