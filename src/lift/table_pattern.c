/* Recognises jump tables in IR: the value jumped to is a load from constant + index * size, plus a constant
 * for 4-byte relative entries (the shapes gcc and clang emit). */
#include "lift/lift_internal.h"

enum { MAX_DEPTH = 6 };

static const struct ir_op *
def(const struct ir_func *f, ir_value v)
{
    return &f->ops.items[v];
}

static bool
is_const(const struct ir_func *f, ir_value v, uint64_t *out)
{
    const struct ir_op *op = def(f, v);

    if (op->op != IR_CONST32 && op->op != IR_CONST64)
        return false;
    *out = op->imm;
    return true;
}

/* The largest value v can have; UINT64_MAX when nothing is known. */
static uint64_t
max_value(const struct ir_func *f, ir_value v, unsigned depth)
{
    const struct ir_op *op = def(f, v);
    uint64_t x, y;

    switch (op->op) {
    case IR_CONST32: case IR_CONST64: return op->imm;
    case IR_LOAD8U32: case IR_LOAD8U64: return UINT8_MAX;
    case IR_LOAD16U32: case IR_LOAD16U64: return UINT16_MAX;
    case IR_LOAD32U64: return UINT32_MAX;
    default: break;
    }
    if (depth == 0)
        return UINT64_MAX;
    switch (op->op) {
    case IR_AND32: case IR_AND64:
        x = max_value(f, op->a, depth - 1);
        y = max_value(f, op->b, depth - 1);
        return x < y ? x : y;
    case IR_EXTU:
        x = max_value(f, op->a, depth - 1);
        return x < UINT32_MAX ? x : UINT32_MAX;
    case IR_WRAP:
        x = max_value(f, op->a, depth - 1);
        return x <= UINT32_MAX ? x : UINT64_MAX;
    case IR_SHRU32: case IR_SHRU64:
        x = max_value(f, op->a, depth - 1);
        if (op->op == IR_SHRU32 && x > UINT32_MAX)
            x = UINT32_MAX;
        if (is_const(f, op->b, &y))
            return x >> (y & (op->op == IR_SHRU32 ? 31 : 63));
        return x;
    default:
        return UINT64_MAX;
    }
}

/* A sum taken apart: constants, and at most one other term. */
struct sum {
    uint64_t constant;
    bool image; /* one of the constants is an ADDR */
    ir_value term;
    bool bad;
};

static void
take_apart(const struct ir_func *f, ir_value v, unsigned depth, struct sum *s)
{
    const struct ir_op *op = def(f, v);

    if (op->op == IR_CONST64) {
        s->constant += op->imm;
    } else if (op->op == IR_ADDR) {
        s->bad |= s->image;
        s->image = true;
        s->constant += op->imm;
    } else if (op->op == IR_ADD64 && depth > 0) {
        take_apart(f, op->a, depth - 1, s);
        take_apart(f, op->b, depth - 1, s);
    } else if (s->term == IR_NO_VALUE) {
        s->term = v;
    } else {
        s->bad = true;
    }
}

/* address: the i32 operand of a load with static offset. */
static bool
match_address(const struct ir_func *f, const struct ir_op *load, unsigned shift, struct lift_table_pattern *out)
{
    const struct ir_op *op = def(f, load->a);
    struct sum s = {.term = IR_NO_VALUE, .constant = load->imm};
    uint64_t c, max;

    if (op->op != IR_WRAP)
        return false;
    take_apart(f, op->a, MAX_DEPTH, &s);
    if (s.bad || s.term == IR_NO_VALUE || s.constant == 0)
        return false;
    op = def(f, s.term);
    if (op->op != IR_SHL64 || !is_const(f, op->b, &c) || c != shift)
        return false;
    out->table_address = s.constant;
    out->index = op->a;
    max = max_value(f, op->a, MAX_DEPTH);
    out->max_index = max <= UINT16_MAX ? (uint32_t)max : 0;
    return true;
}

/* The load behind a sign-extended 32-bit table entry, or NULL. */
static const struct ir_op *
relative_entry(const struct ir_func *f, ir_value v)
{
    const struct ir_op *op = def(f, v);

    if (op->op == IR_LOAD32S64)
        return op;
    if (op->op == IR_EXTS && def(f, op->a)->op == IR_LOAD32)
        return def(f, op->a);
    return NULL;
}

static bool
match_relative(const struct ir_func *f, ir_value entry, ir_value base, struct lift_table_pattern *out)
{
    const struct ir_op *load = relative_entry(f, entry);
    const struct ir_op *to = def(f, base);

    if (load == NULL || (to->op != IR_ADDR && to->op != IR_CONST64) || !match_address(f, load, 2, out))
        return false;
    out->relative_to = to->imm;
    out->entry_size = 4;
    return true;
}

bool
lift_match_table_value(const struct ir_func *f, ir_value v, struct lift_table_pattern *out)
{
    const struct ir_op *op;

    if (v == IR_NO_VALUE || v >= f->ops.count)
        return false;
    op = def(f, v);
    *out = (struct lift_table_pattern){.index = IR_NO_VALUE};
    if (op->op == IR_LOAD64) {
        out->entry_size = 8;
        return match_address(f, op, 3, out);
    }
    if (op->op == IR_ADD64)
        return match_relative(f, op->a, op->b, out) || match_relative(f, op->b, op->a, out);
    return false;
}

bool
lift_match_jump_table(const struct ir_func *f, const struct ir_block *b, struct lift_table_pattern *out)
{
    return b->end.kind == IR_T_JUMP_INDIRECT && lift_match_table_value(f, b->end.value, out);
}
