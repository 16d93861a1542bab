/* What another processor could do while the vkernel copies from and to the guest's memory, or a program of the host on
 * a file that is mapped: in one program in four (by its seed) the bytes that a system call has just read become others
 * until it ends, and pages are gone for as long as a copy lasts. So a value that is checked and read again is another
 * the second time, and every copy ends early somewhere.
 *
 * It also notes which bytes one call reads twice, and where (fuzz_syscalls --fetches): most of these are two arguments
 * that overlap. */
#include "fuzz/syscalls/races.h"

#include <string.h>
#include <sys/mman.h>

#include "platform/platform.h"
#include "platform/sanitizer.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"
#include "x86/address_space.h"

enum { CALLS = 16, MAX_READS = 48, MAX_CHANGES = 8, CHANGE_ONE_IN = 4, GONE_ONE_IN = 24 };

/* A system call under way; its task is never followed, only compared. */
struct call {
    const struct task *task;
    const struct mm *mm;
    int64_t number;
    unsigned reads, changes;
    struct {
        uint64_t start, end, places[FETCH_PLACES];
    } read[MAX_READS];
    struct {
        uint64_t at, was, is;
    } change[MAX_CHANGES];
};

static struct call calls[CALLS];
static struct fuzz_shared *shared;
static uint64_t random_state;
static bool in_string;

size_t __real_platform_copy(void *to, const void *from, size_t size);
size_t __wrap_platform_copy(void *to, const void *from, size_t size);
size_t __real_platform_clear(void *to, size_t size);
size_t __wrap_platform_clear(void *to, size_t size);
ssize_t __real_copy_string_from_guest(char *to, guest_addr from, size_t size);
ssize_t __wrap_copy_string_from_guest(char *to, guest_addr from, size_t size);

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

void
races_start(struct fuzz_shared *s)
{
    shared = s;
    random_state = s->program.seed * 0x9e3779b97f4a7c15u | 1;
}

static bool
races(void)
{
    return shared->program.seed % 4 == 1 && !shared->plain;
}

static struct call *
call_of(const struct task *t)
{
    for (unsigned i = 0; i < CALLS; i++)
        if (calls[i].task == t)
            return &calls[i];
    return NULL;
}

void
races_call_begins(int64_t number)
{
    static unsigned next;
    struct call *c;

    if (!shared)
        return;
    c = call_of(current_task());
    if (!c)
        c = &calls[next++ % CALLS];
    c->task = current_task();
    c->mm = current_process()->mm;
    c->number = number;
    c->reads = c->changes = 0;
}

/* What was changed is as it was, unless somebody wrote there since: a program goes on as it was meant. */
void
races_call_ends(void)
{
    struct call *c = shared ? call_of(current_task()) : NULL;
    const struct mm *mm = current_process()->mm;
    uint64_t now;

    if (!c)
        return;
    while (mm && c->mm == mm && c->changes) {
        uint8_t *at = mm->space.base + c->change[--c->changes].at;

        if (__real_platform_copy(&now, at, sizeof now) == sizeof now && now == c->change[c->changes].is)
            __real_platform_copy(at, &c->change[c->changes].was, sizeof now);
    }
    c->task = NULL;
}

/* --- bytes read twice --- */

static void
note_twice(const struct call *c, const uint64_t *first, const uint64_t *second)
{
    for (unsigned i = 0; i < FETCHES; i++) {
        struct fetch *f = &shared->fetches[i];

        if (f->count && (f->number != c->number || memcmp(f->first, first, sizeof f->first) ||
                         memcmp(f->second, second, sizeof f->second)))
            continue;
        f->number = c->number;
        memcpy(f->first, first, sizeof f->first);
        memcpy(f->second, second, sizeof f->second);
        f->count++;
        return;
    }
}

/* The frames' return addresses: sanitized builds keep frame pointers. */
__attribute__((no_sanitize("address", "undefined"))) static void
callers(const uint64_t *frame, uint64_t places[FETCH_PLACES])
{
    for (unsigned i = 0; i < FETCH_PLACES; i++, frame = (const uint64_t *)(uintptr_t)frame[0])
        places[i] = frame[1];
}

static void
note_read(struct call *c, uint64_t start, uint64_t end, const uint64_t *places)
{
    for (unsigned i = 0; i < c->reads; i++)
        if (start < c->read[i].end && c->read[i].start < end) {
            note_twice(c, c->read[i].places, places);
            break;
        }
    if (c->reads == MAX_READS)
        return;
    c->read[c->reads].start = start;
    c->read[c->reads].end = end;
    memcpy(c->read[c->reads].places, places, sizeof c->read[0].places);
    c->reads++;
}

