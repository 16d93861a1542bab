/* For attacks that do something while a thread sleeps: the thread sets sleeper_tid to its own, the other waits until it
 * sleeps. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile int sleeper_tid;

/* However loaded the machine is: until the thread, whose id comes, sleeps or has ended. */
static void
wait_until_sleeping(const volatile int *tid)
{
    char name[64], text[256];
    ssize_t n;
    int in;

    for (int k = 0; k < 2000; k++) {
        if (k || !*tid)
            usleep(2000);
        if (!*tid)
            continue;
        snprintf(name, sizeof name, "/proc/self/task/%d/stat", *tid);
        in = open(name, O_RDONLY);
        if (in < 0) /* it is gone already */
            break;
        n = read(in, text, sizeof text - 1);
        close(in);
        text[n > 0 ? n : 0] = 0;
        if (strstr(text, ") S "))
            break;
    }
}

static inline void
wait_for_sleep(void)
{
    wait_until_sleeping(&sleeper_tid);
    usleep(5000);
    sleeper_tid = 0;
}
