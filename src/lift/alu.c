/* The lifters of addition, subtraction and logic, with their locked forms, of exchanges, xadd and compare-exchange. */
#include "lift/lift_internal.h"

#define B   (l->b)
#define DST (&l->insn->operand[0])
#define SRC (&l->insn->operand[1])

/* An atomic operation on the destination, which is in memory. v is an i64; the result is the old value, as lift_read()
 * would give it. */
static ir_value
atomic(struct lift *l, enum ir_opcode op, ir_value v)
{
    ir_value address = ir_op1(B, IR_WRAP, lift_address(l, DST));
    ir_value old = ir_op_aux(B, op, DST->size, address, v, IR_NO_VALUE);

    return lift_from64(l, DST->size, old);
}

static bool
locked(const struct lift *l)
{
    return l->insn->lock && DST->kind == X86_OPD_MEM;
}

static ir_value
add(struct lift *l, unsigned size, ir_value a, ir_value b)
{
    return lift_narrow(l, size, LIFT_OP2(l, size, ADD, a, b));
}

static ir_value
sub(struct lift *l, unsigned size, ir_value a, ir_value b)
{
    return lift_narrow(l, size, LIFT_OP2(l, size, SUB, a, b));
}

static bool
same_register(const struct lift *l)
{
    return DST->kind == X86_OPD_REG && SRC->kind == X86_OPD_REG && DST->reg == SRC->reg &&
           DST->reg_class == SRC->reg_class;
}

void
lift_add(struct lift *l)
{
    unsigned size = DST->size;
    ir_value b = lift_source(l, SRC, size), a, r;

    if (locked(l)) {
        a = atomic(l, IR_ATOMIC_ADD, lift_to64(l, size, b));
        r = add(l, size, a, b);
    } else {
        a = lift_read(l, DST);
        r = add(l, size, a, b);
        lift_write(l, DST, r);
    }
    lift_flags_add(l, size, a, b, r);
}

void
lift_sub(struct lift *l)
{
    unsigned size = DST->size;
    ir_value b = lift_source(l, SRC, size), a, r;

    if (locked(l)) {
        a = atomic(l, IR_ATOMIC_ADD, ir_op2(B, IR_SUB64, ir_const64(B, 0), lift_to64(l, size, b)));
        r = sub(l, size, a, b);
    } else {
        a = lift_read(l, DST);
        r = sub(l, size, a, b);
        lift_write(l, DST, r);
    }
    lift_flags_sub(l, size, a, b, r);
}

void
lift_cmp(struct lift *l)
{
    unsigned size = DST->size;
    ir_value a = lift_read(l, DST), b = lift_source(l, SRC, size);

    lift_flags_sub(l, size, a, b, sub(l, size, a, b));
}

/* A flag as a value that can be added to those of the operation. */
static ir_value
flag_value(struct lift *l, unsigned size, unsigned flag)
{
    ir_value c = lift_get_flag(l, flag);

    return size == 8 ? ir_op1(B, IR_EXTU, c) : c;
}

void
lift_adc(struct lift *l)
{
    unsigned size = DST->size;
    ir_value c = lift_get_flag(l, X86_FLAG_CF), cv = flag_value(l, size, X86_FLAG_CF);
    ir_value b = lift_source(l, SRC, size), a, r, cf;

    if (locked(l)) {
        a = atomic(l, IR_ATOMIC_ADD, lift_to64(l, size, LIFT_OP2(l, size, ADD, b, cv)));
        r = add(l, size, LIFT_OP2(l, size, ADD, a, b), cv);
    } else {
        a = lift_read(l, DST);
        r = add(l, size, LIFT_OP2(l, size, ADD, a, b), cv);
        lift_write(l, DST, r);
    }
    cf = ir_op2(B, IR_OR32, LIFT_OP2(l, size, LTU, r, a), ir_op2(B, IR_AND32, LIFT_OP2(l, size, EQ, r, a), c));
    lift_flags_add(l, size, a, b, r);
    lift_set_flag(l, X86_FLAG_CF, cf);
}

