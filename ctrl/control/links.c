/* links.c: kernel interface <-> interface of the policy. Caller: control's loop and what it feeds. */
#include <string.h>

#include "links.h"

#define TRIES 4

/* One look; false if the policy was replaced meanwhile. */
static bool copy_once(const struct sn_policy_box *box, struct sn_links *ret)
{
	const struct sn_policy *p = sn_policy_active(box);

	*ret = (struct sn_links){ .generation = p->generation, .count = p->interface_count };
	if (ret->count > SN_INTERFACES_MAX)
		ret->count = 0;
	for (uint32_t i = 0; i < ret->count; i++)
		ret->ifindex[i] = p->interfaces[i].ifindex;
	atomic_thread_fence(memory_order_acquire);
	return sn_policy_active(box) == p && p->generation == ret->generation;
}

bool sn_links_refresh(struct sn_links *l, const struct sn_policy_box *box)
{
	struct sn_links now;
	bool same;

	if (l->generation != 0 && sn_policy_active(box)->generation == l->generation)
		return false;
	for (int i = 0; i < TRIES; i++) {
		if (!copy_once(box, &now))
			continue;
		same = now.count == l->count && memcmp(now.ifindex, l->ifindex, sizeof(now.ifindex)) == 0;
		*l = now;
		return !same;
	}
	return false;
}

uint32_t sn_links_index(const struct sn_links *l, uint32_t ifindex)
{
	for (uint32_t i = 0; ifindex != 0 && i < l->count; i++)
		if (l->ifindex[i] == ifindex)
			return i;
	return SN_NONE;
}
