/* What a call is given in memory changes while the call looks at it: another process, by shared memory, and
 * another thread write to it all the time. A call must see one state of each word, check that and use that:
 * what comes of it may be an error or a success, but never what no single reading allows. In the evaluator, and
 * with one processor, the words change while the call sleeps or gives way, in rewritten code on several
 * processors at every moment. The same on Linux. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "changer.h"

enum { GUARD = 0x5a };

static volatile int drain_from = -1; /* the changing thread reads from it */
static volatile uint64_t drained;
static char bytes[1 << 18];

static char *nowhere; /* a page that cannot be accessed */

static void
drain(void)
{
    static char sink[1 << 16];
    ssize_t n = drain_from >= 0 ? read(drain_from, sink, sizeof sink) : 0;

    if (n > 0)
        drained += n;
}

static void *
changing_thread(void *unused)
{
    change_for_ever(THREAD, drain);
    return unused;
}

static int
open_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* In a child: how it ended. */
static int
ends(void (*f)(void))
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        f();
        _exit(0);
    }
    must(pid > 0 && waitpid(pid, &status, 0) == pid, "a child");
    return status;
}

/* --- vectors --- */

/* A write that is longer than the pipe sleeps again and again, while the lengths change. */
static void
lengths(void)
{
    struct iovec *iov = take(2 * sizeof *iov);
    uint64_t sum = 0;
    int p[2];

    must(pipe(p) == 0, "pipe");
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    iov[0] = (struct iovec){bytes, 100000};
    iov[1] = (struct iovec){bytes, 1};
    CHANGE(iov[0].iov_len, 100000, 200000);
    CHANGE(iov[1].iov_len, 1, 2);
    drained = 0;
    drain_from = p[0];
    WHILE_CHANGING
    {
        ssize_t n = writev(p[1], iov, 2);

        must(n == 100001 || n == 100002 || n == 200001 || n == 200002, "the length of a written vector");
        sum += n;
    }
    while (drained < sum)
        sched_yield();
    drain_from = -1;
    stop_changes();
    must(drained == sum && read(p[0], bytes, 1) == -1 && errno == EAGAIN, "the bytes of written vectors");
    close(p[0]);
    close(p[1]);
}

static void
bases(void)
{
    struct iovec *iov = take(3 * sizeof *iov);
    uint64_t sum = 0;
    int p[2];

    must(pipe(p) == 0, "pipe");
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    for (int k = 0; k < 3; k++) {
        iov[k] = (struct iovec){bytes, 8};
        CHANGE(iov[k].iov_base, (uint64_t)bytes, (uint64_t)nowhere, (uint64_t)nowhere - 4, -8ul);
        CHANGE(iov[k].iov_len, 8, -1ul, 0);
    }
    WHILE_CHANGING
    {
        ssize_t n = writev(p[1], iov, 3), got;

        must(n <= 24 && (n >= 0 || errno == EFAULT || errno == EINVAL), "a vector with bad parts");
        sum = n > 0 ? n : 0;
        got = read(p[0], bytes, sizeof bytes);
        must(sum ? got == (ssize_t)sum : got < 0, "what a vector with bad parts wrote");
        n = write(p[1], bytes, 64);
        n = readv(p[0], iov, 3);
        must(n <= 24 && (n >= 0 || errno == EFAULT || errno == EINVAL), "a vector to read into with bad parts");
        read(p[0], bytes, sizeof bytes);
    }
    stop_changes();
    close(p[0]);
    close(p[1]);
}

/* --- messages --- */

struct message {
    struct msghdr h;
    struct iovec iov[2];
    struct sockaddr_un name;
    _Alignas(8) struct {
        struct cmsghdr h;
        int fds[2];
    } control;
    char data[64], guard[64];
};

static void
take_message(int fd)
{
    _Alignas(8) char control[256], data[256];
    struct iovec iov = {data, sizeof data};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n;

    while ((n = recvmsg(fd, &h, MSG_DONTWAIT)) >= 0) {
        must(n == 8 || n == 16, "the length of a message");
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
            for (size_t k = 0; c->cmsg_type == SCM_RIGHTS && CMSG_LEN((k + 1) * sizeof(int)) <= c->cmsg_len; k++)
                close(((int *)CMSG_DATA(c))[k]);
        h.msg_controllen = sizeof control;
    }
}

