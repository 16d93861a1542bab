/* execve and its errors, scripts, what a program keeps. */
#include "case.h"

#include <sys/prctl.h>

static void
script(const char *name, const char *text, mode_t mode)
{
    close(make_file(name, text));
    chmod(name, mode);
}

static long
exec_of(const char *path)
{
    return execve(path, (char *[]){"x", NULL}, (char *[]){NULL});
}

CASE(exec_errors)
{
    script("plain", "echo hello\n", 0755);
    script("empty", "", 0755);
    script("closed", "#!/bin/cases\n", 0644);
    mkdir("d", 0755);
    symlink("b", "a");
    symlink("a", "b");
    mkfifo("p", 0755);
    SHOW(exec_of("nothing"));
    SHOW(exec_of(""));
    SHOW(exec_of(NULL));
    SHOW(exec_of("plain"));
    SHOW(exec_of("empty"));
    SHOW(exec_of("closed"));
    SHOW(exec_of("d"));
    SHOW(exec_of("a"));
    SHOW(exec_of("p"));
    SHOW(exec_of("plain/x"));
    SHOW(exec_of("plain/"));
    SHOW(exec_of("/dev/null"));
}

CASE(exec_script_errors)
{
    script("missing", "#!/nothing\n", 0755);
    script("blank", "#!\n", 0755);
    script("spaces", "#!   \n", 0755);
    script("folder", "#!/tmp\n", 0755);
    script("plain", "echo\n", 0644);
    script("closed", "#!plain\n", 0755);
    script("loop", "#!loop\n", 0755);
    script("noeol", "#!/nothing", 0755);
    SHOW(exec_of("missing"));
    SHOW(exec_of("blank"));
    SHOW(exec_of("spaces"));
    SHOW(exec_of("folder"));
    SHOW(exec_of("closed"));
    SHOW(exec_of("loop"));
    SHOW(exec_of("noeol"));
}

CASE(exec_damaged_elf)
{
    script("magic", "\177ELF", 0755);
    script("short", "\177ELF\2\1\1xxxxxxxxxxxxxxxxxxxxxxx", 0755);
    SHOW(exec_of("magic"));
    SHOW(exec_of("short"));
}

CASE(exec_bad_pointers)
{
    script("plain", "#!/nothing\n", 0755);
    SHOW(execve((char *)-1, (char *[]){"x", NULL}, NULL));
    SHOW(execve("plain", (char **)-1, NULL));
    SHOW(execve("plain", (char *[]){"x", (char *)-1, NULL}, NULL));
    SHOW(execve("plain", (char *[]){"x", NULL}, (char **)-1));
    SHOW(execve("plain", (char *[]){"x", NULL}, (char *[]){(char *)-1, NULL}));
}

CASE(exec_too_big)
{
    char *big = malloc(200000);
    char **many = malloc(500000 * sizeof *many);

    script("plain", "#!/nothing\n", 0755);
    memset(big, 'a', 200000);
    big[131072] = 0;
    SHOW(execve("plain", (char *[]){"x", big, NULL}, NULL));
    big[131071] = 0;
    SHOW(execve("plain", (char *[]){"x", big, NULL}, NULL));
    for (int k = 0; k < 30; k++)
        many[k] = big;
    many[30] = NULL;
    SHOW(execve("plain", many, NULL));
    SHOW(execve("plain", (char *[]){"x", NULL}, many));
}

CASE(exec_busy)
{
    script("plain", "#!/nothing\n", 0755);
    int fd = open("plain", O_WRONLY);

    SHOW(exec_of("plain"));
    close(fd);
    SHOW(exec_of("plain"));
}

CASE(exec_rights)
{
    script("a", "#!/nothing\n", 0644);
    script("b", "#!/nothing\n", 0001);
    script("c", "#!/nothing\n", 0100);
    SHOW(exec_of("a"));
    SHOW(exec_of("b"));
    become(1000);
    SHOW(exec_of("a"));
    SHOW(exec_of("b"));
    SHOW(exec_of("c"));
}

CASE(execveat_flags)
{
    script("plain", "#!/nothing\n", 0755);
    symlink("plain", "l");
    int fd = open("plain", O_RDONLY), path = open("plain", O_PATH), close_on_exec = open("plain", O_RDONLY | O_CLOEXEC);
    char *argv[] = {"x", NULL};

    SHOW(syscall(SYS_execveat, fd, "", argv, NULL, 0));
    SHOW(syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH));
    SHOW(syscall(SYS_execveat, path, "", argv, NULL, AT_EMPTY_PATH));
    SHOW(syscall(SYS_execveat, close_on_exec, "", argv, NULL, AT_EMPTY_PATH));
    SHOW(syscall(SYS_execveat, AT_FDCWD, "l", argv, NULL, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_execveat, AT_FDCWD, "l", argv, NULL, 0));
    SHOW(syscall(SYS_execveat, AT_FDCWD, "plain", argv, NULL, 1));
    SHOW(syscall(SYS_execveat, -1, "plain", argv, NULL, 0));
    SHOW(syscall(SYS_execveat, fd, "plain", argv, NULL, 0));
}

CASE(exec_of_folder_closed_to_us)
{
    mkdir("d", 0700);
    script("d/x", "#!/nothing\n", 0755);
    become(1000);
    SHOW(exec_of("d/x"));
    SHOW(exec_of("d"));
}

CASE(failed_exec_changes_nothing)
{
    char name[16];

    script("plain", "#!/nothing\n", 0755);
    prctl(PR_SET_NAME, "before");
    signal(SIGUSR1, SIG_IGN);
    int fd = open("plain", O_RDONLY | O_CLOEXEC);
    SHOW(exec_of("plain"));
    SHOW(fcntl(fd, F_GETFD));
    prctl(PR_GET_NAME, name);
    say("%s %d", name, signal(SIGUSR1, SIG_DFL) == SIG_IGN);
}
