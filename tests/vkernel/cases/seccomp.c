/* seccomp: modes, filters, actions and who has them. */
#include "seccomp.h"

#include <pthread.h>

/* --- what the call takes --- */

CASE(seccomp_unknown_operation)
{
    SHOW(seccomp(4, 0, NULL));
    SHOW(seccomp(77, 0, NULL));
    SHOW(seccomp(-1, 0, NULL));
    SHOW(syscall(SYS_seccomp, 0x100000002, 0, NULL)); /* the operation is 32 bits wide */
}

CASE(seccomp_strict_takes_nothing)
{
    SHOW(seccomp(SECCOMP_SET_MODE_STRICT, 1, NULL));
    SHOW(seccomp(SECCOMP_SET_MODE_STRICT, 0, "x"));
}

CASE(seccomp_actions_available)
{
    static const unsigned actions[] = {SECCOMP_RET_KILL_PROCESS,
                                       SECCOMP_RET_KILL_THREAD,
                                       SECCOMP_RET_TRAP,
                                       SECCOMP_RET_ERRNO,
                                       SECCOMP_RET_USER_NOTIF,
                                       SECCOMP_RET_TRACE,
                                       SECCOMP_RET_LOG,
                                       SECCOMP_RET_ALLOW,
                                       SECCOMP_RET_ALLOW | 1,
                                       0x10000,
                                       0x7ffd0000,
                                       0xffffffff,
                                       0x7ffe0000,
                                       0x80000001};

    for (unsigned k = 0; k < COUNT(actions); k++)
        SHOW(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, (void *)&actions[k]));
    SHOW(seccomp(SECCOMP_GET_ACTION_AVAIL, 1, (void *)&actions[0]));
    SHOW(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, NULL));
}

CASE(seccomp_notice_sizes)
{
    struct seccomp_notif_sizes s = {0};

    SHOW(seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &s));
    say("%d %d %d", s.seccomp_notif, s.seccomp_notif_resp, s.seccomp_data);
    SHOW(seccomp(SECCOMP_GET_NOTIF_SIZES, 1, &s));
    SHOW(seccomp(SECCOMP_GET_NOTIF_SIZES, 0, NULL));
}

CASE(seccomp_flags)
{
    no_new_privs();
    for (unsigned bit = 0; bit < 32; bit++)
        if (bit != 3)
            say("bit %u: %ld", bit, filter_call(1u << bit, 500, SECCOMP_RET_ERRNO));
    SHOW(filter_call(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_NEW_LISTENER, 500, SECCOMP_RET_ERRNO));
    SHOW(filter_call(SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW, 500, SECCOMP_RET_ERRNO));
    SHOW(filter_call(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, 500, SECCOMP_RET_ERRNO));
    say_seccomp();
}

CASE(seccomp_bad_addresses)
{
    struct sock_filter all[] = {RETURN(SECCOMP_RET_ALLOW)};
    struct sock_fprog p = {.len = 1, .filter = NULL};

    no_new_privs();
    SHOW(seccomp(SECCOMP_SET_MODE_FILTER, 0, NULL));
    SHOW(seccomp(SECCOMP_SET_MODE_FILTER, 0, (void *)8));
    SHOW(seccomp(SECCOMP_SET_MODE_FILTER, 0, &p));
    p.filter = (void *)8;
    SHOW(seccomp(SECCOMP_SET_MODE_FILTER, 0, &p));
    p.filter = all;
    p.len = 0;
    SHOW(seccomp(SECCOMP_SET_MODE_FILTER, 0, &p));
    p.len = BPF_MAXINSNS + 1;
    SHOW(seccomp(SECCOMP_SET_MODE_FILTER, 0, &p));
}

CASE(seccomp_program_across_pages)
{
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sock_filter all = RETURN(SECCOMP_RET_ALLOW), *program = (void *)(pages + 4096 - 2 * sizeof all);

    munmap(pages + 4096, 4096);
    program[0] = program[1] = all;
    no_new_privs();
    SHOW(install(0, program, 3));
    SHOW(install(0, program, 2));
}