/* --- races --- */

static uint64_t
another(uint64_t value)
{
    switch (next_random() % 8) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return value + 1;
    case 3: return value ^ 1ull << next_random() % 64;
    case 4: return value | 0x8000000080000000u;
    case 5: return value * 2;
    case 6: return next_random() % 8192;
    default: return next_random();
    }
}

static void
change(struct call *c, uint8_t *base, uint64_t start, uint64_t size)
{
    uint64_t at = start + (size > 8 ? next_random() % (size / 8) * 8 : 0), was = 0, is;

    if (c->changes == MAX_CHANGES || __real_platform_copy(&was, base + at, sizeof was) != sizeof was)
        return;
    is = another(was);
    if (__real_platform_copy(base + at, &is, sizeof is) != sizeof is)
        return;
    c->change[c->changes].at = at;
    c->change[c->changes].was = was;
    c->change[c->changes++].is = is;
}

/* A page of the range that is away while the copy is made; NULL: none. */
static uint8_t *
take_page(struct mm *mm, uint64_t start, uint64_t size)
{
    uint64_t pages = (start + size - 1) / PAGE_SIZE - start / PAGE_SIZE + 1;
    uint64_t at = (start / PAGE_SIZE + next_random() % pages) * PAGE_SIZE;
    const struct vma *v = mm_at(mm, at);

    if (!v || v->kind == VMA_FILE || v->code || v->stack ||
        (v->prot & (PROT_READ | PROT_WRITE)) != (PROT_READ | PROT_WRITE))
        return NULL;
    return mprotect(mm->space.base + at, PAGE_SIZE, PROT_NONE) == 0 ? mm->space.base + at : NULL;
}

/* The current task's memory that starts at a host address, when it is the guest's. */
static struct mm *
guest_memory(const void *host, size_t size, uint64_t *start)
{
    struct mm *mm = shared && size && current_task() ? current_process()->mm : NULL;

    if (!mm || (uintptr_t)host < (uintptr_t)mm->space.base || (uintptr_t)host - (uintptr_t)mm->space.base >= GUEST_END)
        return NULL;
    *start = (uint64_t)((uintptr_t)host - (uintptr_t)mm->space.base);
    return mm;
}

static uint8_t *
maybe_take_page(const void *host, size_t size)
{
    uint64_t start = 0;
    struct mm *mm = guest_memory(host, size, &start);

    return mm && races() && next_random() % GONE_ONE_IN == 0 ? take_page(mm, start, size) : NULL;
}

static void
give_back(uint8_t *page)
{
    if (page)
        mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE);
}

size_t
__wrap_platform_copy(void *to, const void *from, size_t size)
{
    uint64_t start = 0;
    struct mm *mm = guest_memory(from, size, &start);
    struct call *c = mm ? call_of(current_task()) : NULL;
    uint8_t *taken = maybe_take_page(mm ? from : to, size);
    size_t n = __real_platform_copy(to, from, size);
    uint64_t places[FETCH_PLACES];

    give_back(taken);
    if (!c || !n)
        return n;
    if (PLATFORM_SANITIZED && !in_string) {
        callers(__builtin_frame_address(0), places);
        note_read(c, start, start + n, places);
    }
    if (races() && next_random() % CHANGE_ONE_IN == 0)
        change(c, mm->space.base, start, n);
    return n;
}

/* A string is read in steps, beyond its end, which are no reads of what lies there. */
ssize_t
__wrap_copy_string_from_guest(char *to, guest_addr from, size_t size)
{
    struct call *c = shared ? call_of(current_task()) : NULL;
    uint64_t places[FETCH_PLACES];
    ssize_t n;

    in_string = true;
    n = __real_copy_string_from_guest(to, from, size);
    in_string = false;
    if (PLATFORM_SANITIZED && c && n >= 0) {
        callers(__builtin_frame_address(0), places);
        note_read(c, from, from + (uint64_t)n + 1, places);
    }
    return n;
}

size_t
__wrap_platform_clear(void *to, size_t size)
{
    uint8_t *taken = maybe_take_page(to, size);
    size_t n = __real_platform_clear(to, size);

    give_back(taken);
    return n;
}
