/* What the vkernel core asks of the host: memory, fibers, time, entropy, signals. Files: platform/hostfs.h.
 *
 * Errors are negative errno. All of it is called with the lock held (platform/thread.h), except for
 * platform_enter_kernel(), which takes it; platform_tick_again(); the clocks; platform_log() and platform_die(). */
#ifndef PLATFORM_PLATFORM_H
#define PLATFORM_PLATFORM_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/page.h"
#include "platform/thread.h"

/* --- start: FS/GS set-up, checks. Prints a message and returns false when the host cannot run us. --- */
bool platform_init(void);
/* What is read of the host later; before lock-down. memory_limited: platform_memory_used() will be asked. */
void platform_open_files(bool memory_limited);
_Noreturn void platform_die(const char *format, ...) __attribute__((format(printf, 1, 2))); /* exit 125 */
void platform_log(const char *format, ...) __attribute__((format(printf, 1, 2)));           /* stderr */

/* How often a mapping of the host's has changed. */
extern uint64_t platform_mapping_changes;

/* --- memory. prot: PROT_READ and PROT_WRITE only, PROT_EXEC is refused --- */
void *platform_reserve(size_t size); /* PROT_NONE; NULL when there is no room */
void platform_release(void *p, size_t size);
int platform_map_none(void *at, size_t size);
int platform_map_anon(void *at, size_t size, int prot);
int platform_map_file(void *at, size_t size, int prot, bool shared, int fd, uint64_t offset);
int platform_protect(void *at, size_t size, int prot);
int platform_discard(void *at, size_t size, int advice); /* madvise */
/* Moves the pages themselves; from becomes PROT_NONE. When it fails they are where they were, and `to` is PROT_NONE.
 * -EFAULT: from is several mappings of the host's, which it cannot move. */
int platform_move(void *from, void *to, size_t size);
int platform_sync(void *at, size_t size, int flags);
int platform_resident(void *at, size_t size, unsigned char *vec);
void platform_populate(void *at, size_t size);
/* The only ways to touch guest memory, whose pages may be gone (a mapped file that the host made shorter): they return
 * how many bytes they did before the first that faulted. The areas must not overlap. */
size_t platform_copy(void *to, const void *from, size_t size);
size_t platform_clear(void *to, size_t size);
int platform_exchange(uint32_t *at, uint32_t *expected, uint32_t value);
/* XINUSE (SDM vol. 1, 13.6): which components of the processor's extended state are not initial;
 * PLATFORM_XINUSE_UNKNOWN where it does not say, after a fault. */
#define PLATFORM_XINUSE_UNKNOWN UINT32_MAX
uint32_t platform_xinuse(void);
void platform_close(int fd);
/* The request of ioctl() by which platform_written_pages() asks the host. */
#define PLATFORM_PAGEMAP_SCAN 0xc0606610u
/* Finds the pages of [at, at + count pages) that hold private data because somebody wrote to them, present or swapped
 * out: page i is bit i % 16 of bits[i / 16]. anonymous: no file is mapped there, so that the host need not look at each
 * page to tell the file's from others. Returns 0, or -errno when the host does not tell; bits is undefined then. */
int platform_written_pages(const void *at, size_t count, bool anonymous, uint16_t *bits);

/* --- guest memory base of the running thread: GS --- */
void platform_set_memory(void *base);

/* --- fibers --- */
struct platform_fiber; /* a host stack and where it stopped */
struct platform_fiber *platform_fiber_new(void (*entry)(void *), void *arg);
/* The same in two steps: the first takes what may be missing, and the second touches memory. */
struct platform_fiber *platform_fiber_reserve(void);
void platform_fiber_prepare(struct platform_fiber *f, void (*entry)(void *), void *arg);
void platform_fiber_switch(struct platform_fiber *from, struct platform_fiber *to);
void platform_fiber_free(struct platform_fiber *f); /* not the running one; its stack goes to a pool */
/* The lowest address that compiled code may use: below it, it polls. */
uint64_t platform_fiber_limit(const struct platform_fiber *f);
/* The lowest address from which a dispatcher may still be started. */
uint64_t platform_fiber_floor(const struct platform_fiber *f);
uint64_t platform_fiber_top(const struct platform_fiber *f); /* end of its stack */
/* The CPU state of the guest thread that runs on it: x86_cpu_tls, as it sees that. */
struct x86_cpu;
struct x86_cpu *platform_fiber_cpu(struct platform_fiber *f);
/* A large thread-local variable whose content new fibers need not have. Before the first fiber. */
void platform_fiber_scratch(void *variable, size_t size);
uint64_t platform_stack_pointer(void);
struct platform_fiber *platform_fiber_self(void); /* the running one */
/* The host thread's own stack as a fiber, to switch away from. */
struct platform_fiber *platform_fiber_main(void);

