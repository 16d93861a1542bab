/* The room that the process locks itself into before the first guest instruction (DESIGN D9, layer 4): whoever has
 * broken out of WebAssembly's rules and owns the process finds no way on. docs/threat-model.md says what each layer is
 * for.
 *
 * In this order: options are read and files of the host opened; platform_isolate; volumes and what needs the new
 * namespaces are opened; platform_lockdown. A layer that the host does not allow is left out and named in `missing`,
 * but for the filter, which must be. */
#ifndef PLATFORM_LOCKDOWN_H
#define PLATFORM_LOCKDOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lockdown_layer {
    LAYER_NAMESPACES = 1 << 0,   /* namespaces of its own */
    LAYER_VOLUMES = 1 << 1,      /* volumes are mounts of their own: nothing above them, nosuid, nodev, perhaps
                                    read-only */
    LAYER_ROOT = 1 << 2,         /* the root directory is empty */
    LAYER_DESCRIPTORS = 1 << 3,  /* no inherited descriptors but 0 to 2 */
    LAYER_IDENTITY = 1 << 4,     /* started as root: a user that owns nothing */
    LAYER_CAPABILITIES = 1 << 5, /* none, and none to be had */
    LAYER_LIMITS = 1 << 6,       /* resource limits, no core dumps, not to be traced */
    LAYER_MEMORY = 1 << 7,       /* PR_SET_MDWE: no memory becomes executable */
    LAYER_LANDLOCK = 1 << 8,     /* no files but volumes, no TCP, no signals to others, whatever else holds */
    LAYER_FILTER = 1 << 9,       /* the system calls of host_calls.def */
    LAYERS_ALL = (1 << 10) - 1,
    /* only with `full` */
    LAYER_ISOLATION = 1 << 10, /* PID, network and mount namespaces of its own */
    LAYER_CGROUP = 1 << 11,    /* a cgroup of its own, with limits */
    LAYERS_END = 1 << 12,
};

struct lockdown {
    bool root;             /* set by platform_isolate: started as root */
    int id;                /* set by platform_isolate: a number of its own among the host's
                                                     processes */
    bool full;             /* LAYER_ISOLATION and _CGROUP too: a second process, which
                                                     platform_isolate starts */
    unsigned threads;      /* that run guests (platform/thread.h); 0 counts as 1. The others
                                                     are made before no more may be, and inherit the layers */
    uint64_t cpu_quota_us; /* --cpus: of each 100 ms; 0: none */
    uint64_t memory_limit; /* --memory, in bytes; 0: none */
    /* What the run needs of the host. network_user: sockets that connect; with `published` such, too, as were bound
     * before and listen. */
    bool volumes, writable_volumes, network_host, network_user, published;
    unsigned layers; /* LAYERS_ALL, but in tests */
    const struct lockdown_volume {
        int fd;
        bool read_only;
    } *volume; /* for platform_lockdown: their roots */
    size_t volume_count;
    /* results */
    unsigned threads_made; /* how many there are, where more than one was to be */
    unsigned missing;
    char reasons[1024]; /* "empty root (Operation not permitted), ..."; "": all layers hold */
};

/* New namespaces, where the host allows them. */
void platform_isolate(struct lockdown *l);
/* After platform_isolate: the root of a volume as a mount of its own. Descriptor or -errno. */
int platform_open_volume(struct lockdown *l, const char *path, bool read_only);
/* Whether it is something that a container with it cannot be kept from the host, and why. Before it is opened. */
bool platform_volume_refused(const char *path, char *why, size_t size);
/* /proc/self/fd by itself, for who opens descriptors again. */
int platform_open_descriptors(void);
/* Replaces the descriptor of a file by one through which the file cannot be changed; where the host does not allow
 * that, nothing. */
void platform_make_read_only(int fd);
/* No way back. -errno of the filter. */
int platform_lockdown(struct lockdown *l);

const char *platform_layer_name(unsigned layer);
/* Writes the calls that are left, one line each. */
void platform_filter_list(const struct lockdown *l, void (*put)(const char *line));

#endif
