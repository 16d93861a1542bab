/* Runs a program as an older kernel would: calls that came later answer ENOSYS, values that came later EINVAL, and
 * Landlock says an older version.
 *
 *     old_kernel MAJOR.MINOR PROGRAM [ARGUMENT...]
 *
 * A filter does it; what it cannot say itself (a version, rights in a structure) a supervisor answers. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define V(major, minor) ((major) * 1000 + (minor))

enum { LANDLOCK_CREATE = 444, LANDLOCK_VERSION = 1 };

/* By number: headers may be older than the call. */
/* clang-format off */
static const struct { int since, number; } calls[] = {
    {V(5, 1), 424 /* pidfd_send_signal */}, {V(5, 1), 425 /* io_uring_setup */}, {V(5, 1), 426}, {V(5, 1), 427},
    {V(5, 2), 428 /* open_tree */}, {V(5, 2), 429 /* move_mount */}, {V(5, 2), 430 /* fsopen */}, {V(5, 2), 431 /* fsconfig */},
    {V(5, 2), 432 /* fsmount */}, {V(5, 2), 433 /* fspick */}, {V(5, 3), 434 /* pidfd_open */}, {V(5, 3), 435 /* clone3 */},
    {V(5, 9), 436 /* close_range */}, {V(5, 6), 437 /* openat2 */}, {V(5, 6), 438 /* pidfd_getfd */},
    {V(5, 8), 439 /* faccessat2 */}, {V(5, 10), 440 /* process_madvise */}, {V(5, 11), 441 /* epoll_pwait2 */},
    {V(5, 12), 442 /* mount_setattr */}, {V(5, 14), 443 /* quotactl_fd */}, {V(5, 13), 444 /* landlock_create_ruleset */},
    {V(5, 13), 445 /* landlock_add_rule */}, {V(5, 13), 446 /* landlock_restrict_self */}, {V(5, 14), 447 /* memfd_secret */},
    {V(5, 15), 448 /* process_mrelease */}, {V(5, 16), 449 /* futex_waitv */}, {V(5, 17), 450 /* set_mempolicy_home_node */},
    {V(6, 5), 451 /* cachestat */}, {V(6, 6), 452 /* fchmodat2 */}, {V(6, 6), 453 /* map_shadow_stack */},
    {V(6, 7), 454 /* futex_wake */}, {V(6, 7), 455 /* futex_wait */}, {V(6, 7), 456 /* futex_requeue */},
    {V(6, 8), 457 /* statmount */}, {V(6, 8), 458 /* listmount */}, {V(6, 10), 462 /* mseal */},
};
/* clang-format on */

/* A value of an argument: equal, or with one of these bits. */
/* clang-format off */
static const struct { int since, number, argument; bool bits; uint32_t value; } values[] = {
    {V(6, 3), SYS_prctl, 0, false, 65 /* PR_SET_MDWE */}, {V(6, 3), SYS_prctl, 0, false, 66 /* PR_GET_MDWE */},
    {V(5, 17), SYS_prctl, 0, false, 0x53564d41 /* PR_SET_VMA */},
    {V(6, 3), SYS_memfd_create, 1, true, 0x18 /* NOEXEC_SEAL, EXEC */},
    {V(5, 14), SYS_madvise, 2, false, 22 /* POPULATE_READ */}, {V(5, 14), SYS_madvise, 2, false, 23 /* POPULATE_WRITE */},
    {V(5, 4), SYS_madvise, 2, false, 20 /* COLD */}, {V(5, 4), SYS_madvise, 2, false, 21 /* PAGEOUT */},
    {V(6, 1), SYS_madvise, 2, false, 25 /* COLLAPSE */}, {V(5, 7), SYS_mremap, 3, true, 4 /* DONTUNMAP */},
};
/* clang-format on */

/* Landlock's versions, and what each knows: rights of files, of networks, scopes. */
static const struct {
    int since;
    uint64_t known[3];
} landlock[] = {
    {V(5, 13), {(1 << 13) - 1}},   {V(5, 19), {(1 << 14) - 1}},    {V(6, 2), {(1 << 15) - 1}},
    {V(6, 7), {(1 << 15) - 1, 3}}, {V(6, 10), {(1 << 16) - 1, 3}}, {V(6, 12), {(1 << 16) - 1, 3, 3}},
};

