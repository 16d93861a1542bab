/* A lifted block to threaded operations.
 *
 * One pass backwards finds what is needed and each value's last use; one forwards emits. Three things
 * make the result short: constants go into the operation (or are materialised at their first use),
 * WRAP and REINTERPRET share their operand's place (little-endian), and values live in CPU state
 * where they can: a GET is an alias of its state while nothing writes it, and a value that is
 * stored by a SET is computed right into the state when nothing could tell the difference. */
#include "eval/eval_internal.h"

#include <string.h>

#include "lift/lift.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "WRAP aliases the low half");

/* Constants, ADDR and GET come first in ops.def: they are no operations here. */
_Static_assert(IR_CONST32 == 0 && IR_GET == IR_ADDR + 1 && IR_ADDR == IR_CONSTV + 1, "order of ops.def");

enum { PLACE_NONE = INT32_MIN, SCAN_LIMIT = 64 };

struct translator {
    struct eval *ev;
    const struct ir_func *f;
    const struct ir_block *b;
    uint64_t image_base;
    uint32_t first, end; /* slice of f->ops */
    uint32_t *last_use;  /* by value - first: position of its last use, 0 when unused */
    int32_t *place;      /* by value - first: operand offset */
    uint32_t *home;      /* by value - first: the SET it is computed into + 1, or 0 */
    int64_t slots;       /* offset of eval_slots from the CPU state */
    uint32_t slot_top;
    uint32_t free_count;
    uint16_t free[EVAL_SLOTS];
    bool overflow;
};

static const struct ir_op *
op_at(const struct translator *t, ir_value v)
{
    return &t->f->ops.items[v];
}

/* Does the operation, unused, have to run: state, memory, traps. */
static bool
has_effect(const struct ir_op *op)
{
    const struct ir_op_info *info = &ir_op_infos[op->op];

    switch (op->op) {
    case IR_HELPER: return !(ir_helper_infos[op->aux].flags & IR_HELPER_PURE);
    case IR_SET:
    case IR_FENCE:
    case IR_DIVS64:
    case IR_DIVU64:
    case IR_REMS64:
    case IR_REMU64:
    case IR_V128_LOAD:
    case IR_V128_LOAD32_ZERO:
    case IR_V128_LOAD64_ZERO: return true;
    default:
        return (op->op >= IR_LOAD8U32 && op->op <= IR_ATOMIC_CMPXCHG) || ir_op_computes_float(op) ||
               (info->result == IR_V && op->op != IR_GET);
    }
}

/* May it leave the block, or read or write state other than by GET and SET? */
static bool
is_barrier(const struct ir_op *op)
{
    return op->op != IR_SET && op->op != IR_GET && has_effect(op);
}

/* Lanes read in place: their size, or 0. */
static int32_t
lane_size(const struct ir_op *op)
{
    switch (op->op) {
    case IR_I32X4_EXTRACT:
    case IR_F32X4_EXTRACT: return 4;
    case IR_I64X2_EXTRACT:
    case IR_F64X2_EXTRACT: return 8;
    default: return 0;
    }
}

/* Operations that only rename their operand's place. EXTU does where the operand's handler wrote a
 * zero-extended value, which those of CPU state and of aliases are not. */
static bool
is_alias(const struct translator *t, const struct ir_op *op)
{
    if (op->op == IR_EXTU) {
        const struct ir_op *from = op_at(t, op->a);
        return from->op > IR_GET && !is_alias(t, from);
    }
    return op->op == IR_WRAP || lane_size(op) != 0 ||
           (op->op >= IR_REINTERPRET_I32_F32 && op->op <= IR_REINTERPRET_F64_I64);
}

