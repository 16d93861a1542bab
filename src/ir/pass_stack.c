/* Tells where the guest's stack ends (cpu.stack), for faults of compiled code, whose registers are anywhere: a signal's
 * frame must lie below all that is in use.
 *
 * A function that moves rsp writes cpu.stack where it has its frame, and again where it gives that back, so that it is
 * never far below rsp either. Between, a block may be X86_STACK_LAG ahead of it. Where nothing has moved rsp since the
 * function was called, cpu.stack is still its caller's, 8 above: the return address. Such a block writes it before it
 * calls in turn or leaves for elsewhere, or recursion through such functions would get away from it. What follows calls
 * and the kernel finds it right, and what is entered from elsewhere with a frame. A function with a small frame that
 * calls nothing writes nothing. */
#include "ir/pass.h"

#include <string.h>

#include "ir/block_map.h"
#include "ir/worklist.h"

enum { RETURN_ADDRESS = 8, EARLY = 128 };

/* Of rsp in a block: not reached, or different on different ways. */
#define UNREACHED UINT64_MAX
#define UNCLEAR   (UINT64_MAX - 1)

struct place {     /* a value as a sum */
    ir_value root; /* IR_NO_VALUE: rsp as it is when the block begins */
    uint64_t offset;
};

struct pass {
    struct ir_func *f;
    struct ir_block_map map;
    uint8_t *as_called;    /* by block: rsp and cpu.stack may still be those of the function's start */
    uint64_t *moved;       /* by block: how far rsp has moved when it begins, UNREACHED or UNCLEAR */
    struct place *places;  /* by operation */
    VEC(struct ir_op) ops; /* the result */
    ir_value *renumbered;
};

struct block_state {
    struct place rsp; /* now */
    uint64_t stack;   /* cpu.stack is that far from rsp.root */
    bool moved, written;
};

static bool
is_rsp(const struct ir_op *op, unsigned kind)
{
    return op->op == kind && op->aux == X86_S_RSP;
}

static bool
is_call(const struct ir_block *block)
{
    return block->end.kind == IR_T_CALL || block->end.kind == IR_T_CALL_INDIRECT;
}

/* --- places --- */

static struct place
place_of(const struct pass *p, ir_value v, struct place rsp)
{
    const struct ir_op *op = &p->f->ops.items[v], *right;

    if (is_rsp(op, IR_GET))
        return rsp;
    if (op->op == IR_ADD64 || op->op == IR_SUB64) {
        right = &p->f->ops.items[op->b];
        if (right->op == IR_CONST64)
            return (struct place){p->places[op->a].root,
                                  p->places[op->a].offset + (op->op == IR_ADD64 ? right->imm : 0 - right->imm)};
    }
    return (struct place){v, 0};
}

/* Where each value of the block lies, and where rsp ends; a call's return address does not count. */
static struct place
find_places(struct pass *p, const struct ir_block *block)
{
    struct place rsp = {IR_NO_VALUE, 0};
    bool set = false;

    for (ir_value v = block->first_op; v < block->first_op + block->op_count; v++) {
        const struct ir_op *op = &p->f->ops.items[v];

        p->places[v] = place_of(p, v, rsp);
        if (is_rsp(op, IR_SET)) {
            rsp = p->places[op->a];
            set = true;
        }
    }
    if (set && is_call(block))
        rsp.offset += RETURN_ADDRESS;
    return rsp;
}

/* --- where control goes --- */

/* Behind the blocks stands one more place: any label, to which indirect jumps go. */
static uint32_t
labels_of(const struct pass *p)
{
    return (uint32_t)p->f->blocks.count;
}

/* To places in the function. True when it may also leave that, other than by a call or a return. */
static bool
each_successor(const struct pass *p, const struct ir_terminator *t, void (*reach)(void *context, uint32_t block),
               void *context)
{
    bool leaves = ir_each_successor(&p->map, t, reach, context);

    if (!ir_goes_to_labels(t))
        return leaves;
    if (reach)
        reach(context, labels_of(p));
    return true;
}

static void
each_label(const struct pass *p, void (*reach)(void *context, uint32_t block), void *context)
{
    for (uint32_t i = 0; i < p->f->blocks.count; i++)
        if (p->f->blocks.items[i].label)
            reach(context, i);
}

/* --- how far rsp has moved since the function was called --- */

struct flow {
    struct pass *p;
    struct ir_worklist work;
    uint64_t moved; /* where control comes from now, at its end */
};

static void
reach_moved(void *context, uint32_t block)
{
    struct flow *flow = context;
    uint64_t *moved = &flow->p->moved[block], was = *moved;

    *moved = was == UNREACHED || was == flow->moved ? flow->moved : UNCLEAR;
    if (*moved != was)
        ir_worklist_put(&flow->work, block);
}

