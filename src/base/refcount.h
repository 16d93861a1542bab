/* Reference counts that cannot wrap, as the Linux kernel's refcount_t.
 *
 * A count that a guest drives up to REFCOUNT_LIMIT stays there: its object is never freed, which is better than being
 * freed while references are left. A count that is raised from zero, or lowered below it, belongs to an object that has
 * been freed: the program ends. Not atomic: whoever counts holds the kernel lock, or is the only thread. */
#ifndef BASE_REFCOUNT_H
#define BASE_REFCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

#define REFCOUNT_LIMIT (UINT32_C(1) << 31)

struct refcount {
    uint32_t count; /* through the functions below only */
};

/* Of a new object: its maker's. */
static inline void
refcount_init(struct refcount *r)
{
    r->count = 1;
}

static inline void
refcount_get(struct refcount *r)
{
    CHECK(r->count != 0, "a reference to a freed object is taken");
    if (__builtin_expect(r->count < REFCOUNT_LIMIT, 1))
        r->count++;
}

/* True: that was the last reference. */
static inline bool
refcount_put(struct refcount *r)
{
    CHECK(r->count != 0, "a reference to a freed object is put");
    if (__builtin_expect(r->count >= REFCOUNT_LIMIT, 0))
        return false;
    return --r->count == 0;
}

static inline bool
refcount_is(const struct refcount *r, uint32_t n)
{
    return r->count == n;
}

static inline bool
refcount_is_one(const struct refcount *r)
{
    return refcount_is(r, 1);
}

#endif
