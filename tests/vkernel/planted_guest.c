/* Has the vkernel of planted.c make a mistake on a file, uses the file and makes many others: all that must not be
 * possible to finish. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
    char buf[16] = "0123456789";
    struct stat st;
    int fd = open("/tmp/victim", O_RDWR | O_CREAT, 0600), pair[2];

    write(fd, buf, 10);
    syscall(SYS_getcpu, atol(argv[1]), fd, 0);
    for (int round = 0; round < 400; round++) {
        int p[2];

        if (pipe(p) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || epoll_create1(0) < 0)
            break;
        open("/tmp/victim", O_RDONLY);
        write(p[1], buf, 10);
        write(pair[0], buf, 10);
    }
    fstat(fd, &st);
    pread(fd, buf, 10, 0);
    close(fd);
    for (int i = 3; i < 4000; i++)
        close(i);
    unlink("/tmp/victim");
    puts("finished");
    return 0;
}
