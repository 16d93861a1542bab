/* User and group ids, groups, capabilities, prctl. */
#include "case.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static void
say_ids(void)
{
    uid_t r, e, s;
    gid_t gr, ge, gs;

    getresuid(&r, &e, &s), getresgid(&gr, &ge, &gs);
    say("uids %d %d %d gids %d %d %d", r, e, s, gr, ge, gs);
}

/* The effective capabilities, without those that a container may not have. */
static int
has_setuid(void)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];

    syscall(SYS_capget, &h, d);
    return (d[0].effective >> CAP_SETUID & 1) * 100 + (d[0].permitted >> CAP_SETUID & 1) * 10 +
           (d[0].inheritable >> CAP_SETUID & 1);
}

CASE(setuid_as_root)
{
    SHOW(setuid(1000));
    say_ids();
    SHOW(setuid(0));
    SHOW(setuid(-1));
    SHOW(has_setuid());
}

CASE(setgid_as_root)
{
    SHOW(setgid(1000));
    say_ids();
    SHOW(setgid(0));
    SHOW(setgid(-1));
}

CASE(seteuid_and_back)
{
    SHOW(seteuid(1000));
    say_ids();
    SHOW(has_setuid());
    SHOW(seteuid(1001));
    SHOW(seteuid(0));
    SHOW(has_setuid());
    say_ids();
}

CASE(setreuid_rules)
{
    SHOW(setreuid(5, 6));
    say_ids();
    SHOW(setreuid(6, 5));
    say_ids();
    SHOW(setreuid(-1, 7));
    SHOW(setreuid(-1, -1));
    SHOW(setreuid(-1, 6));
    say_ids();
}

CASE(setregid_rules)
{
    SHOW(setregid(5, 6));
    say_ids();
    SHOW(setuid(1000));
    SHOW(setregid(6, 5));
    say_ids();
    SHOW(setregid(7, -1));
    SHOW(setgid(6));
    say_ids();
}

CASE(setresuid_rules)
{
    SHOW(setresuid(1, 2, 3));
    SHOW(setresuid(3, 1, 2));
    say_ids();
    SHOW(setresuid(4, -1, -1));
    SHOW(setresuid(-1, -1, -1));
    SHOW(syscall(SYS_getresuid, NULL, NULL, NULL));
    SHOW(syscall(SYS_getresgid, (void *)-1, NULL, NULL));
}

CASE(keepcaps)
{
    SHOW(prctl(PR_SET_KEEPCAPS, 1));
    SHOW(prctl(PR_GET_KEEPCAPS));
    SHOW(setuid(1000));
    SHOW(has_setuid());
    SHOW(prctl(PR_SET_KEEPCAPS, 2));
}

CASE(groups)
{
    gid_t list[70000 / 4] = {5, 3, 9, 3};

    SHOW(setgroups(4, list));
    SHOW(getgroups(0, NULL));
    SHOW(getgroups(3, list));
    SHOW(getgroups(10, list));
    say("%d %d %d %d", list[0], list[1], list[2], list[3]);
    SHOW(getgroups(-1, list));
    SHOW(syscall(SYS_getgroups, 10, (void *)-1));
    SHOW(syscall(SYS_setgroups, 65537, list));
    SHOW(syscall(SYS_setgroups, 2, (void *)-1));
    become(1000);
    SHOW(setgroups(0, NULL));
    SHOW(getgroups(0, NULL));
}

CASE(groups_give_access)
{
    int fd = make_file("f", "");

    fchmod(fd, 0060);
    fchown(fd, 5, 77);
    setgroups(1, (gid_t[]){77});
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    OK(open("f", O_RDWR));
    SHOW(access("f", X_OK));
}

CASE(owner_class_comes_first)
{
    int fd = make_file("f", "");

    fchmod(fd, 0077);
    fchown(fd, 1000, 1000);
    become(1000);
    SHOW(open("f", O_RDONLY));
}

