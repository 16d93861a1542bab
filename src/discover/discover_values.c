/* The data flow that discover_values.h describes: an evaluation of IR with values of which not everything is known.
 * Blocks are run again until the states at their starts no longer change; MAX_VISITS ends that where it takes too
 * long. */
#include "discover/discover_values.h"

#include <string.h>

#include "ir/block_map.h"

enum { GPR_COUNT = 16, MAX_SLOTS = 96, MAX_VISITS = 24, REFINE_DEPTH = 6 };

struct slot {
    int64_t offset; /* what is to be added to the rsp of the function's entry */
    struct value value;
};

struct state {
    struct value gpr[GPR_COUNT];
    uint32_t slot_count;
    struct slot *slots; /* in no order; those of which nothing is known are left out */
};

struct flow {
    const struct ir_func *f;
    struct ir_block_map map;
    struct arena arena;
    struct state *in;         /* for each block, the state at its start, joined over the paths that lead to it */
    uint8_t *visits;          /* for each block, how often it was run */
    bool *queued;             /* for each block: it is in the queue */
    VEC(uint32_t) queue;      /* blocks whose state changed since they were run */
    VEC(struct value) values; /* of the operations of the block being run, from its first one on */
    struct state now;         /* while a block is run, the state before its next operation */
    struct state after_calls; /* behind calls, joined over all of them; valid with any_call */
    bool any_call;
    const uint64_t *others;
    size_t other_count;
};

static const struct value any = {.kind = VALUE_ANY};

static struct value
constant(uint64_t c)
{
    return (struct value){.kind = VALUE_CONST, .base = c};
}

static struct value
number(unsigned bits, uint64_t max)
{
    if (max >= VALUE_NO_MAX)
        return any;
    return (struct value){.kind = VALUE_NUMBER, .bits = (uint8_t)bits, .max = (uint32_t)max};
}

static bool
equal(const struct value *a, const struct value *b)
{
    return a->kind == b->kind && a->bits == b->bits && a->size == b->size && a->scale == b->scale && a->max == b->max &&
           a->base == b->base && a->relative == b->relative && a->likely == b->likely;
}

static bool
is_constant(const struct value *v)
{
    return v->kind == VALUE_CONST && !v->likely;
}

/* The bound of a value when all 64 bits of it are used, or VALUE_NO_MAX. */
static uint32_t
bound(const struct value *v)
{
    if (v->kind == VALUE_NUMBER) /* The guest's compiler uses all bits only where it knows that those above are 0. */
        return v->max;
    if (is_constant(v) && v->base < VALUE_NO_MAX)
        return (uint32_t)v->base;
    return VALUE_NO_MAX;
}

static bool
may_be_address(const struct value *v)
{
    return v->kind == VALUE_CONST && v->base >= 4096 && v->base < UINT32_MAX;
}

/* What is known of a value that is a on one path and b on another one. struct value says what is likely. */
static struct value
join(const struct value *a, const struct value *b)
{
    struct value v = *a;

    if (equal(a, b))
        return v;
    if (may_be_address(a) || may_be_address(b)) {
        v = may_be_address(a) ? *a : *b;
        v.likely = true;
        return v;
    }
    if (a->kind == VALUE_STACK || b->kind == VALUE_STACK) {
        v = a->kind == VALUE_STACK ? *a : *b;
        v.likely = true;
        return v;
    }
    if (a->kind == b->kind && a->scale == b->scale && a->size == b->size && a->base == b->base &&
        a->relative == b->relative && a->kind != VALUE_CONST) {
        v.max = a->max > b->max ? a->max : b->max;
        v.bits = a->bits < b->bits ? a->bits : b->bits;
        v.likely |= b->likely;
        return v;
    }
    /* A number meets a small constant behind a clamp: x = x > 9 ? 9 : x. */
    if (bound(a) != VALUE_NO_MAX && bound(b) != VALUE_NO_MAX && (a->kind == VALUE_NUMBER || b->kind == VALUE_NUMBER))
        return number(a->kind == VALUE_NUMBER ? a->bits : b->bits, bound(a) > bound(b) ? bound(a) : bound(b));
    return any;
}

/* --- the state at one point --- */

