/* Damaged code objects against the sandbox:  mutate OPTION... (mutants.h)
 *
 * A mutant is a code object (objects.c), changed (change.c). Reader, validator and the
 * check of imports refuse most of the worst; what they accept is compiled by the real aot, loaded, and each entry is
 * run from random states. It may trap, fault in the instance, run out of stack or never end. Reaching anything else is
 * a finding, and so is a compiler that ends its process. -v leaves the mutant in mutant.wasm. */
#include "mutants.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#include "base/file.h"
#include "wasm/imports.h"

enum { A_CHILD = 200 /* mutants */, CHANGES_OF_ONE = 8 /* code object */, COMPILE_SECONDS = 60 };
enum { REFUSED, NOT_IMPORTS, NOT_COMPILED };

static int
judge(const struct buf *b, struct wasm_module *m, struct err *e)
{
    if (wasm_module_read(m, b->data, b->size, e) < 0) {
        mutants->refused[REFUSED]++;
        return -1;
    }
    if (wasm_validate(m, e) < 0) {
        mutants->refused[REFUSED]++;
    } else if (wasm_check_imports(m, e) < 0) {
        mutants->refused[NOT_IMPORTS]++;
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

    mutants->tried++;
    mutants->phase = "read";
    if (mutants_verbose)
        file_write_atomic("mutant.wasm", mutant->data, mutant->size, 0666, &e);
    if (judge(mutant, &m, &e) < 0) {
        if (mutants_verbose)
            printf("%llu: %s\n", (unsigned long long)mutants->number, e.text);
        return;
    }
    wasm_module_fini(&m);
    mutants->phase = "compiled";
    setitimer(ITIMER_PROF, &limit, NULL); /* its signal ends the process */
    loader_clear();
    if (loader_load(mutant->data, mutant->size, "K", sandbox_resolve, NULL, &code, &e) < 0) {
        setitimer(ITIMER_PROF, &none, NULL);
        mutants->refused[NOT_COMPILED]++;
        if (mutants_verbose)
            printf("%llu: %s\n", (unsigned long long)mutants->number, e.text);
        return;
    }
    setitimer(ITIMER_PROF, &none, NULL);
    mutants->phase = "run";
    mutants->run++;
    if (!sandbox_run(&code, mutants_seed ^ mutants->number << 20, mutants_states, mutants->ends, reason))
        mutants_finding(reason);
}

/* The mutant of this number. Some have one code object in common: making that takes longest. */
static void
make(uint64_t number, struct buf *out)
{
    uint64_t random = mutants_random(number, CHANGES_OF_ONE);
    struct buf object = {0};
    struct wasm_module m;
    struct err e = {0};

    objects_make(&random, &object);
    random ^= (number % CHANGES_OF_ONE + 1) * 0xff51afd7ed558ccd;
    random |= !random;
    if (wasm_module_read(&m, object.data, object.size, &e) < 0 || wasm_validate(&m, &e) < 0 ||
        wasm_check_imports(&m, &e) < 0) {
        mutants_finding(e.text);
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
try_number(uint64_t number)
{
    struct buf mutant = {0};

    make(number, &mutant);
    try(&mutant);
    buf_fini(&mutant);
}

static int
report(double seconds)
{
    printf(
        "seed %llu: %u mutants, %u refused by reader and validator, %u by their imports, %u not compiled, %u compiled and run: "
        "%u returns, %u traps, %u faults in the instance, %u ends of the stack, %u without end; %.0f s\n",
        (unsigned long long)mutants_seed, mutants->tried, mutants->refused[REFUSED], mutants->refused[NOT_IMPORTS],
        mutants->refused[NOT_COMPILED], mutants->run, mutants->ends[SANDBOX_RETURNED], mutants->ends[SANDBOX_TRAPPED],
        mutants->ends[SANDBOX_FAULTED], mutants->ends[SANDBOX_STACK], mutants->ends[SANDBOX_HUNG], seconds);
    /* A test that runs nothing shows nothing. */
    if (mutants_last - mutants_first >= 100) {
        if (mutants->run * 5 < mutants->tried)
            mutants_finding("fewer than a fifth of the mutants could be run");
        if (!mutants->ends[SANDBOX_RETURNED] || !mutants->ends[SANDBOX_TRAPPED] || !mutants->ends[SANDBOX_FAULTED])
            mutants_finding("no run returned, trapped or faulted");
    }
    return mutants->findings != 0;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {MUTANTS_OPTIONS, {0}};
    time_t start = time(NULL);
    struct err e = {0};
    int c;

    mutants_last = 3000;
    mutants_states = 4;
    while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1)
        if (!mutants_option(c))
            return 2;
    if (mutants_init(&e) < 0) {
        fprintf(stderr, "mutate: %s\n", e.text);
        return 2;
    }
    mutants_run(A_CHILD, try_number);
    return report(difftime(time(NULL), start));
}
