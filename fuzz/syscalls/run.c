/* Starts the vkernel with the server in it, has it run programs, and tells findings from proper ends. */
#include "fuzz/syscalls/run.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOG_READ = 64 << 10,
    LEAKS_PATIENCE_MS = 20000,
    MAX_PATIENCE = 4,
    MAX_FILE = 64 << 20,
    WORDS = sizeof((struct program_op *)0)->args / 8
};

static char log_text[LOG_READ + 1];

bool
runner_start(struct runner *r)
{
    int control[2], status[2], memory;

    signal(SIGPIPE, SIG_IGN);
    memory = memfd_create("fuzz", 0);
    r->log_fd = open(r->log, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (memory < 0 || r->log_fd < 0 || ftruncate(memory, sizeof *r->shared) != 0 || pipe(control) != 0 ||
        pipe(status) != 0) {
        perror("fuzz_syscalls: cannot start");
        return false;
    }
    r->shared = mmap(NULL, sizeof *r->shared, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (r->shared == MAP_FAILED)
        return false;
    r->pid = fork();
    if (r->pid == 0) {
        char volume[512];
        int null = open("/dev/null", O_RDONLY);

        dup2(null, 0);
        dup2(r->log_fd, 1);
        dup2(r->log_fd, 2);
        dup2(control[0], CONTROL_FD);
        dup2(status[1], STATUS_FD);
        dup2(memory, SHARED_FD);
        for (int fd = 3; fd < CONTROL_FD; fd++)
            close(fd);
        /* The guest's volume is a folder of the host: nothing there may grow large. */
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){MAX_FILE, MAX_FILE});
        snprintf(volume, sizeof volume, "--volume %s:/volume --cpus %u %s", r->volume, r->cpus,
                 getenv("INGOT_OPTIONS") ? getenv("INGOT_OPTIONS") : "");
        setenv("INGOT_OPTIONS", volume, 1);
        execl(r->vkernel, r->vkernel, "/bin/executor", (char *)NULL);
        _exit(127);
    }
    close(control[0]);
    close(status[1]);
    close(memory);
    r->control = control[1];
    r->status = status[0];
    fcntl(r->control, F_SETFD, FD_CLOEXEC);
    fcntl(r->status, F_SETFD, FD_CLOEXEC);
    return r->pid > 0;
}

void
runner_stop(struct runner *r)
{
    close(r->control);
    close(r->status);
    close(r->log_fd);
    munmap(r->shared, sizeof *r->shared);
    waitpid(r->pid, NULL, 0);
}

/* --- what a log says --- */

static void
read_log(struct runner *r)
{
    ssize_t n = pread(r->log_fd, log_text, LOG_READ, 0);

    if (n < 0)
        n = 0;
    for (ssize_t i = 0; i < n; i++)
        if (!log_text[i])
            log_text[i] = ' ';
    log_text[n] = '\0';
}

static void
copy_line(char *out, size_t size, const char *line)
{
    size_t n = strcspn(line, "\n");

    if (n >= size)
        n = size - 1;
    memcpy(out, line, n);
    out[n] = '\0';
}

/* "file.c:123:4 in function", without the folders, of a summary. */
static void
shorten(char *text)
{
    char *slash = strrchr(text, '/'), *colon = strstr(text, ": ");

    if (slash && colon && slash > colon)
        memmove(colon + 2, slash + 1, strlen(slash + 1) + 1);
}

/* The functions of the vkernel in the report's first stack. */
static void
first_frames(char *out, size_t size, const char *report)
{
    const char *p = report;

    out[0] = '\0';
    for (unsigned n = 0; n < 3 && (p = strstr(p, " in ")); p++) {
        size_t length = strcspn(p + 4, " \n");
        const char *file = p + 4 + length, *src = strstr(file, "/src/"), *end = strchr(file, '\n');

        if (!src || (end && src > end))
            continue;
        if (strlen(out) + length + 2 < size)
            strncat(strncat(out, n ? " < " : "", 4), p + 4, length);
        n++;
    }
}

