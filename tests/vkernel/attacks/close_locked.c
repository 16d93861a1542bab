/* A thread sleeps for a record lock; another closes the descriptor, or the whole table goes. The lock that the sleeper
 * then gets belongs to nobody who could give it back, so it must not stay. The same on Linux. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sleeper.h"

static const char path[] = "close_locked";
static int fd, result, error;
static struct flock lock = {.l_type = F_WRLCK, .l_start = 10, .l_len = 5};

static void *
sleeper(void *command)
{
    sleeper_tid = gettid();
    result = fcntl(fd, (int)(long)command, &lock);
    error = result < 0 ? errno : 0;
    return NULL;
}

/* A child holds the lock until told; the parent's thread sleeps for it. */
static void
row(const char *name, long command, void (*meanwhile)(void))
{
    int go[2], ready[2], other, child;
    pthread_t t;
    char c = 0;

    pipe(go);
    pipe(ready);
    child = fork();
    if (child == 0) {
        int own = open(path, O_RDWR);

        close(go[1]);
        fcntl(own, F_SETLK, &lock);
        write(ready[1], &c, 1);
        read(go[0], &c, 1);
        _exit(0);
    }
    read(ready[0], &c, 1);
    fd = open(path, O_RDWR);
    pthread_create(&t, NULL, sleeper, (void *)command);
    wait_for_sleep();
    meanwhile();
    close(go[1]);
    pthread_join(t, NULL);
    waitpid(child, NULL, 0);
    /* is it free for others? */
    child = fork();
    if (child == 0) {
        other = open(path, O_RDWR);
        _exit(fcntl(other, F_SETLK, &lock) == 0 ? 0 : errno);
    }
    waitpid(child, &other, 0);
    printf("%s: %d %d, then %d\n", name, result, error, WEXITSTATUS(other));
    fflush(stdout);
    close(fd);
    close(go[0]);
    close(ready[0]);
    close(ready[1]);
}

/* clang-format off */
static void nothing(void) { }
static void closes(void) { close(fd); }
static void replaces(void) { dup2(open("/dev/null", O_RDWR), fd); }
static void reopens(void) { close(fd); fd = open(path, O_RDWR); }
static void closes_another(void) { close(open(path, O_RDWR)); }
/* clang-format on */

int
main(void)
{
    close(open(path, O_RDWR | O_CREAT, 0600));
    for (int k = 0; k < 3; k++) {
        row("stays", F_SETLKW, nothing);
        row("closed", F_SETLKW, closes);
        row("replaced", F_SETLKW, replaces);
        row("opened again", F_SETLKW, reopens);
        row("another closed", F_SETLKW, closes_another);
        row("of a file", F_OFD_SETLKW, nothing);
        row("of a closed file", F_OFD_SETLKW, closes);
    }
    printf("survived\n");
}