static bool
constant(const struct translator *t, ir_value v, uint64_t *out)
{
    const struct ir_op *op;

    if (v == IR_NO_VALUE)
        return false;
    op = op_at(t, v);
    switch (op->op) {
    case IR_CONST32: *out = (uint32_t)op->imm; return true;
    case IR_CONST64: *out = op->imm; return true;
    case IR_ADDR: *out = t->image_base + op->imm; return true;
    case IR_WRAP:
    case IR_EXTU:
        if (!constant(t, op->a, out))
            return false;
        *out = (uint32_t)*out;
        return true;
    default: return false;
    }
}

static void
use(struct translator *t, ir_value v, uint32_t at)
{
    if (v != IR_NO_VALUE && v >= t->first && v < t->end && t->last_use[v - t->first] < at)
        t->last_use[v - t->first] = at;
}

/* Positions are op index + 1; the terminator's is end + 1. A SET that is dead gets last_use 0, a live
 * one its own position. Flags are dead when overwritten without a read, whatever faults in between; other
 * state only when nothing that may leave the block is between. */
static void
find_uses(struct translator *t, ir_states dead)
{
    memset(t->last_use, 0, (t->end - t->first) * sizeof *t->last_use);
    use(t, t->b->end.value, t->end + 1);
    for (uint32_t i = t->end; i-- > t->first;) {
        const struct ir_op *op = op_at(t, i);
        uint32_t *mine = &t->last_use[i - t->first];

        if (op->op == IR_SET) {
            if (dead & IR_STATE_BIT(op->aux))
                continue;
            dead |= IR_STATE_BIT(op->aux);
        } else if (op->op == IR_GET) {
            if (*mine)
                dead &= ~IR_STATE_BIT(op->aux);
        } else if (op->op == IR_HELPER && is_barrier(op)) {
            dead = 0;
        } else if (is_barrier(op)) {
            dead &= IR_STATES_FLAGS;
        }
        if (!*mine && !has_effect(op))
            continue;
        if (is_alias(t, op)) {
            use(t, op->a, *mine);
            continue;
        }
        if (!*mine)
            *mine = i + 1; /* needed, result unused */
        use(t, op->a, i + 1);
        use(t, op->b, i + 1);
        use(t, op->c, i + 1);
    }
}

/* The value whose place v shares through EXTU. */
static ir_value
unextended(const struct translator *t, ir_value v)
{
    const struct ir_op *op = op_at(t, v);

    return op->op == IR_EXTU && is_alias(t, op) ? op->a : v;
}

static bool
is_live(const struct translator *t, uint32_t i)
{
    return t->last_use[i - t->first] != 0;
}

static bool
helper_writes(const struct ir_op *op, unsigned state)
{
    return op->op == IR_HELPER && !(ir_helper_infos[op->aux].flags & IR_HELPER_PURE) && state >= X86_S_CF;
}

/* Is the state rewritten by an operation in (from, until)? Values with a home write it where they are
 * computed. Positions are op indices; too long a way counts as yes. */
static bool
rewritten(const struct translator *t, unsigned state, uint32_t from, uint32_t until)
{
    if (until > t->end)
        until = t->end;
    if (until > from && until - from > SCAN_LIMIT)
        return true;
    for (uint32_t i = from + 1; i < until; i++) {
        const struct ir_op *op = op_at(t, i);
        uint32_t home = t->home[i - t->first];

        if (!is_live(t, i))
            continue;
        if ((op->op == IR_SET && op->aux == state) || helper_writes(op, state) ||
            (home && op_at(t, home - 1)->aux == state))
            return true;
    }
    return false;
}

