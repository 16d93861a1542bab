/* What ends a program whose memory is no longer sound. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void
check_failed(const char *what)
{
    fprintf(stderr, "ingot: internal error: %s\n", what);
    abort();
}
