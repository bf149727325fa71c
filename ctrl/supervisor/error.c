/*
 * error.c: see error.h.
 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int sn_error_set(struct sn_error *e, int err, const char *format, ...)
{
	va_list args;

	if (!e)
		return err;
	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return err;
}
