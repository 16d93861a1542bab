/* What --stats and --stats=FILE tell at the end of a run. The first writes lines for people to standard error; the
 * second writes one JSON object, which the next build can read as a profile. */
#include "vkernel/boot/statistics.h"

#include <stdio.h>
#include <string.h>

#include "base/rare.h"
#include "platform/platform.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/audit/audit.h"
#include "vkernel/boot/run_options.h"
#include "vkernel/run/evaluated.h"
#include "vkernel/run/lockstep.h"
#include "vkernel/sched/sched.h"

static void
report(int fd)
{
    char line[256];

    snprintf(line, sizeof line, "system calls: %llu\nswitches: %llu\nrefused: %llu\n",
             (unsigned long long)syscall_total, (unsigned long long)sched_switches, (unsigned long long)audit_refusals);
    platform_write(fd, line, strlen(line));
    if (lockstep_on) {
        snprintf(line, sizeof line, "lockstep: %llu checks and ends of compiled code compared\n",
                 (unsigned long long)lockstep_compared());
        platform_write(fd, line, strlen(line));
    }
    evaluated_report(fd);
    syscall_report(fd);
}

static void
put_record(const char *text)
{
    static char buffer[16 << 10] RARE;
    static size_t used;
    size_t n = text ? strlen(text) : 0;

    if (!text || used + n > sizeof buffer) {
        platform_write(run_options.stats_fd, buffer, used);
        used = 0;
    }
    if (n > sizeof buffer) {
        platform_write(run_options.stats_fd, text, n);
    } else if (n) {
        memcpy(buffer + used, text, n);
        used += n;
    }
}

/* Writes the record of --stats=FILE: one JSON object on one line (docs/formats.md). */
static void
write_record(void)
{
    char text[256];

    snprintf(text, sizeof text, "{\"version\":1,\"system_calls\":%llu,\"switches\":%llu,\"refused\":%llu,",
             (unsigned long long)syscall_total, (unsigned long long)sched_switches, (unsigned long long)audit_refusals);
    put_record(text);
    evaluated_write(put_record);
    put_record(",\"not_implemented\":[");
    syscall_write_unknown(put_record);
    put_record("]}\n");
    put_record(NULL);
}

void
statistics_write(void)
{
    if (run_stats)
        evaluated_collect_all();
    if (run_options.stats)
        report(2);
    if (run_options.stats_path)
        write_record();
}
