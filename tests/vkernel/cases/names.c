/* link, unlink, rename, renameat2, symlink, readlink, mkdir, rmdir, mknod, chdir, getdents. */
#include "case.h"

#include <dirent.h>
#include <sys/sysmacros.h>

static long
rename2(const char *from, const char *to, unsigned flags)
{
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static long
links(const char *name)
{
    struct stat st;

    return lstat(name, &st) < 0 ? -1 : (long)st.st_nlink;
}

CASE(link_makes_a_second_name)
{
    make_file("f", "abc");
    SHOW(link("f", "g"));
    SHOW(links("f"));
    SHOW(link("f", "g"));
    SHOW(link("nothing", "h"));
    SHOW(link("f", "d/h"));
    SHOW(link("f", "f/h"));
    SHOW(link("f", ""));
    SHOW(link("", "h"));
    SHOW(link(NULL, "h"));
    SHOW(link("f", NULL));
}

CASE(link_of_folder_and_symlink)
{
    mkdir("d", 0755);
    make_file("f", "");
    symlink("f", "l");
    SHOW(link("d", "e"));
    SHOW(link("l", "m"));
    SHOW(links("f"));
    SHOW(links("l"));
    SHOW(linkat(AT_FDCWD, "l", AT_FDCWD, "n", AT_SYMLINK_FOLLOW));
    SHOW(links("f"));
    SHOW(link("f", "h/"));
    SHOW(link("f/", "h"));
    SHOW(link("f", "d/."));
    SHOW(link("f", "l"));
}

CASE(linkat_flags)
{
    int fd = make_file("f", "");

    SHOW(linkat(AT_FDCWD, "f", AT_FDCWD, "g", 1));
    SHOW(linkat(fd, "", AT_FDCWD, "g", 0));
    SHOW(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH));
    SHOW(linkat(-1, "f", AT_FDCWD, "h", 0));
    SHOW(linkat(AT_FDCWD, "f", -1, "h", 0));
    SHOW(linkat(AT_FDCWD, "f", fd, "h", 0));
    unlink("f"), unlink("g");
    SHOW(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH));
}

CASE(link_rights)
{
    make_file("f", "");
    mkdir("w", 0777);
    mkdir("r", 0755);
    become(1000);
    SHOW(link("f", "r/g"));
    close(open("w/own", O_CREAT | O_WRONLY, 0644));
    SHOW(link("w/own", "w/two"));
    SHOW(links("w/own"));
}

CASE(unlink_errors)
{
    make_file("f", "");
    mkdir("d", 0755);
    symlink("d", "l");
    SHOW(unlink("nothing"));
    SHOW(unlink("d"));
    SHOW(unlink("l/"));
    SHOW(unlink("f/"));
    SHOW(unlink("f/x"));
    SHOW(unlink(""));
    SHOW(unlink("."));
    SHOW(unlink(".."));
    SHOW(unlink("/"));
    SHOW(unlink(NULL));
    SHOW(unlink("l"));
    SHOW(unlink("f"));
}