/* --- leaving frames: registers only; the frames between must hold nothing --- */
struct platform_jump {
    uint64_t reg[8]; /* rbx rbp r12 r13 r14 r15 rsp rip */
};
int platform_mark(struct platform_jump *j) __attribute__((returns_twice));
_Noreturn void platform_jump(struct platform_jump *j, int value);

/* --- the artifact's file and what is remembered of it: seals.c, vkernel/image/seal.h --- */
struct platform_identity {
    uint64_t device, inode, size, modified_ns, changed_ns;
};
/* -EOPNOTSUPP: of a file system on which a file may change without this. */
int platform_file_identity(int fd, struct platform_identity *id);
int platform_file_times(int fd, struct platform_identity *id); /* the same of any file; also when locked down */
int platform_seal_open(const char *name); /* to read and write, made when it is not there; -1: no place for seals */

/* --- compiled code: enter.S --- */
/* From now on guest code may use the high halves of the vector registers: to be called before any runs, on a host that
 * has them. */
void platform_use_ymm(void);
/* Runs compiled code from the state in x86_cpu_tls until it leaves; the state is there again, rip too. */
void platform_enter(const void *code);
/* Below platform_enter: returns from the innermost one of this fiber. The frames between must hold nothing. */
_Noreturn void platform_leave(void);
/* Which is the innermost: for who keeps a copy of the stack and puts it back. */
uint64_t platform_frame(void);
void platform_set_frame(uint64_t frame);

/* --- time --- */
uint64_t platform_monotonic_ns(void);
uint64_t platform_realtime_ns(void);
uint64_t platform_cpu_ns(void);        /* of all threads */
uint64_t platform_thread_cpu_ns(void); /* of this one */
/* Of that, the host kernel's, as its ticks count it, so in steps; it may go back by one. */
uint64_t platform_system_ns(void);
/* From here on a run depends on the guest alone, as far as it asks nothing of the host: time passes by platform_pass()
 * and by sleeping, which takes none, platform_random() always says the same, half of the memory is free, and ticks come
 * only when no time has passed for half a second of the host's. To be called before the first guest instruction; it
 * sets platform_repeatable for good. */
void platform_be_repeatable(void);
void platform_pass(uint64_t ns);
extern bool platform_repeatable;
/* How many of the host's processors this process may use at the same time: by its affinity, and by the limits of
 * processor time of the cgroups that it is in, rounded up. Before lock-down. */
unsigned platform_host_processors(void);
void platform_open_clock(void); /* before lock-down */
/* A descriptor that can be read when somebody has set the host's realtime clock; -1: this host has none. */
int platform_clock_watch(void);
/* Has it been set since this was asked last? */
bool platform_clock_was_set(void);
/* Of the running thread: raises x86_cpu_tls.limit every 10 ms while on, sets platform_ticked, and
 * interrupts rewritten code (platform/direct.h). */
void platform_tick(bool on);
/* Makes the host's timer of t, before lock-down; id is the host's number of that thread, 0: it is the running one.
 * false: the host gives no more timers (its limit of pending signals). */
bool platform_tick_init(struct platform_thread *t, int id);
void platform_tick_every(unsigned us); /* instead; before the first */
/* While on: the next tick comes at the deadline, if that is earlier. */
void platform_tick_by(uint64_t deadline);
void platform_tick_taken(void); /* to be called after each */
/* The next tick comes soon: one that came too late to be attended to now is not forgotten, and the guest gets on
 * meanwhile. Without the lock; for handlers, too. */
void platform_tick_again(void);

/* --- host signals to the artifact: bit (signal - 1) set in platform_host_signals, and limit raised --- */
extern volatile uint64_t platform_host_signals;
/* Not 0: this signal asks for the end of the run, whatever process 1 makes of it: without a terminal, SIGTERM or SIGINT
 * for the second time. (At the third the process ends at once.) */
extern volatile sig_atomic_t platform_end_signal;
/* Begins it. With a terminal, only SIGHUP, SIGINT, SIGQUIT and SIGTERM are caught. Returns those that whoever started
 * us ignored, as bits: process 1 inherits that, as by exec. */
uint64_t platform_forward_signals(bool terminal);
/* Sleeps in the host's poll, without the lock; also returns (0) when a host signal arrived.
 * timeout in ns, UINT64_MAX: none. */
