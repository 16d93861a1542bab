/* Dead code: one backward liveness analysis over CPU state and values together, so that a chain of flag
 * updates that only feeds itself (a shift by CL keeps the old flags when the count is 0) goes as a whole.
 *
 * It is optimistic: nothing is live until a path to a use is found. Loads and divisions stay, because
 * they may fault. At exits every state but the flags is live (DESIGN D6). */
#include "ir/pass.h"

#include <string.h>

#include "ir/block_map.h"
#include "ir/worklist.h"

#define EXIT_STATES (IR_STATES_ALL & ~IR_STATES_FLAGS & ~IR_STATES_SHARED)

struct liveness {
    const struct ir_func *f;
    const struct ir_flag_facts *facts; /* NULL: assume that everybody reads flags */
    bool exact;                        /* flags are live at traps */
    bool precise;                      /* all but flags is live at whatever may fault */
    struct ir_block_map map;
    ir_states *in;    /* per block: states live at its start */
    uint8_t *needed;  /* per operation */
    ir_states labels; /* flags live at labels: an indirect jump may go there */
};

static ir_states
live_at_leaving(const struct liveness *l, uint64_t address)
{
    if (l->facts == NULL)
        return EXIT_STATES | IR_STATES_FLAGS;
    if (l->facts->live_at_entry != NULL && l->facts->live_at_entry(l->facts->context, address))
        return EXIT_STATES | IR_STATES_FLAGS;
    return EXIT_STATES;
}

static ir_states
live_at(const struct liveness *l, uint64_t address)
{
    uint32_t i = ir_block_find(&l->map, address);

    return i != IR_NO_BLOCK ? l->in[i] : live_at_leaving(l, address);
}

static ir_states
live_over_call(const struct liveness *l, uint64_t next)
{
    return EXIT_STATES | (live_at(l, next) & IR_STATES_FLAGS);
}

static ir_states
live_at_end(const struct liveness *l, const struct ir_terminator *t)
{
    bool returns_flags = l->facts == NULL || (l->facts->live_at_return != NULL &&
                                              l->facts->live_at_return(l->facts->context, l->f->address));
    ir_states live = 0;

    switch (t->kind) {
    case IR_T_JUMP: return live_at(l, t->target);
    case IR_T_BRANCH: return live_at(l, t->target) | live_at(l, t->next);
    case IR_T_SWITCH:
        for (uint32_t i = 0; i < t->target_count; i++)
            live |= live_at(l, t->targets[i]);
        return live | (t->next != IR_NO_ADDRESS ? live_at(l, t->next) : EXIT_STATES | l->labels);
    case IR_T_JUMP_INDIRECT: return EXIT_STATES | l->labels;
    case IR_T_CALL: return live_at_leaving(l, t->target) | live_over_call(l, t->next);
    case IR_T_CALL_INDIRECT: return live_over_call(l, t->next);
    case IR_T_SYSCALL: return EXIT_STATES | live_at(l, t->next);
    case IR_T_RETURN: return EXIT_STATES | (returns_flags ? IR_STATES_FLAGS : 0);
    default: return EXIT_STATES | (l->exact ? IR_STATES_FLAGS : 0);
    }
}

static void
need(struct liveness *l, ir_value v)
{
    if (v != IR_NO_VALUE)
        l->needed[v] = 1;
}

static void
need_operands(struct liveness *l, const struct ir_op *op)
{
    need(l, op->a);
    need(l, op->b);
    need(l, op->c);
}

static ir_states
scan_op(struct liveness *l, ir_value v, ir_states live)
{
    const struct ir_op *op = &l->f->ops.items[v];

    switch (op->op) {
    case IR_SET:
        if ((live & IR_STATE_BIT(op->aux)) == 0 && op->aux != X86_S_STACK) /* that is for faults */
            return live;
        l->needed[v] = 1;
        need(l, op->a);
        return live & ~IR_STATE_BIT(op->aux);
    case IR_GET: return l->needed[v] ? live | IR_STATE_BIT(op->aux) : live;
    case IR_HELPER:
        if (!ir_op_is_pure(op)) {
            ir_states reads = ir_helper_reads(op->aux);

            if (!l->exact && (ir_helper_infos[op->aux].flags & IR_HELPER_RAISES))
                reads &= ~IR_STATES_FLAGS;
            l->needed[v] = 1;
            live |= reads;
        }
        break;
    default:
        if (!ir_op_is_pure(op))
            l->needed[v] = 1;
        break;
    }
    if (l->needed[v])
        need_operands(l, op);
    if (l->precise && l->needed[v] && ir_op_accesses(op))
        live |= EXIT_STATES | IR_STATE_BIT(X86_S_RIP);
    return live;
}

static ir_states
scan_block(struct liveness *l, const struct ir_block *block)
{
    ir_states live = live_at_end(l, &block->end);

    memset(l->needed + block->first_op, 0, block->op_count);
    if (ir_terminator_type(block->end.kind) != IR_V)
        need(l, block->end.value);
    if (block->end.kind == IR_T_SWITCH && block->end.next == IR_NO_ADDRESS)
        need(l, block->end.indirect);
    for (ir_value v = block->first_op + block->op_count; v-- > block->first_op;)
        live = scan_op(l, v, live);
    return live;
}

/* --- the blocks to look at again when one has changed --- */

struct edges { /* those to block b begin in the blocks from[first[b + 1]] to from[first[b + 2] - 1] */
    struct liveness *l;
    uint32_t *first, *from;
    uint32_t block; /* whose edges are found now */
};

