/*
 * control.h: the control process: everything in this folder around one loop. One thread; it waits only in poll.
 *
 * It may be killed at any point: what it keeps in its own memory is read from the kernel and the region again.
 */
#ifndef SN_CONTROL_H
#define SN_CONTROL_H

#include "asker.h"
#include "audits.h"
#include "links.h"
#include "neighbours.h"
#include "netlink.h"
#include "orders.h"
#include "routes.h"
#include "sweep.h"

/* Something that is read from the kernel whole, when it may have changed, but not too often. */
struct sn_refresh {
	bool stale;
	uint64_t due_ns; /* not before */
};

/* What an operator is told once, and again after it was over. */
enum sn_control_trouble {
	SN_TROUBLE_ROUTES,     /* more ranges than fit */
	SN_TROUBLE_NETLINK,    /* the kernel refuses to be read */
	SN_TROUBLE_NEIGHBOURS, /* no entry left */
	SN_TROUBLE_JOURNAL,    /* audit records cannot be written */
};

struct sn_control {
	struct sn_region region;
	int wake[SN_WORKERS_MAX]; /* eventfd of each worker */
	int own_wake;             /* eventfd that workers write */
	int signals;              /* signalfd: readable means stop */
	struct sn_links links;
	struct sn_netlink netlink;
	struct sn_refresh routes_refresh, neighbours_refresh;
	struct sn_routes routes;
	struct sn_neighbours neighbours;
	struct sn_asker asker;
	struct sn_sweep sweep;
	struct sn_audits audits;
	struct sn_orders orders;
	uint64_t tick_ns;         /* next look at neighbours */
	uint32_t troubles;        /* bit per enum sn_control_trouble that was told */
};

/* The parts over region, wake, own_wake and signals, which the caller has filled in. 0, or -errno: nothing is open. */
int sn_control_init(struct sn_control *c, const char *supervisor_path, int journal_fd, int orders_fd);
void sn_control_fini(struct sn_control *c);

/* Goes round until signals becomes readable (0) or the kernel cannot be followed any longer (-errno). */
int sn_control_run(struct sn_control *c);

#endif
