/* What strace and gdb look at: a process that forks, threads, and functions with lines. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int total;
static const char *const names[] = {"nothing", "one", "two", "three"};

__attribute__((noinline)) static int
square(int n)
{
    int r = n * n;

    total += r;
    return r;
}

__attribute__((noinline)) static int
sum_of_squares(int n)
{
    int sum = 0;

    for (int k = 1; k <= n; k++)
        sum += square(k);
    return sum;
}

static void *
thread(void *argument)
{
    return (void *)(long)square(*(int *)argument);
}

static int
with_child(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(square(3));
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static int
with_threads(void)
{
    pthread_t t[3];
    int n[3] = {1, 2, 3};
    long sum = 0;

    for (int k = 0; k < 3; k++)
        pthread_create(&t[k], NULL, thread, &n[k]);
    for (int k = 0; k < 3; k++) {
        void *r;

        pthread_join(t[k], &r);
        sum += (long)r;
    }
    return (int)sum;
}

int
main(int argc, char **argv)
{
    int r;

    if (argc > 1 && strcmp(argv[1], "child") == 0)
        r = with_child();
    else if (argc > 1 && strcmp(argv[1], "threads") == 0)
        r = with_threads();
    else if (argc > 1 && strcmp(argv[1], "crash") == 0)
        r = *(volatile int *)0;
    else
        r = sum_of_squares(3);
    printf("%s %d\n", names[r % 4], r);
    return r;
}
