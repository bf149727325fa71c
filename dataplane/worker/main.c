/*
 * main.c: shardnat-worker. Started by the supervisor with every descriptor it needs; maps them, takes over from whoever had
 * its shards before, closes the sandbox behind it, and forwards until SIGTERM.
 *
 *     shardnat-worker --instance NAME --worker N --region FD --umem FD,... --wake FD,... [--xsk FD:INTERFACE:QUEUE ...]
 *         [--uring FD:INTERFACE:QUEUE:KIND ...]          KIND: packet, tun
 *
 * A socket's number among all of them, in the order of the command line, is its index in the packet memory.
 */
#include "worker/worker.h"

#include "backing.h"
#include "io/xsk.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct socket {
	int fd;
	unsigned interface, queue;
	enum sn_uring_kind kind; /* SN_URING_KINDS: AF_XDP */
};

struct options {
	const char *instance;
	uint32_t worker;
	int region_fd;
	int umem_fds[SN_WORKERS_MAX];
	int wake_fds[SN_WORKERS_MAX + 1];
	uint32_t umems, wakes;
	struct socket sockets[SN_SOCKETS_MAX];
	uint32_t socket_count;
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static int usage(void)
{
	fprintf(stderr, "shardnat-worker: a part of shardnatd, which starts it with the descriptors it needs; "
			"it is of no use alone\n");
	return 2;
}

static bool parse_fds(const char *arg, int *fds, uint32_t max, uint32_t *ret_n)
{
	char *end;

	for (*ret_n = 0; *arg; arg = *end == ',' ? end + 1 : end) {
		long fd = strtol(arg, &end, 10);

		if (end == arg || fd < 0 || fd > INT32_MAX || *ret_n == max || (*end && *end != ','))
			return false;
		fds[(*ret_n)++] = (int)fd;
	}
	return true;
}

static bool parse_socket(const char *arg, bool uring, struct options *o)
{
	struct socket *k = &o->sockets[o->socket_count];
	char kind[8] = "";

	if (o->socket_count == SN_SOCKETS_MAX)
		return false;
	if (sscanf(arg, "%d:%u:%u:%7s", &k->fd, &k->interface, &k->queue, kind) != (uring ? 4 : 3))
		return false;
	k->kind = sn_uring_kind(kind);
	o->socket_count++;
	return k->interface < SN_INTERFACES_MAX && uring == (k->kind != SN_URING_KINDS);
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "instance", required_argument, NULL, 'i' }, { "worker", required_argument, NULL, 'n' },
		{ "region", required_argument, NULL, 'r' },   { "umem", required_argument, NULL, 'u' },
		{ "wake", required_argument, NULL, 'w' },     { "xsk", required_argument, NULL, 'x' },
		{ "uring", required_argument, NULL, 'g' },    { 0 }
	};
	bool ok = true;
	int c;

	o->region_fd = -1;
	o->worker = SN_NONE;
	while (ok && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'i': o->instance = optarg; break;
		case 'n': o->worker = (uint32_t)atoi(optarg); break;
		case 'r': o->region_fd = atoi(optarg); break;
		case 'u': ok = parse_fds(optarg, o->umem_fds, SN_WORKERS_MAX, &o->umems); break;
		case 'w': ok = parse_fds(optarg, o->wake_fds, SN_WORKERS_MAX + 1, &o->wakes); break;
		case 'x': ok = parse_socket(optarg, false, o); break;
		case 'g': ok = parse_socket(optarg, true, o); break;
		default: ok = false;
		}
	}
	return ok && o->instance && o->region_fd >= 0 && o->worker < o->umems && o->wakes == o->umems + 1;
}

static int fail(const struct options *o, const char *what, int err)
{
	fprintf(stderr, "shardnat-worker %u: %s: %s\n", o->worker, what, strerror(-err));
	return 1;
}

static int join_region(struct sn_worker *w, const struct options *o)
{
	off_t size = lseek(o->region_fd, 0, SEEK_END);
	void *mem = size > 0 ? sn_backing_map(o->region_fd, (size_t)size, true) : NULL;
	int err;

	if (!mem)
		return -errno;
	err = sn_region_join(mem, (size_t)size, true, &w->region);
	if (err) {
		fprintf(stderr, "shardnat-worker %u: region: %s\n", o->worker, sn_join_error_text(err));
		return -EPROTO;
	}
	return o->worker < w->region.geo.workers && o->umems == w->region.geo.workers ? 0 : -EINVAL;
}

static int join_umems(struct sn_worker *w, const struct options *o)
{
	for (uint32_t i = 0; i < o->umems; i++) {
		int err = sn_umem_join(o->umem_fds[i], i == o->worker, &w->umem[i]);

		if (err)
			return err;
	}
	return 0;
}

static bool has_tun(const struct options *o)
{
	for (uint32_t i = 0; i < o->socket_count; i++)
		if (o->sockets[i].kind == SN_URING_TUN)
			return true;
	return false;
}

/* Frames of one port that wait for packets: half of all are shared out. */
static uint32_t depth_of(const struct sn_umem *umem, const struct options *o)
{
	uint32_t depth = 64;

	while (depth < 1024 && depth * 2 * o->socket_count <= umem->frame_count / 2)
		depth *= 2;
	return depth;
}

static int join_port(struct sn_worker *w, const struct options *o, uint32_t i)
{
	const struct socket *k = &o->sockets[i];
	struct sn_umem *umem = &w->umem[o->worker];
	int err;

	if (k->kind != SN_URING_KINDS)
		return sn_uring_join(w->uring, k->fd, k->kind, i, depth_of(umem, o), (uint16_t)k->interface,
				     (uint16_t)k->queue, &w->ports[i]);
	err = sn_xsk_join(k->fd, i, umem, (uint16_t)k->interface, (uint16_t)k->queue, &w->ports[i]);
	return err ? err : sn_uring_watch(w->uring, k->fd, false);
}

static int join_ports(struct sn_worker *w, const struct options *o)
{
	int err = sn_uring_open(&w->umem[o->worker], has_tun(o), &w->uring);

	if (!err)
		err = sn_uring_watch(w->uring, o->wake_fds[o->worker], true);
	memset(w->port_of_interface, 0xff, sizeof(w->port_of_interface));
	for (uint32_t i = 0; i < o->socket_count && !err; i++) {
		uint16_t interface = (uint16_t)o->sockets[i].interface;

		err = join_port(w, o, i);
		w->port_count++;
		if (w->port_of_interface[interface] == UINT16_MAX)
			w->port_of_interface[interface] = (uint16_t)i;
	}
	return err;
}

int main(int argc, char **argv)
{
	static struct sn_worker worker;
	static struct options o;
	struct sigaction term = { .sa_handler = on_term };
	int err;

	if (!parse_options(argc, argv, &o))
		return usage();
	sigaction(SIGTERM, &term, NULL);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if ((err = join_region(&worker, &o)))
		return fail(&o, "cannot join the region", err);
	if ((err = join_umems(&worker, &o)))
		return fail(&o, "cannot join the packet memory", err);
	memcpy(worker.wake_fds, o.wake_fds, sizeof(worker.wake_fds));
	if ((err = sn_worker_init(&worker, o.worker)))
		return fail(&o, "cannot set up", err);
	if ((err = join_ports(&worker, &o)))
		return fail(&o, "cannot join its sockets", err);
	if ((err = sn_sandbox_enter()))
		return fail(&o, "cannot enter the sandbox", err);
	sn_worker_take_over(&worker);
	sn_worker_run(&worker, &stop);
	return 0;
}
