/*
 * xdp.c: loader of the BPF programs, over libbpf. See xdp.h for what is pinned where.
 */
#include "hold.h"
#include "offloads.h"
#include "xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_B 65536
#define LINK_PREFIX "link-"
#define MAP_PREFIX "map-"

/* The last pin is made first: when the first one is there, all else is. */
static const char *const program_pins[SN_XDP_PROGRAMS] = {
	[SN_XDP_STEER] = "program", [SN_XDP_TAP] = "tap", [SN_XDP_HOLD] = "hold",
	[SN_XDP_GUARD] = "guard",
};
static const char *const program_names[SN_XDP_PROGRAMS] = {
	[SN_XDP_STEER] = "steer", [SN_XDP_TAP] = "tap", [SN_XDP_HOLD] = "hold",
	[SN_XDP_GUARD] = "guard",
};

static const struct {
	const char *name;
	uint32_t key_b, value_b;
} layouts[SN_XDP_MAPS] = {
	[SN_XDP_INTERFACES] = { "interfaces", sizeof(uint32_t), sizeof(struct sn_steer_interface) },
	[SN_XDP_INSIDE] = { "inside", sizeof(struct sn_steer_prefix), sizeof(uint32_t) },
	[SN_XDP_OUTSIDE] = { "outside", sizeof(struct sn_steer_prefix), sizeof(uint32_t) },
	[SN_XDP_LOCAL] = { "local", sizeof(uint32_t), sizeof(uint32_t) },
	[SN_XDP_SOCKETS] = { "sockets", sizeof(uint32_t), sizeof(uint32_t) },
	[SN_XDP_COUNTERS] = { "counters", sizeof(uint32_t), sizeof(uint64_t) },
};

static int __attribute__((format(printf, 4, 5))) fail(int err, char *msg, size_t msg_b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(msg, msg_b, format, args);
	va_end(args);
	return err;
}

static const char *advice(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return ": this needs CAP_BPF and CAP_NET_ADMIN (CAP_SYS_ADMIN on kernels before 5.8)";
	case -ENOENT:
		return ": is a bpffs mounted there?";
	case -EEXIST:
		return ": an earlier start left its pins; adopt or remove them";
	default:
		return "";
	}
}

static void pin_path(const char *dir, const char *prefix, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s%s", dir, prefix, name);
}

static void link_path(const char *dir, uint32_t ifindex, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/" LINK_PREFIX "%u", dir, ifindex);
}

static int dir_set(const char *dir, struct sn_xdp *x, char *msg, size_t msg_b)
{
	if (strlen(dir) >= sizeof(x->dir))
		return fail(-ENAMETOOLONG, msg, msg_b, "%s: path of the bpffs directory is too long", dir);
	memset(x, 0xff, sizeof(*x)); /* all descriptors -1 */
	strcpy(x->dir, dir);
	return 0;
}

void sn_xdp_fini(struct sn_xdp *x)
{
	if (!x)
		return;
	for (uint32_t p = 0; p < SN_XDP_PROGRAMS; p++)
		if (x->programs[p] >= 0)
			close(x->programs[p]);
	for (uint32_t m = 0; m < SN_XDP_MAPS; m++)
		if (x->maps[m] >= 0)
			close(x->maps[m]);
	memset(x, 0xff, sizeof(*x));
}

static struct bpf_map *map_of(struct bpf_object *object, enum sn_xdp_map m)
{
	return bpf_object__find_map_by_name(object, layouts[m].name);
}

/* The last lines of the verifier's log say why. */
static const char *last_lines(const char *log)
{
	size_t len = strlen(log);

	return len > SN_XDP_MSG_B / 2 ? log + len - SN_XDP_MSG_B / 2 : log;
}