static void
messages(void)
{
    struct message *m = take(sizeof *m);
    int s[2], before;

    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0, "socketpair");
    before = open_descriptors();
    m->iov[0] = m->iov[1] = (struct iovec){m->data, 8};
    m->h = (struct msghdr){.msg_iov = m->iov, .msg_iovlen = 1, .msg_control = &m->control, .msg_controllen = 24};
    m->control.h = (struct cmsghdr){.cmsg_len = 20, .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    m->name.sun_family = AF_UNIX;
    strcpy(m->name.sun_path, "/nobody");
    CHANGE(m->h.msg_iovlen, 1, 2, 1025);
    CHANGE(m->h.msg_controllen, 0, 20, 24, 1ul << 40);
    CHANGE(m->h.msg_name, 0, (uint64_t)&m->name, (uint64_t)nowhere);
    CHANGE(m->h.msg_namelen, 0, 10, 110, -1u);
    CHANGE(m->control.h.cmsg_len, 20, 24, 16, 1ul << 40);
    CHANGE(m->control.h.cmsg_type, SCM_RIGHTS, SCM_CREDENTIALS, 77);
    CHANGE(m->control.fds[0], 0, 1, -1u, 12345);
    CHANGE(m->control.fds[1], 0, 1, -1u, 12345);
    WHILE_CHANGING
    {
        ssize_t n = sendmsg(s[0], &m->h, MSG_DONTWAIT);

        must(n == 8 || n == 16 || n == -1, "a message sent");
        take_message(s[1]);
    }
    stop_changes();
    must(open_descriptors() == before, "descriptors that messages carried");
    close(s[0]);
    close(s[1]);
}

/* The header is read at the start and written at the end, the lengths in between are the guest's. */
static void
receives(void)
{
    struct message *m = take(sizeof *m);
    int s[2];

    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0, "socketpair");
    memset(m->guard, GUARD, sizeof m->guard);
    m->iov[0] = m->iov[1] = (struct iovec){m->data, 8};
    m->h = (struct msghdr){.msg_iov = m->iov, .msg_iovlen = 1, .msg_name = &m->name, .msg_namelen = sizeof m->name};
    CHANGE(m->iov[0].iov_len, 0, 8, 64);
    CHANGE(m->h.msg_iovlen, 1, 2, 0);
    CHANGE(m->h.msg_namelen, 0, 2, 110, -1u);
    CHANGE(m->h.msg_control, 0, (uint64_t)&m->control, (uint64_t)nowhere);
    CHANGE(m->h.msg_controllen, 0, 16, 24);
    WHILE_CHANGING
    {
        ssize_t n;

        must(send(s[0], bytes, 200, 0) == 200, "a long message");
        n = recvmsg(s[1], &m->h, MSG_DONTWAIT);
        must(n <= 72, "a message received");
        recv(s[1], bytes, sizeof bytes, MSG_DONTWAIT);
        for (unsigned k = 0; k < sizeof m->guard; k++)
            must(m->guard[k] == GUARD, "what is behind a message's buffer");
    }
    stop_changes();
    close(s[0]);
    close(s[1]);
}

