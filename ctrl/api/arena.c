/* arena.c: see arena.h. */
#include "arena.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int sn_arena_init(struct sn_arena *a, size_t size_b)
{
	void *mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return -ENOMEM;
	*a = (struct sn_arena){ .mem = mem, .size_b = size_b };
	return 0;
}

void sn_arena_fini(struct sn_arena *a)
{
	munmap(a->mem, a->size_b);
}

void sn_arena_reset(struct sn_arena *a)
{
	a->used_b = 0;
}

void *sn_arena_take(struct sn_arena *a, size_t count, size_t size_b)
{
	size_t total_b = (count * size_b + 15) & ~(size_t)15;
	void *piece = a->mem + a->used_b;

	SN_ASSERT(total_b <= a->size_b - a->used_b);
	a->used_b += total_b;
	return memset(piece, 0, total_b);
}

char *sn_arena_printf(struct sn_arena *a, const char *format, ...)
{
	char text[512];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	len = SN_MIN(len, (int)sizeof(text) - 1);
	return memcpy(sn_arena_take(a, (size_t)len + 1, 1), text, (size_t)len + 1);
}