/* Where a container that does not end is: what the dispatcher called; frames above it change from run to run. */
static void
outer_frame(char *out, size_t size, const char *report)
{
    static const char *const dispatchers[] =
        {"__wrap_syscall_dispatch", "syscall_edge", "poll_edge", "evaluate", "run_step", "task_run"};
    char function[80] = "?";

    snprintf(out, size, "guest code");
    for (const char *p = report; (p = strstr(p, " in ")); p++) {
        char caller[80];

        snprintf(caller, sizeof caller, "%.*s", (int)strcspn(p + 4, " \n"), p + 4);
        for (unsigned i = 0; i < sizeof dispatchers / sizeof *dispatchers; i++)
            if (strcmp(caller, dispatchers[i]) == 0) {
                snprintf(out, size, "%s", function);
                return;
            }
        strcpy(function, caller);
    }
}

static void
symbolize(const struct runner *r, const char *address, char *out, size_t size)
{
    char command[400];
    FILE *f;

    snprintf(command, sizeof command, "addr2line -f -s -e '%s' 0x%.16s 2>/dev/null | tr '\\n' ' '", r->vkernel,
             address);
    f = popen(command, "r");
    if (!f || !fgets(out, (int)size, f))
        snprintf(out, size, "%.16s", address);
    if (f)
        pclose(f);
}

static void
describe(const struct runner *r, int status, struct outcome *o)
{
    const char *at;
    char text[120];

    if ((at = strstr(log_text, "SUMMARY: "))) {
        if (strstr(at, "leaked")) {
            at = strstr(log_text, "Direct leak");
            first_frames(text, sizeof text, at ? at : log_text);
            snprintf(o->signature, sizeof o->signature, "leak: %s", text);
        } else {
            copy_line(o->signature, sizeof o->signature, at + 9);
            shorten(o->signature);
        }
    } else if ((at = strstr(log_text, "fuzz: hang"))) {
        outer_frame(text, sizeof text, at);
        snprintf(o->signature, sizeof o->signature, "hang: %s", text);
    } else if ((at = strstr(log_text, "fuzz: deadlock"))) {
        snprintf(o->signature, sizeof o->signature, "deadlock");
    } else if ((at = strstr(log_text, "fuzz: broken"))) {
        copy_line(o->signature, sizeof o->signature, at);
    } else if ((at = strstr(log_text, "internal fault")) && (at = strstr(at, " at "))) {
        symbolize(r, at + 4, text, sizeof text);
        snprintf(o->signature, sizeof o->signature, "internal fault: %s", text);
    } else if ((at = strstr(log_text, "ingot: "))) {
        copy_line(o->signature, sizeof o->signature, at);
    } else {
        snprintf(o->signature, sizeof o->signature, "%s %d", WIFSIGNALED(status) ? "killed by signal" : "exit status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
}

/* --- runs --- */

static bool
sets_limits(const struct program *p)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->ops[i].kind == OP_CALL && (p->ops[i].number == SYS_prlimit64 || p->ops[i].number == SYS_setrlimit))
            return true;
    return false;
}

static bool
read_status(struct runner *r, int *value, unsigned timeout_ms)
{
    struct pollfd p = {.fd = r->status, .events = POLLIN};

    return poll(&p, 1, (int)timeout_ms) == 1 && read(r->status, value, sizeof *value) == sizeof *value;
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return at->level == 0 ? 0 : remove(path);
}

/* What the last program left in the volume. */
static void
empty_volume(const char *path)
{
    struct stat st;
    static struct timespec emptied;

    if (stat(path, &st) != 0 || (st.st_mtim.tv_sec == emptied.tv_sec && st.st_mtim.tv_nsec == emptied.tv_nsec))
        return;
    chmod(path, 0755);
    nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    if (stat(path, &st) == 0)
        emptied = st.st_mtim;
}

/* False: the container does not end. It hangs when no call came back for so long; otherwise it has much to do. */
static bool
wait_for(struct runner *r, int *status, unsigned patience_ms, bool *hangs)
{
    *hangs = false;
    for (unsigned i = 0; i < MAX_PATIENCE; i++) {
        uint64_t calls = r->shared->calls;

        if (read_status(r, status, patience_ms))
            return true;
        if (r->shared->calls == calls) {
            *hangs = true;
            return false;
        }
    }
    return false;
}

