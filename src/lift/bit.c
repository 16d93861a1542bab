/* The lifters of instructions on single bits, of bit scans and counts, and of byte swaps. */
#include "lift/lift_internal.h"

#define B   (l->b)
#define DST (&l->insn->operand[0])
#define SRC (&l->insn->operand[1])

enum change { KEEP, SET, RESET, COMPLEMENT };

/* Where the bit is. When a register has the bit's number, a memory operand is a string of bits without end, counted
 * from its address in both directions (SDM vol. 2, BT). */
struct place {
    ir_value address; /* address and offset are valid for memory */
    uint32_t offset;
    ir_value mask; /* 1 << bit, a value of the operand's size */
    ir_value bit;
};

static struct place
find_place(struct lift *l, unsigned size)
{
    bool memory = DST->kind == X86_OPD_MEM;
    unsigned bits = size * 8;
    struct place p = {.address = IR_NO_VALUE};
    ir_value index = lift_source(l, SRC, size), one = lift_const(l, size, 1);

    if (memory && SRC->kind == X86_OPD_REG) {
        unsigned shift = size == 2 ? 4 : size == 4 ? 5 : 6;
        ir_value wide = lift_sign_extend(l, size, index), bytes;

        wide = size == 8 ? wide : ir_op1(B, IR_EXTS, wide);
        bytes = ir_op2(B, IR_SHRS64, wide, ir_const64(B, shift));
        bytes = ir_op2(B, IR_SHL64, bytes, ir_const64(B, shift - 3));
        bytes = ir_op2(B, IR_ADD64, lift_address(l, DST), bytes);
        p.address = ir_op1(B, IR_WRAP, bytes);
    } else if (memory) {
        p.address = lift_address32(l, DST, &p.offset);
        if (l->insn->lock) {
            p.address = ir_op1(B, IR_WRAP, lift_address(l, DST));
            p.offset = 0;
        }
    }
    p.bit = LIFT_OP2(l, size, AND, index, lift_const(l, size, bits - 1));
    p.mask = LIFT_OP2(l, size, SHL, one, p.bit);
    return p;
}

static ir_value
changed(struct lift *l, unsigned size, enum change change, ir_value v, ir_value mask)
{
    switch (change) {
    case SET: return LIFT_OP2(l, size, OR, v, mask);
    case RESET: return LIFT_OP2(l, size, AND, v, LIFT_OP2(l, size, XOR, mask, lift_const(l, size, UINT64_MAX)));
    case COMPLEMENT: return LIFT_OP2(l, size, XOR, v, mask);
    default: return v;
    }
}

static ir_value
atomically(struct lift *l, unsigned size, enum change change, const struct place *p)
{
    ir_value mask = lift_to64(l, size, p->mask);
    unsigned op = change == SET ? IR_ATOMIC_OR : change == RESET ? IR_ATOMIC_AND : IR_ATOMIC_XOR;

    if (change == RESET)
        mask = ir_op2(B, IR_XOR64, mask, ir_const64(B, UINT64_MAX));
    return lift_from64(l, size, ir_op_aux(B, op, (uint16_t)size, p->address, mask, IR_NO_VALUE));
}

static void
bit_test(struct lift *l, enum change change)
{
    unsigned size = DST->size;
    struct place p = find_place(l, size);
    ir_value v, cf;

    if (DST->kind != X86_OPD_MEM) {
        v = lift_read(l, DST);
        if (change != KEEP)
            lift_write(l, DST, changed(l, size, change, v, p.mask));
    } else if (l->insn->lock && change != KEEP) {
        v = atomically(l, size, change, &p);
    } else {
        v = lift_load_at(l, p.address, p.offset, size);
        if (change != KEEP)
            lift_store_at(l, p.address, p.offset, size, changed(l, size, change, v, p.mask));
    }
    cf = LIFT_OP2(l, size, SHRU, v, p.bit);
    cf = size == 8 ? ir_op1(B, IR_WRAP, cf) : cf;
    lift_set_flag(l, X86_FLAG_CF, ir_op2(B, IR_AND32, cf, ir_const32(B, 1)));
}

void
lift_bt(struct lift *l)
{
    bit_test(l, KEEP);
}

void
lift_bts(struct lift *l)
{
    bit_test(l, SET);
}

void
lift_btr(struct lift *l)
{
    bit_test(l, RESET);
}

void
lift_btc(struct lift *l)
{
    bit_test(l, COMPLEMENT);
}

/* --- scans --- */

/* When the source is zero, the whole destination register stays as it was. AMD's manual says so, Intel's processors do
 * so, and programs rely on it. */
static void
scan(struct lift *l, ir_value found, ir_value zero)
{
    ir_value before = ir_get(B, X86_S_RAX + DST->reg);

    lift_write(l, DST, found);
    ir_set(B, X86_S_RAX + DST->reg, ir_op3(B, IR_SELECT64, before, ir_get(B, X86_S_RAX + DST->reg), zero));
    lift_set_flag(l, X86_FLAG_ZF, zero);
}

