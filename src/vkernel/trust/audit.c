/* The audit log: one JSON object a line. Written at once, so that nothing is lost when the container dies. */
#include "vkernel/trust/ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "platform/platform.h"
#include "vkernel/proc/process.h"

uint64_t audit_refusals;

static int audit_fd = -1;

void
audit_open(const char *path)
{
    audit_fd = platform_open_append(path);
    if (audit_fd < 0)
        platform_die("cannot open the audit file %s: %s", path, strerror(-audit_fd));
}

size_t
json_put_string(char *out, size_t at, size_t size, const char *s)
{
    if (at < size)
        out[at++] = '"';
    for (; *s && at + 8 < size; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\') {
            out[at++] = '\\';
            out[at++] = (char)c;
        } else if (c < 0x20) {
            at += (size_t)snprintf(out + at, size - at, "\\u%04x", c);
        } else {
            out[at++] = (char)c;
        }
    }
    if (at < size)
        out[at++] = '"';
    return at;
}

void
audit_record(const char *event, ...)
{
    enum { LINE = 8192, MARGIN = 64 };
    char line[LINE];
    const char *name;
    uint64_t now = platform_realtime_ns();
    size_t at;
    va_list ap;

    if (audit_fd < 0)
        return;
    at = (size_t)snprintf(line, sizeof line, "{\"time\":%llu.%09llu,\"event\":\"%s\",\"pid\":%d,\"comm\":",
                          (unsigned long long)(now / 1000000000u), (unsigned long long)(now % 1000000000u), event,
                          sched_current ? current_process()->pid : 0);
    at = json_put_string(line, at, LINE - MARGIN, sched_current ? current_process()->comm : "");
    va_start(ap, event);
    while ((name = va_arg(ap, const char *))) {
        const char *value = va_arg(ap, const char *);

        if (at + 16 > LINE - MARGIN)
            break;
        line[at++] = ',';
        at = json_put_string(line, at, LINE - MARGIN, name);
        line[at++] = ':';
        at = json_put_string(line, at, LINE - MARGIN, value ? value : "");
    }
    va_end(ap);
    line[at++] = '}';
    line[at++] = '\n';
    platform_write(audit_fd, line, at);
}
