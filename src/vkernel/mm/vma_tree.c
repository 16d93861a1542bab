/* The mappings of an address space: a treap by address, whose nodes know the largest gap below them, and a list in the
 * same order. Everything is logarithmic in their number, which the guest chooses; priorities are random, so that it
 * does not choose the shape, and nothing recurses.
 *
 * A struct vma that is in an address space stays where it is until it is removed, and owns its references. A file's
 * inode lists those that map it, so that who changes the file finds them without looking at any others. */
#include <stdlib.h>

#include "base/checked.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/vfs/file.h"
#include "vkernel/vfs/vfs.h"
#include "vkernel/mm/cow.h"
#include "vkernel/mm/mm_internal.h"

static unsigned total; /* in all address spaces */

void
vma_refs_get(const struct vma *v)
{
    if (v->file)
        file_get(v->file);
    if (v->shm)
        shm_get(v->shm);
    mm_code_copy_get(v->code_copy);
}

void
vma_refs_put(struct vma *v)
{
    if (v->file)
        file_put(v->file);
    if (v->shm)
        shm_put(v->shm);
    mm_code_copy_put(v->code_copy);
}

/* The host's kernel has a limit for the whole process; a part of it remains for the vkernel's own needs. */
static unsigned
total_limit(void)
{
    unsigned limit = platform_mapping_limit();

    return limit - limit / 8;
}

unsigned
mm_host_mappings_left(void)
{
    unsigned limit = total_limit(), taken = total + cow_host_mappings();

    return taken < limit ? limit - taken : 0;
}

struct vma *
vma_next(const struct mm *mm, const struct vma *v)
{
    return v->link.next == &mm->vmas ? NULL : list_entry(v->link.next, struct vma, link);
}

struct vma *
vma_previous(const struct mm *mm, const struct vma *v)
{
    return v->link.prev == &mm->vmas ? NULL : list_entry(v->link.prev, struct vma, link);
}

struct vma *
mm_first(const struct mm *mm)
{
    return list_empty(&mm->vmas) ? NULL : list_entry(mm->vmas.next, struct vma, link);
}

struct vma *
mm_find(struct mm *mm, uint64_t address)
{
    struct vma *v = mm->last, *found = NULL;

    if (v && v->start <= address && address < v->end)
        return v;
    for (v = mm->root; v;) {
        if (v->end <= address) {
            v = v->right;
        } else {
            found = v;
            if (v->start <= address)
                break;
            v = v->left;
        }
    }
    if (found)
        mm->last = found;
    return found;
}

struct vma *
mm_at(struct mm *mm, uint64_t address)
{
    struct vma *v = mm_find(mm, address);

    return v && v->start <= address ? v : NULL;
}

/* --- gaps --- */

static uint64_t
largest_gap(const struct vma *v)
{
    uint64_t gap = v->gap;

    if (v->left && v->left->largest_gap > gap)
        gap = v->left->largest_gap;
    if (v->right && v->right->largest_gap > gap)
        gap = v->right->largest_gap;
    return gap;
}

static void
update_upwards(struct vma *v)
{
    for (; v; v = v->parent)
        v->largest_gap = largest_gap(v);
}

static void
update_gap(struct mm *mm, struct vma *v)
{
    const struct vma *below = vma_previous(mm, v);

    v->gap = v->start - (below ? below->end : 0);
    update_upwards(v);
}

void
mm_vma_resize(struct mm *mm, struct vma *v, uint64_t start, uint64_t end)
{
    struct vma *above = vma_next(mm, v);

    mm_changed(mm);
    v->start = start;
    v->end = end;
    update_gap(mm, v);
    if (above)
        update_gap(mm, above);
}

/* In the subtree of v, which has one: the highest with a gap of this size below it. */
static struct vma *
highest_gap_in(struct vma *v, uint64_t size)
{
    for (;;) {
        if (v->right && v->right->largest_gap >= size)
            v = v->right;
        else if (v->gap >= size)
            return v;
        else
            v = v->left;
    }
}

/* Of v and all that are lower. */
static struct vma *
highest_gap(struct vma *v, uint64_t size)
{
    while (v) {
        if (v->gap >= size)
            return v;
        if (v->left && v->left->largest_gap >= size)
            return highest_gap_in(v->left, size);
        while (v->parent && v->parent->left == v)
            v = v->parent;
        v = v->parent;
    }
    return NULL;
}

