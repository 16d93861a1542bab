/* ptrace of threads, and by threads. */
#include "case.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define ORDER(request, pid, address, data) \
    syscall(SYS_ptrace, (long)(request), (long)(pid), (long)(address), (long)(data))

static int
stops_with(const char *what, pid_t pid, int options)
{
    int status = 0;
    pid_t r = waitpid(pid, &status, options);

    if (r <= 0)
        say("%s: %s", what, r < 0 ? strerrorname_np(errno) : "nothing");
    else if (WIFEXITED(status))
        say("%s: exit %d", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        say("%s: signal %d", what, WTERMSIG(status));
    else
        say("%s: stops by %d%s, event %d", what, WSTOPSIG(status) & 0x7f, WSTOPSIG(status) & 0x80 ? " at a call" : "",
            status >> 16);
    return status;
}

static int
stops(const char *what, pid_t pid)
{
    return stops_with(what, pid, __WALL);
}

static volatile int go;

static void *
thread(void *argument)
{
    while (!go)
        usleep(1000);
    return NULL;
}

static int
makes_thread(void *argument)
{
    pthread_t t;

    if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
        return 99;
    raise(SIGSTOP);
    pthread_create(&t, NULL, thread, NULL);
    pthread_join(t, NULL);
    return 7;
}

static int
ends_first(void *argument)
{
    pthread_t t;

    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    pthread_create(&t, NULL, thread, NULL);
    pthread_exit(NULL);
}

/* A traced process with a thread that is traced, too: both are stopped. */
static pid_t
with_thread(int (*f)(void *), pid_t *tid)
{
    pid_t pid = child(f, NULL);
    unsigned long message = 0;

    stops("begins", pid);
    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("clone", pid);
    ORDER(PTRACE_GETEVENTMSG, pid, 0, &message);
    *tid = (pid_t)message;
    stops("the thread", *tid);
    return pid;
}

CASE(event_clone)
{
    pid_t tid, pid = with_thread(makes_thread, &tid);

    ORDER(PTRACE_POKEDATA, pid, &go, 1);
    SHOW(ORDER(PTRACE_CONT, tid, 0, 0));
    stops("the thread ends", tid);
    SHOW(ORDER(PTRACE_CONT, tid, 0, 0));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(thread_is_waited_for_by_its_number)
{
    pid_t tid, pid = with_thread(makes_thread, &tid);
    int status;

    ORDER(PTRACE_CONT, tid, 0, 0);
    SHOW(syscall(SYS_tgkill, pid, tid, SIGUSR1));
    stops_with("without __WALL", tid, 0);
    SHOW(waitpid(pid, &status, WNOHANG | __WALL));
    kill(pid, SIGKILL);
    stops("the thread", tid);
    stops("the process", pid);
}

CASE(first_thread_ends_first)
{
    pid_t tid, pid = with_thread(ends_first, &tid);

    ORDER(PTRACE_CONT, pid, 0, 0);
    sleep_ms(30);
    stops_with("the first is not told yet", pid, __WALL | WNOHANG);
    ORDER(PTRACE_POKEDATA, tid, &go, 1);
    ORDER(PTRACE_CONT, tid, 0, 0);
    stops("the thread", tid);
    stops("the process", pid);
}

CASE(exit_group_with_threads)
{
    pid_t tid, pid = with_thread(makes_thread, &tid);

    ORDER(PTRACE_CONT, tid, 0, 0);
    ORDER(PTRACE_CONT, pid, 0, 0);
    kill(pid, SIGKILL);
    stops("the thread", tid);
    stops("the process", pid);
}

static char *none[] = {"none", "--none", NULL};

static void *
exec_thread(void *argument)
{
    execv("/proc/self/exe", none);
    return NULL;
}

static int
thread_execs(void *argument)
{
    pthread_t t;

    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    pthread_create(&t, NULL, exec_thread, NULL);
    pthread_join(t, NULL);
    return 7;
}

CASE(thread_calls_exec)
{
    pid_t tid, pid = with_thread(thread_execs, &tid);
    unsigned long message = 0;
    int status;

    ORDER(PTRACE_SETOPTIONS, tid, 0, PTRACE_O_TRACEEXEC);
    ORDER(PTRACE_CONT, pid, 0, 0);
    ORDER(PTRACE_CONT, tid, 0, 0);
    stops("exec", pid);
    SHOW(ORDER(PTRACE_GETEVENTMSG, pid, 0, &message));
    say("%d", (pid_t)message == tid);
    SHOW(waitpid(tid, &status, __WALL | WNOHANG));
    kill(pid, SIGKILL);
    stops("killed", pid);
}

CASE(group_stop_of_threads)
{
    pid_t tid, pid = with_thread(makes_thread, &tid);

    ORDER(PTRACE_CONT, tid, 0, 0);
    ORDER(PTRACE_CONT, pid, 0, 0);
    syscall(SYS_tgkill, pid, pid, SIGSTOP);
    stops("the signal", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGSTOP);
    stops("the first", pid);
    stops("the thread", tid);
    kill(pid, SIGKILL);
    stops("the thread", tid);
    stops("the process", pid);
}

static int
hides_memory(void *argument)
{
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    raise(SIGSTOP);
    return 7;
}

CASE(memory_that_is_not_dumpable)
{
    struct user_regs_struct r;
    long word;
    pid_t pid;

    become(1000);
    pid = child(hides_memory, NULL);
    stops("hides", pid);
    SHOW(ORDER(PTRACE_PEEKDATA, pid, &none, &word));
    SHOW(ORDER(PTRACE_POKEDATA, pid, &none, 0));
    SHOW(ORDER(PTRACE_GETREGS, pid, 0, &r));
    kill(pid, SIGKILL);
    stops("killed", pid);
}

/* --- several tracers --- */

static int
waits(void *argument)
{
    for (;;)
        pause();
}

static void *
order_by_another(void *argument)
{
    pid_t pid = *(pid_t *)argument;
    struct user_regs_struct r;

    SHOW(ORDER(PTRACE_GETREGS, pid, 0, &r));
    SHOW(ORDER(PTRACE_ATTACH, pid, 0, 0));
    stops_with("with __WNOTHREAD", pid, __WALL | __WNOTHREAD | WNOHANG);
    stops_with("without", pid, __WALL | WNOHANG);
    return NULL;
}

CASE(only_the_tracer_gives_orders)
{
    pid_t pid = child(waits, NULL);
    pthread_t t;

    ORDER(PTRACE_SEIZE, pid, 0, 0);
    ORDER(PTRACE_INTERRUPT, pid, 0, 0);
    sleep_ms(30);
    pthread_create(&t, NULL, order_by_another, &pid);
    pthread_join(t, NULL);
    kill(pid, SIGKILL);
    stops("killed", pid);
}

static void *
attach_and_end(void *argument)
{
    pid_t pid = *(pid_t *)argument;

    SHOW(ORDER(PTRACE_ATTACH, pid, 0, 0));
    stops("attached", pid);
    return NULL;
}

CASE(tracing_thread_ends)
{
    pid_t pid = child(waits, NULL);
    pthread_t t;

    pthread_create(&t, NULL, attach_and_end, &pid);
    pthread_join(t, NULL);
    sleep_ms(20);
    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    SHOW(ORDER(PTRACE_ATTACH, pid, 0, 0));
    stops("again", pid);
    kill(pid, SIGKILL);
    stops("killed", pid);
}

static void *
sleep_on(void *argument)
{
    usleep(300000);
    return NULL;
}

CASE(attach_to_a_sibling_thread)
{
    pthread_t t;
    pid_t tid;

    pthread_create(&t, NULL, sleep_on, NULL);
    for (tid = getpid() + 1; syscall(SYS_tgkill, getpid(), tid, 0) < 0 && tid < getpid() + 50; tid++)
        ;
    SHOW(ORDER(PTRACE_ATTACH, tid, 0, 0));
}

/* Two processes that stop each other's tracee as fast as they can. */
static int
many_stops(void *argument)
{
    pid_t pid = child(waits, NULL);
    int status, count = 0;

    ORDER(PTRACE_SEIZE, pid, 0, 0);
    for (int k = 0; k < 300; k++) {
        ORDER(PTRACE_INTERRUPT, pid, 0, 0);
        if (waitpid(pid, &status, 0) == pid && status >> 16 == PTRACE_EVENT_STOP)
            count++;
        ORDER(PTRACE_CONT, pid, 0, 0);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return count == 300 ? 0 : 1;
}

CASE(many_interrupts)
{
    pid_t a = child(many_stops, NULL), b = child(many_stops, NULL);

    say_end("a", a);
    say_end("b", b);
}
