/* Listeners of seccomp (seccomp_unotify(2)): who listens to a filter decides what becomes of calls. */
#include "seccomp.h"

#include <pthread.h>
#include <sys/epoll.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

enum { ASKED = 500 }; /* the call that is asked about */

static int
listener(unsigned flags)
{
    no_new_privs();
    return (int)filter_call(SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, ASKED, SECCOMP_RET_USER_NOTIF);
}

/* What a child prints goes to a file of its own until it has ended, so that it comes at the same place always. */
static void
write_apart(void)
{
    char name[32];
    int fd;

    sprintf(name, "out-%d", getpid());
    fd = open(name, O_RDWR | O_CREAT | O_APPEND, 0644);
    dup2(fd, 1);
    close(fd);
}

static pid_t
child_apart(int (*f)(void *), void *argument)
{
    pid_t pid = fork();

    if (pid == 0) {
        write_apart();
        exit(f(argument));
    }
    return pid;
}

static void
end_of(const char *who, pid_t pid)
{
    char name[32], text[1024];
    ssize_t n;
    int fd;

    say_end(who, pid);
    sprintf(name, "out-%d", pid);
    fd = open(name, O_RDONLY);
    while (fd >= 0 && (n = read(fd, text, sizeof text)) > 0)
        write(1, text, (size_t)n);
    close(fd);
}

static int
ask(void *argument)
{
    long r = syscall(ASKED, 11, 22, 33, 44, 55, 66);

    say("asked: %ld %s", r, r == -1 ? strerrorname_np(errno) : "");
    return 3;
}

static int
receive(int fd, struct seccomp_notif *n)
{
    memset(n, 0, sizeof *n);
    return ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, n);
}

static int
answer(int fd, uint64_t id, int error, long value, unsigned flags)
{
    struct seccomp_notif_resp r = {.id = id, .error = error, .val = value, .flags = flags};

    return ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

static int
events(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM};

    poll(&p, 1, 0);
    return p.revents;
}

CASE(listener_descriptor)
{
    char path[64], name[64] = "";
    char c;
    int fd = listener(0);

    SHOW(fd);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL));
    sprintf(path, "/proc/self/fd/%d", fd);
    readlink(path, name, sizeof name - 1);
    say("%s", name);
    SHOW(read(fd, &c, 1));
    SHOW(write(fd, "x", 1));
    SHOW(lseek(fd, 0, SEEK_SET));
    OK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    SHOW(ioctl(fd, FIONREAD, &c));
    SHOW(ioctl(fd, 0, &c));
    SHOW(events(fd));
}

CASE(one_listener_at_a_time)
{
    int fd = listener(0);

    SHOW(listener(0));
    say_seccomp();
    SHOW(filter_call(0, 501, SECCOMP_RET_ERRNO));
    close(fd);
    SHOW(listener(0));
    say_seccomp();
}

CASE(listener_needs_a_descriptor)
{
    struct rlimit none = {3, 3};

    setrlimit(RLIMIT_NOFILE, &none);
    SHOW(listener(0));
    say_seccomp();
}

CASE(listener_flags)
{
    no_new_privs();
    SHOW(filter_call(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, ASKED, SECCOMP_RET_USER_NOTIF));
    SHOW(filter_call(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC, ASKED, SECCOMP_RET_USER_NOTIF));
    SHOW(filter_call(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
                     ASKED, SECCOMP_RET_USER_NOTIF));
    SHOW(close(3));
    SHOW(filter_call(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, ASKED,
                     SECCOMP_RET_USER_NOTIF));
}

CASE(answer_with_a_value)
{
    struct seccomp_notif n;
    int fd = listener(0);
    pid_t pid = child_apart(ask, NULL);

    SHOW(receive(fd, &n));
    say("pid %d flags %u nr %d arch %x args %lld %lld %lld %lld %lld %lld", n.pid == pid, n.flags, n.data.nr,
        n.data.arch, n.data.args[0], n.data.args[1], n.data.args[2], n.data.args[3], n.data.args[4], n.data.args[5]);
    SHOW(answer(fd, n.id, 0, 1234567890123, 0));
    end_of("child", pid);
}

