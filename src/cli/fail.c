/* How every command fails. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/cli.h"

int
cli_fail(int status, const char *format, ...)
{
    char *text = NULL;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        mem_exhausted(0);
    va_end(ap);
    cli_print(stderr, "ingot: %s", text);
    free(text);
    return status;
}
