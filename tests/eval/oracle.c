/* The oracle's command line: all forms a few times each, then random sequences; or what options pick.
 *
 *   oracle [--form MNEMONIC] [--count N] [--states N] [--sequences[=N]] [--share PERCENT] [--seed S|time]
 *          [--executions LIST] [--regressions FILE] [--record 'HEX | BEFORE |': prints that line with what the
 *          processor leaves] [--list] [--host: the processor] [--verbose] [--progress] [--bytes HEX: print the IR of
 *          this code] [--strict-nan] [--strict-mxcsr] [--failures FILE]
 *
 * --count: encodings of each form; --states: states each is run from; --share: how many per cent of the sequences are
 * compiled too; --executions: of evaluator,aot,v8,direct; v8 needs
 * --v8 NODE,SCRIPT,HELPERS (v8/execution.mjs, and the portable helpers as a module). Exit code: 0 all agree, 1
 * differences. Forms without lifter are counted and named, not failures. */
#include "oracle.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../aot/loader.h"
#include "ir/ir.h"
#include "lift/lift.h"
#include "x86/address_space.h"

enum { BATCH = 256, MAX_REPORTED = 5, SECONDS_PER_CASE = 20 };

static const struct execution *executions[5]; /* those to compare, then NULL */
static bool verbose, progress;

static struct tally {
    unsigned agree, differ, uncovered, undefined, unlifted, unmade;
    char example[600];
} tallies[X86_OP_COUNT + 1]; /* the last one: sequences */

static struct batch {
    struct program programs[BATCH];
    size_t count;
    bool compiled;
} batch;

/* A difference, kept until the batch is done: making it smaller loads other code. */
static struct difference {
    const struct execution *execution;
    struct program p;
    struct state s;
    uint8_t memory[WINDOW_SIZE];
} differences[MAX_REPORTED];
static unsigned difference_count, reported;

static struct tally *
tally_of(const struct program *p)
{
    return &tallies[p->form ? p->form->op : X86_OP_COUNT];
}

static void
note_difference(const struct execution *x, const struct program *p, const struct state *s, const uint8_t *memory,
                const char *text)
{
    struct tally *tally = tally_of(p);
    struct difference *d = &differences[difference_count];

    if (tally->differ++ == 0)
        snprintf(tally->example, sizeof tally->example, "%.590s", text);
    if (p->form && tally->differ > 1 && !verbose)
        return;
    if (difference_count == MAX_REPORTED)
        return;
    d->execution = x;
    d->p = *p;
    d->s = *s;
    memcpy(d->memory, memory, WINDOW_SIZE);
    difference_count++;
}

static void
report_differences(void)
{
    for (unsigned i = 0; i < difference_count; i++) {
        static struct expectation expected;
        struct difference *d = &differences[i];
        struct outcome found;
        struct tolerance t;
        char text[4096];

        if (reported++ >= 40)
            continue;
        alarm(600);
        difference_shrink(d->execution, &d->p, &d->s, d->memory);
        printf("\n%s differs:\n", d->execution->name);
        program_print(&d->p);
        t = program_tolerance(&d->p, &d->s);
        expectation_of(&d->p, &d->s, d->memory, &expected);
        memcpy(d->execution->window(), d->memory, WINDOW_SIZE);
        d->execution->run(&d->p, 0, &d->s, &found);
        expectation_compare(&expected, d->execution, &found, &t, text, sizeof text);
        printf("%s", text);
        regression_print(&d->p, &d->s, d->memory);
        fflush(stdout);
    }
    difference_count = 0;
}

static void
run_case(size_t index)
{
    static uint8_t memory[WINDOW_SIZE];
    static struct expectation expected;
    const struct program *p = &batch.programs[index];
    struct state s;
    struct outcome found;
    struct tally *tally = tally_of(p);
    char text[4096];
    bool defined;

    program_state(p, &s, memory);
    defined = program_defined(p, &s);
    if (!defined)
        tally->undefined++;
    struct tolerance t = program_tolerance(p, &s);
    expectation_of(p, &s, memory, &expected);
    if (expected.result == HOST_SAYS_NOTHING)
        return;
    for (unsigned i = 0; executions[i]; i++) {
        const struct execution *x = executions[i];

        if ((x->compiled && !batch.compiled) || (!defined && !x->exact) || !program_covered(p, x, &expected.promised))
            continue;
        memcpy(x->window(), memory, WINDOW_SIZE);
        x->run(p, index, &s, &found);
        if (found.trap == TRAP_UNCOVERED || (!defined && found.evaluated))
            tally->uncovered++;
        else if (!expectation_compare(&expected, x, &found, &t, text, sizeof text))
            tally->agree++;
        else
            note_difference(x, p, &s, memory, text);
    }
}

/* By processor time: a loaded machine is no endless case. */
static void
limit_case(void)
{
    const struct itimerval limit = {.it_value.tv_sec = SECONDS_PER_CASE};

    setitimer(ITIMER_PROF, &limit, NULL);
}

