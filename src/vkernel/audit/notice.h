/* What the person at the container should know at once: one line on standard error, the first time each kind of thing
 * happens, that says what happened, why, and what can be done about it. The audit log has every single case. */
#ifndef VKERNEL_AUDIT_NOTICE_H
#define VKERNEL_AUDIT_NOTICE_H

#include <stdbool.h>

enum notice {
    NOTICE_PROGRAM,   /* a program that is not in the ledger */
    NOTICE_ADMITTED,  /* the same, let in by --policy audit: said each time */
    NOTICE_FAULT,     /* a process that ended because its handler asked for registers that nobody knows: said each
                         time */
    NOTICE_CODE,      /* memory that was to be made executable */
    NOTICE_SEGMENT,   /* a program that cannot be loaded as it is */
    NOTICE_MEMORY,    /* a process killed at the limit of memory */
    NOTICE_PROCESSES, /* no more processes or threads */
    NOTICE_TIMEOUT,   /* the time of --timeout is over */
    NOTICE_LAYERS,    /* a layer of the lock-down that the host does not allow */
    NOTICE_COUNT
};

extern bool notice_quiet; /* --quiet */

/* "ingot: COMM[PID]: ...", once per kind. No newline at the format's end. */
void notice(enum notice kind, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
