/* The driver of the system-call fuzzer: makes programs, has them run, keeps those that reach new code, and makes
 * findings small.
 *
 *     fuzz_syscalls [--cpus N] [--seconds N] [--calls N] [--seed N|time] [--corpus DIR] [--keep DIR] [--found DIR]
 *                   [--inject PERCENT] [--plain] [--table] [--missed FILE] [--fetches FILE] [--pack N] [--fail-each]
 *                   VKERNEL
 *     fuzz_syscalls --run FILE | --print FILE | --shrink FILE VKERNEL
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/syscalls/generate.h"
#include "fuzz/syscalls/run.h"
#include "fuzz/syscalls/table.h"

enum { MAX_CORPUS = 20000, MAX_FINDINGS = 500, LEAK_CHECK_EVERY = 32, PROGRESS_SECONDS = 10, MAX_FAILURES = 2000 };

static struct {
    unsigned cpus, seconds, inject, pack;
    uint64_t calls, seed;
    const char *missed, *fetches, *corpus, *keep, *found, *vkernel, *one;
    char mode; /* r, p, s: --run, --print, --shrink */
    bool plain, table, fail_each;
} options = {.cpus = 1, .inject = 15, .seed = 1, .found = "found"};

static struct program *corpus[MAX_CORPUS];
static unsigned corpus_count;
static uint8_t seen[COVERAGE_SIZE];
static unsigned covered;
static char findings[MAX_FINDINGS][SIGNATURE_SIZE];
static unsigned finding_count;
static uint64_t total_calls, total_runs, cut_runs, short_runs;

/* How often an edge ran, in classes: a new class is new. */
static uint8_t
class_of(uint8_t n)
{
    return n == 0 ? 0 : n == 1 ? 1 : n == 2 ? 2 : n < 8 ? 4 : n < 32 ? 8 : n < 128 ? 16 : 32;
}

static bool
new_coverage(const uint8_t *coverage)
{
    bool is_new = false;

    for (unsigned i = 0; i < COVERAGE_SIZE; i++) {
        uint8_t c = class_of(coverage[i]);

        if (!(c & ~seen[i]))
            continue;
        covered += !seen[i];
        seen[i] |= c;
        is_new = true;
    }
    return is_new;
}

static void
keep(const struct program *p)
{
    char path[300];

    if (corpus_count == MAX_CORPUS)
        return;
    corpus[corpus_count] = malloc(sizeof *p);
    if (!corpus[corpus_count])
        return;
    *corpus[corpus_count] = *p;
    if (options.keep && !options.pack) {
        snprintf(path, sizeof path, "%s/%llx-%u", options.keep, (unsigned long long)options.seed, corpus_count);
        program_write(p, path);
    }
    corpus_count++;
}

static bool
known(const char *signature)
{
    for (unsigned i = 0; i < finding_count; i++)
        if (strcmp(findings[i], signature) == 0)
            return true;
    if (finding_count < MAX_FINDINGS)
        strcpy(findings[finding_count++], signature);
    return false;
}

static void
copy_file(const char *from, const char *to)
{
    static char text[64 << 10];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    size_t n = in ? fread(text, 1, sizeof text, in) : 0;

    if (out)
        fwrite(text, 1, n, out);
    if (in)
        fclose(in);
    if (out)
        fclose(out);
}

static void
show_file(const char *path)
{
    FILE *f = fopen(path, "r");
    int c;

    while (f && (c = fgetc(f)) != EOF)
        putchar(c);
    if (f)
        fclose(f);
}