/* Values computed right into the state a later SET names. */
static void
find_homes(struct translator *t)
{
    uint32_t busy[X86_S_COUNT] = {0}; /* last use of the values that have the state as home */

    memset(t->home, 0, (t->end - t->first) * sizeof *t->home);
    for (uint32_t s = t->first; s < t->end; s++) {
        const struct ir_op *set = op_at(t, s);
        ir_value v = set->op == IR_SET ? unextended(t, set->a) : IR_NO_VALUE;
        bool fits = true;

        /* Flags are 4 bytes and handlers of i32 results write 8: no homes. */
        if (set->op != IR_SET || !is_live(t, s) || ir_state_infos[set->aux].type == IR_I32 || v < t->first || v >= s ||
            s - v > SCAN_LIMIT || t->home[v - t->first] || is_alias(t, op_at(t, v)) || op_at(t, v)->op <= IR_GET ||
            busy[set->aux] > v + 1)
            continue;
        for (uint32_t i = v; i < s && fits; i++) {
            const struct ir_op *op = op_at(t, i);
            uint32_t home = t->home[i - t->first];

            if (!is_live(t, i))
                continue;
            if ((i > v && is_barrier(op)) || helper_writes(op, set->aux) ||
                ((op->op == IR_GET || op->op == IR_SET) && op->aux == set->aux) ||
                (home && op_at(t, home - 1)->aux == set->aux))
                fits = false;
        }
        if (fits && !rewritten(t, set->aux, s, t->last_use[v - t->first] - 1)) {
            t->home[v - t->first] = s + 1;
            if (busy[set->aux] < t->last_use[v - t->first])
                busy[set->aux] = t->last_use[v - t->first];
        }
    }
}

static int32_t
slot_new(struct translator *t)
{
    uint32_t slot;

    if (t->free_count)
        slot = t->free[--t->free_count];
    else if (t->slot_top < EVAL_SLOTS)
        slot = t->slot_top++;
    else {
        t->overflow = true;
        slot = 0;
    }
    return (int32_t)(t->slots + (int64_t)slot * (int64_t)sizeof(union eval_slot));
}

static struct eval_op *
emit(struct translator *t, const void *code)
{
    struct eval *ev = t->ev;

    vec_push(&ev->ops, ((struct eval_op){.code = code}));
    return &ev->ops.items[ev->ops.count - 1];
}

/* The place of an operand; constants come into being here. */
static int32_t
operand(struct translator *t, ir_value v)
{
    uint64_t imm;
    const struct ir_op *op;

    if (v == IR_NO_VALUE)
        return 0;
    int32_t *place = &t->place[v - t->first];
    if (*place != PLACE_NONE)
        return *place;
    op = op_at(t, v);
    if (is_alias(t, op) && !constant(t, v, &imm))
        return operand(t, op->a) + lane_size(op) * op->aux;
    *place = slot_new(t);
    if (constant(t, v, &imm)) {
        struct eval_op *e = emit(t, eval_labels.plain[EVAL_X_CONST64]);
        e->d = *place;
        e->imm = imm;
    } else if (op->op == IR_CONSTF32 || op->op == IR_CONSTF64) {
        struct eval_op *e = emit(t, eval_labels.plain[EVAL_X_CONST64]);
        e->d = *place;
        e->imm = op->imm;
    } else if (op->op == IR_CONSTV) {
        struct eval_op *e = emit(t, eval_labels.plain[EVAL_X_CONST128]);
        e->d = *place;
        e->imm = op->imm;
        e->imm2 = op->imm2;
    }
    return *place;
}

/* Gives back the slots of operands whose last use was at position `at`. */
static void
release(struct translator *t, ir_value v, uint32_t at)
{
    if (v == IR_NO_VALUE || v < t->first || v >= t->end || t->last_use[v - t->first] > at)
        return;
    if (is_alias(t, op_at(t, v))) {
        uint64_t imm;

        if (!constant(t, v, &imm)) {
            release(t, op_at(t, v)->a, at);
            return;
        }
    }
    int32_t place = t->place[v - t->first];
    int64_t slot = ((int64_t)place - t->slots) / (int64_t)sizeof(union eval_slot);
    if (place == PLACE_NONE || place < t->slots || slot < 0 || slot >= EVAL_SLOTS || t->free_count == EVAL_SLOTS)
        return;
    t->place[v - t->first] = PLACE_NONE;
    t->free[t->free_count++] = (uint16_t)slot;
}

