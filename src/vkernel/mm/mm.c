/* Address spaces: the sorted array of mappings, and their host pages.
 *
 * Invariant: host pages of [0, 8 GiB) of the reservation are accessible exactly where a mapping says so; a page that
 * may be executed by the guest is only readable on the host, and its bytes were verified (trust/ledger.h). */
#include "vkernel/mm/mm_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "eval/eval.h"
#include "platform/platform.h"
#include "vkernel/fs/file.h"
#include "vkernel/proc/evaluated.h"
#include "vkernel/proc/process.h"
#include "vkernel/trust/artifact.h"
#include "vkernel/trust/audit.h"
#include "vkernel/trust/ledger.h"
#include "vkernel/trust/notice.h"

enum { MAX_MAPPINGS = 65530 }; /* Linux's vm.max_map_count */

static struct list all = {&all, &all}; /* struct mm */

uint64_t
mm_object_number(void)
{
    static uint64_t last;

    return ++last;
}

struct shm *
shm_get(struct shm *s)
{
    refcount_get(&s->refs);
    return s;
}

void
shm_put(struct shm *s)
{
    if (!s || !refcount_put(&s->refs))
        return;
    platform_close(s->fd);
    free(s);
}

static struct shm *
shm_new(uint64_t size)
{
    struct shm *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    refcount_init(&s->refs);
    s->number = mm_object_number();
    s->size = size;
    s->fd = platform_memory_object(size);
    if (s->fd < 0) {
        free(s);
        return NULL;
    }
    return s;
}

int
mm_host_prot(int prot)
{
    if (prot & PROT_WRITE)
        return PROT_READ | PROT_WRITE;
    return prot & (PROT_READ | PROT_EXEC) ? PROT_READ : PROT_NONE;
}

void
vma_refs_get(struct vma *v)
{
    if (v->file)
        file_get(v->file);
    if (v->shm)
        shm_get(v->shm);
}

void
vma_refs_put(struct vma *v)
{
    if (v->file)
        file_put(v->file);
    if (v->shm)
        shm_put(v->shm);
}

