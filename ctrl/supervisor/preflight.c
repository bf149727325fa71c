/*
 * preflight.c: see preflight.h.
 */
#include "preflight.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES 20
#define LOCK_PAUSE_MS 20

/* What each is for stands beside it. */
static const unsigned needed[] = {
	CAP_NET_ADMIN,    /* XDP links, neighbours */
	CAP_NET_RAW,      /* AF_XDP sockets */
	CAP_BPF,          /* the program and its maps */
	CAP_SYS_ADMIN,    /* mounts */
	CAP_SYS_PTRACE,   /* descriptors of the children of a dead supervisor */
	CAP_IPC_LOCK,     /* packet memory is locked */
	CAP_SETUID,       /* children have their own users */
	CAP_SETGID,
	CAP_SETPCAP,      /* and an empty bounding set */
	CAP_KILL,         /* they are signalled */
	CAP_CHOWN,        /* the socket directory is the API's */
	CAP_DAC_OVERRIDE, /* and is emptied at the end */
	CAP_FOWNER,
};

int sn_preflight_rights(struct sn_error *err)
{
	char missing[256] = "";

	if (geteuid() != 0)
		return sn_error_set(err, -EPERM,
				    "the supervisor must be started as root (uid %d is not): use sudo or a service",
				    (int)geteuid());
	capng_get_caps_process();
	for (size_t i = 0; i < SN_ARRAY_LEN(needed); i++) {
		if (capng_have_capability(CAPNG_EFFECTIVE, needed[i]))
			continue;
		strncat(missing, missing[0] ? ", cap_" : "cap_", sizeof(missing) - strlen(missing) - 1);
		strncat(missing, capng_capability_to_name(needed[i]), sizeof(missing) - strlen(missing) - 1);
	}
	if (missing[0])
		return sn_error_set(err, -EPERM, "capabilities are missing: %s; give them to this container or service",
				    missing);
	return 0;
}

int sn_preflight_keep_rights(struct sn_error *err)
{
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < SN_ARRAY_LEN(needed); i++)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, needed[i]);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return sn_error_set(err, -EPERM, "capabilities that are not needed cannot be dropped: %s",
				    strerror(errno));
	return 0;
}

/* The smallest map shows it: seccomp profiles of containers forbid bpf(2) whatever the capabilities are. */
int sn_preflight_bpf(struct sn_error *err)
{
	union bpf_attr attr;
	int fd, e;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	e = -errno;
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	return sn_error_set(
		err, e,
		"the kernel does not let us use BPF (%s): run with cap_bpf and cap_net_admin, and in a container "
		"with a seccomp profile that allows bpf(2)",
		strerror(-e));
}

static int refuse_busy(int fd, const char *instance, struct sn_error *err)
{
	char pid[16] = "";
	ssize_t len = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[len > 0 ? len : 0] = '\0';
	return sn_error_set(
		err, -EBUSY,
		"instance '%s' is running already (supervisor's pid %d): stop it first, or choose another name "
		"with instance:",
		instance, atoi(pid));
}

/* A predecessor removes the file while it still has the lock: what was locked may be no name any more. */
static bool is_named(int fd, const char *path)
{
	struct stat open_file, named;

	return fstat(fd, &open_file) == 0 && stat(path, &named) == 0 && open_file.st_ino == named.st_ino;
}

static void write_pid(int fd)
{
	char pid[16];
	int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	/* for the message of refuse_busy() alone: an old pid there is no harm */
	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len)
		return;
}

/*
 * A predecessor that was killed between fork and exec of a child still has the lock, in that child, until it
 * executes: so we try for a moment. Until then no scan for children would see it either.
 */
static int take_lock(int fd)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000 };

	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
		if (i == LOCK_TRIES)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int sn_preflight_lock(const struct sn_paths *p, const char *instance, struct sn_error *err)
{
	int fd = -1, e;

	do {
		if (fd >= 0)
			close(fd);
		fd = open(p->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd < 0)
			return sn_error_set(err, -errno, "%s cannot be opened: %s; make %s writable for root", p->lock,
					    strerror(errno), SN_RUN_DIR);
		if (take_lock(fd) != 0) {
			e = refuse_busy(fd, instance, err);
			close(fd);
			return e;
		}
	} while (!is_named(fd, p->lock));
	write_pid(fd);
	return fd;
}
