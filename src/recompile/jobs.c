/* Worker processes that draw job numbers from a shared counter. */
#include "recompile/jobs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sanitized.h"

enum { MAX_WORKERS = 256 };

struct board { /* shared memory */
    atomic_size_t next;
    atomic_size_t done_jobs;
    atomic_ullong done_weight;
    atomic_int failed; /* 1 claimed, 2 message written */
    struct err error;
    atomic_size_t running[MAX_WORKERS]; /* 1 + job index */
};

static void
work(const struct jobs *j, struct board *board, unsigned worker)
{
    for (;;) {
        size_t index = atomic_fetch_add(&board->next, 1);
        struct err e = {0};

        if (index >= j->count || atomic_load(&board->failed))
            return;
        atomic_store(&board->running[worker], index + 1);
        if (j->run(j->context, index, &e) < 0) {
            int none = 0;

            if (atomic_compare_exchange_strong(&board->failed, &none, 1)) {
                board->error = e;
                atomic_store(&board->failed, 2);
            }
            return;
        }
        atomic_store(&board->running[worker], 0);
        atomic_fetch_add(&board->done_weight, j->weight(j->context, index));
        atomic_fetch_add(&board->done_jobs, 1);
    }
}

static void
report_death(const struct jobs *j, struct board *board, unsigned worker, int status)
{
    size_t running = atomic_load(&board->running[worker]);
    int none = 0;
    char how[64];

    if (!atomic_compare_exchange_strong(&board->failed, &none, 1))
        return;
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "%s", strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof how, "exit status %d", WEXITSTATUS(status));
    err_set(&board->error, "%s: the worker process died (%s)%s",
            running ? j->name(j->context, running - 1) : "between jobs", how,
            WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? ": out of memory?" : "");
    atomic_store(&board->failed, 2);
}

/* One job that runs away must end itself, not the machine. */
static void
limit_memory(unsigned workers)
{
#if !ADDRESS_SANITIZED /* whose shadow alone is terabytes of address space */
    uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t share = total / (workers + 1) + (4ull << 30); /* address space, of which some stays untouched */
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) == 0 && share < limit.rlim_max) {
        limit.rlim_cur = share < limit.rlim_cur ? share : limit.rlim_cur;
        setrlimit(RLIMIT_AS, &limit);
    }
#endif
}

int
jobs_run(const struct jobs *j, struct err *e)
{
    struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned workers = j->workers ? j->workers : 1, alive = 0;
    pid_t pids[MAX_WORKERS], parent = getpid();
    int result = 0;

    if (board == MAP_FAILED)
        return err_set(e, "cannot map memory: %s", strerror(errno));
    if (workers > MAX_WORKERS)
        workers = MAX_WORKERS;
    if (workers > j->count)
        workers = (unsigned)j->count;
    fflush(NULL);
    for (unsigned i = 0; i < workers; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            limit_memory(workers);
            if (getppid() == parent)
                work(j, board, i);
            _exit(0);
        }
        if (pids[i] > 0)
            alive++;
    }
    if (!alive && workers)
        result = err_set(e, "cannot start worker processes: %s", strerror(errno));
    while (alive) {
        bool any = false;

        for (unsigned i = 0; i < workers; i++) {
            int status;

            if (pids[i] <= 0 || waitpid(pids[i], &status, WNOHANG) != pids[i])
                continue;
            any = true;
            pids[i] = -1;
            alive--;
            if (status != 0)
                report_death(j, board, i, status);
        }
        if (j->progress)
            j->progress(j->context, atomic_load(&board->done_weight), atomic_load(&board->done_jobs));
        if (!any)
            poll(NULL, 0, 50);
    }
    if (atomic_load(&board->failed)) {
        if (e)
            *e = board->error;
        result = -1;
    }
    munmap(board, sizeof *board);
    return result;
}