void
lift_bsf(struct lift *l)
{
    unsigned size = DST->size;
    ir_value v = lift_read(l, SRC);

    scan(l, LIFT_OP1(l, size, CTZ, v), LIFT_OP1(l, size, EQZ, v));
}

void
lift_bsr(struct lift *l)
{
    unsigned size = DST->size;
    ir_value v = lift_read(l, SRC), top = lift_const(l, size == 8 ? 8 : 4, size == 8 ? 63 : 31);

    scan(l, LIFT_OP2(l, size, XOR, LIFT_OP1(l, size, CLZ, v), top), LIFT_OP1(l, size, EQZ, v));
}

static void
count_zeros(struct lift *l, unsigned size, ir_value source, ir_value r)
{
    lift_write(l, DST, r);
    lift_set_flag(l, X86_FLAG_CF, LIFT_OP1(l, size, EQZ, source));
    lift_set_flag(l, X86_FLAG_ZF, LIFT_OP1(l, size, EQZ, r));
}

void
lift_tzcnt(struct lift *l)
{
    unsigned size = DST->size;
    ir_value v = lift_read(l, SRC), stop = v;

    if (size == 2)
        stop = ir_op2(B, IR_OR32, v, ir_const32(B, 0x10000));
    count_zeros(l, size, v, LIFT_OP1(l, size, CTZ, stop));
}

void
lift_lzcnt(struct lift *l)
{
    unsigned size = DST->size;
    ir_value v = lift_read(l, SRC), r = LIFT_OP1(l, size, CLZ, v);

    if (size == 2)
        r = ir_op2(B, IR_SUB32, r, ir_const32(B, 16));
    count_zeros(l, size, v, r);
}

void
lift_popcnt(struct lift *l)
{
    unsigned size = DST->size;
    ir_value v = lift_read(l, SRC), zero = ir_const32(B, 0);

    lift_write(l, DST, LIFT_OP1(l, size, POPCNT, v));
    lift_set_flag(l, X86_FLAG_CF, zero);
    lift_set_flag(l, X86_FLAG_PF, zero);
    lift_set_flag(l, X86_FLAG_AF, zero);
    lift_set_flag(l, X86_FLAG_SF, zero);
    lift_set_flag(l, X86_FLAG_OF, zero);
    lift_set_flag(l, X86_FLAG_ZF, LIFT_OP1(l, size, EQZ, v));
}

/* --- byte order --- */

/* Swaps neighbouring groups of bits: ((v >> shift) & mask) | ((v & mask) << shift). */
static ir_value
swap_groups(struct lift *l, ir_value v, unsigned shift, uint64_t mask)
{
    ir_value m = ir_const64(B, mask), s = ir_const64(B, shift);
    ir_value up = ir_op2(B, IR_SHL64, ir_op2(B, IR_AND64, v, m), s);
    ir_value down = ir_op2(B, IR_AND64, ir_op2(B, IR_SHRU64, v, s), m);

    return ir_op2(B, IR_OR64, up, down);
}

static ir_value
byte_swap(struct lift *l, unsigned size, ir_value v)
{
    if (size == 8) {
        v = swap_groups(l, v, 8, UINT64_C(0x00ff00ff00ff00ff));
        v = swap_groups(l, v, 16, UINT64_C(0x0000ffff0000ffff));
        return ir_op2(B, IR_ROTL64, v, ir_const64(B, 32));
    }
    if (size == 2)
        return lift_narrow(l, 2,
                           ir_op2(B, IR_OR32, ir_op2(B, IR_SHL32, v, ir_const32(B, 8)),
                                  ir_op2(B, IR_SHRU32, v, ir_const32(B, 8))));
    return ir_op2(B, IR_OR32, ir_op2(B, IR_AND32, ir_op2(B, IR_ROTL32, v, ir_const32(B, 8)), ir_const32(B, 0x00ff00ff)),
                  ir_op2(B, IR_AND32, ir_op2(B, IR_ROTR32, v, ir_const32(B, 8)), ir_const32(B, 0xff00ff00)));
}

void
lift_bswap(struct lift *l)
{
    unsigned size = DST->size;

    /* The result of a 16-bit bswap is undefined; processors give 0. */
    lift_write(l, DST, size == 2 ? ir_const32(B, 0) : byte_swap(l, size, lift_read(l, DST)));
}

void
lift_movbe(struct lift *l)
{
    lift_write(l, DST, byte_swap(l, DST->size, lift_read(l, SRC)));
}

void
lift_crc32(struct lift *l)
{
    ir_value sum = lift_read_gpr(l, DST->reg, 4);
    ir_value v = lift_to64(l, SRC->size, lift_read(l, SRC));

    sum = ir_helper(B, IR_HELPER_crc32, sum, v, ir_const32(B, SRC->size));
    lift_write_gpr(l, DST->reg, 4, sum);
}
