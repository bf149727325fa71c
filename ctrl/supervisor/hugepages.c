/*
 * hugepages.c: see hugepages.h.
 */
#include "hugepages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define NR_HUGEPAGES "/proc/sys/vm/nr_hugepages"

/* A value of /proc/meminfo, as it stands there (kB or pages); 0 if there is no such line. */
static uint64_t meminfo(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long v = 0;
	char line[128];
	size_t len = strlen(name);

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':' && sscanf(line + len + 1, "%llu", &v) == 1)
			break;
	fclose(f);
	return v;
}

uint32_t sn_hugepages_for(size_t size_b)
{
	return (uint32_t)((size_b + SN_HUGEPAGE_B - 1) / SN_HUGEPAGE_B);
}

size_t sn_memory_available_b(void)
{
	return (size_t)meminfo("MemAvailable") * 1024;
}

static uint64_t free_pages(void)
{
	uint64_t free = meminfo("HugePages_Free"), reserved = meminfo("HugePages_Rsvd");

	return free > reserved ? free - reserved : 0;
}

size_t sn_hugepages_free_b(void)
{
	return meminfo("Hugepagesize") == SN_HUGEPAGE_B / 1024 ? (size_t)free_pages() * SN_HUGEPAGE_B : 0;
}

static int lock(void)
{
	int fd = open(NR_HUGEPAGES, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		flock(fd, LOCK_EX);
	return fd;
}

static void unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Without surplus pages: those that were taken from us while in use, and go when they are freed. */
static uint64_t read_total(void)
{
	FILE *f = fopen(NR_HUGEPAGES, "re");
	unsigned long long v = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%llu", &v) != 1)
		v = 0;
	fclose(f);
	return v;
}

static int write_total(uint64_t pages)
{
	char text[24];
	int fd = open(NR_HUGEPAGES, O_WRONLY | O_CLOEXEC), err = 0;
	int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)pages);

	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		err = -errno;
	close(fd);
	return err;
}

static int raise_by(uint32_t missing, uint32_t *ret_added, struct sn_error *err)
{
	uint64_t before = read_total(), after;
	int e = write_total(before + missing);

	if (e)
		return sn_error_set(err, e, "%s cannot be written (%s)", NR_HUGEPAGES, strerror(-e));
	after = read_total();
	if (after < before + missing) {
		write_total(before);
		return sn_error_set(err, -ENOMEM, "the kernel found only %llu of %u more huge pages",
				    (unsigned long long)(after > before ? after - before : 0), missing);
	}
	*ret_added = missing;
	return 0;
}

int sn_hugepages_reserve(uint32_t pages, uint32_t *ret_added, struct sn_error *err)
{
	int fd, e = 0;
	uint64_t free;

	if (meminfo("Hugepagesize") != SN_HUGEPAGE_B / 1024)
		return sn_error_set(err, -ENOTSUP, "this kernel has no 2 MB huge pages");
	fd = lock();
	*ret_added = 0;
	free = free_pages();
	if (free < pages)
		e = raise_by(pages - (uint32_t)free, ret_added, err);
	unlock(fd);
	return e;
}

void sn_hugepages_note(const char *path, uint32_t added)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return;
	dprintf(fd, "%u\n", added);
	close(fd);
}

uint32_t sn_hugepages_noted(const char *path)
{
	FILE *f = fopen(path, "re");
	uint32_t added = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%u", &added) != 1)
		added = 0;
	fclose(f);
	return added;
}

/* Pages that the kernel still has in hand go soon after their last user: wait for a moment, so that none is left. */
static void wait_surplus(uint64_t before)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	for (int i = 0; i < 100 && meminfo("HugePages_Surp") > before; i++)
		nanosleep(&pause, NULL);
}

void sn_hugepages_return(uint32_t added)
{
	uint64_t total, surplus;
	int fd;

	if (!added)
		return;
	fd = lock();
	total = read_total();
	surplus = meminfo("HugePages_Surp");
	write_total(total > added ? total - added : 0);
	wait_surplus(surplus);
	unlock(fd);
}