int platform_idle(struct pollfd *fds, unsigned count, uint64_t timeout_ns);
void platform_wake_idle(void); /* ends that sleep of another thread's */

/* --- faults --- */
enum platform_mode { PLATFORM_KERNEL, PLATFORM_NATIVE, PLATFORM_EVAL };
extern __thread volatile enum platform_mode platform_mode; /* of the running fiber */
/* The lock is held in PLATFORM_KERNEL and not in PLATFORM_NATIVE. In PLATFORM_EVAL it is held while the evaluator
 * looks up and translates, and also in the first block of each of its runs; not while later ones run (eval/eval.h). */
static inline void
platform_enter_kernel(void)
{
    platform_come_in();
    platform_mode = PLATFORM_KERNEL;
}
static inline void
platform_leave_kernel(enum platform_mode mode)
{
    platform_mode = mode;
    platform_thread_tls->retries = 0;
    platform_go_out();
}
struct platform_fault {
    int sig, code;   /* SIGSEGV, SI_KERNEL: #GP, without an address; SIGKILL: no fault (platform/direct.h) */
    bool write;      /* SIGSEGV, SIGBUS: a write */
    unsigned vector; /* the processor's exception */
    uint64_t address;
    uint64_t host_pc, host[16]; /* the host's registers, by x86 number */
    void *context;              /* ucontext_t of the host's signal */
};
/* Whoever runs guests defines these four; nothing that can be written leads to them. Called on the alternate stack for
 * a fault while guest code ran; must platform_jump away, or return after platform_fault_divert. `inside` says whether
 * an address is in guest memory. In PLATFORM_KERNEL mode such a fault ends a platform_copy or platform_clear early; any
 * other is a bug, and ends the process. */
void platform_on_fault(const struct platform_fault *f) __attribute__((weak));
bool platform_fault_inside(uint64_t host_address) __attribute__((weak));
/* Called first for an access that faults, in any mode: true when the memory is there now, and the access
 * may be done again. */
bool platform_on_shared_fault(uint64_t host_address, bool write) __attribute__((weak));
/* Called next for a write that faults, in any mode: true when it may be done again. */
bool platform_on_write_fault(uint64_t host_address) __attribute__((weak));
/* Does the guest's own view of its memory allow the access? It is done again then, if another thread
 * has changed mappings meanwhile. */
bool platform_fault_allowed(uint64_t host_address, bool write) __attribute__((weak));
/* Keeps the host's registers on the fiber's stack and has run(saved) called there, below the code that faulted, once
 * the signal handler has returned. False: no room there. */
bool platform_fault_divert(const struct platform_fault *f, const struct platform_fiber *fiber,
                           void (*run)(void *saved));
/* Goes back to the instruction that faulted, with all host registers as they were but MXCSR. */
_Noreturn void platform_fault_retry(void *saved, uint32_t mxcsr);

/* --- entropy, machine --- */
void platform_random(void *buf, size_t size);
/* For a node of a tree: no guest foresees it, and it costs no call of the host. Not for secrets. */
uint32_t platform_random_priority(void);
uint64_t platform_memory_total(void);
unsigned platform_mapping_limit(void); /* mappings that the host allows this process, from platform_open_files() on */
uint64_t platform_memory_free(void);
uint64_t platform_memory_used(void); /* private resident memory of this process, and its page tables */
int platform_open_self(void);
int platform_open_append(const char *path);
int platform_open_journal(void);      /* a datagram socket, connected to the journal's */
int platform_take_descriptor(int fd); /* an inherited one, as one of ours; -EBADF */
/* What the sealed memory file at "fd:N" holds, which must begin with OPTIONS_MAGIC (artifact/options.h); the text
 * behind it, on the heap. NULL: it is not such a file. The descriptor is closed. */
char *platform_handed_options(const char *where);
int platform_never_wait(int fd); /* makes writes fail instead where they would wait; the descriptor from now on */
bool platform_can_write(int fd);
/* Is it a file that is not empty and whose last byte is no newline? Before lock-down. */
bool platform_ends_within_line(int fd);
long platform_write(int fd, const void *data, size_t size);
long platform_write_at(int fd, const void *data, size_t size, uint64_t offset);
long platform_read_at(int fd, void *data, size_t size, uint64_t offset);
int64_t platform_file_size(int fd);
void *platform_map_view(int fd, uint64_t offset, size_t size); /* read-only, whole; NULL on failure */
bool platform_isatty(int fd);

#endif
