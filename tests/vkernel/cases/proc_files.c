/* Files of /proc that tell of a process's memory, descriptors and namespaces, and of mounts. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/klog.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/vfs.h>

#include "case.h"

enum { PAGE = 4096, WORD = 8 };

/* The line of a file that begins so. */
static void
say_line(const char *path, const char *beginning)
{
    FILE *f = fopen(path, "r");
    char line[512];

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, beginning, strlen(beginning)) == 0) {
            printf("%s", line);
            fclose(f);
            return;
        }
    say("%s has no line %s", path, beginning);
}

static const char *
fdinfo(int fd)
{
    static char path[64];

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    return path;
}

static void
say_namespace(const char *name)
{
    char path[64], link[64] = "", again[64];
    struct stat target, of_link;
    struct statfs fs;
    int fd;

    snprintf(path, sizeof path, "/proc/self/ns/%s", name);
    readlink(path, link, sizeof link - 1);
    fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &target) < 0 || lstat(path, &of_link) < 0 || fstatfs(fd, &fs) < 0) {
        say("%s: %s", name, strerrorname_np(errno));
        return;
    }
    snprintf(again, sizeof again, "%.*s:[%lu]", (int)strcspn(link, ":"), link, (unsigned long)target.st_ino);
    say("%s: %.*s mode %o link %o fs %lx number %d", name, (int)strcspn(link, ":"), link, target.st_mode,
        of_link.st_mode, (long)fs.f_type, strcmp(link, again) == 0);
    close(fd);
}

CASE(namespaces)
{
    static const char *const names[] = {"cgroup",           "ipc",  "mnt",  "net", "pid",
                                        "pid_for_children", "time", "user", "uts", "time_for_children"};

    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        say_namespace(names[k]);
}

CASE(namespaces_cannot_be_read)
{
    char c;
    int fd = open("/proc/self/ns/uts", O_RDONLY);

    SHOW(read(fd, &c, 1));
    SHOW(open("/proc/self/ns/nothing", O_RDONLY));
}

static int
same_namespace(void *unused)
{
    struct stat own, parents;
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/ns/mnt", getppid());
    return stat("/proc/self/ns/mnt", &own) || stat(path, &parents) || own.st_ino != parents.st_ino;
}

CASE(namespaces_of_a_child)
{
    say_end("child", child(same_namespace, NULL));
}

static void
say_words(const char *name, const void *at, int count)
{
    int fd = open("/proc/self/pagemap", O_RDONLY);
    uint64_t word[8];

    SHOW(pread(fd, word, (size_t)count * WORD, (off_t)((uintptr_t)at / PAGE * WORD)) == count * WORD);
    for (int k = 0; k < count; k++)
        say("%s %d: present %d swapped %d file %d", name, k, (int)(word[k] >> 63), (int)(word[k] >> 62 & 1),
            (int)(word[k] >> 61 & 1));
    close(fd);
}

CASE(pagemap_private)
{
    char *m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    m[PAGE] = 1;
    m[3 * PAGE] = 1;
    say_words("private", m, 4);
    madvise(m + PAGE, PAGE, MADV_DONTNEED);
    say_words("given back", m, 4);
    munmap(m, 4 * PAGE);
    say_words("unmapped", m, 4);
}

CASE(pagemap_shared)
{
    char *m = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    m[0] = 1;
    say_words("shared", m, 2);
}

CASE(pagemap_positions)
{
    int fd = open("/proc/self/pagemap", O_RDONLY);
    uint64_t word[2];

    SHOW(pread(fd, word, WORD - 1, 0));
    SHOW(pread(fd, word, WORD, 3));
    SHOW(pread(fd, word, WORD, 0));
    SHOW(pread(fd, word, WORD, (off_t)(1ull << 47) / PAGE * WORD));
    SHOW(pwrite(fd, word, WORD, 0));
}

CASE(locked_memory)
{
    char *m = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    say_line("/proc/self/status", "VmLck:");
    SHOW(mlock(m, 8 * PAGE));
    say_line("/proc/self/status", "VmLck:");
    say_line("/proc/self/smaps_rollup", "Locked:");
    SHOW(munlock(m, 4 * PAGE));
    say_line("/proc/self/smaps_rollup", "Locked:");
}