static struct slot *
find_slot(struct state *s, int64_t offset)
{
    for (uint32_t i = 0; i < s->slot_count; i++) {
        if (s->slots[i].offset == offset)
            return &s->slots[i];
    }
    return NULL;
}

static void
set_slot(struct state *s, int64_t offset, unsigned size, struct value v)
{
    struct slot *slot = NULL;

    for (uint32_t i = s->slot_count; i-- > 0;) { /* Slots that the store overlaps are lost. */
        if (s->slots[i].offset < offset + (int64_t)size && offset < s->slots[i].offset + 8)
            s->slots[i] = s->slots[--s->slot_count];
    }
    if (v.kind == VALUE_ANY || s->slot_count == MAX_SLOTS)
        return;
    slot = &s->slots[s->slot_count++];
    *slot = (struct slot){offset, v};
}

static void
forget_caller_saved(struct state *s)
{
    static const uint8_t lost[] = {0, 1, 2, 6, 7, 8, 9, 10, 11};

    for (size_t i = 0; i < sizeof lost; i++)
        s->gpr[lost[i]] = any;
}

/* --- operations --- */

static struct value
add(const struct value *a, const struct value *b)
{
    struct value v = *a;

    v.likely |= b->likely;
    if (b->kind == VALUE_CONST && a->kind != VALUE_CONST) {
        switch (a->kind) {
        case VALUE_STACK:
        case VALUE_SLOT: v.base += b->base; return v;
        case VALUE_SCALED:
            v.kind = VALUE_SLOT;
            v.base = b->base;
            return v;
        case VALUE_ENTRY:
            v.kind = VALUE_TARGET;
            v.relative = b->base;
            return v;
        case VALUE_SLOT_ANY: return v;
        default: return any;
        }
    }
    if (a->kind == VALUE_CONST && b->kind == VALUE_CONST) {
        v.base += b->base;
        return v;
    }
    if (a->kind == VALUE_CONST)
        return add(b, a);
    if (a->kind == VALUE_SCALED && b->kind == VALUE_SCALED && a->max == b->max) { /* as in x * 8 + x * 16 */
        v.scale += b->scale;
        return v;
    }
    if (a->kind == VALUE_SCALED || b->kind == VALUE_SCALED) {
        v = a->kind == VALUE_SCALED ? *a : *b;
        v.kind = VALUE_SLOT_ANY;
        return v;
    }
    if (a->kind == VALUE_ENTRY_ANY || b->kind == VALUE_ENTRY_ANY) /* The entry is relative to something unknown. */
        return a->kind == VALUE_ENTRY_ANY ? *a : *b;
    if (a->kind == VALUE_ENTRY || b->kind == VALUE_ENTRY) {
        v = a->kind == VALUE_ENTRY ? *a : *b;
        v.kind = VALUE_ENTRY_ANY;
        return v;
    }
    return any;
}

static struct value
multiply(const struct value *a, uint64_t scale)
{
    struct value v = {.kind = VALUE_SCALED, .scale = (uint32_t)scale, .max = bound(a)};

    if (is_constant(a))
        return constant(a->base * scale);
    if (scale == 1)
        return *a;
    if (a->kind == VALUE_SCALED && scale < 256 && a->scale < 256) {
        v.scale = (uint32_t)(a->scale * scale);
        v.max = a->max;
    }
    return scale > 1 && scale < 4096 ? v : any;
}

static struct value
mask(const struct value *a, uint64_t m)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(m | 1);

    if (is_constant(a))
        return constant(a->base & m);
    if (a->kind == VALUE_STACK && bits == 64) {
        struct value v = *a;

        v.base &= m; /* The function aligns its frame. Any fixed place does for that: slots need only be told apart. */
        return v;
    }
    if (a->kind == VALUE_NUMBER && a->bits >= bits && a->max < m)
        return number(64, a->max);
    return number(64, m);
}

/* What is known of `size` bytes that are loaded from address + offset, whether the load extends them with zeros or with
 * their sign. */
