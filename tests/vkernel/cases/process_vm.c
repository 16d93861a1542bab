/* process_vm_readv and process_vm_writev. */
#include "case.h"

static char here[8192], there[8192];

static int
waits(void *argument)
{
    memset(there, 'x', sizeof there);
    raise(SIGSTOP);
    return there[0] == 'y' ? 5 : 6;
}

static pid_t
other(void)
{
    pid_t pid = child(waits, NULL);
    int status;

    waitpid(pid, &status, WUNTRACED);
    return pid;
}

static void
end(pid_t pid)
{
    kill(pid, SIGCONT);
    say_end("other", pid);
}

CASE(read_other)
{
    pid_t pid = other();
    struct iovec l = {here, 100}, r = {there, 100};

    SHOW(process_vm_readv(pid, &l, 1, &r, 1, 0));
    say("%c %d", here[99], here[100]);
    end(pid);
}

CASE(write_other)
{
    pid_t pid = other();
    struct iovec l = {"yy", 2}, r = {there, 2};

    SHOW(process_vm_writev(pid, &l, 1, &r, 1, 0));
    say("%d here", there[0]);
    end(pid);
}

CASE(vectors)
{
    pid_t pid = other();
    struct iovec l[3] = {{here, 1}, {here + 10, 0}, {here + 20, 6000}}, r[2] = {{there, 3}, {there + 100, 5000}};

    SHOW(process_vm_readv(pid, l, 3, r, 2, 0));
    say("%d %d %d", here[0], here[1], here[20 + 5001]);
    l[2].iov_len = 10;
    SHOW(process_vm_readv(pid, l, 3, r, 2, 0));
    SHOW(process_vm_readv(pid, l, 3, r, 0, 0));
    SHOW(process_vm_readv(pid, l, 0, r, 2, 0));
    end(pid);
}

CASE(read_self)
{
    struct iovec l = {here, 8}, r = {"abcdefg", 8};

    SHOW(process_vm_readv(getpid(), &l, 1, &r, 1, 0));
    say("%s", here);
}

CASE(errors)
{
    struct iovec l = {here, 8}, r = {there, 8}, many[2] = {{here, 8}, {here, (size_t)-1}};

    SHOW(process_vm_readv(getpid(), &l, 1, &r, 1, 1));
    SHOW(process_vm_readv(4000000, &l, 1, &r, 1, 0));
    SHOW(process_vm_readv(-1, &l, 1, &r, 1, 0));
    SHOW(process_vm_readv(getpid(), &l, 1025, &r, 1, 0));
    SHOW(process_vm_readv(getpid(), &l, 1, &r, 1025, 0));
    SHOW(process_vm_readv(getpid(), many, 2, &r, 1, 0));
    SHOW(process_vm_readv(getpid(), &l, 1, many, 2, 0));
    SHOW(process_vm_readv(getpid(), (void *)8, 1, &r, 1, 0));
    SHOW(process_vm_readv(getpid(), &l, 1, (void *)8, 1, 0));
    SHOW(process_vm_readv(4000000, &l, 0, &r, 1, 0));
    SHOW(process_vm_readv(4000000, &l, 1, &r, 0, 0));
}

CASE(not_mapped)
{
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec l = {here, 200}, r = {p + 4096 - 100, 200}, nothing = {(void *)8, 8};

    munmap(p + 4096, 4096);
    SHOW(process_vm_readv(getpid(), &l, 1, &r, 1, 0));
    SHOW(process_vm_writev(getpid(), &l, 1, &r, 1, 0));
    SHOW(process_vm_readv(getpid(), &l, 1, &nothing, 1, 0));
    SHOW(process_vm_readv(getpid(), &nothing, 1, &l, 1, 0));
}

CASE(write_to_read_only)
{
    char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec l = {here, 8}, r = {p, 8};

    SHOW(process_vm_writev(getpid(), &l, 1, &r, 1, 0));
    SHOW(process_vm_readv(getpid(), &l, 1, &r, 1, 0));
    mprotect(p, 4096, PROT_NONE);
    SHOW(process_vm_readv(getpid(), &l, 1, &r, 1, 0));
}

CASE(other_user)
{
    pid_t pid = other();
    struct iovec l = {here, 8}, r = {there, 8};

    become(1234);
    SHOW(process_vm_readv(pid, &l, 1, &r, 1, 0));
    SHOW(process_vm_writev(pid, &l, 1, &r, 1, 0));
}

CASE(zombie)
{
    pid_t pid = fork();
    siginfo_t info;
    struct iovec l = {here, 8}, r = {there, 8};

    if (pid == 0)
        _exit(0);
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    SHOW(process_vm_readv(pid, &l, 1, &r, 1, 0));
}

/* Memory that fork shares until somebody writes. */
CASE(after_fork)
{
    const size_t size = 8 << 20;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec l = {here, 8}, r = {p + size / 2, 8};
    int status;
    pid_t pid;

    memset(p, 1, size);
    pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(p[size / 2]);
    }
    waitpid(pid, &status, WUNTRACED);
    memset(here, 9, 8);
    SHOW(process_vm_writev(pid, &l, 1, &r, 1, 0));
    say("%d here", p[size / 2]);
    p[size / 2] = 4;
    SHOW(process_vm_readv(pid, &l, 1, &r, 1, 0));
    say("%d there", here[0]);
    end(pid);
}