static int object_load(uint32_t inside, uint32_t outside, char *log, struct bpf_object **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "shardnat", .kernel_log_buf = log,
		    .kernel_log_size = LOG_B);
	struct bpf_object *object =
		bpf_object__open_mem(sn_steer_object, (size_t)(sn_steer_object_end - sn_steer_object), &opts);
	int err;

	if (!object)
		return -errno;
	err = bpf_map__set_max_entries(map_of(object, SN_XDP_INSIDE), SN_MAX(inside, 1));
	if (!err)
		err = bpf_map__set_max_entries(map_of(object, SN_XDP_OUTSIDE), SN_MAX(outside, 1));
	if (!err)
		err = bpf_object__load(object);
	if (err) {
		bpf_object__close(object);
		return err;
	}
	*ret = object;
	return 0;
}

/* As object_load, with libbpf's own printing off. */
static int object_load_quietly(uint32_t inside, uint32_t outside, struct bpf_object **ret, char *msg, size_t msg_b)
{
	char *log = calloc(1, LOG_B);
	libbpf_print_fn_t print;
	int err;

	if (!log)
		return fail(-ENOMEM, msg, msg_b, "no memory to load the XDP program");
	print = libbpf_set_print(NULL);
	err = object_load(inside, outside, log, ret);
	libbpf_set_print(print);
	if (err)
		fail(err, msg, msg_b, "cannot load the XDP program: %s%s %s", strerror(-err), advice(err),
		     last_lines(log));
	free(log);
	return err;
}

/* Own descriptors of the program and maps, so that libbpf's object can go. */
static int descriptors_take(const struct bpf_object *object, struct sn_xdp *x)
{
	for (uint32_t p = 0; p < SN_XDP_PROGRAMS; p++) {
		x->programs[p] = dup(bpf_program__fd(bpf_object__find_program_by_name(object, program_names[p])));
		if (x->programs[p] < 0)
			return -errno;
	}
	for (uint32_t m = 0; m < SN_XDP_MAPS; m++) {
		x->maps[m] = dup(bpf_map__fd(map_of((struct bpf_object *)object, m)));
		if (x->maps[m] < 0)
			return -errno;
	}
	return 0;
}

static int pin_all(const struct sn_xdp *x)
{
	char path[PATH_MAX];

	for (uint32_t m = 0; m < SN_XDP_MAPS; m++) {
		pin_path(x->dir, MAP_PREFIX, layouts[m].name, path);
		if (bpf_obj_pin(x->maps[m], path))
			return -errno;
	}
	for (uint32_t p = SN_XDP_PROGRAMS; p-- > 0;) {
		pin_path(x->dir, "", program_pins[p], path);
		if (bpf_obj_pin(x->programs[p], path))
			return -errno;
	}
	return 0;
}

static bool has_program(const char *dir)
{
	char path[PATH_MAX];

	pin_path(dir, "", program_pins[SN_XDP_STEER], path);
	return !access(path, F_OK);
}

int sn_xdp_load(const char *dir, uint32_t inside_prefixes, uint32_t outside_prefixes, struct sn_xdp *ret, char *msg,
		size_t msg_b)
{
	struct bpf_object *object = NULL;
	struct sn_xdp x;
	int err = dir_set(dir, &x, msg, msg_b);

	if (err)
		return err;
	if (has_program(dir))
		return fail(-EEXIST, msg, msg_b, "%s%s", dir, advice(-EEXIST));
	err = object_load_quietly(inside_prefixes, outside_prefixes, &object, msg, msg_b);
	if (err)
		return err;
	err = descriptors_take(object, &x);
	bpf_object__close(object);
	if (!err)
		err = pin_all(&x);
	if (err) {
		fail(err, msg, msg_b, "cannot pin the XDP program in %s: %s%s", dir, strerror(-err), advice(err));
		sn_xdp_remove(dir);
		sn_xdp_fini(&x);
		return err;
	}
	*ret = x;
	return 0;
}

