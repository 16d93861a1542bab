/* The same on Linux. Zombies whose parent ends before it waited for them come to a process that ignores SIGCHLD: nobody
 * will ever wait for them, so they must go, and their user's count of processes with them. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(void)
{
    struct rlimit limit = {40, 40};
    int failed = 0, way[2];
    char byte;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGCHLD, SIG_IGN);
    if (getuid() == 0 && setuid(61234) != 0)
        return 1;
    if (getuid() == 61234) /* else other processes of the user count, too */
        setrlimit(RLIMIT_NPROC, &limit);
    for (int k = 0; k < 300; k++) {
        pid_t child;

        pipe(way);
        child = fork();
        if (child == 0) {
            siginfo_t info;

            signal(SIGCHLD, SIG_DFL);
            for (int n = 0; n < 3; n++) {
                pid_t grandchild = fork();

                if (grandchild == 0)
                    _exit(0);
                if (grandchild < 0)
                    write(way[1], "x", 1);
            }
            for (int n = 0; n < 3; n++) /* they are zombies when it ends */
                waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
            usleep(200);
            _exit(0);
        }
        failed += child < 0;
        close(way[1]);
        while (read(way[0], &byte, 1) > 0)
            failed++;
        close(way[0]);
        while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
            ;
    }
    printf("%d forks failed\nsurvived\n", failed);
    return 0;
}
