/* Who waits on a pidfd waits on a queue of the process, which is gone once somebody has waited for it: epoll items stay
 * on the queue for as long as they live, and poll takes its entries off when it wakes. The same on Linux. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int fd, results[3];
static pthread_barrier_t start;

static void *
polls(void *p)
{
    struct pollfd set = {fd, POLLIN};

    pthread_barrier_wait(&start);
    results[0] = poll(&set, 1, 3000);
    return NULL;
}

static void *
selects(void *p)
{
    struct timeval limit = {3, 0};
    fd_set set;

    FD_ZERO(&set);
    FD_SET(fd, &set);
    pthread_barrier_wait(&start);
    results[1] = select(fd + 1, &set, NULL, NULL, &limit);
    return NULL;
}

static void *
waits(void *p)
{
    struct epoll_event e = {.events = EPOLLIN};
    int ep = epoll_create1(0);

    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    pthread_barrier_wait(&start);
    results[2] = epoll_wait(ep, &e, 1, 3000);
    close(ep);
    return NULL;
}

int
main(void)
{
    static void *(*const kinds[])(void *) = {polls, selects, waits};
    struct epoll_event e = {.events = EPOLLIN};
    pthread_t threads[3];

    for (int k = 0; k < 30; k++) {
        int p = fork(), ep = epoll_create1(0), outer = epoll_create1(0), q;

        if (p == 0) {
            pause();
            _exit(0);
        }
        fd = syscall(434, p, 0);
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
        epoll_ctl(outer, EPOLL_CTL_ADD, ep, &e);
        pthread_barrier_init(&start, NULL, 4);
        for (int t = 0; t < 3; t++)
            pthread_create(&threads[t], NULL, kinds[t], NULL);
        pthread_barrier_wait(&start);
        if (k % 3)
            usleep(1000);
        kill(p, SIGKILL);
        waitpid(p, NULL, 0); /* before the sleepers have run */
        for (int n = 0; n < 4; n++)
            if ((q = fork()) == 0)
                _exit(0);
            else
                waitpid(q, NULL, 0);
        for (int t = 0; t < 3; t++)
            pthread_join(threads[t], NULL);
        printf("%d %d %d, %d %d\n", results[0], results[1], results[2], epoll_wait(ep, &e, 1, 0),
               epoll_wait(outer, &e, 1, 0));
        close(fd);
        printf("%d %d\n", epoll_wait(ep, &e, 1, 0), epoll_wait(outer, &e, 1, 0));
        close(ep);
        close(outer);
    }
    printf("survived\n");
}
