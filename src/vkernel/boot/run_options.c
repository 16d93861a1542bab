/* Options come from `ingot run` in a sealed memory file (space-separated, percent-encoded; platform/options.c). */
#include "vkernel/boot/run_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/audit/notice.h"
#include "vkernel/boot/container_limits.h"
#include "vkernel/boot/container_network.h"
#include "vkernel/boot/options.h"
#include "vkernel/boot/room.h"
#include "vkernel/net/user.h"
#include "vkernel/run/calls.h"
#include "vkernel/run/evaluated.h"
#include "vkernel/run/lockstep.h"
#include "vkernel/run/run.h"
#include "vkernel/sched/sched.h"
#include "vkernel/task/system.h"
#include "vkernel/trust/ledger.h"

struct run_options run_options;

static void
stress(const char *what)
{
    if (strcmp(what, "unwind") == 0)
        stress_unwind = true;
    else if (strcmp(what, "budget") == 0)
        stress_budget = true;
    else if (strcmp(what, "evaluate") == 0)
        stress_evaluate = true;
    else if (strcmp(what, "migrate") == 0)
        sched_moving = true;
    else
        platform_die("--stress %s: expected unwind, budget, evaluate or migrate", what);
}

static void
set_policy(const char *value)
{
    if (strcmp(value, "audit") == 0)
        ledger_policy = LEDGER_AUDIT;
    else if (strcmp(value, "enforce") == 0)
        ledger_policy = LEDGER_ENFORCE;
    else
        platform_die("--policy %s: expected enforce or audit", value);
}

static void
option_with_value(const char *name, const char *value)
{
    if (container_limits_option(name, value) || container_network_option(name, value))
        return;
    if (strcmp(name, "--env") == 0)
        string_list_add(&run_options.env, value);
    else if (strcmp(name, "--volume") == 0)
        room_add_volume((char *)(uintptr_t)value);
    else if (strcmp(name, "--workdir") == 0)
        run_options.workdir = value;
    else if (strcmp(name, "--user") == 0)
        run_options.user = value;
    else if (strcmp(name, "--hostname") == 0) {
        if (!*value || strlen(value) >= sizeof system_info.hostname)
            platform_die("--hostname: a host name has 1 to %zu bytes", sizeof system_info.hostname - 1);
        snprintf(system_info.hostname, sizeof system_info.hostname, "%s", value);
        run_options.has_hostname = true;
    } else if (strcmp(name, "--policy") == 0)
        set_policy(value);
    else if (strcmp(name, "--audit") == 0)
        run_options.audit = value;
    else if (strcmp(name, "--audit-full") == 0) {
        run_options.audit_drop = strcmp(value, "drop") == 0;
        if (!run_options.audit_drop && strcmp(value, "wait") != 0)
            platform_die("--audit-full %s: expected wait or drop", value);
    } else if (strcmp(name, "--isolate") == 0) {
        run_options.isolate_full = strcmp(value, "full") == 0;
        if (!run_options.isolate_full && strcmp(value, "default") != 0)
            platform_die("--isolate %s: expected default or full", value);
    } else if (strcmp(name, "--stress") == 0)
        stress(value);
    else if (strcmp(name, "--calls") == 0) /* of ingot run --lockstep=OTHER */
        calls_start(atoi(value));
    else
        platform_die("unknown option %s", name);
}

void
run_options_parse(void)
{
    const char *given = getenv("INGOT_OPTIONS");
    static char *text; /* kept: options point into it */
    char *rest, *word;

    if (!given)
        return;
    text = platform_handed_options(given);
    if (!text && options_from_environment)
        text = bytes_string(given);
    if (!text) {
        platform_log("ingot: INGOT_OPTIONS in the environment is not by ingot run, and is ignored\n");
        unsetenv("INGOT_OPTIONS");
        return;
    }
    rest = text;
    while ((word = option_word(&rest))) {
        char *value;

        if (strcmp(word, "--strace") == 0) {
            strace_on = true;
        } else if (strcmp(word, "--quiet") == 0) {
            notice_quiet = true;
        } else if (strcmp(word, "--eval-unknown") == 0) {
            ledger_policy = LEDGER_EVAL_UNKNOWN;
        } else if (strcmp(word, "--host-loopback") == 0) {
            user_host_loopback = true;
        } else if (strcmp(word, "--require-layers") == 0) {
            run_options.require_layers = true;
        } else if (strcmp(word, "--security") == 0) { /* ingot inspect --security */
            run_options.security = true;
        } else if (strcmp(word, "--lockstep") == 0) {
            lockstep_init();
        } else if (strcmp(word, "--stats") == 0) {
            run_options.stats = run_stats = true;
        } else if (strncmp(word, "--stats=", 8) == 0) {
            run_stats = true;
            run_options.stats_path = word + 8;
        } else {
            value = option_word(&rest);
            if (!value)
                platform_die("option %s needs a value", word);
            option_with_value(word, value);
        }
    }
    unsetenv("INGOT_OPTIONS");
    if (!run_options.stats_path)
        return;
    run_options.stats_fd = platform_open_append(run_options.stats_path);
    if (run_options.stats_fd < 0)
        platform_die("cannot open %s: %s", run_options.stats_path, strerror(-run_options.stats_fd));
}
