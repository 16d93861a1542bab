/* The builder: operations are simplified (fold.c), shared with equal ones of the same block, and reads of
 * CPU state are forwarded from what the block knows the state to hold. */
#include "ir/ir.h"

#include <string.h>

#include "ir/fold.h"

/* Open addressing; an entry counts only in the block (generation) that made it. */
struct cse_entry {
    uint32_t generation;
    uint32_t memory; /* the memory epoch a load belongs to; 0 for the rest */
    ir_value value;
};

struct ir_cse {
    struct cse_entry *entries;
    uint32_t mask, used;
    uint32_t generation;
    uint32_t memory; /* counts what accessed memory in this block */
};

enum { CSE_MIN = 1024 };

static bool
is_load(unsigned op)
{
    return (op >= IR_LOAD8U32 && op <= IR_LOADF64) || op == IR_V128_LOAD || op == IR_V128_LOAD32_ZERO ||
           op == IR_V128_LOAD64_ZERO;
}

static bool
is_store(unsigned op)
{
    return (op >= IR_STORE8 && op <= IR_STOREF64) || op == IR_V128_STORE;
}

static bool
is_division(unsigned op)
{
    return op >= IR_DIVS64 && op <= IR_REMU64;
}

static uint32_t
hash_op(const struct ir_op *op)
{
    uint64_t h = op->op | (uint64_t)op->aux << 16 | (uint64_t)op->a << 32;

    h = (h ^ op->imm) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 29 ^ op->b ^ (uint64_t)op->c << 32) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 32 ^ op->imm2) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(h >> 32);
}

static void
cse_reset(struct ir_cse *t)
{
    t->used = 0;
    t->memory = 1;
    if (++t->generation == 0) {
        memset(t->entries, 0, (t->mask + 1) * sizeof *t->entries);
        t->generation = 1;
    }
}

static void
cse_grow(struct ir_build *b)
{
    struct ir_cse *t = b->cse;
    struct cse_entry *old = t->entries;
    uint32_t old_mask = t->mask;

    t->mask = t->mask * 2 + 1;
    t->entries = mem_zalloc(t->mask + (size_t)1, sizeof *t->entries);
    for (uint32_t i = 0; i <= old_mask; i++) {
        uint32_t at;

        if (old[i].generation != t->generation)
            continue;
        at = hash_op(&b->f->ops.items[old[i].value]) & t->mask;
        while (t->entries[at].generation == t->generation)
            at = (at + 1) & t->mask;
        t->entries[at] = old[i];
    }
    mem_free(old);
}

void
ir_build_init(struct ir_build *b, struct ir_func *f)
{
    memset(b, 0, sizeof *b);
    b->f = f;
    b->cse = mem_zalloc(1, sizeof *b->cse);
    b->cse->mask = CSE_MIN - 1;
    b->cse->entries = mem_zalloc(CSE_MIN, sizeof *b->cse->entries);
}

void
ir_build_fini(struct ir_build *b)
{
    if (b->cse != NULL)
        mem_free(b->cse->entries);
    mem_free(b->cse);
    b->cse = NULL;
}

static void
forget_states(struct ir_build *b, ir_states set)
{
    for (; set != 0; set &= set - 1)
        b->state[ir_first_state(set)] = IR_NO_VALUE;
}

struct ir_block *
ir_begin_block(struct ir_build *b, uint64_t address)
{
    struct ir_block block = {.address = address, .first_op = (uint32_t)b->f->ops.count};

    vec_push(&b->f->blocks, block);
    b->block = &b->f->blocks.items[b->f->blocks.count - 1];
    forget_states(b, IR_STATES_ALL);
    cse_reset(b->cse);
    return b->block;
}

void
ir_end_block(struct ir_build *b, const struct ir_terminator *end, uint32_t size, uint32_t insn_count)
{
    b->block->op_count = (uint32_t)b->f->ops.count - b->block->first_op;
    b->block->end = *end;
    b->block->size = size;
    b->block->insn_count = insn_count;
}

static ir_value
append(struct ir_build *b, const struct ir_op *op)
{
    vec_push(&b->f->ops, *op);
    return (ir_value)b->f->ops.count - 1;
}

/* The equal operation of this block, or a new one. A load is shared only while nothing else has accessed memory: if a thread loads x, y and x again
 * and finds y changed, it must also find what was written to x before. */
ir_value
ir_emit(struct ir_build *b, const struct ir_op *op)
{
    struct ir_cse *t = b->cse;
    bool load = is_load(op->op);
    uint32_t memory = load ? t->memory : 0;
    uint32_t at;
    ir_value v;

    if (!load && !is_division(op->op) && !ir_op_is_pure(op)) {
        if (is_store(op->op) || (op->op >= IR_ATOMIC_ADD && op->op <= IR_FENCE) || op->op == IR_HELPER)
            t->memory++;
        return append(b, op);
    }
    at = hash_op(op) & t->mask;
    for (; t->entries[at].generation == t->generation; at = (at + 1) & t->mask) {
        const struct ir_op *o = &b->f->ops.items[t->entries[at].value];

        if (o->op == op->op && o->aux == op->aux && o->a == op->a && o->b == op->b && o->c == op->c &&
            o->imm == op->imm && o->imm2 == op->imm2 && t->entries[at].memory == memory)
            return t->entries[at].value;
    }
    if (load)
        memory = ++t->memory;
    v = append(b, op);
    t->entries[at] = (struct cse_entry){t->generation, memory, v};
    if (++t->used > t->mask / 2)
        cse_grow(b);
    return v;
}

