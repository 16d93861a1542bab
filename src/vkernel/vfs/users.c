/* Users and what is counted for them. A user exists while one of its counts is not zero. */
#include "vkernel/vfs/creds.h"
#include "vkernel/vfs/users.h"

#include <stdbool.h>
#include <stdlib.h>

#include "platform/heap.h"
#include "vkernel/sched/sched.h"

enum { BUCKETS = 64 };

struct user {
    struct user *next; /* of its bucket */
    uint32_t uid;
    uint64_t counts[USER_COUNTS];
};

static struct user *buckets[BUCKETS];

static uint32_t
current_uid(void)
{
    return current_creds()->uid;
}

static struct user *
find(uint32_t uid)
{
    struct user *u = buckets[uid % BUCKETS];

    while (u && u->uid != uid)
        u = u->next;
    return u;
}

OBJECT_POOL(user);

static struct user *
find_or_add(uint32_t uid)
{
    struct user *u = find(uid);

    if (u || !(u = OBJECT_NEW(user)))
        return u;
    u->uid = uid;
    u->next = buckets[uid % BUCKETS];
    buckets[uid % BUCKETS] = u;
    return u;
}

static void
free_unused(struct user *u)
{
    struct user **p = &buckets[u->uid % BUCKETS];

    for (int k = 0; k < USER_COUNTS; k++)
        if (u->counts[k])
            return;
    while (*p != u)
        p = &(*p)->next;
    *p = u->next;
    OBJECT_FREE(user, u);
}

struct user *
user_charge_uid(uint32_t uid, enum user_count what, uint64_t n, uint64_t limit)
{
    struct user *u = find_or_add(uid);
    uint64_t sum;

    if (!u)
        return NULL;
    if (__builtin_add_overflow(u->counts[what], n, &sum) || sum > limit) {
        free_unused(u);
        return NULL;
    }
    u->counts[what] = sum;
    return u;
}

struct user *
user_charge(enum user_count what, uint64_t n, uint64_t limit)
{
    return user_charge_uid(current_uid(), what, n, limit);
}

uint32_t
user_uid(const struct user *u)
{
    return u->uid;
}

uint64_t
user_count(const struct user *u, enum user_count what)
{
    return u->counts[what];
}

void
user_uncharge(struct user *u, enum user_count what, uint64_t n)
{
    if (!u)
        return;
    u->counts[what] -= n < u->counts[what] ? n : u->counts[what];
    free_unused(u);
}

void
user_recharge(struct user *u, enum user_count what, uint64_t from, uint64_t to)
{
    if (u)
        u->counts[what] = u->counts[what] - (from < u->counts[what] ? from : u->counts[what]) + to;
}

uint64_t
user_counted(enum user_count what)
{
    const struct user *u = find(current_uid());

    return u ? u->counts[what] : 0;
}
