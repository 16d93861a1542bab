/* Terminals: lines that find the buffer full, exclusive use, and which signals a master may raise. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

int
main(void)
{
    static char big[5000];
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct caps[2];
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave, zero = 0, value = -1, r;
    struct termios t;
    char *name;

    unlockpt(master);
    name = ptsname(master);
    slave = open(name, O_RDWR | O_NOCTTY);
    tcgetattr(slave, &t);
    t.c_lflag &= ~ECHO;
    tcsetattr(slave, TCSANOW, &t);
    for (int sig = 0; sig < 66; sig++)
        if (ioctl(master, TIOCSIG, sig) == 0)
            printf("TIOCSIG %d\n", sig);
    memset(big, 'a', sizeof big);
    fcntl(master, F_SETFL, O_NONBLOCK);
    fcntl(slave, F_SETFL, O_NONBLOCK);
    for (int k = 0; k < 10; k++)
        write(master, big, 500);
    write(master, "\n\n\n\n", 4);
    usleep(1000);
    for (int k = 0; k < 10 && (r = (int)read(slave, big, sizeof big)) >= 0; k++)
        zero += r == 0;
    printf("%d reads of nothing, then %s\n", zero, strerrorname_np(errno));
    syscall(SYS_capget, &header, caps);
    caps[0].effective &= ~(1u << CAP_SYS_ADMIN);
    syscall(SYS_capset, &header, caps);
    printf("exclusive %d", ioctl(slave, TIOCEXCL));
    r = ioctl(slave, TIOCGEXCL, &value);
    printf(" %d %d\n", r, value);
    r = open(name, O_RDWR | O_NOCTTY);
    printf("%s\n", r < 0 ? strerrorname_np(errno) : "open");
    ioctl(slave, TIOCNXCL);
    r = open(name, O_RDWR | O_NOCTTY);
    printf("%s\n", r < 0 ? strerrorname_np(errno) : "open");
    return 0;
}
