/* Files, directories, links, locks, descriptors: the same lines on Linux and on the vkernel. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW(e)                                                                \
    do {                                                                       \
        errno = 0;                                                             \
        long r_ = (long)(e);                                                   \
        printf("%s = %ld %s\n", #e, r_, r_ < 0 ? strerrorname_np(errno) : ""); \
    } while (0)

static char dir[64];

static void
names(void)
{
    int fd;
    struct stat st;
    char buf[256];

    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d/e/", 0700));
    SHOW(mkdir("x/y", 0700));
    SHOW(symlink("d", "l"));
    SHOW(symlink("loop", "loop"));
    SHOW(open("loop", O_RDONLY));
    SHOW(symlink("nowhere", "dangling"));
    SHOW(open("dangling", O_RDONLY));
    SHOW(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0600));
    fd = open("dangling", O_CREAT | O_WRONLY, 0600);
    printf("through dangling %d\n", fd >= 0);
    close(fd);
    SHOW(access("nowhere", F_OK));
    SHOW(open("d", O_WRONLY));
    SHOW(open("nowhere/", O_RDONLY));
    SHOW(open("nowhere/x", O_RDONLY));
    SHOW(open("nowhere", O_DIRECTORY));
    SHOW(open("l", O_NOFOLLOW));
    SHOW(open("new/", O_CREAT | O_WRONLY, 0600));
    SHOW(open("d", O_CREAT | O_WRONLY, 0600));
    SHOW(rmdir("d"));
    SHOW(unlink("d"));
    SHOW(rmdir("nowhere"));
    SHOW(rmdir("d/."));
    SHOW(rmdir("d/.."));
    SHOW(unlink("l/"));
    SHOW(rename("d", "d/e/f"));
    SHOW(rename("d/e", "l/g"));
    SHOW(access("d/g", F_OK));
    SHOW(rename("nowhere", "d"));
    SHOW(rename("d", "nowhere"));
    SHOW(link("d", "hard"));
    SHOW(link("nowhere", "hard"));
    stat("hard", &st);
    printf("nlink %d size %d\n", (int)st.st_nlink, (int)st.st_size);
    SHOW(renameat2(AT_FDCWD, "hard", AT_FDCWD, "nowhere", RENAME_NOREPLACE));
    SHOW(renameat2(AT_FDCWD, "d", AT_FDCWD, "l", RENAME_EXCHANGE));
    lstat("d", &st);
    printf("exchanged %d\n", S_ISLNK(st.st_mode) != 0);
    SHOW(renameat2(AT_FDCWD, "d", AT_FDCWD, "l", RENAME_EXCHANGE));
    SHOW(readlink("l", buf, sizeof buf));
    SHOW(readlink("d", buf, sizeof buf));
    memset(buf, 'n', 255);
    buf[255] = 0;
    SHOW(open(buf, O_CREAT | O_RDWR, 0600));
    SHOW(unlink(buf));
    {
        char *longer = malloc(300), *path = malloc(5000);
        memset(longer, 'm', 299);
        longer[299] = 0;
        SHOW(open(longer, O_CREAT | O_RDWR, 0600));
        memset(path, '/', 4999);
        path[4999] = 0;
        SHOW(open(path, O_RDONLY));
        SHOW(open("", O_RDONLY));
        SHOW(open((char *)8, O_RDONLY));
    }
    SHOW(chdir("d/g"));
    SHOW(rmdir("../../d/g"));
    SHOW(getcwd(buf, sizeof buf) ? 0 : -1);
    SHOW(open("x", O_CREAT | O_WRONLY, 0600));
    SHOW(chdir(dir));
}

static void
contents(void)
{
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644), fd2, i;
    char buf[8192];
    struct stat st;
    struct iovec v[3] = {{"one ", 4}, {"two ", 4}, {"three", 5}};
    char *map;

    SHOW(writev(fd, v, 3));
    SHOW(pread(fd, buf, 100, 4));
    printf("%.9s\n", buf);
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(lseek(fd, -100, SEEK_CUR));
    SHOW(lseek(fd, 100000, SEEK_SET));
    SHOW(write(fd, "end", 3));
    fstat(fd, &st);
    printf("size %d\n", (int)st.st_size);
    SHOW(pread(fd, buf, 10, 50000));
    printf("zeros %d\n", buf[0] == 0 && buf[9] == 0);
    SHOW(ftruncate(fd, 5));
    SHOW(ftruncate(fd, 4096 * 40));
    SHOW(pread(fd, buf, 10, 3));
    printf("%d %d\n", buf[1], buf[2]);
    map = mmap(NULL, 4096 * 40, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memcpy(map + 5000, "mapped", 6);
    SHOW(pread(fd, buf, 6, 5000));
    printf("%.6s\n", buf);
    SHOW(pwrite(fd, "written", 7, 9000));
    printf("%.7s\n", map + 9000);
    munmap(map, 4096 * 40);
    SHOW(unlink("f"));
    SHOW(pread(fd, buf, 6, 5000));
    fstat(fd, &st);
    printf("nlink %d\n", (int)st.st_nlink);
    snprintf(buf, sizeof buf, "/proc/self/fd/%d", fd);
    memset(buf + 100, 0, 200);
    i = readlink(buf, buf + 100, 200);
    printf("deleted %d\n", i > 10 && strcmp(buf + 100 + i - 10, " (deleted)") == 0);
    fd2 = open(buf, O_RDONLY);
    SHOW(pread(fd2, buf, 6, 5000));
    close(fd2);
    close(fd);
    fd = open("append", O_WRONLY | O_CREAT | O_APPEND, 0600);
    write(fd, "abc", 3);
    lseek(fd, 0, SEEK_SET);
    write(fd, "def", 3);
    fd2 = open("append", O_RDONLY);
    SHOW(read(fd2, buf, 100));
    printf("%.6s\n", buf);
    SHOW(write(fd2, "x", 1));
    SHOW(read(fd, buf, 1));
    SHOW(sendfile(fd, fd2, NULL, 10));
    SHOW(copy_file_range(fd2, NULL, fd, NULL, 10, 0));
    close(fd);
    close(fd2);
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    printf("tmpfile %d\n", fd >= 0);
    write(fd, "t", 1);
    snprintf(buf, sizeof buf, "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, buf, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
    SHOW(stat("linked", &st));
    close(fd);
    fd = memfd_create("m", MFD_ALLOW_SEALING);
    write(fd, "12345", 5);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(write(fd, "x", 1));
    SHOW(fcntl(fd, F_GET_SEALS));
    close(fd);
    fd = open("sparse", O_RDWR | O_CREAT, 0600);
    ftruncate(fd, 1 << 20);
    pwrite(fd, "d", 1, 512 * 1024);
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 512 * 1024, SEEK_HOLE));
    fstat(fd, &st);
    printf("blocks %d\n", (int)st.st_blocks);
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 512 * 1024, 4096));
    SHOW(pread(fd, buf, 1, 512 * 1024));
    printf("%d\n", buf[0]);
    close(fd);
}

static void
directories(void)
{
    char name[32];
    int count = 0, seen[200] = {0}, k, dup = 0;
    DIR *d;
    struct dirent *e;

    mkdir("many", 0755);
    for (k = 0; k < 200; k++) {
        snprintf(name, sizeof name, "many/%d", k);
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    d = opendir("many");
    while ((e = readdir(d))) { /* removing while reading must neither repeat nor lose names */
        if (e->d_name[0] == '.')
            continue;
        k = atoi(e->d_name);
        dup += seen[k]++;
        count++;
        snprintf(name, sizeof name, "many/%d", k);
        unlink(name);
    }
    closedir(d);
    printf("read %d dup %d\n", count, dup);
    SHOW(rmdir("many"));
}

