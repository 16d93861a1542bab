/* Files of /proc/self, and what may be done with them. */
#include "case.h"

#include <sys/prctl.h>

/* The line of a file that begins with this. */
static void
say_line(const char *path, const char *begin)
{
    char line[512];
    FILE *f = fopen(path, "re");

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, begin, strlen(begin)) == 0) {
            line[strcspn(line, "\n")] = 0;
            say("%s", line);
        }
    if (f)
        fclose(f);
    else
        say("%s: %s", path, strerrorname_np(errno));
}

static void
say_link(const char *path)
{
    char text[256] = "";

    if (readlink(path, text, 255) < 0)
        say("%s: %s", path, strerrorname_np(errno));
    else
        say("%s -> %s", path, text);
}

CASE(proc_self_links)
{
    make_file("/tmp/case-proc", "abc");
    chdir("/");
    say_link("/proc/self/cwd");
    say_link("/proc/self/root");
    say_link("/proc/self/fd/0");
    say_link("/proc/self/fd/3");
    unlink("/tmp/case-proc");
    say_link("/proc/self/fd/3");
    say_link("/proc/self/fd/99");
    say_link("/proc/self/fd/x");
    say_link("/proc/mounts");
    char text[32] = "";
    int n = readlink("/proc/self", text, 31);
    say("%d", n > 0 && atoi(text) == getpid());
}

CASE(proc_fd_of_kinds)
{
    int fds[2], pair[2];
    char path[40], text[64];

    pipe(fds);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    memset(text, 0, sizeof text);
    sprintf(path, "/proc/self/fd/%d", fds[0]);
    SHOW(readlink(path, text, 6));
    say("%s", text);
    memset(text, 0, sizeof text);
    sprintf(path, "/proc/self/fd/%d", pair[0]);
    SHOW(readlink(path, text, 8));
    say("%s", text);
    SHOW(open(path, O_RDWR));
    SHOW(stat(path, &(struct stat){0}));
}

CASE(proc_fdinfo)
{
    int fd = make_file("f", "abcdef");
    char path[40];

    lseek(fd, 3, SEEK_SET);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    sprintf(path, "/proc/self/fdinfo/%d", fd);
    say_line(path, "pos:");
    say_line(path, "flags:");
    SHOW(access("/proc/self/fdinfo/99", F_OK));
}

CASE(proc_comm)
{
    int fd = open("/proc/self/comm", O_RDWR);
    char buf[32] = "";

    prctl(PR_SET_NAME, "first");
    SHOW(read(fd, buf, 31));
    say("%s", strtok(buf, "\n"));
    SHOW(write(fd, "second name that is long", 24));
    prctl(PR_GET_NAME, buf);
    say("%s", buf);
}

CASE(proc_status_lines)
{
    umask(027);
    prctl(PR_SET_NAME, "tab\t\\new\nline");
    setresgid(5, 6, 7);
    say_line("/proc/self/status", "Name:");
    say_line("/proc/self/status", "Umask:");
    say_line("/proc/self/status", "State:");
    say_line("/proc/self/status", "Gid:");
    say_line("/proc/self/status", "Threads:");
    say_line("/proc/self/status", "NoNewPrivs:");
    signal(SIGUSR1, SIG_IGN);
    say_line("/proc/self/status", "SigIgn:");
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    sigprocmask(SIG_BLOCK, &s, NULL);
    raise(SIGUSR2);
    say_line("/proc/self/status", "SigBlk:");
    say_line("/proc/self/status", "SigPnd:");
}

CASE(proc_files_read_in_parts)
{
    int fd = open("/proc/self/status", O_RDONLY);
    char a[8] = "", b[8] = "";

    prctl(PR_SET_NAME, "parts");
    SHOW(read(fd, a, 4));
    SHOW(read(fd, b, 4));
    say("%s|%.2s", a, b);
    SHOW(lseek(fd, 1, SEEK_SET));
    SHOW(read(fd, a, 3));
    say("%.3s", a);
    SHOW(pread(fd, a, 4, 0));
    SHOW(pread(fd, a, 4, 1 << 20));
    SHOW(write(fd, "x", 1));
}

CASE(proc_refuses)
{
    SHOW(open("/proc/self/status", O_RDWR) >= -1);
    SHOW(open("/proc/self/nothing", O_RDONLY));
    SHOW(open("/proc/nothing", O_RDONLY));
    SHOW(open("/proc/self/nothing", O_CREAT | O_RDWR, 0644));
    SHOW(mkdir("/proc/x", 0755));
    SHOW(unlink("/proc/self/status"));
    SHOW(symlink("x", "/proc/x"));
    SHOW(rmdir("/proc/self/fd"));
    SHOW(truncate("/proc/self/comm", 0));
    SHOW(chmod("/proc/self/status", 0777));
    SHOW(open("/proc/0", O_RDONLY));
    SHOW(open("/proc/0123", O_RDONLY));
}

CASE(proc_cmdline_and_environ)
{
    char buf[64] = "";
    int fd = open("/proc/self/cmdline", O_RDONLY);

    SHOW(read(fd, buf, 63) > 0);
    say("%d", strstr(buf, "cases") != NULL);
    SHOW(open("/proc/self/environ", O_RDONLY) >= 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    char path[40];
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
    sprintf(path, "/proc/%d/cmdline", pid);
    fd = open(path, O_RDONLY);
    SHOW(read(fd, buf, 63));
    sprintf(path, "/proc/%d/status", pid);
    say_line(path, "State:");
    waitpid(pid, NULL, 0);
    SHOW(access(path, F_OK));
    SHOW(read(fd, buf, 63));
}

CASE(proc_of_others)
{
    char path[40];
    pid_t pid = fork();

    if (pid == 0)
        pause(), _exit(0);
    become(1000);
    sprintf(path, "/proc/%d/environ", pid);
    SHOW(open(path, O_RDONLY));
    sprintf(path, "/proc/%d/fd", pid);
    SHOW(open(path, O_RDONLY));
    sprintf(path, "/proc/%d/cwd", pid);
    SHOW(readlink(path, (char[8]){0}, 8));
    sprintf(path, "/proc/%d/stat", pid);
    OK(open(path, O_RDONLY));
    sprintf(path, "/proc/%d/comm", pid);
    SHOW(open(path, O_WRONLY));
}

CASE(proc_oom_score_adj)
{
    int fd = open("/proc/self/oom_score_adj", O_RDWR);
    char buf[16] = "";

    SHOW(write(fd, "950", 3));
    SHOW(pread(fd, buf, 15, 0));
    say("%s", strtok(buf, "\n"));
    SHOW(pwrite(fd, "1001", 4, 0));
    SHOW(pwrite(fd, "x", 1, 0));
    SHOW(pwrite(fd, "", 0, 0));
}

CASE(proc_task_folder)
{
    char path[60];

    sprintf(path, "/proc/self/task/%d/comm", gettid());
    SHOW(access(path, R_OK));
    SHOW(access("/proc/self/task/1", F_OK));
    sprintf(path, "/proc/thread-self/comm");
    SHOW(access(path, R_OK));
}
