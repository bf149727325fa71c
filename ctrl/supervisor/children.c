/*
 * children.c: the other processes of the node: started, watched, restarted, stopped. See supervisor.h.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor.h"

#define QUICK_MS 5000 /* a life shorter than this was no success */
#define BACKOFF_MAX_MS 1000
#define STOP_MS 2000
#define LOUD_DEATHS 10  /* in a row are told of one by one, then every QUIET_DEATHS-th */
#define QUIET_DEATHS 60

void sn_children_init(struct sn_supervisor *s)
{
	static const enum sn_role roles[] = { SN_ROLE_SUPERVISOR, SN_ROLE_CONTROL, SN_ROLE_API };

	s->child_count = SN_PROCESS_WORKER0 + s->config.workers;
	for (uint32_t slot = 0; slot < s->child_count; slot++) {
		struct sn_child *c = &s->children[slot];

		*c = (struct sn_child){ .role = SN_ROLE_WORKER, .worker = slot - SN_PROCESS_WORKER0, .pidfd = -1 };
		if (slot < SN_PROCESS_WORKER0) {
			c->role = roles[slot];
			c->worker = SN_NONE;
		}
	}
}

static const char *name_of(const struct sn_child *c, char ret[24])
{
	if (c->role == SN_ROLE_WORKER)
		snprintf(ret, 24, "worker %u", c->worker);
	else
		snprintf(ret, 24, "%s", c->role == SN_ROLE_CONTROL ? "control" : "API");
	return ret;
}

/* "FD,FD,..." of the eventfds, workers' first, control's last; all inherited. */
static void add_wakes(const struct sn_supervisor *s, struct sn_spawn *p)
{
	char list[(SN_WORKERS_MAX + 1) * 8];
	size_t used = 0;

	for (uint32_t w = 0; w <= s->config.workers; w++) {
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%d", w ? "," : "", s->wakes[w]);
		sn_spawn_fd(p, s->wakes[w]);
	}
	sn_spawn_arg(p, "--wake");
	sn_spawn_arg(p, "%s", list);
}

static void add_packets(const struct sn_supervisor *s, struct sn_spawn *p)
{
	char list[SN_WORKERS_MAX * 8];
	size_t used = 0;

	for (uint32_t w = 0; w < s->config.workers; w++) {
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%d", w ? "," : "", s->packets[w].fd);
		sn_spawn_fd(p, s->packets[w].fd);
	}
	sn_spawn_arg(p, "--umem");
	sn_spawn_arg(p, "%s", list);
}

static void add_sockets(const struct sn_supervisor *s, struct sn_spawn *p, uint32_t worker)
{
	for (uint32_t i = 0; i < s->socket_count; i++) {
		const struct sn_socket *k = &s->sockets[i];
		enum sn_socket_kind kind = s->kinds[k->interface];

		if (k->worker != worker)
			continue;
		sn_spawn_fd(p, k->fd);
		sn_spawn_arg(p, kind == SN_SOCKET_XSK ? "--xsk" : "--uring");
		sn_spawn_arg(p, "%d:%u:%u%s%s", k->fd, k->interface, k->queue, kind == SN_SOCKET_XSK ? "" : ":",
			     kind == SN_SOCKET_XSK ? "" : sn_socket_kind_name(kind));
	}
}

static void add_region(struct sn_spawn *p, int fd)
{
	sn_spawn_arg(p, "--region");
	sn_spawn_arg(p, "%d", fd);
	sn_spawn_fd(p, fd);
}

/* The command lines of the contract between the processes; a new supervisor reads them back (adopt.c). */
static void command_line(const struct sn_supervisor *s, const struct sn_child *c, struct sn_spawn *p)
{
	sn_spawn_init(p, c->role, s->programs[c->role]);
	sn_spawn_arg(p, "--instance");
	sn_spawn_arg(p, "%s", s->config.instance);
	switch (c->role) {
	case SN_ROLE_WORKER:
		p->cpu = s->config.cpu_count ? s->config.cpus[c->worker] : -1;
		sn_spawn_arg(p, "--worker");
		sn_spawn_arg(p, "%u", c->worker);
		add_region(p, s->memory.fd);
		add_packets(s, p);
		add_wakes(s, p);
		add_sockets(s, p, c->worker);
		break;
	case SN_ROLE_CONTROL:
		add_region(p, s->memory.fd);
		add_wakes(s, p);
		sn_spawn_arg(p, "--supervisor");
		sn_spawn_arg(p, "%s", s->paths.listen);
		sn_spawn_arg(p, "--orders");
		sn_spawn_arg(p, "%d", s->orders);
		sn_spawn_fd(p, s->orders);
		break;
	default:
		add_region(p, s->memory.fd_ro);
		sn_spawn_arg(p, "--dir");
		sn_spawn_arg(p, "%s", s->paths.sockets);
		sn_spawn_arg(p, "--control");
		sn_spawn_arg(p, "%s", s->paths.orders);
	}
}

static int start(struct sn_supervisor *s, uint32_t slot)
{
	struct sn_child *c = &s->children[slot];
	static struct sn_spawn p;
	int e;

	command_line(s, c, &p);
	e = sn_spawn_start(&p, &c->pid, &c->pidfd);
	if (e)
		return e;
	c->started_ms = sn_now_ms();
	c->adopted = false;
	sn_publish_process(s, slot, c->pid);
	return 0;
}

