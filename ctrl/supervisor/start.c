/*
 * start.c: from a configuration file to a running node, and back to nothing. See supervisor.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "backing.h"
#include "preflight.h"
#include "supervisor.h"

static void clear(struct sn_supervisor *s)
{
	memset(s, 0, sizeof(*s));
	s->lock = s->signals = s->changes = s->listening = s->orders = -1;
	s->memory.fd = s->memory.fd_ro = -1;
	for (uint32_t w = 0; w < SN_WORKERS_MAX; w++)
		s->packets[w].fd = -1;
	for (uint32_t w = 0; w <= SN_WORKERS_MAX; w++)
		s->wakes[w] = -1;
	for (uint32_t i = 0; i < SN_PEERS_MAX; i++)
		s->peers[i] = -1;
}

static int find_programs(struct sn_supervisor *s, struct sn_error *err)
{
	for (enum sn_role role = SN_ROLE_CONTROL; role <= SN_ROLE_WORKER; role++)
		if (sn_spawn_find(sn_spawn_program(role), s->programs[role]) != 0)
			return sn_error_set(
				err, -ENOENT,
				"the program %s is neither beside shardnatd nor in %s: install all of shardnat",
				sn_spawn_program(role), SN_LIBEXECDIR);
	return 0;
}

int sn_configure(struct sn_supervisor *s, const char *file, struct sn_error *err)
{
	int e;

	clear(s);
	e = sn_config_load(file, &s->config, err);
	if (e)
		return e;
	e = sn_links_read(&s->links);
	if (e)
		return sn_error_set(err, e, "interfaces cannot be read from the kernel: %s", strerror(-e));
	e = sn_config_settle(&s->config, &s->links, err);
	if (!e)
		e = sn_sockets_plan(s, err);
	sn_paths_of(s->config.instance, &s->paths);
	sn_children_init(s);
	return e;
}

/* Before anything is made. */
static int preflight(struct sn_supervisor *s, struct sn_error *err)
{
	int e = find_programs(s, err);

	e = e ? e : sn_preflight_rights(err);
	e = e ? e : sn_preflight_keep_rights(err);
	e = e ? e : sn_preflight_bpf(err);
	e = e ? e : sn_mounts_make_run_dir(err);
	if (e)
		return e;
	s->lock = sn_preflight_lock(&s->paths, s->config.instance, err);
	return s->lock < 0 ? s->lock : sn_mounts_make_sockets_dir(&s->paths, err);
}

/* Whatever is left of the instance goes: processes, program, region. */
static void remove_all(struct sn_supervisor *s)
{
	struct sn_memory old = { .fd = -1, .fd_ro = -1 };

	sn_adopt_find(s);
	sn_children_stop(s);
	s->stopping = false;
	sn_xdp_remove(s->paths.bpf);
	sn_mounts_remove_bpf(&s->paths);
	/* a region of our own ABI tells how many huge pages are to be given back, whatever its shape is */
	old.fd = sn_backing_open(s->config.instance, true, &old.size_b);
	if (old.fd >= 0 && old.size_b >= sizeof(struct sn_header))
		old.mem = sn_backing_map(old.fd, old.size_b, true);
	if (old.mem && sn_region_join(old.mem, old.size_b, true, &old.region) != 0) {
		sn_backing_unmap(old.mem, old.size_b);
		old.mem = NULL;
	}
	sn_memory_remove(&old, &s->paths);
}

static int create_region(struct sn_supervisor *s, struct sn_error *err)
{
	struct sn_error notice;
	int e = sn_memory_create(&s->config, &s->paths, sn_memory_frame_b(&s->config, &s->links), &s->memory, &notice,
				 err);

	if (e)
		return e;
	s->joined = s->fresh = true;
	if (notice.text[0])
		sn_say("%s", notice.text);
	e = sn_publish_fresh(s);
	return e ? sn_error_set(err, e, "the pools' addresses do not go into the region: %s", strerror(-e)) : 0;
}

static bool worker_lives(const struct sn_supervisor *s)
{
	for (uint32_t slot = SN_PROCESS_WORKER0; slot < s->child_count; slot++)
		if (s->children[slot].pid)
			return true;
	return false;
}

/* No worker is left: frames that were on their way between workers went with their memory. */
static void forget_handoff(struct sn_supervisor *s)
{
	for (uint32_t from = 0; from < s->config.workers; from++)
		for (uint32_t to = 0; to < s->config.workers; to++)
			if (from != to)
				sn_ring_format(sn_region_handoff(&s->memory.region, from, to).ends);
}

