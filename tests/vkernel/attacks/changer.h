/* For attacks that change what a call looks at: places in shared memory, and the values that they get all
 * the time, from whoever runs change_for_ever(), and from a thread of the host's where the vkernel has
 * one for it (tests/vkernel/second_writer.c). */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "changes.h"

enum { PAGE = 4096, SHARED = 1 << 20 };

static struct changes *shared;     /* in memory that all share, at the same address */
static char *arena;                /* what is left of this memory: no attack uses that of another again */
static unsigned changers, planned; /* changers: a bit for each that there is */

static void
must(int ok, const char *what)
{
    if (ok)
        return;
    printf("FAILED: %s (errno %d)\n", what, errno);
    exit(1);
}

static uint64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* With a page behind it. */
static void
share(void)
{
    shared = mmap(NULL, SHARED + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared != MAP_FAILED, "shared memory");
    arena = (char *)shared + PAGE;
    shared->generation = 1;
}

static void *
take(size_t size)
{
    char *p = arena;

    arena += (size + 63) & ~63ul;
    must(arena <= (char *)shared + SHARED, "shared memory");
    return p;
}

static void
change_for_ever(unsigned who, void (*between)(void))
{
    unsigned seed = who + 1;

    for (;;) {
        changes_make(shared, NULL, who, &seed);
        if (between)
            between();
        sched_yield();
    }
}

static pid_t
changing_process(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        change_for_ever(PROCESS, NULL);
    }
    must(pid > 0, "a changing process");
    changers |= 1u << PROCESS;
    return pid;
}

/* Has the host's thread, where there is one, make the changes, too; NULL: no more. On Linux this is a getcpu
 * with a bad pointer. */
static void
second_writer(struct changes *c)
{
    if (syscall(SYS_getcpu, SECOND_WRITER, c, NULL) == 0 && c)
        changers |= 1u << HOST_THREAD;
}

/* Until all have seen that there is nothing to change. */
static void
stop_changes(void)
{
    shared->count = 0;
    __sync_synchronize();
    shared->generation++;
    for (unsigned who = 0; who < CHANGERS; who++)
        while ((changers >> who & 1) && shared->seen[who] != shared->generation)
            sched_yield();
}

static void
change(volatile void *at, unsigned size, unsigned values, const uint64_t *value)
{
    must(planned < PLACES && values <= VALUES, "room for a place");
    shared->place[planned].address = (uint64_t)at;
    shared->place[planned].size = size;
    shared->place[planned].values = values;
    memcpy(shared->place[planned].value, value, values * sizeof *value);
    planned++;
}
#define CHANGE(lvalue, ...) \
    change(&(lvalue), sizeof(lvalue), sizeof((uint64_t[]){__VA_ARGS__}) / 8, (uint64_t[]){__VA_ARGS__})

static void
start_changes(void)
{
    __sync_synchronize();
    shared->count = planned;
    planned = 0;
}

/* For this long calls are made, with a chance for the guest's others after each. The host's thread may have to
 * wait for a processor. */
#define WHILE_CHANGING \
    start_changes();   \
    for (uint64_t until_ = now_ms() + (changers >> HOST_THREAD & 1 ? 400 : 100); now_ms() < until_; sched_yield())
