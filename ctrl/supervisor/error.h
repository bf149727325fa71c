/*
 * error.h: one line of text for the operator, filled by whoever refuses, printed once by main.
 */
#ifndef SN_ERROR_H
#define SN_ERROR_H

struct sn_error {
	char text[1024];
};

/* Sets the text (NULL: nobody wants it) and returns err, so that `return sn_error_set(e, -EPERM, ...)` reads well. */
int sn_error_set(struct sn_error *e, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