static int kernel;
static unsigned landlock_version;

/* --- the filter --- */

static struct sock_filter program[256];
static unsigned length;

static void
emit(uint16_t code, uint32_t k, uint8_t on_true, uint8_t on_false)
{
    if (length == sizeof program / sizeof *program)
        abort();
    program[length++] = (struct sock_filter){code, on_true, on_false, k};
}

static int
install(void)
{
    struct sock_fprog p = {.filter = program};

    emit(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (kernel >= calls[i].since)
            continue;
        emit(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].number, 0, 1);
        emit(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
    }
    if (landlock_version) {
        emit(BPF_JMP | BPF_JEQ | BPF_K, LANDLOCK_CREATE, 0, 1);
        emit(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF, 0, 0);
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (kernel >= values[i].since)
            continue;
        emit(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
        emit(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)values[i].number, 0, 3);
        emit(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)values[i].argument),
             0, 0);
        emit(BPF_JMP | (values[i].bits ? BPF_JSET : BPF_JEQ) | BPF_K, values[i].value, 0, 1);
        emit(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL, 0, 0);
    }
    emit(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    p.len = (unsigned short)length;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &p);
}

/* --- what it asks --- */

static void
answer(const struct seccomp_notif *asked, struct seccomp_notif_resp *reply)
{
    const uint64_t *known = landlock[landlock_version - 1].known;
    uint64_t rights[3] = {0}, size = asked->data.args[1];
    char path[64];
    int fd;

    if (asked->data.args[2] == LANDLOCK_VERSION) {
        reply->val = landlock_version;
        return;
    }
    snprintf(path, sizeof path, "/proc/%d/mem", (int)asked->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || size > sizeof rights || pread(fd, rights, size, (off_t)asked->data.args[0]) != (ssize_t)size)
        reply->error = -EFAULT;
    for (int i = 0; i < 3; i++)
        if (rights[i] & ~known[i])
            reply->error = -EINVAL;
    if (reply->error == 0)
        reply->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    close(fd);
}

static void
supervise(int listener)
{
    struct seccomp_notif asked;
    struct seccomp_notif_resp reply;

    for (;;) {
        struct pollfd ready = {.fd = listener, .events = POLLIN};

        if (poll(&ready, 1, -1) > 0 && (ready.revents & POLLHUP))
            _exit(0); /* nobody is left who has the filter */
        memset(&asked, 0, sizeof asked);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) < 0) {
            if (errno == ENOENT || errno == EINTR)
                continue;
            _exit(0);
        }
        memset(&reply, 0, sizeof reply);
        reply.id = asked.id;
        answer(&asked, &reply);
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
    }
}

static void
pass(int socket, int *fd, bool send)
{
    char byte = 0, control[CMSG_SPACE(sizeof *fd)] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof *fd);
    memcpy(CMSG_DATA(c), fd, sizeof *fd);
    if ((send ? sendmsg(socket, &m, 0) : recvmsg(socket, &m, MSG_CMSG_CLOEXEC)) != 1)
        _exit(99);
    memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof *fd);
}

int
main(int argc, char **argv)
{
    int major, minor, pair[2], listener;

    if (argc < 3 || sscanf(argv[1], "%d.%d", &major, &minor) != 2)
        return 99;
    kernel = V(major, minor);
    for (size_t i = 0; i < sizeof landlock / sizeof *landlock; i++)
        landlock_version += kernel >= landlock[i].since;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return 99;
    signal(SIGCHLD, SIG_IGN); /* the supervisor is nobody's to wait for */
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        pass(pair[1], &listener, false);
        close(0), close(1), close(2);
        supervise(listener);
    }
    signal(SIGCHLD, SIG_DFL);
    close(pair[1]);
    listener = install();
    if (listener < 0) {
        perror("seccomp");
        return 99;
    }
    pass(pair[0], &listener, true);
    close(listener);
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 99;
}
