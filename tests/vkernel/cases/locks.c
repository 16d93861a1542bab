/* fcntl locks, open file description locks, flock. */
#include "case.h"

#include <sys/file.h>

static int
lock(int fd, int cmd, int type, long start, long size)
{
    return fcntl(fd, cmd, &(struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size});
}

static void
say_lock(int fd, int type, long start, long size)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};

    if (fcntl(fd, F_GETLK, &l) < 0)
        say("%s", strerrorname_np(errno));
    else if (l.l_type == F_UNLCK)
        say("%ld+%ld: free", start, size);
    else
        say("%ld+%ld: type %d whence %d %ld+%ld", start, size, l.l_type, l.l_whence, (long)l.l_start, (long)l.l_len);
}

static int
look(void *ranges)
{
    int fd = open("f", O_RDWR);

    for (long *r = ranges; r[0] >= 0; r += 2)
        say_lock(fd, F_WRLCK, r[0], r[1]);
    return 0;
}

CASE(fcntl_locks_split_and_join)
{
    int fd = make_file("f", "0123456789");

    SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 10));
    SHOW(lock(fd, F_SETLK, F_UNLCK, 4, 2));
    waitpid(child(look, (long[]){0, 10, 4, 2, 4, 1, 5, 4, 20, 0, -1}), NULL, 0);
    SHOW(lock(fd, F_SETLK, F_RDLCK, 2, 6));
    waitpid(child(look, (long[]){0, 10, 2, 1, 8, 2, -1}), NULL, 0);
    SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 0));
    waitpid(child(look, (long[]){100, 1, 0, 0, -1}), NULL, 0);
}

CASE(fcntl_locks_of_the_same_process)
{
    int fd = make_file("f", "0123456789"), other = open("f", O_RDWR);

    SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 10));
    SHOW(lock(other, F_SETLK, F_WRLCK, 0, 10));
    say_lock(other, F_WRLCK, 0, 10);
    close(other);
    waitpid(child(look, (long[]){0, 10, -1}), NULL, 0);
}

CASE(fcntl_lock_access)
{
    make_file("f", "");
    int reader = open("f", O_RDONLY), writer = open("f", O_WRONLY);

    SHOW(lock(reader, F_SETLK, F_WRLCK, 0, 1));
    SHOW(lock(reader, F_SETLK, F_RDLCK, 0, 1));
    SHOW(lock(writer, F_SETLK, F_RDLCK, 0, 1));
    SHOW(lock(writer, F_SETLK, F_UNLCK, 0, 1));
    say_lock(reader, F_WRLCK, 0, 1);
}

CASE(fcntl_lock_errors)
{
    int fd = make_file("f", ""), path = open("f", O_PATH);
    struct flock l = {.l_type = F_WRLCK, .l_whence = 9, .l_len = 1},
                 end = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -1};

    SHOW(lock(fd, F_SETLK, 7, 0, 1));
    SHOW(lock(fd, F_SETLK, F_WRLCK, -1, 1));
    SHOW(lock(fd, F_SETLK, F_WRLCK, 5, -6));
    SHOW(lock(fd, F_SETLK, F_WRLCK, 5, -5));
    SHOW(lock(fd, F_SETLK, F_WRLCK, INT64_MAX, 2));
    SHOW(lock(fd, F_SETLK, F_WRLCK, INT64_MAX, 1));
    SHOW(fcntl(fd, F_SETLK, &l));
    SHOW(fcntl(fd, F_SETLK, &end));
    SHOW(fcntl(fd, F_SETLK, NULL));
    SHOW(fcntl(fd, F_GETLK, NULL));
    SHOW(lock(-1, F_SETLK, F_WRLCK, 0, 1));
    SHOW(lock(path, F_SETLK, F_WRLCK, 0, 1));
    SHOW(lock(fd, F_GETLK, F_UNLCK, 0, 1));
    l.l_whence = SEEK_CUR;
    SHOW(fcntl(fd, F_OFD_SETLK, &l));
    l.l_pid = 1;
    SHOW(fcntl(fd, F_OFD_SETLK, &l));
    SHOW(fcntl(fd, F_OFD_GETLK, &l));
}

CASE(fcntl_lock_relative)
{
    int fd = make_file("f", "0123456789");

    lseek(fd, 4, SEEK_SET);
    SHOW(fcntl(fd, F_SETLK, &(struct flock){.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 1, .l_len = -2}));
    SHOW(fcntl(fd, F_SETLK, &(struct flock){.l_type = F_RDLCK, .l_whence = SEEK_END, .l_start = -1}));
    waitpid(child(look, (long[]){0, 3, 0, 5, 8, 2, -1}), NULL, 0);
}

static int
try_locks(void *arg)
{
    int fd = open("f", O_RDWR);

    (void)arg;
    SHOW(lock(fd, F_SETLK, F_RDLCK, 0, 1));
    SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    SHOW(lock(fd, F_SETLK, F_RDLCK, 5, 1));
    SHOW(lock(fd, F_SETLK, F_WRLCK, 20, 1));
    return 0;
}

CASE(fcntl_locks_conflict)
{
    int fd = make_file("f", "");

    lock(fd, F_SETLK, F_RDLCK, 0, 5);
    lock(fd, F_SETLK, F_WRLCK, 5, 5);
    say_end("child", child(try_locks, NULL));
    SHOW(lock(fd, F_SETLK, F_WRLCK, 20, 1));
}

