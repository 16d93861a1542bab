/* Changes programs. A group, the operations of one call, stays together in most changes. */
#include "fuzz/syscalls/generate.h"

#include <string.h>

void
remove_range(struct program *p, unsigned at, unsigned count)
{
    memmove(&p->ops[at], &p->ops[at + count], (p->count - at - count) * sizeof *p->ops);
    p->count -= count;
}

static unsigned
group_end(const struct program *p, unsigned at)
{
    unsigned end = at;

    while (end < p->count && p->ops[end].group == p->ops[at].group)
        end++;
    return end;
}

/* The first operation of a random group. */
static unsigned
group_start(const struct program *p)
{
    unsigned at = random_below(p->count);

    while (at > 0 && p->ops[at - 1].group == p->ops[at].group)
        at--;
    return at;
}

static void
insert_ops(struct program *p, unsigned at, const struct program_op *ops, unsigned count, unsigned lane)
{
    uint32_t group = ++p->groups;

    if (p->count + count > PROGRAM_OPS)
        return;
    memmove(&p->ops[at + count], &p->ops[at], (p->count - at) * sizeof *p->ops);
    memcpy(&p->ops[at], ops, count * sizeof *ops);
    p->count += count;
    for (unsigned i = at; i < at + count; i++) {
        p->ops[i].group = group;
        p->ops[i].lane = (uint8_t)lane;
        p->ops[i].target = (uint8_t)(lane + 1);
    }
}

static void
splice(struct program *p, const struct program *other)
{
    unsigned from, end, at = random_below(p->count + 1);

    if (!other || other->count == 0)
        return;
    from = group_start(other);
    end = from;
    for (unsigned n = 1 + random_below(6); n && end < other->count; n--)
        end = group_end(other, end);
    while (end - from > 200)
        end--;
    insert_ops(p, at, &other->ops[from], end - from, other->ops[from].lane);
}

static void
duplicate(struct program *p)
{
    static struct program_op ops[PROGRAM_OPS];
    unsigned at = group_start(p), count = group_end(p, at) - at;

    memcpy(ops, &p->ops[at], count * sizeof *ops);
    insert_ops(p, one_in(2) ? at : random_below(p->count + 1), ops, count,
               one_in(2) ? ops[0].lane : random_below(PROGRAM_LANES));
}

static void
move_to_lane(struct program *p)
{
    unsigned at = group_start(p), lane = random_below(PROGRAM_LANES);

    for (unsigned i = at, end = group_end(p, at); i < end; i++) {
        p->ops[i].lane = (uint8_t)lane;
        p->ops[i].target = (uint8_t)(lane + 1);
    }
}

static void
add_loop(struct program *p)
{
    unsigned at = group_start(p), end = group_end(p, at);
    struct program_op loop = {.kind = OP_LOOP,
                              .slot = PROGRAM_SLOTS,
                              .size = (uint8_t)(end - at < 250 ? end - at : 250),
                              .number = one_in(20) ? random_below(1000) : random_below(8)};

    insert_ops(p, end, &loop, 1, p->ops[at].lane);
}

static void
change(struct program *p, const struct program *other)
{
    switch (p->count ? random_below(16) : 0) {
    case 0:
    case 1:
    case 2:
    case 3: generate_call(p, random_below(p->count + 1), p->count ? p->ops[random_below(p->count)].lane : 0); break;
    case 4:
    case 5:
    case 6:
    case 7: regenerate_argument(p, &p->ops[random_below(p->count)]); break;
    case 8: {
        unsigned at = group_start(p);

        remove_range(p, at, group_end(p, at) - at);
        break;
    }
    case 9:
    case 10: splice(p, other); break;
    case 11:
    case 12: duplicate(p); break;
    case 13: move_to_lane(p); break;
    case 14: add_loop(p); break;
    default:
        p->seed = random_u64();
        if (one_in(4))
            p->flags ^= PROGRAM_EVAL_UNKNOWN;
        break;
    }
}

void
mutate(struct program *p, const struct program *other)
{
    for (unsigned n = 1 + random_below(5); n; n--)
        change(p, other);
}
