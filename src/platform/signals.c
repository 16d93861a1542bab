/* The host's signals that are news for the vkernel: ticks, and those that are forwarded to process 1.
 *
 * The handlers run without the lock, between any two instructions: docs/vkernel.md ("The kernel lock") says what they
 * may touch. ThreadSanitizer does not watch this file, because its library may be what a handler has interrupted. */
#include "platform/platform.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "platform/direct.h"
#include "platform/sanitizer.h"
#include "platform/thread_internal.h"
#include "x86/helpers.h"

volatile uint64_t platform_host_signals;
volatile sig_atomic_t platform_end_signal;
int platform_wake_fd = -1;

void
platform_wake_idle(void)
{
    uint64_t one = 1;

    if (platform_wake_fd >= 0 && write(platform_wake_fd, &one, sizeof one) < 0) {
        /* full: the poller has news already */
    }
}

static void
on_tick(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    if (platform_repeatable && !platform_is_quiet())
        return;
    platform_ticked = 1;
    platform_thread_awake();
    x86_cpu_tls.limit = UINT64_MAX;
    platform_direct_interrupt(context);
}

void
platform_catch_ticks(void)
{
    struct sigaction sa = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};

    sanitizer_sigaction(SIGALRM, &sa, NULL);
}

/* With a terminal its keys arrive as bytes, and a signal means the container as a whole. Without, signals are process
 * 1's; one that asks to end is obeyed the second time by ending the run, the third time, when not even that happens, at
 * once. */
static bool has_terminal;

static bool
asks_to_end(int sig)
{
    return sig == SIGTERM || sig == SIGINT || (has_terminal && (sig == SIGHUP || sig == SIGQUIT));
}

static void
on_host_signal(int sig, siginfo_t *info, void *context)
{
    static volatile sig_atomic_t asked;
    int saved = errno;

    (void)info;
    if (asks_to_end(sig)) {
        asked++;
        if (asked > 2) {
            signal(sig, SIG_DFL);
            raise(sig);
            if (getpid() == 1) /* of a PID namespace: what has no handler does nothing */
                _exit(128 + sig);
        }
        if (asked == 2 || has_terminal)
            platform_end_signal = sig;
    }
    __atomic_fetch_or(&platform_host_signals, 1ull << (sig - 1), __ATOMIC_SEQ_CST);
    platform_ticked = 1;
    platform_thread_awake();
    x86_cpu_tls.limit = UINT64_MAX;
    platform_wake_idle();
    platform_direct_interrupt(context);
    errno = saved;
}

uint64_t
platform_forward_signals(bool terminal)
{
    static const int always[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    static const int without_terminal[] = {SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP, SIGURG, SIGIO, SIGPWR};
    struct sigaction sa = {.sa_sigaction = on_host_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    uint64_t wanted = 0, ignored = 0;

    has_terminal = terminal;
    if (platform_wake_fd < 0)
        platform_wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (unsigned i = 0; i < sizeof always / sizeof *always; i++)
        wanted |= 1ull << (always[i] - 1);
    for (unsigned i = 0; i < sizeof without_terminal / sizeof *without_terminal && !terminal; i++)
        wanted |= 1ull << (without_terminal[i] - 1);
    for (int sig = SIGRTMIN; sig <= SIGRTMAX && !terminal; sig++)
        wanted |= 1ull << (sig - 1);
    sigfillset(&sa.sa_mask);
    sigdelset(&sa.sa_mask, SIGSEGV);
    sigdelset(&sa.sa_mask, SIGBUS);
    sigdelset(&sa.sa_mask, SIGTRAP);
    for (int sig = 1; sig <= 64; sig++) {
        struct sigaction old;

        if (!(wanted >> (sig - 1) & 1))
            continue;
        if (sanitizer_sigaction(sig, &sa, &old) == 0 && old.sa_handler == SIG_IGN)
            ignored |= 1ull << (sig - 1);
    }
    return ignored;
}
