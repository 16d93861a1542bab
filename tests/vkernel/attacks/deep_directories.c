/* Directories 3,000 deep: names of places there are longer than any path, walks and renames are bounded, and the whole
 * tower goes when the last reference to its innermost one does. Links: 40 and no more, however long their texts are.
 * The same on Linux. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEPTH = 3000 };
static char base[] = "/dev/shm/deepXXXXXX";

static const char *
answer(long r)
{
    return r < 0 ? strerrorname_np(errno) : "yes";
}

static void
deep(void)
{
    char path[8192];
    struct stat st;
    int k, fd;

    for (k = 0; k < DEPTH && mkdir("d", 0777) == 0 && chdir("d") == 0; k++)
        ;
    printf("depth %d\n", k);
    printf("getcwd 100: %s\n", answer(syscall(SYS_getcwd, path, 100)));
    printf("getcwd 8192: %s\n", answer(syscall(SYS_getcwd, path, sizeof path)));
    printf("readlink cwd: %s\n", answer(readlink("/proc/self/cwd", path, sizeof path)));
    fd = open("/proc/self/cwd", O_RDONLY | O_DIRECTORY);
    printf("open cwd: %s\n", answer(fd));
    close(fd);
    printf("through cwd: %s\n", answer(stat("/proc/self/cwd/..", &st)));
    for (k = 0; k < 2048; k++)
        memcpy(path + 2 * k, "d/", 2);
    path[4095] = '\0';
    chdir(base);
    printf("4,095: %s\n", answer(stat(path, &st)));
    memcpy(path + 4095, "/d", 3);
    printf("4,097: %s\n", answer(stat(path, &st)));
    printf("below itself: %s\n", answer(rename("d", "d/d/d/e")));
}

static void
take_down(void)
{
    char path[4096];
    int k;

    chdir(base);
    for (k = 0; k < DEPTH && chdir("d") == 0; k++)
        ;
    printf("down again %d\n", k);
    for (k = 0; k < DEPTH && chdir("..") == 0 && rmdir("d") == 0; k++)
        ;
    printf("removed %d\n", k);
    /* A tower of deleted directories, held from its top only. */
    for (k = 0; k < 1000 && mkdir("d", 0777) == 0 && chdir("d") == 0; k++)
        ;
    for (k = 0; k < 1000; k++) {
        memset(path, 0, sizeof path);
        strcpy(path, base);
        for (int j = 0; j < 1000 - k; j++)
            memcpy(path + strlen(base) + 2 * j, "/d", 2);
        if (rmdir(path) < 0)
            break;
    }
    printf("removed %d from beneath\n", k);
    printf("getcwd: %s\n", answer(syscall(SYS_getcwd, path, sizeof path)));
    printf("create: %s\n", answer(open("f", O_CREAT | O_WRONLY, 0600)));
    printf("up: %s\n", answer(chdir("..")));
    printf("away: %s\n", answer(chdir("/")));
}

static void
links(void)
{
    char text[4096], name[64];
    struct stat st;

    chdir(base);
    symlink(base, "s0");
    for (int k = 1; k < 60; k++) {
        memset(text, '/', sizeof text);
        sprintf(text + 3900, "%s/s%d/..//%s/s%d", base, k - 1, base + 1, k - 1);
        sprintf(name, "s%d", k);
        symlink(text, name);
    }
    /* At most half as deep as allowed, or far deeper: Linux begins again when folders change meanwhile, and goes on
     * counting. */
    for (int k = 0; k < 60; k += k == 20 ? 30 : 10) {
        sprintf(name, "s%d/", k);
        printf("%d: %s\n", k, answer(stat(name, &st)));
    }
    /* Each text ends in slashes; the innermost has a component at every second byte. */
    memset(text, 0, sizeof text);
    for (int k = 0; k < 2047; k++)
        memcpy(text + 2 * k, "./", 2);
    symlink(text, "t0");
    for (int k = 1; k < 20; k++) {
        memset(text, '/', 4094);
        sprintf(name, "t%d", k - 1);
        memcpy(text, name, strlen(name));
        text[4094] = '\0';
        sprintf(name, "t%d", k);
        symlink(text, name);
    }
    for (int k = 0; k < 100; k++)
        if (stat("t19", &st) < 0)
            printf("t19: %s\n", answer(-1));
    symlink("loop", "loop");
    printf("loop: %s\n", answer(stat("loop", &st)));
    printf("loop/: %s\n", answer(open("loop/x", O_CREAT | O_RDWR, 0600)));
    printf("loop made: %s\n", answer(open("loop", O_CREAT | O_RDWR, 0600)));
}

int
main(void)
{
    if (!mkdtemp(base) || chdir(base) < 0)
        return 1;
    deep();
    take_down();
    links();
    printf("survived\n");
    fflush(stdout);
    execl("/bin/rm", "rm", "-rf", base, NULL); /* where there is one */
    return 0;
}
