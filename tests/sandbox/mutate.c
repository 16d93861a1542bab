/* Damaged code objects against the sandbox:  mutate [--count N] [--seed N|time] [--states N] [--only NUMBER] [-v]
 *
 * Each mutant is made from its number and the seed alone: a code object (objects.c), changed (change.c). Reader, validator and the
 * check of imports refuse most of the worst; what they accept is compiled by the real aot, loaded, and each entry is run from random
 * states. It may trap, fault in the instance, run out of stack or never end. Reaching anything else is a finding, and so is a
 * compiler that ends its process. Mutants are run in children, so that one can be lost.
 *
 * A finding's number repeats it: --only NUMBER; -v leaves it in mutant.wasm. */
#include "sandbox.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "wasm/imports.h"

enum { A_CHILD = 200 /* mutants */, CHANGES_OF_ONE = 8 /* code object */, COMPILE_SECONDS = 60, MOST_FINDINGS = 20 };

enum phase { PHASE_MAKE, PHASE_READ, PHASE_COMPILE, PHASE_RUN };

/* Shared with the children. */
static struct shared {
    volatile uint64_t number; /* of the mutant at work */
    volatile enum phase phase;
    unsigned tried, refused, not_imports, not_compiled, run, findings;
    unsigned ends[SANDBOX_ENDS];
} *shared;

static uint64_t seed = 1, first, last = 3000;
static unsigned states = 4;
static bool verbose;

static void
finding(const char *reason)
{
    printf("FAIL mutant %llu of seed %llu: %s\n", (unsigned long long)shared->number, (unsigned long long)seed, reason);
    fflush(stdout);
    shared->findings++;
}

static int
judge(const struct buf *b, struct wasm_module *m, struct err *e)
{
    if (wasm_module_read(m, b->data, b->size, e) < 0) {
        shared->refused++;
        return -1;
    }
    if (wasm_validate(m, e) < 0) {
        shared->refused++;
    } else if (wasm_check_imports(m, e) < 0) {
        shared->not_imports++;
    } else {
        return 0;
    }
    wasm_module_fini(m);
    return -1;
}

static void
try(const struct buf *mutant)
{
    struct itimerval limit = {.it_value = {.tv_sec = COMPILE_SECONDS}}, none = {0};
    struct wasm_module m;
    struct loaded code;
    struct err e = {0};
    char reason[256];

    shared->tried++;
    shared->phase = PHASE_READ;
    if (verbose)
        file_write_atomic("mutant.wasm", mutant->data, mutant->size, 0666, &e);
    if (judge(mutant, &m, &e) < 0) {
        if (verbose)
            printf("%llu: %s\n", (unsigned long long)shared->number, e.text);
        return;
    }
    wasm_module_fini(&m);
    shared->phase = PHASE_COMPILE;
    setitimer(ITIMER_PROF, &limit, NULL); /* its signal ends the process */
    loader_clear();
    if (loader_load(mutant->data, mutant->size, "K", sandbox_resolve, NULL, &code, &e) < 0) {
        setitimer(ITIMER_PROF, &none, NULL);
        shared->not_compiled++;
        if (verbose)
            printf("%llu: %s\n", (unsigned long long)shared->number, e.text);
        return;
    }
    setitimer(ITIMER_PROF, &none, NULL);
    shared->phase = PHASE_RUN;
    shared->run++;
    if (!sandbox_run(&code, seed ^ shared->number << 20, states, shared->ends, reason))
        finding(reason);
}

