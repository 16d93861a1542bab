/* Errors of the build side: a message that names the file, the place and the cause. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

/* Filled by the function that failed; the caller owns it and may pass NULL to ignore the text.
 * An err is reusable: err_set() overwrites. Zero-initialise it. */
struct err {
    char text[512];
};

/* Sets the message (truncated to fit) and returns -1, so that `return err_set(...)` reads well. */
int err_set(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
int err_setv(struct err *e, const char *format, va_list ap);

/* Puts "PREFIX: " before the message already there; returns -1. */
int err_prefix(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
