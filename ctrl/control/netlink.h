/*
 * netlink.h: reads the kernel's IPv4 routes and neighbours, and follows their changes. Needs no privilege, changes
 * nothing.
 *
 * Two sockets: one is a member of the groups and is polled; the other one asks for dumps and waits for their end, so
 * that an answer is never mixed up with a change. A dump is read whole before the next one is asked for.
 *
 * Routes are not followed one by one but read anew after any change: the kernel removes the routes of an interface
 * that goes down without a message, and a replaced or appended route cannot be told from its message alone.
 */
#ifndef SN_NETLINK_H
#define SN_NETLINK_H

#include "base.h"

struct mnl_socket;

struct sn_netlink {
	struct mnl_socket *follow, *dump;
	uint32_t seq;
};

/* One IPv4 route of the tables main or local. */
struct sn_netlink_route {
	uint32_t dst_be32;
	uint32_t gateway_be32; /* 0: on link */
	uint32_t ifindex;      /* 0: none that can be used (no device, or an IPv6 gateway) */
	uint32_t metric;
	uint32_t mtu_b;        /* 0: the interface's */
	uint8_t prefix;        /* 0..32 */
	uint8_t type;          /* RTN_* */
	bool local;            /* in table local, which the kernel asks before main */
};

/* One IPv4 neighbour. */
struct sn_netlink_neighbour {
	uint32_t addr_be32;
	uint32_t ifindex;
	uint16_t state; /* NUD_* */
	bool deleted;
	bool has_mac;
	uint8_t mac[6];
};

typedef void sn_netlink_route_fn(void *ctx, const struct sn_netlink_route *route);
typedef void sn_netlink_neighbour_fn(void *ctx, const struct sn_netlink_neighbour *neighbour);

/* What sn_netlink_follow() found, beside neighbours. */
enum sn_netlink_news {
	SN_NETLINK_ROUTES = 1, /* routes, addresses or links changed */
	SN_NETLINK_LOST = 2,   /* messages were lost: read everything anew */
};

/* Opens and joins. 0 or -errno, nothing is open then. */
int sn_netlink_init(struct sn_netlink *nl);
void sn_netlink_fini(struct sn_netlink *nl);

/* To be polled for reading. */
int sn_netlink_fd(const struct sn_netlink *nl);

/*
 * Calls fn for each route that the kernel would use (dead next hops, and the types that only lead to another table, are
 * left out). 0; -EAGAIN if the tables changed meanwhile (what fn was given may be incomplete); -errno.
 */
int sn_netlink_dump_routes(struct sn_netlink *nl, sn_netlink_route_fn *fn, void *ctx);

/* The same for neighbours, in every state. */
int sn_netlink_dump_neighbours(struct sn_netlink *nl, sn_netlink_neighbour_fn *fn, void *ctx);

/* Reads what has come (a bounded number of messages), fn for each neighbour. enum sn_netlink_news bits, or -errno. */
int sn_netlink_follow(struct sn_netlink *nl, sn_netlink_neighbour_fn *fn, void *ctx);

#endif
