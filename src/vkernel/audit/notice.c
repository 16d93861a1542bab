#include "vkernel/audit/notice.h"

#include <stdarg.h>
#include <stdio.h>

#include "platform/platform.h"
#include "vkernel/worker/worker.h"

bool notice_quiet;
static bool given[NOTICE_COUNT];

void
notice(enum notice kind, const char *format, ...)
{
    char text[1280];
    size_t at = 0;
    va_list ap;

    if (notice_quiet || (given[kind] && kind != NOTICE_ADMITTED && kind != NOTICE_FAULT))
        return;
    given[kind] = true;
    if (this_worker.pid)
        at = (size_t)snprintf(text, sizeof text, "%s[%d]: ", this_worker.comm, *this_worker.pid);
    va_start(ap, format);
    vsnprintf(text + at, sizeof text - at, format, ap);
    va_end(ap);
    /* What a guest chose (a path, a name) must not steer the terminal. */
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    platform_log("ingot: %s\n", text);
}
