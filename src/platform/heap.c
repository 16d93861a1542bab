/* One reserved range of addresses holds the slabs' descriptions, the objects and the bytes, in this order, with memory
 * between them that nothing may touch. A slab is a few pages of one pool, aligned to its size; what is known of its
 * slots stands in its description, never in its pages. A slab whose slots are all free gives its pages back to the
 * host, but its addresses stay its pool's. */
#include "platform/heap.h"

#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/rare.h"
#include "platform/platform.h"
#include "platform/sanitizer.h"

#if PLATFORM_SANITIZED || !HARDENING
#include <stdlib.h>

void *
pool_new(struct pool *pool)
{
    void *p = NULL;

    if (pool->alignment <= _Alignof(max_align_t))
        return calloc(1, pool->size);
    if (posix_memalign(&p, pool->alignment, pool->size) != 0)
        return NULL;
    return memset(p, 0, pool->size);
}

void
pool_free(struct pool *pool, void *p)
{
    free(p);
}

void *
array_new(size_t count, size_t size)
{
    return calloc(count ? count : 1, size ? size : 1);
}

void
array_free(void *p)
{
    free(p);
}

void *
bytes_new(size_t size)
{
    return malloc(size ? size : 1);
}

void *
bytes_resize(void *p, size_t size)
{
    return realloc(p, size ? size : 1);
}

void
bytes_free(void *p)
{
    free(p);
}
#else

enum {
    OBJECTS,
    BYTES,
    KINDS,
    UNIT = 1024,    /* slabs are some of these, a power of two */
    SLOTS_MAX = 64, /* a slab's slots are the bits of a word */
    SLOT_ALIGNMENT = 16,
    SLAB = 4 * UNIT,        /* at least, but for a pool's first: most pools have few objects */
    WAIT_MAX = 32,          /* freed slots that wait in one pool */
    WAIT_BYTES = 16 * 1024, /* they are fewer when they are larger than this together, */
    WAIT_LEAST = 4,
    WAIT_SLOT = 32 * 1024, /* and those larger than this do not wait */
    POOLS_MAX = 192,
    IDLE_BYTES = 64 * 1024,    /* free slabs of a pool that keep their pages, but for one of each */
    DISCARD_SLOT = 128 * 1024, /* such bytes go back to the host when they are freed */
    READY_STEP = 2 * 1024 * 1024,
};
#define LIMIT         ((uint64_t)64 << 30) /* of each kind; less where the host allows less */
#define LIMIT_LEAST   ((uint64_t)1 << 30)
#define LIMIT_LARGEST ((size_t)1 << 46)    /* of one allocation */
#define GAP           ((uint64_t)16 << 20) /* between kinds */

/* Each unit has one; those of a slab's other units tell only the pool and whether it is the first. */
struct slab {
    struct pool *pool;
    uint64_t free, live; /* slots to give out; slots in use. In neither: waiting */
    uint32_t next;       /* of the pool's slabs with free slots; 0: none */
    uint32_t prev : 26;
    uint32_t discarded : 1; /* its pages are not there */
    uint32_t later : 1;     /* not its pool's first: index of pool->shift */
};
_Static_assert(sizeof(struct slab) == 32 && LIMIT / UNIT <= UINT64_C(1) << 26, "numbers of slabs have 26 bits");

static struct range {
    uint8_t *start;
    struct slab *slabs;
    uint64_t used, ready; /* bytes given to slabs; bytes that may be touched */
} ranges[KINDS];
static uint64_t random_state, limit = LIMIT;
static uint32_t waiting[POOLS_MAX][WAIT_MAX] RARE, pool_count;

/* Until `end` bytes of the range may be touched, and their descriptions. */
static bool
make_ready(struct range *r, uint64_t end)
{
    uint64_t step = r->ready / 4 & ~(uint64_t)(READY_STEP - 1), to;

    to = (end + READY_STEP - 1) & ~(uint64_t)(READY_STEP - 1);
    if (step > READY_STEP && to < r->ready + step)
        to = r->ready + step;
    if (to > limit)
        to = limit;
    if (end > to || platform_protect(r->start + r->ready, to - r->ready, PROT_READ | PROT_WRITE) < 0 ||
        platform_protect((uint8_t *)r->slabs + r->ready / 32, (to - r->ready) / 32, PROT_READ | PROT_WRITE) < 0)
        return false;
    r->ready = to;
    return true;
}
_Static_assert(UNIT / sizeof(struct slab) == 32 && READY_STEP / 32 % PAGE_SIZE == 0, "whole pages of descriptions");

