/* Pipes and named pipes. */
#include "case.h"

static void
count_signal(int signal)
{
    say("signal %d", signal);
}

CASE(pipe_flags)
{
    int fds[2];

    SHOW(pipe2(fds, O_CLOEXEC | O_NONBLOCK));
    SHOW(fcntl(fds[0], F_GETFD));
    SHOW(fcntl(fds[1], F_GETFL));
    SHOW(fcntl(fds[0], F_GETFL));
    SHOW(pipe2(fds, O_APPEND));
    SHOW(pipe2(fds, O_CREAT));
    SHOW(pipe2(NULL, 0));
    SHOW(pipe2((int *)-1, 0));
    SHOW(pipe2(fds, 0));
    say("%d %d", fds[0], fds[1]);
}

CASE(pipe_ends_are_one_way)
{
    int fds[2];
    char c;

    pipe(fds);
    SHOW(write(fds[0], "x", 1));
    SHOW(read(fds[1], &c, 1));
    SHOW(read(fds[1], &c, 0));
}

CASE(pipe_without_writer)
{
    int fds[2];
    char buf[4];

    pipe(fds);
    write(fds[1], "abc", 3);
    close(fds[1]);
    SHOW(read(fds[0], buf, 2));
    SHOW(read(fds[0], buf, 4));
    SHOW(read(fds[0], buf, 4));
}

CASE(pipe_without_reader)
{
    int fds[2];

    pipe(fds);
    close(fds[0]);
    signal(SIGPIPE, count_signal);
    SHOW(write(fds[1], "x", 1));
    SHOW(write(fds[1], "", 0));
    signal(SIGPIPE, SIG_DFL);
    SHOW(write(fds[1], "x", 1));
}

CASE(pipe_nonblock_full)
{
    int fds[2];
    static char big[70000];

    pipe2(fds, O_NONBLOCK);
    SHOW(read(fds[0], big, 1));
    SHOW(write(fds[1], big, sizeof big));
    SHOW(write(fds[1], big, 1));
    SHOW(read(fds[0], big, 4096));
    SHOW(write(fds[1], big, 4097));
    SHOW(write(fds[1], big, 4096));
}

CASE(pipe_atomic_writes)
{
    int fds[2], n;
    static char big[65536];

    pipe2(fds, O_NONBLOCK);
    SHOW(write(fds[1], big, 65536 - 100));
    SHOW(write(fds[1], big, 4096));
    SHOW(ioctl(fds[0], FIONREAD, &n));
    say("%d", n);
}

CASE(pipe_sizes)
{
    int fds[2], file = make_file("f", "");

    pipe(fds);
    SHOW(fcntl(fds[0], F_GETPIPE_SZ));
    SHOW(fcntl(fds[1], F_SETPIPE_SZ, 1));
    SHOW(fcntl(fds[0], F_GETPIPE_SZ));
    SHOW(fcntl(fds[0], F_SETPIPE_SZ, 5000));
    SHOW(fcntl(fds[0], F_SETPIPE_SZ, 0));
    SHOW(fcntl(fds[0], F_SETPIPE_SZ, -1));
    SHOW(fcntl(file, F_GETPIPE_SZ));
    SHOW(fcntl(file, F_SETPIPE_SZ, 4096));
    SHOW(fcntl(fds[0], F_SETPIPE_SZ, 8192));
    write(fds[1], (char[6000]){0}, 6000);
    SHOW(fcntl(fds[0], F_SETPIPE_SZ, 4096));
    become(1000);
    SHOW(fcntl(fds[0], F_SETPIPE_SZ, 1 << 20));
    SHOW(fcntl(fds[0], F_SETPIPE_SZ, (1 << 20) + 1));
}

CASE(pipe_ioctls)
{
    int fds[2], n;

    pipe(fds);
    write(fds[1], "abcde", 5);
    SHOW(ioctl(fds[0], FIONREAD, &n));
    say("%d", n);
    SHOW(ioctl(fds[1], FIONREAD, &n));
    SHOW(ioctl(fds[0], FIONREAD, NULL));
    SHOW(ioctl(fds[0], TIOCGWINSZ, &n));
    SHOW(ioctl(fds[0], FIONBIO, &(int){1}));
    SHOW(fcntl(fds[0], F_GETFL));
    SHOW(ioctl(fds[0], FIONBIO, NULL));
}

CASE(pipe_polls)
{
    int fds[2];
    static char big[65536];

    pipe(fds);
    struct pollfd p[2] = {{fds[0], POLLIN | POLLOUT}, {fds[1], POLLIN | POLLOUT}};
    SHOW(poll(p, 2, 0));
    say("%x %x", p[0].revents, p[1].revents);
    write(fds[1], big, sizeof big);
    SHOW(poll(p, 2, 0));
    say("%x %x", p[0].revents, p[1].revents);
    read(fds[0], big, 100);
    SHOW(poll(p, 2, 0));
    say("%x %x", p[0].revents, p[1].revents);
    close(fds[0]);
    SHOW(poll(p + 1, 1, 0));
    say("%x", p[1].revents);
}

