/* Random locks of one file by those who may be in each other's way: three processes with POSIX locks, each with three
 * open files that have locks of their own kind and flock. What each call says is noted; what is held is everybody's to
 * see (locks_map). */
#ifndef PROGRAMS_LOCKS_RANDOM_H
#define PROGRAMS_LOCKS_RANDOM_H

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "random.h"

enum { LOCKS_SPAN = 48, LOCKS_PROCESSES = 3, LOCKS_OPENED = 3 };

struct lock_order {
    int cmd, opened;
    struct flock lock;
};

static struct {
    pid_t pid;
    int orders, answers;
} lock_process[LOCKS_PROCESSES];

static void
carry_out(const char *path, int orders, int answers)
{
    int opened[LOCKS_OPENED];
    struct lock_order o;

    for (int k = 0; k < LOCKS_OPENED; k++)
        opened[k] = open(path, O_RDWR | O_CREAT, 0666);
    while (read(orders, &o, sizeof o) == sizeof o) {
        int r;

        if (o.cmd == -1) { /* POSIX: closing any descriptor gives all up */
            close(open(path, O_RDONLY));
            r = 0;
        } else if (o.cmd == -2) {
            r = flock(opened[o.opened], o.lock.l_type | LOCK_NB);
        } else {
            r = fcntl(opened[o.opened], o.cmd, &o.lock);
        }
        o.cmd = r < 0 ? errno : 0;
        if (write(answers, &o, sizeof o) != sizeof o)
            break;
    }
    _exit(0);
}

static void
locks_begin(const char *path)
{
    for (int k = 0; k < LOCKS_PROCESSES; k++) {
        int orders[2], answers[2];

        if (pipe(orders) < 0 || pipe(answers) < 0)
            exit(2);
        lock_process[k].pid = fork();
        if (lock_process[k].pid == 0) {
            close(orders[1]);
            close(answers[0]);
            for (int j = 0; j < k; j++) {
                close(lock_process[j].orders);
                close(lock_process[j].answers);
            }
            carry_out(path, orders[0], answers[1]);
        }
        close(orders[0]);
        close(answers[1]);
        lock_process[k].orders = orders[1];
        lock_process[k].answers = answers[0];
    }
}

static void
locks_end(void)
{
    for (int k = 0; k < LOCKS_PROCESSES; k++) {
        close(lock_process[k].orders);
        close(lock_process[k].answers);
        waitpid(lock_process[k].pid, NULL, 0);
    }
}

static int
process_of(pid_t pid)
{
    for (int k = 0; k < LOCKS_PROCESSES; k++)
        if (lock_process[k].pid == pid)
            return k;
    return pid <= 0 ? (int)pid : 99;
}

static void
locks_step(void)
{
    static const int commands[] = {F_SETLK, F_SETLK, F_SETLK, F_GETLK, F_OFD_SETLK, F_OFD_SETLK, F_OFD_GETLK};
    static const short types[] = {F_RDLCK, F_RDLCK, F_WRLCK, F_UNLCK};
    static const int flocks[] = {LOCK_SH, LOCK_EX, LOCK_UN};
    struct lock_order o = {.cmd = DRAW_OF(commands), .opened = (int)draw(LOCKS_OPENED)};
    unsigned who = draw(LOCKS_PROCESSES), what = draw(40);

    o.lock = (struct flock){.l_type = DRAW_OF(types), .l_whence = SEEK_SET, .l_start = draw(LOCKS_SPAN)};
    o.lock.l_len = draw(20) ? 1 + draw(draw(3) ? 3 : 20) : 0;
    if (o.lock.l_start + o.lock.l_len > LOCKS_SPAN)
        o.lock.l_len = LOCKS_SPAN - o.lock.l_start;
    if (what < 1)
        o.cmd = -1;
    if (what >= 1 && what < 4) {
        o.cmd = -2;
        o.lock.l_type = (short)DRAW_OF(flocks);
    }
    if (o.cmd == F_GETLK && o.lock.l_type == F_UNLCK)
        o.lock.l_type = F_WRLCK;
    note("%u: %d %d type %d %d+%d", who, o.cmd, o.opened, o.lock.l_type, (int)o.lock.l_start, (int)o.lock.l_len);
    if (write(lock_process[who].orders, &o, sizeof o) != sizeof o ||
        read(lock_process[who].answers, &o, sizeof o) != sizeof o)
        exit(2);
    note("  %d: type %d %d+%d by %d", o.cmd, o.lock.l_type, (int)o.lock.l_start, (int)o.lock.l_len,
         process_of(o.lock.l_pid));
}

/* A character for each byte of the file: may a stranger write (-), only read (r) or neither (w)? */
static void
locks_map(const char *path, char map[LOCKS_SPAN + 1])
{
    int fd = open(path, O_RDWR);

    for (int k = 0; k < LOCKS_SPAN; k++) {
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = k, .l_len = 1};

        map[k] = fcntl(fd, F_OFD_GETLK, &l) < 0 ? '?' : l.l_type == F_UNLCK ? '-' : l.l_type == F_RDLCK ? 'r' : 'w';
    }
    map[LOCKS_SPAN] = '\0';
    close(fd);
}

#endif
