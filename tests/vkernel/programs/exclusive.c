/* Exclusive watchers (EPOLLEXCLUSIVE): they share one queue with those that sleep, and what they watch may be asked
 * while no task runs. And a read with SO_RCVLOWAT, which ends at the urgent byte. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int
watch(int fd)
{
    struct epoll_event v = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    int e = epoll_create1(0);

    epoll_ctl(e, EPOLL_CTL_ADD, fd, &v);
    return e;
}

/* Everybody sleeps when the timer sends the signal. */
static void
signal_from_a_timer(void)
{
    struct itimerval t = {{0, 0}, {0, 50000}};
    struct epoll_event out;
    sigset_t set;
    int f, e;

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    f = signalfd(-1, &set, 0);
    e = watch(f);
    setitimer(ITIMER_REAL, &t, NULL);
    printf("signal: %d\n", epoll_wait(e, &out, 1, 5000));
    close(e);
    close(f);
}

/* Who came to the pipe before the watchers, between them and after them is woken; of the watchers one is. */
static void
sleepers_and_watchers(void)
{
    enum { POLLERS = 3, WATCHERS = 2 };
    int p[2], told[2], status, polled = 0, taken = 0;
    pid_t pids[POLLERS + WATCHERS];

    pipe(p);
    pipe(told);
    for (int k = 0; k < POLLERS + WATCHERS; k++) {
        pids[k] = fork();
        if (pids[k] == 0) {
            struct pollfd f = {.fd = p[0], .events = POLLIN};
            struct epoll_event out;

            if (k % 2 == 0)
                _exit(poll(&f, 1, 10000));
            if (epoll_wait(watch(p[0]), &out, 1, -1) == 1)
                write(told[1], "", 1);
            pause();
        }
        usleep(100000);
    }
    write(p[1], "x", 1);
    for (int k = 0; k < POLLERS + WATCHERS; k += 2) {
        waitpid(pids[k], &status, 0);
        polled += WEXITSTATUS(status);
    }
    usleep(200000);
    for (int k = 1; k < POLLERS + WATCHERS; k += 2) {
        struct pollfd f = {.fd = told[0], .events = POLLIN};

        if (poll(&f, 1, 0) == 1)
            taken += (int)read(told[0], (char[1]){0}, 1);
        kill(pids[k], SIGKILL);
        waitpid(pids[k], NULL, 0);
    }
    printf("sleepers: %d watchers: %d\n", polled, taken);
    close(p[0]);
    close(p[1]);
}

static void
least_before_the_mark(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval most = {5, 0};
    socklen_t size = sizeof a;
    char text[100];
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s, least = 10;

    bind(l, (void *)&a, sizeof a);
    listen(l, 1);
    getsockname(l, (void *)&a, &size);
    connect(c, (void *)&a, sizeof a);
    s = accept(l, NULL, NULL);
    setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    send(c, "12345", 5, 0);
    send(c, "!", 1, MSG_OOB);
    usleep(50000);
    printf("before the mark: %zd", recv(s, text, sizeof text, 0));
    send(c, "0123456789", 10, 0);
    usleep(50000);
    printf(", behind it: %zd\n", recv(s, text, sizeof text, 0));
}

int
main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    signal_from_a_timer();
    sleepers_and_watchers();
    least_before_the_mark();
    return 0;
}