CASE(seccomp_rights)
{
    become(1000);
    SHOW(filter_call(0, 500, SECCOMP_RET_ERRNO));
    SHOW(INSTALL(0, BPF_STMT(0xffff, 0)));
    SHOW(install(0, NULL, 0));
    SHOW(install(0, NULL, 1));
    SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
    no_new_privs();
    SHOW(filter_call(0, 500, SECCOMP_RET_ERRNO));
    say_seccomp();
}

CASE(seccomp_order_of_errors)
{
    struct sock_fprog p = {.len = 0, .filter = NULL};

    become(1000);
    SHOW(seccomp(SECCOMP_SET_MODE_FILTER, 1 << 20, &p));
    SHOW(seccomp(SECCOMP_SET_MODE_FILTER, 0, &p));
    p.len = 5000;
    SHOW(seccomp(SECCOMP_SET_MODE_FILTER, 0, &p));
    p.len = 4;
    SHOW(seccomp(SECCOMP_SET_MODE_FILTER, 0, &p));
}

CASE(seccomp_prctl)
{
    struct sock_filter f[] = {FOR_CALL(500, SECCOMP_RET_ERRNO | 5)};
    struct sock_fprog p = {.len = COUNT(f), .filter = f};

    no_new_privs();
    SHOW(prctl(PR_GET_SECCOMP));
    SHOW(prctl(PR_SET_SECCOMP, 0, 0));
    SHOW(prctl(PR_SET_SECCOMP, 3, &p));
    SHOW(prctl(PR_SET_SECCOMP, 0x100000002, &p));
    SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 8));
    SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p, 7, 8));
    SHOW(prctl(PR_GET_SECCOMP, 1, 2, 3, 4));
    SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0));
    SHOW(syscall(500));
}

CASE(no_new_privs_arguments)
{
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

/* --- strict mode --- */

static int
strict_calls(void *what)
{
    char c;

    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    write(1, "strict\n", 7);
    read(0, &c, 1);
    switch ((long)what) {
    case 0: syscall(SYS_exit, 7);
    case 1: syscall(SYS_getpid); break;
    case 2: syscall(SYS_exit_group, 0); break;
    case 3: syscall(SYS_prctl, PR_GET_SECCOMP); break;
    case 4: syscall(5000); break;
    case 5: syscall(0x40000000); break;
    case 6: syscall(-1); break;
    }
    syscall(SYS_exit, 9);
}

CASE(strict_mode)
{
    for (long k = 0; k < 7; k++)
        say_end("strict", child(strict_calls, (void *)k));
}

static void
tell(int sig)
{
    write(1, "handler\n", 8);
}

static int
strict_signal(void *parent)
{
    signal(SIGUSR1, tell);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    write(1, "ready\n", 6);
    for (char c; read((long)parent, &c, 1) != 1;)
        ;
    syscall(SYS_exit, 3);
}

CASE(strict_signal_handlers)
{
    int p[2];
    pid_t pid;

    pipe(p);
    pid = child(strict_signal, (void *)(long)p[0]);
    until_state(pid, 'S');
    kill(pid, SIGUSR1);
    sleep_ms(50);
    write(p[1], "x", 1);
    say_end("child", pid);
}

static void *
strict_thread(void *argument)
{
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    syscall(SYS_getpid);
    write(1, "?\n", 2);
    return NULL;
}

CASE(strict_mode_is_a_threads)
{
    pthread_t t;

    pthread_create(&t, NULL, strict_thread, NULL);
    sleep_ms(100);
    say_seccomp();
    SHOW(filter_call(SECCOMP_FILTER_FLAG_TSYNC, 500, SECCOMP_RET_ERRNO) <= 0);
}

/* --- actions --- */

CASE(action_errno)
{
    no_new_privs();
    SHOW(filter_call(0, 500, SECCOMP_RET_ERRNO | 17));
    SHOW(syscall(500));
    SHOW(filter_call(0, 501, SECCOMP_RET_ERRNO));
    SHOW(syscall(501));
    filter_call(0, 502, SECCOMP_RET_ERRNO | 4095);
    filter_call(0, 503, SECCOMP_RET_ERRNO | 4096);
    filter_call(0, 504, SECCOMP_RET_ERRNO | 0xffff);
    for (int nr = 502; nr < 505; nr++) {
        long r = syscall(nr);
        say("%ld %d", r, errno);
    }
}

CASE(action_errno_of_restarts)
{
    no_new_privs();
    for (int e = 511; e < 518; e++)
        filter_call(0, 1000 + e, SECCOMP_RET_ERRNO | e);
    for (int e = 511; e < 518; e++) {
        long r = syscall(1000 + e);
        say("%ld %d", r, errno);
    }
}

static siginfo_t seen;
static long seen_rax, seen_rcx_is_rip, seen_rip;
static int seen_count;

static void
on_sigsys(int sig, siginfo_t *info, void *context)
{
    ucontext_t *c = context;

    seen = *info;
    seen_rax = c->uc_mcontext.gregs[REG_RAX];
    seen_rip = c->uc_mcontext.gregs[REG_RIP];
    seen_rcx_is_rip = c->uc_mcontext.gregs[REG_RCX] == seen_rip;
    seen_count++;
    if (seen_count == 2)
        c->uc_mcontext.gregs[REG_RAX] = 1234;
}

static void
catch_sigsys(void)
{
    struct sigaction a = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};

    sigaction(SIGSYS, &a, NULL);
}

