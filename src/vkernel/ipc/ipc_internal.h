/* What the objects of System V IPC have in common: keys, ids, owners and permissions (sysvipc(7)).
 *
 * An id is a number of the table's slot and, above that, a sequence number, so that the id of an object that was
 * removed is not soon another's: 32,768 objects of a kind have to be made before. The kernel lock guards all of
 * this; who sleeps holds a reference to the object, and looks at `removed` afterwards. */
#ifndef VKERNEL_IPC_IPC_INTERNAL_H
#define VKERNEL_IPC_IPC_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ipc.h>

#include "base/id_tree.h"
#include "base/refcount.h"
#include "vkernel/usercopy/usercopy.h"

struct ipc_ids;

/* Access, as bits of mode, each in the three groups. */
enum { IPC_READ = 0444, IPC_WRITE = 0222, IPC_EXECUTE = 0111 };

/* The first member of each kind of object. */
struct ipc_object {
    struct refcount refs; /* one is the table's, until the object is removed */
    struct id_node key_node;
    bool has_key; /* key_node is in the tree of keys */
    bool removed; /* who slept meanwhile finds this: EIDRM */
    int id;
    int32_t key;
    /* cuid, cgid: who made it. mode: permissions, and bits of the kind (SHM_DEST). */
    uint32_t uid, gid, cuid, cgid, mode;
    uint16_t sequence;   /* the upper part of the id */
    int64_t change_time; /* when it was made or changed by IPC_SET: seconds of real time */
};

/* All objects of one kind. Zeroed but for the limit, and last = -1. */
struct ipc_ids {
    unsigned limit;    /* so many objects at most */
    int last;          /* the slot that was given last; -1: none was */
    int highest;       /* the highest slot in use; meaningless without any */
    unsigned used;     /* objects */
    unsigned capacity; /* of slots */
    unsigned next;     /* the slot at which the search for a free one begins */
    uint16_t sequence; /* of the object made last; rises when the slot of a new object is not above the last one's */
    struct ipc_object **slots; /* owned; NULL: free */
    struct id_tree keys;       /* but for IPC_PRIVATE */
};

/* The first half of shmget, semget and msgget: 0 and the object of this key, borrowed, or NULL where a new one is to be
 * made. -ENOENT, -EEXIST. */
int ipc_find_key(struct ipc_ids *ids, int32_t key, int flags, struct ipc_object **out);
/* Takes a new object in, whose only reference becomes the table's, and makes the caller its creator and owner. Its id;
 * -ENOSPC at the limit, -ENOMEM. */
int ipc_add(struct ipc_ids *ids, struct ipc_object *o, int32_t key, int flags);
/* Takes it out of the table and marks it. The table's reference is the caller's to put. */
void ipc_remove(struct ipc_ids *ids, struct ipc_object *o);
void ipc_forget_key(struct ipc_ids *ids, struct ipc_object *o); /* it becomes IPC_PRIVATE */

/* The object with this id, borrowed: NULL and *error -EINVAL, as Linux has it also for an id whose slot is another's by
 * now (the manual says EIDRM, which is for those who slept when it was removed). */
struct ipc_object *ipc_find(const struct ipc_ids *ids, int id, int *error);
/* The one in this slot, whatever its sequence number, borrowed: for *_STAT. NULL: none. */
struct ipc_object *ipc_in_slot(const struct ipc_ids *ids, int slot);
int ipc_highest(const struct ipc_ids *ids); /* what IPC_INFO returns: the highest slot in use, 0 if none is */
#define IPC_EACH(o, ids)                                       \
    for (unsigned slot_ = 0; slot_ < (ids)->capacity; slot_++) \
        for (struct ipc_object *o = (ids)->slots[slot_]; o; o = NULL)

/* May the caller have this access, in one of the three groups of mode's bits? */
bool ipc_permits(const struct ipc_object *o, int mode);
/* The object for IPC_SET and IPC_RMID, borrowed; NULL and *error -EINVAL, -EPERM. */
struct ipc_object *ipc_find_owned(const struct ipc_ids *ids, int id, int *error);
/* The object for IPC_STAT, *_STAT and *_STAT_ANY, borrowed; NULL and *error -EINVAL, -EACCES. */
struct ipc_object *ipc_find_stat(const struct ipc_ids *ids, int id, int command, int stat_any, int *error);
int ipc_set(struct ipc_object *o, const struct ipc_perm *p); /* 0 or -EINVAL */
void ipc_tell(const struct ipc_object *o, struct ipc_perm *out);

int64_t ipc_now(void); /* seconds of real time */
int ipc_pid(void);     /* of the current process */

#endif
