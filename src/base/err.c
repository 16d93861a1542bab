/* Errors of the build side. */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

int
err_setv(struct err *e, const char *format, va_list ap)
{
    if (e)
        vsnprintf(e->text, sizeof e->text, format, ap);
    return -1;
}

int
err_set(struct err *e, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    err_setv(e, format, ap);
    va_end(ap);
    return -1;
}

int
err_prefix(struct err *e, const char *format, ...)
{
    char old[sizeof e->text];
    va_list ap;
    size_t n;

    if (!e)
        return -1;
    memcpy(old, e->text, sizeof old);
    va_start(ap, format);
    vsnprintf(e->text, sizeof e->text, format, ap);
    va_end(ap);
    n = strlen(e->text);
    for (const char *part = ": "; *part && n < sizeof e->text - 1; part++)
        e->text[n++] = *part;
    for (const char *part = old; *part && n < sizeof e->text - 1; part++)
        e->text[n++] = *part;
    e->text[n] = '\0';
    return -1;
}
