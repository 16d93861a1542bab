/* Executable mappings: which bytes may be executed, their host pages, the compiled code that stands for them, and the
 * evaluator's translations of them.
 *
 * Pages of code are those of the artifact or of a copy that was hashed, from mm_code_host_map() alone. They are never
 * writable at an address that a guest can name, not for a moment: its threads run while they are mapped. Nothing that
 * becomes of the file reaches them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "artifact/direct_map.h"
#include "eval/eval.h"
#include "platform/direct.h"
#include "platform/heap.h"
#include "platform/hostfs.h"
#include "platform/platform.h"
#include "vkernel/vfs/file.h"
#include "vkernel/mm/mm_internal.h"
#include "vkernel/image/artifact.h"
#include "vkernel/audit/audit.h"
#include "vkernel/trust/ledger.h"
#include "vkernel/audit/notice.h"

void
mm_place(struct mm *mm, guest_addr address, char *out, size_t size)
{
    const struct vma *v = mm_find(mm, address);

    if (v && v->start <= address && v->code)
        snprintf(out, size, "%s+%#llx", artifact_string(the_artifact, v->code->path),
                 (unsigned long long)(address - v->image_base));
    else
        snprintf(out, size, "?");
}

/* --- the evaluator's blocks: the same for all that have the same code mapped --- */

OBJECT_POOL(code_map);
OBJECT_POOL(refcount);

struct eval *
mm_eval(struct mm *mm)
{
    if (mm->eval)
        return mm->eval;
    mm->eval_refs = OBJECT_NEW(refcount);
    mm->eval = mm->eval_refs ? eval_new() : NULL;
    if (!mm->eval) {
        OBJECT_FREE(refcount, mm->eval_refs);
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
        OBJECT_FREE(refcount, mm->eval_refs);
    }
    mm->eval = NULL;
    mm->eval_refs = NULL;
}

void
mm_code_changed(struct mm *mm, uint64_t start, uint64_t end)
{
    if (!mm->eval)
        return;
    mm_hooks.code_leaves(mm, start, end);
    if (!refcount_is_one(mm->eval_refs)) {
        eval_stop_runs(mm->eval);
        eval_drop(mm); /* the others still have what is gone here */
    } else {
        eval_invalidate(mm->eval, start, end);
    }
}

/* --- the code map --- */

static int
show_code_map(struct mm *mm, const struct code_map *m)
{
    return platform_map_file(mm->space.base + m->at, m->size, PROT_READ, false, artifact_host_fd(the_artifact),
                             m->file_offset);
}

int
mm_code_map_add(struct mm *mm, const struct code_map *like)
{
    struct code_map *m;
    int r;

    LIST_EACH(p, &mm->code_maps) {
        m = list_entry(p, struct code_map, link);
        if (m->at == like->at && m->size == like->size && m->file_offset == like->file_offset)
            return 0;
    }
    m = OBJECT_NEW(code_map);
    if (!m)
        return -ENOMEM;
    r = like->breakpoints ? 0 : show_code_map(mm, like);
    if (r < 0) {
        OBJECT_FREE(code_map, m);
        return r;
    }
    *m = *like;
    list_append(&mm->code_maps, &m->link);
    /* What is there now was not there before: only a fork may have remembered something else of this generation. */
    if (mm->code_shared)
        mm_code_generation_new(mm);
    return 0;
}

void
mm_code_generation_new(struct mm *mm)
{
    static uint64_t generations;

    mm->code_generation = ++generations;
    mm->code_shared = false;
    mm_hooks.code_changed(mm);
}

/* Of the entry for the code at this address. */
static uint64_t
code_map_address(uint64_t code)
{
    return GUEST_CODE_MAP + code / GUEST_CODE_MAP_UNIT *
                                (platform_has_direct() ? sizeof(direct_code_map_entry) : sizeof(struct code_map_entry));
}

/* The map of this file's code that is in the address space; NULL: there is none. */
static struct code_map *
code_map_of(const struct mm *mm, const struct artifact_ledger *row)
{
    uint64_t at = code_map_address(row->code_map_from), offset = artifact_code_map_offset(the_artifact, row);

    LIST_EACH(p, &mm->code_maps) {
        struct code_map *m = list_entry(p, struct code_map, link);

        if (m->at == at && m->file_offset == offset)
            return m;
    }
    return NULL;
}

bool
mm_code_bound(const struct mm *mm, const struct vma *v)
{
    const struct code_map *m = v->image_base == v->code->base ? code_map_of(mm, v->code) : NULL;

    return m && m->breakpoints == 0;
}

void
mm_code_hold(struct mm *mm, const struct artifact_ledger *code)
{
    struct code_map *m = code_map_of(mm, code);

    if (!m || m->breakpoints++ > 0)
        return;
    platform_map_anon(mm->space.base + m->at, m->size, PROT_READ);
    mm_code_generation_new(mm);
}

