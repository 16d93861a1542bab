#include "vkernel/ipc/message.h"

#include <errno.h>
#include <string.h>

#include "platform/heap.h"

OBJECT_POOL(ipc_message);

static struct ipc_message *
message_new(uint64_t size, int64_t type)
{
    struct ipc_message *m = OBJECT_NEW(ipc_message);

    if (!m)
        return NULL;
    m->type = type;
    m->size = size;
    list_init(&m->link);
    if (size && !(m->data = bytes_new(size))) {
        OBJECT_FREE(ipc_message, m);
        return NULL;
    }
    return m;
}

void
ipc_message_free(struct ipc_message *m)
{
    if (m)
        bytes_free(m->data);
    OBJECT_FREE(ipc_message, m);
}

int
ipc_message_load(guest_addr from, uint64_t size, int64_t type, struct ipc_message **out)
{
    *out = message_new(size, type);
    if (!*out)
        return -ENOMEM;
    if (size && copy_from_guest((*out)->data, from, size) < 0) {
        ipc_message_free(*out);
        *out = NULL;
        return -EFAULT;
    }
    return 0;
}

struct ipc_message *
ipc_message_copy(const struct ipc_message *m)
{
    struct ipc_message *copy = message_new(m->size, m->type);

    if (copy && m->size)
        memcpy(copy->data, m->data, m->size);
    return copy;
}
