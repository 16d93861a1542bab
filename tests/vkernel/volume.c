/* Commands of volume.py: what a program in a container does to a file of a volume. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "programs/locks_random.h"

static int fd;

static int
record(int cmd, short type, off_t start, off_t length)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

    return fcntl(fd, cmd, &l);
}

static void
show(const char *what, int result)
{
    printf("%s %s\n", what, result == 0 ? "got" : strerror(errno));
}

static void
try(void)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    show("flock", flock(fd, LOCK_EX | LOCK_NB));
    show("posix", record(F_SETLK, F_WRLCK, 0, 10));
    show("posix, elsewhere", record(F_SETLK, F_WRLCK, 100, 10));
    fcntl(fd, F_GETLK, &l);
    printf("getlk %s\n", l.l_type == F_UNLCK ? "free" : l.l_type == F_RDLCK ? "read" : "write");
    show("ofd", record(F_OFD_SETLK, F_WRLCK, 200, 10));
}

/* Takes what the letters say, tells, and lets go at the end of standard input. */
static void
hold(const char *what)
{
    char c;
    pid_t pid = 0;

    for (; *what; what++) {
        if (*what == 'f')
            show("flock", flock(fd, LOCK_SH));
        if (*what == 'e')
            show("flock exclusive", flock(fd, LOCK_EX));
        if (*what == 'p')
            show("posix", record(F_SETLKW, F_WRLCK, 0, 10));
        if (*what == 'o')
            show("ofd", record(F_OFD_SETLKW, F_WRLCK, 200, 10));
        if (*what == 'r')
            show("read", record(F_SETLKW, F_RDLCK, 0, 20));
        if (*what == 'c') { /* a child reads [10, 30), while this process gives its own lock up */
            fflush(stdout);
            pid = fork();
            if (pid == 0) {
                show("child reads", record(F_SETLKW, F_RDLCK, 10, 20));
                fflush(stdout);
                pause();
            }
            usleep(50000);
            show("parent unlocks", record(F_SETLK, F_UNLCK, 0, 20));
        }
    }
    printf("held\n");
    fflush(stdout);
    while (read(0, &c, 1) > 0)
        ;
    if (pid)
        kill(pid, SIGKILL);
}

static void
count(int n)
{
    char text[32];

    for (int k = 0; k < n; k++) {
        record(F_SETLKW, F_WRLCK, 0, 1);
        memset(text, 0, sizeof text);
        if (pread(fd, text, sizeof text - 1, 0) < 0)
            exit(1);
        if (k % 3 == 0)
            usleep(100);
        snprintf(text, sizeof text, "%d\n", atoi(text) + 1);
        if (pwrite(fd, text, strlen(text), 0) < 0)
            exit(1);
        record(F_SETLK, F_UNLCK, 0, 1);
    }
}

/* Tells all changes of the folder and the file until a file "end" appears in the folder, some of them its own. */
static void
watch(char *path)
{
    enum { MASK = IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF };
    _Alignas(struct inotify_event) char buffer[4096];
    char folder[4096];
    int in = inotify_init(), whole, one, made;
    struct pollfd p = {.fd = in, .events = POLLIN};

    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    whole = inotify_add_watch(in, folder, MASK);
    one = inotify_add_watch(in, path, MASK);
    if (write(fd, "own", 3) != 3)
        exit(1);
    strcat(folder, "/made");
    made = open(folder, O_CREAT | O_WRONLY, 0600);
    close(made);
    chmod(folder, 0640);
    unlink(folder);
    printf("watching %d %d\n", whole, one);
    fflush(stdout);
    for (;;) {
        ssize_t n;

        if (poll(&p, 1, 20000) != 1)
            return;
        n = read(in, buffer, sizeof buffer);
        for (ssize_t at = 0; at < n;) {
            struct inotify_event *e = (void *)(buffer + at);

            printf("%s %x %s\n", e->wd == whole ? "folder" : "file", e->mask, e->len ? e->name : "");
            if (e->len && strcmp(e->name, "end") == 0)
                return;
            at += (ssize_t)(sizeof *e + e->len);
        }
    }
}