static void
addresses(void)
{
    struct {
        struct sockaddr_un name;
        char guard[64];
        socklen_t length;
    } *a = take(sizeof *a), first, second;

    a->name.sun_family = AF_UNIX;
    memset(a->guard, GUARD, sizeof a->guard);
    CHANGE(a->name.sun_family, AF_UNIX, AF_INET, 0);
    CHANGE(a->name.sun_path[0], 0, 'x');
    CHANGE(a->name.sun_path[4], 'a', 0, 'b');
    CHANGE(a->length, 0, 2, 110, -1u);
    WHILE_CHANGING
    {
        int s = socket(AF_UNIX, SOCK_STREAM, 0), r = bind(s, (void *)&a->name, 2 + 6);
        socklen_t n = sizeof first.name, k = sizeof second.name;

        must(r == 0 || errno == EINVAL || errno == EADDRINUSE || errno == EAFNOSUPPORT, "a name");
        must(getsockname(s, (void *)&first.name, &n) == 0 && getsockname(s, (void *)&second.name, &k) == 0 && n == k &&
                 memcmp(&first.name, &second.name, n) == 0 && first.name.sun_family == AF_UNIX,
             "the name that a socket has");
        r = getsockname(s, (void *)&a->name, &a->length);
        must(r == 0 || errno == EINVAL, "a name told");
        for (unsigned i = 0; i < sizeof a->guard; i++)
            must(a->guard[i] == GUARD, "what is behind an address");
        if (first.name.sun_path[0] == 'x')
            unlink(first.name.sun_path);
        close(s);
    }
    stop_changes();
}

/* Lengths of messages within the bytes that are sent. */
static void
netlink_requests(void)
{
    struct {
        struct nlmsghdr h[2];
        struct rtgenmsg g;
    } *m = take(sizeof *m);
    int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

    must(s >= 0, "a netlink socket");
    m->h[0] = (struct nlmsghdr){.nlmsg_len = 20, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP};
    m->h[1] = m->h[0];
    CHANGE(m->h[0].nlmsg_len, 16, 20, 0, -1u);
    CHANGE(m->h[0].nlmsg_type, RTM_GETLINK, RTM_GETADDR, 3, 999);
    CHANGE(m->h[1].nlmsg_len, 16, 20, 0, -1u);
    WHILE_CHANGING
    {
        send(s, m, sizeof *m, MSG_DONTWAIT);
        while (recv(s, bytes, sizeof bytes, MSG_DONTWAIT) >= 0)
            ;
    }
    stop_changes();
    close(s);
}

/* --- strings --- */

static uint64_t
word_of(const char *text)
{
    uint64_t word = 0;

    memcpy(&word, text, strlen(text));
    return word;
}

static void
paths(void)
{
    uint64_t *path = take(8);
    char *last = nowhere - 1, name[64], link[64];

    close(open("./one", O_CREAT | O_WRONLY, 0600));
    close(open("./two", O_CREAT | O_WRONLY, 0600));
    *path = word_of("./one");
    memset(nowhere - 64, 'x', 64);
    *last = 0;
    CHANGE(*path, word_of("./one"), word_of("./two"));
    CHANGE(*last, 0, 'x');
    CHANGE(nowhere[-2], '/', 'x', '.', 0);
    WHILE_CHANGING
    {
        int fd = open((char *)path, O_RDONLY);
        ssize_t n;

        must(fd >= 0, "one of two files");
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        n = readlink(name, link, sizeof link - 1);
        must(n >= 4 && (memcmp(link + n - 4, "/one", 4) == 0 || memcmp(link + n - 4, "/two", 4) == 0), "its name");
        close(fd);
        fd = open(nowhere - 64, O_RDONLY);
        must(fd == -1 && (errno == ENOENT || errno == EFAULT), "a path that may have no end");
        prctl(PR_SET_NAME, nowhere - 20);
        prctl(PR_GET_NAME, name);
        must(strlen(name) < 16, "the length of a thread's name");
    }
    stop_changes();
}

static char **arguments, **environment_;

static void
exec_self(void)
{
    execve("/proc/self/exe", arguments, environment_);
    must(errno == EFAULT, "exec");
}

static void
programs(void)
{
    uint64_t *strings = take(64);

    arguments = take(6 * sizeof *arguments);
    environment_ = take(3 * sizeof *environment_);
    strings[0] = word_of("aaaaaaa");
    strings[1] = word_of("bbbbbbb");
    arguments[0] = (char *)"exec-child";
    arguments[1] = environment_[0] = (char *)strings;
    CHANGE(strings[0], word_of("aaaaaaa"), word_of("aaaaaaaa"), word_of("aa"), 0);
    for (int k = 1; k < 5; k++)
        CHANGE(arguments[k], 0, (uint64_t)strings, (uint64_t)(strings + 1), (uint64_t)nowhere);
    CHANGE(environment_[1], 0, (uint64_t)strings);
    WHILE_CHANGING must(ends(exec_self) == 0, "a program with changing arguments");
    stop_changes();
}