void
lift_sbb(struct lift *l)
{
    unsigned size = DST->size;
    ir_value c = lift_get_flag(l, X86_FLAG_CF), cv = flag_value(l, size, X86_FLAG_CF);
    ir_value b = lift_source(l, SRC, size), a, r, cf;

    if (locked(l)) {
        ir_value v = lift_to64(l, size, LIFT_OP2(l, size, ADD, b, cv));

        a = atomic(l, IR_ATOMIC_ADD, ir_op2(B, IR_SUB64, ir_const64(B, 0), v));
        r = sub(l, size, LIFT_OP2(l, size, SUB, a, b), cv);
    } else {
        a = lift_read(l, DST);
        r = sub(l, size, LIFT_OP2(l, size, SUB, a, b), cv);
        lift_write(l, DST, r);
    }
    cf = ir_op2(B, IR_OR32, LIFT_OP2(l, size, LTU, a, b), ir_op2(B, IR_AND32, LIFT_OP2(l, size, EQ, a, b), c));
    lift_flags_sub(l, size, a, b, r);
    lift_set_flag(l, X86_FLAG_CF, cf);
    lift_set_flag(l, X86_FLAG_ZF, LIFT_OP1(l, size, EQZ, r));
}

static void
logic(struct lift *l, enum ir_opcode op32, enum ir_opcode op64, enum ir_opcode atomic_op)
{
    unsigned size = DST->size;
    ir_value b = lift_source(l, SRC, size), a, r;

    if (locked(l)) {
        a = atomic(l, atomic_op, lift_to64(l, size, b));
        r = ir_op2(B, size == 8 ? op64 : op32, a, b);
    } else {
        a = lift_read(l, DST);
        r = ir_op2(B, size == 8 ? op64 : op32, a, b);
        lift_write(l, DST, r);
    }
    lift_flags_logic(l, size, r);
}

void
lift_and(struct lift *l)
{
    logic(l, IR_AND32, IR_AND64, IR_ATOMIC_AND);
}

void
lift_or(struct lift *l)
{
    logic(l, IR_OR32, IR_OR64, IR_ATOMIC_OR);
}

void
lift_xor(struct lift *l)
{
    if (same_register(l)) { /* This is how compilers clear a register: the result does not depend on what it had. */
        ir_value zero = lift_const(l, DST->size, 0);

        lift_write(l, DST, zero);
        lift_flags_logic(l, DST->size, zero);
        return;
    }
    logic(l, IR_XOR32, IR_XOR64, IR_ATOMIC_XOR);
}

void
lift_test(struct lift *l)
{
    unsigned size = DST->size;
    ir_value a = lift_read(l, DST), b = lift_source(l, SRC, size);

    lift_flags_logic(l, size, LIFT_OP2(l, size, AND, a, b));
}

/* Lifts inc and dec, which keep CF. */
static void
increment(struct lift *l, bool down)
{
    unsigned size = DST->size;
    ir_value one = lift_const(l, size, 1), cf = lift_get_flag(l, X86_FLAG_CF), a, r;

    if (locked(l))
        a = atomic(l, IR_ATOMIC_ADD, ir_const64(B, down ? UINT64_MAX : 1));
    else
        a = lift_read(l, DST);
    r = down ? sub(l, size, a, one) : add(l, size, a, one);
    if (!locked(l))
        lift_write(l, DST, r);
    if (down)
        lift_flags_sub(l, size, a, one, r);
    else
        lift_flags_add(l, size, a, one, r);
    lift_set_flag(l, X86_FLAG_CF, cf);
}

void
lift_inc(struct lift *l)
{
    increment(l, false);
}

void
lift_dec(struct lift *l)
{
    increment(l, true);
}

void
lift_neg(struct lift *l)
{
    unsigned size = DST->size;
    ir_value zero = lift_const(l, size, 0), a, r;

    if (locked(l)) {
        a = atomic(l, IR_ATOMIC_RSUB, ir_const64(B, 0));
        r = sub(l, size, zero, a);
    } else {
        a = lift_read(l, DST);
        r = sub(l, size, zero, a);
        lift_write(l, DST, r);
    }
    lift_flags_sub(l, size, zero, a, r);
}

