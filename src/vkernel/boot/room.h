/* The container's part of the lock-down (platform/lockdown.h): volumes go in, the host's other files stay out; what the
 * host does not allow is said. */
#ifndef VKERNEL_BOOT_ROOM_H
#define VKERNEL_BOOT_ROOM_H

#include <stdbool.h>

/* "SRC:DST[:ro|rw]", changed and kept. Ends the process with a message when it is wrong. */
void room_add_volume(char *spec);
/* Opens what is needed of the host and locks the process in. `full`: in a process of its own, in PID and network
 * namespaces; `required`: every layer or nothing. */
void room_enter(bool full, bool required);
void room_mount_volumes(void);
const char *room_layers(void);         /* the names of those that hold */
const char *room_missing_layers(void); /* and of those that do not, with reasons; "" */
/* Prints the layers that hold, those that do not, and the system calls that are left. */
void room_describe(void);

#endif
