/* A vkernel beside which a second host thread writes to guest memory, at every moment and not only where guest threads
 * take turns: getcpu(SECOND_WRITER, table) has it make the changes of the table (attacks/changes.h) in the caller's
 * address space, getcpu(SECOND_WRITER, 0) ends that. Linked with --wrap=sys_getcpu. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

static void try_to_write(void *at, uint64_t value);
#define CHANGES_TRY try_to_write
#include "attacks/changes.h"
#include "vkernel/worker/worker.h"
#include "vkernel/usercopy/usercopy.h"

int64_t __real_sys_getcpu(const uint64_t a[6]);
int64_t __wrap_sys_getcpu(const uint64_t a[6]);

static char *base;                      /* host address of the guest's address 0 */
static _Atomic(struct changes *) table; /* its host address; NULL: nothing is changed */
static atomic_bool idle;                /* it has seen that */

/* The host's kernel does it, which says so where it cannot. */
static void
try_to_write(void *at, uint64_t value)
{
    struct iovec from = {&value, sizeof value}, to = {at, sizeof value};

    (void)process_vm_writev(getpid(), &from, 1, &to, 1, 0);
}

static void *
write_for_ever(void *unused)
{
    unsigned seed = 3;

    for (;;) {
        struct changes *c;

        atomic_store(&idle, false);
        c = atomic_load(&table);
        if (c) {
            changes_make(c, base, HOST_THREAD, &seed);
        } else {
            atomic_store(&idle, true);
            usleep(500);
        }
    }
    return unused;
}

/* Before the lock-down, after which no thread can be made. It takes no signals, which are for the
 * threads that run guests. */
__attribute__((constructor)) static void
start(void)
{
    pthread_t t;
    pthread_attr_t attributes;
    sigset_t all, before;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10); /* artifacts' own start leaves the C library without a default */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_create(&t, &attributes, write_for_ever, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int64_t
__wrap_sys_getcpu(const uint64_t a[6])
{
    if (a[0] != SECOND_WRITER)
        return __real_sys_getcpu(a);
    atomic_store(&table, NULL);
    while (!atomic_load(&idle))
        ;
    if (a[1]) {
        base = (char *)((struct space *)(void *)current_mm())->base;
        atomic_store(&table, (struct changes *)(void *)(base + a[1]));
    }
    return 0;
}
