/* A signal to all of a process group while members fork: a child is made before it and gets it, or not at all. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 400, MEMBERS = 2, CHILDREN = 40 };

static void
member(void)
{
    for (int k = 0; k < CHILDREN; k++)
        if (fork() == 0)
            for (;;)
                pause();
    for (;;)
        pause();
}

/* The group is dead once nothing of it is left; who escaped sleeps for ever. */
static int
group_ends(pid_t group)
{
    for (int k = 0; k < 5000; k++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (kill(-group, 0) < 0 && errno == ESRCH)
            return 1;
        usleep(200);
    }
    return 0;
}

int
main(void)
{
    int escaped = 0;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    srandom(1);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t group = fork();

        if (group == 0) {
            setpgid(0, 0);
            for (int k = 1; k < MEMBERS; k++)
                if (fork() == 0)
                    break;
            member();
        }
        setpgid(group, group);
        for (volatile long k = random() % 400000; k; k--)
            ;
        kill(-group, SIGKILL);
        if (!group_ends(group)) {
            escaped++;
            kill(-group, SIGKILL);
            group_ends(group);
        }
    }
    printf("%d escaped\n", escaped);
    return escaped != 0;
}