/* A stack pointer from elsewhere is a frame, too. */
static uint64_t
moved_at_end(struct pass *p, const struct ir_block *block, uint64_t moved)
{
    struct place end = find_places(p, block);

    return end.root != IR_NO_VALUE ? (uint64_t)INT64_MIN : moved == UNCLEAR ? UNCLEAR : moved + end.offset;
}

static void
find_moved(struct pass *p)
{
    struct flow flow = {.p = p};
    uint32_t i;

    for (i = 0; i <= labels_of(p); i++)
        p->moved[i] = i == 0 ? 0 : UNREACHED;
    ir_worklist_init(&flow.work, labels_of(p) + 1, false);
    if (p->f->blocks.count)
        ir_worklist_put(&flow.work, 0);
    while (ir_worklist_take(&flow.work, &i)) {
        if (i == labels_of(p)) {
            flow.moved = p->moved[i];
            each_label(p, reach_moved, &flow);
        } else {
            flow.moved = moved_at_end(p, &p->f->blocks.items[i], p->moved[i]);
            each_successor(p, &p->f->blocks.items[i].end, reach_moved, &flow);
        }
    }
    ir_worklist_fini(&flow.work);
}

/* --- which blocks still have cpu.stack as it was when the function was called --- */

static bool
moves(const struct pass *p, const struct ir_block *block)
{
    for (ir_value v = block->first_op; v < block->first_op + block->op_count; v++)
        if (is_rsp(&p->f->ops.items[v], IR_SET))
            return true;
    return false;
}

static void
reach_as_called(void *context, uint32_t block)
{
    struct flow *flow = context;

    if (!flow->p->as_called[block]) {
        flow->p->as_called[block] = 1;
        ir_worklist_put(&flow->work, block);
    }
}

/* An entry with no frame may be one that is called. A block that moves rsp writes cpu.stack, even where it ends up as
 * it began; so do calls. */
static void
find_as_called(struct pass *p)
{
    struct flow flow = {.p = p};
    uint32_t i;

    ir_worklist_init(&flow.work, labels_of(p) + 1, false);
    for (i = 0; i < p->f->blocks.count; i++)
        if (i == 0 ||
            (p->f->blocks.items[i].entry && (p->moved[i] == 0 || p->moved[i] == UNREACHED || p->moved[i] == UNCLEAR)))
            reach_as_called(&flow, i);
    while (ir_worklist_take(&flow.work, &i)) {
        const struct ir_block *block = i < labels_of(p) ? &p->f->blocks.items[i] : NULL;

        if (!block)
            each_label(p, reach_as_called, &flow);
        else if (!moves(p, block) && !is_call(block) && block->end.kind != IR_T_SYSCALL)
            each_successor(p, &block->end, reach_as_called, &flow);
    }
    ir_worklist_fini(&flow.work);
}

/* --- functions that need not write --- */

/* Does the block stay within a small frame, and does it only go on to others of the function, or return? */
static bool
is_small(struct pass *p, const struct ir_block *block, uint64_t moved)
{
    uint64_t here = moved;

    if (moved == UNREACHED || moved == UNCLEAR || is_call(block) || block->end.kind == IR_T_SYSCALL ||
        each_successor(p, &block->end, NULL, NULL))
        return false;
    find_places(p, block);
    for (ir_value v = block->first_op; v < block->first_op + block->op_count; v++) {
        const struct ir_op *op = &p->f->ops.items[v];

        if (!is_rsp(op, IR_SET))
            continue;
        here = moved + p->places[op->a].offset;
        if (p->places[op->a].root != IR_NO_VALUE || (int64_t)here < -X86_STACK_LAG || (int64_t)here > RETURN_ADDRESS)
            return false;
    }
    return block->end.kind != IR_T_RETURN || here == RETURN_ADDRESS;
}

static bool
is_leaf(struct pass *p)
{
    for (size_t i = 0; i < p->f->blocks.count; i++)
        if (!is_small(p, &p->f->blocks.items[i], p->moved[i]))
            return false;
    return true;
}

/* --- writing --- */

static ir_value
append(struct pass *p, struct ir_op op)
{
    vec_push(&p->ops, op);
    return (ir_value)p->ops.count - 1;
}

/* value: an operation of the result; cpu.stack becomes it + more. */
static void
write_stack(struct pass *p, struct block_state *s, ir_value value, uint64_t more)
{
    struct ir_op op = {.op = IR_CONST64, .a = IR_NO_VALUE, .b = IR_NO_VALUE, .c = IR_NO_VALUE, .imm = more};

    if (more != 0) {
        ir_value constant = append(p, op);

        op = (struct ir_op){.op = IR_ADD64, .a = value, .b = constant, .c = IR_NO_VALUE};
        value = append(p, op);
    }
    op = (struct ir_op){.op = IR_SET, .aux = X86_S_STACK, .a = value, .b = IR_NO_VALUE, .c = IR_NO_VALUE};
    append(p, op);
    s->stack = s->rsp.offset + more;
    s->written = true;
}