CASE(action_trap)
{
    catch_sigsys();
    no_new_privs();
    SHOW(filter_call(0, 500, SECCOMP_RET_TRAP | 77));
    for (int k = 0; k < 2; k++) {
        say("result %ld", syscall(500, 1, 2, 3));
        say("signal %d code %d errno %d call %d arch %x address %d rax %ld rcx %ld", seen.si_signo, seen.si_code,
            seen.si_errno, seen.si_syscall, seen.si_arch, (long)seen.si_call_addr == seen_rip, seen_rax,
            seen_rcx_is_rip);
    }
}

CASE(action_trap_keeps_rax)
{
    long r;

    catch_sigsys();
    no_new_privs();
    filter_call(0, 500, SECCOMP_RET_TRAP);
    __asm__ volatile("syscall" : "=a"(r) : "a"(0x1234567800000000 + 500) : "rcx", "r11", "memory");
    say("%lx %lx", r, seen_rax);
}

static int
trap_in_vain(void *how)
{
    sigset_t set;

    catch_sigsys();
    if ((long)how == 0)
        signal(SIGSYS, SIG_DFL);
    if ((long)how == 1)
        signal(SIGSYS, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    if ((long)how == 2)
        sigprocmask(SIG_BLOCK, &set, NULL);
    no_new_privs();
    filter_call(0, 500, SECCOMP_RET_TRAP);
    syscall(500);
    say("goes on");
    return 0;
}

CASE(action_trap_in_vain)
{
    for (long k = 0; k < 4; k++)
        say_end("trap", child(trap_in_vain, (void *)k));
}

static int
killed(void *result)
{
    no_new_privs();
    catch_sigsys();
    filter_call(0, 500, (unsigned)(long)result);
    syscall(500);
    say("goes on");
    return 5;
}

CASE(action_kill)
{
    say_end("process", child(killed, (void *)(long)SECCOMP_RET_KILL_PROCESS));
    say_end("thread", child(killed, (void *)(long)SECCOMP_RET_KILL_THREAD));
    say_end("with data", child(killed, (void *)(long)(SECCOMP_RET_KILL_THREAD | 5)));
    say_end("log", child(killed, (void *)(long)SECCOMP_RET_LOG));
    say_end("allow with data", child(killed, (void *)(long)(SECCOMP_RET_ALLOW | 9)));
}

CASE(action_unknown)
{
    static const unsigned results[] = {0x00010000, 0x00020000, 0x00040000, 0x10000000, 0x7fc10000, 0x7ffb0000,
                                       0x7ffd0000, 0x7ffe0000, 0x7fff0001, 0x80010000, 0xffff0000, 0xfffe1234};

    for (unsigned k = 0; k < COUNT(results); k++)
        say_end("unknown", child(killed, (void *)(long)results[k]));
}

static void *
killed_thread(void *result)
{
    killed(result);
    return NULL;
}

static int
thread_is_killed(void *result)
{
    pthread_t t;

    pthread_create(&t, NULL, killed_thread, result);
    sleep_ms(100);
    say("the process goes on");
    return 6;
}

CASE(action_kill_of_a_thread)
{
    say_end("thread", child(thread_is_killed, (void *)(long)SECCOMP_RET_KILL_THREAD));
    say_end("process", child(thread_is_killed, (void *)(long)SECCOMP_RET_KILL_PROCESS));
    say_end("unknown", child(thread_is_killed, (void *)(long)0x00010000));
}

static void *
late(void *argument)
{
    sleep_ms(200);
    say("the other thread ends");
    syscall(SYS_exit, 3);
    return NULL;
}

static int
leader_is_killed(void *argument)
{
    pthread_t t;

    pthread_create(&t, NULL, late, NULL);
    if (argument)
        killed((void *)(long)SECCOMP_RET_KILL_THREAD);
    syscall(SYS_exit, 2);
    return 0;
}

CASE(status_is_the_last_threads)
{
    say_end("killed first", child(leader_is_killed, "x"));
    say_end("left first", child(leader_is_killed, NULL));
}

CASE(action_trace_without_tracer)
{
    no_new_privs();
    filter_call(0, 500, SECCOMP_RET_TRACE | 3);
    filter_call(0, SYS_getppid, SECCOMP_RET_TRACE);
    SHOW(syscall(500));
    SHOW(syscall(SYS_getppid));
}

CASE(action_notice_without_listener)
{
    no_new_privs();
    filter_call(0, SYS_getppid, SECCOMP_RET_USER_NOTIF);
    SHOW(syscall(SYS_getppid));
}

/* --- several filters --- */

CASE(precedence)
{
    static const unsigned results[] = {SECCOMP_RET_ERRNO | 1, SECCOMP_RET_ALLOW,     SECCOMP_RET_LOG,
                                       SECCOMP_RET_TRACE,     SECCOMP_RET_ERRNO | 2, SECCOMP_RET_TRAP | 3};

    catch_sigsys();
    no_new_privs();
    for (unsigned a = 0; a < COUNT(results); a++)
        for (unsigned b = 0; b < COUNT(results); b++) {
            filter_call(0, 600 + a * 8 + b, results[a]);
            filter_call(0, 600 + a * 8 + b, results[b]);
        }
    for (unsigned a = 0; a < COUNT(results); a++)
        for (unsigned b = 0; b < COUNT(results); b++) {
            long r = syscall(600 + a * 8 + b);

            say("%x then %x: %ld %d, %d signals", results[a], results[b], r, errno, seen_count);
        }
}

static int
kill_wins(void *order)
{
    no_new_privs();
    catch_sigsys();
    for (int k = 0; k < 2; k++)
        filter_call(0, 500, k == (long)order ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_TRAP);
    syscall(500);
    return 1;
}

CASE(precedence_of_kill)
{
    say_end("kill first", child(kill_wins, (void *)0));
    say_end("kill last", child(kill_wins, (void *)1));
}

CASE(filters_apply_to_seccomp)
{
    no_new_privs();
    SHOW(filter_call(0, SYS_seccomp, SECCOMP_RET_ERRNO | 40));
    SHOW(filter_call(0, 500, SECCOMP_RET_ERRNO | 41));
    SHOW(syscall(500));
    SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
    say_seccomp();
}

/* So many filters of this many instructions may be there. */
static int
how_many(struct sock_filter *program, size_t count)
{
    int n = 0;

    while (install(0, program, count) == 0)
        n++;
    say("%zu instructions: %d filters, then %s", count, n, strerrorname_np(errno));
    return 0;
}

static int
many_long(void *argument)
{
    static struct sock_filter f[BPF_MAXINSNS];
    static const struct sock_filter kinds[] = {RETURN(SECCOMP_RET_ALLOW),
                                               BPF_STMT(BPF_LD | BPF_IMM, 3),
                                               BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
                                               BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 3),
                                               EQUAL(5, 0, 1),
                                               EQUAL(5, 1, 0),
                                               EQUAL(5, 1, 1),
                                               EQUAL(5, 0, 0),
                                               EQUAL(0x80000000, 0, 1),
                                               EQUAL(0x7fffffff, 0, 1),
                                               BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 5, 0, 1),
                                               BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 5, 1, 0),
                                               BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 5, 0, 1),
                                               BPF_JUMP(BPF_JMP | BPF_JGE | BPF_X, 5, 0, 1),
                                               BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0xffffffff, 1, 1),
                                               BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
                                               BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
                                               BPF_STMT(BPF_ALU | BPF_NEG, 0),
                                               BPF_STMT(BPF_MISC | BPF_TAX, 0),
                                               BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0),
                                               BPF_STMT(BPF_ALU | BPF_LSH | BPF_X, 0),
                                               BPF_STMT(BPF_ST, 0),
                                               BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 0x90000000)};

    for (unsigned k = 0; k < 120; k++)
        f[k] = kinds[(long)argument];
    f[120] = f[121] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    return how_many(f, 122);
}