CASE(locked_mapping)
{
    char *m = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    FILE *f = fopen("/proc/self/smaps", "r");
    unsigned long start = 0, end;
    char line[512];

    while (f && fgets(line, sizeof line, f)) {
        unsigned long a, b;

        if (sscanf(line, "%lx-%lx ", &a, &b) == 2)
            start = a, end = b;
        else if (start == (unsigned long)m && end == start + 8 * PAGE && strncmp(line, "Locked:", 7) == 0)
            printf("%s", line);
        else if (start == (unsigned long)m && strncmp(line, "VmFlags:", 8) == 0)
            say("locked %d writable %d", strstr(line, " lo") != NULL, strstr(line, " wr") != NULL);
    }
}

CASE(fdinfo_of_inotify)
{
    int fd = inotify_init();
    unsigned long ino;
    unsigned wd, mask;
    struct stat st;
    char line[512];
    FILE *f;

    SHOW(inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE | IN_ONLYDIR));
    stat(".", &st);
    f = fopen(fdinfo(fd), "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "inotify wd:%x ino:%lx sdev:%*x mask:%x ignored_mask:0", &wd, &ino, &mask) == 3)
            say("watch %u of it %d mask %x", wd, ino == st.st_ino, mask);
}

CASE(fdinfo_of_epoll)
{
    struct epoll_event event = {EPOLLIN | EPOLLET, {.u64 = 0x123456789abc}};
    int ep = epoll_create1(0), fd = eventfd(0, 0);
    unsigned long long data;
    unsigned events;
    char line[512];
    int of;
    FILE *f;

    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
    f = fopen(fdinfo(ep), "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "tfd: %d events: %x data: %llx ", &of, &events, &data) == 3)
            say("fd %d events %x data %llx", of, events, data);
}

CASE(fdinfo_of_others)
{
    int event = eventfd(0x1234, EFD_SEMAPHORE);
    sigset_t set;

    say_line(fdinfo(event), "eventfd-count:");
    say_line(fdinfo(event), "eventfd-semaphore:");
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    say_line(fdinfo(signalfd(-1, &set, 0)), "sigmask:");
}

CASE(fdinfo_of_a_pidfd)
{
    pid_t pid = fork();
    int fd;
    char line[64];

    if (pid == 0)
        pause();
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    snprintf(line, sizeof line, "Pid:\t%d\n", pid);
    FILE *f = fopen(fdinfo(fd), "r");
    char got[64];
    while (f && fgets(got, sizeof got, f))
        if (strncmp(got, "Pid:", 4) == 0)
            say("pid %d", strcmp(got, line) == 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    say_line(fdinfo(fd), "Pid:");
}

CASE(mounts_can_be_polled)
{
    static const char *const names[] = {"mounts", "mountinfo"};

    for (int k = 0; k < 2; k++) {
        char path[64];
        struct epoll_event event = {EPOLLPRI | EPOLLERR};
        int ep = epoll_create1(0);
        struct pollfd p = {.events = POLLIN | POLLPRI};

        snprintf(path, sizeof path, "/proc/self/%s", names[k]);
        p.fd = open(path, O_RDONLY);
        SHOW(poll(&p, 1, 0));
        say("%x", p.revents);
        SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p.fd, &event));
        SHOW(epoll_wait(ep, &event, 1, 0));
    }
}

CASE(others_cannot_be_polled)
{
    struct epoll_event event = {EPOLLIN};

    SHOW(epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, open("/proc/self/status", O_RDONLY), &event));
}

CASE(log_of_the_kernel)
{
    char text[64];

    OK(klogctl(10, NULL, 0));
    OK(klogctl(3, text, sizeof text));
    SHOW(klogctl(3, text, -1));
    SHOW(klogctl(3, NULL, 10));
    SHOW(klogctl(3, text, 0));
    become(4321);
    SHOW(klogctl(5, NULL, 0));
    SHOW(klogctl(99, NULL, 0));
}
