/* The room that the process locks itself into before the first guest instruction (DESIGN D9, layer 4): whoever has broken out of
 * WebAssembly's rules and owns the process finds no way on. docs/threat-model.md says what each layer is for. */
#ifndef PLATFORM_LOCKDOWN_H
#define PLATFORM_LOCKDOWN_H

#include <stdbool.h>
#include <stddef.h>

struct lockdown {
    bool volumes, network_host; /* what the run needs of the host */
};

/* No way back: from here on other system calls than those of host_calls.def end the process. -errno. */
int platform_lockdown(const struct lockdown *l);
/* Writes the calls that are left, one line each. */
void platform_filter_list(const struct lockdown *l, void (*put)(const char *line));

#endif
