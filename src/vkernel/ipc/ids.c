/* Keys, ids and permissions of the objects of System V IPC. */
#include "vkernel/ipc/ipc_internal.h"

#include <string.h>
#include <sys/stat.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/creds.h"
#include "vkernel/vfs/vfs.h"

enum {
    SLOT_SHIFT = 15,
    SLOTS = 1 << SLOT_SHIFT, /* and at least as many as any kind's limit */
    SEQUENCES = 1 << 16,
    SLOTS_FIRST = 64, /* so many are in use in turn, however few objects there are */
};

int64_t
ipc_now(void)
{
    return (int64_t)(clock_realtime_ns() / NS_PER_SECOND);
}

int
ipc_pid(void)
{
    return current_process()->pid;
}

int
ipc_find_key(struct ipc_ids *ids, int32_t key, int flags, struct ipc_object **out)
{
    struct id_node *n = key == IPC_PRIVATE ? NULL : id_tree_find(&ids->keys, key);

    *out = n ? id_entry(n, struct ipc_object, key_node) : NULL;
    if (key == IPC_PRIVATE)
        return 0;
    if (!n)
        return flags & IPC_CREAT ? 0 : -ENOENT;
    return (flags & IPC_CREAT) && (flags & IPC_EXCL) ? -EEXIST : 0;
}

/* Linux's idr_alloc_cyclic(): the next free slot, of a few more than are in use. */
static int
free_slot(struct ipc_ids *ids)
{
    unsigned most = ids->used * 3 / 2 > SLOTS_FIRST ? ids->used * 3 / 2 : SLOTS_FIRST;

    if (most > SLOTS)
        most = SLOTS;
    if (most > ids->capacity) {
        unsigned capacity = ids->capacity ? ids->capacity : SLOTS_FIRST;
        struct ipc_object **slots;

        while (capacity < most)
            capacity *= 2;
        slots = array_resize(ids->slots, ids->capacity, capacity, sizeof *slots);
        if (!slots)
            return -ENOMEM;
        ids->slots = slots;
        ids->capacity = capacity;
    }
    for (unsigned k = ids->next; k < most; k++)
        if (!ids->slots[k])
            return (int)k;
    for (unsigned k = 0; k < most; k++)
        if (!ids->slots[k])
            return (int)k;
    return -ENOSPC;
}

int
ipc_add(struct ipc_ids *ids, struct ipc_object *o, int32_t key, int flags)
{
    const struct creds *c = current_creds();
    int slot = ids->used < ids->limit ? free_slot(ids) : -ENOSPC;

    if (slot < 0)
        return slot;
    refcount_init(&o->refs);
    o->key = key;
    o->cuid = o->uid = c->euid;
    o->cgid = o->gid = c->egid;
    o->mode = (uint32_t)flags & (S_IRWXU | S_IRWXG | S_IRWXO);
    o->change_time = ipc_now();
    if (slot <= ids->last)
        ids->sequence = (uint16_t)((ids->sequence + 1) % SEQUENCES);
    ids->last = slot;
    ids->next = (unsigned)slot + 1;
    o->sequence = ids->sequence;
    o->id = o->sequence << SLOT_SHIFT | slot;
    if (ids->used == 0 || slot > ids->highest)
        ids->highest = slot;
    ids->slots[slot] = o;
    ids->used++;
    if (key != IPC_PRIVATE) {
        id_tree_add(&ids->keys, &o->key_node, key, platform_random_priority());
        o->has_key = true;
    }
    return o->id;
}

void
ipc_forget_key(struct ipc_ids *ids, struct ipc_object *o)
{
    if (o->has_key)
        id_tree_remove(&ids->keys, &o->key_node);
    o->has_key = false;
    o->key = IPC_PRIVATE;
}

void
ipc_remove(struct ipc_ids *ids, struct ipc_object *o)
{
    int slot = o->id % SLOTS;

    ipc_forget_key(ids, o);
    ids->slots[slot] = NULL;
    ids->used--;
    if (slot == ids->highest)
        while (ids->highest > 0 && !ids->slots[ids->highest])
            ids->highest--;
    o->removed = true;
}

struct ipc_object *
ipc_in_slot(const struct ipc_ids *ids, int slot)
{
    slot %= SLOTS;
    return slot >= 0 && (unsigned)slot < ids->capacity ? ids->slots[slot] : NULL;
}

struct ipc_object *
ipc_find(const struct ipc_ids *ids, int id, int *error)
{
    struct ipc_object *o = id < 0 ? NULL : ipc_in_slot(ids, id);

    if (o && o->id != id)
        o = NULL;
    *error = o ? 0 : -EINVAL;
    return o;
}

int
ipc_highest(const struct ipc_ids *ids)
{
    return ids->used ? ids->highest : 0;
}

bool
ipc_permits(const struct ipc_object *o, int mode)
{
    unsigned wanted = (unsigned)(mode >> 6 | mode >> 3 | mode), granted = o->mode;
    uint32_t euid = current_creds()->euid;

    if (euid == o->cuid || euid == o->uid)
        granted >>= 6;
    else if (in_group(o->cgid) || in_group(o->gid))
        granted >>= 3;
    return !(wanted & ~granted & 7) || capable(CAP_IPC_OWNER);
}

struct ipc_object *
ipc_find_owned(const struct ipc_ids *ids, int id, int *error)
{
    struct ipc_object *o = ipc_find(ids, id, error);
    uint32_t euid = current_creds()->euid;

    if (!o || euid == o->cuid || euid == o->uid || capable(CAP_SYS_ADMIN))
        return o;
    *error = -EPERM;
    return NULL;
}

struct ipc_object *
ipc_find_stat(const struct ipc_ids *ids, int id, int command, int stat_any, int *error)
{
    struct ipc_object *o;

    if (command == IPC_STAT) {
        o = ipc_find(ids, id, error);
    } else {
        o = id < 0 ? NULL : ipc_in_slot(ids, id);
        *error = o ? 0 : -EINVAL;
    }
    if (!o || command == stat_any || ipc_permits(o, S_IRUSR | S_IRGRP | S_IROTH))
        return o;
    *error = -EACCES;
    return NULL;
}

int
ipc_set(struct ipc_object *o, const struct ipc_perm *p)
{
    enum { BITS = S_IRWXU | S_IRWXG | S_IRWXO };

    if (p->uid == UINT32_MAX || p->gid == UINT32_MAX)
        return -EINVAL;
    o->uid = p->uid;
    o->gid = p->gid;
    o->mode = (o->mode & ~(uint32_t)BITS) | (p->mode & BITS);
    o->change_time = ipc_now();
    return 0;
}

void
ipc_tell(const struct ipc_object *o, struct ipc_perm *out)
{
    memset(out, 0, sizeof *out);
    out->__key = o->key;
    out->uid = o->uid;
    out->gid = o->gid;
    out->cuid = o->cuid;
    out->cgid = o->cgid;
    out->mode = o->mode;
    out->__seq = o->sequence;
}