static void
count_edge(void *context, uint32_t block)
{
    ((struct edges *)context)->first[block + 1]++;
}

static void
put_edge(void *context, uint32_t block)
{
    struct edges *e = context;

    e->from[--e->first[block + 1]] = e->block;
}

static void
find_edges(struct edges *e)
{
    const struct ir_func *f = e->l->f;
    size_t count = f->blocks.count;

    e->first = mem_zalloc(count + 2, sizeof *e->first);
    for (size_t i = 0; i < count; i++)
        ir_each_successor(&e->l->map, &f->blocks.items[i].end, count_edge, e);
    for (size_t i = 0; i < count; i++)
        e->first[i + 1] += e->first[i];
    e->from = mem_alloc((e->first[count] + 1) * sizeof *e->from);
    e->first[count + 1] = e->first[count]; /* now the ends of each block's edges; put_edge leaves their beginnings */
    for (e->block = 0; e->block < count; e->block++)
        ir_each_successor(&e->l->map, &f->blocks.items[e->block].end, put_edge, e);
}

static void
put_users_of_labels(const struct liveness *l, struct ir_worklist *work)
{
    for (uint32_t i = 0; i < l->f->blocks.count; i++)
        if (ir_goes_to_labels(&l->f->blocks.items[i].end))
            ir_worklist_put(work, i);
}

static void
solve(struct liveness *l)
{
    struct edges e = {.l = l};
    struct ir_worklist work;
    uint32_t i;

    find_edges(&e);
    ir_worklist_init(&work, (uint32_t)l->f->blocks.count, true);
    for (i = 0; i < l->f->blocks.count; i++)
        ir_worklist_put(&work, i);
    while (ir_worklist_take(&work, &i)) {
        const struct ir_block *block = &l->f->blocks.items[i];
        ir_states live = scan_block(l, block), labels = l->labels;

        if (live == l->in[i])
            continue;
        l->in[i] = live;
        for (uint32_t k = e.first[i + 1]; k < e.first[i + 2]; k++)
            ir_worklist_put(&work, e.from[k]);
        if (block->label)
            l->labels |= live & IR_STATES_FLAGS;
        if (l->labels != labels)
            put_users_of_labels(l, &work);
    }
    ir_worklist_fini(&work);
    mem_free(e.first);
    mem_free(e.from);
}

static void
analyse(struct liveness *l, const struct ir_func *f, const struct ir_flag_facts *facts, bool exact, bool precise)
{
    memset(l, 0, sizeof *l);
    l->f = f;
    l->facts = facts;
    l->exact = exact;
    l->precise = precise;
    l->in = mem_zalloc(f->blocks.count + 1, sizeof *l->in);
    l->needed = mem_zalloc(f->ops.count + 1, 1);
    ir_block_map_init(&l->map, f);
    solve(l);
}

static void
liveness_fini(struct liveness *l)
{
    ir_block_map_fini(&l->map);
    mem_free(l->in);
    mem_free(l->needed);
}

static uint8_t
dead_flags(ir_states live)
{
    return (uint8_t)(((live & IR_STATES_FLAGS) ^ IR_STATES_FLAGS) >> X86_S_CF);
}

static ir_value
renumber(const ir_value *map, ir_value v)
{
    return v == IR_NO_VALUE ? v : map[v];
}

/* Copies what is needed to a new array, block by block. */
static void
compact(struct ir_func *f, const uint8_t *needed)
{
    ir_value *map = mem_alloc((f->ops.count + 1) * sizeof *map);
    struct ir_op *ops = mem_alloc((f->ops.count + 1) * sizeof *ops);
    uint32_t count = 0;

    for (size_t i = 0; i < f->blocks.count; i++) {
        struct ir_block *block = &f->blocks.items[i];
        uint32_t first = count;

        for (ir_value v = block->first_op; v < block->first_op + block->op_count; v++) {
            struct ir_op op = f->ops.items[v];

            if (!needed[v])
                continue;
            op.a = renumber(map, op.a);
            op.b = renumber(map, op.b);
            op.c = renumber(map, op.c);
            map[v] = count;
            ops[count++] = op;
        }
        if (ir_terminator_type(block->end.kind) != IR_V)
            block->end.value = map[block->end.value];
        if (block->end.kind == IR_T_SWITCH && block->end.next == IR_NO_ADDRESS)
            block->end.indirect = map[block->end.indirect];
        block->first_op = first;
        block->op_count = count - first;
    }
    mem_free(f->ops.items);
    f->ops.items = ops;
    f->ops.capacity = f->ops.count + 1;
    f->ops.count = count;
    mem_free(map);
}

void
ir_pass_dead(struct ir_func *f, const struct ir_pipeline *p)
{
    struct liveness l;

    analyse(&l, f, p->flags, true, p->precise);
    /* solve() looked at each block once more when what follows it had changed, so `needed` holds for every block. */
    for (size_t i = 0; i < f->blocks.count; i++) {
        f->blocks.items[i].flags_dead = dead_flags(l.in[i]);
        f->blocks.items[i].end.flags_dead = dead_flags(live_at_end(&l, &f->blocks.items[i].end));
    }
    compact(f, l.needed);
    liveness_fini(&l);
}

void
ir_flags_live_in(const struct ir_func *f, uint8_t *out)
{
    static const struct ir_flag_facts nobody;
    struct liveness l;

    analyse(&l, f, &nobody, false, false);
    for (size_t i = 0; i < f->blocks.count; i++)
        out[i] = (uint8_t)((l.in[i] & IR_STATES_FLAGS) >> X86_S_CF);
    liveness_fini(&l);
}