/* What the program that was started so sees. Linux measures a string before it copies it, so that one that became
 * longer meanwhile has no end of its own. */
static int
check_arguments(int argc, char **argv, char **envp)
{
    size_t size = 0;
    int n = 0, m = 0;

    while (argv[n])
        size += strlen(argv[n++]);
    while (envp[m])
        size += strlen(envp[m++]);
    return argc != n || n > 5 || m > 2 || size > 1000;
}

/* --- numbers that are checked --- */

static void
numbers(void)
{
    struct {
        struct rlimit limit;
        struct itimerspec timer;
        struct timeval timeout;
        struct timespec wait;
        struct flock lock;
        struct pollfd fds[2];
        fd_set set;
    } *v = take(sizeof *v);
    struct rlimit limit = {1, 1000};
    struct itimerspec timer;
    struct timeval timeout;
    socklen_t n = sizeof timeout;
    int t = timerfd_create(CLOCK_MONOTONIC, 0), s = socket(AF_UNIX, SOCK_STREAM, 0);
    int f = open("./one", O_RDWR | O_CREAT, 0600);

    must(setrlimit(RLIMIT_LOCKS, &limit) == 0, "a limit");
    v->limit = limit;
    v->timer.it_value.tv_sec = 1000;
    v->fds[0] = v->fds[1] = (struct pollfd){.fd = -1, .events = POLLOUT};
    v->lock = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    CHANGE(v->limit.rlim_cur, 1, 1000, 1001, RLIM_INFINITY);
    CHANGE(v->timer.it_value.tv_nsec, 5, 999999999, 1000000000, -1ul);
    CHANGE(v->timer.it_interval.tv_nsec, 0, 7, 1000000000);
    CHANGE(v->timeout.tv_usec, 0, 1000, 999999, 1000000);
    CHANGE(v->wait.tv_nsec, 1, 1000000000, -1ul);
    CHANGE(v->lock.l_type, F_RDLCK, F_WRLCK, 77);
    CHANGE(v->lock.l_len, 0, 1, -1ul, INT64_MAX);
    CHANGE(v->lock.l_start, 0, 1, INT64_MAX, -1ul);
    CHANGE(v->fds[0].fd, -1u, 0, f, 99999);
    CHANGE(v->fds[1].events, 0, POLLIN, POLLOUT, 0xffff);
    CHANGE(*(uint64_t *)&v->set, 0, 1, 1ul << f, -1ul);
    WHILE_CHANGING
    {
        struct flock unlock = {.l_type = F_UNLCK};
        fd_set set;
        int r;

        r = setrlimit(RLIMIT_LOCKS, &v->limit);
        must(r == 0 || errno == EINVAL || errno == EPERM, "a changing limit");
        must(getrlimit(RLIMIT_LOCKS, &limit) == 0 && limit.rlim_cur <= limit.rlim_max, "a limit within its bound");
        r = timerfd_settime(t, 0, &v->timer, NULL);
        must(r == 0 || errno == EINVAL, "a changing timer");
        must(timerfd_gettime(t, &timer) == 0 && timer.it_value.tv_nsec < 1000000000 &&
                 timer.it_interval.tv_nsec < 1000000000,
             "a timer's nanoseconds");
        r = setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &v->timeout, sizeof v->timeout);
        must(r == 0 || errno == EDOM, "a changing timeout");
        must(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &timeout, &n) == 0 && timeout.tv_usec < 1000000,
             "a timeout's microseconds");
        r = nanosleep(&v->wait, NULL);
        must(r == 0 || errno == EINVAL, "a changing sleep");
        r = fcntl(f, F_SETLK, &v->lock);
        must(r == 0 || errno == EINVAL || errno == EOVERFLOW, "a changing lock");
        must(fcntl(f, F_SETLK, &unlock) == 0, "to unlock");
        r = poll(v->fds, 2, 0);
        must(r >= 0 && r <= 2, "a changing set of descriptors");
        set = v->set;
        r = select(f + 1, NULL, &v->set, NULL, &(struct timeval){0});
        must((r >= 0 && r <= f + 1) || errno == EBADF, "a changing set of bits");
    }
    stop_changes();
    close(t);
    close(s);
    close(f);
}