static void
descriptors(void)
{
    int p[2], fd;
    char buf[16];

    SHOW(close(100));
    SHOW(dup2(1, 50));
    SHOW(fcntl(50, F_GETFD));
    SHOW(dup3(1, 51, O_CLOEXEC));
    SHOW(fcntl(51, F_GETFD));
    SHOW(fcntl(50, F_DUPFD, 60));
    SHOW(syscall(SYS_close_range, 50, 70, 0));
    SHOW(fcntl(50, F_GETFD));
    pipe(p);
    SHOW(fcntl(p[1], F_GETPIPE_SZ));
    SHOW(fcntl(p[1], F_SETPIPE_SZ, 4096));
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    fd = 0;
    while (write(p[1], "12345678", 8) == 8)
        fd++;
    printf("filled %d %s\n", fd, strerrorname_np(errno));
    SHOW(read(p[0], buf, 16));
    close(p[1]);
    while (read(p[0], buf, 16) > 0)
        ;
    SHOW(read(p[0], buf, 16));
    close(p[0]);
    fd = open("locked", O_CREAT | O_RDWR, 0600);
    SHOW(flock(fd, LOCK_EX));
    if (fork() == 0) {
        int mine = open("locked", O_RDWR);
        struct flock l = {.l_type = F_WRLCK};

        SHOW(flock(mine, LOCK_EX | LOCK_NB));
        SHOW(fcntl(mine, F_SETLK, &l));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    {
        struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};
        SHOW(fcntl(fd, F_SETLK, &l));
        fflush(stdout);
        if (fork() == 0) {
            struct flock m = {.l_type = F_RDLCK, .l_start = 0, .l_len = 100};
            SHOW(fcntl(fd, F_GETLK, &m));
            printf("%d %d %d\n", m.l_type == F_WRLCK, (int)m.l_start, (int)m.l_len);
            m.l_type = F_RDLCK;
            m.l_start = 0;
            m.l_len = 10;
            SHOW(fcntl(fd, F_SETLK, &m));
            fflush(stdout);
            _exit(0);
        }
        wait(NULL);
    }
}