/* A stack pointer from elsewhere. Where rsp ends only a little higher, that is written at once: one write less at each
 * LEAVE. */
static void
write_new(struct pass *p, struct block_state *s, ir_value value, struct place end)
{
    bool early = end.root == s->rsp.root && end.offset - s->rsp.offset <= EARLY;

    write_stack(p, s, value, early ? end.offset - s->rsp.offset : 0);
}

static void
write_set(struct pass *p, struct block_state *s, const struct ir_op *op, struct place to, struct place end)
{
    bool moved = to.root != s->rsp.root;

    s->rsp = to;
    if (moved)
        write_new(p, s, op->a, end);
    else if ((int64_t)(to.offset - s->stack) < -X86_STACK_LAG)
        write_stack(p, s, op->a, 0);
}

/* value: rsp, in the result, or none when nothing has read or set it. */
static void
write_at_end(struct pass *p, struct block_state *s, const struct ir_block *block, ir_value value, struct place end,
             bool as_called)
{
    struct ir_op get = {.op = IR_GET, .aux = X86_S_RSP, .a = IR_NO_VALUE, .b = IR_NO_VALUE, .c = IR_NO_VALUE};
    unsigned kind = block->end.kind;

    if (kind == IR_T_SYSCALL || kind == IR_T_TRAP || kind == IR_T_NONE)
        return;
    if (kind == IR_T_RETURN && !s->written && s->rsp.offset == RETURN_ADDRESS)
        return;
    if (end.offset == s->stack &&
        (s->written || !as_called || (!s->moved && !is_call(block) && !each_successor(p, &block->end, NULL, NULL))))
        return;
    write_stack(p, s, value != IR_NO_VALUE ? value : append(p, get), end.offset - s->rsp.offset);
}

static ir_value
renumber(const struct pass *p, ir_value v)
{
    return v == IR_NO_VALUE ? v : p->renumbered[v];
}

static void
rewrite_block(struct pass *p, struct ir_block *block, bool as_called)
{
    struct place end = find_places(p, block);
    struct block_state s = {.rsp = {IR_NO_VALUE, 0}};
    uint32_t first = (uint32_t)p->ops.count;
    ir_value value = IR_NO_VALUE;

    for (ir_value v = block->first_op; v < block->first_op + block->op_count; v++) {
        struct ir_op op = p->f->ops.items[v];
        ir_value from = op.a;

        op.a = renumber(p, op.a);
        op.b = renumber(p, op.b);
        op.c = renumber(p, op.c);
        p->renumbered[v] = append(p, op);
        if (is_rsp(&op, IR_GET))
            value = p->renumbered[v];
        if (!is_rsp(&op, IR_SET))
            continue;
        s.moved = true;
        value = op.a;
        write_set(p, &s, &op, p->places[from], end);
    }
    write_at_end(p, &s, block, value, end, as_called);
    if (ir_terminator_type(block->end.kind) != IR_V)
        block->end.value = renumber(p, block->end.value);
    if (block->end.kind == IR_T_SWITCH && block->end.next == IR_NO_ADDRESS)
        block->end.indirect = renumber(p, block->end.indirect);
    block->first_op = first;
    block->op_count = (uint32_t)p->ops.count - first;
}

void
ir_pass_stack(struct ir_func *f, const struct ir_pipeline *pipeline)
{
    struct pass p = {.f = f};

    (void)pipeline;
    ir_block_map_init(&p.map, f);
    p.as_called = mem_zalloc(f->blocks.count + 1, 1);
    p.moved = mem_zalloc(f->blocks.count + 1, sizeof *p.moved);
    p.places = mem_zalloc(f->ops.count + 1, sizeof *p.places);
    p.renumbered = mem_zalloc(f->ops.count + 1, sizeof *p.renumbered);
    find_moved(&p);
    if (!is_leaf(&p)) {
        find_as_called(&p);
        for (size_t i = 0; i < f->blocks.count; i++)
            rewrite_block(&p, &f->blocks.items[i], p.as_called[i] != 0);
        mem_free(f->ops.items);
        f->ops.items = p.ops.items;
        f->ops.count = p.ops.count;
        f->ops.capacity = p.ops.capacity;
    }
    ir_block_map_fini(&p.map);
    mem_free(p.as_called);
    mem_free(p.moved);
    mem_free(p.places);
    mem_free(p.renumbered);
}
