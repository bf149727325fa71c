/*
 * adopt.c: what a dead supervisor left: living children, and in them the descriptors that it held.
 *
 * A child is known by its uid, its program's name and its instance on the command line (/proc/PID/cmdline), which
 * also names its descriptors; pidfd_getfd copies them. A pidfd is opened first and the command line read after it, so
 * that a pid that was used again in between is never taken for a child.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor.h"

#define CMDLINE_B 16384

struct cmdline {
	char text[CMDLINE_B];
	const char *args[SN_SPAWN_ARGS_MAX + 1];
	uint32_t count;
};

static int read_cmdline(pid_t pid, struct cmdline *ret)
{
	char path[32];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read(fd, ret->text, sizeof(ret->text) - 1);
	close(fd);
	if (len <= 0)
		return -ESRCH;
	ret->text[len] = '\0';
	ret->count = 0;
	for (const char *p = ret->text; p < ret->text + len && ret->count < SN_SPAWN_ARGS_MAX; p += strlen(p) + 1)
		ret->args[ret->count++] = p;
	return 0;
}

/* The value after the n-th time that an option is there; NULL. */
static const char *option(const struct cmdline *c, const char *name, uint32_t n)
{
	for (uint32_t i = 0; i + 1 < c->count; i++)
		if (!strcmp(c->args[i], name) && n-- == 0)
			return c->args[i + 1];
	return NULL;
}

static bool has_uid(pid_t pid, uid_t uid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return stat(path, &st) == 0 && st.st_uid == uid;
}

/* Whether an argument is the program: a script's interpreter comes before it. */
static bool runs(const struct cmdline *c, const char *program)
{
	for (uint32_t i = 0; i < SN_MIN(c->count, 2); i++) {
		const char *slash = strrchr(c->args[i], '/');

		if (!strcmp(slash ? slash + 1 : c->args[i], program))
			return true;
	}
	return false;
}

/* The slot of a process of this instance; 0 if it is none. */
static uint32_t slot_of(const struct sn_supervisor *s, pid_t pid, const struct cmdline *c)
{
	const char *instance = option(c, "--instance", 0);

	if (!instance || strcmp(instance, s->config.instance))
		return 0;
	for (uint32_t slot = 1; slot < s->child_count; slot++) {
		const struct sn_child *child = &s->children[slot];
		const char *worker = option(c, "--worker", 0);

		if (!runs(c, sn_spawn_program(child->role)) || !has_uid(pid, sn_spawn_uid(child->role)))
			continue;
		if (child->role != SN_ROLE_WORKER || (worker && (uint32_t)atoi(worker) == child->worker))
			return slot;
	}
	return 0;
}

static void look_at(struct sn_supervisor *s, pid_t pid)
{
	static struct cmdline c;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	uint32_t slot;

	if (pidfd < 0)
		return;
	slot = read_cmdline(pid, &c) ? 0 : slot_of(s, pid, &c);
	if (!slot || s->children[slot].pid) {
		close(pidfd);
		return;
	}
	s->children[slot].pid = pid;
	s->children[slot].pidfd = pidfd;
	s->children[slot].adopted = true;
	s->children[slot].started_ms = sn_now_ms();
}

void sn_adopt_find(struct sn_supervisor *s)
{
	DIR *dir = opendir("/proc");
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (isdigit((unsigned char)e->d_name[0]))
			look_at(s, (pid_t)atoi(e->d_name));
	if (dir)
		closedir(dir);
}

static int copy_fd(const struct sn_child *c, int number)
{
	int fd = (int)syscall(SYS_pidfd_getfd, c->pidfd, number, 0);

	return fd < 0 ? -errno : fd;
}

/* The n-th number of a list "3,4,5"; -1. */
static int nth(const char *list, uint32_t n)
{
	while (list && n--) {
		list = strchr(list, ',');
		list = list ? list + 1 : NULL;
	}
	return list && isdigit((unsigned char)*list) ? atoi(list) : -1;
}

static void take_wakes(struct sn_supervisor *s, const struct sn_child *c, const struct cmdline *line)
{
	for (uint32_t w = 0; w <= s->config.workers; w++)
		if (s->wakes[w] < 0)
			s->wakes[w] = copy_fd(c, nth(option(line, "--wake", 0), w));
}

static void take_packets(struct sn_supervisor *s, const struct sn_child *c, const struct cmdline *line)
{
	for (uint32_t w = 0; w < s->config.workers; w++) {
		int fd = s->packets[w].fd < 0 ? copy_fd(c, nth(option(line, "--umem", 0), w)) : -1;

		if (fd >= 0)
			sn_packet_memory_take(fd, s->config.frames, &s->packets[w], &s->memory.frame_b);
	}
}

static void take_orders(struct sn_supervisor *s, const struct sn_child *c, const struct cmdline *line)
{
	int number = nth(option(line, "--orders", 0), 0);

	if (c->role == SN_ROLE_CONTROL && number >= 0)
		s->orders = copy_fd(c, number);
}

static enum sn_socket_kind kind_named(const char *name)
{
	enum sn_socket_kind kind = SN_SOCKET_TUN;

	while (kind > SN_SOCKET_XSK && strcmp(name, sn_socket_kind_name(kind)))
		kind--;
	return kind;
}

/* What a living worker has is what the interface has, whatever the configuration says by now. */
static void take_sockets(struct sn_supervisor *s, const struct sn_child *c, const struct cmdline *line, const char *name)
{
	unsigned interface, queue;
	const char *value;
	char kind[8];
	int number;

	for (uint32_t n = 0; (value = option(line, name, n)); n++) {
		kind[0] = '\0';
		if (sscanf(value, "%d:%u:%u:%7s", &number, &interface, &queue, kind) < 3 || interface >= SN_INTERFACES_MAX)
			continue;
		s->kinds[interface] = kind_named(kind);
		for (uint32_t i = 0; i < s->socket_count; i++) {
			struct sn_socket *k = &s->sockets[i];

			if (k->fd < 0 && k->interface == interface && k->queue == queue && k->worker == c->worker)
				k->fd = copy_fd(c, number);
		}
	}
}

void sn_adopt_take(struct sn_supervisor *s)
{
	static struct cmdline line;

	for (uint32_t slot = 1; slot < s->child_count; slot++) {
		const struct sn_child *c = &s->children[slot];

		if (!c->pid || read_cmdline(c->pid, &line))
			continue;
		take_wakes(s, c, &line);
		take_packets(s, c, &line);
		take_orders(s, c, &line);
		take_sockets(s, c, &line, "--xsk");
		take_sockets(s, c, &line, "--uring");
	}
}