static int
many_short(void *argument)
{
    static struct sock_filter f[BPF_MAXINSNS];

    for (unsigned k = 0; k < BPF_MAXINSNS; k++)
        f[k] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    return how_many(f, (long)argument);
}

CASE(as_many_filters_as_may_be)
{
    no_new_privs();
    for (long k = 0; k < 23; k++)
        waitpid(child(many_long, (void *)k), NULL, 0);
    waitpid(child(many_short, (void *)1000), NULL, 0);
    waitpid(child(many_short, (void *)BPF_MAXINSNS), NULL, 0);
    waitpid(child(many_short, (void *)60), NULL, 0);
}

/* --- what a filter sees --- */

CASE(data_of_a_call)
{
    /* The low twelve bits of a word of the arguments, as an error. */
    no_new_privs();
    for (unsigned word = 0; word < 16; word++)
        INSTALL(0, LOAD(nr), EQUAL(700 + word, 1, 0), RETURN(SECCOMP_RET_ALLOW),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, word * 4), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
                BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0));
    for (unsigned word = 0; word < 16; word++) {
        long r = syscall(700 + word, 0x1111222233330444, 0x5555666677770888, -1L, 0x123, 0x9990000aaa, 0x70000000007);

        if (word != 2 && word != 3)
            say("%u: %ld %x", word, r, errno);
    }
}