static void
limit(void)
{
    struct rlimit r = {1000, 1000};
    char block[600] = {0};

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &r);
    for (int k = 0; k < 3; k++)
        printf("write %d %d\n", (int)write(fd, block, sizeof block), errno);
    printf("truncate %d %d\n", ftruncate(fd, 2000), errno);
    signal(SIGXFSZ, SIG_DFL);
    fflush(stdout);
    if (write(fd, block, 1) < 0)
        exit(1);
}

/* Lines that name who wrote them: none may be lost, whoever else appends. */
static void
append(const char *path, const char *who, int n)
{
    int out = open(path, O_WRONLY | O_APPEND);
    char line[32];

    for (int k = 0; k < n; k++)
        if (write(out, line, (size_t)snprintf(line, sizeof line, "%s %d\n", who, k)) < 0)
            perror("write");
    printf("at the end: %d\n", lseek(out, 0, SEEK_CUR) <= lseek(out, 0, SEEK_END));
}

static void
map(const char *path)
{
    char held[LOCKS_SPAN + 1];

    locks_map(path, held);
    printf("%s\n", held);
    fflush(stdout);
}

/* Random locks; after some of them, what is held and a pause until there is a line on standard input. */
static void
random_locks(const char *path, unsigned seed)
{
    char line[8];

    random_state = seed;
    locks_begin(path);
    do {
        for (int k = 0; k < 40; k++)
            locks_step();
        printf("%016llx\n", (unsigned long long)random_hash);
        map(path);
    } while (fgets(line, sizeof line, stdin));
    locks_end();
}

static double
milliseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Two take every second byte each, as many as they get; then one gives up, all of whose bytes lie between the
 * other's. */
static void
alternate(const char *path)
{
    enum { MORE_THAN_ALLOWED = 20000 };
    int n = 0, other = open(path, O_RDWR);
    double start;

    while (n < MORE_THAN_ALLOWED && record(n & 1 ? F_SETLK : F_OFD_SETLK, F_WRLCK, 2 * n, 1) == 0)
        n++;
    printf("%s at %s\n", strerror(errno), n < 1000 ? "few" : "many");
    printf("one more %s\n", strerror(record(F_SETLK, F_WRLCK, 0, 1) < 0 ? errno : 0));
    start = milliseconds();
    close(other);
    printf("closed %s\n", milliseconds() - start < 150 ? "soon" : "late");
    printf("one more %s\n", strerror(record(F_SETLK, F_WRLCK, 2, 1) < 0 ? errno : 0));
}

/* Does what was done change the file's time of access? */
static void
accessed(const char *what, const char *path, long result)
{
    struct timespec old[2] = {{1000000000, 0}, {.tv_nsec = UTIME_OMIT}};
    struct stat st;

    stat(path, &st);
    printf("%s: %s, %s\n", what, result < 0 ? strerror(errno) : "done",
           st.st_atime == old[0].tv_sec ? "not accessed" : "accessed");
    fflush(stdout);
    utimensat(AT_FDCWD, path, old, 0);
}

static long
list(int dir)
{
    char buffer[1024];

    return lseek(dir, 0, SEEK_SET) < 0 ? -1 : syscall(SYS_getdents64, dir, buffer, sizeof buffer);
}

static long
look_at(int file)
{
    char *p = mmap(NULL, 1, PROT_READ, MAP_SHARED, file, 0);
    long byte = p == MAP_FAILED ? -1 : *(volatile char *)p;

    if (p != MAP_FAILED)
        munmap(p, 1);
    return byte;
}

