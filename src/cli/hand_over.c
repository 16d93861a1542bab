/* Starting a built image with options: they travel in a sealed memory file (platform/options.c reads it). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "artifact/options.h"
#include "cli/cli.h"

int
hand_over(const char *options)
{
    int fd = memfd_create("ingot-options", MFD_ALLOW_SEALING); /* stays open over exec */
    size_t size = strlen(options);
    char where[32];

    if (fd >= 0 && fd <= 2) { /* our parent closed its standard streams */
        int high = fcntl(fd, F_DUPFD, 3);

        close(fd);
        fd = high;
    }
    if (fd < 0 || write(fd, OPTIONS_MAGIC, sizeof OPTIONS_MAGIC - 1) != (ssize_t)(sizeof OPTIONS_MAGIC - 1) ||
        write(fd, options, size) != (ssize_t)size ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return cli_fail(125, "cannot hand over the options: %s", strerror(errno));
    snprintf(where, sizeof where, "fd:%d", fd);
    return setenv("INGOT_OPTIONS", where, 1) < 0 ? cli_fail(125, "out of memory") : 0;
}