uint64_t
mm_find_gap(struct mm *mm, uint64_t bottom, uint64_t top, uint64_t size)
{
    struct vma *above = mm_find(mm, top), *below;

    if (above && above->start < top)
        top = above->start;
    below = above                   ? vma_previous(mm, above)
            : list_empty(&mm->vmas) ? NULL
                                    : list_entry(mm->vmas.prev, struct vma, link);
    if (top < size)
        return 0;
    if (!below || below->end <= top - size)
        return top - size >= bottom ? top - size : 0;
    below = highest_gap(below, size);
    return below && below->start - size >= bottom ? below->start - size : 0;
}

/* --- the tree --- */

static struct vma **
slot_of(struct mm *mm, struct vma *v)
{
    return !v->parent ? &mm->root : v->parent->left == v ? &v->parent->left : &v->parent->right;
}

/* v takes the place of its parent. */
static void
rotate_up(struct mm *mm, struct vma *v)
{
    struct vma *p = v->parent, *inner;

    *slot_of(mm, p) = v;
    v->parent = p->parent;
    p->parent = v;
    if (p->left == v) {
        inner = v->right;
        v->right = p;
        p->left = inner;
    } else {
        inner = v->left;
        v->left = p;
        p->right = inner;
    }
    if (inner)
        inner->parent = p;
    p->largest_gap = largest_gap(p);
    v->largest_gap = largest_gap(v);
}

OBJECT_POOL(vma);

/* Tells files that want to know it. */
static void
count_mapping(struct mm *mm, const struct vma *v, bool more)
{
    if (v->kind != VMA_FILE || !OPS(v->file->ops)->mapped)
        return;
    mm->counted += more ? 1 : -1u;
    OPS(v->file->ops)->mapped(v->file, more);
}

struct vma *
mm_vma_insert(struct mm *mm, const struct vma *like)
{
    struct vma *v, *above, *parent = NULL, **slot = &mm->root;

    if (mm_host_mappings_left() == 0)
        mm_drop_spares();
    if (mm_host_mappings_left() == 0)
        return NULL;
    mm_changed(mm);
    v = OBJECT_NEW(vma);
    if (!v)
        return NULL;
    *v = *like;
    vma_refs_get(v);
    v->mm = mm;
    list_init(&v->of_inode);
    if (v->kind == VMA_FILE && v->file->inode)
        list_append(&v->file->inode->mappings, &v->of_inode);
    count_mapping(mm, v, true);
    v->left = v->right = NULL;
    v->priority = platform_random_priority();
    above = mm_find(mm, v->start);
    while (*slot) {
        parent = *slot;
        slot = v->start < parent->start ? &parent->left : &parent->right;
    }
    *slot = v;
    v->parent = parent;
    list_append(above ? &above->link : &mm->vmas, &v->link); /* before it */
    update_gap(mm, v);
    if (above)
        update_gap(mm, above);
    while (v->parent && v->parent->priority < v->priority)
        rotate_up(mm, v);
    mm->count++;
    total++;
    return v;
}

static void
remove_vma(struct mm *mm, struct vma *v)
{
    struct vma *above = vma_next(mm, v), *child;

    while (v->left && v->right)
        rotate_up(mm, v->left->priority > v->right->priority ? v->left : v->right);
    child = v->left ? v->left : v->right;
    *slot_of(mm, v) = child;
    if (child)
        child->parent = v->parent;
    update_upwards(v->parent);
    list_remove(&v->link);
    list_remove(&v->of_inode);
    if (above)
        update_gap(mm, above);
    if (mm->last == v)
        mm->last = NULL;
    mm->count--;
    total--;
    count_mapping(mm, v, false);
    vma_refs_put(v);
    OBJECT_FREE(vma, v);
}

void
mm_vma_remove(struct mm *mm, struct vma *v)
{
    mm_changed(mm);
    remove_vma(mm, v);
}

void
mm_vma_remove_all(struct mm *mm)
{
    while (mm->count)
        remove_vma(mm, mm->root);
}
