/* What the programs of IPC share: names of errors, the capabilities of a container, and what processes that wait tell of
 * themselves, in the order in which they go on. */
#ifndef PROGRAMS_IPC_H
#define PROGRAMS_IPC_H

#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static inline const char *
error(long r)
{
    return r < 0 ? strerrorname_np(errno) : "done";
}

/* What root does not have in a container either. */
static inline void
drop_capabilities(void)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    unsigned less = 1u << CAP_IPC_LOCK | 1u << CAP_IPC_OWNER | 1u << CAP_SYS_ADMIN | 1u << CAP_SYS_RESOURCE;

    syscall(SYS_capget, &h, d);
    d[0].effective &= ~less;
    d[0].permitted &= ~less;
    syscall(SYS_capset, &h, d);
}

static int letters[2]; /* a pipe, which the program makes */

static inline void
told(const char *format, ...)
{
    char text[200];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write(letters[1], text, strlen(text));
}

/* What was told, once so many processes have ended. */
static inline void
read_told(const char *what, int count)
{
    char text[1000];
    int size;

    while (count-- > 0)
        wait(NULL);
    ioctl(letters[0], FIONREAD, &size);
    if (size)
        size = (int)read(letters[0], text, sizeof text);
    printf("%s: %.*s\n", what, size, text);
}

static inline void
until_asleep(pid_t pid)
{
    char path[64], text[256];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    for (;;) {
        FILE *f = fopen(path, "r");

        fgets(text, sizeof text, f);
        fclose(f);
        if (strstr(text, ") S "))
            return;
        usleep(1000);
    }
}

#endif
