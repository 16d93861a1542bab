/* What a call copies when the memory changes while it sleeps: a thread sleeps in each call that copies to or from the
 * guest after a sleep, another takes the buffer away, forbids it, moves it, puts something else there, or makes its
 * file shorter; then the call goes on. And calls that make something and cannot tell: nothing may be left of it, and
 * what was not told is not lost. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../attacks/sleeper.h"

enum { PAGE = 4096, AREA = 4 * PAGE };

/* Of one call: all calls sleep at the same time, each with its own. */
struct state {
    const struct call *call;
    char *area; /* the call's memory is in its second page */
    int memory; /* the file it is a mapping of, or -1 */
    int a[2];   /* two ends of something */
    int third;
    pid_t child;
    char folder[32];
    pthread_t thread;
    volatile int tid;
    long result;
    int error;
};
struct call {
    const char *name;
    void (*make)(void);
    long (*call)(void);
    void (*wake)(void);
    void (*after)(void);
};

static _Thread_local struct state *me;
#define area   (me->area)
#define memory (me->memory)
#define a      (me->a)
#define third  (me->third)
#define child  (me->child)
#define folder (me->folder)

static char *
at(void)
{
    return area + PAGE;
}

/* --- the calls --- */

static void
make_pipe(void)
{
    if (pipe2(a, O_NONBLOCK * 0) != 0)
        _exit(9);
}

static void
make_stream(void)
{
    socketpair(AF_UNIX, SOCK_STREAM, 0, a);
}

static void
make_packets(void)
{
    socketpair(AF_UNIX, SOCK_DGRAM, 0, a);
}

static void
put_ten(void)
{
    if (write(a[1], "0123456789", 10) != 10)
        printf("not written ");
}

static void
two_messages(void)
{
    put_ten();
    put_ten();
}

static long
call_read(void)
{
    return read(a[0], at(), 100);
}

static long
call_readv(void)
{
    struct iovec v[2] = {{at(), 4}, {at() + 50, 100}};

    return readv(a[0], v, 2);
}

static long
call_recvfrom(void)
{
    return recvfrom(a[0], at(), 100, 0, NULL, NULL);
}

/* Header, vector, name and control data all there. */
static long
call_recvmsg(void)
{
    struct msghdr *h = (void *)at();
    struct iovec *v = (void *)(at() + 100);

    *v = (struct iovec){at() + 200, 100};
    *h = (struct msghdr){.msg_name = at() + 400,
                         .msg_namelen = 50,
                         .msg_iov = v,
                         .msg_iovlen = 1,
                         .msg_control = at() + 600,
                         .msg_controllen = 200};
    return recvmsg(a[0], h, 0);
}

static long
call_recvmmsg(void)
{
    struct mmsghdr *h = (void *)(area + 2 * PAGE - sizeof *h);
    static struct iovec v;
    static char bytes[100];

    v = (struct iovec){bytes, sizeof bytes};
    h[0].msg_hdr = h[1].msg_hdr = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1};
    return recvmmsg(a[0], h, 2, 0, NULL);
}

