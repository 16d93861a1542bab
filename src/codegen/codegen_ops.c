/* The operations of a block as wasm expressions. A value used once is written where it is used, unless
 * something it reads (a state, memory) may change in between; then it goes to a local first. Constants and
 * states are written again at each use. Other values get a local, reused after the last use. */
#include "codegen/codegen_internal.h"

#include <string.h>

static const struct ir_op *
op_at(const struct gen *g, ir_value v)
{
    return &g->f->ops.items[v];
}

/* --- locals --- */

uint32_t
gen_new_local(struct gen *g, unsigned ir_type)
{
    vec_push(&g->local_types, (uint8_t)ir_type);
    return PARAMETER_COUNT + (uint32_t)g->local_types.count - 1;
}

uint32_t
gen_take_local(struct gen *g, unsigned ir_type)
{
    if (g->free_locals[ir_type].count != 0)
        return g->free_locals[ir_type].items[--g->free_locals[ir_type].count];
    return gen_new_local(g, ir_type);
}

void
gen_free_local(struct gen *g, unsigned ir_type, uint32_t local)
{
    vec_push(&g->free_locals[ir_type], local);
}

uint32_t
gen_state_local(struct gen *g, unsigned state)
{
    if (g->state_local[state] == FLOW_NONE)
        g->state_local[state] = gen_new_local(g, ir_state_infos[state].type);
    return g->state_local[state];
}

/* In a local, or read and written in the global each time. */
static bool
has_local(unsigned state)
{
    return (IR_STATE_BIT(state) & IR_STATES_SHARED) == 0;
}

/* --- pending values --- */

static void
drop_pending(struct gen *g, ir_value v)
{
    if (!g->values[v].pending)
        return;
    g->values[v].pending = false;
    for (uint32_t i = 0; i < g->pending_count; i++) {
        if (g->pending[i] != v)
            continue;
        memmove(g->pending + i, g->pending + i + 1, (g->pending_count - i - 1) * sizeof *g->pending);
        g->pending_count--;
        return;
    }
}

static void write_op(struct gen *g, ir_value v);

/* Evaluates a pending value now, into a local. */
static void
force(struct gen *g, ir_value v)
{
    struct value_info *info = &g->values[v];
    unsigned type = ir_type_of(g->f, v);
    uint32_t uses = info->uses;

    drop_pending(g, v);
    if (info->kind == VALUE_STATE)
        code_op_index(&g->code, W_LOCAL_GET, gen_state_local(g, op_at(g, v)->aux));
    else
        write_op(g, v);
    info->local = gen_take_local(g, type);
    info->kind = VALUE_LOCAL;
    info->uses = uses;
    info->reads = 0;
    info->height = 0;
    code_op_index(&g->code, W_LOCAL_SET, info->local);
}

/* Writing one value may complete others, so the search starts afresh each time; the list is short. */
static void
force_readers(struct gen *g, ir_states changed)
{
    uint32_t i = 0;

    while (i < g->pending_count) {
        if (g->values[g->pending[i]].reads & changed) {
            force(g, g->pending[i]);
            i = 0;
        } else {
            i++;
        }
    }
}

static void
make_pending(struct gen *g, ir_value v)
{
    if (g->pending_count == PENDING_MAX)
        force(g, g->pending[0]);
    g->values[v].pending = true;
    g->pending[g->pending_count++] = v;
}

/* The operand becomes part of an expression: it is no longer pending by itself when this is its only use. */
static void
adopt(struct gen *g, ir_value v, ir_states *reads, unsigned *height)
{
    struct value_info *info;

    if (v == IR_NO_VALUE)
        return;
    info = &g->values[v];
    *reads |= info->reads;
    if (info->height > *height)
        *height = info->height;
    if (info->uses == 1)
        drop_pending(g, v);
}

/* --- writing --- */

void
gen_address(struct gen *g, uint64_t address)
{
    if (g->o->base_is_zero) {
        code_i64_const(&g->code, address);
        return;
    }
    code_global(&g->code, W_GLOBAL_GET, WASM_GLOBAL_CODE_BASE);
    if (address != 0) {
        code_i64_const(&g->code, address);
        code_op(&g->code, W_I64_ADD);
    }
}

