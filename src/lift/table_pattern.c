/* Finds the index of a known jump table in the IR of the block that jumps. The target is a load from the table's
 * address + index * size, to which a constant is added when the entries are relative. Where the block has these
 * addresses as constants, they are compared here. Where it has them in registers or in memory, they become guards,
 * which the block compares when it runs. */
#include "lift/lift_internal.h"

enum { MAX_DEPTH = 6 };

static const struct ir_op *
def(const struct ir_func *f, ir_value v)
{
    return &f->ops.items[v];
}

/* A sum that was taken apart into constants, a scaled index, and at most one other term. */
struct sum {
    const struct ir_func *f;
    unsigned shift;       /* The index is shifted to the left by so much. */
    uint64_t constant;    /* the sum of the constants */
    bool image;           /* One of them is an ADDR, so that it has the image base in it. */
    ir_value index, term; /* IR_NO_VALUE until they are found */
    bool bad;             /* It has another form than that. */
};

static void
take_apart(struct sum *s, ir_value v, unsigned depth)
{
    const struct ir_op *op = def(s->f, v);

    if (op->op == IR_CONST64) {
        s->constant += op->imm;
    } else if (op->op == IR_ADDR) {
        s->bad |= s->image;
        s->image = true;
        s->constant += op->imm;
    } else if (op->op == IR_ADD64 && depth > 0) {
        take_apart(s, op->a, depth - 1);
        take_apart(s, op->b, depth - 1);
    } else if (op->op == IR_SHL64 && s->index == IR_NO_VALUE && def(s->f, op->b)->op == IR_CONST64 &&
               def(s->f, op->b)->imm == s->shift) {
        s->index = op->a;
    } else if (s->term == IR_NO_VALUE) {
        s->term = v;
    } else {
        s->bad = true;
    }
}

static void
add_guard(struct lift_table_match *m, ir_value v, bool image, uint64_t constant)
{
    m->guards[m->guard_count].value = v;
    m->guards[m->guard_count].image = image;
    m->guards[m->guard_count++].constant = constant;
}

static bool
match_load(const struct ir_func *f, const struct ir_op *load, const struct lift_jump_table *table,
           struct lift_table_match *out)
{
    struct sum s = {.f = f,
                    .shift = table->entry_size == 8 ? 3 : 2,
                    .index = IR_NO_VALUE,
                    .term = IR_NO_VALUE,
                    .constant = load->imm};
    const struct ir_op *address = def(f, load->a);

    if (address->op != IR_WRAP)
        return false;
    take_apart(&s, address->a, MAX_DEPTH);
    if (s.bad || s.index == IR_NO_VALUE)
        return false;
    if (s.term != IR_NO_VALUE)
        add_guard(out, s.term, !s.image, table->table_address - s.constant);
    else if (s.constant != table->table_address)
        return false;
    out->index = s.index;
    return true;
}

/* The operation that loads the table's entry v, or NULL when v is none. */
static const struct ir_op *
entry_load(const struct ir_func *f, ir_value v, unsigned size)
{
    const struct ir_op *op = def(f, v);

    if (op->op == (size == 8 ? IR_LOAD64 : IR_LOAD32S64))
        return op;
    if (size == 4 && op->op == IR_EXTS && def(f, op->a)->op == IR_LOAD32)
        return def(f, op->a);
    return NULL;
}

static bool
match_relative(const struct ir_func *f, ir_value entry, ir_value base, const struct lift_jump_table *table,
               struct lift_table_match *out)
{
    const struct ir_op *load = entry_load(f, entry, table->entry_size), *to = def(f, base);

    *out = (struct lift_table_match){.index = IR_NO_VALUE};
    if (!load || !match_load(f, load, table, out))
        return false;
    if (to->op == IR_ADDR || to->op == IR_CONST64)
        return to->imm == table->relative_to;
    add_guard(out, base, true, table->relative_to);
    return true;
}

bool
lift_match_table(const struct ir_func *f, ir_value v, const struct lift_jump_table *table, struct lift_table_match *out)
{
    const struct ir_op *op = def(f, v), *load;

    if (table->relative)
        return op->op == IR_ADD64 &&
               (match_relative(f, op->a, op->b, table, out) || match_relative(f, op->b, op->a, table, out));
    *out = (struct lift_table_match){.index = IR_NO_VALUE};
    load = entry_load(f, v, table->entry_size);
    return load && match_load(f, load, table, out);
}