void
lift_not(struct lift *l)
{
    unsigned size = DST->size;

    if (locked(l))
        atomic(l, IR_ATOMIC_XOR, ir_const64(B, UINT64_MAX));
    else
        lift_write(l, DST, LIFT_OP2(l, size, XOR, lift_read(l, DST), lift_const(l, size, UINT64_MAX)));
}

/* --- exchange --- */

void
lift_xchg(struct lift *l)
{
    ir_value a, b;

    if (DST->kind == X86_OPD_MEM) { /* This is atomic with the prefix and without it (SDM, XCHG). */
        b = lift_read(l, SRC);
        lift_write(l, SRC, atomic(l, IR_ATOMIC_XCHG, lift_to64(l, DST->size, b)));
        return;
    }
    a = lift_read(l, DST);
    b = lift_read(l, SRC);
    lift_write(l, DST, b);
    lift_write(l, SRC, a);
}

void
lift_xadd(struct lift *l)
{
    unsigned size = DST->size;
    ir_value b = lift_read(l, SRC), a, r, address;
    uint32_t offset;

    if (locked(l)) {
        a = atomic(l, IR_ATOMIC_ADD, lift_to64(l, size, b));
        r = add(l, size, a, b);
        lift_write(l, SRC, a);
    } else if (DST->kind == X86_OPD_MEM) {
        address = lift_address32(l, DST, &offset); /* It is computed before SRC changes, which may be part of it. */
        a = lift_load_at(l, address, offset, size);
        r = add(l, size, a, b);
        lift_store_at(l, address, offset, size, r);
        lift_write(l, SRC, a);
    } else {
        a = lift_read(l, DST);
        r = add(l, size, a, b);
        lift_write(l, SRC, a);
        lift_write(l, DST, r); /* This write is the last: when both are one register, the sum stays (SDM, XADD). */
    }
    lift_flags_add(l, size, a, b, r);
}

/* Sets the accumulator, al up to rax, to the old value of the destination unless that was what it had. Then all of rax
 * stays. Otherwise a 32-bit accumulator is written, which zero-extends it. */
static void
set_accumulator(struct lift *l, unsigned size, ir_value old, ir_value equal)
{
    ir_value before = ir_get(B, X86_S_RAX);

    lift_write_gpr(l, X86_RAX, size, old);
    ir_set(B, X86_S_RAX, ir_op3(B, IR_SELECT64, before, ir_get(B, X86_S_RAX), equal));
}

void
lift_cmpxchg(struct lift *l)
{
    unsigned size = DST->size;
    ir_value accumulator = lift_read_gpr(l, X86_RAX, size), new = lift_read(l, SRC), old, equal;
    uint32_t offset;
    ir_value address;

    if (locked(l)) {
        address = ir_op1(B, IR_WRAP, lift_address(l, DST));
        old = ir_op_aux(B, IR_ATOMIC_CMPXCHG, (uint16_t)size, address, lift_to64(l, size, accumulator),
                        lift_to64(l, size, new));
        old = lift_from64(l, size, old);
        equal = LIFT_OP2(l, size, EQ, accumulator, old);
    } else if (DST->kind == X86_OPD_MEM) {
        address = lift_address32(l, DST, &offset);
        old = lift_load_at(l, address, offset, size);
        equal = LIFT_OP2(l, size, EQ, accumulator, old);
        lift_store_at(l, address, offset, size, LIFT_SELECT(l, size, new, old, equal));
    } else {
        old = lift_read(l, DST);
        equal = LIFT_OP2(l, size, EQ, accumulator, old);
    }
    set_accumulator(l, size, old, equal);
    if (DST->kind == X86_OPD_REG) {
        /* The destination is written last, because it may be rax itself. */
        if (size == 4) {
            ir_value kept = ir_get(B, X86_S_RAX + DST->reg);

            ir_set(B, X86_S_RAX + DST->reg, ir_op3(B, IR_SELECT64, ir_op1(B, IR_EXTU, new), kept, equal));
        } else {
            lift_write(l, DST, LIFT_SELECT(l, size, new, lift_read(l, DST), equal));
        }
    }
    lift_flags_sub(l, size, accumulator, old, sub(l, size, accumulator, old));
}

