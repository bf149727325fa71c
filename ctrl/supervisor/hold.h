/*
 * hold.h: the tc programs (dataplane/steer.bpf.c). hold, on ingress, keeps from the kernel what a packet socket took: that is a
 * tap, so without it the kernel would forward the same packet untranslated. guard, on egress of the outside interfaces, stops what
 * the kernel would forward untranslated whichever way it came in.
 *
 * Called by xdp.c alone. The filters outlive the supervisor, as tc filters do. What is to be undone is told by directories
 * among the pins: hold-IFINDEX, guard-IFINDEX (the filter is there), clsact-IFINDEX (the qdisc is ours too).
 */
#ifndef SN_HOLD_H
#define SN_HOLD_H

#include "base.h"

#define SN_HOLD_PREFIX "hold-"
#define SN_GUARD_PREFIX "guard-"

/* Puts the program on an interface's ingress (hold) or egress (guard), the first filter there; again over an older one of ours. 0 or -errno. */
int sn_hold_put(const char *dir, int program, uint32_t ifindex);
int sn_guard_put(const char *dir, int program, uint32_t ifindex);

/*
 * Takes one away again, with the qdisc if it was ours and the other is not there. name: "hold-IFINDEX" or "guard-IFINDEX". 0, also if it
 * was not there or the interface is gone; -errno.
 */
int sn_hold_remove(const char *dir, const char *name);

#endif
