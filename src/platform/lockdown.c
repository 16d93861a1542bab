/* See lockdown.h. */
#include "platform/lockdown_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "platform/sanitizer.h"
#include "platform/thread.h"

const char *
platform_layer_name(unsigned layer)
{
    switch (layer) {
    case LAYER_NAMESPACES: return "namespaces";
    case LAYER_VOLUMES: return "volumes as mounts";
    case LAYER_ROOT: return "empty root";
    case LAYER_DESCRIPTORS: return "descriptors";
    case LAYER_IDENTITY: return "unused user id";
    case LAYER_CAPABILITIES: return "no capabilities";
    case LAYER_LIMITS: return "limits";
    case LAYER_MEMORY: return "MDWE";
    case LAYER_LANDLOCK: return "Landlock";
    case LAYER_FILTER: return "seccomp filter";
    case LAYER_ISOLATION: return "PID and network namespaces";
    case LAYER_CGROUP: return "own cgroup";
    default: return NULL;
    }
}

void
lockdown_note(struct lockdown *l, unsigned layer, int result)
{
    size_t at = strlen(l->reasons);

    if (result == 0 || (l->missing & layer))
        return;
    l->missing |= layer;
    snprintf(l->reasons + at, sizeof l->reasons - at, "%s%s (%s)", at ? ", " : "", platform_layer_name(layer),
             strerror(-result));
}

static bool
wanted(const struct lockdown *l, unsigned layer)
{
    return !PLATFORM_SANITIZED && (l->layers & layer);
}

void
platform_isolate(struct lockdown *l)
{
    l->root = geteuid() == 0;
    l->id = getpid();
    if (wanted(l, LAYER_NAMESPACES))
        lockdown_note(l, LAYER_NAMESPACES, layer_namespaces(l));
    if (l->full && !PLATFORM_SANITIZED)
        layer_isolation(l);
}

static void
start_threads(struct lockdown *l)
{
    if (l->threads > 1)
        l->threads_made = platform_threads_start(l->threads);
}

int
platform_lockdown(struct lockdown *l)
{
    /* The sanitizers' reports start a symbolizer, their leak check a thread. */
    if (PLATFORM_SANITIZED) {
        start_threads(l);
        return 0;
    }
    if (wanted(l, LAYER_DESCRIPTORS))
        lockdown_note(l, LAYER_DESCRIPTORS, layer_descriptors(l));
    if (wanted(l, LAYER_ROOT))
        lockdown_note(l, LAYER_ROOT, layer_root());
    if (wanted(l, LAYER_IDENTITY))
        lockdown_note(l, LAYER_IDENTITY, layer_identity(l));
    if (wanted(l, LAYER_CAPABILITIES))
        lockdown_note(l, LAYER_CAPABILITIES, layer_capabilities(l));
    if (l->full) /* not before: a change of user takes it away */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (wanted(l, LAYER_MEMORY))
        lockdown_note(l, LAYER_MEMORY, layer_memory());
    /* Landlock and the filter ask for it. */
    if ((l->layers & (LAYER_LANDLOCK | LAYER_FILTER)) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (wanted(l, LAYER_LANDLOCK))
        lockdown_note(l, LAYER_LANDLOCK, layer_landlock(l));
    start_threads(l);
    if (wanted(l, LAYER_LIMITS))
        lockdown_note(l, LAYER_LIMITS, layer_limits());
    return wanted(l, LAYER_FILTER) ? filter_install(l) : 0;
}
