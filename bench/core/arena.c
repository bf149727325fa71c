/* arena.c: see arena.h. */
#include "arena.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/umem.h"

#define HUGE_B ((size_t)2 << 20)
#define FRAMES 8192
#define FRAME_B 2048

uint32_t arena_pages(size_t size_b)
{
	return (uint32_t)((size_b + HUGE_B - 1) / HUGE_B);
}

size_t arena_packets_b(void)
{
	return (size_t)arena_pages(sn_umem_footprint(FRAMES, FRAME_B)) * HUGE_B;
}

static void *map(size_t size_b, int fd, int flags)
{
	void *mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE | flags, fd, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static int packets_fd(bool huge)
{
	int fd = memfd_create("shardnat-bench", MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0));
	void *mem;

	if (fd < 0 || ftruncate(fd, (off_t)arena_packets_b()))
		goto fail_fd;
	mem = map(arena_packets_b(), fd, 0);
	if (!mem)
		goto fail_fd;
	munmap(mem, arena_packets_b());
	return fd;
fail_fd:
	if (fd >= 0)
		close(fd);
	return -1;
}

static int open_packets(struct arena *a, uint32_t packets)
{
	for (uint32_t i = 0; i < packets; i++) {
		a->packets[i] = a->huge ? packets_fd(true) : -1;
		if (a->packets[i] >= 0)
			continue;
		a->huge = false;
		a->packets[i] = packets_fd(false);
		if (a->packets[i] < 0)
			return -ENOMEM;
	}
	return 0;
}

int arena_open(struct arena *a, uint32_t pages, uint32_t packets)
{
	*a = (struct arena){ .size_b = pages * HUGE_B, .packets = { -1, -1, -1, -1 } };
	a->mem = map(a->size_b, -1, MAP_ANONYMOUS | MAP_HUGETLB);
	a->huge = a->mem != NULL;
	if (!a->mem)
		a->mem = map(a->size_b, -1, MAP_ANONYMOUS);
	return a->mem ? open_packets(a, SN_MIN(packets, (uint32_t)ARENA_PACKETS_MAX)) : -ENOMEM;
}

void arena_close(struct arena *a)
{
	if (a->mem)
		munmap(a->mem, a->size_b);
	for (uint32_t i = 0; i < ARENA_PACKETS_MAX; i++)
		if (a->packets[i] >= 0)
			close(a->packets[i]);
	*a = (struct arena){ .packets = { -1, -1, -1, -1 } };
}

void *arena_take(struct arena *a, size_t size_b)
{
	size_t rounded_b = arena_pages(size_b) * HUGE_B;
	uint8_t *mem = a->mem + a->used_b;

	if (rounded_b > a->size_b - a->used_b)
		return NULL;
	a->used_b += rounded_b;
	return memset(mem, 0, rounded_b);
}

int arena_take_packets(struct arena *a)
{
	int fd = a->packets_used < ARENA_PACKETS_MAX ? a->packets[a->packets_used] : -1;
	void *mem = fd >= 0 ? map(arena_packets_b(), fd, 0) : NULL;

	if (!mem)
		return -1;
	a->packets_used++;
	memset(mem, 0, arena_packets_b());
	sn_umem_format(mem, FRAMES, FRAME_B);
	munmap(mem, arena_packets_b());
	return fd;
}

void arena_reset(struct arena *a)
{
	a->used_b = 0;
	a->packets_used = 0;
}
