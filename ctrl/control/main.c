/*
 * main.c: shardnat-ctrl. Started by the supervisor, which hands it the region and the eventfds; without privileges.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "backing.h"
#include "control.h"
#include "sandbox.h"

struct arguments {
	const char *instance, *supervisor;
	int region, journal, orders; /* descriptors, -1: not given */
	int wake[SN_WORKERS_MAX + 1];
	uint32_t wakes;
};

/* One descriptor at *text, which moves behind it. -1 if there is none. */
static int parse_fd(const char **text)
{
	char *end;
	long fd;

	errno = 0;
	fd = strtol(*text, &end, 10);
	if (end == *text || errno != 0 || fd < 0 || fd > INT32_MAX)
		return -1;
	*text = end;
	return (int)fd;
}

static bool parse_one_fd(const char *text, int *ret)
{
	*ret = parse_fd(&text);
	return *ret >= 0 && *text == '\0';
}

static bool parse_fds(const char *text, struct arguments *a)
{
	for (a->wakes = 0; a->wakes < SN_ARRAY_LEN(a->wake); text++) {
		a->wake[a->wakes] = parse_fd(&text);
		if (a->wake[a->wakes++] < 0)
			return false;
		if (*text != ',')
			return *text == '\0';
	}
	return false;
}

static bool parse_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = { { "instance", required_argument, NULL, 'i' },
						 { "region", required_argument, NULL, 'r' },
						 { "wake", required_argument, NULL, 'w' },
						 { "supervisor", required_argument, NULL, 's' },
						 { "journal", required_argument, NULL, 'j' },
						 { "orders", required_argument, NULL, 'o' },
						 { 0 } };
	bool good = true;
	int option;

	*a = (struct arguments){ .region = -1, .journal = -1, .orders = -1 };
	while (good && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'i')
			a->instance = optarg;
		else if (option == 's')
			a->supervisor = optarg;
		else if (option == 'r')
			good = parse_one_fd(optarg, &a->region);
		else if (option == 'j')
			good = parse_one_fd(optarg, &a->journal);
		else if (option == 'o')
			good = parse_one_fd(optarg, &a->orders);
		else
			good = option == 'w' && parse_fds(optarg, a);
	}
	return good && optind == argc && a->instance && a->supervisor && a->region >= 0 && a->wakes >= 2;
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "shardnat-ctrl: %s: %s\n", what, why);
	return 1;
}

/* Maps and joins the region of the descriptor. 0 or the exit status, told. */
static int join(const struct arguments *a, struct sn_region *ret)
{
	struct stat st;
	void *mem;
	int err;

	if (fstat(a->region, &st) != 0)
		return fail("--region", strerror(errno));
	mem = sn_backing_map(a->region, (size_t)st.st_size, true);
	if (mem == NULL)
		return fail("cannot map the region", strerror(errno));
	err = sn_region_join(mem, (size_t)st.st_size, true, ret);
	if (err != 0)
		return fail("cannot join the region", sn_join_error_text(err));
	if (strncmp(ret->hdr->instance, a->instance, sizeof(ret->hdr->instance)) != 0)
		return fail("cannot join the region", "it is another instance's");
	if (a->wakes != ret->geo.workers + 1)
		return fail("--wake", "needs one descriptor per worker and control's own");
	return 0;
}

/* SIGTERM and SIGINT become a descriptor. -1 and errno. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int serve(struct sn_control *c, const struct arguments *a)
{
	int err = sn_control_init(c, a->supervisor, a->journal, a->orders);

	if (err != 0)
		return fail("cannot start", strerror(-err));
	err = sn_sandbox_enter();
	if (err != 0) {
		sn_control_fini(c);
		return fail("cannot install the system call filter", strerror(-err));
	}
	err = sn_control_run(c);
	sn_control_fini(c);
	return err != 0 ? fail("cannot follow the kernel", strerror(-err)) : 0;
}

int main(int argc, char **argv)
{
	static struct sn_control control;
	struct arguments a;
	int status;

	if (!parse_arguments(argc, argv, &a)) {
		fputs("usage: shardnat-ctrl --instance NAME --region FD --wake FD,...,FD --supervisor PATH\n"
		      "                     [--journal FD] [--orders FD]\n"
		      "started by shardnatd\n",
		      stderr);
		return 2;
	}
	status = join(&a, &control.region);
	if (status != 0)
		return status;
	memcpy(control.wake, a.wake, control.region.geo.workers * sizeof(a.wake[0]));
	control.own_wake = a.wake[control.region.geo.workers];
	control.signals = open_signals();
	if (control.signals < 0)
		return fail("signals", strerror(errno));
	return serve(&control, &a);
}