static bool
heap_start(void)
{
    uint64_t described, size, at = 0;
    uint8_t *p;

    do {
        described = limit / UNIT * sizeof(struct slab);
        size = KINDS * (described + GAP + limit) + GAP;
        p = platform_reserve(size);
    } while (!p && (limit /= 2) >= LIMIT_LEAST);
    if (!p)
        return false;
    platform_discard(p, size, MADV_NOHUGEPAGE);
    for (int k = 0; k < KINDS; k++, at += described + GAP)
        ranges[k].slabs = (struct slab *)(p + at);
    for (int k = 0; k < KINDS; k++, at += limit + GAP) {
        ranges[k].start = p + at;
        ranges[k].used = UNIT; /* number 0 is none */
    }
    platform_random(&random_state, sizeof random_state);
    random_state |= 1;
    return true;
}

/* --- the pool's slabs that have free slots --- */

static inline struct slab *
slab_at(const struct pool *pool, uint32_t number)
{
    return &ranges[pool->kind].slabs[number];
}

static inline uint64_t
slab_size(const struct pool *pool, const struct slab *s)
{
    return (uint64_t)UNIT << pool->shift[s->later];
}

static inline uint64_t
all_slots(const struct pool *pool, const struct slab *s)
{
    uint32_t n = (uint32_t)(slab_size(pool, s) * pool->inverse >> 32);

    return n >= SLOTS_MAX ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

static void
slab_link(struct pool *pool, uint32_t number, bool last)
{
    struct slab *s = slab_at(pool, number);

    s->prev = last ? pool->last : 0;
    s->next = last ? 0 : pool->first;
    *(s->prev ? &slab_at(pool, s->prev)->next : &pool->first) = number;
    if (s->next)
        slab_at(pool, s->next)->prev = number;
    else
        pool->last = number;
}

static void
slab_unlink(struct pool *pool, struct slab *s)
{
    *(s->prev ? &slab_at(pool, s->prev)->next : &pool->first) = s->next;
    if (s->next)
        slab_at(pool, s->next)->prev = s->prev;
    else
        pool->last = s->prev;
}

static void
pool_prepare(struct pool *pool)
{
    uint32_t alignment = pool->alignment < SLOT_ALIGNMENT ? SLOT_ALIGNMENT : pool->alignment, shift = 0, least;

    CHECK(pool_count < POOLS_MAX, "too many pools");
    pool->size = (pool->size + alignment - 1) & ~(alignment - 1);
    least = pool->size <= UNIT ? 8 : pool->size <= SLAB ? 4 : 2;
    while (((uint64_t)UNIT << shift) < (uint64_t)least * pool->size)
        shift++;
    pool->shift[0] = (uint8_t)shift;
    while (UNIT << shift < SLAB)
        shift++;
    pool->shift[1] = (uint8_t)shift;
    /* Rounded up: exact for all starts of slots, so that others are found by multiplying back. */
    pool->inverse = (uint32_t)((((uint64_t)1 << 32) + pool->size - 1) / pool->size);
    if (pool->kind == OBJECTS && pool->size <= WAIT_SLOT) {
        uint32_t waits = WAIT_BYTES / pool->size;

        pool->waits = (uint8_t)(waits > WAIT_MAX ? WAIT_MAX : waits < WAIT_LEAST ? WAIT_LEAST : waits);
        pool->waiting = waiting[pool_count++];
    }
}

static bool
slab_new(struct pool *pool)
{
    struct range *r = &ranges[pool->kind];
    bool later = pool->inverse != 0;
    uint64_t size, at;
    uint32_t number;

    if (!r->start && !heap_start())
        return false;
    if (!later)
        pool_prepare(pool);
    size = (uint64_t)UNIT << pool->shift[later];
    at = (r->used + size - 1) & ~(size - 1);
    if (at + size > r->ready && !make_ready(r, at + size))
        return false;
    r->used = at + size;
    number = (uint32_t)(at / UNIT);
    for (uint32_t k = 0; k < size / UNIT; k++) {
        r->slabs[number + k].pool = pool;
        r->slabs[number + k].later = later;
    }
    r->slabs[number].free = all_slots(pool, &r->slabs[number]);
    r->slabs[number].discarded = true;
    slab_link(pool, number, false);
    return true;
}

/* --- slots --- */

static inline unsigned
random_slot(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state * UINT64_C(0x2545f4914f6cdd1d) >> 58);
}