CASE(unlinkat_flags)
{
    make_file("f", "");
    mkdir("d", 0755);
    SHOW(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
    SHOW(unlinkat(AT_FDCWD, "d", 0));
    SHOW(unlinkat(AT_FDCWD, "d", 1));
    SHOW(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    SHOW(unlinkat(-1, "f", 0));
    SHOW(unlinkat(0, "f", 0));
    SHOW(unlinkat(-1, "f", 1));
}

CASE(unlink_sticky)
{
    mkdir("t", 0777);
    chmod("t", 01777);
    make_file("t/roots", "");
    chmod("t/roots", 0666);
    mkdir("t/folder", 0777);
    become(1000);
    close(open("t/own", O_CREAT | O_WRONLY, 0644));
    SHOW(unlink("t/roots"));
    SHOW(rmdir("t/folder"));
    SHOW(rename("t/roots", "t/other"));
    SHOW(rename("t/own", "t/roots"));
    SHOW(rename("t/own", "t/mine"));
    SHOW(unlink("t/mine"));
}

CASE(unlinked_file_lives)
{
    int fd = make_file("f", "abc");
    char c;

    SHOW(unlink("f"));
    SHOW(read(fd, &c, 1));
    SHOW(write(fd, "xyz", 3));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(access("f", F_OK));
}

CASE(rename_replaces)
{
    struct stat a, b;

    make_file("f", "abc");
    make_file("g", "wxyz");
    stat("f", &a);
    SHOW(rename("f", "g"));
    stat("g", &b);
    say("%d %ld", a.st_ino == b.st_ino, (long)b.st_size);
    SHOW(access("f", F_OK));
}

CASE(rename_of_the_same_file)
{
    make_file("f", "abc");
    link("f", "g");
    SHOW(rename("f", "f"));
    SHOW(rename("f", "g"));
    SHOW(links("f"));
    SHOW(links("g"));
}

CASE(rename_folders)
{
    mkdir("d", 0755);
    mkdir("e", 0755);
    mkdir("full", 0755);
    make_file("full/f", "");
    make_file("f", "");
    SHOW(rename("d", "e"));
    SHOW(rename("e", "full"));
    SHOW(rename("e", "f"));
    SHOW(rename("f", "e"));
    SHOW(rename("e", "e/x"));
    SHOW(rename("e", "e/x/y"));
    SHOW(rename("full/f", "full"));
    SHOW(rename("full", "new/"));
    SHOW(rename("f", "new2/"));
    SHOW(rename("f/", "x"));
    SHOW(access("new/f", F_OK));
}

CASE(rename_errors)
{
    make_file("f", "");
    mkdir("d", 0755);
    SHOW(rename("nothing", "x"));
    SHOW(rename("f", "nothing/x"));
    SHOW(rename("f", "f/x"));
    SHOW(rename("f", ""));
    SHOW(rename("", "f"));
    SHOW(rename(".", "x"));
    SHOW(rename("d/.", "x"));
    SHOW(rename("d/..", "x"));
    SHOW(rename("f", "."));
    SHOW(rename("f", ".."));
    SHOW(rename("/", "x"));
    SHOW(rename(NULL, "x"));
    SHOW(rename("f", NULL));
    SHOW(rename("f", "/proc/x"));
}

CASE(renameat2_noreplace)
{
    make_file("f", "");
    make_file("g", "");
    SHOW(rename2("f", "g", RENAME_NOREPLACE));
    SHOW(rename2("f", "f", RENAME_NOREPLACE));
    SHOW(rename2("f", "h", RENAME_NOREPLACE));
    SHOW(rename2("nothing", "g", RENAME_NOREPLACE));
    SHOW(access("h", F_OK));
}

CASE(renameat2_exchange)
{
    struct stat st;

    make_file("f", "abc");
    mkdir("d", 0755);
    mkdir("d/e", 0755);
    SHOW(rename2("f", "d", RENAME_EXCHANGE));
    stat("d", &st);
    say("%d %ld", S_ISREG(st.st_mode), (long)st.st_size);
    SHOW(access("f/e", F_OK));
    SHOW(rename2("f", "nothing", RENAME_EXCHANGE));
    SHOW(rename2("nothing", "f", RENAME_EXCHANGE));
    SHOW(rename2("f", "f/e", RENAME_EXCHANGE));
    SHOW(rename2("f/e", "f", RENAME_EXCHANGE));
}

CASE(renameat2_flags)
{
    make_file("f", "");
    SHOW(rename2("f", "g", 8));
    SHOW(rename2("f", "g", RENAME_NOREPLACE | RENAME_EXCHANGE));
    SHOW(rename2("f", "g", RENAME_WHITEOUT | RENAME_EXCHANGE));
    SHOW(rename2("nothing", "g", 8));
    SHOW(syscall(SYS_renameat2, -1, "f", AT_FDCWD, "g", 0));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "f", -1, "g", 0));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "f", 0, "g", 0));
}

CASE(rename_symlink_stays)
{
    make_file("f", "");
    symlink("f", "l");
    SHOW(rename("l", "m"));
    SHOW(access("f", F_OK));
    SHOW(readlink("m", (char[8]){0}, 8));
    SHOW(rename("f", "m"));
    SHOW(readlink("m", (char[8]){0}, 8));
}

CASE(symlink_errors)
{
    make_file("f", "");
    char text[4097];

    memset(text, 'a', sizeof text);
    text[4096] = 0;
    SHOW(symlink("x", "f"));
    SHOW(symlink("", "l"));
    SHOW(symlink("x", ""));
    SHOW(symlink("x", "nothing/l"));
    SHOW(symlink("x", "l/"));
    SHOW(symlink(text, "l"));
    SHOW(symlink(NULL, "l"));
    SHOW(symlink("x", NULL));
    SHOW(symlinkat("x", -1, "l"));
    SHOW(symlinkat("x", 0, "l"));
}

