#include "vkernel/boot/room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/heap.h"
#include "platform/hostfs.h"
#include "platform/lockdown.h"
#include "platform/platform.h"
#include "vkernel/audit/audit.h"
#include "vkernel/audit/notice.h"
#include "vkernel/boot/boot.h"
#include "vkernel/boot/container_limits.h"
#include "vkernel/boot/container_network.h"
#include "vkernel/image/artifact.h"
#include "vkernel/net/user.h"
#include "vkernel/task/system.h"
#include "vkernel/vfs/file.h"

enum { CPU_PERIOD_US = 100000 };

static struct volume {
    const char *source, *target;
} *volumes;
static struct lockdown_volume *roots; /* as many */
static struct lockdown lockdown = {.layers = LAYERS_ALL};

void
room_add_volume(char *spec)
{
    char *target = strchr(spec, ':'), *mode = target ? strchr(target + 1, ':') : NULL;
    size_t n = lockdown.volume_count;
    bool read_only;

    if (!target || target == spec || !target[1] || target[1] == ':')
        platform_die("--volume %s: expected SRC:DST[:ro]", spec);
    *target++ = '\0';
    if (mode)
        *mode++ = '\0';
    if (*target != '/')
        platform_die("--volume: %s is not an absolute path", target);
    if (mode && strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0)
        platform_die("--volume: unknown mode %s, expected ro or rw", mode);
    read_only = mode && strcmp(mode, "ro") == 0;
    volumes = array_resize(volumes, n, n + 1, sizeof *volumes);
    roots = array_resize(roots, n, n + 1, sizeof *roots);
    if (!volumes || !roots)
        platform_die("out of memory");
    volumes[n] = (struct volume){.source = spec, .target = target};
    roots[n] = (struct lockdown_volume){.fd = -1, .read_only = read_only};
    lockdown.volume = roots;
    lockdown.volume_count = n + 1;
    lockdown.volumes = true;
    lockdown.writable_volumes |= !read_only;
}

static void
open_volumes(void)
{
    for (size_t i = 0; i < lockdown.volume_count; i++) {
        char why[512];

        if (platform_volume_refused(volumes[i].source, why, sizeof why))
            platform_die("cannot mount %s at %s: %s", volumes[i].source, volumes[i].target, why);
        roots[i].fd = platform_open_volume(&lockdown, volumes[i].source, roots[i].read_only);
        if (roots[i].fd < 0)
            platform_die("cannot mount %s at %s: %s", volumes[i].source, volumes[i].target, strerror(-roots[i].fd));
    }
    if (lockdown.writable_volumes) /* the calls that change files in volumes must not change this one */
        platform_make_read_only(artifact_host_fd(the_artifact));
}

void
room_enter(bool full, bool required)
{
    int r;

    lockdown.network_host = container_network == NETWORK_IS_HOST;
    lockdown.network_user = container_network == NETWORK_IS_USER;
    lockdown.published = container_network_publishes;
    lockdown.full = full;
    lockdown.threads = system_info.processors;
    lockdown.memory_limit = system_info.memory_limit;
    lockdown.cpu_quota_us = container_limits.cpus / (1000000000u / CPU_PERIOD_US);
    platform_isolate(&lockdown);
    open_volumes();
    platform_open_files(system_info.memory_limit != 0);
    platform_open_clock();
    host_open_files(lockdown.volumes);
    if (!platform_tick_init(platform_thread_tls, 0))
        platform_die("the host gives no timer: the user's limit of pending signals (ulimit -i) is reached");
    r = platform_lockdown(&lockdown);
    if (r < 0)
        platform_die("cannot install the seccomp filter: %s", strerror(-r));
    if (lockdown.threads > 1)
        container_limits_processors(lockdown.threads_made);
    if (!lockdown.missing)
        return;
    if (required)
        platform_die("--require-layers: this host does not allow: %s", lockdown.reasons);
    notice(NOTICE_LAYERS,
           "this host does not allow %s: only the other layers hold whoever breaks out of the container. "
           "--require-layers refuses to start then",
           lockdown.reasons);
}

void
room_mount_volumes(void)
{
    for (size_t i = 0; i < lockdown.volume_count; i++) {
        const struct volume *v = &volumes[i];
        int r = vfs_mount_volume(roots[i].fd, v->target, roots[i].read_only);

        audit_record(AUDIT_FILE, "volume-mounted", r == 0, "ingot.source", v->source, "file.path", v->target,
                     "ingot.mode", roots[i].read_only ? "ro" : "rw", NULL);
        if (r < 0)
            platform_die("cannot mount %s at %s: %s", v->source, v->target, strerror(-r));
    }
}

const char *
room_layers(void)
{
    static char text[512];
    size_t at = 0;

    text[0] = '\0';
    for (unsigned layer = 1; layer < LAYERS_END && at < sizeof text; layer <<= 1)
        if (!(lockdown.missing & layer) && (layer != LAYER_VOLUMES || lockdown.volumes) &&
            (lockdown.full || !(layer & (LAYER_ISOLATION | LAYER_CGROUP))))
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at ? ", " : "", platform_layer_name(layer));
    return text;
}

const char *
room_missing_layers(void)
{
    return lockdown.reasons;
}

static void
put_line(const char *line)
{
    platform_write(1, line, strlen(line));
    platform_write(1, "\n", 1);
}

void
room_describe(void)
{
    char line[2048];

    snprintf(line, sizeof line, "layers: %s\nnot allowed here: %s\nsystem calls that are left:", room_layers(),
             *lockdown.reasons ? lockdown.reasons : "none");
    put_line(line);
    platform_filter_list(&(struct lockdown){.volumes = true, .network_host = true, .threads = 2}, put_line);
}
