/* fcntl: who named an owner, how long bytes are likely to stay, and whether two descriptors have one open file. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GETOWNER_UIDS = 17, DUPFD_QUERY = 1027, GET_HINT = 1035, SET_HINT, GET_FILE_HINT, SET_FILE_HINT };

static void
show(const char *what, long r)
{
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, r);
}

static void
ids(const char *what, int f)
{
    uint32_t id[2] = {7, 7};

    show(what, fcntl(f, GETOWNER_UIDS, id));
    printf("real %d effective %d\n", id[0] == getuid() || id[0] == 0, id[1] == geteuid() || id[1] == 0);
}

static void
hint(const char *what, int f, uint64_t value)
{
    uint64_t now = 99;

    show(what, fcntl(f, SET_HINT, &value));
    show("read back", fcntl(f, GET_HINT, &now)), printf("%llu\n", (unsigned long long)now);
}

int
main(void)
{
    char name[] = "/tmp/fcntl-XXXXXX";
    int f = mkstemp(name), g = dup(f), h = open(name, O_RDONLY), path = open(name, O_PATH);
    uint64_t value = 1;

    setvbuf(stdout, NULL, _IONBF, 0);
    ids("no owner", f), fcntl(f, F_SETOWN, getpid()), ids("an owner", f), show("nowhere", fcntl(f, GETOWNER_UIDS, 8));
    show("a path", fcntl(path, GETOWNER_UIDS, &value));
    for (uint64_t k = 0; k < 8; k++)
        hint("hint", f, k);
    hint("hint", f, -1), show("nowhere", fcntl(f, SET_HINT, 8)), show("nowhere", fcntl(f, GET_HINT, 8));
    show("of another open file", fcntl(h, GET_HINT, &value)), printf("%llu\n", (unsigned long long)value);
    show("of the open file", fcntl(f, GET_FILE_HINT, &value)),
        show("of the open file", fcntl(f, SET_FILE_HINT, &value));
    show("a copy", fcntl(f, DUPFD_QUERY, g)), show("itself", fcntl(f, DUPFD_QUERY, f)),
        show("opened anew", fcntl(f, DUPFD_QUERY, h));
    show("closed", fcntl(f, DUPFD_QUERY, 99)), show("negative", fcntl(f, DUPFD_QUERY, -1)),
        show("of a closed one", fcntl(99, DUPFD_QUERY, f));
    show("a path, itself", fcntl(path, DUPFD_QUERY, path));
    if (geteuid() == 0) {
        if (fork() == 0) {
            setuid(12345);
            value = 2, show("another's file", fcntl(h, SET_HINT, &value)), show("to read", fcntl(h, GET_HINT, &value));
            _exit(0);
        }
        wait(NULL);
    }
    unlink(name);
    return 0;
}
