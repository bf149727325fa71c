/*
 * backing.c: opens and maps the instance's file. The mount under it is the supervisor's.
 */
#include "backing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void sn_backing_path(const char *instance, char *path)
{
	snprintf(path, PATH_MAX, "/run/shardnat/%s.mem/region", instance);
}

int sn_backing_open(const char *instance, bool writable, size_t *ret_size_b)
{
	char path[PATH_MAX];
	struct stat st;
	int fd, err;

	sn_backing_path(instance, path);
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_size_b = (size_t)st.st_size;
	return fd;
}

void *sn_backing_map(int fd, size_t size_b, bool writable)
{
	void *mem = mmap(NULL, size_b, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

void sn_backing_unmap(void *mem, size_t size_b)
{
	if (mem != NULL)
		munmap(mem, size_b);
}