static struct value
load(struct flow *w, const struct value *address, uint64_t offset, unsigned size)
{
    struct value v = *address;
    struct slot *slot;

    v.base += offset;
    switch (v.kind) {
    case VALUE_STACK:
        slot = find_slot(&w->now, (int64_t)v.base);
        if (!slot)
            break;
        if (size == 8 || (size == 4 && slot->value.kind != VALUE_STACK))
            return slot->value;
        if (slot->value.kind == VALUE_NUMBER && slot->value.bits >= size * 8 && slot->value.max < 1u << (size * 8))
            return number(64, slot->value.max);
        break;
    case VALUE_SLOT:
    case VALUE_SLOT_ANY:
        if (v.scale && v.scale % size == 0 && size >= 4) {
            v.kind = v.kind == VALUE_SLOT ? VALUE_ENTRY : VALUE_ENTRY_ANY;
            v.size = (uint8_t)size;
            return v;
        }
        break;
    case VALUE_SCALED:
        /* The table lies at a fixed address, which is the displacement of the load. */
        if (offset && v.scale && v.scale % size == 0 && size >= 4) {
            v.kind = VALUE_ENTRY;
            v.size = (uint8_t)size;
            v.base = offset;
            return v;
        }
        break;
    case VALUE_CONST:
        if (size == 4) { /* This may be the entry of a table whose index is a constant. */
            v.kind = VALUE_ENTRY;
            v.size = 4;
            v.scale = 4;
            return v;
        }
        break;
    default: break;
    }
    return size < 4 ? number(64, size == 1 ? UINT8_MAX : UINT16_MAX) : any;
}

static void
store(struct flow *w, const struct value *address, uint64_t offset, unsigned size, const struct value *v)
{
    if (address->kind == VALUE_STACK)
        set_slot(&w->now, (int64_t)(address->base + offset), size, size >= 4 && v ? *v : any);
}

static struct value
binary(const struct ir_op *op, const struct value *a, const struct value *b)
{
    struct value v = *a;

    switch (op->op) {
    case IR_ADD32:
    case IR_ADD64: return add(a, b);
    case IR_SUB32:
    case IR_SUB64:
        if (is_constant(b) && (a->kind == VALUE_STACK || a->kind == VALUE_CONST)) {
            v.base -= b->base;
            return v;
        }
        return any;
    case IR_AND32:
    case IR_AND64:
        if (is_constant(b))
            return mask(a, b->base);
        return is_constant(a) ? mask(b, a->base) : any;
    case IR_SHL32:
    case IR_SHL64: return is_constant(b) && b->base < 12 ? multiply(a, UINT64_C(1) << b->base) : any;
    case IR_MUL32:
    case IR_MUL64:
        if (is_constant(b))
            return multiply(a, b->base);
        return is_constant(a) ? multiply(b, a->base) : any;
    case IR_SHRU32:
    case IR_SHRU64:
        if (!is_constant(b) || b->base > 31)
            return any;
        if (bound(a) != VALUE_NO_MAX)
            return number(64, bound(a) >> b->base);
        return op->op == IR_SHRU32 && b->base ? number(64, UINT32_MAX >> b->base) : any;
    default: return any;
    }
}

static struct value
unary(const struct ir_op *op, const struct value *a)
{
    struct value v = *a;

    switch (op->op) {
    case IR_WRAP: return v;
    case IR_EXTU:
        if (v.kind == VALUE_CONST)
            v.base = (uint32_t)v.base;
        if (v.kind == VALUE_NUMBER && v.bits >= 32)
            v.bits = 64;
        return v;
    case IR_EXTS:
    case IR_EXT32S64:
        if (v.kind == VALUE_CONST)
            v.base = (uint64_t)(int64_t)(int32_t)v.base;
        return v;
    case IR_EXT8S32:
    case IR_EXT8S64: return v.kind == VALUE_NUMBER && v.bits >= 8 && v.max <= INT8_MAX ? number(64, v.max) : any;
    case IR_EXT16S32:
    case IR_EXT16S64: return v.kind == VALUE_NUMBER && v.bits >= 16 && v.max <= INT16_MAX ? number(64, v.max) : any;
    default: return any;
    }
}

static const struct value *
value_of(const struct flow *w, const struct ir_block *b, ir_value v)
{
    return v != IR_NO_VALUE && v >= b->first_op && v - b->first_op < w->values.count ? &w->values.items[v - b->first_op]
                                                                                     : &any;
}

/* Takes operation v for a multiple of another one, such as (x << 1) + x for x * 3: sets *of to the other one and
 * returns the factor. When v is no multiple, these are v itself and 1. */