static const void *
move_label(unsigned type)
{
    return eval_labels.plain[type == IR_V128                    ? EVAL_X_MOVE128
                             : type == IR_I64 || type == IR_F64 ? EVAL_X_MOVE64
                                                                : EVAL_X_MOVE32];
}

static void
translate_get(struct translator *t, uint32_t i, const struct ir_op *op)
{
    const struct ir_state_info *state = &ir_state_infos[op->aux];
    uint32_t last = t->last_use[i - t->first];

    /* at `last - 1` itself the state may be written: handlers read before they write */
    if (!rewritten(t, op->aux, i, last - 1)) {
        t->place[i - t->first] = state->offset;
        return;
    }
    struct eval_op *e = emit(t, move_label(state->type));
    e->a = state->offset;
    e->d = t->place[i - t->first] = slot_new(t);
}

static void
translate_set(struct translator *t, uint32_t i, const struct ir_op *op)
{
    const struct ir_state_info *state = &ir_state_infos[op->aux];
    struct eval_op *e;
    uint64_t imm;

    if (t->home[unextended(t, op->a) - t->first] == i + 1)
        return;
    if (constant(t, op->a, &imm)) {
        e = emit(t, eval_labels.plain[state->type == IR_I64 ? EVAL_X_CONST64 : EVAL_X_CONST32]);
        e->imm = imm;
        e->d = state->offset;
        return;
    }
    int32_t a = operand(t, op->a);
    e = emit(t, move_label(state->type));
    e->a = a;
    e->d = state->offset;
    release(t, op->a, i + 1);
}

static bool
is_commutative(unsigned op)
{
    switch (op) {
        /* clang-format off */
    case IR_ADD32: case IR_MUL32: case IR_AND32: case IR_OR32: case IR_XOR32: case IR_EQ32: case IR_NE32:
    case IR_ADD64: case IR_MUL64: case IR_AND64: case IR_OR64: case IR_XOR64: case IR_EQ64: case IR_NE64:
        /* clang-format on */
        return true;
    default: return false;
    }
}

/* Two-operand integer operations whose handler exists with a constant second operand. */
static bool
takes_immediate(const struct ir_op *op)
{
    return op->c == IR_NO_VALUE && op->op >= IR_EQ32 && op->op <= IR_MULHS64 &&
           !(op->op >= IR_DIVS64 && op->op <= IR_REMU64);
}

static void
translate_op(struct translator *t, uint32_t i, const struct ir_op *op)
{
    const struct ir_op_info *info = &ir_op_infos[op->op];
    const void *code = eval_labels.plain[op->op];
    uint64_t imm = op->imm, imm2 = op->imm2, value;
    ir_value va = op->a, vb = op->b;
    int32_t a, b = 0, c, d = 0;
    unsigned result = info->result;

    if ((op->op == IR_V128_LOAD || op->op == IR_V128_STORE) && op->aux)
        code = eval_labels.plain[op->op == IR_V128_LOAD ? EVAL_X_LOAD_ALIGNED : EVAL_X_STORE_ALIGNED];
    if (takes_immediate(op)) {
        if (is_commutative(op->op) && constant(t, va, &value) && !constant(t, vb, &imm)) {
            va = op->b;
            vb = op->a;
        }
        if (vb != IR_NO_VALUE && constant(t, vb, &value)) {
            code = eval_labels.immediate[op->op];
            imm = value;
            vb = IR_NO_VALUE;
        }
    }
    a = operand(t, va);
    b = operand(t, vb);
    c = operand(t, op->c);
    release(t, op->a, i + 1);
    release(t, op->b, i + 1);
    release(t, op->c, i + 1);
    if (op->op == IR_HELPER) {
        code = eval_labels.plain[EVAL_X_CALL];
        result = ir_helper_infos[op->aux].result;
    }
    if (result != IR_V) {
        uint32_t home = t->home[i - t->first];

        d = home ? (int32_t)ir_state_infos[op_at(t, home - 1)->aux].offset : slot_new(t);
        t->place[i - t->first] = d;
    }
    struct eval_op *e = emit(t, code);
    e->d = d;
    e->a = a;
    e->b = b;
    e->c = c;
    e->imm = imm;
    if (op->op == IR_HELPER) {
        e->fn = eval_helpers[op->aux];
    } else if (eval_simd[op->op]) {
        e->imm = op->aux;
        e->imm2 = imm2;
        if (e->code == eval_labels.plain[EVAL_X_CALL])
            e->fn = eval_simd[op->op];
    } else if (op->op >= IR_ATOMIC_ADD && op->op <= IR_ATOMIC_CMPXCHG) {
        e->imm2 = op->aux;
    } else {
        e->imm2 = imm2;
    }
    if (result != IR_V)
        release(t, i, i + 1); /* unused result */
}

