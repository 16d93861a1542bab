/* What the test of host signals runs: host_signals WHAT. Says "ready", then what arrives. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
say(int sig)
{
    char text[32];
    int n = snprintf(text, sizeof text, "got %d\n", sig);

    if (write(1, text, (size_t)n) < 0)
        _exit(9);
    if (sig == SIGUSR2)
        _exit(5);
}

int
main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    struct sigaction old;

    if (strcmp(what, "handle") == 0)
        for (int sig = 1; sig <= 64; sig++)
            signal(sig, say);
    sigaction(SIGINT, NULL, &old);
    printf("ready, SIGINT %s\n", old.sa_handler == SIG_IGN   ? "ignored"
                                 : old.sa_handler == SIG_DFL ? "default"
                                                             : "handled");
    fflush(stdout);
    if (strcmp(what, "busy") == 0)
        for (volatile unsigned long n = 0;; n++)
            ;
    for (;;)
        pause();
}