void
gen_assumed(struct gen *g, const struct ir_assumption *a)
{
    if (a->is_address)
        gen_address(g, a->value);
    else
        code_i64_const(&g->code, a->value);
}

static void
write_constant(struct gen *g, const struct ir_op *op)
{
    uint32_t bits = (uint32_t)op->imm;

    switch (op->op) {
    case IR_CONST32: code_i32_const(&g->code, bits); break;
    case IR_CONST64: code_i64_const(&g->code, op->imm); break;
    case IR_CONSTF32:
        code_op(&g->code, W_F32_CONST);
        buf_put_u32(&g->code.bytes, bits);
        break;
    case IR_CONSTF64:
        code_op(&g->code, W_F64_CONST);
        buf_put_u64(&g->code.bytes, op->imm);
        break;
    case IR_CONSTV:
        code_op_index(&g->code, W_PREFIX_FD, 12);
        buf_put_u64(&g->code.bytes, op->imm);
        buf_put_u64(&g->code.bytes, op->imm2);
        break;
    default: gen_address(g, op->imm); break;
    }
}

void
gen_value(struct gen *g, ir_value v)
{
    struct value_info *info = &g->values[v];

    if (info->uses != 0)
        info->uses--;
    switch (info->kind) {
    case VALUE_CONSTANT: write_constant(g, op_at(g, v)); break;
    case VALUE_STATE:
        if (info->uses == 0)
            drop_pending(g, v);
        code_op_index(&g->code, W_LOCAL_GET, gen_state_local(g, op_at(g, v)->aux));
        break;
    case VALUE_LOCAL:
        code_op_index(&g->code, W_LOCAL_GET, info->local);
        if (info->uses == 0)
            gen_free_local(g, ir_type_of(g->f, v), info->local);
        break;
    default:
        drop_pending(g, v);
        write_op(g, v);
        break;
    }
}

static bool
is_plain_memory(unsigned op)
{
    return (op >= IR_LOAD8U32 && op <= IR_STOREF64) || (op >= IR_V128_LOAD && op <= IR_V128_STORE);
}

static void
write_simd(struct gen *g, const struct ir_op *op, unsigned sub)
{
    code_op_index(&g->code, W_PREFIX_FD, sub);
    if (is_plain_memory(op->op)) {
        buf_put_u8(&g->code.bytes, op->aux == 16 ? 4 : 0);
        buf_put_uleb(&g->code.bytes, op->imm);
    } else if (op->op == IR_I8X16_SHUFFLE) {
        buf_put_u64(&g->code.bytes, op->imm);
        buf_put_u64(&g->code.bytes, op->imm2);
    } else if (op->op >= IR_I8X16_EXTRACT_U && op->op <= IR_F64X2_REPLACE) {
        buf_put_u8(&g->code.bytes, (uint8_t)op->aux);
    }
}

/* Writes the operation of a value with its operands; the result is on the wasm stack. */
static void
write_op(struct gen *g, ir_value v)
{
    const struct ir_op *op = op_at(g, v);
    const struct ir_op_info *info = &ir_op_infos[op->op];

    if (op->a != IR_NO_VALUE)
        gen_value(g, op->a);
    if (op->b != IR_NO_VALUE)
        gen_value(g, op->b);
    if (op->c != IR_NO_VALUE)
        gen_value(g, op->c);
    switch (op->op) {
    case IR_HELPER: code_call_import(&g->code, W_CALL, WASM_IMPORT_HELPER + op->aux); return;
    case IR_MULHU64:
    case IR_MULHS64:
        code_call_import(&g->code, W_CALL, op->op == IR_MULHU64 ? WASM_IMPORT_MULHU : WASM_IMPORT_MULHS);
        return;
    default: break;
    }
    if (info->host_operands) {
        if (info->host_operands > 1u + (info->b != IR_V) + (info->c != IR_V))
            code_i32_const(&g->code, op->aux);
        code_call_import(&g->code, W_CALL, WASM_IMPORT_HOST + op->op - IR_HOST_FIRST);
        return;
    }
    if (info->simd >= 0)
        write_simd(g, op, (unsigned)info->simd);
    else if (is_plain_memory(op->op))
        code_load(&g->code, info->wasm, op->imm);
    else
        code_op(&g->code, info->wasm);
}