int sn_children_start(struct sn_supervisor *s, struct sn_error *err)
{
	char name[24];

	for (uint32_t slot = 1; slot < s->child_count; slot++) {
		int e = s->children[slot].pid ? 0 : start(s, slot);

		if (e)
			return sn_error_set(err, e, "%s cannot be started: %s", name_of(&s->children[slot], name),
					    strerror(-e));
	}
	return 0;
}

/* How it died, in words. An adopted process was reaped by another parent: nobody tells us. */
static void say_end(const siginfo_t *info, bool known, char *ret, size_t room)
{
	if (!known)
		snprintf(ret, room, "is gone");
	else if (info->si_code == CLD_EXITED)
		snprintf(ret, room, "exited with status %d", info->si_status);
	else
		snprintf(ret, room, "was killed by signal %d (%s)", info->si_status, sigdescr_np(info->si_status));
}

static bool is_loud(const struct sn_child *c)
{
	return c->quick <= LOUD_DEATHS || c->quick % QUIET_DEATHS == 0;
}

static uint32_t backoff_ms(uint32_t quick)
{
	return quick <= 1 ? 0 : quick > 8 ? BACKOFF_MAX_MS : SN_MIN(10u << (quick - 2), BACKOFF_MAX_MS);
}

static void say_death(const struct sn_supervisor *s, const struct sn_child *c, const siginfo_t *info, bool known)
{
	char name[24], how[96];

	say_end(info, known, how, sizeof(how));
	if (s->stopping)
		sn_say("%s (pid %d) %s", name_of(c, name), c->pid, how);
	else if (c->quick == LOUD_DEATHS)
		sn_say("%s (pid %d) %s, %u times in a row; it is started every %d ms from now on, told of now and then",
		       name_of(c, name), c->pid, how, c->quick, BACKOFF_MAX_MS);
	else if (is_loud(c))
		sn_say("%s (pid %d) %s; restart in %u ms", name_of(c, name), c->pid, how, backoff_ms(c->quick));
}

/* Reaped, or dead in all its threads: it writes no more. */
static void publish_death(struct sn_supervisor *s, uint32_t slot)
{
	sn_publish_process(s, slot, 0);
	if (s->children[slot].role == SN_ROLE_WORKER)
		sn_publish_epochs(s, s->children[slot].worker);
}

void sn_children_died(struct sn_supervisor *s, uint32_t slot)
{
	struct sn_child *c = &s->children[slot];
	siginfo_t info = { 0 };
	bool known = !c->adopted && waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid;

	c->died_ms = sn_now_ms();
	c->quick = c->died_ms - c->started_ms < QUICK_MS ? c->quick + 1 : 0;
	c->due_ms = c->died_ms + backoff_ms(c->quick);
	if (s->joined)
		publish_death(s, slot);
	say_death(s, c, &info, known);
	close(c->pidfd);
	c->pidfd = -1;
	c->pid = 0;
}

static void restart(struct sn_supervisor *s, uint32_t slot)
{
	struct sn_child *c = &s->children[slot];
	uint64_t died_ms = c->died_ms;
	char name[24];
	int e = start(s, slot);

	if (e) {
		c->due_ms = sn_now_ms() + BACKOFF_MAX_MS;
		sn_say("%s cannot be restarted: %s; next try in 1 s", name_of(c, name), strerror(-e));
		return;
	}
	if (c->quick < LOUD_DEATHS)
		sn_say("%s restarted as pid %d, %llu ms after the death", name_of(c, name), c->pid,
		       (unsigned long long)(c->started_ms - died_ms));
}

int sn_children_restart(struct sn_supervisor *s)
{
	uint64_t next = UINT64_MAX, now = sn_now_ms();

	for (uint32_t slot = 1; slot < s->child_count; slot++) {
		struct sn_child *c = &s->children[slot];

		if (!c->pid && c->due_ms <= now)
			restart(s, slot);
		if (!c->pid)
			next = SN_MIN(next, c->due_ms);
	}
	now = sn_now_ms();
	return next == UINT64_MAX ? -1 : next <= now ? 0 : (int)(next - now);
}

static void signal_all(struct sn_supervisor *s, int signal)
{
	for (uint32_t slot = 1; slot < s->child_count; slot++)
		if (s->children[slot].pid)
			syscall(SYS_pidfd_send_signal, s->children[slot].pidfd, signal, NULL, 0);
}

/* Waits until all are dead or the time is over. True if all are dead. */
static bool wait_all(struct sn_supervisor *s, uint64_t until_ms)
{
	for (uint32_t slot = 1; slot < s->child_count; slot++) {
		struct sn_child *c = &s->children[slot];
		struct pollfd p = { .fd = c->pidfd, .events = POLLIN };
		uint64_t now = sn_now_ms();

		if (!c->pid)
			continue;
		if (poll(&p, 1, now < until_ms ? (int)(until_ms - now) : 0) != 1)
			return false;
		sn_children_died(s, slot);
	}
	return true;
}

void sn_children_stop(struct sn_supervisor *s)
{
	s->stopping = true;
	signal_all(s, SIGTERM);
	if (wait_all(s, sn_now_ms() + STOP_MS))
		return;
	sn_say("not all processes ended within %d ms: killing the rest", STOP_MS);
	signal_all(s, SIGKILL);
	wait_all(s, sn_now_ms() + STOP_MS);
}