static void
access_times(const char *path)
{
    int quiet = open(path, O_RDWR | O_NOATIME), loud = open(path, O_RDONLY), dir;
    char folder[4096], byte;

    if (ftruncate(quiet, 0) < 0 || write(quiet, "1234", 4) != 4)
        exit(1);
    accessed("before", path, fcntl(loud, F_GETFL) + pread(loud, &byte, 1, 0));
    accessed("read quietly", path, pread(quiet, &byte, 1, 0));
    accessed("mapped quietly", path, look_at(quiet));
    accessed("read", path, pread(loud, &byte, 1, 0));
    accessed("mapped", path, look_at(loud));
    printf("locked: %d\n", flock(loud, LOCK_EX));
    accessed("flag set", path, fcntl(loud, F_SETFL, O_NOATIME));
    printf("flags: %x\n", fcntl(loud, F_GETFL) & (O_NOATIME | O_ACCMODE));
    accessed("read quietly", path, pread(loud, &byte, 1, 0));
    accessed("mapped quietly", path, look_at(loud));
    printf("locked still: %s\n", flock(quiet, LOCK_EX | LOCK_NB) < 0 ? strerror(errno) : "no");
    accessed("flag taken", path, fcntl(loud, F_SETFL, 0));
    accessed("read", path, pread(loud, &byte, 1, 1));
    accessed("flag taken", path, fcntl(quiet, F_SETFL, O_APPEND));
    accessed("read", path, pread(quiet, &byte, 1, 1));
    printf("appended: %d,", (int)pwrite(quiet, "5", 1, 0));
    printf(" at %d\n", (int)lseek(quiet, 0, SEEK_END));
    accessed("flag set again", path, fcntl(quiet, F_SETFL, O_NOATIME));
    accessed("read quietly", path, pread(quiet, &byte, 1, 1));

    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOATIME);
    accessed("before", folder, fcntl(dir, F_SETFL, 0) + list(dir) + fcntl(dir, F_SETFL, O_NOATIME));
    accessed("listed quietly", folder, list(dir));
    accessed("flag taken", folder, fcntl(dir, F_SETFL, 0));
    accessed("listed", folder, list(dir));
    if (fork() == 0) {
        setresuid(1000, 1000, 1000);
        accessed("by another", path, open(path, O_RDONLY | O_NOATIME));
        accessed("by another", path, fcntl(loud, F_SETFL, O_NOATIME));
        accessed("by another", path, fcntl(quiet, F_SETFL, O_NOATIME)); /* which has it */
        accessed("by another", path, fcntl(quiet, F_SETFL, 0));
        exit(0);
    }
    wait(NULL);
    close(quiet);
    close(loud);
    close(dir);
}

/* A set-user-id program on the volume, executed by somebody. */
static void
set_user_id(void)
{
    fflush(stdout);
    if (fork() == 0) {
        setresuid(1000, 1000, 1000);
        execl("/v/setuid", "setuid", "/dev/null", "/dev/null", NULL);
        perror("exec");
        _exit(1);
    }
    wait(NULL);
}

int
main(int argc, char **argv)
{
    if (strcmp(argv[0], "setuid") == 0) {
        printf("is %d\n", (int)geteuid());
        return 0;
    }
    fd = open(argv[2], O_RDWR | O_CREAT, 0666);
    if (fd < 0)
        return 2;
    if (strcmp(argv[1], "try") == 0)
        try();
    if (strcmp(argv[1], "hold") == 0)
        hold(argv[3]);
    if (strcmp(argv[1], "count") == 0)
        count(atoi(argv[3]));
    if (strcmp(argv[1], "watch") == 0)
        watch(argv[2]);
    if (strcmp(argv[1], "limit") == 0)
        limit();
    if (strcmp(argv[1], "append") == 0)
        append(argv[2], argv[3], atoi(argv[4]));
    if (strcmp(argv[1], "setuid") == 0)
        set_user_id();
    if (strcmp(argv[1], "atime") == 0)
        access_times(argv[2]);
    if (strcmp(argv[1], "alternate") == 0)
        alternate(argv[2]);
    if (strcmp(argv[1], "map") == 0)
        map(argv[2]);
    if (strcmp(argv[1], "random") == 0)
        random_locks(argv[2], (unsigned)atoi(argv[3]));
    return 0;
}