/* A slot's size is a multiple of 16. */
static inline bool
is_clear(const void *p, size_t size)
{
    typedef uint64_t pair __attribute__((vector_size(16), may_alias));
    const pair *words = p;
    pair any = {0};

    for (size_t k = 0; k < size / sizeof *words; k++)
        any |= words[k];
    return (any[0] | any[1]) == 0;
}

static void *
slot_new(struct pool *pool)
{
    bool untouched = false;
    struct slab *s;
    unsigned turn, slot;
    uint32_t number;
    void *p;

    if (__builtin_expect(!pool->first, 0) && !slab_new(pool))
        return NULL;
    number = pool->first;
    s = slab_at(pool, number);
    turn = random_slot();
    slot = ((unsigned)__builtin_ctzll(s->free >> turn | s->free << (-turn & 63)) + turn) & 63;
    if (!s->live && s->free == all_slots(pool, s)) {
        untouched = s->discarded;
        pool->idle -= !s->discarded;
        s->discarded = false;
    }
    s->free &= ~(UINT64_C(1) << slot);
    s->live |= UINT64_C(1) << slot;
    if (!s->free)
        slab_unlink(pool, s);
    p = ranges[pool->kind].start + (uint64_t)number * UNIT + slot * pool->size;
    if (pool->kind == OBJECTS && !untouched)
        CHECK(is_clear(p, pool->size), "a freed object was written");
    return p;
}

static void
slab_is_free(struct pool *pool, uint32_t number)
{
    struct slab *s = slab_at(pool, number);
    uint64_t size = slab_size(pool, s);

    if ((uint64_t)pool->idle * size < IDLE_BYTES || size < PAGE_SIZE ||
        platform_discard(ranges[pool->kind].start + (uint64_t)number * UNIT, size, MADV_DONTNEED) < 0) {
        pool->idle++;
        return;
    }
    s->discarded = true;
    slab_unlink(pool, s);
    slab_link(pool, number, true);
}

/* May be given out again. */
static void
slot_release(struct pool *pool, uint32_t number, unsigned slot)
{
    struct slab *s = slab_at(pool, number);

    if (!s->free)
        slab_link(pool, number, false);
    s->free |= UINT64_C(1) << slot;
    if (!s->live && s->free == all_slots(pool, s))
        slab_is_free(pool, number);
}

static void
slot_free(struct pool *pool, void *p)
{
    struct range *r = &ranges[pool->kind];
    uint64_t at = (uint64_t)(uintptr_t)p - (uint64_t)(uintptr_t)r->start;
    uint32_t number, rest;
    unsigned slot;
    struct slab *s;

    CHECK(at < r->used, "what was never allocated is freed");
    s = &r->slabs[at / UNIT];
    CHECK(s->pool == pool, "an object is freed as another type");
    number = (uint32_t)(at / UNIT) & ~((1u << pool->shift[s->later]) - 1);
    s = &r->slabs[number];
    rest = (uint32_t)(at - (uint64_t)number * UNIT);
    slot = (unsigned)((uint64_t)rest * pool->inverse >> 32);
    CHECK(slot < SLOTS_MAX && slot * pool->size == rest, "an object's inside is freed");
    CHECK(s->live >> slot & 1, "an object is freed twice");
    s->live &= ~(UINT64_C(1) << slot);
    if (pool->kind == OBJECTS)
        memset(p, 0, pool->size);
    else if (pool->size >= DISCARD_SLOT)
        platform_discard(p, pool->size, MADV_DONTNEED);
    if (pool->waits) {
        uint32_t oldest = pool->waiting[pool->wait_next];

        pool->waiting[pool->wait_next] = number << 6 | slot;
        pool->wait_next = (uint8_t)(pool->wait_next + 1 == pool->waits ? 0 : pool->wait_next + 1);
        if (!oldest)
            return;
        number = oldest >> 6;
        slot = oldest & 63;
    }
    slot_release(pool, number, slot);
}

void *
pool_new(struct pool *pool)
{
    return slot_new(pool);
}

void
pool_free(struct pool *pool, void *p)
{
    if (p)
        slot_free(pool, p);
}

/* --- by size: eight classes up to 512, then four between a size and its double --- */

enum { CLASS_STEP = 64, CLASS_STEPS = 8, CLASS_MAX = 1 << 20, CLASSES = CLASS_STEPS + 4 * 11 };

static struct pool sized[KINDS][CLASSES] HEAP_POOL = {{{0}}};

