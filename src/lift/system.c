/* The lifters of what asks the processor or the kernel for something: cpuid and clocks, fences and hints, segment
 * bases, software interrupts, and of all that user mode may not do. */
#include "lift/lift_internal.h"

#define B   (l->b)
#define DST (&l->insn->operand[0])
#define NO  IR_NO_VALUE

static void
set_pair(struct lift *l, unsigned low, unsigned high, ir_value v)
{
    ir_set(B, X86_S_RAX + low, ir_op2(B, IR_AND64, v, ir_const64(B, UINT32_MAX)));
    ir_set(B, X86_S_RAX + high, ir_op2(B, IR_SHRU64, v, ir_const64(B, 32)));
}

void
lift_cpuid(struct lift *l)
{
    ir_value v = ir_helper(B, IR_HELPER_cpuid, lift_read_gpr(l, X86_RAX, 4), lift_read_gpr(l, X86_RCX, 4), NO);
    ir_value more = ir_get(B, X86_S_TMP0);

    set_pair(l, X86_RAX, X86_RBX, v);
    set_pair(l, X86_RCX, X86_RDX, more);
}

void
lift_rdtsc(struct lift *l)
{
    set_pair(l, X86_RAX, X86_RDX, ir_helper(B, IR_HELPER_rdtsc, NO, NO, NO));
}

/* The number of the processor is the guest's own, as getcpu says it: it is not to learn which host processor runs it.
 * Linux keeps the number of the memory node above it (IA32_TSC_AUX), of which there is one here. */
void
lift_rdtscp(struct lift *l)
{
    lift_rdtsc(l);
    ir_set(B, X86_S_RCX, ir_helper(B, IR_HELPER_processor, NO, NO, NO));
}

void
lift_rdpid(struct lift *l)
{
    lift_write(l, DST, lift_from64(l, DST->size, ir_helper(B, IR_HELPER_processor, NO, NO, NO)));
}

void
lift_xgetbv(struct lift *l)
{
    set_pair(l, X86_RAX, X86_RDX,
             ir_helper(B, IR_HELPER_xgetbv, lift_read_gpr(l, X86_RCX, 4), ir_addr(B, l->insn->address), NO));
}

/* Sets CF to 1, which says that a random number was available, and clears the other flags. */
static void
random_number(struct lift *l)
{
    lift_write(l, DST, lift_from64(l, DST->size, ir_helper(B, IR_HELPER_random, NO, NO, NO)));
    for (unsigned flag = X86_FLAG_CF; flag <= X86_FLAG_OF; flag++)
        lift_set_flag(l, flag, ir_const32(B, flag == X86_FLAG_CF));
}

void
lift_rdrand(struct lift *l)
{
    random_number(l);
}

void
lift_rdseed(struct lift *l)
{
    random_number(l);
}

/* --- segment bases --- */

void
lift_rdfsbase(struct lift *l)
{
    lift_write(l, DST, lift_from64(l, DST->size, ir_get(B, X86_S_FSBASE)));
}

void
lift_rdgsbase(struct lift *l)
{
    lift_write(l, DST, lift_from64(l, DST->size, ir_get(B, X86_S_GSBASE)));
}

void
lift_wrfsbase(struct lift *l)
{
    ir_set(B, X86_S_FSBASE, lift_to64(l, DST->size, lift_read(l, DST)));
}

void
lift_wrgsbase(struct lift *l)
{
    ir_set(B, X86_S_GSBASE, lift_to64(l, DST->size, lift_read(l, DST)));
}

/* Lifts lar, lsl, verr and verw as for a selector whose descriptor is not visible: there are none here. */
static void
no_descriptor(struct lift *l)
{
    lift_set_flag(l, X86_FLAG_ZF, ir_const32(B, 0));
}

#define ALIAS(name, function)        \
    void lift_##name(struct lift *l) \
    {                                \
        function(l);                 \
    }

ALIAS(lar, no_descriptor)
ALIAS(lsl, no_descriptor)
ALIAS(verr, no_descriptor)
ALIAS(verw, no_descriptor)

/* --- descriptor tables: what Linux shows where user-mode instruction prevention is on (arch/x86/kernel/umip.c) --- */

static void
descriptor_table(struct lift *l, uint64_t base)
{
    uint32_t offset;
    ir_value address = lift_address32(l, DST, &offset);

    lift_store_at(l, address, offset + 2, 8, ir_const64(B, base));
    lift_store_at(l, address, offset, 2, ir_const32(B, 0)); /* the table's limit */
}

void
lift_sgdt(struct lift *l)
{
    descriptor_table(l, UINT64_C(0xfffffffffffe0000));
}

void
lift_sidt(struct lift *l)
{
    descriptor_table(l, UINT64_C(0xffffffffffff0000));
}