CASE(answer_with_an_error)
{
    static const int errors[] = {-EPERM, -ENOSYS, -4095, 7, -4, -512, -516, -5000};
    struct seccomp_notif n;
    int fd = listener(0);

    for (unsigned k = 0; k < COUNT(errors); k++) {
        pid_t pid = fork();

        if (pid == 0) {
            write_apart();
            long r = syscall(ASKED);

            say("%ld %d", r, r == -1 ? errno : 0);
            _exit(0);
        }
        receive(fd, &n);
        SHOW(answer(fd, n.id, errors[k], 9, 0));
        end_of("child", pid);
    }
}

CASE(answer_that_goes_on)
{
    struct seccomp_notif n;
    int fd;

    no_new_privs();
    fd = (int)filter_call(SECCOMP_FILTER_FLAG_NEW_LISTENER, SYS_dup, SECCOMP_RET_USER_NOTIF);
    pid_t pid = fork();
    if (pid == 0) {
        write_apart();
        SHOW(dup(1) > 1);
        SHOW(dup(99));
        _exit(0);
    }
    for (int k = 0; k < 2; k++) {
        receive(fd, &n);
        SHOW(answer(fd, n.id, 1, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
        SHOW(answer(fd, n.id, 0, 1, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
        SHOW(answer(fd, n.id, 0, 0, 2));
        SHOW(answer(fd, n.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
    }
    end_of("child", pid);
}

CASE(answers_that_are_wrong)
{
    struct seccomp_notif n;
    int fd = listener(0);
    pid_t pid = child_apart(ask, NULL);

    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, NULL));
    memset(&n, 0, sizeof n);
    n.flags = 1;
    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n));
    SHOW(answer(fd, 12345, 0, 0, 0));
    SHOW(receive(fd, &n));
    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, NULL));
    SHOW(answer(fd, n.id + 1, 0, 0, 0));
    SHOW(answer(fd, n.id, 0, 5, 0));
    end_of("child", pid);
    SHOW(answer(fd, n.id, 0, 5, 0));
}

CASE(answer_before_it_was_received)
{
    struct seccomp_notif n;
    uint64_t id;
    int fd = listener(0);
    pid_t pid = child_apart(ask, NULL), other;

    SHOW(receive(fd, &n));
    other = child_apart(ask, NULL);
    while (!(events(fd) & POLLIN))
        sleep_ms(1);
    id = n.id + 1; /* the next one */
    SHOW(answer(fd, id, 0, 1, 0));
    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
    SHOW(ioctl(fd, SECCOMP_IOR(2, __u64), &n.id));
    SHOW(answer(fd, n.id, 0, 2, 0));
    end_of("child", pid);
    SHOW(receive(fd, &n));
    say("%d", n.id == id);
    SHOW(answer(fd, id, 0, 1, 0));
    end_of("child", other);
    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, NULL));
}

CASE(received_to_a_bad_address)
{
    struct seccomp_notif n, *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = listener(0);
    pid_t pid = child_apart(ask, NULL);

    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, page));
    SHOW(events(fd));
    SHOW(receive(fd, &n));
    SHOW(answer(fd, n.id, 0, 6, 0));
    end_of("child", pid);
}

CASE(listener_events)
{
    struct seccomp_notif n;
    int fd = listener(0);
    pid_t pid = child_apart(ask, NULL);

    while (!events(fd))
        sleep_ms(1);
    SHOW(events(fd));
    SHOW(receive(fd, &n));
    SHOW(events(fd));
    SHOW(answer(fd, n.id, 0, 6, 0));
    SHOW(events(fd));
    end_of("child", pid);
    SHOW(events(fd));
}

CASE(listener_in_epoll)
{
    struct epoll_event v = {.events = EPOLLIN | EPOLLOUT | EPOLLHUP}, out = {0};
    struct seccomp_notif n;
    int fd = listener(0), e = epoll_create1(0);
    pid_t pid;

    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, fd, &v));
    SHOW(epoll_wait(e, &out, 1, 0));
    pid = child_apart(ask, NULL);
    SHOW(epoll_wait(e, &out, 1, 5000));
    SHOW(out.events);
    receive(fd, &n);
    SHOW(epoll_wait(e, &out, 1, 5000));
    SHOW(out.events);
    answer(fd, n.id, 0, 6, 0);
    end_of("child", pid);
    SHOW(epoll_wait(e, &out, 1, 0));
}

