/*
 * spawn.c: see spawn.h.
 */
#include "spawn.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *program;
	uid_t uid;
	rlim_t files;
} roles[] = {
	[SN_ROLE_CONTROL] = { "shardnat-ctrl", SN_UID_CONTROL, 256 },
	[SN_ROLE_API] = { "shardnat-api", SN_UID_API, 4096 },
	[SN_ROLE_WORKER] = { "shardnat-worker", SN_UID_WORKER, 1024 },
};

const char *sn_spawn_program(enum sn_role role)
{
	return roles[role].program;
}

uid_t sn_spawn_uid(enum sn_role role)
{
	return roles[role].uid;
}

int sn_spawn_find(const char *program, char *ret_path)
{
	static const char *const places[] = {
		"%s/%s", "%s/../control/%s", "%s/../api/%s", "%s/../%s", "%s/../../dataplane/%s",
		"%s/../../ctrl/%s", "%s/../../shm/%s", "%.0s" SN_LIBEXECDIR "/%s",
	};
	char dir[PATH_MAX], path[PATH_MAX + 64];
	ssize_t len = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	dir[len > 0 ? len : 0] = '\0';
	if (strrchr(dir, '/'))
		*strrchr(dir, '/') = '\0';
	for (size_t i = 0; i < SN_ARRAY_LEN(places); i++) {
		snprintf(path, sizeof(path), places[i], dir, program);
		if (access(path, X_OK) == 0 && realpath(path, ret_path))
			return 0;
	}
	return -ENOENT;
}

void sn_spawn_init(struct sn_spawn *s, enum sn_role role, const char *path)
{
	s->role = role;
	s->path = path;
	s->argc = s->fd_count = 0;
	s->cpu = -1;
	s->used = 0;
	s->argv[0] = NULL;
	sn_spawn_arg(s, "%s", roles[role].program);
}

void sn_spawn_arg(struct sn_spawn *s, const char *format, ...)
{
	size_t room = sizeof(s->text) - s->used;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(s->text + s->used, room, format, args);
	va_end(args);
	SN_ASSERT(len >= 0 && (size_t)len < room && s->argc < SN_SPAWN_ARGS_MAX);
	s->argv[s->argc++] = s->text + s->used;
	s->argv[s->argc] = NULL;
	s->used += (size_t)len + 1;
}

void sn_spawn_fd(struct sn_spawn *s, int fd)
{
	SN_ASSERT(s->fd_count < SN_SPAWN_FDS_MAX);
	s->fds[s->fd_count++] = fd;
}

static int keep_fds(const struct sn_spawn *s)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return -1;
	/* whatever we, our libraries or who started us have open */
	if (close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
		return -1;
	for (uint32_t i = 0; i < s->fd_count; i++)
		if (fcntl(s->fds[i], F_SETFD, 0) != 0)
			return -1;
	return 0;
}

static int set_limits(enum sn_role role)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return -1;
	files.rlim_max = SN_MIN(files.rlim_max, roles[role].files);
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) || setrlimit(RLIMIT_CORE, &none) ? -1 : 0;
}

static int set_cpu(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* Capabilities go with the change of uid; the bounding set before it, while we may. */
static int drop_rights(uid_t uid)
{
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
		return -1;
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		return -1;
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

/* In a build tree below somebody's home the child may not walk the path: then by the descriptor that we opened. */
static void execute(const struct sn_spawn *s, int exe)
{
	execv(s->path, s->argv);
	if (errno == EACCES)
		syscall(SYS_execveat, exe, "", s->argv, environ, AT_EMPTY_PATH);
}

static void __attribute__((noreturn)) run_child(const struct sn_spawn *s)
{
	int exe = open(s->path, O_PATH | O_CLOEXEC);
	const char *step = "session";

	umask(077);
	if (setsid() < 0)
		goto fail;
	step = "descriptors";
	if (keep_fds(s) != 0)
		goto fail;
	step = "limits";
	if (set_limits(s->role) != 0)
		goto fail;
	step = "CPU";
	if (set_cpu(s->cpu) != 0)
		goto fail;
	step = "rights";
	if (drop_rights(roles[s->role].uid) != 0)
		goto fail;
	reset_signals();
	step = "execution";
	execute(s, exe);
fail:
	dprintf(STDERR_FILENO, "%s: cannot be started, at %s: %s\n", s->path, step, strerror(errno));
	_exit(126);
}

int sn_spawn_start(const struct sn_spawn *s, pid_t *ret_pid, int *ret_pidfd)
{
	pid_t pid = fork();
	int pidfd, err;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		run_child(s);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		err = -errno;
		kill(pid, SIGKILL);
		return err;
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}