/* --- futexes --- */

static uint32_t *words;

static void
futexes(void)
{
    struct timespec soon = {0, 100000};
    pid_t tid = syscall(SYS_gettid);

    words = take(64);
    CHANGE(words[0], 0, 1, 2, 3);
    CHANGE(words[1], 0, tid, FUTEX_WAITERS, FUTEX_OWNER_DIED);
    WHILE_CHANGING
    {
        int op = FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_GT, 0);
        int r;

        r = syscall(SYS_futex, words, FUTEX_WAIT, 1, &soon, NULL, 0);
        must(r == 0 || errno == EAGAIN || errno == ETIMEDOUT, "a wait");
        r = syscall(SYS_futex, words + 2, FUTEX_WAKE_OP, 1, (void *)1, words, op);
        must(r == 0, "a wake with an operation");
        r = syscall(SYS_futex, words, FUTEX_CMP_REQUEUE, 1, (void *)1, words + 2, 1);
        must(r == 0 || errno == EAGAIN, "a requeue");
        r = syscall(SYS_futex, words + 1, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0);
        if (r == 0)
            syscall(SYS_futex, words + 1, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
    }
    stop_changes();
}

static struct robust_list_head *robust_head;

static void *
die_with_locks(void *unused)
{
    syscall(SYS_set_robust_list, robust_head, sizeof *robust_head);
    return unused;
}

static void
die_often(void)
{
    for (int k = 0; k < 4; k++) {
        pthread_t t;

        if (pthread_create(&t, NULL, die_with_locks, NULL) == 0)
            pthread_join(t, NULL);
    }
}

/* The list of locks of who dies: its links lead in circles, nowhere and back, and change. */
static void
robust_lists(void)
{
    struct robust_list *entries = take(4 * 64);

    robust_head = take(sizeof *robust_head);
    robust_head->futex_offset = 8;
    CHANGE(robust_head->list.next, (uint64_t)entries, (uint64_t)(entries + 2), (uint64_t)robust_head,
           (uint64_t)nowhere);
    CHANGE(entries[0].next, (uint64_t)(entries + 2), (uint64_t)robust_head, (uint64_t)entries);
    CHANGE(entries[2].next, (uint64_t)entries, (uint64_t)robust_head, 1, (uint64_t)nowhere);
    CHANGE(robust_head->futex_offset, 8, 9, -1ul, 1ul << 40);
    CHANGE(robust_head->list_op_pending, 0, (uint64_t)entries, (uint64_t)nowhere);
    WHILE_CHANGING must(ends(die_often) == 0, "to die with changing locks");
    stop_changes();
}

/* --- signal frames --- */

static void
on_signal(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    (void)context;
    sched_yield();
}

static uint64_t
    *frame_found; /* the floating-point state in the frame on the alternate stack, which is the same each time */

static void
find_frame(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    *frame_found = (uint64_t)((ucontext_t *)context)->uc_mcontext.fpregs;
}

static stack_t alternate;