CASE(readlink_cuts)
{
    char buf[16] = "................";

    symlink("abcdef", "l");
    make_file("f", "");
    SHOW(readlink("l", buf, 3));
    say("%.16s", buf);
    SHOW(readlink("l", buf, 16));
    say("%.16s", buf);
    SHOW(readlink("l", buf, 0));
    SHOW(readlink("f", buf, 16));
    SHOW(readlink(".", buf, 16));
    SHOW(readlink("nothing", buf, 16));
    SHOW(readlink("l", NULL, 16));
    SHOW(readlink(NULL, buf, 16));
    SHOW(syscall(SYS_readlink, "l", buf, -1));
    SHOW(syscall(SYS_readlink, "f", buf, 0));
    SHOW(readlink("", buf, 16));
}

CASE(readlinkat_empty)
{
    char buf[16];

    symlink("abcdef", "l");
    int fd = open("l", O_PATH | O_NOFOLLOW), file = make_file("f", "");

    SHOW(readlinkat(fd, "", buf, 16));
    SHOW(readlinkat(file, "", buf, 16));
    SHOW(readlinkat(AT_FDCWD, "", buf, 16));
    SHOW(readlinkat(-1, "l", buf, 16));
}

CASE(mkdir_modes)
{
    struct stat st;

    umask(077);
    SHOW(mkdir("a", 0777));
    stat("a", &st);
    say("%o", st.st_mode);
    umask(0);
    SHOW(mkdir("b", 07777));
    stat("b", &st);
    say("%o", st.st_mode);
    SHOW(mkdir("c", 0177000));
    stat("c", &st);
    say("%o", st.st_mode);
}

CASE(mkdir_errors)
{
    make_file("f", "");
    symlink("nowhere", "l");
    SHOW(mkdir("f", 0755));
    SHOW(mkdir(".", 0755));
    SHOW(mkdir("l", 0755));
    SHOW(mkdir("/", 0755));
    SHOW(mkdir("", 0755));
    SHOW(mkdir("nothing/d", 0755));
    SHOW(mkdir("f/d", 0755));
    SHOW(mkdir(NULL, 0755));
    SHOW(mkdir("d/", 0755));
    SHOW(mkdir("d/.", 0755));
    SHOW(mkdir("e/.", 0755));
    SHOW(mkdirat(-1, "x", 0755));
    SHOW(mkdirat(0, "x", 0755));
}

CASE(rmdir_errors)
{
    make_file("f", "");
    mkdir("d", 0755);
    mkdir("d/e", 0755);
    symlink("d/e", "l");
    SHOW(rmdir("d"));
    SHOW(rmdir("f"));
    SHOW(rmdir("l"));
    SHOW(rmdir("l/"));
    SHOW(rmdir("."));
    SHOW(rmdir("d/."));
    SHOW(rmdir("d/e/.."));
    SHOW(rmdir("/"));
    SHOW(rmdir("nothing"));
    SHOW(rmdir(""));
    SHOW(rmdir(NULL));
    SHOW(rmdir("d/e/"));
    SHOW(rmdir("d"));
}

CASE(folders_count_links)
{
    struct stat st;

    mkdir("d", 0755);
    mkdir("d/a", 0755);
    mkdir("d/b", 0755);
    make_file("d/f", "");
    stat("d", &st);
    say("%ld", (long)st.st_nlink);
    rename("d/a", "a");
    stat("d", &st);
    say("%ld", (long)st.st_nlink);
    rmdir("d/b");
    stat("d", &st);
    say("%ld", (long)st.st_nlink);
}

CASE(mknod_types)
{
    struct stat st;

    SHOW(mknod("a", 0644, 0));
    SHOW(mknod("b", S_IFREG | 0644, 0));
    SHOW(mknod("c", S_IFDIR | 0644, 0));
    SHOW(mknod("d", S_IFLNK | 0644, 0));
    SHOW(mknod("e", S_IFIFO | 0644, 0));
    SHOW(mknod("f", S_IFBLK | 0600, makedev(7, 70)));
    SHOW(mknod("g", 0170000, 0));
    SHOW(mknod("e", S_IFIFO | 0644, 0));
    SHOW(mknod("nothing/x", S_IFIFO | 0644, 0));
    SHOW(mknod("x/", S_IFIFO | 0644, 0));
    SHOW(mknod(NULL, S_IFIFO | 0644, 0));
    stat("a", &st);
    say("%o", st.st_mode);
}

