/* The options about the container's network, and its start. */
#ifndef VKERNEL_BOOT_CONTAINER_NETWORK_H
#define VKERNEL_BOOT_CONTAINER_NETWORK_H

#include <stdbool.h>

extern enum container_network { NETWORK_IS_NONE, NETWORK_IS_USER, NETWORK_IS_HOST } container_network;
extern bool container_network_publishes; /* there is a --publish */

/* --network, --publish, --allow and --dns; false: it is another option. Ends the process with a message where the value
 * is wrong. The value stays. */
bool container_network_option(const char *name, const char *value);
/* Before the lock-down. Ends the process with a message where options do not go together, or the host does not give what
 * they ask for. */
void container_network_start(void);

#endif