static void
load(const struct execution *x, const struct program *programs, size_t count)
{
    struct buf module = {0};

    if (x->compiled)
        object_make(programs, count, &module);
    if (x->load)
        x->load(programs, count, &module);
    buf_fini(&module);
}

void
execution_load(const struct execution *x, const struct program *programs, size_t count)
{
    loader_clear();
    load(x, programs, count);
}

static void
run_batch(unsigned states)
{
    if (!batch.count)
        return;
    alarm(600);
    loader_clear();
    for (unsigned i = 0; executions[i]; i++)
        if (batch.compiled || !executions[i]->compiled)
            load(executions[i], batch.programs, batch.count);
    for (size_t i = 0; i < batch.count; i++) {
        limit_case();
        for (unsigned k = 0; k < states; k++)
            run_case(i);
    }
    setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
    report_differences();
    batch.count = 0;
}

static struct program *
next_program(unsigned states)
{
    if (batch.count == BATCH)
        run_batch(states);
    return &batch.programs[batch.count];
}

/* Not aligned, but for one in 16, as are its targets. */
static uint64_t
next_address(void)
{
    return CODE_AT + batch.count * (uint64_t)CODE_STRIDE + random_below(GUEST_CODE_MAP_UNIT);
}

static void
run_forms(const char *only, unsigned count, unsigned states)
{
    batch.compiled = true;
    for (size_t i = 0; i < form_count; i++) {
        const struct form *f = &forms[i];

        if (!form_runs(f) || (only && strcasecmp(only, x86_op_name(f->op))))
            continue;
        if (!lift_supported(&f->sample)) {
            tallies[f->op].unlifted++;
            continue;
        }
        for (unsigned k = 0; k < count; k++) {
            struct program *p = next_program(states);

            if (program_of_form(p, f, next_address()))
                batch.count++;
            else
                tallies[f->op].unmade++;
        }
    }
    run_batch(states);
}

static void
run_sequences(unsigned long count, unsigned share, unsigned states)
{
    time_t start = time(NULL), last = start;

    for (unsigned long done = 0, batches = 0; done < count; batches++) {
        batch.compiled = batches * share % 100 < share;
        while (batch.count < BATCH && done < count) {
            if (program_host_only && random_below(4 * program_host_only) == 0)
                program_of_call(&batch.programs[batch.count], next_address());
            else
                program_of_sequence(&batch.programs[batch.count], next_address());
            batch.count++;
            done++;
        }
        run_batch(batch.compiled ? states : 1);
        if (progress && time(NULL) >= last + 10) {
            last = time(NULL);
            printf("%lu sequences, %u differ, %ld s\n", done, tallies[X86_OP_COUNT].differ, (long)(last - start));
            fflush(stdout);
        }
    }
    printf("sequences: %lu made, %u runs agree, %u differ, %u not covered\n", count, tallies[X86_OP_COUNT].agree,
           tallies[X86_OP_COUNT].differ, tallies[X86_OP_COUNT].uncovered);
}

static void
summary(const char *failures)
{
    FILE *out = failures ? fopen(failures, "w") : NULL;
    struct tally all = {0};
    unsigned ops = 0;

    for (unsigned i = 0; i < X86_OP_COUNT; i++) {
        const struct tally *t = &tallies[i];
        all.agree += t->agree;
        all.differ += t->differ;
        all.uncovered += t->uncovered;
        all.unlifted += t->unlifted;
        if (t->differ) {
            ops++;
            printf("FAIL %-12s %u of %u\n", x86_op_name(i), t->differ, t->agree + t->differ);
            if (out)
                fprintf(out, "%s: %u of %u differ, e.g.\n%s\n", x86_op_name(i), t->differ, t->agree + t->differ,
                        t->example);
        }
        if (t->unmade && !t->agree && !t->differ)
            printf("no encoding made: %s\n", x86_op_name(i));
    }
    printf("forms: %u runs agree, %u differ (%u mnemonics), %u not covered, %u forms without lifter\n", all.agree,
           all.differ, ops, all.uncovered, all.unlifted);
    if (all.uncovered && verbose) {
        printf("not covered:");
        for (unsigned i = 0; i < X86_OP_COUNT; i++) {
            if (tallies[i].uncovered)
                printf(" %s %u of %u", x86_op_name(i), tallies[i].uncovered, tallies[i].uncovered + tallies[i].agree);
        }
        printf("\n");
    }
    if (out)
        fclose(out);
}

static int
print_ir(const char *hex)
{
    uint8_t bytes[256];
    struct ir_func f;
    struct ir_build b;
    struct lift_request request = {.bytes = bytes, .address = 0x1000, .max_insns = 64};
    struct err e = {0};
    int used;
    unsigned v;

    while (request.size < sizeof bytes && sscanf(hex, " %2x%n", &v, &used) == 1) {
        bytes[request.size++] = (uint8_t)v;
        hex += used;
    }
    ir_func_init(&f, request.address);
    ir_build_init(&b, &f);
    lift_block(&b, &request);
    ir_print(&f, stdout);
    if (ir_verify(&f, &e) < 0)
        printf("not valid: %s\n", e.text);
    ir_build_fini(&b);
    ir_func_fini(&f);
    return 0;
}