/* A child that has a filter with a listener, whose descriptor this process takes by SCM_RIGHTS. */
static int
listener_of_child(pid_t *pid, int (*then)(void *))
{
    int s[2], fd = -1;
    char byte, room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *c = (void *)room;

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    *pid = fork();
    if (*pid == 0) {
        write_apart();
        fd = listener(0);
        *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
        sendmsg(s[1], &m, 0);
        close(fd);
        close(s[1]);
        exit(then(NULL));
    }
    recvmsg(s[0], &m, 0);
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    close(s[0]);
    close(s[1]);
    return fd;
}

static int
leave(void *argument)
{
    return 4;
}

CASE(listener_without_users)
{
    struct seccomp_notif n;
    pid_t pid;
    int fd = listener_of_child(&pid, leave);

    end_of("child", pid);
    SHOW(events(fd));
    SHOW(receive(fd, &n));
}

static int
leave_late(void *argument)
{
    sleep_ms(100);
    return 4;
}

CASE(receiving_ends_with_the_users)
{
    struct seccomp_notif n;
    pid_t pid;
    int fd = listener_of_child(&pid, leave_late);

    SHOW(receive(fd, &n));
    SHOW(events(fd));
    end_of("child", pid);
}

static int
two_leave(void *argument)
{
    if (fork() == 0) {
        sleep_ms(150);
        ask(NULL);
        _exit(0);
    }
    return 4;
}

CASE(children_are_users)
{
    struct seccomp_notif n;
    pid_t pid;
    int fd = listener_of_child(&pid, two_leave);

    end_of("child", pid);
    SHOW(events(fd));
    SHOW(receive(fd, &n));
    SHOW(answer(fd, n.id, 0, 8, 0));
    while (!(events(fd) & POLLHUP))
        sleep_ms(1);
    SHOW(events(fd));
}

CASE(listener_is_closed)
{
    int fd = listener(0);
    pid_t pid = child_apart(ask, NULL), second = child_apart(ask, NULL);

    /* The children have it, too. */
    sleep_ms(50);
    kill(second, SIGKILL);
    end_of("second", second);
    kill(pid, SIGKILL);
    end_of("first", pid);
    SHOW(close(fd));
    end_of("third", child_apart(ask, NULL));
}

CASE(listener_is_closed_while_it_is_asked)
{
    struct seccomp_notif n;
    pid_t pid;
    int fd = listener_of_child(&pid, ask);

    SHOW(receive(fd, &n));
    SHOW(close(fd));
    end_of("child", pid);
}

CASE(listener_is_closed_before_it_received)
{
    pid_t pid;
    int fd = listener_of_child(&pid, ask);

    while (!events(fd))
        sleep_ms(1);
    SHOW(close(fd));
    end_of("child", pid);
}

/* --- signals --- */

static void
nothing(int sig)
{
    write(1, "handler\n", 8);
}

static int
ask_with_handler(void *flags)
{
    struct sigaction a = {.sa_handler = nothing, .sa_flags = (int)(long)flags};

    sigaction(SIGUSR1, &a, NULL);
    return ask(NULL);
}

CASE(a_signal_ends_the_question)
{
    struct seccomp_notif n, m;
    int fd = listener(0);
    pid_t pid = child_apart(ask_with_handler, (void *)0);

    SHOW(receive(fd, &n));
    kill(pid, SIGUSR1);
    end_of("child", pid);
    SHOW(answer(fd, n.id, 0, 8, 0));
    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
}

CASE(a_question_that_was_not_received_is_gone)
{
    struct seccomp_notif n;
    int fd = listener(0);
    pid_t pid = child_apart(ask_with_handler, (void *)0);

    while (!events(fd))
        sleep_ms(1);
    kill(pid, SIGUSR1);
    end_of("child", pid);
    SHOW(events(fd));
    SHOW(receive(fd, &n));
}