static uint64_t
factor(const struct ir_op *ops, ir_value v, int depth, ir_value *of)
{
    const struct ir_op *op = &ops[v];
    uint64_t x, y;
    ir_value other;

    if (depth > 0 && op->op == IR_SHL64 && ops[op->b].op == IR_CONST64 && ops[op->b].imm < 12)
        return factor(ops, op->a, depth - 1, of) << ops[op->b].imm;
    if (depth > 0 && op->op == IR_ADD64) {
        x = factor(ops, op->a, depth - 1, of);
        y = factor(ops, op->b, depth - 1, &other);
        if (*of == other && x + y < 4096)
            return x + y;
    }
    *of = v;
    return 1;
}

/* In bytes; 0: the operation is none of the loads that are looked at here. */
static unsigned
load_size(unsigned op)
{
    switch (op) {
    case IR_LOAD8U32:
    case IR_LOAD8U64: return 1;
    case IR_LOAD16U32:
    case IR_LOAD16U64: return 2;
    case IR_LOAD32:
    case IR_LOAD32U64:
    case IR_LOAD32S64: return 4;
    case IR_LOAD64: return 8;
    default: return 0;
    }
}

static struct value
evaluate(struct flow *w, const struct ir_block *b, const struct ir_op *op)
{
    const struct value *a = value_of(w, b, op->a), *y = value_of(w, b, op->b);
    ir_value of;
    uint64_t n;

    switch (op->op) {
    case IR_CONST32:
    case IR_CONST64:
    case IR_ADDR: return constant(op->imm);
    case IR_ADD64:
        n = factor(w->f->ops.items, (ir_value)(op - w->f->ops.items), 4, &of);
        if (n > 1)
            return multiply(value_of(w, b, of), n);
        return add(a, y);
    case IR_GET: return op->aux < GPR_COUNT ? w->now.gpr[op->aux] : any;
    case IR_SET:
        if (op->aux < GPR_COUNT)
            w->now.gpr[op->aux] = *a;
        return any;
    case IR_HELPER:
        for (unsigned i = 0; i < GPR_COUNT; i++) {
            if (ir_helper_writes(op->aux) >> i & 1)
                w->now.gpr[i] = any;
        }
        return any;
    case IR_STORE8: store(w, a, op->imm, 1, NULL); return any;
    case IR_STORE16: store(w, a, op->imm, 2, NULL); return any;
    case IR_STORE32: store(w, a, op->imm, 4, y); return any;
    case IR_STORE64: store(w, a, op->imm, 8, y); return any;
    case IR_SELECT32:
    case IR_SELECT64: return join(a, y);
    default:
        if (load_size(op->op) > 0)
            return load(w, a, op->imm, load_size(op->op));
        if (op->a == IR_NO_VALUE)
            return any;
        return op->b == IR_NO_VALUE ? unary(op, a) : binary(op, a, y);
    }
}

/* --- what a branch says about the value it compares --- */

static void
refine_value(struct value *v, unsigned bits, uint32_t max)
{
    if (is_constant(v) || v->kind == VALUE_STACK || (v->kind == VALUE_NUMBER && v->bits >= bits && v->max <= max))
        return;
    *v = number(bits, max);
}

/* Is operation a an address made with v as the index: v shifted to the left, or the sum of that and something? */
static bool
scales(const struct ir_op *ops, ir_value a, ir_value v, int depth)
{
    const struct ir_op *op = &ops[a];

    if (op->op == IR_ADD64 && depth > 0)
        return scales(ops, op->a, v, depth - 1) || scales(ops, op->b, v, depth - 1);
    return op->op == IR_SHL64 && (op->a == v || (ops[op->a].op == IR_EXTU && ops[op->a].a == v) ||
                                  (ops[v].op == IR_WRAP && ops[v].a == op->a));
}

/* On an edge of a branch, the low `bits` bits of an operation turned out not to be above max. */
struct refinement {
    const struct flow *w;
    const struct ir_block *b;
    struct state *s; /* on the edge */
    unsigned bits;
    uint32_t max;
};

/* Does the register still have what operation v made or read? */
static bool
still_has(const struct refinement *r, unsigned gpr, ir_value v)
{
    return equal(&r->s->gpr[gpr], value_of(r->w, r->b, v));
}