/* The mutant of this number. Some have one code object in common: making that takes longest. */
static void
make(uint64_t number, struct buf *out)
{
    uint64_t random = (seed + 1) * 0x9e3779b97f4a7c15 ^ (number / CHANGES_OF_ONE + 1) * 0xd1342543de82ef95;
    struct buf object = {0};
    struct wasm_module m;
    struct err e = {0};

    objects_make(&random, &object);
    random ^= (number % CHANGES_OF_ONE + 1) * 0xff51afd7ed558ccd;
    random |= !random;
    if (wasm_module_read(&m, object.data, object.size, &e) < 0 || wasm_validate(&m, &e) < 0 || wasm_check_imports(&m, &e) < 0) {
        finding(e.text);
        exit(1);
    }
    if (number % CHANGES_OF_ONE) /* the first as it is */
        change_module(&m, &random, out);
    else
        buf_put(out, object.data, object.size);
    wasm_module_fini(&m);
    buf_fini(&object);
}

static void
work(void *argument)
{
    uint64_t end = *(const uint64_t *)argument;

    for (; shared->number < end; shared->number++) {
        struct buf mutant = {0};

        shared->phase = PHASE_MAKE;
        make(shared->number, &mutant);
        try(&mutant);
        buf_fini(&mutant);
    }
}

static void
child(uint64_t end)
{
    struct err e = {0};

    if (sandbox_init(&e) < 0) {
        fprintf(stderr, "mutate: %s\n", e.text);
        _exit(2);
    }
    sandbox_thread(work, &end);
    _exit(0);
}

/* Mutants up to `end`, by as many children as it takes. */
static void
run_children(uint64_t end)
{
    while (shared->number < end && shared->findings < MOST_FINDINGS) {
        static const char *const phases[] = {"made", "read", "compiled", "run"};
        char reason[128];
        int status;
        pid_t pid = fork();

        if (pid == 0)
            child(end);
        if (pid < 0 || waitpid(pid, &status, 0) != pid) {
            perror("mutate");
            exit(2);
        }
        if (status == 0)
            continue;
        snprintf(reason, sizeof reason, "the process ended (%s %d) while it was %s", WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), phases[shared->phase]);
        finding(reason);
        shared->number++;
    }
}

static int
report(double seconds)
{
    printf("seed %llu: %u mutants, %u refused by reader and validator, %u by their imports, %u not compiled, %u compiled and run: "
           "%u returns, %u traps, %u faults in the instance, %u ends of the stack, %u without end; %.0f s\n",
           (unsigned long long)seed, shared->tried, shared->refused, shared->not_imports, shared->not_compiled, shared->run,
           shared->ends[SANDBOX_RETURNED], shared->ends[SANDBOX_TRAPPED], shared->ends[SANDBOX_FAULTED],
           shared->ends[SANDBOX_STACK], shared->ends[SANDBOX_HUNG], seconds);
    /* A test that runs nothing shows nothing. */
    if (last - first >= 100) {
        if (shared->run * 5 < shared->tried)
            finding("fewer than a fifth of the mutants could be run");
        if (!shared->ends[SANDBOX_RETURNED] || !shared->ends[SANDBOX_TRAPPED] || !shared->ends[SANDBOX_FAULTED])
            finding("no run returned, trapped or faulted");
    }
    return shared->findings != 0;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"count", required_argument, NULL, 'c'}, {"seed", required_argument, NULL, 's'},
        {"states", required_argument, NULL, 't'}, {"only", required_argument, NULL, 'o'}, {0},
    };
    time_t start = time(NULL);
    struct err e = {0};
    int c;

    while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            last = strtoull(optarg, NULL, 0);
            break;
        case 's':
            seed = strcmp(optarg, "time") ? strtoull(optarg, NULL, 0) : (uint64_t)start;
            break;
        case 't':
            states = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'o':
            first = strtoull(optarg, NULL, 0);
            last = first + 1;
            break;
        case 'v':
            verbose = true;
            break;
        default:
            return 2;
        }
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || objects_init(&e) < 0) {
        fprintf(stderr, "mutate: %s\n", e.text);
        return 2;
    }
    for (shared->number = first; shared->number < last && shared->findings < MOST_FINDINGS;)
        run_children(shared->number + A_CHILD < last ? shared->number + A_CHILD : last);
    return report(difftime(time(NULL), start));
}