static uint64_t
guest(const struct translator *t, uint64_t address)
{
    return t->image_base + address;
}

/* States nobody reads after the block: flags that all successors overwrite. */
static ir_states
dead_at_end(const struct translator *t, const struct eval_host *host)
{
    const struct ir_terminator *end = &t->b->end;
    uint64_t near = guest(t, t->b->address);
    unsigned live, budget = EVAL_LOOK_AHEAD;

    switch (end->kind) {
    case IR_T_JUMP:
    case IR_T_CALL: live = eval_flags_live(host, guest(t, end->target), near, &budget); break;
    case IR_T_BRANCH:
        live = eval_flags_live(host, guest(t, end->target), near, &budget);
        live |= eval_flags_live(host, guest(t, end->next), near, &budget);
        break;
    default: return 0;
    }
    return ((ir_states)(~live & 0x3f) << X86_S_CF) & IR_STATES_FLAGS;
}

static void
translate_end(struct translator *t)
{
    const struct ir_terminator *end = &t->b->end;
    struct eval_op *e;
    int32_t a = end->value != IR_NO_VALUE ? operand(t, end->value) : 0;

    switch (end->kind) {
    case IR_T_JUMP:
    case IR_T_CALL:
        e = emit(t, eval_labels.plain[EVAL_X_JUMP]);
        e->imm = guest(t, end->target);
        break;
    case IR_T_BRANCH:
        e = emit(t, eval_labels.plain[EVAL_X_BRANCH]);
        e->imm = guest(t, end->target);
        e->imm2 = guest(t, end->next);
        break;
    case IR_T_JUMP_INDIRECT:
    case IR_T_CALL_INDIRECT:
    case IR_T_RETURN: e = emit(t, eval_labels.plain[EVAL_X_INDIRECT]); break;
    case IR_T_SYSCALL:
        e = emit(t, eval_labels.plain[EVAL_X_SYSCALL]);
        e->imm = guest(t, end->next);
        break;
    case IR_T_TRAP:
        e = emit(t, eval_labels.plain[EVAL_X_TRAP]);
        e->imm = guest(t, end->target);
        a = end->trap;
        break;
    default:
        /* No SWITCH: the evaluator asks for no jump tables. */
        e = emit(t, eval_labels.plain[EVAL_X_TRAP]);
        e->imm = guest(t, t->b->address);
        a = IR_TRAP_UNLIFTED;
        break;
    }
    e->a = a;
}

