/*
 * xdp.h: the BPF programs of an instance (dataplane/steer.bpf.c): loading, pinning, attaching, and their maps. An interface
 * has either the XDP program, for AF_XDP sockets, or the tc program, for packet sockets with the tap's filter.
 *
 * Called by the supervisor alone. Everything lives in pins in a bpffs directory of the instance, so that it outlives
 * the supervisor: programs, maps (map-NAME), and one link per interface (link-IFINDEX; for tc see hold.h). An unpinned link would go with
 * its last holder, and the kernel would then forward untranslated.
 *
 * Calls block as system calls do. Where a call has msg, a failure writes there what an operator can do about it (msg_b
 * >= 1; untouched by success). Nothing is logged.
 */
#ifndef SN_XDP_H
#define SN_XDP_H

#include "base.h"
#include "steer.h"

enum sn_xdp_map {
	SN_XDP_INTERFACES, SN_XDP_INSIDE, SN_XDP_OUTSIDE, SN_XDP_LOCAL, SN_XDP_SOCKETS, SN_XDP_COUNTERS,
	SN_XDP_MAPS
};

enum sn_xdp_program { SN_XDP_STEER, SN_XDP_TAP, SN_XDP_HOLD, SN_XDP_GUARD, SN_XDP_PROGRAMS };

#define SN_XDP_DIR_B 256
#define SN_XDP_MSG_B 512 /* enough for any message */

/* Descriptors of what is pinned; caller's memory, ended by sn_xdp_fini(). */
struct sn_xdp {
	char dir[SN_XDP_DIR_B];
	int programs[SN_XDP_PROGRAMS];
	int maps[SN_XDP_MAPS];
};

struct sn_xdp_counters {
	uint64_t redirected, passed, dropped;
};

/*
 * Loads the program with room for so many prefixes on each side and pins it and its maps under dir, an empty directory
 * in a bpffs. 0; -EEXIST (there are pins: adopt or remove them), -EPERM (a capability is missing: CAP_BPF,
 * CAP_NET_ADMIN), or another -errno; nothing stays pinned then.
 */
int sn_xdp_load(const char *dir, uint32_t inside_prefixes, uint32_t outside_prefixes, struct sn_xdp *ret, char *msg,
		size_t msg_b);

/*
 * Takes up what a predecessor pinned under dir. 0; -ENOENT (nothing there, or not all of it); -EPROTO (of another
 * layout: remove it); -errno. Links go on; their interfaces are attached already.
 */
int sn_xdp_adopt(const char *dir, struct sn_xdp *ret, char *msg, size_t msg_b);

/* Closes the descriptors; pins and links stay. */
void sn_xdp_fini(struct sn_xdp *x);

/*
 * Attaches the program to an interface: side is enum sn_side, index the interface's in the policy. Native mode if the
 * driver has it; else generic, slower, told by *ret_generic. An interface that has our pinned link already is only told
 * side and index. 0; -EBUSY (another XDP program is there), -ENODEV, -EINVAL (index), -EPERM, -errno.
 */
int sn_xdp_attach(struct sn_xdp *x, uint32_t ifindex, uint32_t side, uint32_t index, bool *ret_generic, char *msg,
		  size_t msg_b);

/* Takes the program off an interface. 0 (also if it was not on it) or -errno. */
int sn_xdp_detach(struct sn_xdp *x, uint32_t ifindex);

/*
 * For packet sockets: the tc program on an interface's ingress instead of the XDP program; an XDP link of ours there is
 * taken away. side, index as above. 0; -ENODEV, -EINVAL (index), -EPERM, -EOPNOTSUPP (no clsact in this kernel), -errno.
 */
int sn_xdp_hold(struct sn_xdp *x, uint32_t ifindex, uint32_t side, uint32_t index, char *msg, size_t msg_b);

/*
 * For outside interfaces: the tc program on egress, so that the kernel sends nothing with a subscriber's or a pool's source,
 * whichever way it came to it. What workers send does not pass there. 0 or -errno.
 */
int sn_xdp_guard(struct sn_xdp *x, uint32_t ifindex);

/* Lets only NAT traffic into a packet socket. 0 or -errno. */
int sn_xdp_tap(const struct sn_xdp *x, int socket_fd);

/*
 * Detaches from all interfaces and removes all pins under dir. For the end of an instance; needs no sn_xdp. 0 or the
 * first -errno.
 */
int sn_xdp_remove(const char *dir);

/* Gives a queue's packets to a bound AF_XDP socket. Closing its last descriptor takes it out again. 0 or -errno. */
int sn_xdp_set_socket(struct sn_xdp *x, uint32_t index, uint32_t queue, int socket_fd);

/*
 * Prefixes for NAT: SN_INSIDE: subscribers; SN_OUTSIDE: pools and pass-through. bits 0..32. Adding twice, or removing
 * none, is 0.
 */
int sn_xdp_add_prefix(struct sn_xdp *x, uint32_t side, uint32_t addr_be32, uint32_t bits);
int sn_xdp_del_prefix(struct sn_xdp *x, uint32_t side, uint32_t addr_be32, uint32_t bits);

/* Addresses of the node itself: always the kernel's. Likewise. */
int sn_xdp_add_local(struct sn_xdp *x, uint32_t addr_be32);
int sn_xdp_del_local(struct sn_xdp *x, uint32_t addr_be32);

/* Sums over all CPUs. 0 or -errno. */
int sn_xdp_counters(const struct sn_xdp *x, struct sn_xdp_counters *ret);

#endif