static void
list_forms(void)
{
    char text[128];

    for (size_t i = 0; i < form_count; i++)
        printf("%s%s%s\n", x86_format(&forms[i].sample, text, sizeof text), form_runs(&forms[i]) ? "" : " (not run)",
               lift_supported(&forms[i].sample) ? "" : " (no lifter)");
}

/* What this processor has not cannot be tried on it. */
static bool
choose_level(const char *name)
{
    enum { SKIPPED = 77 };

    if (!strcmp(name, "v2"))
        return true;
    if (strcmp(name, "v3"))
        return false;
    if (!__builtin_cpu_supports("x86-64-v3")) {
        printf("oracle: this processor has no x86-64-v3\n");
        exit(SKIPPED);
    }
    x86_set_level(X86_LEVEL_V3);
    return true;
}

static bool
choose_executions(char *list)
{
    static const struct execution *const all[] = {&execution_evaluator, &execution_aot, &execution_v8,
                                                  &execution_direct};
    unsigned count = 0;
    char *save = NULL;

    for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        const struct execution *found = NULL;

        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            found = strcmp(name, all[i]->name) ? found : all[i];
        if (!found || count == sizeof executions / sizeof *executions - 1)
            return false;
        executions[count++] = found;
    }
    return count > 0;
}

int
main(int argc, char **argv)
{
    /* clang-format off */
    static const struct option options[] = {
        {"form", required_argument, NULL, 'f'},        {"count", required_argument, NULL, 'n'},
        {"states", required_argument, NULL, 'S'},      {"seed", required_argument, NULL, 's'},
        {"sequences", optional_argument, NULL, 'q'},   {"share", required_argument, NULL, 'h'},
        {"executions", required_argument, NULL, 'e'},  {"regressions", required_argument, NULL, 'r'},
        {"list", no_argument, NULL, 'l'},              {"verbose", no_argument, NULL, 'v'},
        {"progress", no_argument, NULL, 'p'},          {"strict-nan", no_argument, NULL, 'N'},
        {"strict-mxcsr", no_argument, NULL, 'M'},
        {"failures", required_argument, NULL, 'o'},    {"bytes", required_argument, NULL, 'b'},
        {"record", required_argument, NULL, 'R'},      {"host", no_argument, NULL, 'H'},      {"level", required_argument, NULL, 'L'}, {"v8", required_argument, NULL, 'V'},          {0},
    };
    /* clang-format on */
    static char default_executions[] = "evaluator";
    const char *only = NULL, *failures = NULL, *regressions = NULL, *record = NULL;
    char *chosen = default_executions;
    unsigned count = 4, states = 4, share = 10;
    unsigned long sequences = 300;
    bool only_sequences = false, list = false;
    uint64_t seed = 1;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'f': only = optarg; break;
        case 'n': count = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'S': states = (unsigned)strtoul(optarg, NULL, 0); break;
        case 's': seed = strcmp(optarg, "time") ? strtoull(optarg, NULL, 0) : (uint64_t)time(NULL); break;
        case 'q':
            only_sequences = true;
            sequences = optarg ? strtoul(optarg, NULL, 0) : 1000;
            break;
        case 'h': share = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'e': chosen = optarg; break;
        case 'r': regressions = optarg; break;
        case 'l': list = true; break;
        case 'v': verbose = true; break;
        case 'p': progress = true; break;
        case 'N': strict_nan = true; break;
        case 'M': strict_mxcsr = true; break;
        case 'H': host_print(); return 0;
        case 'L':
            if (!choose_level(optarg))
                return 2;
            break;
        case 'b': return print_ir(optarg);
        case 'o': failures = optarg; break;
        case 'R': record = optarg; break;
        case 'V':
            for (unsigned i = 0; i < 3; i++)
                oracle_v8_command[i] = strtok(i ? NULL : optarg, ",");
            break;
        default: return 2;
        }
    }
    if (!choose_executions(chosen)) {
        fprintf(stderr, "oracle: executions are evaluator, aot, v8 and direct\n");
        return 2;
    }
    for (unsigned i = 0; executions[i]; i++)
        if (executions[i]->exact)
            program_host_only = executions[1] ? 8 : 2;
    program_portable = !executions[1] && executions[0] == &execution_v8;
    native_init();
    forms_find();
    if (list) {
        list_forms();
        return 0;
    }
    if (record)
        return regression_record(record);
    host_print();
    if (regressions) {
        count = regressions_run(regressions, executions);
        host_print_deviations();
        return count != 0;
    }
    random_seed(seed);
    printf("seed %lu\n", seed);
    if (!only_sequences) {
        run_forms(only, count, states);
        summary(failures);
    }
    if (!only)
        run_sequences(sequences, share, states);
    host_print_deviations();
    for (unsigned i = 0; i <= X86_OP_COUNT; i++) {
        if (tallies[i].differ)
            return 1;
    }
    return 0;
}