CASE(address_of_a_call)
{
    struct sock_filter f[] = {LOAD(nr),
                              EQUAL(500, 1, 0),
                              RETURN(SECCOMP_RET_ALLOW),
                              LOAD(instruction_pointer),
                              EQUAL(0, 0, 1),
                              RETURN(SECCOMP_RET_ERRNO | 1),
                              RETURN(SECCOMP_RET_ERRNO | 2)};
    extern char after_call[];
    long r;

    f[4].k = (unsigned)(long)after_call;
    no_new_privs();
    install(0, f, COUNT(f));
    SHOW(syscall(500));
    __asm__ volatile("syscall\n.globl after_call\nafter_call:" : "=a"(r) : "a"(500) : "rcx", "r11", "memory");
    say("%ld", r);
}

CASE(numbers_outside)
{
    static const long numbers[] = {0x40000000, 0x40000000 + SYS_getppid, 0x7fffffff, -1, -2, -512, 0x80000000};

    no_new_privs();
    for (unsigned k = 0; k < COUNT(numbers); k++)
        SHOW(syscall(numbers[k]));
    for (unsigned k = 0; k < COUNT(numbers); k++)
        filter_call(0, (unsigned)numbers[k], SECCOMP_RET_ERRNO | (20 + k));
    for (unsigned k = 0; k < COUNT(numbers); k++)
        SHOW(syscall(numbers[k]));
    INSTALL(0, LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), RETURN(SECCOMP_RET_ERRNO | 9),
            RETURN(SECCOMP_RET_ALLOW));
    SHOW(syscall(0x40000000 + SYS_getppid));
    SHOW(syscall(0x40000001));
}