static void
make_listener(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0copies"};

    a[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(a[0], (void *)&name, 9);
    listen(a[0], 5);
    a[1] = socket(AF_UNIX, SOCK_STREAM, 0);
}

static void
connect_it(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0copies"};

    connect(a[1], (void *)&name, 9);
}

static long
call_accept(void)
{
    *(socklen_t *)(void *)at() = 100;
    return accept(a[0], (void *)(at() + 8), (void *)at()) < 0 ? -1 : 0;
}

static long
call_poll(void)
{
    struct pollfd *p = (void *)at();

    *p = (struct pollfd){.fd = a[0], .events = POLLIN};
    return poll(p, 1, 100000);
}

static long
call_select(void)
{
    fd_set *s = (void *)at();

    FD_ZERO(s);
    FD_SET(a[0], s);
    return select(a[0] + 1, s, NULL, NULL, NULL);
}

static void
make_epoll(void)
{
    struct epoll_event e = {.events = EPOLLIN};

    make_pipe();
    third = epoll_create1(0);
    epoll_ctl(third, EPOLL_CTL_ADD, a[0], &e);
}

static long
call_epoll(void)
{
    return epoll_wait(third, (void *)at(), 5, 100000);
}

static long
call_wait4(void)
{
    return wait4(child, (void *)at(), 0, (void *)(at() + 8)) < 0 ? -1 : 0;
}

static long
call_waitid(void)
{
    return waitid(P_PID, (id_t)child, (void *)at(), WEXITED);
}

static void
make_child(void)
{
    make_pipe();
    fflush(stdout);
    child = fork();
    if (child == 0) {
        char c;

        close(a[1]);
        _exit(read(a[0], &c, 1) != 1);
    }
}

static void
reap(void)
{
    waitpid(child, NULL, WNOHANG);
}

static void
make_event(void)
{
    a[0] = a[1] = eventfd(0, 0);
}

static void
signal_event(void)
{
    uint64_t one = 7;

    if (write(a[1], &one, 8) != 8)
        printf("not written ");
}

static long
call_read8(void)
{
    return read(a[0], at(), 8);
}

static void
make_timer(void)
{
    a[0] = a[1] = timerfd_create(CLOCK_MONOTONIC, 0);
}

static void
arm_timer(void)
{
    struct itimerspec s = {.it_value.tv_nsec = 1};

    timerfd_settime(a[0], 0, &s, NULL);
}

static void
make_watch(void)
{
    a[0] = inotify_init();
    mkdtemp(strcpy(folder, "/tmp/copies-XXXXXX"));
    inotify_add_watch(a[0], folder, IN_CREATE);
}

static void
create_file(void)
{
    char name[40];

    snprintf(name, sizeof name, "%s/x", folder);
    mkdir(name, 0700);
}

static void
remove_folder(void)
{
    char name[40];

    snprintf(name, sizeof name, "%s/x", folder);
    rmdir(name);
    rmdir(folder);
}

static void
make_signalfd(void)
{
    sigset_t s;

    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    a[0] = a[1] = signalfd(-1, &s, 0);
}

static void
send_signal(void)
{
    kill(getpid(), SIGUSR2);
}

static void
send_other_signal(void)
{
    kill(getpid(), SIGHUP);
}

static long
call_sigtimedwait(void)
{
    struct timespec t = {100, 0};
    uint64_t set = 1ull << (SIGHUP - 1);

    return syscall(SYS_rt_sigtimedwait, &set, at(), &t, 8);
}

static void
take_signal(void)
{
    struct timespec t = {0, 0};
    sigset_t s;

    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    sigaddset(&s, SIGHUP);
    sigtimedwait(&s, NULL, &t);
}

static void
make_file(void)
{
    make_pipe();
    fcntl(a[1], F_SETPIPE_SZ, 4096);
    for (int k = 0; k < 4; k++)
        if (write(a[1], area + 0, 1024) != 1024)
            printf("not filled ");
    third = memfd_create("source", 0);
    if (write(third, "abcdefghijklmnopqrstuvwxyz", 26) != 26)
        printf("no file ");
}

static void
drain(void)
{
    char bytes[4096];

    if (read(a[0], bytes, sizeof bytes) != 4096)
        printf("not drained ");
}

static long
call_sendfile(void)
{
    *(off_t *)(void *)at() = 5;
    return sendfile(a[1], third, (void *)at(), 10);
}

static long
call_splice(void)
{
    *(off_t *)(void *)at() = 5;
    return splice(third, (void *)at(), a[1], NULL, 10, 0);
}

/* What it writes is read only when there is room. */
static long
call_write(void)
{
    memset(at(), 'w', 100);
    return write(a[1], at(), 100);
}

static long
call_writev(void)
{
    struct iovec *v = (void *)(area + 2 * PAGE - 64);

    memset(at(), 'w', 100);
    v[0] = (struct iovec){at(), 3};
    v[1] = (struct iovec){at() + 50, 100};
    return writev(a[1], v, 2);
}

static void
make_full_stream(void)
{
    static char bytes[4096];

    make_stream();
    fcntl(a[1], F_SETFL, O_NONBLOCK);
    while (write(a[1], bytes, sizeof bytes) > 0)
        ;
    fcntl(a[1], F_SETFL, 0);
}

static void
drain_all(void)
{
    static char bytes[65536];

    fcntl(a[0], F_SETFL, O_NONBLOCK);
    for (int k = 0; k < 40 && read(a[0], bytes, sizeof bytes) > 0; k++)
        ;
}

static long
call_send(void)
{
    memset(at(), 's', 100);
    return send(a[1], at(), 100, 0);
}

static long
call_nanosleep(void)
{
    struct timespec t = {100, 0};

    return syscall(SYS_nanosleep, &t, at());
}

static void
interrupt(void)
{
    pthread_kill(me->thread, SIGUSR1);
}

static void
nothing(void)
{
}

static const struct call calls[] = {
    {"read", make_pipe, call_read, put_ten, nothing},
    {"readv", make_pipe, call_readv, put_ten, nothing},
    {"read-stream", make_stream, call_read, put_ten, nothing},
    {"recvfrom", make_packets, call_recvfrom, two_messages, nothing},
    {"recvmsg", make_packets, call_recvmsg, two_messages, nothing},
    {"recvmmsg", make_packets, call_recvmmsg, two_messages, nothing},
    {"accept", make_listener, call_accept, connect_it, nothing},
    {"poll", make_pipe, call_poll, put_ten, nothing},
    {"select", make_pipe, call_select, put_ten, nothing},
    {"epoll_wait", make_epoll, call_epoll, put_ten, nothing},
    {"wait4", make_child, call_wait4, put_ten, reap},
    {"waitid", make_child, call_waitid, put_ten, reap},
    {"eventfd", make_event, call_read8, signal_event, nothing},
    {"timerfd", make_timer, call_read8, arm_timer, nothing},
    {"inotify", make_watch, call_read, create_file, remove_folder},
    {"signalfd", make_signalfd, call_read, send_signal, take_signal},
    {"rt_sigtimedwait", nothing, call_sigtimedwait, send_other_signal, take_signal},
    {"sendfile", make_file, call_sendfile, drain, nothing},
    {"splice", make_file, call_splice, drain, nothing},
    {"write", make_file, call_write, drain, nothing},
    {"writev", make_file, call_writev, drain, nothing},
    {"send", make_full_stream, call_send, drain_all, nothing},
    {"nanosleep", nothing, call_nanosleep, interrupt, nothing},
};

/* --- what becomes of the memory --- */

static void
unmap(void)
{
    munmap(at(), PAGE);
}

static void
forbid(void)
{
    mprotect(at(), PAGE, PROT_NONE);
}

static void
read_only(void)
{
    mprotect(at(), PAGE, PROT_READ);
}

static void
move(void)
{
    if (mremap(at(), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + 3 * PAGE) == MAP_FAILED)
        printf("not moved ");
}

static void
replace(void)
{
    mmap(at(), PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void
replace_beyond(void)
{
    int fd = memfd_create("short", 0);

    mmap(at(), PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, fd, 0);
    close(fd);
}

static void
shorten(void)
{
    if (ftruncate(memory, PAGE) != 0)
        printf("not shortened ");
}

static void
punch(void)
{
    if (fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE) != 0)
        printf("not punched ");
}

static void
fork_away(void)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(0);
    while (waitpid(pid, NULL, 0) < 0)
        ;
}

/* What the call's structures say is something else by then: it has read them once. */
static void
scribble(void)
{
    memset(at(), 0xff, PAGE);
}

static const struct {
    const char *name;
    void (*change)(void);
    bool shared;
} changes[] = {{"unmapped", unmap, false},   {"forbidden", forbid, false}, {"read-only", read_only, false},
               {"moved", move, false},       {"replaced", replace, false}, {"beyond", replace_beyond, false},
               {"shortened", shorten, true}, {"punched", punch, true},     {"forked", fork_away, false},
               {"scribbled", scribble, true}};

static void *
sleep_in_call(void *state)
{
    me = state;
    me->tid = (int)syscall(SYS_gettid);
    me->result = me->call->call();
    me->error = errno;
    return NULL;
}

static void
on_signal(int sig)
{
    (void)sig;
}

static int
open_files(void)
{
    int n = 0;

    for (int fd = 0; fd < 100; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* What is left to read, at the other end. Not asked where Linux takes an event away that it then cannot tell, and where
 * the bytes were copied before the call slept. */
static long
left(void)
{
    char bytes[8192];

    if (a[0] < 0 || a[0] == a[1] || me->call->make == make_watch || me->call->make == make_full_stream ||
        fcntl(a[0], F_SETFL, O_NONBLOCK) != 0)
        return -1;
    return read(a[0], bytes, sizeof bytes) < 0 ? -errno : 1;
}

static void
begin(struct state *s, const struct call *c, bool shared)
{
    *s = (struct state){.call = c};
    me = s;
    a[0] = a[1] = third = -1;
    memory = shared ? memfd_create("area", 0) : -1;
    if (shared && ftruncate(memory, AREA) != 0)
        _exit(8);
    area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, memory, 0);
    c->make();
}

static void
try(unsigned change)
{
    enum { CALLS = sizeof calls / sizeof *calls };
    static struct state states[CALLS];
    int before, after;

    for (unsigned k = 0; k < CALLS; k++)
        begin(&states[k], &calls[k], changes[change].shared);
    before = open_files();
    for (unsigned k = 0; k < CALLS; k++)
        pthread_create(&states[k].thread, NULL, sleep_in_call, &states[k]);
    for (unsigned k = 0; k < CALLS; k++)
        wait_until_sleeping(&states[k].tid);
    usleep(5000);
    for (unsigned k = 0; k < CALLS; k++) {
        me = &states[k];
        changes[change].change();
        me->call->wake();
    }
    for (unsigned k = 0; k < CALLS; k++)
        pthread_join(states[k].thread, NULL);
    after = open_files();
    for (unsigned k = 0; k < CALLS; k++) {
        me = &states[k];
        me->call->after();
        /* Linux reads the name's length again */
        if (changes[change].change != scribble || me->call->call != call_recvmsg)
            printf("%s %s: %ld %s, left %ld\n", me->call->name, changes[change].name, me->result,
                   me->result < 0 ? strerrorname_np(me->error) : "", left());
        munmap(area, AREA);
    }
    printf("%d more files\n", after - before);
    for (int fd = 3; fd < 100; fd++)
        close(fd);
}

/* --- what cannot be told --- */

static char *
last_bytes(unsigned n) /* before a page that is not there */
{
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    munmap(p + PAGE, PAGE);
    return p + PAGE - n;
}

static void
say(const char *what, long r)
{
    printf("%s: %ld %s, %d files\n", what, r, r < 0 ? strerrorname_np(errno) : "", open_files());
}

static void
untold_descriptors(void)
{
    struct clone_args {
        uint64_t flags, pidfd, rest[9];
    } c = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)last_bytes(2)};

    say("pipe", pipe((void *)last_bytes(4)));
    say("pipe at the end", pipe((void *)last_bytes(8)));
    say("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, (void *)last_bytes(4)));
    say("clone3", syscall(SYS_clone3, &c, 88));
    say("timer_create", syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, last_bytes(2)));
    for (int fd = 3; fd < 20; fd++)
        close(fd);
}

