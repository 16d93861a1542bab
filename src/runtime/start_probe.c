/* Does the C library work when start.c has started it? Run by meson.build. */
#include "start.c"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

static __thread int thread_value = 7;
static volatile sig_atomic_t caught;
static bool constructed;

__attribute__((constructor)) static void
construct(void)
{
    constructed = true;
}

static void
on_signal(int sig)
{
    caught = sig;
}

/* An error of 1 to 9 names what did not work. */
int
main(int argc, char **argv, char **environment)
{
    struct timespec now = {0};
    char text[64], *copy;
    size_t size = 8 << 20;

    if (argc < 1 || environment[0] != __environ[0] || !constructed)
        return 1;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0 || (getauxval(AT_SYSINFO_EHDR) && !_dl_vdso_clock_gettime64))
        return 2;
    if (close(-1) != -1 || errno != EBADF || strcmp(strerror(errno), "Bad file descriptor") != 0)
        return 3;
    snprintf(text, sizeof text, "%s %d %.2f", "text", thread_value, strtod("1.5", NULL));
    if (strcmp(text, "text 7 1.50") != 0 || strtol(" 0x10", NULL, 0) != 16 || strcspn(text, " ") != 4)
        return 4;
    signal(SIGUSR1, on_signal);
    if (raise(SIGUSR1) != 0 || caught != SIGUSR1)
        return 5;
    copy = malloc(2 * size);
    if (!copy)
        return 6;
    for (size_t i = 0; i < size; i++)
        copy[i] = (char)(i % 251);
    memcpy(copy + size, copy, size);
    if (memcmp(copy, copy + size, size) != 0 || copy[2 * size - 1] != (char)((size - 1) % 251))
        return 7;
    free(copy);
    return 0;
}