static void
handle(void (*f)(int, siginfo_t *, void *))
{
    struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigaltstack(&alternate, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
}

static void
find_in_child(void)
{
    handle(find_frame);
}

/* Its floating-point state is checked and then loaded: MXCSR with reserved bits would be the processor's #GP. */
static void
return_often(void)
{
    for (int k = 0; k < 50; k++) {
        uint32_t mxcsr;

        handle(on_signal);
        __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
        if (mxcsr & 0xffff0000)
            _exit(3);
    }
}

static void
signal_frames(void)
{
    enum { MXCSR = 24, MAGIC = 464, COMPONENTS = 472, SIZE = 480, HEADER = 512 };
    char *fp;
    int status;

    alternate = (stack_t){.ss_sp = take(64 << 10), .ss_size = 64 << 10};
    frame_found = take(8);
    must(ends(find_in_child) == 0 && *frame_found, "a signal frame");
    fp = (char *)*frame_found;
    CHANGE(*(uint32_t *)(fp + MXCSR), 0x1f80, 0x1f80, 0xffffffff, 0x1fa0);
    CHANGE(*(uint32_t *)(fp + MAGIC), FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC1, 0);
    CHANGE(*(uint32_t *)(fp + COMPONENTS), 3, 7, 2, -1u);
    CHANGE(*(uint64_t *)(fp + HEADER), 3, 7, 0, 1ul << 62);
    CHANGE(*(uint64_t *)(fp + HEADER + 8), 0, 0, 0, 1ul << 63);
    CHANGE(*(uint64_t *)(fp + HEADER + 16), 0, 0, 0, 1);
    WHILE_CHANGING
    {
        status = ends(return_often);
        must(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV), "to return by a changing frame");
    }
    stop_changes();
}

/* --- fork --- */

enum { FEW = 100, MANY = 600 }; /* a fork copies few pages, and shares many until somebody writes */
static volatile uint64_t (*pages)[PAGE / 8];
static unsigned page_count;
static volatile int writing;

/* Writes the first word of a page, then the last, and finds again what it wrote before. */
static void *
write_pages(void *lost)
{
    enum { ROUNDS_IN_A_ROW = 16 };
    uint64_t last[MANY] = {0};

    for (uint64_t n = 1; writing; n++) {
        unsigned k = n % page_count;

        if (pages[k][0] != last[k] || pages[k][PAGE / 8 - 1] != last[k])
            *(volatile int *)lost = 1;
        pages[k][0] = n;
        pages[k][PAGE / 8 - 1] = n;
        last[k] = n;
        if (n % ((uint64_t)page_count * ROUNDS_IN_A_ROW) == 0)
            sched_yield();
    }
    return NULL;
}

static void
check_pages(void)
{
    for (unsigned k = 0; k < page_count; k++) {
        if (pages[k][0] < pages[k][PAGE / 8 - 1])
            _exit(1); /* each page is what it was at one moment */
        pages[k][5] = k;
        if (pages[k][5] != k)
            _exit(2);
    }
}

static void
forks(unsigned count)
{
    pthread_t t;
    volatile int lost = 0;

    page_count = count;
    pages = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    writing = 1;
    must(pthread_create(&t, NULL, write_pages, (void *)&lost) == 0, "a thread");
    for (uint64_t end = now_ms() + 300; now_ms() < end;)
        must(ends(check_pages) == 0, "what a child has of its parent's memory");
    writing = 0;
    pthread_join(t, NULL);
    must(!lost, "what a thread writes while another forks");
    munmap((void *)pages, count * PAGE);
}

static void
forks_of_few(void)
{
    forks(FEW);
}

static void
forks_of_many(void)
{
    forks(MANY);
}

int
main(int argc, char **argv, char **envp)
{
    static void (*const attacks[])(void) = {
        lengths,  bases,   messages, receives,     addresses,     netlink_requests, paths,
        programs, numbers, futexes,  robust_lists, signal_frames, forks_of_few,     forks_of_many,
    };
    pthread_t t;
    pid_t pid;

    if (argc > 0 && strcmp(argv[0], "exec-child") == 0)
        return check_arguments(argc, argv, envp);
    setvbuf(stdout, NULL, _IOLBF, 0);
    share();
    nowhere = (char *)shared + SHARED;
    mprotect(nowhere, PAGE, PROT_NONE);
    pid = changing_process();
    must(pthread_create(&t, NULL, changing_thread, NULL) == 0, "a changing thread");
    changers |= 1u << THREAD;
    second_writer(shared);
    stop_changes();
    for (unsigned k = 0; k < sizeof attacks / sizeof *attacks; k++)
        attacks[k]();
    second_writer(NULL);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    puts("survived");
    fflush(stdout);
    _exit(0);
}
