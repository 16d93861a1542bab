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
    char prefix[256], whole[768];
    va_list ap;

    if (!e)
        return -1;
    va_start(ap, format);
    vsnprintf(prefix, sizeof prefix, format, ap);
    va_end(ap);
    snprintf(whole, sizeof whole, "%s: %s", prefix, e->text);
    memcpy(e->text, whole, sizeof e->text - 1);
    e->text[sizeof e->text - 1] = '\0';
    return -1;
}