/* A class's pool is set when it is used for the first time. */
static struct pool *
class_pool(int kind, unsigned class, size_t size)
{
    struct pool *pool = &sized[kind][class];

    if (!pool->size)
        *pool =
            (struct pool){.type = kind == BYTES ? "bytes" : "array", .size = (uint32_t)size, .kind = (uint32_t)kind};
    return pool;
}

static struct pool *
pool_for(int kind, size_t size)
{
    unsigned log, quarter;

    if (size <= CLASS_STEP * CLASS_STEPS) {
        unsigned class = size ? (unsigned)((size - 1) / CLASS_STEP) : 0;

        return class_pool(kind, class, (class + 1) * CLASS_STEP);
    }
    log = 63 - (unsigned)__builtin_clzll(size - 1); /* 9 from 513 on */
    quarter = (unsigned)((size - 1) >> (log - 2)) & 3;
    return class_pool(kind, CLASS_STEPS + 4 * (log - 9) + quarter, (size_t)(5 + quarter) << (log - 2));
}

/* Its kind's range holds p. */
static struct pool *
pool_of(const struct range *r, const void *p)
{
    struct pool *pool = r->slabs[((uint64_t)(uintptr_t)p - (uint64_t)(uintptr_t)r->start) / UNIT].pool;

    CHECK(pool, "what was never allocated is freed");
    return pool;
}

static inline bool
in_range(const struct range *r, const void *p)
{
    return (uint64_t)(uintptr_t)p - (uint64_t)(uintptr_t)r->start < r->used;
}

/* Larger ones are mappings of their own, between pages that cannot be written; the first tells the size. */
struct large {
    uint64_t size, kind;
};

static void *
large_new(int kind, size_t size)
{
    struct large *l;

    if (size > LIMIT_LARGEST)
        return NULL;
    size = (size + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
    l = platform_reserve(size + 2 * PAGE_SIZE);
    if (!l)
        return NULL;
    if (platform_protect(l, size + PAGE_SIZE, PROT_READ | PROT_WRITE) == 0) {
        *l = (struct large){.size = size, .kind = (uint64_t)kind};
        if (platform_protect(l, PAGE_SIZE, PROT_READ) == 0)
            return (uint8_t *)l + PAGE_SIZE;
    }
    platform_release(l, size + 2 * PAGE_SIZE);
    return NULL;
}

static struct large *
large_of(int kind, void *p)
{
    struct large *l = (struct large *)((uint8_t *)p - PAGE_SIZE);

    CHECK((uint64_t)(uintptr_t)p % PAGE_SIZE == 0 && l->kind == (uint64_t)kind, "what was never allocated is freed");
    return l;
}

static void *
sized_new(int kind, size_t size)
{
    return size <= CLASS_MAX ? slot_new(pool_for(kind, size)) : large_new(kind, size);
}

static size_t
sized_room(int kind, void *p)
{
    return in_range(&ranges[kind], p) ? pool_of(&ranges[kind], p)->size : large_of(kind, p)->size;
}

static void
sized_free(int kind, void *p)
{
    if (!p)
        return;
    if (in_range(&ranges[kind], p)) {
        slot_free(pool_of(&ranges[kind], p), p);
    } else {
        struct large *l = large_of(kind, p);

        platform_release(l, l->size + 2 * PAGE_SIZE);
    }
}

void *
array_new(size_t count, size_t size)
{
    return __builtin_mul_overflow(count, size, &size) ? NULL : sized_new(OBJECTS, size);
}

void
array_free(void *p)
{
    sized_free(OBJECTS, p);
}

void *
bytes_new(size_t size)
{
    return sized_new(BYTES, size);
}

void *
bytes_resize(void *p, size_t size)
{
    size_t room = p ? sized_room(BYTES, p) : 0;
    void *more;

    if (p && size <= CLASS_MAX && pool_for(BYTES, size)->size == room)
        return p;
    more = bytes_new(size);
    if (more && p) {
        memcpy(more, p, size < room ? size : room);
        bytes_free(p);
    }
    return more;
}

void
bytes_free(void *p)
{
    sized_free(BYTES, p);
}
#endif

void *
array_resize(void *p, size_t old_count, size_t count, size_t size)
{
    void *more = array_new(count, size);

    if (more && p) {
        memcpy(more, p, (old_count < count ? old_count : count) * size);
        array_free(p);
    }
    return more;
}

char *
bytes_string_part(const char *s, size_t length)
{
    size_t n = strnlen(s, length);
    char *copy = bytes_new(n + 1);

    if (copy) {
        memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

char *
bytes_string(const char *s)
{
    return bytes_string_part(s, strlen(s));
}