static void
define_local(struct gen *g, ir_value v)
{
    struct value_info *info = &g->values[v];

    info->kind = VALUE_LOCAL;
    info->reads = 0;
    info->height = 0;
    info->local = gen_take_local(g, ir_type_of(g->f, v));
    code_op_index(&g->code, W_LOCAL_SET, info->local);
}

/* The result is on the wasm stack: keep it if anyone wants it. */
static void
keep_result(struct gen *g, ir_value v)
{
    if (ir_type_of(g->f, v) == IR_V)
        return;
    if (g->values[v].uses == 0)
        code_op(&g->code, W_DROP);
    else
        define_local(g, v);
}

/* --- operations with effects --- */

static void
write_set(struct gen *g, const struct ir_op *op)
{
    ir_states reads = 0;
    unsigned height = 0;

    if (op->aux == X86_S_RIP) {
        g->pc = op_at(g, op->a)->imm;
        return;
    }
    adopt(g, op->a, &reads, &height);
    /* What is above the new end of the stack must have been read. */
    force_readers(g, op->aux == X86_S_STACK ? READS_MEMORY : IR_STATE_BIT(op->aux));
    gen_value(g, op->a);
    if (!has_local(op->aux)) {
        code_global(&g->code, W_GLOBAL_SET, op->aux);
        return;
    }
    code_op_index(&g->code, W_LOCAL_SET, gen_state_local(g, op->aux));
    g->dirty |= IR_STATE_BIT(op->aux) & g->used_states;
}

static void
write_store(struct gen *g, ir_value v, const struct ir_op *op)
{
    ir_states reads = 0;
    unsigned height = 0;

    adopt(g, op->a, &reads, &height);
    adopt(g, op->b, &reads, &height);
    force_readers(g, READS_MEMORY);
    gen_show_state(g, op);
    write_op(g, v);
    gen_fault_state(g);
}

/* An exception that is checked for: all state goes to its globals on the way to it. */
static void
write_raise_if(struct gen *g, const struct ir_op *op)
{
    ir_states reads = 0;
    unsigned height = 0;

    adopt(g, op->a, &reads, &height);
    adopt(g, op->b, &reads, &height);
    adopt(g, op->c, &reads, &height);
    gen_value(g, op->a);
    gen_begin_if(g);
    gen_flush(g, g->dirty);
    gen_flush_promoted(g);
    gen_value(g, op->c);
    gen_value(g, op->b);
    code_call_import(&g->code, W_CALL, WASM_IMPORT_HELPER + IR_HELPER_raise);
    code_op(&g->code, W_UNREACHABLE);
    gen_end_if(g);
}

static void
write_helper(struct gen *g, ir_value v, const struct ir_op *op)
{
    ir_states reads = 0, flush = gen_helper_flush(g, op->aux, g->dirty);
    unsigned height = 0;

    adopt(g, op->a, &reads, &height);
    adopt(g, op->b, &reads, &height);
    adopt(g, op->c, &reads, &height);
    force_readers(g, READS_MEMORY | ir_helper_writes(op->aux));
    gen_show_state(g, op);
    gen_flush(g, flush & g->dirty);
    g->dirty &= ~(ir_helper_reads(op->aux) | ir_helper_writes(op->aux));
    if (ir_helper_infos[op->aux].flags & IR_HELPER_ROUNDING)
        gen_flush_promoted(g);
    write_op(g, v);
    keep_result(g, v);
    if (ir_helper_infos[op->aux].flags & IR_HELPER_ROUNDING)
        gen_reload_promoted(g);
    gen_reload(g, gen_helper_reload(g, op->aux));
}

static const struct {
    uint8_t size, load, store;
} atomic_codes[] = {
    {1, 0x31, 0x3c},
    {2, 0x33, 0x3d},
    {4, 0x35, 0x3e},
    {8, 0x29, 0x37},
};

/* An atomic operation's old value is in a local. */
static void
keep_old(struct gen *g, ir_value v, enum ir_type type, uint32_t old)
{
    if (g->values[v].uses == 0) {
        gen_free_local(g, type, old);
        return;
    }
    g->values[v].kind = VALUE_LOCAL;
    g->values[v].reads = 0;
    g->values[v].local = old;
}

static void
write_vector_access(struct gen *g, unsigned sub, uint64_t offset)
{
    code_op_index(&g->code, W_PREFIX_FD, sub);
    buf_put_u8(&g->code.bytes, 0);
    buf_put_uleb(&g->code.bytes, offset);
}

