/* What `ingot run` and `ingot inspect` asked of this run (docs/formats.md, "Options from ingot run"). */
#ifndef VKERNEL_BOOT_RUN_OPTIONS_H
#define VKERNEL_BOOT_RUN_OPTIONS_H

#include <stdbool.h>

#include "vkernel/image/config.h"

extern struct run_options {
    struct string_list env, arguments; /* arguments: of the command line, set by main() */
    int stats_fd;
    const char *workdir, *user, *audit;
    bool stats;
    const char *stats_path;
    bool has_hostname, audit_drop, isolate_full, require_layers, security;
} run_options;

/* Reads them, sets what is other rooms' (policy, stress modes, limits), and opens the file of --stats. Ends the process with a message
 * where one is wrong. */
void run_options_parse(void);

#endif
