/* For tests of what ends a program: a function runs in a child, and how the child ended is compared. */
#ifndef TESTS_BASE_ENDS_H
#define TESTS_BASE_ENDS_H

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENDS_RETURNED = 77 /* the child's status when the function came back */ };

/* How a child ended in which f ran, as waitpid() tells it, without a core file or a message. */
static inline int
ending_of(void (*f)(void))
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        signal(SIGABRT, SIG_DFL);
        close(2);
        f();
        _exit(ENDS_RETURNED);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    return status;
}

/* Did f end its program by exit(code)? */
static inline bool
ends_with(void (*f)(void), int code)
{
    int status = ending_of(f);

    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/* Did f end its program as mem_exhausted() does: with status 1 and its message? AddressSanitizer ends a program with status 1, too. */
static inline bool
ends_without_memory(void (*f)(void))
{
    char text[4096] = ""; /* a sanitizer may have something to say before */
    size_t length = 0;
    ssize_t n;
    int ends[2], status = -1;
    pid_t pid;

    if (pipe(ends) < 0)
        abort();
    pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        dup2(ends[1], 2);
        f();
        _exit(ENDS_RETURNED);
    }
    close(ends[1]);
    if (pid < 0)
        abort();
    while (length < sizeof text - 1 && (n = read(ends[0], text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)n;
    close(ends[0]);
    if (waitpid(pid, &status, 0) != pid)
        abort();
    return WIFEXITED(status) && WEXITSTATUS(status) == 1 && strstr(text, "ingot: out of memory");
}

#endif