static void
found(struct runner *r, const struct program *p, const struct outcome *o)
{
    static struct program small;
    char path[300], log[300];
    unsigned runs, number = finding_count;

    if (known(o->signature))
        return;
    mkdir(options.found, 0755);
    snprintf(log, sizeof log, "%s/%u.log", options.found, number);
    copy_file(r->log, log);
    small = *p;
    snprintf(path, sizeof path, "%s/%u.whole", options.found, number);
    program_write(&small, path);
    runs = shrink(r, &small, o->signature);
    snprintf(path, sizeof path, "%s/%u.program", options.found, number);
    program_write(&small, path);
    snprintf(path, sizeof path, "%s/%u.c", options.found, number);
    print_program(&small, o->signature, path);
    printf("found %u: %s (%u operations after %u runs): %s\n", number, o->signature, small.count, runs, path);
    fflush(stdout);
}

/* given: from a corpus, which stands where coverage cannot be had. */
static void
run_one(struct runner *r, const struct program *p, bool given)
{
    struct outcome o = runner_run(r, p, options.fail_each || total_runs % LEAK_CHECK_EVERY == LEAK_CHECK_EVERY - 1);

    total_runs++;
    if (o.end == OUTCOME_ENDED)
        total_calls += o.calls;
    cut_runs += o.end == OUTCOME_CUT_OFF && !o.finding;
    short_runs += o.end == OUTCOME_NO_MEMORY || o.end == OUTCOME_LIMITED;
    if (!o.finding && (r->shared->guards ? new_coverage(r->shared->coverage) : given))
        keep(p);
    if (o.finding)
        found(r, p, &o);
}

static void
read_corpus(struct runner *r, const char *folder)
{
    static struct program p;
    struct dirent **names;
    char path[512];
    int n = scandir(folder, &names, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && program_read(&p, path))
            run_one(r, &p, true);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
}

/* The few programs of a corpus that reach the most together. */
static void
pack(struct runner *r)
{
    uint8_t *edges = calloc(corpus_count, COVERAGE_SIZE / 8), *reached = calloc(1, COVERAGE_SIZE / 8);
    char path[300];

    if (!edges || !reached)
        return;
    for (unsigned i = 0; i < corpus_count; i++) {
        runner_run(r, corpus[i], false);
        for (unsigned k = 0; k < COVERAGE_SIZE; k++)
            if (r->shared->coverage[k])
                edges[i * (COVERAGE_SIZE / 8) + k / 8] |= (uint8_t)(1 << k % 8);
    }
    for (unsigned n = 0; n < options.pack; n++) {
        unsigned best = 0, most = 0;

        for (unsigned i = 0; i < corpus_count; i++) {
            unsigned gain = 0;

            for (unsigned k = 0; k < COVERAGE_SIZE / 8; k++)
                gain += (unsigned)__builtin_popcount(edges[i * (COVERAGE_SIZE / 8) + k] & ~reached[k]);
            if (gain > most)
                most = gain, best = i;
        }
        if (!most)
            break;
        for (unsigned k = 0; k < COVERAGE_SIZE / 8; k++)
            reached[k] |= edges[best * (COVERAGE_SIZE / 8) + k];
        snprintf(path, sizeof path, "%s/%03u", options.keep, n);
        program_write(corpus[best], path);
        printf("%s: %u more\n", path, most);
    }
    free(edges);
    free(reached);
}

/* Each program of the corpus again and again, with the first, the second, ... allocation or host call failing. */
static void
fail_each(struct runner *r)
{
    static struct program p;

    for (unsigned i = 0, programs = corpus_count; i < programs; i++) {
        uint64_t count;

        p = *corpus[i];
        p.fail_after = p.fail_every = 0;
        run_one(r, &p, false);
        count = r->shared->fallible < MAX_FAILURES ? r->shared->fallible : MAX_FAILURES;
        for (p.fail_after = 1; p.fail_after <= count; p.fail_after++)
            run_one(r, &p, false);
        printf("program %u of %u: %u failures, findings %u\n", i + 1, programs, (unsigned)count, finding_count);
        fflush(stdout);
    }
}

