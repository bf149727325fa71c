/* netlink.c: routes and neighbours from rtnetlink through libmnl. Caller: control's loop. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "netlink.h"

#define BUFFER_B 32768
#define FOLLOW_DATAGRAMS_MAX 256 /* per call, so that the loop's other work is not starved */
#define FOLLOW_RECEIVE_B (4 << 20)
#define GROUPS (RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_IFADDR)

/* Where a message goes. */
struct sink {
	sn_netlink_route_fn *route;
	sn_netlink_neighbour_fn *neighbour;
	void *ctx;
	int news;
};

static int open_socket(int flags, unsigned int groups, struct mnl_socket **ret)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);
	int err;

	if (s == NULL)
		return -errno;
	if (mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		mnl_socket_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

int sn_netlink_init(struct sn_netlink *nl)
{
	struct timeval patience = { .tv_sec = 2 };
	int receive_b = FOLLOW_RECEIVE_B;
	struct sn_netlink made = { 0 };
	int err;

	err = open_socket(SOCK_NONBLOCK, GROUPS, &made.follow);
	if (err != 0)
		return err;
	err = open_socket(0, 0, &made.dump);
	if (err != 0)
		goto fail_follow;
	/* A wish: what the kernel grants is enough, because lost messages are noticed. */
	(void)setsockopt(mnl_socket_get_fd(made.follow), SOL_SOCKET, SO_RCVBUF, &receive_b, sizeof(receive_b));
	if (setsockopt(mnl_socket_get_fd(made.dump), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) {
		err = -errno;
		goto fail_dump;
	}
	*nl = made;
	return 0;
fail_dump:
	mnl_socket_close(made.dump);
fail_follow:
	mnl_socket_close(made.follow);
	return err;
}

void sn_netlink_fini(struct sn_netlink *nl)
{
	if (nl->follow != NULL)
		mnl_socket_close(nl->follow);
	if (nl->dump != NULL)
		mnl_socket_close(nl->dump);
	*nl = (struct sn_netlink){ 0 };
}

int sn_netlink_fd(const struct sn_netlink *nl)
{
	return mnl_socket_get_fd(nl->follow);
}

static uint32_t attr_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
}

static uint32_t mtu_of_metrics(const struct nlattr *metrics)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, metrics)
		if (mnl_attr_get_type(a) == RTAX_MTU)
			return attr_u32(a);
	return 0;
}

/* A next hop's attributes: of the message itself, or of one multipath member. */
static void take_nexthop_attr(const struct nlattr *a, struct sn_netlink_route *r, bool *via)
{
	switch (mnl_attr_get_type(a)) {
	case RTA_OIF:
		r->ifindex = attr_u32(a);
		break;
	case RTA_GATEWAY:
		r->gateway_be32 = attr_u32(a);
		break;
	case RTA_VIA:
		*via = true;
		break;
	}
}

/* The first live member of a multipath route into r, one with its link up if there is any. False if all are dead. */
static bool take_multipath(const struct nlattr *multipath, struct sn_netlink_route *r)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	int left_b = mnl_attr_get_payload_len(multipath);
	bool found = false;

	for (; RTNH_OK(hop, left_b); left_b -= NLMSG_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		const struct nlattr *first = (const struct nlattr *)(const void *)RTNH_DATA(hop), *a = first;
		int attrs_b = hop->rtnh_len - (int)sizeof(*hop);
		bool via = false;

		if ((hop->rtnh_flags & RTNH_F_DEAD) || (found && (hop->rtnh_flags & RTNH_F_LINKDOWN)))
			continue;
		r->ifindex = (uint32_t)hop->rtnh_ifindex;
		r->gateway_be32 = 0;
		for (; mnl_attr_ok(a, attrs_b - (int)((const char *)a - (const char *)first)); a = mnl_attr_next(a))
			take_nexthop_attr(a, r, &via);
		if (via)
			r->ifindex = 0;
		found = true;
		if (!(hop->rtnh_flags & RTNH_F_LINKDOWN))
			break;
	}
	return found;
}

/* Reads a route message. False if it is none that the kernel would use in main or local. */
static bool parse_route(const struct nlmsghdr *nlh, struct sn_netlink_route *ret)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a, *multipath = NULL;
	struct sn_netlink_route r = { 0 };
	bool via = false;
	uint32_t table;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm) || rtm->rtm_family != AF_INET || rtm->rtm_dst_len > 32)
		return false;
	if (rtm->rtm_tos != 0 || rtm->rtm_type == RTN_THROW || (rtm->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD)))
		return false;
	table = rtm->rtm_table;
	r.prefix = rtm->rtm_dst_len;
	r.type = rtm->rtm_type;
	mnl_attr_for_each(a, nlh, sizeof(*rtm)) {
		take_nexthop_attr(a, &r, &via);
		if (mnl_attr_get_type(a) == RTA_TABLE)
			table = attr_u32(a);
		else if (mnl_attr_get_type(a) == RTA_DST)
			r.dst_be32 = attr_u32(a);
		else if (mnl_attr_get_type(a) == RTA_PRIORITY)
			r.metric = attr_u32(a);
		else if (mnl_attr_get_type(a) == RTA_METRICS)
			r.mtu_b = mtu_of_metrics(a);
		else if (mnl_attr_get_type(a) == RTA_MULTIPATH)
			multipath = a;
	}
	if (table != RT_TABLE_MAIN && table != RT_TABLE_LOCAL)
		return false;
	if (via)
		r.ifindex = 0;
	if (multipath != NULL && !take_multipath(multipath, &r))
		return false;
	r.local = table == RT_TABLE_LOCAL;
	*ret = r;
	return true;
}