CASE(upper_half_of_the_number)
{
    long r;

    no_new_privs();
    filter_call(0, SYS_getppid, SECCOMP_RET_ERRNO | 3);
    __asm__ volatile("syscall" : "=a"(r) : "a"(0x100000000 + SYS_getppid) : "rcx", "r11", "memory");
    say("%ld", r);
}

CASE(upper_halves_of_arguments)
{
    /* close() looks at 32 bits of its argument, and a filter at all. */
    no_new_privs();
    INSTALL(0, LOAD(nr), EQUAL(SYS_close, 1, 0), RETURN(SECCOMP_RET_ALLOW),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 4), EQUAL(0, 0, 1),
            RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_ERRNO | 88));
    SHOW(syscall(SYS_close, 0x1000003e7));
    SHOW(syscall(SYS_close, 0x3e7));
}

CASE(arguments_decide)
{
    no_new_privs();
    INSTALL(0, LOAD(nr), EQUAL(SYS_dup, 1, 0), RETURN(SECCOMP_RET_ALLOW), LOAD(args[0]),
            BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 0, 1), RETURN(SECCOMP_RET_ERRNO | 13), RETURN(SECCOMP_RET_ALLOW));
    SHOW(dup(1));
    SHOW(dup(2));
    SHOW(dup(0));
}

static int
divide(void *argument)
{
    no_new_privs();
    INSTALL(0, LOAD(nr), EQUAL(500, 1, 0), RETURN(SECCOMP_RET_ALLOW), BPF_STMT(BPF_LDX | BPF_IMM, 0),
            BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), RETURN(SECCOMP_RET_ERRNO | 3));
    syscall(500);
    return 3;
}

CASE(division_by_zero)
{
    say_end("divides", child(divide, NULL));
}

/* --- what is valid --- */

static long
try(struct sock_filter *program, size_t count)
{
    int r;
    pid_t pid = fork();

    if (pid == 0)
        _exit(install(0, program, count) == 0 ? 0 : errno);
    waitpid(pid, &r, 0);
    return WIFEXITED(r) ? WEXITSTATUS(r) : -1;
}
#define TRY(...)                                                      \
    ({                                                                \
        struct sock_filter program_[] = {__VA_ARGS__};                \
        say("%s: %ld", #__VA_ARGS__, try(program_, COUNT(program_))); \
    })

CASE(programs_that_end_wrong)
{
    no_new_privs();
    TRY(BPF_STMT(BPF_LD | BPF_IMM, 0));
    TRY(RETURN(SECCOMP_RET_ALLOW), BPF_STMT(BPF_LD | BPF_IMM, 0));
    TRY(RETURN(SECCOMP_RET_ALLOW), BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0));
    TRY(BPF_STMT(BPF_RET | BPF_X, 0));
    TRY(BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_A, 0));
}

CASE(programs_that_jump_wrong)
{
    no_new_privs();
    TRY(BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_JUMP(BPF_JMP | BPF_JA, -1, 0, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(EQUAL(0, 0, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(EQUAL(0, 1, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(EQUAL(0, 0, 1), RETURN(SECCOMP_RET_ALLOW));
    TRY(EQUAL(0, 255, 0), RETURN(SECCOMP_RET_ALLOW));
}

CASE(programs_that_read_wrong)
{
    no_new_privs();
    for (unsigned k = 0; k < 72; k += k < 8 ? 1 : 4)
        TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, k), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, -4), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 7), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 7), RETURN(SECCOMP_RET_ALLOW));
}

CASE(programs_that_calculate_wrong)
{
    no_new_privs();
    TRY(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ALU | BPF_MOD | BPF_X, 3), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 31), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 32), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ALU | BPF_RSH | BPF_X, 32), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ALU | BPF_NEG | BPF_X, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0), RETURN(SECCOMP_RET_ALLOW));
}

