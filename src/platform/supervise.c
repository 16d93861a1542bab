/* --isolate full: a PID namespace holds only processes that are born in it, so the container is a second one, the first
 * of its namespace. This one waits for it: it hands signals on and ends as the other does. Nothing of the guest's
 * reaches it but an exit status. */
#include "platform/lockdown_internal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile pid_t container;

static void
hand_on(int sig, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)context;
    if (info->si_code != SI_KERNEL) /* a terminal's keys reach the whole process group, the other one too */
        kill(container, sig);
    errno = saved;
}

static _Noreturn void
wait_for_container(void)
{
    struct sigaction sa = {.sa_sigaction = hand_on, .sa_flags = SA_SIGINFO | SA_RESTART};
    int status;

    for (int sig = 1; sig <= SIGRTMAX; sig++) {
        struct sigaction now;

        if (sig == SIGCHLD || sig == SIGALRM || sig == SIGPIPE || sigaction(sig, NULL, &now) < 0)
            continue;
        if (now.sa_handler != SIG_IGN && now.sa_handler != SIG_DFL)
            sigaction(sig, &sa, NULL); /* what the vkernel forwards, and what is a fault in here */
    }
    while (waitpid(container, &status, 0) < 0)
        if (errno != EINTR)
            _exit(125);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && cgroup_was_full())
        dprintf(2, "ingot: the kernel ended the container, which was above the memory limit of its cgroup\n");
    cgroup_remove();
    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    _exit(128 + WTERMSIG(status));
}

/* Nobody would remove a cgroup that nobody waits for: without the one there is not the other. */
static void
no_isolation(struct lockdown *l, int result)
{
    lockdown_note(l, LAYER_ISOLATION, result);
    lockdown_note(l, LAYER_CGROUP, result);
}

void
layer_isolation(struct lockdown *l)
{
    sigset_t all, before;
    pid_t pid;
    int cgroup;

    if (unshare(CLONE_NEWNS | CLONE_NEWPID | (l->network_host || l->network_user ? 0 : CLONE_NEWNET)) < 0) {
        no_isolation(l, -errno);
        return;
    }
    cgroup = cgroup_make(l);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    container = pid;
    if (pid < 0) {
        no_isolation(l, -errno);
        cgroup_remove();
    } else if (pid == 0) {
        lockdown_note(l, LAYER_CGROUP, cgroup < 0 ? cgroup : cgroup_enter());
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid > 0)
        wait_for_container();
}
