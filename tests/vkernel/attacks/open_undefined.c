/* An open with O_CREAT that fails before its path was walked used to look at a struct path that nothing had set. What
 * lay on the stack came from earlier calls, so these choose it: a path of every length, and a descriptor number as a
 * pointer. The same on Linux. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
fails(int dirfd, const char *path)
{
    static const int flags[] = {O_CREAT | O_RDWR, O_CREAT | O_EXCL | O_WRONLY, O_TMPFILE | O_RDWR, O_PATH, O_RDONLY};
    int sum = 0;

    for (unsigned k = 0; k < sizeof flags / sizeof flags[0]; k++)
        sum = sum * 31 + (openat(dirfd, path, flags[k], 0600) == -1 ? errno : 0);
    return sum;
}

int
main(void)
{
    static char path[4096];
    int first, sum, base = open("/bin", O_RDONLY | O_DIRECTORY), file = open("/proc/self/exe", O_RDONLY);

    printf("%d %d %d %d\n", fails(-5, "x"), fails(AT_FDCWD, ""), fails(base, ""), fails(file, "x"));
    first = fails(-5, "x");
    for (int n = 4095; n > 8; n -= 7) {
        memset(path, 'A', n);
        path[n] = 0;
        symlink("x", path);
        if (n < 256)
            unlink(path);
        sum = fails(-5, "x");
        if (sum != first)
            printf("%d: %d\n", n, sum);
        fails(AT_FDCWD, "");
    }
    for (unsigned long where = 8; where < 1ul << 47; where *= 3) {
        syscall(SYS_symlinkat, "x", where, "zzz");
        fails(-5, "x");
        syscall(SYS_renameat, where, "zzz", where, "zzz");
        fails(-5, "x");
        syscall(SYS_linkat, where, "zzz", where, "zzz", 0);
        fails(-5, "x");
    }
    printf("survived\n");
}
