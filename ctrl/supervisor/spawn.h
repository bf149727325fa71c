/*
 * spawn.h: how a child process is started: which program, which descriptors, which rights.
 *
 * Callers: supervisor.c. A child has stdin from /dev/null, our stdout and stderr, the descriptors it was given (with
 * the same numbers, since its command line names them) and nothing else; a session of its own, so that a terminal's
 * Ctrl-C reaches us alone; its uid and gid, no capabilities, no new privileges, and limits.
 */
#ifndef SN_SPAWN_H
#define SN_SPAWN_H

#include <sys/types.h>

#include "base.h"
#include "error.h"
#include "process.h"

#define SN_SPAWN_ARGS_MAX 128
#define SN_SPAWN_TEXT_B 16384
#define SN_SPAWN_FDS_MAX 256

struct sn_spawn {
	enum sn_role role;
	const char *path;
	char *argv[SN_SPAWN_ARGS_MAX + 1];
	uint32_t argc;
	int cpu; /* where it runs; -1: anywhere */
	int fds[SN_SPAWN_FDS_MAX];
	uint32_t fd_count;
	char text[SN_SPAWN_TEXT_B]; /* the arguments */
	size_t used;
};

/* Name of a program of a role ("shardnat-worker") and its uid. */
const char *sn_spawn_program(enum sn_role role);
uid_t sn_spawn_uid(enum sn_role role);

/*
 * Where that program is: beside our own executable, in the build folders beside it, in libexecdir. 0 and the path
 * (PATH_MAX), or -ENOENT.
 */
int sn_spawn_find(const char *program, char *ret_path);

/*
 * Begins a command line; then arguments as printf would put them (asserted to fit); then descriptors to be inherited.
 */
void sn_spawn_init(struct sn_spawn *s, enum sn_role role, const char *path);
void sn_spawn_arg(struct sn_spawn *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sn_spawn_fd(struct sn_spawn *s, int fd);

/*
 * Starts it. 0, the pid and a pidfd, or -errno. Setting it up fails in the child, which then exits with 126 and says
 * why on stderr.
 */
int sn_spawn_start(const struct sn_spawn *s, pid_t *ret_pid, int *ret_pidfd);

#endif
