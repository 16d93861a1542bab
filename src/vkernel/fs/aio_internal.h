/* Between the files of asynchronous I/O: contexts and their rings (aio.c), requests (aio_submit.c). */
#ifndef VKERNEL_FS_AIO_INTERNAL_H
#define VKERNEL_FS_AIO_INTERNAL_H

#include "base/id_tree.h"
#include "base/refcount.h"
#include "vkernel/fs/aio.h"
#include "vkernel/vfs/vfs.h"

/* Made by io_setup, of one address space. Its address space has a reference until io_destroy or its end, and so has
 * every call on it that may sleep. */
struct aio_context {
    struct refcount refs;
    struct id_node of_mm; /* its id is the number that the ring's header begins with */
    uint64_t address;     /* of the ring in the guest, which is the context's name */
    struct inode *ring;   /* the bytes of the ring, whether or not the guest still maps them */
    uint32_t slots;       /* how many events the ring has places for; one is always free */
    uint32_t tail;        /* the place of the next event: what the guest writes to the ring does not move it */
    uint32_t active;      /* requests that are not complete */
    uint64_t asked;       /* for how many io_setup was asked, which aio_nr has */
    struct list requests; /* struct aio_poll, those that are not complete */
    bool dead;
    struct wait_queue queue; /* who sleeps for events */
};

/* What io_submit says of a request and its event repeats, and the eventfd to tell, NULL or with a reference. */
struct aio_result {
    uint64_t iocb, data;
    struct file *eventfd;
};

/* The context of the current process of this name, with a reference. NULL: the ring that should be there is not. */
struct aio_context *aio_context_get(uint64_t id);
void aio_context_put(struct aio_context *c);
#define AIO_CONTEXT_REF __attribute__((cleanup(aio_context_ref_end)))
static inline void
aio_context_ref_end(struct aio_context **c)
{
    if (*c)
        aio_context_put(*c);
}
/* How many requests more the context takes: each needs a place for its event. */
uint32_t aio_room(struct aio_context *c);
/* Puts the event into the ring, and tells who waits for it. Gives back the eventfd's reference. Does not sleep. */
void aio_complete(struct aio_context *c, struct aio_result *r, int64_t res);
/* The same but for the eventfd, which has counted the event, stays in the result and is to be told. */
void aio_post(struct aio_context *c, const struct aio_result *r, int64_t res);
/* Ends a context's requests, each with the event of one that was cancelled. Does not sleep. */
void aio_cancel_all(struct aio_context *c);
/* Gives back what requests that have become complete still hold. */
void aio_settle(void);

#endif