CASE(mknod_needs_a_capability)
{
    chmod(".", 0777);
    become(1000);
    SHOW(mknod("c", S_IFCHR | 0666, makedev(1, 3)));
    SHOW(mknod("b", S_IFBLK | 0666, makedev(1, 3)));
    SHOW(mknod("p", S_IFIFO | 0666, 0));
    SHOW(mknod("s", S_IFSOCK | 0666, 0));
    SHOW(mknod("f", S_IFREG | 0666, 0));
}

CASE(chdir_errors)
{
    make_file("f", "");
    mkdir("d", 0600);
    int fd = open("d", O_RDONLY), file = open("f", O_RDONLY);

    SHOW(chdir("f"));
    SHOW(chdir("nothing"));
    SHOW(chdir(""));
    SHOW(chdir(NULL));
    SHOW(fchdir(file));
    SHOW(fchdir(-1));
    SHOW(fchdir(fd));
    SHOW(fchdir(open("..", O_PATH)));
    become(1000);
    SHOW(chdir("d"));
    SHOW(fchdir(fd));
    SHOW(chroot("/"));
}

CASE(getcwd_sizes)
{
    char buf[100];
    mkdir("/tmp/case-cwd", 0755);
    chdir("/tmp/case-cwd");
    SHOW(syscall(SYS_getcwd, buf, 14));
    SHOW(syscall(SYS_getcwd, buf, 13));
    SHOW(syscall(SYS_getcwd, buf, 0));
    SHOW(syscall(SYS_getcwd, NULL, 100));
    say("%s", buf);
    rmdir("/tmp/case-cwd");
    SHOW(syscall(SYS_getcwd, buf, 100));
}

CASE(chroot_moves_the_root)
{
    mkdir("r", 0755);
    make_file("r/f", "");
    SHOW(chroot("nothing"));
    SHOW(chroot("r/f"));
    SHOW(chroot("r"));
    SHOW(access("/f", F_OK));
    SHOW(chdir("/"));
    SHOW(access("../f", F_OK));
    say("%s", getcwd((char[20]){0}, 20));
}

CASE(getdents_lists)
{
    char buf[1024];
    int dir, seen = 0, kinds = 0;
    long n;

    mkdir("d", 0755);
    make_file("d/a", "");
    mkdir("d/b", 0755);
    symlink("x", "d/c");
    dir = open("d", O_RDONLY);
    while ((n = syscall(SYS_getdents64, dir, buf, sizeof buf)) > 0)
        for (long at = 0; at < n;) {
            struct dirent64 *e = (struct dirent64 *)(buf + at);
            seen++;
            kinds += strcmp(e->d_name, "a") == 0 && e->d_type == DT_REG;
            kinds += strcmp(e->d_name, "b") == 0 && e->d_type == DT_DIR;
            kinds += strcmp(e->d_name, "c") == 0 && e->d_type == DT_LNK;
            kinds += strcmp(e->d_name, "..") == 0 && e->d_type == DT_DIR;
            at += e->d_reclen;
        }
    say("%d names, %d right, then %ld", seen, kinds, n);
    SHOW(lseek(dir, 0, SEEK_SET));
    SHOW(syscall(SYS_getdents64, dir, buf, sizeof buf) > 0);
}

CASE(getdents_errors)
{
    char buf[512];
    int dir = open(".", O_RDONLY), file = make_file("f", ""), path = open(".", O_PATH);

    SHOW(syscall(SYS_getdents64, -1, buf, sizeof buf));
    SHOW(syscall(SYS_getdents64, file, buf, sizeof buf));
    SHOW(syscall(SYS_getdents64, path, buf, sizeof buf));
    SHOW(syscall(SYS_getdents64, dir, buf, 8));
    SHOW(syscall(SYS_getdents64, dir, NULL, 512));
    SHOW(syscall(SYS_getdents64, dir, buf, 0));
}

CASE(getdents_of_removed_folder)
{
    char buf[512];

    mkdir("d", 0755);
    int dir = open("d", O_RDONLY);
    rmdir("d");
    SHOW(syscall(SYS_getdents64, dir, buf, sizeof buf));
    SHOW(openat(dir, "x", O_CREAT | O_RDWR, 0644));
    SHOW(mkdirat(dir, "x", 0755));
    SHOW(linkat(AT_FDCWD, "d", dir, "x", 0));
    SHOW(fstat(dir, &(struct stat){0}));
}
