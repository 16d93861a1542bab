/* Runs a program and counts what its start costs, without a clock: CPUID instructions and system calls, found by
 * executing one instruction after the other.
 *
 *     start_count PROGRAM [ARGUMENT...]      prints: cpuid N calls N instructions N status N */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CPUID = 0xa20f, SYSCALL = 0x050f }; /* the first two bytes of the instructions */

int
main(int argc, char **argv)
{
    unsigned long cpuid = 0, calls = 0, instructions = 0;
    int status = 0, deliver = 0;
    pid_t pid = argc > 1 ? fork() : -1;

    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return 1;
    while (WIFSTOPPED(status)) {
        struct user_regs_struct registers;
        long word;

        if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) < 0)
            return 1;
        errno = 0;
        word = ptrace(PTRACE_PEEKTEXT, pid, (void *)(uintptr_t)registers.rip, NULL);
        if (errno == 0) {
            cpuid += (uint16_t)word == CPUID;
            calls += (uint16_t)word == SYSCALL;
        }
        instructions++;
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *)(intptr_t)deliver) < 0 || waitpid(pid, &status, 0) < 0)
            return 1;
        /* The tick is left out: a clock's. */
        deliver =
            WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGALRM ? WSTOPSIG(status) : 0;
    }
    printf("cpuid %lu calls %lu instructions %lu status %d\n", cpuid, calls, instructions, status);
    return 0;
}