static void
send_files(int fd, int count)
{
    char control[CMSG_SPACE(3 * sizeof(int))] = {0}, byte = 'x';
    struct iovec v = {&byte, 1};
    struct msghdr h = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);

    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN((size_t)count * sizeof(int)),
                          .cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS};
    for (int k = 0; k < count; k++)
        memcpy(CMSG_DATA(c) + k * (int)sizeof(int), &fd, sizeof fd);
    say("sent", sendmsg(fd, &h, 0));
}

static void
untold_files(void)
{
    static const unsigned rooms[] = {0, 8, 16, 18, 20, 24, 32};
    char byte;

    for (unsigned k = 0; k < sizeof rooms / sizeof *rooms; k++) {
        struct iovec v = {&byte, 1};
        struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = last_bytes(rooms[k]), .msg_controllen = 64};

        socketpair(AF_UNIX, SOCK_STREAM, 0, a);
        send_files(a[0], 3);
        say("received", recvmsg(a[1], &h, 0));
        printf("room %u: flags %#x, %zu bytes of control data\n", rooms[k], h.msg_flags, h.msg_controllen);
        for (int fd = 3; fd < 20; fd++)
            close(fd);
    }
}

static void
untold_packets(void)
{
    struct mmsghdr *h = (void *)last_bytes(2 * sizeof *h - 4);
    static char bytes[10];
    struct iovec v = {bytes, 1};

    make_packets();
    /* The second length lies behind the end. */
    for (int k = 0; k < 2; k++)
        h[k].msg_hdr = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1};
    say("sendmmsg", sendmmsg(a[1], h, 2, 0));
    say("recvmmsg", recvmmsg(a[0], h, 2, MSG_DONTWAIT, NULL));
    say("none left", recv(a[0], bytes, 1, MSG_DONTWAIT));
    close(a[0]);
    close(a[1]);
}