void
lift_sldt(struct lift *l)
{
    lift_write(l, DST, lift_const(l, DST->size, 0));
}

void
lift_str(struct lift *l)
{
    lift_write(l, DST, lift_const(l, DST->size, 0x40));
}

/* The result is CR0 with the bits PE, MP, ET, NE, WP, AM and PG. */
void
lift_smsw(struct lift *l)
{
    lift_write(l, DST, lift_const(l, DST->size, 0x80050033));
}

/* --- fences, and hints, which do nothing --- */

static void
fence(struct lift *l)
{
    ir_op_aux(B, IR_FENCE, 0, NO, NO, NO);
}

ALIAS(mfence, fence)
ALIAS(lfence, fence)
ALIAS(sfence, fence)

static void
nothing(struct lift *l)
{
}

ALIAS(nop, nothing)
ALIAS(pause, nothing)
ALIAS(endbr64, nothing)
ALIAS(endbr32, nothing)
ALIAS(prefetch, nothing)
ALIAS(prefetchw, nothing)
ALIAS(prefetchwt1, nothing)
ALIAS(prefetchnta, nothing)
ALIAS(prefetcht0, nothing)
ALIAS(prefetcht1, nothing)
ALIAS(prefetcht2, nothing)
ALIAS(clflush, nothing)
ALIAS(clflushopt, nothing)
ALIAS(clwb, nothing)

/* --- traps --- */

static void
trap_gp(struct lift *l)
{
    lift_end_trap(l, IR_TRAP_GP);
}

static void
trap_ud(struct lift *l)
{
    lift_end_trap(l, IR_TRAP_UD);
}

static void
trap_bp(struct lift *l)
{
    lift_end_trap(l, IR_TRAP_BP);
}

static void
trap_db(struct lift *l)
{
    lift_end_trap(l, IR_TRAP_DB);
}

/* INT with a number. Programs of 64 bits may use that of a breakpoint, which goes on behind the instruction as INT3
 * does, one byte before which the trap is said to be, and that of an overflow. */
static void
interrupt(struct lift *l)
{
    uint8_t vector = (uint8_t)l->insn->operand[0].imm;

    lift_end_trap(l, vector == IR_TRAP_BP || vector == IR_TRAP_OF ? vector : IR_TRAP_GP);
    if (vector == IR_TRAP_BP)
        l->end.target = l->insn->address + 1;
}

ALIAS(int, interrupt)
ALIAS(int3, trap_bp)
ALIAS(int1, trap_db)
ALIAS(ud0, trap_ud)
ALIAS(ud1, trap_ud)
ALIAS(ud2, trap_ud)

/* User mode may not use these, or no 64-bit program of Linux (int n and far transfers): they raise #GP. */
ALIAS(hlt, trap_gp)
ALIAS(cli, trap_gp)
ALIAS(sti, trap_gp)
ALIAS(in, trap_gp)
ALIAS(out, trap_gp)
ALIAS(ins, trap_gp)
ALIAS(outs, trap_gp)
ALIAS(iret, trap_gp)
ALIAS(retf, trap_gp)
ALIAS(callf, trap_gp)
ALIAS(jmpf, trap_gp)
ALIAS(lss, trap_gp)
ALIAS(lfs, trap_gp)
ALIAS(lgs, trap_gp)
ALIAS(lldt, trap_gp)
ALIAS(ltr, trap_gp)
ALIAS(lgdt, trap_gp)
ALIAS(lidt, trap_gp)
ALIAS(lmsw, trap_gp)
ALIAS(invlpg, trap_gp)
ALIAS(invpcid, trap_gp)
ALIAS(swapgs, trap_gp)
ALIAS(clts, trap_gp)
ALIAS(sysret, trap_gp)
ALIAS(sysexit, trap_gp)
ALIAS(invd, trap_gp)
ALIAS(wbinvd, trap_gp)
ALIAS(wrmsr, trap_gp)
ALIAS(rdmsr, trap_gp)
ALIAS(rdpmc, trap_gp)
ALIAS(mov_cr, trap_gp)
ALIAS(mov_dr, trap_gp)
ALIAS(xsetbv, trap_gp)

/* These raise #UD in user mode, or because CPUID denies them. Of the XSAVE family it has XSAVE and XRSTOR alone, and it
 * has no system calls of 32-bit programs. */
ALIAS(monitor, trap_ud)
ALIAS(mwait, trap_ud)
ALIAS(clac, trap_ud)
ALIAS(stac, trap_ud)
ALIAS(rsm, trap_ud)
ALIAS(sysenter, trap_ud)
ALIAS(xsavec, trap_ud)
ALIAS(xsaveopt, trap_ud)
ALIAS(xsaves, trap_ud)
ALIAS(xrstors, trap_ud)