static int
lock_and_wait(void *fds)
{
    int fd = open("f", O_RDWR), *p = fds;
    char c;

    lock(fd, F_SETLK, F_WRLCK, 10, 1);
    write(p[1], "x", 1);
    alarm(5);
    int r = lock(fd, F_SETLKW, F_WRLCK, 0, 1);
    say("child: %s", r < 0 ? strerrorname_np(errno) : "ok");
    read(p[0], &c, 0);
    return 0;
}

CASE(fcntl_deadlock)
{
    int fd = make_file("f", ""), fds[2];
    char c;
    pid_t pid;

    pipe(fds);
    lock(fd, F_SETLK, F_WRLCK, 0, 1);
    pid = child(lock_and_wait, fds);
    read(fds[0], &c, 1);
    sleep_ms(20);
    SHOW(lock(fd, F_SETLKW, F_WRLCK, 10, 1));
    lock(fd, F_SETLK, F_UNLCK, 0, 1); /* the child says what it got */
    say_end("child", pid);
}

static void
nothing(int signal)
{
    (void)signal;
}

static int
wait_for_lock(void *how)
{
    int fd = open("f", O_RDWR);

    sigaction(SIGALRM, &(struct sigaction){.sa_handler = nothing, .sa_flags = *(int *)how}, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 20000}, NULL);
    SHOW(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
    return 0;
}

CASE(fcntl_wait_is_interrupted)
{
    int fd = make_file("f", "");

    lock(fd, F_SETLK, F_WRLCK, 0, 1);
    say_end("child", child(wait_for_lock, &(int){0}));
}

CASE(ofd_locks_are_the_descriptions)
{
    int fd = make_file("f", ""), other = open("f", O_RDWR);

    SHOW(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 1));
    SHOW(lock(dup(fd), F_OFD_SETLK, F_WRLCK, 0, 1));
    SHOW(lock(other, F_OFD_SETLK, F_WRLCK, 0, 1));
    SHOW(lock(other, F_SETLK, F_RDLCK, 0, 1));
    struct flock l = {.l_type = F_WRLCK, .l_len = 5};
    SHOW(fcntl(other, F_OFD_GETLK, &l));
    say("type %d pid %d", l.l_type, l.l_pid);
    l = (struct flock){.l_type = F_WRLCK, .l_len = 5};
    SHOW(fcntl(other, F_GETLK, &l));
    say("type %d pid %d", l.l_type, l.l_pid);
}

static int
unlock_inherited(void *fd)
{
    SHOW(lock(*(int *)fd, F_SETLK, F_UNLCK, 0, 1));
    SHOW(lock(*(int *)fd, F_SETLK, F_WRLCK, 0, 1));
    SHOW(lock(*(int *)fd, F_OFD_SETLK, F_UNLCK, 5, 1));
    return 0;
}

CASE(locks_over_fork)
{
    int fd = make_file("f", ""), other = open("f", O_RDWR);

    lock(fd, F_SETLK, F_WRLCK, 0, 1);
    lock(fd, F_OFD_SETLK, F_WRLCK, 5, 1);
    say_end("child", child(unlock_inherited, &fd));
    SHOW(lock(other, F_OFD_SETLK, F_WRLCK, 5, 1));
}

CASE(flock_modes)
{
    make_file("f", "");
    int a = open("f", O_RDONLY), b = open("f", O_WRONLY), c = dup(a);

    SHOW(flock(a, LOCK_SH));
    SHOW(flock(b, LOCK_SH | LOCK_NB));
    SHOW(flock(b, LOCK_EX | LOCK_NB));
    SHOW(flock(a, LOCK_UN));
    SHOW(flock(b, LOCK_EX | LOCK_NB));
    SHOW(flock(a, LOCK_SH | LOCK_NB));
    SHOW(flock(b, LOCK_UN));
    SHOW(flock(a, LOCK_EX | LOCK_NB));
    SHOW(flock(c, LOCK_SH | LOCK_NB));
    SHOW(flock(c, LOCK_UN));
    SHOW(flock(b, LOCK_EX | LOCK_NB));
}

CASE(flock_errors)
{
    int fd = make_file("f", ""), fds[2];

    pipe(fds);
    SHOW(flock(fd, 0));
    SHOW(flock(fd, LOCK_SH | LOCK_EX));
    SHOW(flock(fd, LOCK_NB));
    SHOW(flock(fd, 64));
    SHOW(flock(-1, LOCK_SH));
    SHOW(flock(-1, 0));
    SHOW(flock(open("f", O_PATH), LOCK_SH));
    SHOW(flock(open(".", O_RDONLY), LOCK_EX | LOCK_NB));
    SHOW(flock(fds[0], LOCK_EX | LOCK_NB));
}

CASE(flock_and_fcntl_do_not_meet)
{
    int fd = make_file("f", ""), other = open("f", O_RDWR);

    SHOW(flock(fd, LOCK_EX));
    SHOW(lock(other, F_OFD_SETLK, F_WRLCK, 0, 0));
    SHOW(flock(other, LOCK_SH | LOCK_NB));
}

static int
hold_flock(void *fds)
{
    int fd = open("f", O_RDWR), *p = fds;

    flock(fd, LOCK_EX);
    write(p[1], "x", 1);
    sleep_ms(30);
    return 0;
}

CASE(flock_waits_for_the_holders_end)
{
    int fd = make_file("f", ""), fds[2];
    char c;

    pipe(fds);
    pid_t pid = child(hold_flock, fds);
    read(fds[0], &c, 1);
    SHOW(flock(fd, LOCK_EX | LOCK_NB));
    SHOW(flock(fd, LOCK_EX));
    say_end("child", pid);
}
