/* Sessions, process groups, terminals. */
#include "case.h"

#include <termios.h>

static int
new_terminal(char *name, size_t size)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);

    grantpt(master), unlockpt(master);
    ptsname_r(master, name, size);
    return master;
}

CASE(setsid_answers)
{
    SHOW(setsid());
    pid_t pid = fork();
    if (pid == 0) {
        SHOW(setsid() == getpid());
        SHOW(getsid(0) == getpid());
        SHOW(getpgrp() == getpid());
        SHOW(setsid());
        SHOW(setpgid(0, 0));
        _exit(0);
    }
    say_end("child", pid);
    SHOW(getsid(0x3fffffff));
    SHOW(getpgid(0x3fffffff));
    SHOW(getpgid(-1));
    SHOW(getpgid(0) == getpid());
}

CASE(setpgid_errors)
{
    SHOW(setpgid(-1, 0));
    SHOW(setpgid(0, -1));
    SHOW(setpgid(0x3fffffff, 0));
    SHOW(setpgid(getppid(), 0));
    SHOW(setpgid(0, 0x3fffffff));
    SHOW(setpgid(0, getpgid(getppid())));
    pid_t pid = fork();
    if (pid == 0)
        setsid(), pause();
    sleep_ms(20);
    SHOW(setpgid(pid, 0));
    SHOW(setpgid(0, pid));
    kill(pid, SIGKILL);
    say_end("child", pid);
}

CASE(terminal_attributes)
{
    char name[40];
    struct termios t, old;
    struct winsize w = {7, 8, 9, 10};
    int master = new_terminal(name, sizeof name), slave = open(name, O_RDWR | O_NOCTTY);

    SHOW(isatty(slave));
    SHOW(tcgetattr(slave, &t));
    old = t;
    say("%x %x %x %x", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
    cfmakeraw(&t);
    SHOW(tcsetattr(slave, TCSANOW, &t));
    tcgetattr(master, &t);
    say("%x %x", t.c_oflag & OPOST, t.c_lflag & ICANON);
    SHOW(ioctl(slave, TIOCSWINSZ, &w));
    w = (struct winsize){0};
    SHOW(ioctl(master, TIOCGWINSZ, &w));
    say("%d %d", w.ws_row, w.ws_col);
    SHOW(ioctl(slave, TIOCGWINSZ, NULL));
    SHOW(ioctl(slave, TCGETS, NULL));
    SHOW(ioctl(slave, 0x5499, 0));
    SHOW(tcgetattr(0, &t));
}

CASE(terminal_lines)
{
    char name[40], buf[32] = "";
    int master = new_terminal(name, sizeof name), slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK), n;
    struct pollfd p = {slave, POLLIN};

    SHOW(write(master, "ab\177c", 4));
    SHOW(poll(&p, 1, 20));
    SHOW(read(slave, buf, 32));
    SHOW(write(master, "\r", 1));
    SHOW(poll(&p, 1, -1));
    SHOW(write(master, "xyz", 3));
    SHOW(ioctl(slave, FIONREAD, &n));
    say("%d", n);
    SHOW(read(slave, buf, 2));
    SHOW(read(slave, buf + 2, 30));
    say("%.4s", buf);
    SHOW(read(slave, buf, 32));
    SHOW(write(master, "\4", 1));
    SHOW(poll(&p, 1, -1));
    SHOW(read(slave, buf, 32));
    SHOW(write(master, "\4", 1));
    SHOW(poll(&p, 1, -1));
    SHOW(read(slave, buf, 32));
}

CASE(terminal_echoes)
{
    char name[40], buf[64];
    int master = new_terminal(name, sizeof name), slave = open(name, O_RDWR | O_NOCTTY);
    ssize_t n;

    write(master, "a\1b\n", 4);
    sleep_ms(20);
    n = read(master, buf, 64);
    for (ssize_t k = 0; k < n; k++)
        say("%02x", buf[k]);
    write(slave, "x\ny", 3);
    sleep_ms(20);
    n = read(master, buf, 64);
    for (ssize_t k = 0; k < n; k++)
        say("%02x", buf[k]);
}