/* Of the slot that an operation loads or stores, `bits` bits are bounded. */
static void
refine_slot(const struct refinement *r, const struct ir_op *access, unsigned bits, unsigned size)
{
    struct value address = *value_of(r->w, r->b, access->a);
    int64_t offset = (int64_t)(address.base + access->imm);
    struct slot *slot;

    if (address.kind != VALUE_STACK)
        return;
    slot = find_slot(r->s, offset);
    if (slot)
        refine_value(&slot->value, bits, r->max);
    else
        set_slot(r->s, offset, size, number(bits, r->max));
}

/* The register that an operation sets to v, to v without its upper half, or to an address that v is the index of. */
static void
refine_set(const struct refinement *r, const struct ir_op *set, ir_value v)
{
    const struct ir_op *ops = r->w->f->ops.items;
    struct value *gpr = &r->s->gpr[set->aux];

    if ((set->a == v || (ops[set->a].op == IR_EXTU && ops[set->a].a == v)) && still_has(r, set->aux, set->a))
        refine_value(gpr, r->bits, r->max);
    if (scales(ops, set->a, v, 2) && still_has(r, set->aux, set->a) && gpr->max == VALUE_NO_MAX)
        gpr->max = r->max; /* The address was computed before the index was compared. */
}

/* The registers and slots that v was written to in this block. */
static void
refine_written(const struct refinement *r, ir_value v)
{
    for (uint32_t i = 0; i < r->b->op_count; i++) {
        const struct ir_op *op = &r->w->f->ops.items[r->b->first_op + i];

        if (op->op == IR_SET && op->aux < GPR_COUNT && op->a != IR_NO_VALUE)
            refine_set(r, op, v);
        if ((op->op == IR_STORE32 || op->op == IR_STORE64) && op->b == v)
            refine_slot(r, op, r->bits, op->op == IR_STORE32 ? 4 : 8);
    }
}

/* The register or slot that v was read from. */
static void
refine_read(const struct refinement *r, ir_value v)
{
    const struct ir_op *op = &r->w->f->ops.items[v];
    unsigned size = load_size(op->op);

    if (op->op == IR_GET && op->aux < GPR_COUNT && still_has(r, op->aux, v))
        refine_value(&r->s->gpr[op->aux], r->bits, r->max);
    if (size > 0)
        refine_slot(r, op, size * 8, size);
}

/* The operation that v has its low bits from, of which as many are bounded then. IR_NO_VALUE: there is none. */
static ir_value
source_of(const struct ir_op *ops, ir_value v, unsigned *bits)
{
    const struct ir_op *op = &ops[v];

    switch (op->op) {
    case IR_WRAP:
    case IR_EXTU: *bits = *bits < 32 ? *bits : 32; return op->a;
    case IR_AND32:
    case IR_AND64:
        if (ops[op->b].op != IR_CONST32 || (ops[op->b].imm != UINT8_MAX && ops[op->b].imm != UINT16_MAX))
            return IR_NO_VALUE;
        *bits = ops[op->b].imm == UINT8_MAX ? 8 : 16;
        return op->a;
    default: return IR_NO_VALUE;
    }
}

/* Says what is known of v also of the registers and slots that v was read from, and of those that it was written to. */
static void
refine(struct refinement r, ir_value v)
{
    for (int k = 0; k <= REFINE_DEPTH && v != IR_NO_VALUE; k++) {
        refine_written(&r, v);
        refine_read(&r, v);
        v = source_of(r.w->f->ops.items, v, &r.bits);
    }
}

/* Control takes the edge on which the comparison v is true (taken) or false. If it compares, unsigned, something with a
 * constant and says that it is below, this is a bound. */