static void
next_program(struct program *p)
{
    if (corpus_count == 0 || one_in(4)) {
        generate(p);
    } else {
        /* Later ones reach what earlier ones did not: they are tried more often. */
        unsigned at = one_in(2) ? random_below(corpus_count) : corpus_count - 1 - random_below(corpus_count / 4 + 1);

        *p = *corpus[at];
        p->fail_after = p->fail_every = 0;
        mutate(p, corpus[random_below(corpus_count)]);
    }
    if (random_below(100) < options.inject) {
        p->fail_after = 1 + random_below(one_in(2) ? 40 : 400);
        p->fail_every = one_in(2) ? 0 : 1 + random_below(30);
    }
}

static double
now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
progress(double start)
{
    printf(
        "%.0f s: %llu programs, %llu calls, %u cut off, %u short of memory or time, coverage %u, corpus %u, findings %u\n",
        now() - start, (unsigned long long)total_runs, (unsigned long long)total_calls, (unsigned)cut_runs,
        (unsigned)short_runs, covered, corpus_count, finding_count);
    fflush(stdout);
}

/* Addresses that no program reached, for addr2line, with "entry" behind those of functions. */
static void
write_missed(const struct runner *r, const char *path)
{
    FILE *f = fopen(path, "w");

    for (unsigned i = 1; f && i <= r->shared->guards && i < COVERAGE_SIZE; i++)
        if (!seen[i])
            fprintf(f, "%#llx%s\n", (unsigned long long)(r->shared->places[i] & ~PLACE_ENTRY),
                    r->shared->places[i] & PLACE_ENTRY ? " entry" : "");
    if (f)
        fclose(f);
}

/* Guest memory that a call read twice: its number, how often, and the addresses of those who read, for addr2line. */
static void
write_fetches(const struct runner *r, const char *path)
{
    FILE *f = fopen(path, "w");

    for (unsigned i = 0; f && i < FETCHES && r->shared->fetches[i].count; i++) {
        const struct fetch *t = &r->shared->fetches[i];

        fprintf(f, "%lld %llu", (long long)t->number, (unsigned long long)t->count);
        for (unsigned k = 0; k < FETCH_PLACES; k++)
            fprintf(f, " %#llx", (unsigned long long)t->first[k]);
        for (unsigned k = 0; k < FETCH_PLACES; k++)
            fprintf(f, " %#llx", (unsigned long long)t->second[k]);
        fputc('\n', f);
    }
    if (f)
        fclose(f);
}

/* How often each call did something, and was refused. */
static void
print_table(const struct runner *r)
{
    for (unsigned i = 0; i < row_count; i++)
        printf("%-20s %10u good %10u refused\n", rows[i].name, r->shared->results[rows[i].number].good,
               r->shared->results[rows[i].number].bad);
}

static void
loop(struct runner *r)
{
    static struct program p;
    double start = now(), shown = start;

    if (options.corpus)
        read_corpus(r, options.corpus);
    if (options.pack) {
        pack(r);
        return;
    }
    if (options.fail_each) {
        fail_each(r);
        return;
    }
    for (;;) {
        double t = now();

        if ((options.seconds && t - start >= options.seconds) || (options.calls && total_calls >= options.calls))
            break;
        if (t - shown >= PROGRESS_SECONDS) {
            progress(start);
            shown = t;
        }
        next_program(&p);
        run_one(r, &p, false);
    }
    progress(start);
    if (options.table)
        print_table(r);
    if (options.missed)
        write_missed(r, options.missed);
    if (options.fetches)
        write_fetches(r, options.fetches);
}