static int map_adopt(struct sn_xdp *x, enum sn_xdp_map m)
{
	struct bpf_map_info info = { 0 };
	uint32_t info_b = sizeof(info);
	char path[PATH_MAX];

	pin_path(x->dir, MAP_PREFIX, layouts[m].name, path);
	x->maps[m] = bpf_obj_get(path);
	if (x->maps[m] < 0 || bpf_obj_get_info_by_fd(x->maps[m], &info, &info_b))
		return -errno;
	return info.key_size == layouts[m].key_b && info.value_size == layouts[m].value_b ? 0 : -EPROTO;
}

static int adopt_all(struct sn_xdp *x)
{
	char path[PATH_MAX];
	int err = 0;

	for (uint32_t p = 0; p < SN_XDP_PROGRAMS; p++) {
		pin_path(x->dir, "", program_pins[p], path);
		x->programs[p] = bpf_obj_get(path);
		if (x->programs[p] < 0)
			return -errno;
	}
	for (uint32_t m = 0; m < SN_XDP_MAPS && !err; m++)
		err = map_adopt(x, m);
	return err;
}

int sn_xdp_adopt(const char *dir, struct sn_xdp *ret, char *msg, size_t msg_b)
{
	struct sn_xdp x;
	int err = dir_set(dir, &x, msg, msg_b);

	if (err)
		return err;
	err = adopt_all(&x);
	if (err) {
		sn_xdp_fini(&x);
		return fail(err, msg, msg_b, "cannot take up the XDP program pinned in %s: %s", dir,
			    err == -EPROTO ? "it is of another version; remove it" : strerror(-err));
	}
	*ret = x;
	return 0;
}

static int interface_set(struct sn_xdp *x, uint32_t ifindex, uint32_t side, uint32_t index)
{
	struct sn_steer_interface value = { .side = side, .index = index };

	return bpf_map_update_elem(x->maps[SN_XDP_INTERFACES], &ifindex, &value, BPF_ANY) ? -errno : 0;
}

static int key_delete(int map, const void *key)
{
	return bpf_map_delete_elem(map, key) && errno != ENOENT ? -errno : 0;
}

/* Worth a try in generic mode: the driver has no native one, or none with these settings (MTU, queues). */
static bool generic_may_do(int err)
{
	return err == -EOPNOTSUPP || err == -EINVAL || err == -ERANGE || err == -ENOSPC || err == -E2BIG;
}

static int link_make(const struct sn_xdp *x, uint32_t ifindex, bool *ret_generic)
{
	LIBBPF_OPTS(bpf_link_create_opts, native, .flags = XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);
	int fd = bpf_link_create(x->programs[SN_XDP_STEER], (int)ifindex, BPF_XDP, &native);

	*ret_generic = false;
	if (fd >= 0 || !generic_may_do(-errno))
		return fd < 0 ? -errno : fd;
	*ret_generic = true;
	fd = bpf_link_create(x->programs[SN_XDP_STEER], (int)ifindex, BPF_XDP, &generic);
	return fd < 0 ? -errno : fd;
}

static int attach_failed(int err, uint32_t ifindex, char *msg, size_t msg_b)
{
	if (err == -EBUSY || err == -EEXIST)
		return fail(-EBUSY, msg, msg_b, "interface %u has another XDP program already; look with "
			    "`ip link show` or `bpftool net`, and remove it", ifindex);
	return fail(err, msg, msg_b, "cannot attach the XDP program to interface %u: %s%s", ifindex, strerror(-err),
		    advice(err));
}

/* An interface that went away leaves a pinned link without one; a new interface may even have its number. */
static bool link_alive(int link, uint32_t ifindex)
{
	struct bpf_link_info info = { 0 };
	uint32_t info_b = sizeof(info);

	return !bpf_obj_get_info_by_fd(link, &info, &info_b) && info.type == BPF_LINK_TYPE_XDP &&
	       info.xdp.ifindex == ifindex;
}