void
mm_code_let_go(struct mm *mm, const struct artifact_ledger *code)
{
    struct code_map *m = code_map_of(mm, code);

    if (!m || m->breakpoints == 0 || --m->breakpoints > 0)
        return;
    if (show_code_map(mm, m) < 0) {
        list_remove(&m->link); /* the evaluator goes on */
        OBJECT_FREE(code_map, m);
        return;
    }
    mm_code_generation_new(mm);
    MM_EACH(v, mm)
        if (v->code == code) /* the evaluator does not ask any more between blocks that it has */
            mm_code_changed(mm, v->start, v->end);
}

/* Is all of [start, end) mapped as this file's code, at the place that its compiled code was made for? */
static bool
code_is_mapped(struct mm *mm, const struct artifact_ledger *row, uint64_t start, uint64_t end)
{
    for (const struct vma *v = mm_find(mm, start); start < end; v = vma_next(mm, v)) {
        if (!v || v->start > start || v->code != row || v->image_base != row->base)
            return false;
        start = v->end;
    }
    return true;
}

void
mm_code_map_bind(struct mm *mm, const struct vma *v, const struct verified *verified)
{
    const struct artifact_ledger *row = v->code;
    const struct code_extents *code = &verified->code;
    uint64_t at = code_map_address(row->code_map_from), offset = artifact_code_map_offset(the_artifact, row);

    if (v->image_base != row->base || (row->entry_count == 0 && !platform_has_direct()) || row->code_map_size == 0 ||
        !offset || offset % PAGE_SIZE || at % PAGE_SIZE || row->code_map_size % PAGE_SIZE || at < GUEST_CODE_MAP ||
        at > GUEST_CODE_MAP_END || row->code_map_size > GUEST_CODE_MAP_END - at)
        return;
    for (unsigned i = 0; i < code->count; i++) {
        if (!code_is_mapped(mm, row, saturating_add(row->base, code->low[i]), saturating_add(row->base, code->high[i])))
            return;
    }
    /* From here on its native code can be entered. */
    artifact_use(the_artifact, row->native_offset, row->native_size);
    artifact_use(the_artifact, offset, row->code_map_size);
    if (mm_code_map_add(mm, &(struct code_map){.at = at,
                                               .size = row->code_map_size,
                                               .file_offset = offset,
                                               .breakpoints = mm_breakpoints_in_file(mm, row)}) < 0)
        return;                                /* the evaluator goes on */
    for (unsigned i = 0; i < code->count; i++) /* the evaluator does not ask any more between blocks that it has */
        mm_code_changed(mm, saturating_add(row->base, code->low[i]), saturating_add(row->base, code->high[i]));
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
        platform_map_anon(mm->space.base + m->at, m->size, PROT_READ);
        list_remove(&m->link);
        OBJECT_FREE(code_map, m);
        mm_code_generation_new(mm);
    }
}

/* --- copies of files that are not of the base layer --- */

/* The bytes of a file as they were when they were hashed. They lie in a slot of the store that is nobody else's: they
 * are written before any mapping shows them, and never again. */
struct code_copy {
    struct list link; /* in copies */
    struct refcount refs;
    const struct artifact_ledger *row; /* what they are: files of the same bytes have one copy */
    uint64_t slot;
};
static struct list copies = {&copies, &copies}; /* the kernel lock guards it */

OBJECT_POOL(code_copy);

static bool
fill_copy(const struct code_copy *c, const uint8_t *bytes, uint64_t size)
{
    for (uint64_t at = 0, piece; at < size; at += piece) {
        piece = size - at < MEMORY_PIECE ? size - at : MEMORY_PIECE;
        if (!mm_hooks.brought_in(piece) ||
            host_pwrite(store_fd(), bytes + at, piece, store_offset(c->slot) + at) != (ssize_t)piece)
            return false;
    }
    return true;
}

/* NULL: no memory. */
static struct code_copy *
copy_of(const struct verified *v)
{
    struct code_copy *c;

    LIST_EACH(p, &copies) {
        c = list_entry(p, struct code_copy, link);
        if (c->row == v->row)
            return mm_code_copy_get(c);
    }
    c = OBJECT_NEW(code_copy);
    if (!c || store_new(&c->slot) < 0) {
        OBJECT_FREE(code_copy, c);
        return NULL;
    }
    refcount_init(&c->refs);
    c->row = v->row;
    list_append(&copies, &c->link);
    if (fill_copy(c, v->bytes, v->row->file_size))
        return c;
    mm_code_copy_put(c);
    return NULL;
}

struct code_copy *
mm_code_copy_get(struct code_copy *c)
{
    if (c)
        refcount_get(&c->refs);
    return c;
}

