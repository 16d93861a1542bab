/* Extended attributes. */
#include "case.h"

#include <sys/xattr.h>

CASE(xattr_set_and_get)
{
    char buf[16] = "";
    int fd = make_file("f", "");

    SHOW(setxattr("f", "user.a", "hello", 5, 0));
    SHOW(getxattr("f", "user.a", buf, 16));
    say("%s", buf);
    SHOW(getxattr("f", "user.a", NULL, 0));
    SHOW(getxattr("f", "user.a", buf, 0));
    SHOW(getxattr("f", "user.a", buf, 3));
    SHOW(fgetxattr(fd, "user.a", buf, 16));
    SHOW(getxattr("f", "user.b", buf, 16));
    SHOW(removexattr("f", "user.b"));
    SHOW(removexattr("f", "user.a"));
    SHOW(getxattr("f", "user.a", buf, 16));
}

CASE(xattr_flags)
{
    make_file("f", "");
    SHOW(setxattr("f", "user.a", "1", 1, XATTR_REPLACE));
    SHOW(setxattr("f", "user.a", "1", 1, XATTR_CREATE));
    SHOW(setxattr("f", "user.a", "2", 1, XATTR_CREATE));
    SHOW(setxattr("f", "user.a", "2", 1, XATTR_REPLACE));
    SHOW(setxattr("f", "user.a", "2", 1, 3));
    SHOW(setxattr("f", "user.a", "2", 1, 4));
    SHOW(setxattr("f", "user.a", "", 0, 0));
    SHOW(getxattr("f", "user.a", NULL, 0));
}

CASE(xattr_names)
{
    char name[300];

    make_file("f", "");
    memset(name, 'a', sizeof name);
    memcpy(name, "user.", 5);
    name[255] = 0;
    OK(setxattr("f", name, "1", 1, 0));
    name[255] = 'a', name[256] = 0;
    SHOW(setxattr("f", name, "1", 1, 0));
    SHOW(setxattr("f", "", "1", 1, 0));
    SHOW(setxattr("f", "user.", "1", 1, 0));
    SHOW(setxattr("f", "user", "1", 1, 0));
    SHOW(setxattr("f", "nothing.a", "1", 1, 0));
    SHOW(setxattr("f", NULL, "1", 1, 0));
    SHOW(setxattr(NULL, "user.a", "1", 1, 0));
    SHOW(setxattr("f", "user.a", NULL, 1, 0));
    SHOW(setxattr("f", "user.a", "1", 65537, 0));
    SHOW(setxattr("nothing", "user.a", "1", 1, 0));
    SHOW(getxattr("nothing", "user.a", NULL, 0));
    SHOW(getxattr("f", "nothing.a", NULL, 0));
    SHOW(getxattr("f", "", NULL, 0));
}

CASE(xattr_list)
{
    char buf[64];
    int fd = make_file("f", "");

    SHOW(listxattr("f", buf, 64));
    setxattr("f", "user.a", "1", 1, 0);
    setxattr("f", "user.bc", "1", 1, 0);
    SHOW(listxattr("f", buf, 64));
    SHOW(listxattr("f", NULL, 0));
    SHOW(listxattr("f", buf, 8));
    SHOW(flistxattr(fd, buf, 64));
    SHOW(flistxattr(-1, buf, 64));
    SHOW(listxattr("nothing", buf, 64));
    SHOW(listxattr("f", (char *)-1, 64));
}

CASE(xattr_of_what)
{
    symlink("x", "l");
    mkfifo("p", 0644);
    mkdir("d", 0755);
    SHOW(lsetxattr("l", "user.a", "1", 1, 0));
    SHOW(lgetxattr("l", "user.a", NULL, 0));
    SHOW(setxattr("p", "user.a", "1", 1, 0));
    SHOW(getxattr("p", "user.a", NULL, 0));
    SHOW(setxattr("d", "user.a", "1", 1, 0));
    SHOW(fsetxattr(open("d", O_PATH), "user.a", "1", 1, 0));
    SHOW(fsetxattr(open("d", O_RDONLY), "user.b", "1", 1, 0));
}

CASE(xattr_rights)
{
    make_file("f", "");
    setxattr("f", "user.a", "1", 1, 0);
    chmod("f", 0644);
    mkdir("t", 01777);
    chmod("t", 01777);
    become(1000);
    SHOW(getxattr("f", "user.a", NULL, 0));
    SHOW(setxattr("f", "user.a", "1", 1, 0));
    SHOW(removexattr("f", "user.a"));
    SHOW(getxattr("f", "trusted.a", NULL, 0));
    SHOW(setxattr("f", "trusted.a", "1", 1, 0));
    SHOW(listxattr("f", NULL, 0));
    SHOW(setxattr("f", "security.a", "1", 1, 0));
    SHOW(setxattr("t", "user.a", "1", 1, 0));
}
