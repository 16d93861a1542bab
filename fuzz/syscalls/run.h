/* One vkernel with the server (server.c) in it: runs programs, and says how each ended. */
#ifndef FUZZ_SYSCALLS_RUN_H
#define FUZZ_SYSCALLS_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fuzz/syscalls/program.h"

enum { SIGNATURE_SIZE = 200 };

struct runner {
    unsigned cpus;             /* processors of the container */
    const char *vkernel, *log; /* log: what the run wrote, on descriptors 1 and 2 */
    const char *volume;        /* a folder for the guest, emptied after each run */
    pid_t pid;
    int control, status, log_fd;
    struct fuzz_shared *shared;
    unsigned patience_ms;
    bool no_leaks; /* LeakSanitizer cannot work here */
};

struct outcome {
    /* By itself, as it should: its calls count. Otherwise it may have run out of memory, injected failures of
     * allocation being meant, or into its own limit of processor time; or process 1 had too much to do, and it was cut
     * off. */
    enum { OUTCOME_CUT_OFF, OUTCOME_ENDED, OUTCOME_NO_MEMORY, OUTCOME_LIMITED } end;
    bool finding;
    char signature[SIGNATURE_SIZE]; /* of a finding: the same for the same bug */
    uint64_t calls;
};

bool runner_start(struct runner *r); /* false: no container came up; a message is printed */
void runner_stop(struct runner *r);
/* Coverage of the run is in r->shared afterwards. */
struct outcome runner_run(struct runner *r, const struct program *p, bool check_leaks);

bool program_write(const struct program *p, const char *path);
bool program_read(struct program *p, const char *path);

/* As small as possible while it is still found; returns how many runs that took. */
unsigned shrink(struct runner *r, struct program *p, const char *signature);

#endif
