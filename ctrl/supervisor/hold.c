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

static enum bpf_tc_attach_point place_of(const char *prefix)
{
	return !strcmp(prefix, SN_HOLD_PREFIX) ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

static int put(const char *dir, const char *prefix, int program, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = place_of(prefix));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PRIORITY, .prog_fd = program,
		    .flags = BPF_TC_F_REPLACE);
	int err = note(dir, prefix, ifindex);

	if (!err)
		err = qdisc_make(dir, &hook);
	return err ? err : bpf_tc_attach(&hook, &opts);
}

static int put_quietly(const char *dir, const char *prefix, int program, uint32_t ifindex)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	int err = put(dir, prefix, program, ifindex);

	libbpf_set_print(print);
	return err;
}

int sn_hold_put(const char *dir, int program, uint32_t ifindex)
{
	return put_quietly(dir, SN_HOLD_PREFIX, program, ifindex);
}

int sn_guard_put(const char *dir, int program, uint32_t ifindex)
{
	return put_quietly(dir, SN_GUARD_PREFIX, program, ifindex);
}

static bool noted(const char *dir, const char *prefix, uint32_t ifindex)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s%u", dir, prefix, ifindex);
	return !access(path, F_OK);
}

static int take_away(const char *dir, const char *prefix, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = place_of(prefix));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PRIORITY);
	bool other;
	int err;

	if (!forget(dir, prefix, ifindex))
		return 0;
	err = bpf_tc_detach(&hook, &opts);
	other = noted(dir, SN_HOLD_PREFIX, ifindex) || noted(dir, SN_GUARD_PREFIX, ifindex);
	if (!other && forget(dir, QDISC_PREFIX, ifindex)) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		err = bpf_tc_hook_destroy(&hook);
	}
	return err == -ENOENT || err == -ENODEV || err == -EINVAL ? 0 : err;
}

int sn_hold_remove(const char *dir, const char *name)
{
	const char *prefix = strncmp(name, SN_HOLD_PREFIX, strlen(SN_HOLD_PREFIX)) ? SN_GUARD_PREFIX : SN_HOLD_PREFIX;
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	int err = take_away(dir, prefix, (uint32_t)strtoul(name + strlen(prefix), NULL, 10));

	libbpf_set_print(print);
	return err;
}