struct outcome
runner_run(struct runner *r, const struct program *p, bool check_leaks)
{
    struct outcome o = {0};
    int pid = 0, status = 0;

    memcpy(&r->shared->program, p, sizeof *p);
    memset(r->shared->coverage, 0, sizeof r->shared->coverage);
    r->shared->calls = r->shared->injected = r->shared->fallible = 0;
    r->shared->deadlock = 0;
    check_leaks = check_leaks && !r->no_leaks;
    r->shared->check_leaks = check_leaks;
    if (ftruncate(r->log_fd, 0) != 0 || write(r->control, "", 1) != 1 || !read_status(r, &pid, 30000) || pid <= 0) {
        fprintf(stderr, "fuzz_syscalls: the server is gone\n");
        exit(2);
    }
    if (!wait_for(r, &status, check_leaks ? LEAKS_PATIENCE_MS : r->patience_ms, &o.finding)) {
        kill(pid, o.finding ? SIGPROF : SIGKILL);
        if (!read_status(r, &status, 10000)) {
            kill(pid, SIGKILL);
            read_status(r, &status, 10000);
        }
        if (!o.finding)
            return o;
    }
    empty_volume(r->volume);
    if (status == 0 && !o.finding) {
        o.end = OUTCOME_ENDED;
        o.calls = r->shared->calls;
        return o;
    }
    read_log(r);
    /* Where no process may be traced, leaks cannot be looked for. */
    if (check_leaks && strstr(log_text, "LeakSanitizer has encountered a fatal error")) {
        r->no_leaks = true;
        return o;
    }
    /* What the build side's allocator says when there is no memory: meant. */
    if (r->shared->injected && strstr(log_text, "out of memory")) {
        o.end = OUTCOME_NO_MEMORY;
        return o;
    }
    /* A limit of processor time that the program set for process 1 ends the container by right. */
    if (WIFEXITED(status) && (WEXITSTATUS(status) == 128 + SIGKILL || WEXITSTATUS(status) == 128 + SIGXCPU) &&
        sets_limits(p)) {
        o.end = OUTCOME_LIMITED;
        return o;
    }
    o.finding = true;
    describe(r, status, &o);
    return o;
}

/* --- files of programs: a line per operation --- */

bool
program_write(const struct program *p, const char *path)
{
    FILE *f = fopen(path, "w");

    if (!f)
        return false;
    fprintf(f, "program 1 %llx %x %x %x %x\n", (unsigned long long)p->seed, p->fail_after, p->fail_every, p->groups,
            p->flags);
    for (unsigned i = 0; i < p->count; i++) {
        const struct program_op *op = &p->ops[i];
        const uint64_t *words = (const uint64_t *)op->args;
        unsigned n = WORDS;

        while (n && !words[n - 1])
            n--;
        fprintf(f, "%x %x %x %x %x %x %x %x %x:", op->kind, op->lane, op->target, op->slot, op->size, op->letter,
                op->resource, op->group, op->number);
        for (unsigned k = 0; k < n; k++)
            fprintf(f, " %llx", (unsigned long long)words[k]);
        fprintf(f, "\n");
    }
    return fclose(f) == 0;
}

static bool
read_op(struct program_op *op, char *line)
{
    unsigned v[9];
    uint64_t *words = (uint64_t *)op->args;
    char *p = strchr(line, ':'), *end;

    if (!p ||
        sscanf(line, "%x %x %x %x %x %x %x %x %x", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, v + 8) != 9)
        return false;
    *op = (struct program_op){.kind = (uint8_t)v[0],
                              .lane = (uint8_t)v[1],
                              .target = (uint8_t)v[2],
                              .slot = (uint8_t)v[3],
                              .size = (uint8_t)v[4],
                              .letter = (uint8_t)v[5],
                              .resource = (uint8_t)v[6],
                              .group = v[7],
                              .number = v[8]};
    p++;
    for (unsigned i = 0; i < WORDS; i++, p = end) {
        words[i] = strtoull(p, &end, 16);
        if (end == p)
            break;
    }
    return true;
}

bool
program_read(struct program *p, const char *path)
{
    FILE *f = fopen(path, "r");
    char line[1024];
    unsigned long long seed;
    bool good;

    memset(p, 0, sizeof *p);
    if (!f)
        return false;
    good = fgets(line, sizeof line, f) && sscanf(line, "program 1 %llx %x %x %x %x", &seed, &p->fail_after,
                                                 &p->fail_every, &p->groups, &p->flags) >= 4;
    while (good && p->count < PROGRAM_OPS && fgets(line, sizeof line, f))
        good = read_op(&p->ops[p->count++], line);
    if (good)
        p->seed = seed;
    p->data_used = DATA_SIZE / 2;
    fclose(f);
    return good;
}