CASE(terminal_hangup)
{
    char name[40], c;
    int master = new_terminal(name, sizeof name), slave = open(name, O_RDWR | O_NOCTTY);

    close(slave);
    struct pollfd p = {master, POLLIN};
    SHOW(poll(&p, 1, 0));
    say("%x", p.revents);
    SHOW(read(master, &c, 1));
    slave = open(name, O_RDWR | O_NOCTTY);
    close(master);
    SHOW(read(slave, &c, 1));
    SHOW(write(slave, &c, 1));
    SHOW(open(name, O_RDWR));
    p.fd = slave;
    SHOW(poll(&p, 1, 0));
    say("%x", p.revents);
}

CASE(controlling_terminal)
{
    char name[40];
    int master = new_terminal(name, sizeof name);
    pid_t pid = fork();

    if (pid == 0) {
        setsid();
        SHOW(open("/dev/tty", O_RDWR));
        int slave = open(name, O_RDWR);
        SHOW(tcgetpgrp(slave) == getpid());
        SHOW(tcgetsid(slave) == getpid());
        OK(open("/dev/tty", O_RDWR));
        SHOW(tcsetpgrp(slave, 0x3fffffff));
        SHOW(tcsetpgrp(slave, -1));
        SHOW(tcsetpgrp(slave, getpid()));
        SHOW(ioctl(slave, TIOCSCTTY, 0));
        signal(SIGHUP, SIG_IGN);
        SHOW(ioctl(slave, TIOCNOTTY, 0));
        SHOW(tcgetpgrp(slave));
        SHOW(open("/dev/tty", O_RDWR));
        _exit(0);
    }
    say_end("child", pid);
    SHOW(tcgetpgrp(master));
}

CASE(terminal_signals)
{
    char name[40];
    int master = new_terminal(name, sizeof name), fds[2];
    char c;

    pipe(fds);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        open(name, O_RDWR);
        write(fds[1], "x", 1);
        pause();
        _exit(0);
    }
    read(fds[0], &c, 1);
    SHOW(write(master, "\3", 1));
    say_end("child", pid);
}

CASE(background_reads_stop)
{
    char name[40], c;
    int master = new_terminal(name, sizeof name), status;
    pid_t leader = fork();

    if (leader == 0) {
        setsid();
        int slave = open(name, O_RDWR);
        pid_t pid = fork();
        if (pid == 0) {
            setpgid(0, 0);
            read(slave, &c, 1);
            _exit(0);
        }
        waitpid(pid, &status, WUNTRACED);
        say("stopped by %d", WSTOPSIG(status));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        if ((pid = fork()) == 0) {
            setpgid(0, 0);
            signal(SIGTTIN, SIG_IGN);
            SHOW(read(slave, &c, 1));
            SHOW(write(slave, "x", 1));
            _exit(0);
        }
        waitpid(pid, NULL, 0);
        _exit(0);
    }
    say_end("leader", leader);
    close(master);
}

CASE(terminal_packet_and_lock)
{
    char name[40];
    int master = posix_openpt(O_RDWR | O_NOCTTY), n = -1;

    SHOW(ioctl(master, TIOCGPTLCK, &n));
    say("%d", n);
    ptsname_r(master, name, sizeof name);
    SHOW(open(name, O_RDWR | O_NOCTTY));
    SHOW(ioctl(master, TIOCSPTLCK, &(int){0}));
    OK(open(name, O_RDWR | O_NOCTTY));
    SHOW(ioctl(master, TIOCGPTN, NULL));
    SHOW(ioctl(0, TIOCGPTN, &n));
    SHOW(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY) >= 0);
}

CASE(terminal_flush)
{
    char name[40], buf[8];
    int master = new_terminal(name, sizeof name), slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);

    write(master, "abc\n", 4);
    sleep_ms(20);
    SHOW(tcflush(slave, TCIFLUSH));
    SHOW(read(slave, buf, 8));
    SHOW(ioctl(slave, TCFLSH, 9));
    SHOW(tcdrain(slave));
    SHOW(tcsendbreak(slave, 0));
    SHOW(ioctl(slave, TIOCOUTQ, buf));
}