static void
refine_edge(struct flow *w, const struct ir_block *b, struct state *s, ir_value v, bool taken)
{
    const struct ir_op *op = &w->f->ops.items[v];
    const struct value *x, *y;
    bool below, or_equal; /* On this edge a is below b (or else above it), or equal to it if or_equal. */
    ir_value smaller;
    uint64_t limit;

    while (op->op == IR_EQZ32) {
        taken = !taken;
        op = &w->f->ops.items[op->a];
    }
    switch (op->op) {
        /* clang-format off */
    case IR_LTU32: case IR_LTU64: below = true; or_equal = false; break;
    case IR_LEU32: case IR_LEU64: below = true; or_equal = true; break;
    case IR_GTU32: case IR_GTU64: below = false; or_equal = false; break;
    case IR_GEU32: case IR_GEU64: below = false; or_equal = true; break;
    default: return;
        /* clang-format on */
    }
    if (!taken) {
        below = !below;
        or_equal = !or_equal;
    }
    smaller = below ? op->a : op->b;
    x = value_of(w, b, op->a);
    y = value_of(w, b, op->b);
    if (!is_constant(below ? y : x))
        return;
    limit = (below ? y : x)->base;
    if (limit >= VALUE_NO_MAX || (limit == 0 && !or_equal))
        return;
    refine((struct refinement){.w = w,
                               .b = b,
                               .s = s,
                               .bits = ir_type_of(w->f, smaller) == IR_I64 ? 64 : 32,
                               .max = (uint32_t)(limit - !or_equal)},
           smaller);
}

/* --- the flow --- */

static void
enqueue(struct flow *w, uint32_t block)
{
    if (!w->queued[block] && w->visits[block] < MAX_VISITS) {
        w->queued[block] = true;
        vec_push(&w->queue, block);
    }
}

/* Joins s into *to, and tells whether that changed it. fresh says that *to has nothing yet. */
static bool
join_state(struct flow *w, struct state *to, const struct state *s, bool fresh)
{
    bool changed = false;
    uint32_t kept = 0;

    if (fresh) {
        *to = *s;
        to->slots = s->slot_count ? arena_copy(&w->arena, s->slots, s->slot_count * sizeof *s->slots) : NULL;
        return true;
    }
    for (int i = 0; i < GPR_COUNT; i++) {
        struct value v = join(&to->gpr[i], &s->gpr[i]);

        changed |= !equal(&v, &to->gpr[i]);
        to->gpr[i] = v;
    }
    for (uint32_t i = 0; i < to->slot_count; i++) {
        struct slot slot = to->slots[i], *other = find_slot((struct state *)s, slot.offset);

        slot.value = other ? join(&slot.value, &other->value) : any;
        changed |= !equal(&slot.value, &to->slots[i].value);
        if (slot.value.kind != VALUE_ANY)
            to->slots[kept++] = slot;
    }
    to->slot_count = kept;
    return changed;
}

static void
reach(struct flow *w, uint64_t address, const struct state *s)
{
    uint32_t block = ir_block_find(&w->map, address);
    bool fresh;

    if (block == IR_NO_BLOCK)
        return;
    fresh = w->visits[block] == 0 && !w->queued[block];
    if (join_state(w, &w->in[block], s, fresh))
        enqueue(w, block);
}

static void
leave_branch(struct flow *w, const struct ir_block *b)
{
    for (int taken = 0; taken < 2; taken++) {
        struct slot slots[MAX_SLOTS];
        struct state s = w->now;

        memcpy(slots, w->now.slots, w->now.slot_count * sizeof *slots);
        s.slots = slots;
        refine_edge(w, b, &s, b->end.value, taken);
        reach(w, taken ? b->end.target : b->end.next, &s);
    }
}

static void
leave(struct flow *w, const struct ir_block *b, uint32_t block, const struct value_jump *jumps, size_t jump_count)
{
    struct value *rsp = &w->now.gpr[X86_S_RSP];

    switch (b->end.kind) {
    case IR_T_JUMP: reach(w, b->end.target, &w->now); break;
    case IR_T_BRANCH: leave_branch(w, b); break;
    case IR_T_CALL:
    case IR_T_CALL_INDIRECT:
        forget_caller_saved(&w->now);
        if (rsp->kind == VALUE_STACK)
            rsp->base += 8; /* The callee pops the return address. */
        reach(w, b->end.next, &w->now);
        join_state(w, &w->after_calls, &w->now, !w->any_call);
        w->any_call = true;
        break;
    case IR_T_SYSCALL:
        w->now.gpr[X86_S_RAX] = w->now.gpr[X86_S_RCX] = w->now.gpr[X86_S_R11] = any;
        reach(w, b->end.next, &w->now);
        break;
    case IR_T_JUMP_INDIRECT:
        for (size_t i = 0; i < jump_count; i++) {
            for (size_t j = 0; jumps[i].block == block && j < jumps[i].target_count; j++)
                reach(w, jumps[i].targets[j], &w->now);
        }
        break;
    default: break;
    }
}