static void
translate_ops(struct translator *t, const uint32_t *starts, uint32_t *mark_op)
{
    uint32_t mark = 0;

    for (uint32_t i = t->first; i < t->end; i++) {
        const struct ir_op *op = op_at(t, i);

        while (mark < t->b->insn_count && starts[mark] <= i)
            mark_op[mark++] = (uint32_t)t->ev->ops.count;
        if (!is_live(t, i) || is_alias(t, op))
            continue;
        switch (op->op) {
        case IR_CONST32:
        case IR_CONST64:
        case IR_CONSTF32:
        case IR_CONSTF64:
        case IR_CONSTV:
        case IR_ADDR: break;
        case IR_GET: translate_get(t, i, op); break;
        case IR_SET: translate_set(t, i, op); break;
        default: translate_op(t, i, op);
        }
    }
    while (mark < t->b->insn_count)
        mark_op[mark++] = (uint32_t)t->ev->ops.count;
    translate_end(t);
}

int
eval_translate(struct eval *ev, const struct eval_host *host, uint64_t address, const uint8_t *bytes, size_t size,
               uint64_t image_base, uint32_t max_insns, struct eval_code **out)
{
    uint32_t starts[EVAL_MAX_INSNS + 1] = {0}, mark_op[EVAL_MAX_INSNS + 1];
    uint32_t addresses[EVAL_MAX_INSNS + 1] = {0};
    struct translator t = {.ev = ev, .f = &ev->func, .image_base = image_base};
    struct lift_request request = {
        .bytes = bytes,
        .size = size,
        .address = address - image_base,
        .max_insns = max_insns,
        .op_starts = starts,
    };

    ir_func_clear(&ev->func, request.address);
    lift_block(&ev->build, &request);
    t.b = &ev->func.blocks.items[0];
    t.first = t.b->first_op;
    t.end = t.first + t.b->op_count;

    ev->ops.count = 0;
    ev->last_use.count = ev->place.count = 0;
    vec_reserve(&ev->last_use, 2 * (size_t)t.b->op_count + 1);
    vec_reserve(&ev->place, (size_t)t.b->op_count + 1);
    t.last_use = ev->last_use.items;
    t.home = ev->last_use.items + t.b->op_count;
    t.place = ev->place.items;
    for (uint32_t i = 0; i < t.b->op_count; i++)
        t.place[i] = PLACE_NONE;
    char *cpu = (char *)x86_this_cpu();
    /* Without this gcc subtracts the GOT's TLS offset in one instruction that the linker cannot relax. */
    __asm__("" : "+r"(cpu));
    t.slots = (char *)eval_slots - cpu;
    find_uses(&t, dead_at_end(&t, host));
    find_homes(&t);
    translate_ops(&t, starts, mark_op);
    if (t.overflow)
        return -1;
    if (t.b->insn_count == 0 && t.b->end.kind == IR_T_JUMP)
        return 1; /* cut off by the end of the bytes */

    uint64_t at = 0;
    for (uint32_t i = 0; i < t.b->insn_count; i++) {
        struct x86_insn insn;
        int length = at < size ? x86_decode(bytes + at, size - at, 0, &insn) : 0;

        addresses[i] = (uint32_t)at;
        at += length > 0 ? (uint64_t)length : 0;
    }
    struct eval_code *code = mem_zalloc(1, sizeof *code);

    code->end = address + (t.b->size ? t.b->size : 1);
    code->insn_count = code->mark_count = t.b->insn_count;
    code->op_count = (uint32_t)ev->ops.count;
    code->marks = mem_alloc((t.b->insn_count + 1) * sizeof *code->marks);
    for (uint32_t i = 0; i < t.b->insn_count; i++)
        code->marks[i] = (struct eval_mark){.op = mark_op[i], .address = addresses[i]};
    code->ops = mem_alloc(ev->ops.count * sizeof *code->ops);
    memcpy(code->ops, ev->ops.items, ev->ops.count * sizeof *code->ops);
    *out = code;
    return 0;
}

const struct ir_block *
eval_instruction_ir(struct ir_build *b, const uint8_t *bytes, size_t size, uint64_t address)
{
    struct lift_request request = {.bytes = bytes, .size = size, .address = address, .max_insns = 1};

    ir_func_clear(b->f, address);
    lift_block(b, &request);
    return &b->f->blocks.items[0];
}
