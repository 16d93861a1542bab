/* A message in a queue of either kind: System V's or POSIX's. */
#ifndef VKERNEL_IPC_MESSAGE_H
#define VKERNEL_IPC_MESSAGE_H

#include <stdint.h>

#include "base/id_tree.h"
#include "base/list.h"
#include "vkernel/usercopy/usercopy.h"

struct ipc_message {
    struct list link;    /* System V: whoever has it */
    struct id_node node; /* POSIX: in mqueue.messages */
    int64_t type;        /* System V's type, above 0; or the priority */
    uint64_t size;       /* bytes */
    uint8_t *data;       /* owned; NULL where size is 0 */
};

/* A new message, which is the caller's, of the bytes in guest memory: 0, -EFAULT, -ENOMEM. */
int ipc_message_load(guest_addr from, uint64_t size, int64_t type, struct ipc_message **out);
struct ipc_message *ipc_message_copy(const struct ipc_message *m); /* NULL: no memory */
void ipc_message_free(struct ipc_message *m);                      /* of NULL: nothing */

#endif