/* Evaluates the operations of a block, from the state at its start. slots is the memory for those of w->now. */
static void
run_block(struct flow *w, uint32_t block, struct slot *slots)
{
    const struct ir_block *b = &w->f->blocks.items[block];

    w->now = w->in[block];
    if (w->now.slot_count)
        memcpy(slots, w->now.slots, w->now.slot_count * sizeof *slots);
    w->now.slots = slots;
    w->values.count = 0;
    for (uint32_t i = 0; i < b->op_count; i++) {
        struct value v = evaluate(w, b, &w->f->ops.items[b->first_op + i]);

        vec_push(&w->values, v);
    }
}

static void
run(struct flow *w, const struct value_jump *jumps, size_t jump_count)
{
    struct slot slots[MAX_SLOTS];

    while (w->queue.count) {
        uint32_t block = w->queue.items[--w->queue.count];

        w->queued[block] = false;
        w->visits[block]++;
        run_block(w, block, slots);
        leave(w, &w->f->blocks.items[block], block, jumps, jump_count);
    }
}

static bool
leaves_frame(const struct value *before, const struct value *after)
{
    if (after->kind != VALUE_STACK)
        return false;
    return (after->base == 0 && !after->likely) ||
           (before->kind == VALUE_STACK && (int64_t)before->base < (int64_t)after->base);
}

/* Notes what the jumps go to that the flow has reached and that are not known yet. */
static void
take_values(struct flow *w, struct value_jump *jumps, size_t jump_count)
{
    struct slot slots[MAX_SLOTS];

    for (size_t i = 0; i < jump_count; i++) {
        const struct ir_block *b = &w->f->blocks.items[jumps[i].block];

        if (jumps[i].known || w->visits[jumps[i].block] == 0)
            continue;
        run_block(w, jumps[i].block, slots);
        jumps[i].known = true;
        jumps[i].value = *value_of(w, b, b->end.value);
        jumps[i].leaves_frame = leaves_frame(&w->in[jumps[i].block].gpr[X86_S_RSP], &w->now.gpr[X86_S_RSP]);
    }
}

/* Runs the data flow three times, from what is known best. It begins with the function's own entry. Then come landing
 * pads and other entries, whose state can only be guessed: it is taken to be as behind the calls. Last is whatever was
 * not reached, code that only unknown jumps lead to, with nothing known at its start. A jump keeps what the first run
 * that reached it says. */
static void
find(struct flow *w, struct value_jump *jumps, size_t jump_count)
{
    struct state entry = {0};

    entry.gpr[X86_S_RSP] = (struct value){.kind = VALUE_STACK};
    reach(w, w->f->address, &entry);
    run(w, jumps, jump_count);
    take_values(w, jumps, jump_count);
    for (size_t i = 0; i < w->other_count && w->any_call; i++)
        reach(w, w->others[i], &w->after_calls);
    run(w, jumps, jump_count);
    take_values(w, jumps, jump_count);
    entry.gpr[X86_S_RSP] = any;
    for (size_t i = 0; i < w->f->blocks.count; i++) {
        if (w->visits[i] == 0) {
            reach(w, w->f->blocks.items[i].address, &entry);
            run(w, jumps, jump_count);
        }
    }
    take_values(w, jumps, jump_count);
}

void
values_find(const struct ir_func *f, const uint64_t *others, size_t other_count, struct value_jump *jumps,
            size_t jump_count)
{
    struct flow w = {.f = f, .others = others, .other_count = other_count};
    size_t n = f->blocks.count;

    ir_block_map_init(&w.map, f);
    w.in = mem_zalloc(n, sizeof *w.in);
    w.visits = mem_zalloc(n, sizeof *w.visits);
    w.queued = mem_zalloc(n, sizeof *w.queued);
    find(&w, jumps, jump_count);
    ir_block_map_fini(&w.map);
    mem_free(w.in);
    mem_free(w.visits);
    mem_free(w.queued);
    vec_fini(&w.queue);
    vec_fini(&w.values);
    arena_fini(&w.arena);
}
