/* How every command fails. */
#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"

int
cli_fail(int status, const char *format, ...)
{
    va_list ap;

    fputs("ingot: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    return status;
}
