/* The artifact's entry: checks and opens the image in its own file, locks the host process down, and runs process 1; and the container's
 * end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "platform/hostnet.h"
#include "platform/platform.h"
#include "platform/processor.h"
#include "vkernel/audit/audit.h"
#include "vkernel/boot/boot.h"
#include "vkernel/boot/container_limits.h"
#include "vkernel/boot/container_network.h"
#include "vkernel/boot/exit_codes.h"
#include "vkernel/boot/room.h"
#include "vkernel/boot/run_options.h"
#include "vkernel/boot/statistics.h"
#include "vkernel/image/artifact.h"
#include "vkernel/image/config.h"
#include "vkernel/run/run.h"
#include "vkernel/sched/sched.h"
#include "vkernel/task/system.h"
#include "x86/helpers.h"
#include "x86/level.h"

void
container_exit(int status)
{
    int code;

    status = container_limits_status(status);
    code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL + WTERMSIG(status);

    audit_finish(code);
    artifact_remember(the_artifact);
    statistics_write();
    exit(code);
}

/* What the programs find on every host, this one must have. */
static void
set_level(const struct artifact_header *h)
{
    char missing[512];

    if (h->level < X86_LEVEL_V2 || h->level >= X86_LEVEL_END)
        platform_die("the artifact is built for a processor that this version of ingot does not know");
    x86_set_level(h->level);
    if (!platform_executes(h->level, h->backend == ARTIFACT_BACKEND_DIRECT)) {
        platform_missing_features(&platform_processor, h->level, h->backend == ARTIFACT_BACKEND_DIRECT, missing,
                                  sizeof missing);
        platform_die("the artifact is built for %s%s, and this processor does not have: %s", x86_level_name(h->level),
                     h->backend == ARTIFACT_BACKEND_DIRECT ? " with rewritten code" : "",
                     *missing ? missing : "some of its instructions");
    }
    if (h->level == X86_LEVEL_V3)
        platform_use_ymm();
}

int
main(int argc, char **argv)
{
    static struct image_config config;
    uint64_t ignored; /* by whoever started us: bit (signal - 1) */
    char error[256];
    const char *text;
    size_t size;
    int fd;

    if (!platform_init())
        return EXIT_OWN;
    run_options_parse();
    for (int i = 1; i < argc; i++)
        string_list_add(&run_options.arguments, argv[i]);
    fd = platform_open_self();
    if (fd < 0)
        platform_die("cannot open this executable: %s", strerror(-fd));
    the_artifact = artifact_open(fd, error, sizeof error);
    if (!the_artifact)
        platform_die("%s", error);
    set_level(artifact_header(the_artifact));
    text = artifact_config(the_artifact, &size);
    if (config_parse(text, size, &config, error, sizeof error) < 0)
        platform_die("%s", error);
    if (run_options.audit)
        audit_open(run_options.audit, run_options.audit_drop);
    if (!run_options.has_hostname && container_network == NETWORK_IS_HOST)
        run_options.has_hostname =
            host_name(system_info.hostname, sizeof system_info.hostname) == 0; /* as docker does */
    if (!run_options.has_hostname) {
        uint8_t id[6];

        platform_random(id, sizeof id);
        snprintf(system_info.hostname, sizeof system_info.hostname, "%02x%02x%02x%02x%02x%02x", id[0], id[1], id[2],
                 id[3], id[4], id[5]);
    }
    ignored = platform_forward_signals(platform_isatty(0));
    sched_init();
    run_init();
    container_network_start();
    container_limits_start();
    room_enter(run_options.isolate_full, run_options.require_layers);
    if (run_options.security) {
        room_describe();
        return 0;
    }
    sched_start(boot_make_first_task(&config, ignored));
}
