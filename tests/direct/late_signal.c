/* A signal of the host's must not be lost on the vkernel's way out to guest code, whichever of its instructions it
 * comes behind. A guest says "ready" and computes for ever after; its handler of SIGTERM ends it. Run after run,
 * SIGTERM comes one instruction later: of the way out of the system call, and of the way back from another signal
 * (SIGURG, which the guest ignores). Nothing else interrupts the guest: it is alone, and has no timers.
 *
 *     late_signal guest               is that guest
 *     late_signal START STOP COMMAND...   runs it; rewritten code lies between these addresses (hexadecimal) */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    BEFORE = 100,
    BEHIND = 20,
    MOST = 200000,
    PATIENCE_MS = 3000,
    GUEST_ENDS = 7,
    UNTIL_QUIET = 20000000,
    FAILURES = 5
};

static unsigned long start, stop;
static char **command;

static void
end(int sig)
{
    _exit(GUEST_ENDS);
}

static int
guest(void)
{
    signal(SIGTERM, end);
    for (int k = 0; k < UNTIL_QUIET; k++) /* a tick of the start comes, which finds that no more are needed */
        __asm__ volatile("");
    if (write(1, "ready\n", 6) != 6)
        return 1;
    for (;;)
        __asm__ volatile("");
}

static void
die(const char *what)
{
    printf("not ok %s\n", what);
    exit(1);
}

static pid_t
next_stop(pid_t pid, int request, int sig)
{
    int status;

    if (ptrace(request, pid, NULL, (void *)(intptr_t)sig) < 0 || waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
        die("the container ends before its time");
    return pid;
}

static struct user_regs_struct
registers(pid_t pid)
{
    struct user_regs_struct r;

    if (ptrace(PTRACE_GETREGS, pid, NULL, &r) < 0)
        die("registers");
    return r;
}

static bool
in_guest_code(pid_t pid)
{
    unsigned long pc = registers(pid).rip;

    return pc >= start && pc < stop;
}

/* Starts a container. When this returns its guest has said "ready", and the host's call for that is over. */
static pid_t
start_container(void)
{
    pid_t pid = fork();
    int status, said[2] = {0};

    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execv(command[0], command);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
        die("fork");
    for (;;) {
        struct user_regs_struct r;

        next_stop(pid, PTRACE_SYSCALL, 0);
        r = registers(pid);
        if (r.orig_rax != SYS_write && r.orig_rax != SYS_writev)
            continue;
        if (r.rdi == 1 && said[0]++ % 2 == 1)
            return pid;
    }
}

/* Lets it get to guest code, one instruction after the other, but `most` at most. Returns how many there were. */
static int
step_out(pid_t pid, int most)
{
    int steps = 0;

    while (steps < most && !in_guest_code(pid)) {
        next_stop(pid, PTRACE_SINGLESTEP, 0);
        steps++;
    }
    return steps;
}

static int
step(pid_t pid, int count)
{
    for (int k = 0; k < count; k++)
        next_stop(pid, PTRACE_SINGLESTEP, 0);
    return count;
}

/* To the first instruction of the way out that is tried. */
static pid_t
prepare(bool polls)
{
    pid_t pid = start_container();

    if (polls) {
        step_out(pid, MOST);
        next_stop(pid, PTRACE_SINGLESTEP, SIGURG);
    }
    return pid;
}

/* From here on the container runs by itself. */
static bool
ends(pid_t pid)
{
    struct timespec pause = {.tv_nsec = 1000000};
    int status;

    if (ptrace(PTRACE_DETACH, pid, NULL, (void *)(intptr_t)SIGTERM) < 0)
        die("PTRACE_DETACH");
    for (int k = 0; k < PATIENCE_MS; k++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) && WEXITSTATUS(status) == GUEST_ENDS;
        nanosleep(&pause, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return false;
}

static int
try(bool polls)
{
    const char *way = polls ? "back from a signal" : "out of a system call";
    pid_t pid = prepare(polls);
    int all = step_out(pid, MOST), failed = 0, first = all > BEFORE ? all - BEFORE : 1;

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (all == MOST)
        die("the guest does not get on");
    for (int k = first; k <= all + BEHIND && failed < FAILURES; k++) {
        pid = prepare(polls);
        step(pid, k);
        if (ends(pid))
            continue;
        printf("not ok %s: a signal behind instruction %d of %d is lost\n", way, k, all);
        failed++;
    }
    if (!failed)
        printf("ok %s: %d places of %d instructions\n", way, all + BEHIND - first + 1, all);
    return failed;
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "guest") == 0)
        return guest();
    if (argc < 4)
        return 2;
    start = strtoul(argv[1], NULL, 16);
    stop = strtoul(argv[2], NULL, 16);
    command = argv + 3;
    setvbuf(stdout, NULL, _IOLBF, 0);
    return (try(false) + try(true)) != 0;
}