CASE(programs_that_use_memory_wrong)
{
    no_new_privs();
    TRY(BPF_STMT(BPF_LD | BPF_MEM, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_LD | BPF_MEM, 0), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_STX, 15), BPF_STMT(BPF_LDX | BPF_MEM, 15), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ST, 16), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_LD | BPF_MEM, 16), RETURN(SECCOMP_RET_ALLOW));
    TRY(EQUAL(1, 1, 0), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_MEM, 3), RETURN(SECCOMP_RET_ALLOW));
    TRY(EQUAL(1, 0, 0), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_MEM, 3), RETURN(SECCOMP_RET_ALLOW));
    TRY(RETURN(SECCOMP_RET_ALLOW), BPF_STMT(BPF_LD | BPF_MEM, 3), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), BPF_STMT(BPF_LD | BPF_MEM, 3), RETURN(SECCOMP_RET_ALLOW));
    TRY(BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0), BPF_STMT(BPF_LD | BPF_MEM, 3), RETURN(SECCOMP_RET_ALLOW));
}

CASE(programs_of_every_code)
{
    no_new_privs();
    for (unsigned code = 0; code < 0x120; code++) {
        struct sock_filter f[] = {BPF_STMT(BPF_ST, 4),       {.code = (unsigned short)code, .k = 4},
                                  RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_ALLOW),
                                  RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_ALLOW),
                                  RETURN(SECCOMP_RET_ALLOW)};
        long r = try(f, COUNT(f));

        if (r)
            printf("%x:%ld ", code, r);
    }
    say("");
}

/* --- who has it --- */

static int
tell_seccomp(void *argument)
{
    say_seccomp();
    SHOW(syscall(500));
    return 0;
}

CASE(children_inherit)
{
    no_new_privs();
    filter_call(0, 500, SECCOMP_RET_ERRNO | 5);
    filter_call(0, 501, SECCOMP_RET_ERRNO | 5);
    say_end("child", child(tell_seccomp, NULL));
    say_seccomp();
}

static int
filter_alone(void *argument)
{
    no_new_privs();
    return (int)filter_call(0, 500, SECCOMP_RET_ERRNO | 5);
}

CASE(parents_do_not_inherit)
{
    say_end("child", child(filter_alone, NULL));
    say_seccomp();
    SHOW(syscall(500));
}

CASE(programs_inherit)
{
    int p[2];
    pid_t pid;

    if (getenv("AGAIN")) { /* what exec starts below */
        tell_seccomp(NULL);
        return;
    }
    no_new_privs();
    filter_call(0, 500, SECCOMP_RET_ERRNO | 5);
    pid = fork();
    if (pid == 0) {
        setenv("AGAIN", "1", 1);
        execl("/proc/self/exe", "cases", "programs_inherit", NULL);
        _exit(1);
    }
    say_end("program", pid);
}

CASE(exec_that_is_not_allowed)
{
    no_new_privs();
    filter_call(0, SYS_execve, SECCOMP_RET_ERRNO | 1);
    SHOW(execl("/proc/self/exe", "cases", "nothing", NULL));
}

static void *
tell_in_thread(void *argument)
{
    tell_seccomp(NULL);
    return NULL;
}

CASE(threads_inherit)
{
    pthread_t t;

    no_new_privs();
    filter_call(0, 500, SECCOMP_RET_ERRNO | 5);
    pthread_create(&t, NULL, tell_in_thread, NULL);
    pthread_join(t, NULL);
}

static pthread_barrier_t together;

static void *
other_thread(void *what)
{
    long result = 0;

    pthread_barrier_wait(&together);
    if (what)
        result = filter_call(0, 501, SECCOMP_RET_ERRNO | 6);
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    if (result == 0)
        tell_seccomp(NULL);
    pthread_barrier_wait(&together);
    return NULL;
}