/* As with CMPXCHG, the processor writes in any case. */
static void
write_compare_16(struct gen *g, ir_value v, const struct ir_op *op)
{
    uint32_t address = gen_take_local(g, IR_I32), old = gen_take_local(g, IR_V128);
    ir_states reads = 0;
    unsigned height = 0;

    adopt(g, op->a, &reads, &height);
    adopt(g, op->b, &reads, &height);
    adopt(g, op->c, &reads, &height);
    force_readers(g, READS_MEMORY);
    gen_show_state(g, op);
    gen_value(g, op->a);
    code_op_index(&g->code, W_LOCAL_TEE, address);
    write_vector_access(g, (unsigned)ir_op_infos[IR_V128_LOAD].simd, op->imm);
    code_op_index(&g->code, W_LOCAL_SET, old);
    gen_fault_state(g);
    code_op_index(&g->code, W_LOCAL_GET, address);
    code_op_index(&g->code, W_LOCAL_GET, old);
    gen_value(g, op->c);
    code_op_index(&g->code, W_LOCAL_GET, old);
    gen_value(g, op->b);
    code_op_index(&g->code, W_PREFIX_FD, (unsigned)ir_op_infos[IR_V128_XOR].simd);
    code_op_index(&g->code, W_PREFIX_FD, (unsigned)ir_op_infos[IR_V128_ANY_TRUE].simd);
    code_op(&g->code, W_SELECT);
    write_vector_access(g, (unsigned)ir_op_infos[IR_V128_STORE].simd, op->imm);
    gen_fault_state(g);
    gen_free_local(g, IR_I32, address);
    keep_old(g, v, IR_V128, old);
}

/* Such an artifact has one processor, so plain accesses are atomic enough (docs/decisions/0019). */
static void
write_atomic(struct gen *g, ir_value v, const struct ir_op *op)
{
    static const uint8_t codes[] = {W_I64_ADD, W_I64_AND, W_I64_OR, W_I64_XOR};
    unsigned which = op->aux == 1 ? 0 : op->aux == 2 ? 1 : op->aux == 4 ? 2 : 3, height = 0;
    uint32_t address = gen_take_local(g, IR_I32), old = gen_take_local(g, IR_I64);
    ir_states reads = 0;

    adopt(g, op->a, &reads, &height);
    adopt(g, op->b, &reads, &height);
    adopt(g, op->c, &reads, &height);
    force_readers(g, READS_MEMORY);
    gen_show_state(g, op);
    gen_value(g, op->a);
    code_op_index(&g->code, W_LOCAL_TEE, address);
    code_load(&g->code, atomic_codes[which].load, op->imm);
    code_op_index(&g->code, W_LOCAL_SET, old);
    gen_fault_state(g);
    if (op->op == IR_ATOMIC_CMPXCHG) {
        /* The processor writes in any case: what was there when the comparison fails. */
        code_op_index(&g->code, W_LOCAL_GET, address);
        gen_value(g, op->c);
        code_op_index(&g->code, W_LOCAL_GET, old);
        gen_value(g, op->b);
        code_op_index(&g->code, W_LOCAL_GET, old);
        code_op(&g->code, W_I64_XOR);
        if (which != 3) {
            code_i64_const(&g->code, 64 - 8 * atomic_codes[which].size);
            code_op(&g->code, W_I64_SHL);
        }
        code_op(&g->code, W_I64_EQZ);
        code_op(&g->code, W_SELECT);
        code_load(&g->code, atomic_codes[which].store, op->imm);
        gen_fault_state(g);
    } else {
        code_op_index(&g->code, W_LOCAL_GET, address);
        if (op->op == IR_ATOMIC_XCHG) {
            gen_value(g, op->b);
        } else if (op->op == IR_ATOMIC_RSUB) {
            gen_value(g, op->b);
            code_op_index(&g->code, W_LOCAL_GET, old);
            code_op(&g->code, W_I64_SUB);
        } else {
            code_op_index(&g->code, W_LOCAL_GET, old);
            gen_value(g, op->b);
            code_op(&g->code, codes[op->op - IR_ATOMIC_ADD]);
        }
        code_load(&g->code, atomic_codes[which].store, op->imm);
        gen_fault_state(g);
    }
    gen_free_local(g, IR_I32, address);
    keep_old(g, v, IR_I64, old);
}