static void
watching(void)
{
    int in = inotify_init1(IN_NONBLOCK), fd;
    char buf[4096], *p;
    ssize_t n;

    mkdir("w", 0755);
    printf("wd %d\n", inotify_add_watch(in, "w", IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY | IN_CLOSE_WRITE));
    fd = open("w/a", O_CREAT | O_WRONLY, 0600);
    write(fd, "x", 1);
    close(fd);
    rename("w/a", "w/b");
    unlink("w/b");
    rmdir("w");
    n = read(in, buf, sizeof buf);
    for (p = buf; p < buf + n;) {
        struct inotify_event *e = (struct inotify_event *)p;

        printf("event %x %s\n", e->mask, e->len ? e->name : "");
        p += sizeof *e + e->len;
    }
    close(in);
}

static void
attributes(void)
{
    struct stat st;
    struct timespec t[2] = {{1000, 5}, {2000, 7}};
    int fd = open("attr", O_CREAT | O_RDWR, 0666);

    umask(077);
    SHOW(close(open("masked", O_CREAT | O_RDWR, 0666)));
    stat("masked", &st);
    printf("%o\n", st.st_mode);
    umask(022);
    SHOW(fchmod(fd, 04755));
    SHOW(utimensat(AT_FDCWD, "attr", t, 0));
    stat("attr", &st);
    printf("%o %ld %ld %ld\n", st.st_mode, st.st_atime, st.st_mtime, st.st_mtim.tv_nsec);
    SHOW(chmod("nothere", 0600));
    SHOW(fstatat(fd, "", &st, AT_EMPTY_PATH));
    SHOW(mkfifo("fifo", 0600));
    SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
    stat("fifo", &st);
    printf("fifo %d\n", S_ISFIFO(st.st_mode) != 0);
    SHOW(truncate("attr", 10));
    SHOW(truncate("d", 10));
    SHOW(truncate("/proc/self/exe", 1000)); /* what runs */
    SHOW(open("/proc/self/exe", O_RDWR));
    SHOW(open("/proc/self/exe", O_WRONLY | O_TRUNC));
    SHOW(open("/proc/self/exe", O_RDONLY | O_TRUNC));
    if (fork() == 0) {
        SHOW(setgid(1000));
        SHOW(setuid(1000));
        SHOW(open("masked", O_RDONLY));
        SHOW(open("attr", O_RDONLY) >= 0 ? 0 : -1);
        SHOW(open("attr", O_WRONLY));
        SHOW(unlink("attr"));
        SHOW(chmod("attr", 0777));
        SHOW(access("masked", R_OK));
        SHOW(open("mine", O_CREAT | O_WRONLY, 0600));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    strcpy(dir, "/tmp/fsXXXXXX");
    if (!mkdtemp(dir) || chdir(dir) < 0)
        return 1;
    chmod(dir, 0755);
    names();
    contents();
    directories();
    descriptors();
    watching();
    attributes();
    return 0;
}
