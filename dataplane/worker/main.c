/*
 * main.c: shardnat-worker. Started by the supervisor with every descriptor it needs; maps them, takes over from whoever had
 * its shards before, closes the sandbox behind it, and forwards until SIGTERM.
 *
 *     shardnat-worker --instance NAME --worker N --region FD --umem FD,... --wake FD,... --xsk FD:INTERFACE:QUEUE ...
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

struct options {
	const char *instance;
	uint32_t worker;
	int region_fd;
	int umem_fds[SN_WORKERS_MAX];
	int wake_fds[SN_WORKERS_MAX + 1];
	uint32_t umems, wakes;
	struct { int fd; unsigned interface, queue; } xsk[SN_SOCKETS_MAX];
	uint32_t sockets;
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

static bool parse_xsk(const char *arg, struct options *o)
{
	if (o->sockets == SN_SOCKETS_MAX)
		return false;
	if (sscanf(arg, "%d:%u:%u", &o->xsk[o->sockets].fd, &o->xsk[o->sockets].interface,
		   &o->xsk[o->sockets].queue) != 3)
		return false;
	return o->xsk[o->sockets++].interface < SN_INTERFACES_MAX;
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "instance", required_argument, NULL, 'i' }, { "worker", required_argument, NULL, 'n' },
		{ "region", required_argument, NULL, 'r' },   { "umem", required_argument, NULL, 'u' },
		{ "wake", required_argument, NULL, 'w' },     { "xsk", required_argument, NULL, 'x' }, { 0 }
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
		case 'x': ok = parse_xsk(optarg, o); break;
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

static int join_ports(struct sn_worker *w, const struct options *o)
{
	memset(w->port_of_interface, 0xff, sizeof(w->port_of_interface));
	for (uint32_t i = 0; i < o->sockets; i++) {
		uint16_t interface = (uint16_t)o->xsk[i].interface;
		int err = sn_xsk_join(o->xsk[i].fd, i, &w->umem[o->worker], interface, (uint16_t)o->xsk[i].queue,
				      &w->ports[i]);

		if (err)
			return err;
		w->port_count++;
		if (w->port_of_interface[interface] == UINT16_MAX)
			w->port_of_interface[interface] = (uint16_t)i;
	}
	return 0;
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
		return fail(&o, "cannot map an AF_XDP socket", err);
	if ((err = sn_sleep_init(&worker)))
		return fail(&o, "cannot set up io_uring", err);
	if ((err = sn_sandbox_enter()))
		return fail(&o, "cannot enter the sandbox", err);
	sn_worker_take_over(&worker);
	sn_worker_run(&worker, &stop);
	return 0;
}
