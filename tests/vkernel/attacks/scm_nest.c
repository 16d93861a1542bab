/* A socket in a message of a socket in a message of a socket, 20,000 deep: closing the outermost releases them all,
 * which must not take a host stack frame for each. The same on Linux. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int
give(int s, int fd)
{
    char control[CMSG_SPACE(4)] = {0}, byte = 1;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);

    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(4);
    memcpy(CMSG_DATA(h), &fd, 4);
    return sendmsg(s, &m, MSG_DONTWAIT);
}

int
main(void)
{
    struct rlimit files = {65536, 65536}; /* in flight, they count as open ones do */
    int held = -1, p[2];

    setrlimit(RLIMIT_NOFILE, &files);
    for (int k = 0; k < 20000; k++) {
        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, p) < 0) {
            perror("socketpair");
            break;
        }
        if (held >= 0) {
            if (give(p[0], held) < 0) {
                perror("give");
                break;
            }
            close(held);
        }
        close(p[0]);
        held = p[1];
    }
    printf("nested\n");
    fflush(stdout);
    close(held);
    printf("survived\n");
    return 0;
}