CASE(a_question_is_asked_again)
{
    struct seccomp_notif n, m;
    int fd = listener(0);
    pid_t pid = child_apart(ask_with_handler, (void *)SA_RESTART);

    SHOW(receive(fd, &n));
    kill(pid, SIGUSR1);
    SHOW(receive(fd, &m));
    say("%d", n.id != m.id);
    SHOW(answer(fd, n.id, 0, 8, 0));
    SHOW(answer(fd, m.id, 0, 9, 0));
    end_of("child", pid);
}

CASE(only_death_ends_a_question_that_was_received)
{
    struct seccomp_notif n;
    int fd = listener(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    pid_t pid = child_apart(ask_with_handler, (void *)0);

    SHOW(receive(fd, &n));
    kill(pid, SIGUSR1);
    sleep_ms(50);
    SHOW(answer(fd, n.id, 0, 8, 0));
    end_of("child", pid);
    pid = child_apart(ask_with_handler, (void *)0);
    SHOW(receive(fd, &n));
    kill(pid, SIGKILL);
    end_of("child", pid);
    SHOW(answer(fd, n.id, 0, 8, 0));
}

CASE(a_receiver_is_interrupted)
{
    struct itimerval t = {.it_value.tv_usec = 50000};
    struct sigaction a = {.sa_handler = nothing};
    struct seccomp_notif n;
    int fd = listener(0);

    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
    SHOW(receive(fd, &n));
}

/* --- descriptors --- */

static int
ask_for_descriptor(void *argument)
{
    char text[16] = "";
    long fd = syscall(ASKED);

    say("result %ld", fd);
    for (int k = 3; k < 80; k++)
        if (fcntl(k, F_GETFD) >= 0 && pread(k, text, sizeof text - 1, 0) > 0)
            say("%d: %s flags %d", k, text, fcntl(k, F_GETFD));
    return 0;
}

static int
add(int fd, uint64_t id, int source, unsigned flags, unsigned number, unsigned descriptor_flags)
{
    struct seccomp_notif_addfd a = {.id = id,
                                    .flags = flags,
                                    .srcfd = (unsigned)source,
                                    .newfd = number,
                                    .newfd_flags = descriptor_flags};

    return ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
}

CASE(a_descriptor_is_added)
{
    struct seccomp_notif n;
    pid_t pid;
    int fd = listener_of_child(&pid, ask_for_descriptor), file = make_file("f", "contents");

    SHOW(receive(fd, &n));
    SHOW(add(fd, n.id, file, 0, 0, 0));
    SHOW(add(fd, n.id, file, 0, 0, O_CLOEXEC));
    SHOW(add(fd, n.id, file, SECCOMP_ADDFD_FLAG_SETFD, 70, 0));
    SHOW(add(fd, n.id, file, SECCOMP_ADDFD_FLAG_SETFD, 3, O_CLOEXEC));
    SHOW(answer(fd, n.id, 0, 77, 0));
    end_of("child", pid);
}

CASE(a_descriptor_is_the_answer)
{
    struct seccomp_notif n;
    pid_t pid;
    int fd = listener_of_child(&pid, ask_for_descriptor), file = make_file("f", "contents");

    SHOW(receive(fd, &n));
    SHOW(add(fd, n.id, file, SECCOMP_ADDFD_FLAG_SEND | SECCOMP_ADDFD_FLAG_SETFD, 60, 0));
    end_of("child", pid);
    SHOW(add(fd, n.id, file, 0, 0, 0));
}

CASE(descriptors_that_cannot_be_added)
{
    struct seccomp_notif n;
    pid_t pid;
    int fd = listener_of_child(&pid, ask), file = make_file("f", "contents");
    struct {
        struct seccomp_notif_addfd a;
        char more[5000];
    } big = {.a.srcfd = (unsigned)file};

    SHOW(add(fd, 99, file, 0, 0, 0));
    while (!events(fd))
        sleep_ms(1);
    SHOW(receive(fd, &n));
    big.a.id = n.id;
    SHOW(add(fd, n.id, 99, 0, 0, 0));
    SHOW(add(fd, n.id, -1, 0, 0, 0));
    SHOW(add(fd, n.id, file, 4, 0, 0));
    SHOW(add(fd, n.id, file, 0, 5, 0));
    SHOW(add(fd, n.id, file, 0, 0, O_NONBLOCK));
    SHOW(add(fd, n.id, file, SECCOMP_ADDFD_FLAG_SETFD, 1 << 30, 0));
    SHOW(add(fd, n.id, file, SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND, 0xffffffff, 0));
    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, NULL));
    SHOW(ioctl(fd, _IOC(_IOC_WRITE, '!', 3, 23), &big));
    SHOW(ioctl(fd, _IOC(_IOC_WRITE, '!', 3, 4095), &big) >= 0);
    SHOW(ioctl(fd, _IOC(_IOC_WRITE, '!', 3, 4096), &big));
    SHOW(ioctl(fd, _IOC(_IOC_READ, '!', 3, 32), &big) >= 0);
    SHOW(ioctl(fd, _IOC(_IOC_NONE, '!', 3, 0), &big));
    big.more[0] = 1;
    SHOW(ioctl(fd, _IOC(_IOC_WRITE, '!', 3, 32), &big));
    SHOW(ioctl(fd, _IOC(_IOC_WRITE, '!', 3, 24), &big) >= 0);
    SHOW(answer(fd, n.id, 0, 1, 0));
    end_of("child", pid);
}

