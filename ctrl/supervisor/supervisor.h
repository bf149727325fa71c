/*
 * supervisor.h: the state of a running supervisor, and its parts.
 *
 * One thread, one poll loop. Files: start.c (from a configuration to a running node, and the end), publish.c (what is
 * written to the region and the XDP maps), sockets.c, adopt.c (what a dead supervisor left), children.c (start,
 * death, restart), requests.c (neighbours for control), supervisor.c (the loop).
 *
 *     child:  idle --start--> running --pidfd readable--> dead (epoch of its shards + 1) --back-off--> running
 */
#ifndef SN_SUPERVISOR_H
#define SN_SUPERVISOR_H

#include <limits.h>
#include <sys/types.h>

#include "base.h"
#include "config.h"
#include "error.h"
#include "io/umem.h"
#include "memory.h"
#include "mounts.h"
#include "spawn.h"
#include "xdp.h"

#define SN_SOCKETS_TOTAL 512
#define SN_PEERS_MAX 4

/* What the sockets of an interface are. */
enum sn_socket_kind { SN_SOCKET_XSK, SN_SOCKET_PACKET, SN_SOCKET_TUN };

/* One socket, or queue of a TUN device. fd -1: not made yet. */
struct sn_socket {
	int fd;
	uint16_t worker, interface, queue;
};

struct sn_child {
	enum sn_role role;
	uint32_t worker;
	pid_t pid;           /* 0: not running */
	int pidfd;
	bool adopted;        /* not our child: its exit status is not ours to know */
	uint32_t quick;      /* deaths soon after the start, in a row */
	uint64_t started_ms, died_ms;
	uint64_t due_ms;     /* dead: when it is to be started */
};

struct sn_supervisor {
	struct sn_config config;
	struct sn_links links;
	struct sn_paths paths;
	char programs[SN_ROLE_WORKER + 1][PATH_MAX];
	int lock;
	bool fresh;          /* this supervisor made the region: a failed start removes it again */
	bool joined;
	struct sn_memory memory;
	struct sn_packet_memory packets[SN_WORKERS_MAX];
	int wakes[SN_WORKERS_MAX + 1];
	struct sn_socket sockets[SN_SOCKETS_TOTAL];
	uint32_t socket_count;
	enum sn_socket_kind kinds[SN_INTERFACES_MAX]; /* by interface */
	struct sn_xdp xdp;
	bool xdp_loaded;
	struct sn_child children[SN_PROCESSES_MAX]; /* by slot of the process table; slot 0 is ourselves */
	uint32_t child_count;
	int signals, changes, listening;
	int orders;          /* listening: control's, for the API; passed on from one control to the next */
	int peers[SN_PEERS_MAX];
	bool stopping;
};

/* One line to stderr, with the time. */
void sn_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint64_t sn_now_ms(void);

/* --- start.c --- */

/*
 * Clears the state, reads the configuration and settles it with this host. 0, or -errno and the text; the caller ends
 * s->config.
 */
int sn_configure(struct sn_supervisor *s, const char *file, struct sn_error *err);

/*
 * Everything until the node runs; recreate: an existing region is removed first. 0, or -errno and the text, and what
 * this call made is gone.
 */
int sn_start(struct sn_supervisor *s, const char *file, bool recreate, struct sn_error *err);

/* Ends the node: children, program, region, mounts, huge pages, files. */
void sn_end(struct sn_supervisor *s);

/* --- supervisor.c --- */

/* Runs until SIGTERM or SIGINT. */
void sn_supervise(struct sn_supervisor *s);

/* --- publish.c --- */

/* Into a region that was just made: addresses of the pools, shard owners, hold-down of a cold start. 0 or -errno. */
int sn_publish_fresh(struct sn_supervisor *s);

/*
 * The policy, if it differs from the active one; the XDP program's local addresses with it. True if it was published.
 */
bool sn_publish_policy(struct sn_supervisor *s);

/* A process's entry in the table; pid 0: it is dead. */
void sn_publish_process(struct sn_supervisor *s, uint32_t slot, pid_t pid);

/* Epoch + 1 for the shards of a worker whose process is gone for sure. */
void sn_publish_epochs(struct sn_supervisor *s, uint32_t worker);

/* Loads (or adopts) the program, its prefixes, and attaches it. 0 or -errno and the text. */
int sn_publish_program(struct sn_supervisor *s, struct sn_error *err);

/* --- sockets.c --- */

/* Which sockets there shall be: queue q of an interface to worker q % workers. 0, or -EINVAL and the text. */
int sn_sockets_plan(struct sn_supervisor *s, struct sn_error *err);

/*
 * Makes packet memory, eventfds and sockets that are not there, and puts the sockets into the program's map. 0, or
 * -errno and the text.
 */
int sn_sockets_make(struct sn_supervisor *s, struct sn_error *err);

/* A kind's name on a worker's command line: "xsk", "packet", "tun". */
const char *sn_socket_kind_name(enum sn_socket_kind kind);

/* The interface has packet sockets instead of AF_XDP, because of why: says so once. */
void sn_sockets_without_xdp(struct sn_supervisor *s, uint32_t interface, const char *why);
void sn_sockets_close(struct sn_supervisor *s);

/* --- adopt.c --- */

/* Finds the living children of this instance by /proc, with pidfds, in their slots. */
void sn_adopt_find(struct sn_supervisor *s);

/* Takes their descriptors: packet memory, eventfds, sockets. What cannot be had is left to be made. */
void sn_adopt_take(struct sn_supervisor *s);

/* --- children.c --- */

void sn_children_init(struct sn_supervisor *s);

/* Starts all that do not run. 0, or -errno and the text. */
int sn_children_start(struct sn_supervisor *s, struct sn_error *err);

/* A pidfd became readable: reaps, publishes, and plans the restart. */
void sn_children_died(struct sn_supervisor *s, uint32_t slot);

/* Starts those that are due; milliseconds until the next one is, -1 if none. */
int sn_children_restart(struct sn_supervisor *s);

/* TERM, two seconds, KILL. */
void sn_children_stop(struct sn_supervisor *s);

/* --- requests.c --- */

/* Makes a listening socket at path that uid may connect to. fd or -errno. */
int sn_requests_listen(const char *path, uid_t uid);
void sn_requests_accept(struct sn_supervisor *s);
void sn_requests_serve(struct sn_supervisor *s, uint32_t peer);

#endif
