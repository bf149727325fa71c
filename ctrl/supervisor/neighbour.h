/*
 * neighbour.h: has the kernel resolve a neighbour.
 */
#ifndef SN_NEIGHBOUR_H
#define SN_NEIGHBOUR_H

#include "base.h"

/*
 * Asks the kernel (RTM_NEWNEIGH with NTF_USE) to resolve or confirm an address on an interface; the answer shows up
 * in the neighbour table. 0, -EINVAL (not a unicast address), or -errno from netlink (-EPERM: CAP_NET_ADMIN).
 */
int sn_neighbour_resolve(uint32_t ifindex, uint32_t addr_be32);

#endif
