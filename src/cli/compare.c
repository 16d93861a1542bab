/* ingot run --lockstep=OTHER: the same command runs on two artifacts at once, and what its programs ask of the kernel is compared, call by call, until
 * they differ or end. Both vkernels are repeatable (vkernel/run/calls.h), so that only what guest code does can be different. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "artifact/call_record.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "x86/cpu.h"

enum { EXIT_OWN = 125, EXIT_SIGNAL = 128, SIDES = 2 };

struct side {
    const char *path;
    pid_t pid;
    int calls, out, err;       /* its pipes; -1: at the end */
    struct call_record record; /* the next to be compared */
    size_t have;               /* bytes of it */
    int status;
};

static struct side sides[SIDES];
static struct call_record before; /* the last that was the same */
static uint64_t compared;

/* --- two runs --- */

static _Noreturn void
run_side(const char *path, const char *options, int calls, int out, int err, char **argv)
{
    int nothing = open("/dev/null", O_RDWR), kept = dup(calls); /* which stays open over exec */
    char *all = mem_printf("%s%s--calls %d", options, *options ? " " : "", kept);

    if (nothing < 0 || kept < 0 || dup2(nothing, 0) < 0 || dup2(out, 1) < 0)
        _exit(cli_fail(EXIT_OWN, "run: %s: %s", path, strerror(errno)));
    if (hand_over(all) != 0)
        _exit(EXIT_OWN);
    if (dup2(err, 2) >= 0)
        execv(path, argv);
    _exit(cli_fail(EXIT_OWN, "run: %s: %s", path, strerror(errno)));
}