/* --- operations without --- */

static void
define_state(struct gen *g, ir_value v, const struct ir_op *op)
{
    if (g->values[v].uses == 0)
        return;
    if (!has_local(op->aux)) {
        code_global(&g->code, W_GLOBAL_GET, op->aux);
        define_local(g, v);
        return;
    }
    g->values[v].kind = VALUE_STATE;
    g->values[v].reads = IR_STATE_BIT(op->aux);
    make_pending(g, v);
}

static bool
is_load(unsigned op)
{
    return (op >= IR_LOAD8U32 && op <= IR_LOADF64) || (op >= IR_V128_LOAD && op <= IR_V128_LOAD64_ZERO);
}

static void
define_expression(struct gen *g, ir_value v, const struct ir_op *op)
{
    struct value_info *info = &g->values[v];
    ir_states reads = is_load(op->op) ? READS_MEMORY : 0;
    unsigned height = 0;

    if (info->uses == 0 && ir_op_is_pure(op))
        return; /* unoptimised IR; its operands stay, at worst as locals never read */
    adopt(g, op->a, &reads, &height);
    adopt(g, op->b, &reads, &height);
    adopt(g, op->c, &reads, &height);
    if (info->uses == 1 && !gen_shows_state(g, op) && height < TREE_HEIGHT_MAX) {
        info->kind = VALUE_TREE;
        info->reads = reads;
        info->height = (uint8_t)(height + 1);
        make_pending(g, v);
        return;
    }
    gen_show_state(g, op);
    write_op(g, v);
    keep_result(g, v);
    if (is_load(op->op))
        gen_fault_state(g);
}

static void
block_op(struct gen *g, ir_value v)
{
    const struct ir_op *op = op_at(g, v);

    switch (op->op) {
    case IR_CONST32:
    case IR_CONST64:
    case IR_CONSTF32:
    case IR_CONSTF64:
    case IR_CONSTV:
    case IR_ADDR: g->values[v].kind = VALUE_CONSTANT; break;
    case IR_GET: define_state(g, v, op); break;
    case IR_SET: write_set(g, op); break;
    case IR_HELPER:
        if (ir_op_is_pure(op))
            define_expression(g, v, op);
        else if (op->aux == IR_HELPER_raise_if)
            write_raise_if(g, op);
        else
            write_helper(g, v, op);
        break;
    case IR_STORE8:
    case IR_STORE16:
    case IR_STORE32:
    case IR_STORE64:
    case IR_STOREF32:
    case IR_STOREF64:
    case IR_V128_STORE: write_store(g, v, op); break;
    case IR_ATOMIC_ADD:
    case IR_ATOMIC_AND:
    case IR_ATOMIC_OR:
    case IR_ATOMIC_XOR:
    case IR_ATOMIC_RSUB:
    case IR_ATOMIC_XCHG:
    case IR_ATOMIC_CMPXCHG: write_atomic(g, v, op); break;
    case IR_ATOMIC_CMPXCHG16: write_compare_16(g, v, op); break;
    case IR_FENCE: break;
    default: define_expression(g, v, op); break;
    }
}

static void
count_use(struct gen *g, ir_value v)
{
    if (v != IR_NO_VALUE)
        g->values[v].uses++;
}

static void
count_uses(struct gen *g, const struct ir_block *block)
{
    memset(g->values + block->first_op, 0, block->op_count * sizeof *g->values);
    for (ir_value v = block->first_op; v < block->first_op + block->op_count; v++) {
        const struct ir_op *op = op_at(g, v);

        count_use(g, op->a);
        count_use(g, op->b);
        count_use(g, op->c);
    }
    if (ir_terminator_type(block->end.kind) != IR_V)
        count_use(g, block->end.value);
    if (block->end.kind == IR_T_SWITCH && block->end.next == IR_NO_ADDRESS)
        count_use(g, block->end.indirect);
}

void
gen_block_ops(struct gen *g, const struct ir_block *block)
{
    g->pending_count = 0;
    count_uses(g, block);
    for (ir_value v = block->first_op; v < block->first_op + block->op_count; v++)
        block_op(g, v);
}
