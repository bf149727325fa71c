/*
 * mounts.c: see mounts.h.
 */
#include "mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spawn.h"

void sn_paths_of(const char *instance, struct sn_paths *ret)
{
	snprintf(ret->sockets, sizeof(ret->sockets), SN_RUN_DIR "/%.31s", instance);
	snprintf(ret->lock, sizeof(ret->lock), SN_RUN_DIR "/%.31s.lock", instance);
	snprintf(ret->listen, sizeof(ret->listen), SN_RUN_DIR "/%.31s.sup", instance);
	snprintf(ret->orders, sizeof(ret->orders), SN_RUN_DIR "/%.31s.ctl", instance);
	snprintf(ret->memory, sizeof(ret->memory), SN_RUN_DIR "/%.31s.mem", instance);
	snprintf(ret->bpf, sizeof(ret->bpf), SN_RUN_DIR "/%.31s.bpf", instance);
	snprintf(ret->hugepages, sizeof(ret->hugepages), SN_RUN_DIR "/%.31s.hugepages", instance);
	snprintf(ret->region, sizeof(ret->region), "%s/region", ret->memory);
}

static int make_dir(const char *path, mode_t mode)
{
	return mkdir(path, mode) != 0 && errno != EEXIST ? -errno : 0;
}

int sn_mounts_make_run_dir(struct sn_error *err)
{
	int e = make_dir(SN_RUN_DIR, 0755);

	if (!e && access(SN_RUN_DIR, W_OK | X_OK) != 0)
		e = -errno;
	return e ? sn_error_set(err, e, "%s cannot be used: %s; make it a directory that root can write to", SN_RUN_DIR,
				strerror(-e)) : 0;
}

/* What is there may be anything: a file, a link, a read-only mount. */
static int check_dir(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return access(path, W_OK | X_OK) != 0 ? -errno : 0;
}

int sn_mounts_make_sockets_dir(const struct sn_paths *p, struct sn_error *err)
{
	int e = make_dir(p->sockets, 0755);

	e = e ? e : check_dir(p->sockets);
	if (!e && (chown(p->sockets, SN_UID_API, SN_UID_API) != 0 || chmod(p->sockets, 0755) != 0))
		e = -errno;
	if (!e)
		return 0;
	return sn_error_set(err, e, "the socket directory %s is not writable: %s; make it a directory that root can "
			    "write to, or remove it", p->sockets, strerror(-e));
}

bool sn_mounts_is_mounted(const char *path)
{
	struct stat here, parent;

	return stat(path, &here) == 0 && stat(SN_RUN_DIR, &parent) == 0 && here.st_dev != parent.st_dev;
}

static int mount_at(const char *path, const char *type, const char *options, struct sn_error *err)
{
	int e = make_dir(path, 0755);

	if (!e && mount("shardnat", path, type, MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0) {
		e = -errno;
		rmdir(path);
	}
	return e ? sn_error_set(err, e, "%s cannot be mounted at %s: %s", type, path, strerror(-e)) : 0;
}

int sn_mounts_memory(const struct sn_paths *p, enum sn_backing kind, size_t size_b, struct sn_error *err)
{
	char options[96];
	int e;

	if (kind == SN_BACKING_HUGETLB) {
		snprintf(options, sizeof(options), "pagesize=2M,mode=0700,size=%zu", size_b);
		return mount_at(p->memory, "hugetlbfs", options, err);
	}
	snprintf(options, sizeof(options), "mode=0700,size=%zu,huge=always", size_b);
	e = mount_at(p->memory, "tmpfs", options, err);
	if (e != -EINVAL)
		return e;
	/* a kernel without transparent huge pages for tmpfs */
	snprintf(options, sizeof(options), "mode=0700,size=%zu", size_b);
	return mount_at(p->memory, "tmpfs", options, err);
}

int sn_mounts_bpf(const struct sn_paths *p, struct sn_error *err)
{
	return sn_mounts_is_mounted(p->bpf) ? 0 : mount_at(p->bpf, "bpf", "mode=0700", err);
}

static void remove_mount(const char *path)
{
	if (sn_mounts_is_mounted(path))
		umount2(path, MNT_DETACH);
	rmdir(path);
}

void sn_mounts_remove_memory(const struct sn_paths *p)
{
	unlink(p->region);
	remove_mount(p->memory);
}

void sn_mounts_remove_bpf(const struct sn_paths *p)
{
	remove_mount(p->bpf);
}

void sn_mounts_remove_files(const struct sn_paths *p)
{
	int fd = open(p->sockets, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		unlinkat(fd, e->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(p->sockets);
	unlink(p->listen);
	unlink(p->orders);
}

void sn_mounts_remove_lock(const struct sn_paths *p)
{
	unlink(p->lock);
	rmdir(SN_RUN_DIR);
}
