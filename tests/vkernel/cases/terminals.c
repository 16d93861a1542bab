/* Calls on terminals. */
#include <termios.h>

#include "case.h"

enum { KERNEL_TERMIOS = 36, KERNEL_CC = 19 }; /* the C library's structure is longer, and begins like the kernel's */

static int
open_pair(int *slave)
{
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), unlocked = 0;

    ioctl(master, TIOCSPTLCK, &unlocked);
    *slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    return master;
}

static void
show_termio(int fd)
{
    struct termio t;

    memset(&t, 0x55, sizeof t);
    SHOW(ioctl(fd, TCGETA, &t));
    printf("%x %x %x %x, line %d:", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_line);
    for (int k = 0; k < 8; k++)
        printf(" %d", t.c_cc[k]);
    printf("\n");
}

CASE(termio_is_the_lower_halves)
{
    int slave, master = open_pair(&slave);

    show_termio(slave);
    show_termio(master);
}

CASE(termio_leaves_the_upper_halves)
{
    struct termios before, after;
    struct termio t;
    int slave;

    open_pair(&slave);
    SHOW(ioctl(slave, TCGETS, &before));
    before.c_lflag |= 0x10000; /* EXTPROC */
    SHOW(ioctl(slave, TCSETS, &before));
    SHOW(ioctl(slave, TCGETA, &t));
    t.c_lflag &= ~ECHO;
    t.c_cc[VINTR] = 7;
    SHOW(ioctl(slave, TCSETA, &t));
    SHOW(ioctl(slave, TCGETS, &after));
    printf("%x, %x, %d, %d\n", before.c_lflag ^ after.c_lflag, after.c_lflag & 0x10000, after.c_cc[VINTR],
           memcmp(&before.c_cc[8], &after.c_cc[8], KERNEL_CC - 8));
}

CASE(termio_that_flushes)
{
    int slave, master = open_pair(&slave), waiting = -1;
    struct termio t;

    SHOW(write(master, "line\n", 5));
    SHOW(poll(&(struct pollfd){slave, POLLIN}, 1, 5000)); /* on Linux it takes a moment */
    SHOW(ioctl(slave, TCGETA, &t));
    SHOW(ioctl(slave, TCSETAW, &t));
    SHOW(ioctl(slave, FIONREAD, &waiting));
    SHOW(waiting);
    SHOW(ioctl(slave, TCSETAF, &t));
    SHOW(ioctl(slave, FIONREAD, &waiting));
    SHOW(waiting);
}

CASE(termio_errors)
{
    int slave;

    open_pair(&slave);
    SHOW(ioctl(slave, TCGETA, NULL));
    SHOW(ioctl(slave, TCSETA, NULL));
    SHOW(ioctl(slave, TCSETAW, NULL));
    SHOW(ioctl(slave, TCSETAF, NULL));
    SHOW(ioctl(0, TCGETA, NULL));
}

CASE(carrier_is_ignored_by_clocal)
{
    int slave, value = 7;
    struct termios t;

    open_pair(&slave);
    SHOW(ioctl(slave, TIOCGSOFTCAR, &value));
    SHOW(value);
    value = 1;
    SHOW(ioctl(slave, TIOCSSOFTCAR, &value));
    SHOW(ioctl(slave, TCGETS, &t));
    SHOW((t.c_cflag & CLOCAL) != 0);
    SHOW(ioctl(slave, TIOCGSOFTCAR, &value));
    SHOW(value);
    value = 0;
    SHOW(ioctl(slave, TIOCSSOFTCAR, &value));
    SHOW(ioctl(slave, TCGETS, &t));
    SHOW((t.c_cflag & CLOCAL) != 0);
    SHOW(ioctl(slave, TIOCGSOFTCAR, NULL));
    SHOW(ioctl(slave, TIOCSSOFTCAR, NULL));
}

CASE(no_settings_are_locked)
{
    struct termios t, none = {0};
    int slave;

    open_pair(&slave);
    memset(&t, 0x55, sizeof t);
    SHOW(ioctl(slave, TIOCGLCKTRMIOS, &t));
    SHOW(memcmp(&t, &none, KERNEL_TERMIOS));
    SHOW(ioctl(slave, TIOCGLCKTRMIOS, NULL));
}

CASE(device_of_a_terminal)
{
    int slave, master = open_pair(&slave);
    unsigned device = 0, of_master = 0;
    struct stat st;

    SHOW(ioctl(slave, TIOCGDEV, &device));
    SHOW(ioctl(master, TIOCGDEV, &of_master));
    SHOW(fstat(slave, &st));
    SHOW(device == st.st_rdev && of_master == device);
    SHOW(ioctl(slave, TIOCGDEV, NULL));
}

CASE(what_a_pty_has_not)
{
    int slave, value = 0;

    open_pair(&slave);
    SHOW(ioctl(slave, TIOCMGET, &value));
    SHOW(ioctl(slave, TIOCMIWAIT, 0));
    SHOW(ioctl(slave, TIOCGSERIAL, &value));
    SHOW(ioctl(slave, TIOCGICOUNT, &value));
    SHOW(ioctl(slave, TIOCGPKT, &value));
    SHOW(ioctl(slave, TIOCGPTLCK, &value));
}
