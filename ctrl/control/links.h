/*
 * links.h: control's copy of which kernel interface is which of the policy's.
 *
 * The supervisor owns the policy and changes it when an interface is made again (new ifindex); control looks at it
 * once per turn and reads routes and neighbours anew when something here changed.
 */
#ifndef SN_LINKS_H
#define SN_LINKS_H

#include "policy.h"

struct sn_links {
	uint64_t generation; /* of the policy this is from; 0 before the first look */
	uint32_t count;
	uint32_t ifindex[SN_INTERFACES_MAX]; /* by index in the policy; 0: the interface is missing now */
};

/* Takes what the active policy says. True if an interface changed. A count out of range is taken as none. */
bool sn_links_refresh(struct sn_links *l, const struct sn_policy_box *box);

/* Index in the policy of a kernel interface; SN_NONE if it is not ours. */
uint32_t sn_links_index(const struct sn_links *l, uint32_t ifindex);

#endif