static void take_over(struct sn_supervisor *s)
{
	uint32_t living = 0;

	sn_adopt_find(s);
	sn_adopt_take(s);
	if (!worker_lives(s)) {
		forget_handoff(s);
		sn_memory_reserve_packets(&s->config, &s->paths, &s->memory);
	}
	for (uint32_t slot = 1; slot < s->child_count; slot++) {
		struct sn_child *c = &s->children[slot];

		living += c->pid != 0;
		if (!c->pid && c->role == SN_ROLE_WORKER)
			sn_publish_epochs(s, c->worker);
		/* started by a predecessor that died before it said so */
		if (c->pid && atomic_load(&s->memory.region.processes[slot].pid) != (uint32_t)c->pid)
			sn_publish_process(s, slot, c->pid);
	}
	s->memory.region.hdr->generation++;
	sn_say("instance '%s': joined the region that was there, with %u of %u processes alive", s->config.instance,
	       living, s->child_count - 1);
}

static int join_region(struct sn_supervisor *s, const char *file, struct sn_error *err)
{
	int e = sn_memory_join(&s->config, &s->paths, sn_memory_frame_b(&s->config, &s->links), file, &s->memory, err);

	if (e)
		return e;
	s->joined = true;
	take_over(s);
	return 0;
}

/* Orphans without a region have nothing to work on. */
static int start_region(struct sn_supervisor *s, const char *file, bool recreate, struct sn_error *err)
{
	int e = recreate ? -ENOENT : join_region(s, file, err);

	if (e != -ENOENT)
		return e;
	remove_all(s);
	return create_region(s, err);
}

static int listen_at(const char *path, uid_t uid, int *ret_fd, struct sn_error *err)
{
	int fd = sn_requests_listen(path, uid);

	if (fd < 0)
		return sn_error_set(err, fd, "%s cannot be made: %s", path, strerror(-fd));
	*ret_fd = fd;
	return 0;
}

/* A living control has its socket, which was taken from it. */
static int listen_all(struct sn_supervisor *s, struct sn_error *err)
{
	int e = listen_at(s->paths.listen, SN_UID_CONTROL, &s->listening, err);

	if (e || s->orders >= 0)
		return e;
	return listen_at(s->paths.orders, SN_UID_API, &s->orders, err);
}

static int watch(struct sn_supervisor *s, struct sn_error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return sn_error_set(err, -errno, "a signalfd cannot be made: %s", strerror(errno));
	s->changes = sn_links_watch();
	if (s->changes < 0)
		return sn_error_set(err, s->changes, "changes of interfaces cannot be followed: %s",
				    strerror(-s->changes));
	return listen_all(s, err);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_all(struct sn_supervisor *s)
{
	if (s->xdp_loaded)
		sn_xdp_fini(&s->xdp);
	s->xdp_loaded = false;
	sn_sockets_close(s);
	close_fd(&s->signals);
	close_fd(&s->changes);
	close_fd(&s->listening);
	close_fd(&s->orders);
	for (uint32_t i = 0; i < SN_PEERS_MAX; i++)
		close_fd(&s->peers[i]);
}

void sn_end(struct sn_supervisor *s)
{
	sn_children_stop(s);
	sn_xdp_remove(s->paths.bpf);
	close_all(s);
	sn_mounts_remove_bpf(&s->paths);
	sn_memory_remove(&s->memory, &s->paths);
	sn_mounts_remove_files(&s->paths);
	sn_mounts_remove_lock(&s->paths);
	close_fd(&s->lock);
	sn_config_fini(&s->config);
}

/*
 * A start that failed: what this supervisor made goes; a region that it found stays, with its processes and what they
 * have open (a directory with sockets in it is not empty).
 */
static void undo(struct sn_supervisor *s)
{
	bool listened = s->listening >= 0;

	if (s->fresh) {
		sn_end(s);
		return;
	}
	close_all(s);
	sn_memory_leave(&s->memory);
	if (listened)
		unlink(s->paths.listen);
	if (s->lock >= 0) {
		rmdir(s->paths.sockets);
		sn_mounts_remove_lock(&s->paths);
	}
	close_fd(&s->lock);
	sn_config_fini(&s->config);
}

int sn_start(struct sn_supervisor *s, const char *file, bool recreate, struct sn_error *err)
{
	int e;

	e = sn_configure(s, file, err);
	e = e ? e : preflight(s, err);
	e = e ? e : start_region(s, file, recreate, err);
	e = e ? e : sn_mounts_bpf(&s->paths, err);
	e = e ? e : watch(s, err);
	e = e ? e : sn_publish_program(s, err);
	e = e ? e : sn_sockets_make(s, err);
	if (!e)
		sn_publish_process(s, 0, getpid());
	e = e ? e : sn_children_start(s, err);
	if (e)
		undo(s);
	return e;
}
