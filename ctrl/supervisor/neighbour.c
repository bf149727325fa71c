/*
 * neighbour.c: see neighbour.h.
 */
#include "neighbour.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

static int transact(struct mnl_socket *nl, const struct nlmsghdr *nlh)
{
	char buf[1024] SN_ALIGNED(8);
	ssize_t n;

	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 || mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	/* the kernel has answered by now: rtnetlink works in the sender's time */
	n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	return mnl_cb_run(buf, (size_t)n, nlh->nlmsg_seq, mnl_socket_get_portid(nl), NULL, NULL) < 0 ? -errno : 0;
}

int sn_neighbour_resolve(uint32_t ifindex, uint32_t addr_be32)
{
	char buf[256] SN_ALIGNED(8);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	uint32_t addr = ntohl(addr_be32);
	struct mnl_socket *nl;
	struct ndmsg *nd;
	int err;

	if (!(addr >> 24) || addr >> 24 == 127 || addr >= 0xe0000000u)
		return -EINVAL;
	nlh->nlmsg_type = RTM_NEWNEIGH;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
	nlh->nlmsg_seq = 1;
	nd = mnl_nlmsg_put_extra_header(nlh, sizeof(*nd));
	nd->ndm_family = AF_INET;
	nd->ndm_ifindex = (int)ifindex;
	nd->ndm_state = NUD_NONE;
	nd->ndm_flags = NTF_USE;
	mnl_attr_put_u32(nlh, NDA_DST, addr_be32);
	nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl)
		return -errno;
	err = transact(nl, nlh);
	mnl_socket_close(nl);
	return err;
}
