/*
 * links.h: the host's interfaces and IPv4 addresses, as rtnetlink tells them.
 *
 * Callers: --check, start, and the main loop when the kernel reports a change.
 */
#ifndef SN_LINKS_H
#define SN_LINKS_H

#include "base.h"
#include "policy.h"

#define SN_LINKS_MAX 512
#define SN_LINK_ADDRS_MAX 1024

struct sn_link {
	uint32_t ifindex;
	char name[SN_NAME_B];
	uint32_t mtu_b;
	uint8_t mac[6];
	bool ethernet;
	bool tun;        /* a TUN device: IP packets without a header before them */
	bool up;
	uint16_t queues; /* receive queues in use */
};

struct sn_link_addr {
	uint32_t ifindex;
	uint32_t addr_be32;
};

struct sn_links {
	uint32_t count, addr_count;
	struct sn_link links[SN_LINKS_MAX];
	struct sn_link_addr addrs[SN_LINK_ADDRS_MAX];
};

/* All interfaces and addresses of this network namespace. 0 or -errno. */
int sn_links_read(struct sn_links *ret);

/* NULL if there is none of that name. */
const struct sn_link *sn_links_find(const struct sn_links *l, const char *name);

/* The first address of an interface; 0 if it has none. */
uint32_t sn_links_addr(const struct sn_links *l, uint32_t ifindex);

/* A netlink socket that becomes readable when links or addresses change: fd or -errno. Drained by sn_links_drain(). */
int sn_links_watch(void);
void sn_links_drain(int fd);

#endif