/* A second thread, which has a filter of its own if it is said so; then a filter for all with these flags. */
static void
synchronized(unsigned flags, void *what, bool privileges)
{
    pthread_t t;
    long r;

    pthread_barrier_init(&together, NULL, 2);
    if (privileges)
        no_new_privs();
    pthread_create(&t, NULL, other_thread, what);
    if (!privileges)
        no_new_privs();
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    r = filter_call(flags, 500, SECCOMP_RET_ERRNO | 5);
    say("result %s %s",
        r > 0    ? "a thread"
        : r == 0 ? "0"
                 : strerrorname_np(errno),
        r > 0 && r != getpid() ? "(the other)" : "");
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    tell_seccomp(NULL);
}

CASE(a_filter_is_one_threads)
{
    synchronized(0, NULL, true);
}

CASE(privileges_are_one_threads)
{
    synchronized(0, NULL, false);
}

CASE(all_threads_get_the_filter)
{
    synchronized(SECCOMP_FILTER_FLAG_TSYNC, NULL, false);
}

CASE(a_thread_with_another_filter)
{
    synchronized(SECCOMP_FILTER_FLAG_TSYNC, "x", true);
}

CASE(a_thread_with_another_filter_named_by_an_error)
{
    synchronized(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, "x", true);
}

CASE(a_thread_with_an_earlier_filter)
{
    no_new_privs();
    filter_call(0, 502, SECCOMP_RET_ERRNO | 7);
    synchronized(SECCOMP_FILTER_FLAG_TSYNC, NULL, true);
    SHOW(syscall(502));
}

static volatile int busy = 1;

static void *
spin(void *argument)
{
    while (busy)
        ;
    tell_seccomp(NULL);
    return NULL;
}

CASE(a_running_thread_gets_the_filter)
{
    pthread_t t;

    no_new_privs();
    pthread_create(&t, NULL, spin, NULL);
    sleep_ms(20);
    SHOW(filter_call(SECCOMP_FILTER_FLAG_TSYNC, 500, SECCOMP_RET_ERRNO | 5));
    busy = 0;
    pthread_join(t, NULL);
}

/* --- with other mechanisms --- */

static void
nothing(int sig)
{
}

CASE(restarted_calls_are_checked_again)
{
    /* A sleep that a stopped and continued process goes on with is restart_syscall. */
    no_new_privs();
    filter_call(0, SYS_restart_syscall, SECCOMP_RET_ERRNO | 77);
    pid_t pid = fork();
    if (pid == 0) {
        struct timespec t = {0, 300000000};
        long r = syscall(SYS_nanosleep, &t, NULL);
        say("%ld %d", r, errno);
        _exit(0);
    }
    until_state(pid, 'S');
    kill(pid, SIGSTOP);
    until_state(pid, 'T');
    kill(pid, SIGCONT);
    say_end("sleeper", pid);
}

static int
return_from_handler(void *argument)
{
    signal(SIGUSR1, nothing);
    no_new_privs();
    filter_call(0, SYS_rt_sigreturn, SECCOMP_RET_KILL_PROCESS);
    raise(SIGUSR1);
    return 1;
}

CASE(handlers_return_by_a_call)
{
    say_end("no return", child(return_from_handler, NULL));
}

CASE(vfork_children_inherit)
{
    no_new_privs();
    filter_call(0, 500, SECCOMP_RET_ERRNO | 5);
    pid_t pid = vfork();
    if (pid == 0)
        _exit(syscall(500) == -1 && errno == 5 ? 3 : 4);
    say_end("child", pid);
}

CASE(proc_sys_seccomp)
{
    char text[256] = "";
    int fd = open("/proc/sys/kernel/seccomp/actions_avail", O_RDONLY);

    say("%zd %s", read(fd, text, sizeof text), text);
    memset(text, 0, sizeof text);
    fd = open("/proc/sys/kernel/seccomp/actions_logged", O_RDONLY);
    say("%zd %s", read(fd, text, sizeof text), text);
    become(1000);
    SHOW(open("/proc/sys/kernel/seccomp/actions_logged", O_WRONLY));
    SHOW(open("/proc/sys/kernel/seccomp/actions_avail", O_WRONLY));
}