static int
start_side(struct side *s, const char *options, char **argv)
{
    int calls[2], out[2], err[2];

    if (pipe2(calls, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 || (s->pid = fork()) < 0)
        return cli_fail(EXIT_OWN, "run: %s: %s", s->path, strerror(errno));
    if (s->pid == 0)
        run_side(s->path, options, calls[1], out[1], err[1], argv);
    close(calls[1]);
    close(out[1]);
    close(err[1]);
    s->calls = calls[0];
    s->out = out[0];
    s->err = err[0];
    return 0;
}

static void
end_sides(void)
{
    for (unsigned i = 0; i < SIDES; i++)
        if (sides[i].pid > 0)
            kill(sides[i].pid, SIGKILL);
}

/* As docker's. */
static int
wait_side(struct side *s)
{
    while (waitpid(s->pid, &s->status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(s->status) ? WEXITSTATUS(s->status) : EXIT_SIGNAL + WTERMSIG(s->status);
}

/* --- what differs --- */

static bool
same(const struct call_record *a, const struct call_record *b)
{
    return a->tid == b->tid && a->number == b->number && a->rip == b->rip &&
           memcmp(a->gpr, b->gpr, sizeof a->gpr) == 0 && a->fs_base == b->fs_base && a->vectors == b->vectors &&
           a->given == b->given;
}

static void
print_call(const char *path, const struct call_record *r)
{
    cli_print(stderr, "  %s: %.*s[%d]: %.*s at %.*s", path, (int)sizeof r->comm, r->comm, r->tid, (int)sizeof r->call,
              r->call, (int)sizeof r->place, r->place);
}

static void
print_registers(const struct call_record *a, const struct call_record *b)
{
    for (unsigned i = 0; i < 16; i++)
        if (a->gpr[i] != b->gpr[i])
            fprintf(stderr, "  %-4s %#" PRIx64 " and %#" PRIx64 "\n", x86_gpr_name(i), a->gpr[i], b->gpr[i]);
    if (a->fs_base != b->fs_base)
        fprintf(stderr, "  fs   %#" PRIx64 " and %#" PRIx64 "\n", a->fs_base, b->fs_base);
    if (a->vectors != b->vectors)
        fprintf(stderr, "  the vector registers\n");
    if (a->given != b->given && compared)
        cli_print(stderr, "  what the kernel has read for the call before it, %.*s[%d]: %.*s", (int)sizeof before.comm,
                  before.comm, before.tid, (int)sizeof before.call, before.call);
}

static int
differ(void)
{
    const struct side *a = &sides[0], *b = &sides[1];
    bool both = a->have == sizeof a->record && b->have == sizeof b->record;

    end_sides();
    fprintf(stderr, "ingot: lockstep: the runs differ at system call %" PRIu64 "\n", compared + 1);
    for (unsigned i = 0; i < SIDES; i++) {
        if (sides[i].have == sizeof sides[i].record)
            print_call(sides[i].path, &sides[i].record);
        else
            fprintf(stderr, "  %s: has ended\n", sides[i].path);
    }
    if (both)
        print_registers(&a->record, &b->record);
    for (unsigned i = 0; i < SIDES; i++)
        wait_side(&sides[i]);
    return EXIT_OWN;
}

/* --- following both --- */

/* At the end the descriptor becomes -1. */
static size_t
read_some(int *fd, void *p, size_t size)
{
    ssize_t n = read(*fd, p, size);

    if (n > 0)
        return (size_t)n;
    if (n == 0 || errno != EINTR) {
        close(*fd);
        *fd = -1;
    }
    return 0;
}

/* Of the second run only what it says before its first call is shown: why it did not start. */
static void
pass_on(int *fd, int to)
{
    char text[4096];
    size_t n = read_some(fd, text, sizeof text), done = 0;

    while (to >= 0 && done < n) {
        ssize_t w = write(to, text + done, n - done);

        if (w < 0 && errno != EINTR)
            return;
        done += w > 0 ? (size_t)w : 0;
    }
}

static bool
goes_on(const struct side *s)
{
    return s->calls >= 0 || s->out >= 0 || s->err >= 0;
}

static void
follow(struct side *s, bool shown, const struct pollfd *p)
{
    if (p[0].revents)
        s->have += read_some(&s->calls, (char *)&s->record + s->have, sizeof s->record - s->have);
    if (p[1].revents)
        pass_on(&s->out, shown ? 1 : -1);
    if (p[2].revents)
        pass_on(&s->err, shown || compared == 0 ? 2 : -1);
}

/* One has made a call that the other one has not, and will not. */
static bool
alone(const struct side *a, const struct side *b)
{
    return a->have == sizeof a->record && b->have != sizeof b->record && b->calls < 0;
}

static int
follow_both(void)
{
    struct side *a = &sides[0], *b = &sides[1];
    int status;

    while (goes_on(a) || goes_on(b)) {
        struct pollfd p[3 * SIDES];

        for (unsigned i = 0; i < SIDES; i++) {
            struct side *s = &sides[i];

            p[3 * i] = (struct pollfd){.fd = s->have < sizeof s->record ? s->calls : -1, .events = POLLIN};
            p[3 * i + 1] = (struct pollfd){.fd = s->out, .events = POLLIN};
            p[3 * i + 2] = (struct pollfd){.fd = s->err, .events = POLLIN};
        }
        if (poll(p, 3 * SIDES, -1) < 0 && errno != EINTR)
            return cli_fail(EXIT_OWN, "run: poll: %s", strerror(errno));
        for (unsigned i = 0; i < SIDES; i++)
            follow(&sides[i], i == 0, p + 3 * i);
        if (alone(a, b) || alone(b, a))
            return differ();
        if (a->have < sizeof a->record || b->have < sizeof b->record)
            continue;
        if (!same(&a->record, &b->record))
            return differ();
        before = a->record;
        compared++;
        a->have = b->have = 0;
    }
    status = wait_side(a);
    if (wait_side(b) != status)
        return cli_fail(EXIT_OWN,
                        "lockstep: the runs end after %" PRIu64 " system calls with different statuses: %s %#x, %s %#x",
                        compared, a->path, (unsigned)a->status, b->path, (unsigned)b->status);
    return status;
}

int
compare_runs(const char *path, const char *other, const char *options, char **argv)
{
    sides[0].path = path;
    sides[1].path = other;
    for (unsigned i = 0; i < SIDES; i++) {
        if (start_side(&sides[i], options, argv) != 0) {
            end_sides();
            return EXIT_OWN;
        }
    }
    return follow_both();
}