/* Sets rdx and rax to what was in memory, unless that was what they had. Then they stay, in the form of 8 bytes with
 * their upper halves, too. */
static void
set_pair(struct lift *l, ir_value low, ir_value high, ir_value equal)
{
    ir_set(B, X86_S_RAX, ir_op3(B, IR_SELECT64, ir_get(B, X86_S_RAX), low, equal));
    ir_set(B, X86_S_RDX, ir_op3(B, IR_SELECT64, ir_get(B, X86_S_RDX), high, equal));
    lift_set_flag(l, X86_FLAG_ZF, equal);
}

static ir_value
pair_of_halves(struct lift *l, unsigned low, unsigned high)
{
    ir_value a = lift_to64(l, 4, lift_read_gpr(l, low, 4)), d = lift_to64(l, 4, lift_read_gpr(l, high, 4));

    return ir_op2(B, IR_OR64, a, ir_op2(B, IR_SHL64, d, ir_const64(B, 32)));
}

/* The operation is atomic with the prefix LOCK and without it, which is allowed: LOCK only forbids that others come
 * between. */
void
lift_cmpxchg8b(struct lift *l)
{
    ir_value address = ir_op1(B, IR_WRAP, lift_address(l, DST)), expected = pair_of_halves(l, X86_RAX, X86_RDX);
    ir_value old = ir_op_aux(B, IR_ATOMIC_CMPXCHG, 8, address, expected, pair_of_halves(l, X86_RBX, X86_RCX));

    set_pair(l, ir_op2(B, IR_AND64, old, ir_const64(B, UINT32_MAX)), ir_op2(B, IR_SHRU64, old, ir_const64(B, 32)),
             ir_op2(B, IR_EQ64, old, expected));
}

static ir_value
vector_of_pair(struct lift *l, unsigned low, unsigned high)
{
    ir_value v = ir_op1(B, IR_I64X2_SPLAT, lift_read_gpr(l, low, 8));

    return ir_op_aux(B, IR_I64X2_REPLACE, 1, v, lift_read_gpr(l, high, 8), IR_NO_VALUE);
}

void
lift_cmpxchg16b(struct lift *l)
{
    ir_value address = ir_op1(B, IR_WRAP, lift_address(l, DST)), old, low, high, equal;

    ir_helper(B, IR_HELPER_raise_if, ir_op2(B, IR_AND32, address, ir_const32(B, 15)), ir_addr(B, l->insn->address),
              ir_const32(B, IR_TRAP_GP));
    old = ir_op_aux(B, IR_ATOMIC_CMPXCHG16, 16, address, vector_of_pair(l, X86_RAX, X86_RDX),
                    vector_of_pair(l, X86_RBX, X86_RCX));
    low = ir_op_aux(B, IR_I64X2_EXTRACT, 0, old, IR_NO_VALUE, IR_NO_VALUE);
    high = ir_op_aux(B, IR_I64X2_EXTRACT, 1, old, IR_NO_VALUE, IR_NO_VALUE);
    equal = ir_op2(B, IR_AND32, ir_op2(B, IR_EQ64, low, lift_read_gpr(l, X86_RAX, 8)),
                   ir_op2(B, IR_EQ64, high, lift_read_gpr(l, X86_RDX, 8)));
    set_pair(l, low, high, equal);
}

/* --- ADX: sums of which only one flag is the carry, so that two chains of them can run side by side --- */

static void
add_with(struct lift *l, unsigned flag)
{
    unsigned size = DST->size;
    ir_value c = lift_get_flag(l, flag), a = lift_read(l, DST), b = lift_read(l, SRC), r;

    r = LIFT_OP2(l, size, ADD, LIFT_OP2(l, size, ADD, a, b), flag_value(l, size, flag));
    lift_write(l, DST, r);
    lift_set_flag(l, flag,
                  ir_op2(B, IR_OR32, LIFT_OP2(l, size, LTU, r, a),
                         ir_op2(B, IR_AND32, LIFT_OP2(l, size, EQ, r, a), c)));
}

void
lift_adcx(struct lift *l)
{
    add_with(l, X86_FLAG_CF);
}

void
lift_adox(struct lift *l)
{
    add_with(l, X86_FLAG_OF);
}