static int
single(struct runner *r)
{
    static const char *const ends[] = {[OUTCOME_CUT_OFF] = "cut off",
                                       [OUTCOME_ENDED] = "ended",
                                       [OUTCOME_NO_MEMORY] = "out of memory",
                                       [OUTCOME_LIMITED] = "at its limit of processor time"};
    static struct program p;
    struct outcome o;
    char note[SIGNATURE_SIZE + 20];

    if (!program_read(&p, options.one)) {
        fprintf(stderr, "fuzz_syscalls: %s is not a program\n", options.one);
        return 2;
    }
    if (options.mode == 'p') {
        print_program(&p, options.one, "-");
        return 0;
    }
    o = runner_run(r, &p, true);
    if (options.mode == 's' && o.finding) {
        shrink(r, &p, o.signature);
        snprintf(note, sizeof note, "%s", o.signature);
        print_program(&p, note, "-");
    } else {
        show_file(r->log);
        printf("%s: %llu calls\n", o.finding ? o.signature : ends[o.end], (unsigned long long)r->shared->calls);
    }
    return o.finding;
}

static _Noreturn void
usage(void)
{
    fprintf(
        stderr,
        "usage: fuzz_syscalls [--seconds N] [--calls N] [--seed N|time] [--corpus DIR] [--keep DIR] [--found DIR]\n"
        "                     [--cpus N] [--inject PERCENT] [--plain] [--table] [--missed FILE] [--fetches FILE] [--pack N] [--fail-each] [--run|--print|--shrink FILE] VKERNEL\n");
    exit(2);
}

static void
parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : "";

        if (a[0] != '-') {
            options.vkernel = a;
            continue;
        }
        if (strcmp(a, "--plain") == 0) {
            options.plain = true;
            continue;
        }
        if (strcmp(a, "--fail-each") == 0) {
            options.fail_each = true;
            continue;
        }
        if (strcmp(a, "--table") == 0) {
            options.table = true;
            continue;
        }
        i++;
        if (strcmp(a, "--cpus") == 0)
            options.cpus = (unsigned)atoi(v);
        else if (strcmp(a, "--seconds") == 0)
            options.seconds = (unsigned)atoi(v);
        else if (strcmp(a, "--calls") == 0)
            options.calls = strtoull(v, NULL, 10);
        else if (strcmp(a, "--seed") == 0)
            options.seed = strcmp(v, "time") == 0 ? (uint64_t)time(NULL) : strtoull(v, NULL, 10);
        else if (strcmp(a, "--corpus") == 0)
            options.corpus = v;
        else if (strcmp(a, "--pack") == 0)
            options.pack = (unsigned)atoi(v);
        else if (strcmp(a, "--missed") == 0)
            options.missed = v;
        else if (strcmp(a, "--fetches") == 0)
            options.fetches = v;
        else if (strcmp(a, "--keep") == 0)
            options.keep = v;
        else if (strcmp(a, "--found") == 0)
            options.found = v;
        else if (strcmp(a, "--inject") == 0)
            options.inject = (unsigned)atoi(v);
        else if (strcmp(a, "--run") == 0 || strcmp(a, "--print") == 0 || strcmp(a, "--shrink") == 0)
            options.mode = a[2], options.one = v;
        else
            usage();
    }
    if (!options.vkernel)
        usage();
}

int
main(int argc, char **argv)
{
    struct runner r = {.patience_ms = 8000};
    char log[300], volume[300], absolute[PATH_MAX];
    int status = 0;

    parse(argc, argv);
    table_init();
    random_seed(options.seed);
    mkdir(options.found, 0755);
    if (options.keep)
        mkdir(options.keep, 0755);
    snprintf(log, sizeof log, "%s/log-%d", options.found, (int)getpid());
    r.vkernel = options.vkernel;
    r.cpus = options.cpus;
    r.log = log;
    snprintf(volume, sizeof volume, "%s/volume-%d", options.found, (int)getpid());
    mkdir(volume, 0755);
    r.volume = realpath(volume, absolute);
    if (!r.volume)
        return 2;
    if (!runner_start(&r))
        return 2;
    r.shared->plain = options.plain;
    if (options.one)
        status = single(&r);
    else
        printf("seed %llu\n", (unsigned long long)options.seed), loop(&r);
    runner_stop(&r);
    unlink(log);
    rmdir(volume);
    return status || finding_count;
}
