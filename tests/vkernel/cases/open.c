/* open, openat, openat2, creat: what flags do, and the order of the errors. */
#include "case.h"

#include <linux/openat2.h>
#include <sys/sysmacros.h>

static long
open2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};

    return syscall(SYS_openat2, dir, path, &how, sizeof how);
}

static void
say_file(const char *name)
{
    struct stat st;

    if (stat(name, &st) < 0)
        say("%s: %s", name, strerrorname_np(errno));
    else
        say("%s: %ld bytes, mode %o", name, (long)st.st_size, st.st_mode);
}

CASE(open_missing)
{
    SHOW(open("f", O_RDONLY));
    SHOW(open("d/f", O_RDONLY | O_CREAT, 0644));
    SHOW(open("", O_RDONLY));
    SHOW(open("", O_RDONLY | O_CREAT, 0644));
}

CASE(open_excl)
{
    make_file("f", "abc");
    symlink("nowhere", "l");
    SHOW(open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
    SHOW(open("l", O_RDWR | O_CREAT | O_EXCL, 0644));
    SHOW(open("g", O_RDWR | O_CREAT | O_EXCL, 0644));
    SHOW(open("g", O_RDWR | O_EXCL, 0644));
}

CASE(open_creates_through_link)
{
    symlink("target", "l");
    SHOW(open("l", O_RDWR | O_CREAT, 0600));
    say_file("target");
}

CASE(open_trunc)
{
    int fd = make_file("f", "abc");

    SHOW(open("f", O_RDONLY | O_TRUNC));
    say_file("f");
    SHOW(write(fd, "abcd", 4));
    SHOW(open("f", O_WRONLY | O_TRUNC | O_CREAT, 0600));
    say_file("f");
}

CASE(open_mode_and_umask)
{
    SHOW(umask(027));
    open("a", O_CREAT | O_WRONLY, 0777);
    open("b", O_CREAT | O_WRONLY, 07777);
    open("c", O_CREAT | O_WRONLY, 0);
    creat("d", 0666);
    open("e", O_CREAT | O_WRONLY, 0177777);
    say_file("a"), say_file("b"), say_file("c"), say_file("d"), say_file("e");
}

CASE(open_folder)
{
    mkdir("d", 0755);
    SHOW(open("d", O_RDONLY));
    SHOW(open("d", O_WRONLY));
    SHOW(open("d", O_RDWR));
    SHOW(open("d", O_RDONLY | O_CREAT, 0644));
    SHOW(open("d", O_RDONLY | O_TRUNC));
    SHOW(open("d/", O_RDONLY | O_CREAT, 0644));
    SHOW(open("n/", O_RDONLY | O_CREAT, 0644));
    SHOW(open("d", O_RDONLY | O_CREAT | O_EXCL, 0644));
}

CASE(open_directory_flag)
{
    make_file("f", "");
    symlink("f", "l");
    SHOW(open("f", O_RDONLY | O_DIRECTORY));
    SHOW(open("l", O_RDONLY | O_DIRECTORY));
    SHOW(open(".", O_RDONLY | O_DIRECTORY));
    SHOW(open(".", O_WRONLY | O_DIRECTORY));
    SHOW(open("g", O_RDWR | O_CREAT | O_DIRECTORY, 0644));
    SHOW(open("f", O_PATH | O_DIRECTORY));
}

CASE(open_nofollow)
{
    make_file("f", "");
    mkdir("d", 0755);
    symlink("f", "l");
    symlink("d", "ld");
    SHOW(open("l", O_RDONLY | O_NOFOLLOW));
    SHOW(open("l", O_RDONLY | O_NOFOLLOW | O_CREAT, 0644));
    SHOW(open("ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
    SHOW(open("ld/.", O_RDONLY | O_NOFOLLOW));
    SHOW(open("ld/", O_RDONLY | O_NOFOLLOW));
    SHOW(open("l", O_PATH | O_NOFOLLOW));
}

CASE(open_loops)
{
    symlink("b", "a");
    symlink("a", "b");
    SHOW(open("a", O_RDONLY));
    SHOW(open("a/x", O_RDONLY));
    SHOW(open("a", O_RDWR | O_CREAT, 0644));
    SHOW(stat("a", &(struct stat){0}));
    SHOW(lstat("a", &(struct stat){0}) == 0);
}

CASE(open_forty_links)
{
    char from[8], to[8];

    make_file("l0", "");
    for (int k = 1; k <= 41; k++) {
        sprintf(from, "l%d", k), sprintf(to, "l%d", k - 1);
        symlink(to, from);
    }
    OK(open("l40", O_RDONLY));
    OK(open("l41", O_RDONLY));
}

CASE(open_not_a_folder)
{
    make_file("f", "");
    symlink("f", "l");
    SHOW(open("f/x", O_RDONLY));
    SHOW(open("f/", O_RDONLY));
    SHOW(open("f/.", O_RDONLY));
    SHOW(open("f/..", O_RDONLY));
    SHOW(open("l/x", O_RDONLY));
    SHOW(open("l/", O_RDONLY));
    SHOW(open("f/x", O_RDWR | O_CREAT, 0644));
    SHOW(open("f/", O_RDWR | O_CREAT, 0644));
}

CASE(open_long_names)
{
    char name[5000];

    memset(name, 'a', sizeof name);
    name[256] = 0;
    SHOW(open(name, O_RDWR | O_CREAT, 0644));
    name[255] = 0;
    OK(open(name, O_RDWR | O_CREAT, 0644));
    memset(name, '/', sizeof name);
    name[4096] = 0;
    SHOW(open(name, O_RDONLY));
    name[4095] = 0;
    OK(open(name, O_RDONLY));
}

CASE(open_bad_pointers)
{
    SHOW(open(NULL, O_RDONLY));
    SHOW(open((char *)-4096, O_RDONLY));
    SHOW(openat(-1, NULL, O_RDONLY));
    SHOW(syscall(SYS_openat2, AT_FDCWD, ".", NULL, sizeof(struct open_how)));
    SHOW(syscall(SYS_openat2, AT_FDCWD, NULL, &(struct open_how){0}, sizeof(struct open_how)));
}

CASE(openat_descriptors)
{
    make_file("f", "");
    mkdir("d", 0755);
    make_file("d/g", "");
    int dir = open("d", O_RDONLY), file = open("f", O_RDONLY), path = open("d", O_PATH);

    SHOW(openat(-1, "f", O_RDONLY));
    SHOW(openat(77, "f", O_RDONLY));
    OK(openat(-1, "/", O_RDONLY));
    SHOW(openat(file, "g", O_RDONLY));
    SHOW(openat(file, "", O_RDONLY));
    OK(openat(dir, "g", O_RDONLY));
    OK(openat(path, "g", O_RDONLY));
    OK(openat(dir, "../f", O_RDONLY));
    SHOW(openat(dir, "f", O_RDONLY));
}

CASE(open_rights)
{
    int fd = make_file("f", "abc");

    fchmod(fd, 0400);
    mkdir("d", 0711);
    make_file("d/g", "");
    mkdir("e", 0744);
    make_file("e/h", "");
    mkdir("w", 0777);
    become(1000);
    SHOW(open("f", O_RDONLY));
    SHOW(open("f", O_PATH) >= 0);
    OK(open("d/g", O_RDONLY));
    SHOW(open("d/g", O_WRONLY));
    SHOW(open("d", O_RDONLY));
    SHOW(open("d/new", O_RDWR | O_CREAT, 0644));
    OK(open("e", O_RDONLY));
    SHOW(open("e/h", O_RDONLY));
    OK(open("w/new", O_RDWR | O_CREAT, 0));
    SHOW(open("w/new", O_RDONLY));
    SHOW(open("d/g", O_RDONLY | O_TRUNC));
}

CASE(open_creates_readonly_for_writing)
{
    become(1000);
    int fd = open("f", O_RDWR | O_CREAT, 0400);

    SHOW(write(fd, "abc", 3));
    SHOW(open("f", O_RDWR | O_CREAT, 0400));
    OK(open("f", O_RDONLY));
}

CASE(open_noatime_is_the_owners)
{
    make_file("f", "");
    chmod("f", 0666);
    OK(open("f", O_RDONLY | O_NOATIME));
    become(1000);
    SHOW(open("f", O_RDONLY | O_NOATIME));
    SHOW(fcntl(open("f", O_RDONLY), F_SETFL, O_NOATIME));
}

CASE(open_append_writes_at_the_end)
{
    int fd = make_file("f", "abc"), append = open("f", O_WRONLY | O_APPEND);
    char buf[16] = "";

    SHOW(write(append, "de", 2));
    SHOW(lseek(append, 0, SEEK_SET));
    SHOW(write(append, "f", 1));
    SHOW(lseek(append, 0, SEEK_CUR));
    SHOW(pwrite(append, "g", 1, 0));
    SHOW(lseek(append, 0, SEEK_CUR));
    read(fd, buf, 15);
    say("%s", buf);
}

CASE(open_access_mode_three)
{
    make_file("f", "abc");
    int fd = open("f", O_ACCMODE);
    char c;

    SHOW(fd >= 0);
    SHOW(read(fd, &c, 1));
    SHOW(write(fd, &c, 1));
    SHOW(fcntl(fd, F_GETFL) & O_ACCMODE);
    chmod("f", 0400);
    become(1000);
    SHOW(open("f", O_ACCMODE));
}

CASE(open_unknown_flags)
{
    make_file("f", "abc");
    int fd = open("f", O_RDONLY | 0x40000000);

    SHOW(fd >= 0);
    SHOW(fcntl(fd, F_GETFL) & 0x40000000);
    SHOW(open2(AT_FDCWD, "f", 0x40000000, 0, 0));
    SHOW(open2(AT_FDCWD, "f", 1ull << 40, 0, 0));
}

CASE(openat2_mode)
{
    SHOW(open2(AT_FDCWD, ".", O_RDONLY, 0644, 0));
    SHOW(open2(AT_FDCWD, "f", O_RDWR | O_CREAT, 010000, 0));
    SHOW(open2(AT_FDCWD, "f", O_RDWR | O_CREAT, 0644, 0) >= 0);
    say_file("f");
}

CASE(openat2_sizes)
{
    struct {
        struct open_how how;
        uint64_t more;
    } big = {.how.flags = O_RDONLY};

    SHOW(syscall(SYS_openat2, AT_FDCWD, ".", &big, 0));
    SHOW(syscall(SYS_openat2, AT_FDCWD, ".", &big, 16));
    SHOW(syscall(SYS_openat2, AT_FDCWD, ".", &big, 24));
    SHOW(syscall(SYS_openat2, AT_FDCWD, ".", &big, 32));
    big.more = 1;
    SHOW(syscall(SYS_openat2, AT_FDCWD, ".", &big, 32));
    SHOW(syscall(SYS_openat2, AT_FDCWD, ".", &big, 8192));
}

CASE(openat2_resolve_beneath)
{
    mkdir("d", 0755);
    make_file("d/f", "");
    make_file("g", "");
    symlink("../g", "d/out");
    symlink("/", "d/root");
    symlink("f", "d/in");
    int dir = open("d", O_PATH);

    OK(open2(dir, "f", O_RDONLY, 0, RESOLVE_BENEATH));
    OK(open2(dir, "in", O_RDONLY, 0, RESOLVE_BENEATH));
    SHOW(open2(dir, "../g", O_RDONLY, 0, RESOLVE_BENEATH));
    SHOW(open2(dir, "out", O_RDONLY, 0, RESOLVE_BENEATH));
    SHOW(open2(dir, "root", O_RDONLY, 0, RESOLVE_BENEATH));
    SHOW(open2(dir, "/", O_RDONLY, 0, RESOLVE_BENEATH));
    SHOW(open2(dir, "..", O_RDONLY, 0, RESOLVE_BENEATH));
    SHOW(open2(dir, "f", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT));
}

CASE(openat2_resolve_in_root)
{
    mkdir("d", 0755);
    make_file("d/f", "");
    symlink("/f", "d/abs");
    symlink("../../../f", "d/up");
    int dir = open("d", O_PATH);

    OK(open2(dir, "/f", O_RDONLY, 0, RESOLVE_IN_ROOT));
    OK(open2(dir, "abs", O_RDONLY, 0, RESOLVE_IN_ROOT));
    OK(open2(dir, "up", O_RDONLY, 0, RESOLVE_IN_ROOT));
    OK(open2(dir, "../../f", O_RDONLY, 0, RESOLVE_IN_ROOT));
    SHOW(open2(dir, "/d/f", O_RDONLY, 0, RESOLVE_IN_ROOT));
}

CASE(openat2_resolve_no_links)
{
    make_file("f", "");
    mkdir("d", 0755);
    make_file("d/g", "");
    symlink("f", "l");
    symlink("d", "ld");

    SHOW(open2(AT_FDCWD, "l", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
    SHOW(open2(AT_FDCWD, "ld/g", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
    OK(open2(AT_FDCWD, "l", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS));
    OK(open2(AT_FDCWD, "d/g", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
    SHOW(open2(AT_FDCWD, "/proc/self/fd/0", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS));
    SHOW(open2(AT_FDCWD, "/proc/self/fd/0", O_RDONLY, 0, RESOLVE_NO_XDEV));
    OK(open2(AT_FDCWD, "f", O_RDONLY, 0, RESOLVE_NO_XDEV));
    SHOW(open2(AT_FDCWD, "f", O_RDONLY, 0, 0x100));
}

CASE(openat2_path_flags)
{
    make_file("f", "");
    SHOW(open2(AT_FDCWD, "f", O_PATH | O_RDWR, 0, 0));
    SHOW(open2(AT_FDCWD, "f", O_PATH | O_TRUNC, 0, 0));
    OK(open2(AT_FDCWD, "f", O_PATH | O_CLOEXEC | O_NOFOLLOW, 0, 0));
    OK(open("f", O_PATH | O_RDWR | O_CREAT, 0644));
}

CASE(open_tmpfile)
{
    struct stat st;
    int fd = open(".", O_TMPFILE | O_RDWR, 0640);

    SHOW(fd);
    SHOW(fstat(fd, &st));
    say("links %ld mode %o", (long)st.st_nlink, st.st_mode);
    SHOW(open(".", O_TMPFILE | O_RDONLY, 0640));
    SHOW(open("nothing", O_TMPFILE | O_RDWR, 0640));
    make_file("f", "");
    SHOW(open("f", O_TMPFILE | O_RDWR, 0640));
    SHOW(linkat(fd, "", AT_FDCWD, "name", AT_EMPTY_PATH));
    say_file("name");
}

CASE(open_tmpfile_excl_is_not_linked)
{
    int fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0640);
    char path[40];

    SHOW(fd);
    sprintf(path, "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "name", AT_SYMLINK_FOLLOW));
}

CASE(open_fifo)
{
    mkfifo("p", 0644);
    SHOW(open("p", O_WRONLY | O_NONBLOCK));
    SHOW(open("p", O_RDONLY | O_NONBLOCK));
    SHOW(open("p", O_WRONLY | O_NONBLOCK));
    SHOW(open("p", O_RDWR));
    SHOW(open("p", O_RDONLY | O_DIRECTORY));
}

CASE(open_socket_and_device)
{
    mknod("s", S_IFSOCK | 0644, 0);
    mknod("c", S_IFCHR | 0666, makedev(250, 99));
    SHOW(open("s", O_RDWR));
    OK(open("s", O_PATH));
    SHOW(open("c", O_RDWR));
}

CASE(open_cloexec)
{
    make_file("f", "");
    SHOW(fcntl(open("f", O_RDONLY | O_CLOEXEC), F_GETFD));
    SHOW(fcntl(open("f", O_PATH | O_CLOEXEC), F_GETFD));
    SHOW(fcntl(open("f", O_RDONLY), F_GETFD));
}

CASE(open_removed_folder)
{
    mkdir("d", 0755);
    chdir("d");
    rmdir("../d");
    SHOW(open("f", O_RDWR | O_CREAT, 0644));
    SHOW(open(".", O_RDONLY) >= 0);
    SHOW(open("..", O_RDONLY) >= 0);
    SHOW(mkdir("x", 0755));
    SHOW((long)getcwd((char[100]){0}, 100));
}

CASE(open_own_fd_again)
{
    int fd = make_file("f", "abc");
    char path[40], c;

    unlink("f");
    sprintf(path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY);
    SHOW(again >= 0);
    SHOW(read(again, &c, 1));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(write(again, &c, 1));
}