void
mm_code_copy_put(struct code_copy *c)
{
    if (!c || !refcount_put(&c->refs))
        return;
    list_remove(&c->link);
    store_release(c->slot, c->row->file_size);
    OBJECT_FREE(code_copy, c);
}

/* --- mappings --- */

int
mm_code_host_map(struct mm *mm, const struct vma *v)
{
    uint64_t end = v->end;
    int r = mm_map_none_behind(mm, v, v->start, &end);

    if (r < 0 || v->start == end)
        return r;
    return mm_map_source(mm->space.base + v->start, end - v->start, PROT_READ, false, v->code_fd,
                         v->code_host_offset + v->offset);
}

int
mm_code_refuse(const char *what, const char *why)
{
    audit_refusals++;
    audit_record(AUDIT_PROCESS, "memory-refused", false, "ingot.call", what, "event.reason", why, NULL);
    notice(NOTICE_CODE,
           "executable memory was refused (%s: %s). Code made at run time cannot run; if this is a JIT compiler, "
           "switch it off by the program's own option",
           what, why);
    return -EACCES;
}

static int
may_be_code(const struct vma *v, int prot, const char *what)
{
    if (v->kind == VMA_FILE && !v->shared && !v->was_writable && !(prot & PROT_WRITE))
        return 0;
    return mm_code_refuse(what,
                          prot & PROT_WRITE ? "writable and executable" : "not a clean private mapping of a file");
}

int
mm_code_verify(const struct vma *v, int prot, const char *what, struct verified *out)
{
    int r = may_be_code(v, prot, what);

    return r < 0 ? r : ledger_verify(v->file, what, out);
}

int
mm_code_install(struct mm *mm, struct vma *v, const struct verified *verified)
{
    uint64_t image_address;
    int r;

    mm_code_changed(mm, v->start, v->end);
    v->code = verified->row;
    v->image_base = ledger_image_address(&verified->code, v->offset, &image_address) ? v->start - image_address : 0;
    if (verified->stable) {
        bool bounded;

        r = OPS(v->file->ops)->mmap_source(v->file, &v->code_fd, &v->code_host_offset, &bounded);
        if (r < 0)
            return r;
    } else {
        v->code_copy = copy_of(verified);
        if (!v->code_copy)
            return -ENOMEM;
        v->code_fd = store_fd();
        v->code_host_offset = store_offset(v->code_copy->slot);
    }
    return mm_code_host_map(mm, v);
}

void
mm_code_protect_end(struct mm *mm, struct code_protect *state)
{
    if (!state->file)
        return;
    if (state->last.code)
        mm_code_map_bind(mm, &state->last, &state->verified);
    ledger_release(&state->verified);
    file_put(state->file);
    *state = (struct code_protect){0};
}

static int
verify_file_of(const struct vma *v, int prot, struct code_protect *state)
{
    int r = may_be_code(v, prot, "mprotect");

    if (r < 0 || state->file == v->file)
        return r;
    if (state->file)
        return 1;
    r = ledger_verify(v->file, "mprotect", &state->verified);
    if (r == 0)
        state->file = file_get(v->file);
    return r;
}

int
mm_code_protect(struct mm *mm, struct vma *v, int prot, struct code_protect *state)
{
    struct vma code = *v; /* stays what it was when this fails */
    int r = verify_file_of(v, prot, state);

    if (r != 0)
        return r;
    code.code_copy = NULL;
    r = mm_code_install(mm, &code, &state->verified);
    if (r == 0) {
        v->code = code.code;
        v->image_base = code.image_base;
        mm_code_copy_put(v->code_copy); /* it has one when mm_code_end() failed */
        v->code_copy = code.code_copy;
        v->code_fd = code.code_fd;
        v->code_host_offset = code.code_host_offset;
        v->prot = prot;
        if (v->image_base == v->code->base)
            state->last = *v; /* references are the file's, which the state has */
    } else {
        mm_code_copy_put(code.code_copy);
    }
    return r;
}

void
mm_code_unmapped(struct mm *mm, uint64_t start, uint64_t end)
{
    mm_breakpoints_unmapped(mm, start, end);
    code_map_unbind(mm, start, end);
    mm_code_changed(mm, start, end);
}

void
mm_code_end(struct mm *mm, struct vma *v)
{
    mm_code_unmapped(mm, v->start, v->end);
    v->code = NULL;
    v->image_base = 0;
    /* The pages are those of the file again. When that fails they stay what they are, and so does the copy. */
    if (v->code_copy && mm_host_map(mm, v, v->start, v->end, mm_host_prot(v->prot)) == 0) {
        mm_code_copy_put(v->code_copy);
        v->code_copy = NULL;
    }
}

void
mm_code_drop(struct mm *mm)
{
    mm_breakpoints_end(mm);
    LIST_EACH_SAFE(p, &mm->code_maps)
        OBJECT_FREE(code_map, list_entry(p, struct code_map, link));
    eval_drop(mm);
}