CASE(setfsuid_answers)
{
    SHOW(setfsuid(1000));
    SHOW(setfsuid(-1));
    SHOW(setfsgid(1000));
    SHOW(setfsgid(-1));
    SHOW(setfsuid(0));
    become(1000);
    SHOW(setfsuid(5));
    SHOW(setfsuid(-1));
}

CASE(capget_and_capset)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0}, wrong = {0x1234, 0};
    struct __user_cap_data_struct d[2];

    SHOW(syscall(SYS_capget, &h, d));
    SHOW(syscall(SYS_capget, &wrong, d));
    say("%d", wrong.version == _LINUX_CAPABILITY_VERSION_3);
    wrong.version = 0x1234;
    SHOW(syscall(SYS_capget, &wrong, NULL));
    SHOW(syscall(SYS_capget, NULL, d));
    h.pid = -1;
    SHOW(syscall(SYS_capget, &h, d));
    h.pid = 0x3fffffff;
    SHOW(syscall(SYS_capget, &h, d));
    h.pid = getppid();
    SHOW(syscall(SYS_capset, &h, d));
    h.pid = 0;
    d[0].effective &= ~(1u << CAP_SETUID);
    SHOW(syscall(SYS_capset, &h, d));
    SHOW(has_setuid());
    SHOW(setuid(1000));
    d[0].effective |= 1u << CAP_SETUID;
    SHOW(syscall(SYS_capset, &h, d));
    d[0].effective &= ~(1u << CAP_SETUID), d[0].permitted &= ~(1u << CAP_SETUID);
    SHOW(syscall(SYS_capset, &h, d));
    d[0].permitted |= 1u << CAP_SETUID;
    SHOW(syscall(SYS_capset, &h, d));
    d[0].permitted &= ~(1u << CAP_SETUID), d[0].effective |= 1u << CAP_SETUID;
    SHOW(syscall(SYS_capset, &h, d));
}

CASE(capability_bounds)
{
    SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN));
    SHOW(prctl(PR_CAPBSET_READ, 63));
    SHOW(prctl(PR_CAPBSET_READ, -1));
    SHOW(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
    SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN));
    SHOW(prctl(PR_CAPBSET_DROP, 63));
    become(1000);
    SHOW(prctl(PR_CAPBSET_DROP, CAP_KILL));
}

CASE(ambient_capabilities)
{
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_KILL, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, 9, CAP_KILL, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 63, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 1, 0));
}

CASE(no_new_privs)
{
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

CASE(prctl_names)
{
    char name[32] = "";

    SHOW(prctl(PR_SET_NAME, "a name that is far too long"));
    SHOW(prctl(PR_GET_NAME, name));
    say("%s", name);
    SHOW(prctl(PR_SET_NAME, (void *)-1));
    SHOW(prctl(PR_GET_NAME, (void *)-1));
    SHOW(prctl(PR_SET_NAME, ""));
    SHOW(prctl(PR_GET_NAME, name));
    say("'%s'", name);
}

CASE(prctl_answers)
{
    SHOW(prctl(PR_SET_DUMPABLE, 0));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_SET_DUMPABLE, 1));
    SHOW(prctl(PR_SET_DUMPABLE, 2));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(9999));
    SHOW(prctl(-1));
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(prctl(PR_SET_TIMERSLACK, 1000));
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(prctl(PR_SET_TIMERSLACK, 0));
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(prctl(PR_GET_TIMING));
    SHOW(prctl(PR_SET_TIMING, 1));
    SHOW(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
    SHOW(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_THP_DISABLE, 1, 1, 0, 0));
    SHOW(prctl(PR_GET_CHILD_SUBREAPER, (void *)-1));
    SHOW(prctl(PR_GET_TID_ADDRESS, (void *)-1));
}

CASE(changing_ids_makes_undumpable)
{
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(setuid(0));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(seteuid(1000));
    SHOW(prctl(PR_GET_DUMPABLE) != 1);
}

CASE(ids_of_files)
{
    struct stat st;

    chmod(".", 0777);
    setegid(77);
    seteuid(1000);
    close(open("f", O_CREAT | O_WRONLY, 0644));
    stat("f", &st);
    say("%u %u", st.st_uid, st.st_gid);
}
