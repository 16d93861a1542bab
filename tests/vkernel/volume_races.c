/* The guest of volume_races.py: walks /v while somebody on the host renames and replaces what it walks through, and
 * looks for bytes that are outside of the volume. Every way that leads to a file's bytes, its name or its attributes is
 * tried. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static unsigned long rounds, seen_inside, escapes;

static void
look(const char *how, int fd)
{
    char text[64] = "";
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    if (strstr(text, "SECRET")) {
        escapes++;
        printf("%s reads what is outside\n", how);
    }
    seen_inside += strstr(text, "inside") != NULL;
}

static void
once(void)
{
    struct stat st;
    char text[256];
    ssize_t n;
    int dir, below;

    look("open", open("/v/a/b/c/file", O_RDONLY));
    look("open through ..", open("/v/a/b/../b/c/file", O_RDONLY));
    look("open up", open("/v/a/b/c/../../../../outside/file", O_RDONLY));
    dir = open("/v/a/b", O_RDONLY | O_DIRECTORY);
    below = dir < 0 ? -1 : openat(dir, "c", O_RDONLY | O_DIRECTORY);
    if (below >= 0) {
        look("openat", openat(below, "file", O_RDONLY));
        look("openat up", openat(below, "../../../../outside/file", O_RDONLY));
        look("openat ..", openat(below, "../../../file", O_RDONLY));
        if (fstatat(below, "../../..", &st, 0) == 0 && st.st_mode == (S_IFDIR | 0711)) {
            escapes++;
            printf("stat sees the folder above\n");
        }
        close(below);
    }
    if (dir >= 0)
        close(dir);
    n = readlink("/v/a/b/c/link", text, sizeof text - 1);
    if (n > 0 && memmem(text, (size_t)n, "SECRET", 6)) {
        escapes++;
        printf("readlink reads what is outside\n");
    }
    if (stat("/v/a/b/c/file", &st) == 0 && st.st_size == 777) {
        escapes++;
        printf("stat sees what is outside\n");
    }
    dir = open("/v/a/b/c/new", O_CREAT | O_WRONLY, 0644);
    if (dir >= 0)
        close(dir);
    rename("/v/a/b/c/new", "/v/a/b/c/newer");
    chmod("/v/a/b/c/file", 0644);
    unlink("/v/a/b/c/newer");
    rounds++;
}

int
main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);

    while (time(NULL) < end)
        once();
    printf("%lu rounds, %lu inside, %lu escapes\n", rounds, seen_inside, escapes);
    return rounds == 0 || escapes != 0;
}