unsigned
mm_index(struct mm *mm, uint64_t address)
{
    unsigned low = 0, high = mm->count;

    if (mm->last < mm->count && mm->vma[mm->last].start <= address && address < mm->vma[mm->last].end)
        return mm->last;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (mm->vma[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < mm->count)
        mm->last = low;
    return low;
}

struct vma *
mm_find(struct mm *mm, uint64_t address)
{
    unsigned i = mm_index(mm, address);

    return i < mm->count ? &mm->vma[i] : NULL;
}

bool
mm_vma_insert(struct mm *mm, unsigned i, const struct vma *v)
{
    if (mm->count == mm->capacity) {
        unsigned capacity = mm->capacity ? mm->capacity * 2 : 64;
        struct vma *p;

        if (capacity > 2 * MAX_MAPPINGS)
            return false;
        p = realloc(mm->vma, capacity * sizeof *p);
        if (!p)
            return false;
        mm->vma = p;
        mm->capacity = capacity;
    }
    memmove(&mm->vma[i + 1], &mm->vma[i], (mm->count - i) * sizeof *v);
    mm->vma[i] = *v;
    mm->count++;
    return true;
}

void
mm_vma_erase(struct mm *mm, unsigned from, unsigned to)
{
    memmove(&mm->vma[from], &mm->vma[to], (mm->count - to) * sizeof *mm->vma);
    mm->count -= to - from;
}

bool
mm_split(struct mm *mm, uint64_t address)
{
    unsigned i = mm_index(mm, address);
    struct vma right;

    if (i == mm->count || mm->vma[i].start >= address)
        return true;
    right = mm->vma[i];
    right.offset += address - right.start;
    right.start = address;
    if (!mm_vma_insert(mm, i + 1, &right))
        return false;
    vma_refs_get(&right);
    mm->vma[i].end = address;
    return true;
}

static bool
can_merge(const struct vma *a, const struct vma *b)
{
    return a->end == b->start && a->kind == b->kind && a->prot == b->prot && a->shared == b->shared &&
           a->file == b->file && a->shm == b->shm && a->name == b->name && a->code == b->code &&
           a->image_base == b->image_base && a->was_writable == b->was_writable &&
           a->dont_fork == b->dont_fork && a->wipe_on_fork == b->wipe_on_fork && a->stack == b->stack &&
           (a->kind == VMA_ANON || a->offset + (a->end - a->start) == b->offset);
}

void
mm_merge_around(struct mm *mm, uint64_t start, uint64_t end)
{
    unsigned i = mm_index(mm, start ? start - 1 : 0);

    while (i + 1 < mm->count && mm->vma[i].start <= end) {
        if (can_merge(&mm->vma[i], &mm->vma[i + 1])) {
            mm->vma[i].end = mm->vma[i + 1].end;
            vma_refs_put(&mm->vma[i + 1]);
            mm_vma_erase(mm, i + 1, i + 2);
        } else {
            i++;
        }
    }
}

/* --- the evaluator's blocks: the same for all that have the same code mapped --- */

struct eval *
mm_eval(struct mm *mm)
{
    if (mm->eval)
        return mm->eval;
    mm->eval_refs = malloc(sizeof *mm->eval_refs);
    mm->eval = mm->eval_refs ? eval_new() : NULL;
    if (!mm->eval) {
        free(mm->eval_refs);
        mm->eval_refs = NULL;
        return NULL;
    }
    refcount_init(mm->eval_refs);
    return mm->eval;
}

static void
eval_drop(struct mm *mm)
{
    if (mm->eval && refcount_put(mm->eval_refs)) {
        eval_free(mm->eval);
        free(mm->eval_refs);
    }
    mm->eval = NULL;
    mm->eval_refs = NULL;
}

void
mm_code_changed(struct mm *mm, uint64_t start, uint64_t end)
{
    if (!mm->eval)
        return;
    evaluated_collect(mm, start, end);
    if (!refcount_is_one(mm->eval_refs))
        eval_drop(mm); /* the others still have what is gone here */
    else
        eval_invalidate(mm->eval, start, end);
}

/* --- address spaces --- */

struct mm *
mm_new(void)
{
    struct mm *mm = calloc(1, sizeof *mm);

    if (!mm)
        return NULL;
    refcount_init(&mm->refs);
    mm->number = mm_object_number();
    list_init(&mm->code_maps);
    mm->base = platform_reserve(MM_RESERVATION);
    if (!mm->base) {
        free(mm);
        return NULL;
    }
    if (platform_map_anon(mm->base + GUEST_CODE_MAP, GUEST_CODE_MAP_END - GUEST_CODE_MAP, PROT_READ) < 0) {
        platform_release(mm->base, MM_RESERVATION);
        free(mm);
        return NULL;
    }
    mm->brk_start = mm->brk = GUEST_BRK_START;
    list_append(&all, &mm->link);
    return mm;
}

bool
mm_is_guest_memory(uint64_t host_address)
{
    LIST_EACH(p, &all) {
        if (host_address - (uint64_t)(uintptr_t)list_entry(p, struct mm, link)->base < MM_RESERVATION)
            return true;
    }
    return false;
}

struct mm *
mm_get(struct mm *mm)
{
    refcount_get(&mm->refs);
    return mm;
}

void
mm_put(struct mm *mm)
{
    if (!mm || !refcount_put(&mm->refs))
        return;
    list_remove(&mm->link);
    for (unsigned i = 0; i < mm->count; i++)
        vma_refs_put(&mm->vma[i]);
    LIST_EACH_SAFE(p, &mm->code_maps)
        free(list_entry(p, struct code_map, link));
    eval_drop(mm);
    platform_release(mm->base, MM_RESERVATION);
    free(mm->vma);
    free(mm);
}

bool
mm_in_user_range(uint64_t start, uint64_t end)
{
    if (start >= end || start < GUEST_NULL_END || end > GUEST_UNKNOWN)
        return false;
    return end <= GUEST_CODE_MAP || start >= GUEST_CODE_MAP_END;
}

bool
mm_range_free(struct mm *mm, uint64_t start, uint64_t end)
{
    unsigned i = mm_index(mm, start);

    return mm_in_user_range(start, end) && (i == mm->count || mm->vma[i].start >= end);
}

/* Would this many bytes more be above RLIMIT_AS? Those of [at, at + size) that are mapped already are replaced. */
bool
mm_over_limit(struct mm *mm, uint64_t at, uint64_t size)
{
    rlim_t limit = current_process()->rlimits[RLIMIT_AS].rlim_cur;
    uint64_t replaced = 0;

    if (limit == RLIM_INFINITY)
        return false;
    for (unsigned i = mm_index(mm, at); i < mm->count && mm->vma[i].start < at + size; i++) {
        uint64_t from = mm->vma[i].start > at ? mm->vma[i].start : at;
        uint64_t to = mm->vma[i].end < at + size ? mm->vma[i].end : at + size;

        replaced += to - from;
    }
    return mm->total_pages * MM_PAGE + size - replaced > limit;
}

/* Top down below `top`, not below `bottom`; 0: none. */
static uint64_t
find_gap(struct mm *mm, uint64_t bottom, uint64_t top, uint64_t size)
{
    unsigned i = mm_index(mm, top);

    if (i < mm->count && mm->vma[i].start < top)
        top = mm->vma[i].start;
    for (;;) {
        uint64_t below = i ? mm->vma[i - 1].end : 0;

        if (below < bottom)
            below = bottom;
        if (top >= below && top - below >= size)
            return top - size;
        if (i == 0 || below == bottom)
            return 0;
        top = mm->vma[--i].start;
        if (top < bottom)
            return 0;
    }
}

int64_t
mm_find_free(struct mm *mm, uint64_t hint, uint64_t size)
{
    uint64_t at;

    hint = PAGE_DOWN(hint);
    if (hint && hint < GUEST_END && size <= GUEST_END - hint && mm_range_free(mm, hint, hint + size))
        return (int64_t)hint;
    at = find_gap(mm, GUEST_BRK_START, GUEST_MMAP_END, size);
    /* Data may lie among the images when the upper part is full. */
    if (!at)
        at = find_gap(mm, GUEST_PIE_START, GUEST_IMAGE_END, size);
    return at ? (int64_t)at : -ENOMEM;
}

/* --- the code map --- */

int
mm_code_map_add(struct mm *mm, uint64_t at, uint64_t size, uint64_t file_offset)
{
    struct code_map *m;
    int r;

    LIST_EACH(p, &mm->code_maps) {
        m = list_entry(p, struct code_map, link);
        if (m->at == at && m->size == size && m->file_offset == file_offset)
            return 0;
    }
    m = malloc(sizeof *m);
    if (!m)
        return -ENOMEM;
    r = platform_map_file(mm->base + at, size, PROT_READ, false, artifact_host_fd(the_artifact), file_offset);
    if (r < 0) {
        free(m);
        return r;
    }
    *m = (struct code_map){.at = at, .size = size, .file_offset = file_offset};
    list_append(&mm->code_maps, &m->link);
    return 0;
}

/* Of the entry for the code at this address. */
static uint64_t
code_map_address(uint64_t code)
{
    return GUEST_CODE_MAP + code / GUEST_CODE_MAP_UNIT * sizeof(struct code_map_entry);
}

/* Is all of [start, end) mapped as this file's code, at the place that its compiled code was made for? */
static bool
code_is_mapped(struct mm *mm, const struct artifact_ledger *row, uint64_t start, uint64_t end)
{
    for (unsigned i = mm_index(mm, start); start < end; i++) {
        const struct vma *v = i < mm->count ? &mm->vma[i] : NULL;

        if (!v || v->start > start || v->code != row || v->image_base != row->base)
            return false;
        start = v->end;
    }
    return true;
}

/* Compiled code can be entered once all of the file's code is mapped; until then the evaluator runs what there is. */
static int
code_map_bind(struct mm *mm, const struct artifact_ledger *row, const struct code_extents *code)
{
    uint64_t at = code_map_address(row->code_map_from), offset = artifact_code_map_offset(the_artifact, row);

    /* From here on its native code can be entered. */
    artifact_use(the_artifact, row->native_offset, row->native_size);
    artifact_use(the_artifact, offset, row->code_map_size);

    if (row->entry_count == 0 || row->code_map_size == 0)
        return 0;
    if (!offset || offset % MM_PAGE || at % MM_PAGE || row->code_map_size % MM_PAGE || at < GUEST_CODE_MAP ||
        at > GUEST_CODE_MAP_END || row->code_map_size > GUEST_CODE_MAP_END - at)
        return -EIO;
    for (unsigned i = 0; i < code->count; i++) {
        if (!code_is_mapped(mm, row, row->base + code->low[i], row->base + code->high[i]))
            return 0;
    }
    return mm_code_map_add(mm, at, row->code_map_size, offset);
}

/* Code of [start, end) is gone: entries there must not be found any more. */
static void
code_map_unbind(struct mm *mm, uint64_t start, uint64_t end)
{
    uint64_t from = code_map_address(start), to = code_map_address(end + GUEST_CODE_MAP_UNIT - 1);

    LIST_EACH_SAFE(p, &mm->code_maps) {
        struct code_map *m = list_entry(p, struct code_map, link);

        if (m->at + m->size <= from || m->at >= to)
            continue;
        platform_map_anon(mm->base + m->at, m->size, PROT_READ);
        list_remove(&m->link);
        free(m);
    }
}

/* --- mapping --- */

uint64_t
mm_backed_end(const struct vma *v)
{
    uint64_t size;

    if (v->code)
        size = v->code->file_size;
    else if (v->kind == VMA_SHM)
        size = v->shm->size;
    else if (v->kind == VMA_FILE && v->bounded)
        size = file_mapped_size(v->file);
    else
        return v->end;
    size = PAGE_UP(size);
    if (size <= v->offset)
        return v->start;
    return size - v->offset < v->end - v->start ? v->start + (size - v->offset) : v->end;
}

/* What lies past the end of what is behind the mapping has no pages: the guest gets its SIGBUS. Cuts *end down to that. */
static int
map_none_behind(struct mm *mm, const struct vma *v, uint64_t start, uint64_t *end)
{
    uint64_t stop = mm_backed_end(v), from = stop > start ? stop : start;
    int r = 0;

    if (from < *end) {
        r = platform_map_none(mm->base + from, *end - from);
        *end = from;
    }
    return r;
}

/* Bytes of the artifact are compared with their hashes before a guest sees them. */
static int
map_source(uint8_t *at, uint64_t size, int prot, bool shared, int fd, uint64_t offset)
{
    if (fd == artifact_host_fd(the_artifact))
        artifact_use(the_artifact, offset, size);
    return platform_map_file(at, size, prot, shared, fd, offset);
}

int
mm_host_map(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int prot)
{
    uint64_t offset = v->offset + (start - v->start), host_offset;
    uint8_t *at = mm->base + start;
    bool bounded;
    int fd, r;

    if (v->code)
        return -EACCES; /* only mm_code_host_map() maps code */
    if (v->kind == VMA_ANON)
        return platform_map_anon(at, end - start, prot);
    r = map_none_behind(mm, v, start, &end);
    if (r < 0 || start == end)
        return r;
    if (v->kind == VMA_SHM)
        return platform_map_file(at, end - start, prot, true, v->shm->fd, offset);
    r = v->file->ops->mmap_source(v->file, &fd, &host_offset, &bounded);
    if (r < 0)
        return r;
    return map_source(at, end - start, prot, v->shared, fd, host_offset + offset);
}

int
mm_code_host_map(struct mm *mm, const struct vma *v, const uint8_t *bytes)
{
    uint64_t end = v->end, size;
    uint8_t *at = mm->base + v->start;
    int r = map_none_behind(mm, v, v->start, &end);

    size = end - v->start;
    if (r < 0 || size == 0)
        return r;
    if (v->code_stable)
        return map_source(at, size, PROT_READ, false, v->code_fd, v->code_host_offset + v->offset);
    if (!bytes)
        return -EACCES;
    r = platform_map_anon(at, size, PROT_READ | PROT_WRITE);
    if (r < 0)
        return r;
    /* To the end of the file, not of its last page. */
    memcpy(at, bytes, size < v->code->file_size - v->offset ? size : v->code->file_size - v->offset);
    return platform_protect(at, size, PROT_READ);
}

/* Verified code keeps the bytes that were verified. */
static void
follow_size(struct mm *mm, const struct vma *v, uint64_t old_end, uint64_t new_end)
{
    uint64_t from = old_end < new_end ? old_end : new_end, to = old_end < new_end ? new_end : old_end;
    uint64_t size = v->end - v->start;

    if (v->code)
        return;
    from = from < v->offset ? 0 : from - v->offset < size ? from - v->offset : size;
    to = to < v->offset ? 0 : to - v->offset < size ? to - v->offset : size;
    if (from == to)
        return;
    if (new_end < old_end)
        platform_map_none(mm->base + v->start + from, to - from);
    else
        mm_host_map(mm, v, v->start + from, v->start + to, mm_host_prot(v->prot));
}

static void
each_mapping_of(const struct inode *inode, void (*f)(struct mm *mm, const struct vma *v, uint64_t a, uint64_t b), uint64_t a,
                uint64_t b)
{
    LIST_EACH(p, &all) {
        struct mm *mm = list_entry(p, struct mm, link);

        for (unsigned i = 0; i < mm->count; i++) {
            const struct vma *v = &mm->vma[i];

            if (v->kind == VMA_FILE && v->file->inode == inode)
                f(mm, v, a, b);
        }
    }
}

void
mm_file_resized(const struct inode *inode, uint64_t old_size, uint64_t new_size)
{
    each_mapping_of(inode, follow_size, PAGE_UP(old_size), PAGE_UP(new_size));
}

static void
follow_bytes(struct mm *mm, const struct vma *v, uint64_t a, uint64_t b)
{
    if (!v->code && (v->shared || !v->was_writable))
        mm_host_map(mm, v, v->start, v->end, mm_host_prot(v->prot));
}

void
mm_file_moved(const struct inode *inode)
{
    each_mapping_of(inode, follow_bytes, 0, 0);
}

static void
erase_range(struct mm *mm, uint64_t start, uint64_t end)
{
    unsigned from = mm_index(mm, start), to = from;
    bool code = false;

    while (to < mm->count && mm->vma[to].start < end) {
        code |= mm->vma[to].code != NULL;
        mm->total_pages -= (mm->vma[to].end - mm->vma[to].start) / MM_PAGE;
        to++;
    }
    if (code) {
        code_map_unbind(mm, start, end);
        mm_code_changed(mm, start, end);
    }
    for (unsigned i = from; i < to; i++)
        vma_refs_put(&mm->vma[i]);
    mm_vma_erase(mm, from, to);
}

int
mm_unmap(struct mm *mm, uint64_t address, uint64_t size)
{
    uint64_t end = address + PAGE_UP(size);
    int r;

    if (address % MM_PAGE || size == 0 || size > GUEST_END || end > GUEST_END || end <= address)
        return -EINVAL;
    /* Never the code map: nothing of the guest's is there. */
    if (address < GUEST_CODE_MAP_END && end > GUEST_CODE_MAP)
        return -EINVAL;
    if (!mm_split(mm, address) || !mm_split(mm, end))
        return -ENOMEM;
    r = platform_map_none(mm->base + address, end - address);
    if (r < 0)
        return r;
    erase_range(mm, address, end);
    return 0;
}

static int
refuse_code(const char *what, const char *why)
{
    audit_refusals++;
    audit_record(AUDIT_PROCESS, "memory-refused", false, "ingot.call", what, "event.reason", why, NULL);
    notice(NOTICE_CODE, "executable memory was refused (%s: %s). Code made at run time cannot run; if this is a JIT compiler, "
           "switch it off by the program's own option", what, why);
    return -EACCES;
}

/* May these pages be executed, and with which bytes? Changes nothing. */
static int
code_verify(const struct vma *v, int prot, const char *what, struct verified *out)
{
    if (v->kind == VMA_FILE && !v->shared && !v->was_writable && !(prot & PROT_WRITE))
        return ledger_verify(v->file, what, out);
    return refuse_code(what, prot & PROT_WRITE ? "writable and executable" : "not a clean private mapping of a file");
}

/* Makes v, which need not be in mm yet, a mapping of the verified bytes. */
static int
code_install(struct mm *mm, struct vma *v, const struct verified *verified)
{
    uint64_t image_address;
    int r;

    mm_code_changed(mm, v->start, v->end);
    v->code = verified->row;
    v->image_base = ledger_image_address(&verified->code, v->offset, &image_address) ? v->start - image_address : 0;
    v->code_stable = verified->stable;
    if (verified->stable) {
        bool bounded;

        r = v->file->ops->mmap_source(v->file, &v->code_fd, &v->code_host_offset, &bounded);
        if (r < 0)
            return r;
    }
    return mm_code_host_map(mm, v, verified->stable || v->offset >= v->code->file_size ? NULL : verified->bytes + v->offset);
}

static int64_t
choose_address(struct mm *mm, uint64_t hint, uint64_t size, unsigned flags, struct file *file, uint64_t offset)
{
    const struct artifact_ledger *row;

    /* ld.so's first mapping of a file covers its whole extent: there goes the base that its code was linked for. */
    if (file && offset == 0 && !(flags & MM_SHARED) && (row = ledger_hint(file)) && row->base) {
        uint64_t at = row->base + row->low;

        if (at < GUEST_IMAGE_END && size <= GUEST_IMAGE_END - at && mm_range_free(mm, at, at + size))
            return (int64_t)at;
    }
    return mm_find_free(mm, hint, size);
}

int64_t
mm_map(struct mm *mm, uint64_t address, uint64_t size, int prot, unsigned flags, struct file *file, uint64_t offset,
       const char *name)
{
    struct vma v = {0};
    struct verified verified = {0};
    bool fixed = (flags & (MM_FIXED | MM_NOREPLACE)) != 0;
    int64_t r;

    if (size == 0)
        return -EINVAL;
    if (size > GUEST_END)
        return -ENOMEM;
    size = PAGE_UP(size);
    if (fixed) {
        if (address % MM_PAGE)
            return -EINVAL;
        if (address >= GUEST_END || size > GUEST_END - address || !mm_in_user_range(address, address + size))
            return address < GUEST_NULL_END ? -EPERM : -ENOMEM;
        if ((flags & MM_NOREPLACE) && !mm_range_free(mm, address, address + size))
            return -EEXIST;
    } else {
        r = choose_address(mm, address, size, flags, file, offset);
        if (r < 0)
            return r;
        address = (uint64_t)r;
    }
    if (mm->count >= MAX_MAPPINGS || mm_over_limit(mm, address, size))
        return -ENOMEM;

    v.start = address;
    v.end = address + size;
    v.prot = prot;
    v.shared = (flags & MM_SHARED) != 0;
    v.stack = (flags & MM_STACK) != 0;
    v.was_writable = (prot & PROT_WRITE) != 0;
    v.name = name;
    v.offset = offset;
    if (file) {
        uint64_t host_offset;
        int fd;

        if (!file->ops->mmap_source)
            return -ENODEV;
        r = file->ops->mmap_source(file, &fd, &host_offset, &v.bounded);
        if (r < 0)
            return r;
        v.kind = VMA_FILE;
        v.file = file_get(file);
    } else if (v.shared) {
        v.kind = VMA_SHM;
        v.offset = 0;
        v.shm = shm_new(size);
        if (!v.shm)
            return -ENOMEM;
    }
    /* A refusal must leave what was there before: check first, replace then. */
    if (prot & PROT_EXEC) {
        r = code_verify(&v, prot, "mmap", &verified);
        if (r < 0)
            goto fail;
    }
    if (!mm_range_free(mm, address, address + size)) {
        r = mm_unmap(mm, address, size);
        if (r < 0)
            goto fail;
    }
    r = prot & PROT_EXEC ? code_install(mm, &v, &verified) : mm_host_map(mm, &v, v.start, v.end, mm_host_prot(prot));
    if (r == 0 && !mm_vma_insert(mm, mm_index(mm, v.start), &v))
        r = -ENOMEM;
    if (r < 0) {
        platform_map_none(mm->base + v.start, size);
        goto fail;
    }
    mm->total_pages += size / MM_PAGE;
    if (v.code && v.image_base == v.code->base)
        code_map_bind(mm, v.code, &verified.code); /* without it, it is evaluated */
    ledger_release(&verified);
    mm_merge_around(mm, v.start, v.end);
    if ((flags & MM_POPULATE) && (prot & PROT_WRITE) && v.kind != VMA_FILE)
        platform_populate(mm->base + address, size);
    return (int64_t)address;

fail:
    ledger_release(&verified);
    vma_refs_put(&v);
    return r;
}

static int
protect_code(struct mm *mm, struct vma *v, int prot)
{
    struct verified verified;
    struct vma code = *v; /* stays what it was when this fails */
    int r = code_verify(v, prot, "mprotect", &verified);

    if (r < 0)
        return r;
    r = code_install(mm, &code, &verified);
    if (r == 0) {
        *v = code;
        v->prot = prot;
        if (v->image_base == v->code->base)
            code_map_bind(mm, v->code, &verified.code);
    }
    ledger_release(&verified);
    return r;
}

static int
protect_one(struct mm *mm, struct vma *v, int prot)
{
    int old = v->prot, r;

    if (v->stack)
        prot &= ~PROT_EXEC;
    if ((prot & PROT_WRITE) && v->shared && v->kind == VMA_FILE &&
        ((v->file->flags & 3 /* O_ACCMODE */) != 2 || (!(old & PROT_WRITE) && file_write_sealed(v->file))))
        return -EACCES;
    if ((prot & PROT_EXEC) && !(old & PROT_EXEC))
        return protect_code(mm, v, prot);
    if ((prot & PROT_EXEC) && (prot & PROT_WRITE))
        return refuse_code("mprotect", "writable and executable");
    if (mm_host_prot(prot) != mm_host_prot(old)) {
        uint64_t end = mm_backed_end(v);

        r = platform_protect(mm->base + v->start, end - v->start, mm_host_prot(prot));
        if (r < 0)
            return r;
    }
    v->prot = prot;
    v->was_writable |= (prot & PROT_WRITE) != 0;
    if ((old & PROT_EXEC) && !(prot & PROT_EXEC)) {
        code_map_unbind(mm, v->start, v->end);
        mm_code_changed(mm, v->start, v->end);
        v->code = NULL;
        v->image_base = 0;
    }
    return 0;
}

int
mm_protect(struct mm *mm, uint64_t address, uint64_t size, int prot)
{
    uint64_t end = address + PAGE_UP(size), at = address;
    unsigned i;
    int r = 0;

    if (address % MM_PAGE)
        return -EINVAL;
    if (size == 0)
        return 0;
    if (size > GUEST_END || end > GUEST_END || end <= address)
        return -ENOMEM;
    if (!mm_split(mm, address) || !mm_split(mm, end))
        return -ENOMEM;
    for (i = mm_index(mm, address); at < end && r == 0; i++) {
        if (i == mm->count || mm->vma[i].start > at) {
            r = -ENOMEM;
            break;
        }
        at = mm->vma[i].end;
        if (mm->vma[i].prot != prot)
            r = protect_one(mm, &mm->vma[i], prot);
    }
    mm_merge_around(mm, address, end);
    return r;
}
