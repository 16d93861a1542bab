/* ingot: the command line. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "recompile/paths.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: ingot COMMAND [OPTIONS] ...\n"
    "\n"
    "Recompiles whole container images into one executable of safe, ahead-of-time compiled code.\n"
    "\n"
    "  ingot build SOURCE -o OUT      recompile an image: OCI layout, docker archive or root folder\n"
    "  ingot run [OPTIONS] OUT [CMD]  run a built image, options as docker run's\n"
    "  ingot inspect [--json] OUT     what is in a built image: programs, hashes, sizes, config\n"
    "  ingot verify OUT               recompute every hash of a built image\n"
    "  ingot sign --key KEY OUT       sign a built image\n"
    "  ingot attest [--key KEY] OUT   what a built image was made of, as an in-toto statement\n"
    "  ingot audit verify FILE        check the hash chain of an audit log\n"
    "\n"
    "`ingot COMMAND --help` tells more. A built image also runs by itself: ./OUT [CMD...].\n";

/* The compiler is a program of its own: its libraries take ten times as long to load as a built image takes to
 * start. */
static int
start_build(int argc, char **argv)
{
    static const char *const places[] = {"ingot-build", "../" INGOT_LIBDIR "/ingot/ingot-build"};
    static char name[] = "ingot build"; /* for ps and for messages about options */
    char self[4096], path[4200];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;

    (void)argc;
    self[n > 0 ? n : 0] = '\0';
    slash = strrchr(self, '/');
    if (!slash)
        return cli_fail(1, "cannot find this program's own folder (is /proc mounted?)");
    *slash = '\0';
    argv[0] = name;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s/%s", self, places[i]);
        execv(path, argv);
        if (errno != ENOENT)
            break;
    }
    return cli_fail(1, "cannot start %s: %s", path, strerror(errno));
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {
        {"build", start_build}, {"run", cmd_run},       {"inspect", cmd_inspect}, {"verify", cmd_verify},
        {"sign", cmd_sign},     {"attest", cmd_attest}, {"audit", cmd_audit},
    };
    int fd;

    /* What is opened later must not be taken for the standard streams that our parent closed. */
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
        ;
    if (fd > 2)
        close(fd);
    if (argc < 2) {
        fputs(usage, stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("ingot " INGOT_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    return cli_fail(2, "unknown command \"%s\" (see ingot --help)", argv[1]);
}
