/* Who may ask to be spared when memory is short: who may kill all others of the container, and nobody else. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed;

static void
expect(const char *what, const char *text, int error, int value)
{
    int fd = open("/proc/self/oom_score_adj", O_RDWR), got;
    char line[32] = "";

    got = write(fd, text, strlen(text)) < 0 ? errno : 0;
    lseek(fd, 0, SEEK_SET);
    read(fd, line, sizeof line - 1);
    close(fd);
    if (got != error || atoi(line) != value) {
        printf("%s: %s, and it is %s", what, strerror(got), line);
        failed = 1;
    }
}

static void
in_child(void (*f)(void))
{
    int status;

    fflush(stdout);
    if (fork() == 0) {
        f();
        fflush(stdout);
        _exit(failed);
    }
    wait(&status);
    failed |= status;
}

static void
somebody(void)
{
    setresuid(1000, 1000, 1000);
    prctl(PR_SET_DUMPABLE, 1); /* its files in /proc are its own again */
    expect("somebody, inherited", "-500\n", 0, -500);
    expect("somebody, less", "-501", EACCES, -500);
    expect("somebody, more", "300", 0, 300);
    expect("somebody, back", "-500", 0, -500);
}

int
main(void)
{
    expect("root", "-1000", 0, -1000);
    expect("root", "-500", 0, -500);
    in_child(somebody);
    expect("root", "1000", 0, 1000);
    if (!failed)
        printf("survived\n");
    return failed;
}
