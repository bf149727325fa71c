/*
 * base.c: how a process of ours dies of its own bug.
 */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void sn_bug(const char *file, int line, const char *what)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "%s:%d: bug: %s\n", file, line, what);
	size_t len_b = len < 0 ? 0 : SN_MIN((size_t)len, sizeof(text) - 1);

	if (write(STDERR_FILENO, text, len_b) < 0)
		abort(); /* nowhere to say it */
	abort();
}
