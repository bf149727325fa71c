/*
 * hold.c: see hold.h.
 */
#include "hold.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QDISC_PREFIX "clsact-"
#define HANDLE 0x736e /* "sn" */
#define PRIORITY 1

static int note(const char *dir, const char *prefix, uint32_t ifindex)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s%u", dir, prefix, ifindex);
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

/* True if there was such a note. */
static bool forget(const char *dir, const char *prefix, uint32_t ifindex)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s%u", dir, prefix, ifindex);
	return !rmdir(path);
}

static int qdisc_make(const char *dir, struct bpf_tc_hook *hook)
{
	int err = bpf_tc_hook_create(hook);

	if (err == -EEXIST)
		return 0;
	return err ? err : note(dir, QDISC_PREFIX, (uint32_t)hook->ifindex);
}

static int put(const char *dir, int program, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PRIORITY, .prog_fd = program,
		    .flags = BPF_TC_F_REPLACE);
	int err = note(dir, SN_HOLD_PREFIX, ifindex);

	if (!err)
		err = qdisc_make(dir, &hook);
	return err ? err : bpf_tc_attach(&hook, &opts);
}

int sn_hold_put(const char *dir, int program, uint32_t ifindex)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	int err = put(dir, program, ifindex);

	libbpf_set_print(print);
	return err;
}

static int take_away(const char *dir, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PRIORITY);
	int err;

	if (!forget(dir, SN_HOLD_PREFIX, ifindex))
		return 0;
	err = bpf_tc_detach(&hook, &opts);
	if (forget(dir, QDISC_PREFIX, ifindex)) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		err = bpf_tc_hook_destroy(&hook);
	}
	return err == -ENOENT || err == -ENODEV || err == -EINVAL ? 0 : err;
}

int sn_hold_remove(const char *dir, const char *name)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	int err = take_away(dir, (uint32_t)strtoul(name + strlen(SN_HOLD_PREFIX), NULL, 10));

	libbpf_set_print(print);
	return err;
}