static bool parse_neighbour(const struct nlmsghdr *nlh, struct sn_netlink_neighbour *ret)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	struct sn_netlink_neighbour n = { .deleted = nlh->nlmsg_type == RTM_DELNEIGH };
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ndm) || ndm->ndm_family != AF_INET || (ndm->ndm_flags & NTF_PROXY))
		return false;
	n.ifindex = (uint32_t)ndm->ndm_ifindex;
	n.state = ndm->ndm_state;
	mnl_attr_for_each(a, nlh, sizeof(*ndm)) {
		if (mnl_attr_get_type(a) == NDA_DST) {
			n.addr_be32 = attr_u32(a);
		} else if (mnl_attr_get_type(a) == NDA_LLADDR && mnl_attr_get_payload_len(a) == sizeof(n.mac)) {
			memcpy(n.mac, mnl_attr_get_payload(a), sizeof(n.mac));
			n.has_mac = true;
		}
	}
	*ret = n;
	return n.addr_be32 != 0;
}

static void dispatch(const struct nlmsghdr *nlh, struct sink *sink)
{
	struct sn_netlink_neighbour n;
	struct sn_netlink_route r;

	switch (nlh->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (sink->neighbour != NULL && parse_neighbour(nlh, &n))
			sink->neighbour(sink->ctx, &n);
		break;
	case RTM_NEWROUTE:
		sink->news |= SN_NETLINK_ROUTES;
		if (sink->route != NULL && parse_route(nlh, &r))
			sink->route(sink->ctx, &r);
		break;
	case RTM_DELROUTE:
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWLINK:
	case RTM_DELLINK:
		sink->news |= SN_NETLINK_ROUTES;
		break;
	}
}

static int ask(struct sn_netlink *nl, uint16_t type)
{
	char buf[256] SN_ALIGNED(NLMSG_ALIGNTO) = { 0 };
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm;
	struct ndmsg *ndm;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++nl->seq;
	if (type == RTM_GETROUTE) {
		rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
		rtm->rtm_family = AF_INET;
	} else {
		ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));
		ndm->ndm_family = AF_INET;
	}
	return mnl_socket_sendto(nl->dump, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
}

static int dump_error(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	return mnl_nlmsg_get_payload_len(nlh) >= sizeof(*e) && e->error < 0 ? e->error : -EPROTO;
}

/* Goes through one datagram of a dump. 1: this was the end, 0: more to come, -errno. */
static int take_dump(const char *buf, int left_b, uint32_t seq, struct sink *sink, bool *interrupted)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(const void *)buf;

	for (; mnl_nlmsg_ok(nlh, left_b); nlh = mnl_nlmsg_next(nlh, &left_b)) {
		if (nlh->nlmsg_seq != seq)
			continue; /* the rest of a dump that was given up */
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			*interrupted = true;
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 1;
		if (nlh->nlmsg_type == NLMSG_ERROR)
			return dump_error(nlh);
		dispatch(nlh, sink);
	}
	return 0;
}

static int dump(struct sn_netlink *nl, uint16_t type, struct sink *sink)
{
	char buf[BUFFER_B] SN_ALIGNED(NLMSG_ALIGNTO);
	bool interrupted = false;
	int err = ask(nl, type);
	ssize_t len_b;

	while (err == 0) {
		len_b = mnl_socket_recvfrom(nl->dump, buf, sizeof(buf));
		if (len_b < 0 && errno == EINTR)
			continue;
		err = len_b < 0 ? -errno : take_dump(buf, (int)len_b, nl->seq, sink, &interrupted);
	}
	if (err < 0)
		return err;
	return interrupted ? -EAGAIN : 0;
}

int sn_netlink_dump_routes(struct sn_netlink *nl, sn_netlink_route_fn *fn, void *ctx)
{
	return dump(nl, RTM_GETROUTE, &(struct sink){ .route = fn, .ctx = ctx });
}

int sn_netlink_dump_neighbours(struct sn_netlink *nl, sn_netlink_neighbour_fn *fn, void *ctx)
{
	return dump(nl, RTM_GETNEIGH, &(struct sink){ .neighbour = fn, .ctx = ctx });
}

int sn_netlink_follow(struct sn_netlink *nl, sn_netlink_neighbour_fn *fn, void *ctx)
{
	char buf[BUFFER_B] SN_ALIGNED(NLMSG_ALIGNTO);
	struct sink sink = { .neighbour = fn, .ctx = ctx };
	const struct nlmsghdr *nlh;
	ssize_t len_b;
	int left_b;

	for (int i = 0; i < FOLLOW_DATAGRAMS_MAX; i++) {
		len_b = mnl_socket_recvfrom(nl->follow, buf, sizeof(buf));
		if (len_b < 0 && errno == EAGAIN)
			break;
		if (len_b < 0 && errno != ENOBUFS && errno != ENOSPC && errno != EINTR)
			return -errno;
		if (len_b < 0) {
			sink.news |= SN_NETLINK_LOST;
			continue;
		}
		nlh = (const struct nlmsghdr *)(const void *)buf;
		left_b = (int)len_b;
		for (; mnl_nlmsg_ok(nlh, left_b); nlh = mnl_nlmsg_next(nlh, &left_b))
			dispatch(nlh, &sink);
	}
	return sink.news;
}
