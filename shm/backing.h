/*
 * backing.h: the file under a region. A hugetlbfs file where there are hugepages, a file in a tmpfs of our own with huge pages
 * asked for where not; each instance has a mount of its own, /run/shardnat/<instance>.mem, so that nothing is left when
 * it is unmounted.
 */
#ifndef SN_BACKING_H
#define SN_BACKING_H

#include "base.h"
#include "region.h"

/* Where the instance's file is: into path (PATH_MAX). */
void sn_backing_path(const char *instance, char *path);

/* Opens an existing file. An fd, or -errno (-ENOENT: there is none); *ret_size_b is the file's size. */
int sn_backing_open(const char *instance, bool writable, size_t *ret_size_b);

/* Maps an fd, shared. NULL and errno. */
void *sn_backing_map(int fd, size_t size_b, bool writable);
void sn_backing_unmap(void *mem, size_t size_b);

#endif