static bool has_link(const struct sn_xdp *x, uint32_t ifindex)
{
	char path[PATH_MAX];
	bool alive;
	int fd;

	link_path(x->dir, ifindex, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return false;
	alive = link_alive(fd, ifindex);
	close(fd);
	if (!alive)
		unlink(path);
	return alive;
}

static int link_pin(const struct sn_xdp *x, uint32_t ifindex, bool *ret_generic)
{
	char path[PATH_MAX];
	int fd = link_make(x, ifindex, ret_generic);
	int err;

	if (fd < 0)
		return fd;
	link_path(x->dir, ifindex, path);
	err = bpf_obj_pin(fd, path) ? -errno : 0;
	close(fd);
	return err;
}

int sn_xdp_attach(struct sn_xdp *x, uint32_t ifindex, uint32_t side, uint32_t index, bool *ret_generic, char *msg,
		  size_t msg_b)
{
	char name[IF_NAMESIZE];
	bool generic = false;
	int err;

	if (index >= SN_STEER_INTERFACES_MAX)
		return fail(-EINVAL, msg, msg_b, "at most %u interfaces", SN_STEER_INTERFACES_MAX);
	if (!if_indextoname(ifindex, name)) /* the kernel says EINVAL */
		return attach_failed(-ENODEV, ifindex, msg, msg_b);
	err = interface_set(x, ifindex, side, index);
	if (!err && !has_link(x, ifindex)) {
		err = link_pin(x, ifindex, &generic);
		if (err)
			key_delete(x->maps[SN_XDP_INTERFACES], &ifindex);
	}
	if (err)
		return attach_failed(err, ifindex, msg, msg_b);
	snprintf(name, sizeof(name), SN_HOLD_PREFIX "%u", ifindex);
	sn_hold_remove(x->dir, name);
	*ret_generic = generic;
	return 0;
}

/* Unpinning alone leaves the program on while anybody still holds the link. */
static int link_remove(const char *path)
{
	int fd = bpf_obj_get(path);
	int err;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	err = bpf_link_detach(fd) && errno != ENOLINK ? -errno : 0;
	close(fd);
	return unlink(path) && !err ? -errno : err;
}

int sn_xdp_detach(struct sn_xdp *x, uint32_t ifindex)
{
	char path[PATH_MAX];
	int err;

	link_path(x->dir, ifindex, path);
	err = link_remove(path);
	return err ? err : key_delete(x->maps[SN_XDP_INTERFACES], &ifindex);
}

int sn_xdp_hold(struct sn_xdp *x, uint32_t ifindex, uint32_t side, uint32_t index, char *msg, size_t msg_b)
{
	char name[IF_NAMESIZE], path[PATH_MAX];
	int err;

	if (index >= SN_STEER_INTERFACES_MAX)
		return fail(-EINVAL, msg, msg_b, "at most %u interfaces", SN_STEER_INTERFACES_MAX);
	err = if_indextoname(ifindex, name) ? interface_set(x, ifindex, side, index) : -ENODEV;
	if (!err)
		err = sn_hold_put(x->dir, x->programs[SN_XDP_HOLD], ifindex);
	if (err)
		return fail(err, msg, msg_b, "interface %u takes no tc filter (clsact): %s%s; without it the kernel would "
			    "forward untranslated what the node takes", ifindex, strerror(-err),
			    err == -EINVAL ? ": is priority 1 taken? See tc filter show dev NAME ingress" : advice(err));
	link_path(x->dir, ifindex, path);
	link_remove(path);
	return 0;
}

int sn_xdp_guard(struct sn_xdp *x, uint32_t ifindex)
{
	return sn_guard_put(x->dir, x->programs[SN_XDP_GUARD], ifindex);
}

int sn_xdp_tap(const struct sn_xdp *x, int socket_fd)
{
	int program = x->programs[SN_XDP_TAP];

	return setsockopt(socket_fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)) ? -errno : 0;
}

