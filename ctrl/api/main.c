/*
 * main.c: shardnat-api: publishes the shards' events and answers questions about the region, which it can only read.
 *
 *     shardnat-api --instance NAME --region FD --dir DIRECTORY [--control PATH]
 *
 * Started by the supervisor with the region's descriptor inherited; ends on SIGTERM, and removes its sockets. When it
 * is killed nothing notices but its clients, which reconnect to its successor.
 */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "backing.h"
#include "publish.h"
#include "sandbox.h"
#include "serve.h"

/* Between looks at the rings: short while events come, longer and longer when they do not. */
#define BUSY_NS 1000000
#define IDLE_NS 20000000

struct options {
	const char *instance, *dir, *control; /* control NULL: nothing can be changed */
	int region_fd;
};

static struct sn_publisher publisher;
static struct sn_server server;

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "shardnat-api: %s: %s\n", what, why);
	return 1;
}

static bool parse(int argc, char **argv, struct options *ret)
{
	static const struct option names[] = {
		{ "instance", required_argument, NULL, 'i' },
		{ "region", required_argument, NULL, 'r' },
		{ "dir", required_argument, NULL, 'd' },
		{ "control", required_argument, NULL, 'c' },
		{ 0 },
	};
	int c;

	*ret = (struct options){ .region_fd = -1 };
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'i')
			ret->instance = optarg;
		else if (c == 'r')
			ret->region_fd = atoi(optarg);
		else if (c == 'd')
			ret->dir = optarg;
		else if (c == 'c')
			ret->control = optarg;
		else
			return false;
	}
	return optind == argc && ret->instance && ret->dir && ret->region_fd >= 0;
}

static const char *join(int fd, struct sn_region *ret)
{
	struct stat st;
	void *mem;
	int err;

	if (fstat(fd, &st) || st.st_size <= 0)
		return "the descriptor is not that of a region";
	mem = sn_backing_map(fd, (size_t)st.st_size, false);
	if (!mem)
		return "it cannot be mapped";
	err = sn_region_join(mem, (size_t)st.st_size, false, ret);
	return err ? sn_join_error_text(err) : NULL;
}

/* Every thread inherits it: SIGTERM and SIGINT wait for run(). */
static void block_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
	pthread_sigmask(SIG_BLOCK, ret, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Until a signal ends it. */
static void run(const sigset_t *signals)
{
	struct timespec nap = { .tv_nsec = IDLE_NS };

	while (sigtimedwait(signals, NULL, &nap) < 0) {
		if (sn_publisher_poll(&publisher))
			nap.tv_nsec = BUSY_NS;
		else if (nap.tv_nsec < IDLE_NS)
			nap.tv_nsec += BUSY_NS;
	}
}

int main(int argc, char **argv)
{
	struct options o;
	struct sn_region region;
	sigset_t signals;
	const char *why;
	int err;

	if (!parse(argc, argv, &o))
		return fail("usage", "shardnat-api --instance NAME --region FD --dir DIRECTORY [--control PATH]") + 1;
	why = join(o.region_fd, &region);
	if (why)
		return fail("region", why);
	umask(0177);
	block_signals(&signals);
	err = sn_publisher_open(&publisher, &region, o.instance, o.dir);
	if (err)
		return fail("socket events", nng_strerror(err));
	err = sn_server_open(&server, &region, o.dir, o.control);
	if (err) {
		sn_publisher_close(&publisher);
		return fail("socket api", nng_strerror(err));
	}
	err = sn_sandbox_enter();
	if (err)
		fprintf(stderr, "shardnat-api: sandbox: %s: going on without\n", strerror(-err));
	run(&signals);
	sn_server_close(&server);
	sn_publisher_close(&publisher);
	return 0;
}
