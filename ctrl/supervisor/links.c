/*
 * links.c: interfaces and addresses over rtnetlink; the number of queues in use from ethtool, since rtnetlink tells
 * only how many could be.
 */
#include "links.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint16_t queues_in_use(const char *name, uint16_t possible)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (void *)&ch };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return possible;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	err = ioctl(fd, SIOCETHTOOL, &ifr);
	close(fd);
	if (err || !(ch.rx_count + ch.combined_count))
		return possible;
	return (uint16_t)SN_MIN(ch.rx_count + ch.combined_count, UINT16_MAX);
}

/* Is this the IFLA_LINKINFO of a TUN or TAP device? */
static bool is_tun_kind(const struct nlattr *info)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, info)
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND && mnl_attr_get_payload_len(attr) >= 3)
			return !strncmp(mnl_attr_get_str(attr), "tun", 3);
	return false;
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct sn_links *l = data;
	struct sn_link *link = &l->links[l->count];
	uint32_t possible = 1;
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWLINK || l->count == SN_LINKS_MAX)
		return MNL_CB_OK;
	*link = (struct sn_link){ .ifindex = (uint32_t)ifi->ifi_index,
				  .ethernet = ifi->ifi_type == ARPHRD_ETHER,
				  .up = ifi->ifi_flags & IFF_UP };
	mnl_attr_for_each(attr, nlh, sizeof(*ifi)) {
		uint16_t len = mnl_attr_get_payload_len(attr), type = mnl_attr_get_type(attr);

		if (type == IFLA_IFNAME && len && len <= SN_NAME_B)
			snprintf(link->name, sizeof(link->name), "%.*s", len, mnl_attr_get_str(attr));
		else if (type == IFLA_MTU && len >= 4)
			link->mtu_b = mnl_attr_get_u32(attr);
		else if (type == IFLA_NUM_RX_QUEUES && len >= 4)
			possible = mnl_attr_get_u32(attr);
		else if (type == IFLA_LINKINFO)
			link->tun = ifi->ifi_type == ARPHRD_NONE && is_tun_kind(attr);
		else if (type == IFLA_ADDRESS && len == sizeof(link->mac))
			memcpy(link->mac, mnl_attr_get_payload(attr), sizeof(link->mac));
	}
	link->queues = (uint16_t)SN_MIN(possible, UINT16_MAX);
	l->count++;
	return MNL_CB_OK;
}

static int on_addr(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct sn_links *l = data;
	const struct nlattr *attr;
	uint32_t addr_be32 = 0;
	bool local = false;

	if (nlh->nlmsg_type != RTM_NEWADDR || l->addr_count == SN_LINK_ADDRS_MAX)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*ifa)) {
		if (mnl_attr_get_payload_len(attr) != 4)
			continue;
		if (mnl_attr_get_type(attr) == IFA_LOCAL || (mnl_attr_get_type(attr) == IFA_ADDRESS && !local))
			addr_be32 = mnl_attr_get_u32(attr);
		local |= mnl_attr_get_type(attr) == IFA_LOCAL;
	}
	if (addr_be32)
		l->addrs[l->addr_count++] = (struct sn_link_addr){ ifa->ifa_index, addr_be32 };
	return MNL_CB_OK;
}

static int dump(struct mnl_socket *nl, uint16_t type, uint8_t family, mnl_cb_t cb, struct sn_links *ret)
{
	char buf[32768] SN_ALIGNED(8);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtgenmsg *gen;
	uint32_t seq = (uint32_t)time(NULL);
	int n;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	/* both ifinfomsg and ifaddrmsg begin with the family; the kernel takes the short form for dumps */
	gen = mnl_nlmsg_put_extra_header(nlh, sizeof(*gen));
	gen->rtgen_family = family;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while ((n = (int)mnl_socket_recvfrom(nl, buf, sizeof(buf))) > 0) {
		n = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(nl), cb, ret);
		if (n <= MNL_CB_STOP)
			break;
	}
	return n < 0 ? -errno : 0;
}

int sn_links_read(struct sn_links *ret)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int err;

	if (!nl)
		return -errno;
	ret->count = ret->addr_count = 0;
	err = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	if (!err)
		err = dump(nl, RTM_GETLINK, AF_UNSPEC, on_link, ret);
	if (!err)
		err = dump(nl, RTM_GETADDR, AF_INET, on_addr, ret);
	mnl_socket_close(nl);
	for (uint32_t i = 0; !err && i < ret->count; i++)
		ret->links[i].queues = queues_in_use(ret->links[i].name, ret->links[i].queues);
	return err;
}

const struct sn_link *sn_links_find(const struct sn_links *l, const char *name)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (!strcmp(l->links[i].name, name))
			return &l->links[i];
	return NULL;
}

uint32_t sn_links_addr(const struct sn_links *l, uint32_t ifindex)
{
	for (uint32_t i = 0; i < l->addr_count; i++)
		if (l->addrs[i].ifindex == ifindex)
			return l->addrs[i].addr_be32;
	return 0;
}

int sn_links_watch(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* What changed is read anew with sn_links_read(), so an overrun (ENOBUFS) loses nothing. */
void sn_links_drain(int fd)
{
	char buf[8192];

	for (int i = 0; i < 64; i++)
		if (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno != ENOBUFS)
			return;
}
