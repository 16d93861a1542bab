/* Where code comes to lie (layout.h). A branch is short where its target is near, which depends on the length of the
 * branches between. So all begin short, those that do not reach become long, and that is repeated until all of them
 * reach. */
#include "direct/layout.h"

#include <string.h>

enum { SHORT = 2, JUMP_LONG = 5, CONDITION_LONG = 6, UNPLACED = UINT32_MAX, MAX_ROUNDS = 32 };

struct layout_point
layout_point(const struct layout *l)
{
    return (struct layout_point){l->code.size, l->branches.count, l->fixes.count};
}

void
layout_return(struct layout *l, struct layout_point p)
{
    l->code.size = p.code;
    l->branches.count = p.branches;
    l->fixes.count = p.fixes;
}

uint32_t
layout_position(struct layout *l)
{
    vec_push(&l->positions, ((struct position){UNPLACED, 0}));
    return (uint32_t)(l->positions.count - 1);
}

void
layout_place(struct layout *l, uint32_t position)
{
    l->positions.items[position] = (struct position){(uint32_t)l->code.size, (uint32_t)l->branches.count};
}

void
layout_branch(struct layout *l, enum branch_kind kind, unsigned condition, uint32_t target)
{
    struct branch b = {.at = (uint32_t)l->code.size,
                       .target = target,
                       .kind = (uint8_t)kind,
                       .condition = (uint8_t)condition,
                       .size = kind == BRANCH_CALL ? JUMP_LONG : SHORT};

    vec_push(&l->branches, b);
}

void
layout_align(struct layout *l, unsigned alignment)
{
    layout_branch(l, BRANCH_ALIGN, alignment, UINT32_MAX);
    l->branches.items[l->branches.count - 1].size = 0;
}

void
layout_fix(struct layout *l, size_t at, enum fix_kind kind, int64_t addend)
{
    struct fix f = {.at = (uint32_t)at,
                    .branches = (uint32_t)l->branches.count,
                    .kind = (uint8_t)kind,
                    .addend = addend};

    vec_push(&l->fixes, f);
}

static uint32_t
place_of(const struct layout *l, const struct position *p)
{
    return p->code + l->sums[p->branches];
}

uint32_t
layout_offset(const struct layout *l, uint32_t position)
{
    return place_of(l, &l->positions.items[position]);
}

uint32_t
layout_fix_offset(const struct layout *l, const struct fix *f)
{
    return f->at + l->sums[f->branches];
}

static void
add_up(struct layout *l)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < l->branches.count; i++) {
        struct branch *b = &l->branches.items[i];

        l->sums[i] = sum;
        if (b->kind == BRANCH_ALIGN)
            b->size = (uint8_t)(-(b->at + sum) & (b->condition - 1u));
        sum += b->size;
    }
    l->sums[l->branches.count] = sum;
}

static int64_t
distance(const struct layout *l, size_t branch)
{
    const struct branch *b = &l->branches.items[branch];

    return (int64_t)layout_offset(l, b->target) - (int64_t)(b->at + l->sums[branch] + b->size);
}

/* Makes long those branches that do not reach, or all. Branches never become short again, so that repeating this
 * ends. */
static bool
grow(struct layout *l, bool all)
{
    bool changed = false;

    for (size_t i = 0; i < l->branches.count; i++) {
        struct branch *b = &l->branches.items[i];
        int64_t d;

        if (b->kind > BRANCH_CONDITION || b->size != SHORT)
            continue;
        d = distance(l, i);
        if (all || d < INT8_MIN || d > INT8_MAX) {
            b->size = b->kind == BRANCH_JUMP ? JUMP_LONG : CONDITION_LONG;
            changed = true;
        }
    }
    return changed;
}

static void
put_branch(const struct layout *l, size_t index, struct buf *out)
{
    const struct branch *b = &l->branches.items[index];
    int64_t d;

    if (b->kind == BRANCH_ALIGN) {
        for (unsigned i = 0; i < b->size; i++)
            buf_put_u8(out, 0xcc);
        return;
    }
    d = distance(l, index);
    if (b->kind == BRANCH_CALL) {
        buf_put_u8(out, 0xe8);
    } else if (b->size == SHORT) {
        buf_put_u8(out, (uint8_t)(b->kind == BRANCH_SHORT_ONLY ? b->condition
                                  : b->kind == BRANCH_JUMP     ? 0xeb
                                                               : 0x70 | b->condition));
        buf_put_u8(out, (uint8_t)d);
        return;
    } else if (b->kind == BRANCH_JUMP) {
        buf_put_u8(out, 0xe9);
    } else {
        buf_put_u8(out, 0x0f);
        buf_put_u8(out, (uint8_t)(0x80 | b->condition));
    }
    buf_put_u32(out, (uint32_t)d);
}

void
layout_finish(struct layout *l, struct buf *out)
{
    size_t at = 0;
    unsigned rounds = 0;

    l->sums = mem_zalloc(l->branches.count + 1, sizeof *l->sums);
    /* Compilers' code needs a few rounds. Other code can be such that each round makes a single branch long, which
     * makes one other branch not reach. That would take too long, so that after some rounds all become long. */
    do
        add_up(l);
    while (grow(l, ++rounds >= MAX_ROUNDS));
    for (size_t i = 0; i < l->branches.count; i++) {
        buf_put(out, l->code.data + at, l->branches.items[i].at - at);
        at = l->branches.items[i].at;
        put_branch(l, i, out);
    }
    buf_put(out, l->code.data + at, l->code.size - at);
}

void
layout_fini(struct layout *l)
{
    buf_fini(&l->code);
    vec_fini(&l->branches);
    vec_fini(&l->positions);
    vec_fini(&l->fixes);
    mem_free(l->sums);
}
