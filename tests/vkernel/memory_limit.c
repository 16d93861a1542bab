/* Ways to have the host's memory, far more than --memory allows. The argument says which; each ends by being killed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static char *
map(size_t size, int prot, int flags)
{
    char *p = mmap(NULL, size, prot, flags | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        exit(2);
    return p;
}

static void
private_pages(void)
{
    memset(map(1500u * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE), 1, 1500u * MIB);
}

static void
shared_pages(void)
{
    memset(map(1500u * MIB, PROT_READ | PROT_WRITE, MAP_SHARED), 1, 1500u * MIB);
}

/* All in one call. */
static void
populated(void)
{
    map(1500u * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE);
}

static void
populated_shared(void)
{
    map(1500u * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE);
}

static void
locked(void)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    char *p = map(1500u * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE);

    setrlimit(RLIMIT_MEMLOCK, &all);
    if (mlock(p, 1500u * MIB) < 0)
        madvise(p, 1500u * MIB, MADV_POPULATE_WRITE);
}

static void
written(void)
{
    int fd = open("/dev/shm/file", O_WRONLY | O_CREAT, 0600);

    write(fd, map(2000u * MIB, PROT_READ, MAP_PRIVATE), 2000u * MIB);
}

/* Pages that are all one page of zeros: only the tables that say so take memory. */
static void
page_tables(void)
{
    for (int k = 0; k < 400; k++)
        if (fork() == 0) {
            size_t size = 1500ul * MIB;
            volatile char *p = map(size, PROT_READ, MAP_PRIVATE | MAP_NORESERVE);

            for (size_t at = 0; at < size; at += 2u * MIB)
                (void)p[at];
            pause();
        }
    sleep(20);
}

static void
sockets(void)
{
    static char text[60000];
    int pair[2];

    for (int p = 0; p < 40; p++)
        if (fork() == 0) {
            for (int k = 0; k < 400 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0; k++)
                while (write(pair[0], text, sizeof text) > 0)
                    ;
            pause();
        }
    sleep(20);
}

static void
gone_child(void)
{
    if (fork() == 0)
        _exit(0);
    wait(NULL);
}

/* The limit is met in a fork that copies pages into what the child before has left, which has none. */
static void
spares(void)
{
    size_t size = 220 * 4096;
    char *pages = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    int fd = open("/dev/shm/file", O_WRONLY | O_CREAT, 0600);

    for (int k = 0; k < 4000; k++) {
        madvise(pages, size, MADV_DONTNEED);
        gone_child();
        memset(pages, k, size);
        write(fd, pages, size / 8);
        gone_child();
    }
}

static void
names(void)
{
    char name[256];

    memset(name, 'n', 255);
    name[255] = 0;
    mkdir("/dev/shm/names", 0700);
    chdir("/dev/shm/names");
    for (unsigned k = 0; k < 4000000; k++) {
        name[sprintf(name, "%u", k)] = 'n';
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
}

static void
attributes(void)
{
    static char value[60000];
    char name[64];

    chdir("/dev/shm");
    for (int f = 0; f < 2000; f++) {
        sprintf(name, "file%d", f);
        close(open(name, O_CREAT | O_WRONLY, 0600));
        for (int k = 0; k < 16; k++) {
            char key[32];

            sprintf(key, "user.%d", k);
            setxattr(name, key, value, sizeof value, 0);
        }
    }
}

static void
small_files(void)
{
    static char text[60000];
    char name[64];

    chdir("/dev/shm");
    for (int f = 0; f < 40000; f++) {
        int fd;

        sprintf(name, "file%d", f);
        fd = open(name, O_CREAT | O_WRONLY, 0600);
        write(fd, text, sizeof text);
        close(fd);
    }
}

static void
events(void)
{
    char a[256], b[256];

    memset(a, 'a', 254);
    memset(b, 'b', 254);
    a[254] = b[254] = 0;
    chdir("/dev/shm");
    for (int k = 0; k < 120; k++)
        inotify_add_watch(inotify_init(), ".", IN_MOVE);
    close(open(a, O_CREAT | O_WRONLY, 0600));
    for (int k = 0; k < 9000; k++) {
        rename(a, b);
        rename(b, a);
    }
}

static void
proc_texts(void)
{
    char byte;

    for (int k = 0; k < 20000; k++)
        mmap(NULL, 4096, k & 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED, -1, 0);
    for (int k = 0; k < 1000; k++)
        read(open("/proc/self/maps", O_RDONLY), &byte, 1);
}

/* Children have a large memory in common with their parent, read all of it, and then each writes to all of it. */
static void
forks(void)
{
    enum { SIZE = 40 << 20, CHILDREN = 12 };
    volatile char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);

    memset((char *)p, 1, SIZE);
    for (int k = 0; k < CHILDREN; k++) {
        if (fork() != 0)
            continue;
        for (int pass = 0; pass < 2; pass++)
            for (long at = 0; at < SIZE; at += 4096)
                pass ? (void)(p[at] = (char)k) : (void)p[at];
        sleep(1);
        _exit(0);
    }
    while (wait(NULL) > 0)
        ;
}

int
main(int count, char **arguments)
{
    /* clang-format off */
    static const struct { const char *name; void (*f)(void); } ways[] = {
        {"private", private_pages}, {"shared", shared_pages}, {"populated", populated}, {"populated-shared", populated_shared},
        {"locked", locked}, {"written", written}, {"page-tables", page_tables}, {"sockets", sockets}, {"names", names},
        {"attributes", attributes}, {"small-files", small_files}, {"events", events}, {"proc", proc_texts},
        {"forks", forks}, {"spares", spares}};
    /* clang-format on */

    for (unsigned k = 0; k < sizeof ways / sizeof ways[0]; k++) {
        if (count == 1)
            puts(ways[k].name);
        else if (strcmp(arguments[1], ways[k].name) == 0)
            ways[k].f();
    }
    return 0;
}