static int
ask_without_room(void *argument)
{
    struct rlimit few = {4, 4};

    dup2(1, 3);
    setrlimit(RLIMIT_NOFILE, &few);
    return ask(NULL);
}

CASE(no_room_for_a_descriptor)
{
    struct seccomp_notif n;
    pid_t pid;
    int fd = listener_of_child(&pid, ask_without_room), file = make_file("f", "contents");

    SHOW(receive(fd, &n));
    SHOW(add(fd, n.id, file, 0, 0, 0));
    SHOW(add(fd, n.id, file, SECCOMP_ADDFD_FLAG_SEND, 0, 0));
    SHOW(add(fd, n.id, file, SECCOMP_ADDFD_FLAG_SETFD, 4, 0));
    SHOW(answer(fd, n.id, 0, 5, 0));
    end_of("child", pid);
}

CASE(listener_set_flags)
{
    int fd = listener(0);

    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1));
    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 0));
    SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 2));
}

/* --- several --- */

CASE(questions_come_in_order)
{
    struct seccomp_notif n;
    pid_t pids[5];
    int fd = listener(0), right = 0;

    for (int k = 0; k < 5; k++) {
        pids[k] = child_apart(ask, NULL);
        sleep_ms(30);
    }
    for (int k = 0; k < 5; k++) {
        receive(fd, &n);
        right += n.pid == pids[k];
        answer(fd, n.id, 0, 100 + k, 0);
        waitpid(pids[k], NULL, 0);
    }
    SHOW(right);
}

static void *
ask_in_thread(void *argument)
{
    long got = syscall(ASKED, 1, 2, 3);

    return (void *)(intptr_t)(got < 0 ? -errno : got);
}

CASE(a_thread_answers_another)
{
    struct seccomp_notif n;
    int fd = listener(0);
    pthread_t t;
    void *got;

    pthread_create(&t, NULL, ask_in_thread, NULL);
    SHOW(receive(fd, &n));
    say("%d", (pid_t)n.pid != getpid());
    SHOW(answer(fd, n.id, 0, 4, 0));
    pthread_join(t, &got);
    SHOW((intptr_t)got);
}

CASE(the_last_filter_is_asked)
{
    struct seccomp_notif n;
    int fd = listener(0);

    filter_call(0, ASKED, SECCOMP_RET_USER_NOTIF); /* nobody listens to this one */
    end_of("child", child_apart(ask, NULL));
    SHOW(events(fd));
}

CASE(a_filter_that_comes_first_by_precedence)
{
    int fd = listener(0);

    filter_call(0, ASKED, SECCOMP_RET_ERRNO | 33);
    end_of("child", child_apart(ask, NULL));
    SHOW(events(fd));
}

CASE(a_process_ends_while_it_asks)
{
    struct seccomp_notif n;
    pid_t pid;
    int fd = listener_of_child(&pid, ask);

    SHOW(receive(fd, &n));
    kill(pid, SIGKILL);
    end_of("child", pid);
    SHOW(answer(fd, n.id, 0, 1, 0));
    SHOW(events(fd));
}