static bool starts_with(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/* Whatever else is there is not ours: the kernel has files of its own in a bpffs. */
static int pin_remove(const char *dir, const char *name)
{
	char path[PATH_MAX];

	pin_path(dir, "", name, path);
	if (starts_with(name, LINK_PREFIX))
		return link_remove(path);
	if (starts_with(name, SN_HOLD_PREFIX) || starts_with(name, SN_GUARD_PREFIX))
		return sn_hold_remove(dir, name);
	if (starts_with(name, SN_OFFLOADS_PREFIX))
		return sn_offloads_restore(dir, name);
	for (uint32_t p = 0; p < SN_XDP_PROGRAMS; p++)
		if (!strcmp(name, program_pins[p]))
			return unlink(path) ? -errno : 0;
	return starts_with(name, MAP_PREFIX) && unlink(path) ? -errno : 0;
}

int sn_xdp_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int first = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		int err = pin_remove(dir, e->d_name);

		first = first ? first : err;
	}
	closedir(d);
	return first;
}

int sn_xdp_set_socket(struct sn_xdp *x, uint32_t index, uint32_t queue, int socket_fd)
{
	uint32_t slot = SN_STEER_SLOT(index, queue);

	if (index >= SN_STEER_INTERFACES_MAX || queue >= SN_STEER_QUEUES_MAX)
		return -EINVAL;
	return bpf_map_update_elem(x->maps[SN_XDP_SOCKETS], &slot, &socket_fd, BPF_ANY) ? -errno : 0;
}

static int prefix_map(const struct sn_xdp *x, uint32_t side)
{
	return x->maps[side ? SN_XDP_OUTSIDE : SN_XDP_INSIDE];
}

int sn_xdp_add_prefix(struct sn_xdp *x, uint32_t side, uint32_t addr_be32, uint32_t bits)
{
	struct sn_steer_prefix key = { .bits = bits, .addr_be32 = addr_be32 };
	uint32_t one = 1;

	return bpf_map_update_elem(prefix_map(x, side), &key, &one, BPF_ANY) ? -errno : 0;
}

int sn_xdp_del_prefix(struct sn_xdp *x, uint32_t side, uint32_t addr_be32, uint32_t bits)
{
	struct sn_steer_prefix key = { .bits = bits, .addr_be32 = addr_be32 };

	return key_delete(prefix_map(x, side), &key);
}

int sn_xdp_add_local(struct sn_xdp *x, uint32_t addr_be32)
{
	uint32_t one = 1;

	return bpf_map_update_elem(x->maps[SN_XDP_LOCAL], &addr_be32, &one, BPF_ANY) ? -errno : 0;
}

int sn_xdp_del_local(struct sn_xdp *x, uint32_t addr_be32)
{
	return key_delete(x->maps[SN_XDP_LOCAL], &addr_be32);
}

/* One counter over all CPUs. */
static int counter_sum(int map, uint32_t key, uint64_t *ret)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = cpus > 0 ? calloc((size_t)cpus, sizeof(*values)) : NULL;
	uint64_t sum = 0;
	int err;

	if (!values)
		return -ENOMEM;
	err = bpf_map_lookup_elem(map, &key, values) ? -errno : 0;
	for (int c = 0; c < cpus; c++)
		sum += values[c];
	free(values);
	if (!err)
		*ret = sum;
	return err;
}

int sn_xdp_counters(const struct sn_xdp *x, struct sn_xdp_counters *ret)
{
	uint64_t values[SN_STEER_COUNTERS];

	for (uint32_t c = 0; c < SN_STEER_COUNTERS; c++) {
		int err = counter_sum(x->maps[SN_XDP_COUNTERS], c, &values[c]);

		if (err)
			return err;
	}
	*ret = (struct sn_xdp_counters){
		.redirected = values[SN_STEER_REDIRECTED], .passed = values[SN_STEER_PASSED],
		.dropped = values[SN_STEER_DROPPED],
	};
	return 0;
}