CASE(pipe_poll_hangup)
{
    int fds[2];

    pipe(fds);
    write(fds[1], "x", 1);
    close(fds[1]);
    struct pollfd p = {fds[0], POLLIN};
    SHOW(poll(&p, 1, 0));
    say("%x", p.revents);
    read(fds[0], &(char){0}, 1);
    SHOW(poll(&p, 1, 0));
    say("%x", p.revents);
}

static int
write_much(void *fds)
{
    static char big[200000];
    int *p = fds;

    close(p[0]);
    SHOW(write(p[1], big, sizeof big));
    return 0;
}

CASE(pipe_blocking_write_is_whole)
{
    int fds[2];
    static char big[1000];
    long n, sum = 0;

    pipe(fds);
    pid_t pid = child(write_much, fds);
    close(fds[1]);
    while ((n = read(fds[0], big, sizeof big)) > 0)
        sum += n;
    say("%ld", sum);
    say_end("child", pid);
}

static int
write_until_nobody_reads(void *fds)
{
    static char big[200000];
    int *p = fds;

    signal(SIGPIPE, count_signal);
    close(p[0]);
    SHOW(write(p[1], big, sizeof big));
    return 0;
}

CASE(pipe_reader_goes_in_the_middle)
{
    int fds[2];

    pipe(fds);
    pid_t pid = child(write_until_nobody_reads, fds);
    close(fds[1]);
    sleep_ms(30);
    close(fds[0]);
    say_end("child", pid);
}

static int
write_with_alarm(void *fds)
{
    static char big[200000];
    int *p = fds;

    sigaction(SIGALRM, &(struct sigaction){.sa_handler = count_signal, .sa_flags = SA_RESTART}, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 20000}, NULL);
    SHOW(write(p[1], big, sizeof big));
    SHOW(fcntl(p[1], F_SETFL, 0));
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = count_signal}, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 20000}, NULL);
    SHOW(write(p[1], big, 1));
    return 0;
}

CASE(pipe_write_is_interrupted)
{
    int fds[2];

    pipe(fds);
    say_end("child", child(write_with_alarm, fds));
}

CASE(fifo_opens_meet)
{
    int a, b;
    char c;

    mkfifo("p", 0644);
    pid_t pid = fork();
    if (pid == 0) {
        b = open("p", O_WRONLY);
        write(b, "x", 1);
        _exit(0);
    }
    a = open("p", O_RDONLY);
    SHOW(read(a, &c, 1));
    say_end("child", pid);
    SHOW(read(a, &c, 1));
    b = open("p", O_WRONLY | O_NONBLOCK);
    SHOW(fcntl(a, F_SETFL, O_NONBLOCK));
    SHOW(read(a, &c, 1));
    SHOW(fstat(a, &(struct stat){0}));
}

CASE(fifo_poll_before_a_writer)
{
    mkfifo("p", 0644);
    int a = open("p", O_RDONLY | O_NONBLOCK);
    struct pollfd p = {a, POLLIN};
    char c;

    SHOW(poll(&p, 1, 0));
    SHOW(read(a, &c, 1));
    int b = open("p", O_WRONLY);
    SHOW(poll(&p, 1, 0));
    SHOW(read(a, &c, 1));
    close(b);
    SHOW(poll(&p, 1, 0));
    say("%x", p.revents);
    b = open("p", O_WRONLY);
    SHOW(poll(&p, 1, 0));
}

CASE(fifo_is_emptied_when_all_close)
{
    mkfifo("p", 0644);
    int a = open("p", O_RDWR | O_NONBLOCK);
    char c;

    SHOW(write(a, "abc", 3));
    close(a);
    a = open("p", O_RDWR | O_NONBLOCK);
    SHOW(read(a, &c, 1));
}

CASE(pipe_mtime_and_stat)
{
    int fds[2];
    struct stat st;

    pipe(fds);
    fstat(fds[0], &st);
    say("%o %ld %ld %ld", st.st_mode, (long)st.st_size, (long)st.st_nlink, (long)st.st_blksize);
    SHOW(fchmod(fds[0], 0640));
    fstat(fds[1], &st);
    say("%o", st.st_mode);
    SHOW(fchown(fds[0], 5, 6));
    fstat(fds[1], &st);
    say("%u %u", st.st_uid, st.st_gid);
}

CASE(pipe_reopened_by_proc)
{
    int fds[2];
    char path[40], c;

    pipe(fds);
    write(fds[1], "ab", 2);
    sprintf(path, "/proc/self/fd/%d", fds[1]);
    int again = open(path, O_RDONLY);
    SHOW(again >= 0);
    SHOW(read(again, &c, 1));
    close(fds[1]);
    SHOW(read(fds[0], &c, 1));
    SHOW(read(fds[0], &c, 1));
}
