/* Small programs of one behaviour each. A file has those of one family of calls; its functions CASE(name) run one after
 * the other on Linux and on the vkernel (tests/vkernel/cases.py), and must print the same and end in the same way.
 *
 * Each case is a process of its own, the leader of a process group, with SIGALRM after CASE_SECONDS, in an empty folder
 * of its own, which is its working directory; umask is 022, standard input /dev/null, descriptors from 3 on are free.
 * What it leaves behind, files and processes of its group, is taken away. What differs from run to run (process ids,
 * addresses, times) it must not print: OK says only whether a call is right. */
#ifndef CASES_CASE_H
#define CASES_CASE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CASE_SECONDS = 20 };

struct case_entry {
    const char *file, *name;
    void (*run)(void);
};

/* Called before main for each CASE. */
void case_add(const char *file, const char *name, void (*run)(void));

#define CASE(name)                                            \
    static void name(void);                                   \
    __attribute__((constructor)) static void add_##name(void) \
    {                                                         \
        case_add(__FILE__, #name, name);                      \
    }                                                         \
    static void name(void)

/* Print the call as it stands in the source and its result, or the name of its error. OK prints "ok" for any result. */
#define SHOW(call) case_show(#call, (long)(call))
#define OK(call)   case_ok(#call, (long)(call))

/* Both return the result. */
long case_show(const char *call, long result);
long case_ok(const char *call, long result);

/* A whole line. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A file of the case's folder, with these bytes; open for reading and writing. Ends the case when it cannot be made. */
int make_file(const char *name, const char *bytes);

/* A child that runs f(argument) and exits with what it returns; its process id. */
pid_t child(int (*f)(void *), void *argument);

/* Waits for it and says "NAME: exit N" or "NAME: signal N". */
void say_end(const char *name, pid_t pid);

void sleep_ms(int ms);

/* Until a process is in this state of /proc/PID/stat: 'S' asleep, 'T' stopped, ... */
void until_state(pid_t pid, char state);

/* Goes on as another user: credentials of user and group id, no supplementary groups, no capabilities. */
void become(unsigned id);

#endif