static void
untold_events(unsigned flags)
{
    struct epoll_event e = {.events = EPOLLIN | flags};
    int fds[4], ep = epoll_create1(0);

    for (int k = 0; k < 4; k++) {
        fds[k] = eventfd(1, 0);
        e.data.u32 = (uint32_t)k;
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[k], &e);
    }
    printf("flags %#x\n", flags);
    for (int k = 0; k < 4; k++) {
        struct epoll_event *p = (void *)last_bytes(sizeof *p * (unsigned)(k == 3 ? 4 : k));
        int n = epoll_wait(ep, p, 4, 0);

        printf("room for %d: %d %s:", k, n, n < 0 ? strerrorname_np(errno) : "");
        for (int i = 0; i < n; i++)
            printf(" %u", p[i].data.u32);
        printf("\n");
    }
    for (int fd = 3; fd < 20; fd++)
        close(fd);
}

/* --- words that are changed by what they were --- */

static void
futex_words(void)
{
    static const uint32_t ops[] = {FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 9),
                                   FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_GT, 3),
                                   FUTEX_OP(FUTEX_OP_OR, 6, FUTEX_OP_CMP_NE, 3),
                                   FUTEX_OP(FUTEX_OP_ANDN, 3, FUTEX_OP_CMP_LT, 3),
                                   FUTEX_OP(FUTEX_OP_XOR, 0xfff, FUTEX_OP_CMP_LE, 3),
                                   FUTEX_OP((FUTEX_OP_ADD | FUTEX_OP_OPARG_SHIFT), 31, 5, 0),
                                   FUTEX_OP(7, 1, 0, 0)};
    uint32_t *read_only_word = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), word, other = 0;

    for (unsigned k = 0; k < sizeof ops / sizeof *ops; k++) {
        word = 9;
        say("wake_op", syscall(SYS_futex, &other, FUTEX_WAKE_OP, 1, 1, &word, ops[k]));
        printf("word %#x\n", word);
    }
    say("wake_op", syscall(SYS_futex, &other, FUTEX_WAKE_OP, 1, 1, read_only_word, ops[0]));
    word = 0;
    say("trylock", syscall(SYS_futex, &word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    say("trylock again", syscall(SYS_futex, &word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    printf("mine: %d\n", word == (uint32_t)syscall(SYS_gettid));
    say("unlock", syscall(SYS_futex, &word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    printf("word %#x\n", word);
    say("trylock", syscall(SYS_futex, read_only_word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
}

int
main(void)
{
    static struct state mine;
    struct sigaction sa = {.sa_handler = on_signal};
    sigset_t blocked;

    sigaction(SIGUSR1, &sa, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigaddset(&blocked, SIGHUP);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    for (int fd = 3; fd < 100; fd++)
        close(fd);
    for (unsigned k = 0; k < sizeof changes / sizeof *changes; k++)
        try(k);
    me = &mine;
    untold_descriptors();
    untold_files();
    untold_packets();
    untold_events(0);
    untold_events(EPOLLET);
    untold_events(EPOLLONESHOT);
    futex_words();
    return 0;
}