static ir_value
add(struct ir_build *b, struct ir_op op)
{
    ir_value v = ir_fold(b, &op);

    return v != IR_NO_VALUE ? v : ir_emit(b, &op);
}

static struct ir_op
make(unsigned op, unsigned aux, ir_value a, ir_value bb, ir_value c, uint64_t imm, uint64_t imm2)
{
    return (struct ir_op){(uint16_t)op, (uint16_t)aux, a, bb, c, imm, imm2};
}

#define NO IR_NO_VALUE

ir_value
ir_const32(struct ir_build *b, uint32_t v)
{
    struct ir_op op = make(IR_CONST32, 0, NO, NO, NO, v, 0);

    return ir_emit(b, &op);
}

ir_value
ir_const64(struct ir_build *b, uint64_t v)
{
    struct ir_op op = make(IR_CONST64, 0, NO, NO, NO, v, 0);

    return ir_emit(b, &op);
}

ir_value
ir_constv(struct ir_build *b, uint64_t low, uint64_t high)
{
    struct ir_op op = make(IR_CONSTV, 0, NO, NO, NO, low, high);

    return ir_emit(b, &op);
}

ir_value
ir_addr(struct ir_build *b, uint64_t address)
{
    struct ir_op op = make(IR_ADDR, 0, NO, NO, NO, address, 0);

    return ir_emit(b, &op);
}

ir_value
ir_get(struct ir_build *b, enum x86_state s)
{
    struct ir_op op = make(IR_GET, s, NO, NO, NO, 0, 0);

    if (b->state[s] == NO)
        b->state[s] = append(b, &op);
    return b->state[s];
}

void
ir_set(struct ir_build *b, enum x86_state s, ir_value v)
{
    struct ir_op op = make(IR_SET, s, v, NO, NO, 0, 0);

    if (b->state[s] == v)
        return;
    append(b, &op);
    b->state[s] = v;
}

ir_value
ir_op1(struct ir_build *b, enum ir_opcode op, ir_value a)
{
    return add(b, make(op, 0, a, NO, NO, 0, 0));
}

ir_value
ir_op2(struct ir_build *b, enum ir_opcode op, ir_value a, ir_value bb)
{
    return add(b, make(op, 0, a, bb, NO, 0, 0));
}

ir_value
ir_op3(struct ir_build *b, enum ir_opcode op, ir_value a, ir_value bb, ir_value c)
{
    return add(b, make(op, 0, a, bb, c, 0, 0));
}

ir_value
ir_op_aux(struct ir_build *b, enum ir_opcode op, uint16_t aux, ir_value a, ir_value bb, ir_value c)
{
    return add(b, make(op, aux, a, bb, c, 0, 0));
}

ir_value
ir_shuffle(struct ir_build *b, ir_value a, ir_value bb, const uint8_t lanes[16])
{
    uint64_t low, high;

    memcpy(&low, lanes, 8);
    memcpy(&high, lanes + 8, 8);
    return add(b, make(IR_I8X16_SHUFFLE, 0, a, bb, NO, low, high));
}

ir_value
ir_load(struct ir_build *b, enum ir_opcode op, ir_value address, uint32_t offset)
{
    return add(b, make(op, 0, address, NO, NO, offset, 0));
}

ir_value
ir_load_vector(struct ir_build *b, ir_value address, uint32_t offset, bool aligned)
{
    return add(b, make(IR_V128_LOAD, aligned ? 16 : 0, address, NO, NO, offset, 0));
}

void
ir_store_vector(struct ir_build *b, ir_value address, uint32_t offset, bool aligned, ir_value v)
{
    add(b, make(IR_V128_STORE, aligned ? 16 : 0, address, v, NO, offset, 0));
}

void
ir_store(struct ir_build *b, enum ir_opcode op, ir_value address, uint32_t offset, ir_value v)
{
    add(b, make(op, 0, address, v, NO, offset, 0));
}

ir_value
ir_helper(struct ir_build *b, enum ir_helper h, ir_value a, ir_value bb, ir_value c)
{
    struct ir_op op = make(IR_HELPER, h, a, bb, c, 0, 0);
    ir_value v = ir_emit(b, &op);

    forget_states(b, ir_helper_writes(h));
    if (ir_helper_infos[h].flags & IR_HELPER_ROUNDING)
        cse_reset(b->cse);
    return v;
}

const struct ir_op *
ir_def(const struct ir_build *b, ir_value v)
{
    return &b->f->ops.items[v];
}

bool
ir_is_const(const struct ir_build *b, ir_value v, uint64_t *out)
{
    const struct ir_op *op;

    if (v == NO)
        return false;
    op = &b->f->ops.items[v];
    if (op->op != IR_CONST32 && op->op != IR_CONST64)
        return false;
    *out = op->imm;
    return true;
}
