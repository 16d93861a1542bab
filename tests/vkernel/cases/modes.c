/* chmod, chown, umask, the bits that writing and changing the owner take away, folders with the group bit. */
#include "case.h"

#include <grp.h>
#include <sys/prctl.h>

static void
say_mode(const char *name)
{
    struct stat st;

    if (lstat(name, &st) < 0)
        say("%s: %s", name, strerrorname_np(errno));
    else
        say("%s: %o %u:%u", name, st.st_mode & 07777, st.st_uid, st.st_gid);
}

CASE(chmod_sets)
{
    int fd = make_file("f", "");

    SHOW(chmod("f", 04755));
    say_mode("f");
    SHOW(fchmod(fd, 0177000));
    say_mode("f");
    SHOW(chmod("nothing", 0));
    SHOW(chmod(NULL, 0));
    SHOW(chmod("", 0));
    SHOW(fchmod(-1, 0));
    SHOW(fchmodat(AT_FDCWD, "f/x", 0, 0));
}

CASE(chmod_follows)
{
    make_file("f", "");
    symlink("f", "l");
    symlink("nowhere", "m");
    SHOW(chmod("l", 0600));
    say_mode("f");
    SHOW(chmod("m", 0600));
}

CASE(chmod_is_the_owners)
{
    int fd = make_file("f", "");

    become(1000);
    SHOW(chmod("f", 0777));
    SHOW(fchmod(fd, 0777));
}

CASE(chmod_of_others_group_loses_setgid)
{
    make_file("f", "");
    chown("f", 1000, 55);
    become(1000);
    SHOW(chmod("f", 06755));
    say_mode("f");
    SHOW(chmod("f", 01755));
    say_mode("f");
}

CASE(fchmodat2_flags)
{
    int fd = make_file("f", "");

    symlink("f", "l");
    SHOW(syscall(452, AT_FDCWD, "f", 0600, 0));
    SHOW(syscall(452, AT_FDCWD, "f", 0600, 1));
    SHOW(syscall(452, fd, "", 0640, AT_EMPTY_PATH));
    SHOW(syscall(452, fd, "", 0640, 0));
    SHOW(syscall(452, AT_FDCWD, "l", 0611, 0));
    say_mode("f");
    SHOW(syscall(452, open("f", O_PATH), "", 0444, AT_EMPTY_PATH));
    say_mode("f");
}

CASE(chown_sets)
{
    int fd = make_file("f", "");

    SHOW(chown("f", 5, 6));
    say_mode("f");
    SHOW(chown("f", -1, 7));
    say_mode("f");
    SHOW(fchown(fd, 8, -1));
    say_mode("f");
    SHOW(fchown(-1, 0, 0));
    SHOW(chown("nothing", 0, 0));
    SHOW(chown(NULL, 0, 0));
    SHOW(fchownat(AT_FDCWD, "f", 0, 0, 1));
    SHOW(fchownat(fd, "", 9, 9, AT_EMPTY_PATH));
    say_mode("f");
    SHOW(fchownat(fd, "", 9, 9, 0));
}

CASE(lchown_of_link)
{
    make_file("f", "");
    symlink("f", "l");
    SHOW(lchown("l", 3, 4));
    say_mode("l");
    say_mode("f");
    SHOW(chown("l", 5, 6));
    say_mode("l");
    say_mode("f");
}

CASE(chown_takes_setuid_away)
{
    make_file("f", "");
    chmod("f", 06755);
    SHOW(chown("f", 1000, 1000));
    say_mode("f");
    chmod("f", 06744);
    SHOW(chown("f", 1000, 1000));
    say_mode("f");
    chmod("f", 06755);
    SHOW(chown("f", -1, -1));
    say_mode("f");
    mkdir("d", 0755);
    chmod("d", 06755);
    SHOW(chown("d", 1000, 1000));
    say_mode("d");
}

CASE(chown_as_user)
{
    chmod(".", 0777);
    setgroups(1, (gid_t[]){77});
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    make_file("f", "");
    SHOW(chown("f", 1000, 1000));
    SHOW(chown("f", 1001, -1));
    SHOW(chown("f", -1, 77));
    SHOW(chown("f", -1, 78));
    SHOW(chown("f", -1, -1));
    say_mode("f");
    chmod("f", 06755);
    SHOW(chown("f", -1, 1000));
    say_mode("f");
}

CASE(write_takes_setuid_away)
{
    make_file("f", "abc");
    chmod("f", 06777);
    become(1000);
    int fd = open("f", O_RDWR);

    SHOW(write(fd, "", 0));
    say_mode("f");
    SHOW(write(fd, "x", 1));
    say_mode("f");
}

CASE(truncate_takes_setuid_away)
{
    make_file("f", "abc");
    chmod("f", 06777);
    make_file("g", "abc");
    chmod("g", 06767);
    become(1000);
    SHOW(truncate("f", 1));
    say_mode("f");
    SHOW(open("g", O_WRONLY | O_TRUNC));
    say_mode("g");
}

CASE(root_keeps_setuid)
{
    int fd = make_file("f", "abc");

    chmod("f", 06777);
    SHOW(write(fd, "x", 1));
    say_mode("f");
}

CASE(folder_with_group_bit)
{
    mkdir("d", 0777);
    chown("d", 0, 55);
    chmod("d", 02777);
    make_file("d/f", "");
    mkdir("d/e", 0755);
    symlink("x", "d/l");
    mkfifo("d/p", 0644);
    say_mode("d/f"), say_mode("d/e"), say_mode("d/l"), say_mode("d/p");
    become(1000);
    umask(0);
    close(open("d/s", O_CREAT | O_RDWR, 02770));
    close(open("d/t", O_CREAT | O_RDWR, 02760));
    say_mode("d/s"), say_mode("d/t");
}

CASE(umask_returns_the_old)
{
    SHOW(umask(0777));
    SHOW(umask(01777));
    SHOW(umask(022));
}
