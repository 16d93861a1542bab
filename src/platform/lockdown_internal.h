/* Between lockdown.c and filter.c. */
#ifndef PLATFORM_LOCKDOWN_INTERNAL_H
#define PLATFORM_LOCKDOWN_INTERNAL_H

#include "platform/lockdown.h"

/* Installs the seccomp filter. Needs no_new_privs. -errno. */
int filter_install(const struct lockdown *l);


#endif
