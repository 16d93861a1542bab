/* The comparison with Zydis. Differences that are meant are listed here, each with its reason. */
#include "oracle.h"

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "x86/cpu.h"
#include "x86/x86.h"

static ZydisDecoder decoder;
static uint64_t compared, valid, disagreements, shown;
static bool row_met[X86_ROW_COUNT];

/* Does insn.tab mean to cover the instruction? */
static bool
in_scope(const ZydisDecodedInstruction *z)
{
    switch (z->meta.isa_ext) {
        /* clang-format off */
    case ZYDIS_ISA_EXT_BASE: case ZYDIS_ISA_EXT_LONGMODE: case ZYDIS_ISA_EXT_X87: case ZYDIS_ISA_EXT_MMX:
    case ZYDIS_ISA_EXT_SSE: case ZYDIS_ISA_EXT_SSE2: case ZYDIS_ISA_EXT_SSE3: case ZYDIS_ISA_EXT_SSSE3:
    case ZYDIS_ISA_EXT_SSE4: case ZYDIS_ISA_EXT_AES: case ZYDIS_ISA_EXT_PCLMULQDQ: case ZYDIS_ISA_EXT_SHA:
    case ZYDIS_ISA_EXT_BMI1: case ZYDIS_ISA_EXT_BMI2: case ZYDIS_ISA_EXT_ADOX_ADCX:
    case ZYDIS_ISA_EXT_CLFLUSHOPT: case ZYDIS_ISA_EXT_CLFSH: case ZYDIS_ISA_EXT_CLWB: case ZYDIS_ISA_EXT_LZCNT:
    case ZYDIS_ISA_EXT_MOVBE: case ZYDIS_ISA_EXT_PAUSE: case ZYDIS_ISA_EXT_RDPID: case ZYDIS_ISA_EXT_RDRAND:
    case ZYDIS_ISA_EXT_RDSEED: case ZYDIS_ISA_EXT_RDTSCP: case ZYDIS_ISA_EXT_RDWRFSGS:
    case ZYDIS_ISA_EXT_XSAVE: case ZYDIS_ISA_EXT_XSAVEC: case ZYDIS_ISA_EXT_XSAVEOPT:
    case ZYDIS_ISA_EXT_XSAVES: case ZYDIS_ISA_EXT_AMD3DNOW_PREFETCH: case ZYDIS_ISA_EXT_PREFETCHWT1:
    case ZYDIS_ISA_EXT_MONITOR: case ZYDIS_ISA_EXT_SMAP: case ZYDIS_ISA_EXT_INVPCID:
        /* clang-format on */
        return true;
    case ZYDIS_ISA_EXT_CET:
        return z->mnemonic == ZYDIS_MNEMONIC_ENDBR32 || z->mnemonic == ZYDIS_MNEMONIC_ENDBR64 ||
               z->mnemonic == ZYDIS_MNEMONIC_RDSSPD || z->mnemonic == ZYDIS_MNEMONIC_RDSSPQ;
    case ZYDIS_ISA_EXT_AVX:
    case ZYDIS_ISA_EXT_AVX2:
    case ZYDIS_ISA_EXT_AVX2GATHER:
    case ZYDIS_ISA_EXT_AVXAES:
    case ZYDIS_ISA_EXT_FMA:
    case ZYDIS_ISA_EXT_F16C: return x86_level() >= X86_LEVEL_V3;
    default: return false;
    }
}

static bool
name_is(const struct x86_insn *i, const char *name)
{
    return !strcmp(x86_op_name(i->op), name);
}

/* The name Zydis would give it. */
static const char *
expected_name(const struct x86_insn *i, char *out, size_t size)
{
    static const char cc[16][4] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
                                   "s", "ns", "p", "np", "l", "nl", "le", "nle"};
    /* clang-format off */
    static const struct { const char *ours; const char *by_size[4]; } sized[] = {
        {"cbw", {0, "cbw", "cwde", "cdqe"}}, {"cwd", {0, "cwd", "cdq", "cqo"}},
        {"pushf", {0, "pushf", 0, "pushfq"}}, {"popf", {0, "popf", 0, "popfq"}},
        {"iret", {0, "iret", "iretd", "iretq"}},
        {"movd", {0, "movd", "movd", "movq"}}, {"pextrd", {0, "pextrd", "pextrd", "pextrq"}},
        {"pinsrd", {0, "pinsrd", "pinsrd", "pinsrq"}},
        {"vmovd", {0, "vmovd", "vmovd", "vmovq"}}, {"vpextrd", {0, "vpextrd", "vpextrd", "vpextrq"}},
        {"vpinsrd", {0, "vpinsrd", "vpinsrd", "vpinsrq"}},
        {"fxsave", {0, "fxsave", "fxsave", "fxsave64"}}, {"fxrstor", {0, "fxrstor", "fxrstor", "fxrstor64"}},
        {"xsave", {0, "xsave", "xsave", "xsave64"}}, {"xrstor", {0, "xrstor", "xrstor", "xrstor64"}},
        {"xsaveopt", {0, "xsaveopt", "xsaveopt", "xsaveopt64"}}, {"xsavec", {0, "xsavec", "xsavec", "xsavec64"}},
        {"xsaves", {0, "xsaves", "xsaves", "xsaves64"}}, {"xrstors", {0, "xrstors", "xrstors", "xrstors64"}},
    };
    /* clang-format on */
    static const char strings[][5] = {"movs", "cmps", "stos", "lods", "scas", "ins", "outs"};
    static const char *const plain[][2] = {
        {"mov_cr", "mov"}, {"mov_dr", "mov"},         {"callf", "call"},           {"jmpf", "jmp"},
        {"retf", "ret"},   {"fneni", "feni8087_nop"}, {"fndisi", "fdisi8087_nop"}, {"fnsetpm", "fsetpm287_nop"},
    };
    unsigned log = i->opsize == 8 ? 3 : i->opsize == 4 ? 2 : i->opsize == 2 ? 1 : 0;
    if (i->op == X86_OP_JCC || i->op == X86_OP_SETCC || i->op == X86_OP_CMOVCC) {
        const char *stem = i->op == X86_OP_JCC ? "j" : i->op == X86_OP_SETCC ? "set" : "cmov";
        snprintf(out, size, "%s%s", stem, cc[i->cc & 15]);
        return out;
    }
    if (i->op == X86_OP_JRCXZ)
        return i->address_size == 4 ? "jecxz" : "jrcxz";
    for (unsigned k = 0; k < sizeof sized / sizeof *sized; k++)
        if (name_is(i, sized[k].ours) && sized[k].by_size[log])
            return sized[k].by_size[log];
    for (unsigned k = 0; k < sizeof strings / sizeof *strings; k++)
        if (name_is(i, strings[k])) {
            snprintf(out, size, "%s%c", strings[k], "bwdq"[log]);
            return out;
        }
    for (unsigned k = 0; k < sizeof plain / sizeof *plain; k++)
        if (name_is(i, plain[k][0]))
            return plain[k][1];
    return x86_op_name(i->op);
}

/* Names that mean the same. */
static bool
same_name(const char *ours, const ZydisDecodedInstruction *z)
{
    static const char *const same[][2] = {
        {"nop", "rdsspd"},
        {"nop", "rdsspq"},
        {"fstp", "fstpnce"},
    };
    const char *theirs = ZydisMnemonicGetString(z->mnemonic);
    /* f3 41 90 is XCHG R8, RAX on the processor, PAUSE for Zydis. */
    if (z->mnemonic == ZYDIS_MNEMONIC_PAUSE && z->raw.rex.B)
        return !strcmp(ours, "xchg");
    if (!strcmp(ours, theirs))
        return true;
    for (unsigned k = 0; k < sizeof same / sizeof *same; k++)
        if (!strcmp(ours, same[k][0]) && !strcmp(theirs, same[k][1]))
            return true;
    return false;
}

static const char *
compare_register(const struct x86_operand *o, const ZydisDecodedOperand *z)
{
    ZydisRegister r = z->reg.value;
    ZydisRegisterClass class = ZydisRegisterGetClass(r);
    int id = ZydisRegisterGetId(r);
    unsigned want = 0, size = 0;
    switch (class) {
    case ZYDIS_REGCLASS_GPR8:
        size = 1;
        if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH) {
            want = X86_RC_GPR_HIGH;
            id = r - ZYDIS_REGISTER_AH;
        } else {
            want = X86_RC_GPR;
            id = r <= ZYDIS_REGISTER_BL ? r - ZYDIS_REGISTER_AL : r - ZYDIS_REGISTER_SPL + 4;
        }
        break;
        /* clang-format off */
    case ZYDIS_REGCLASS_GPR16: want = X86_RC_GPR; size = 2; break;
    case ZYDIS_REGCLASS_GPR32: want = X86_RC_GPR; size = 4; break;
    case ZYDIS_REGCLASS_GPR64: want = X86_RC_GPR; size = 8; break;
    case ZYDIS_REGCLASS_X87: want = X86_RC_X87; size = 10; break;
    case ZYDIS_REGCLASS_MMX: want = X86_RC_MMX; size = 8; break;
    case ZYDIS_REGCLASS_XMM: want = X86_RC_XMM; size = 16; break;
    case ZYDIS_REGCLASS_YMM: want = X86_RC_YMM; size = 32; break;
    case ZYDIS_REGCLASS_SEGMENT: want = X86_RC_SEG; size = 2; break;
    case ZYDIS_REGCLASS_CONTROL: want = X86_RC_CR; size = 8; break;
    case ZYDIS_REGCLASS_DEBUG: want = X86_RC_DR; size = 8; break;
    default: return "register class";
        /* clang-format on */
    }
    if (o->reg_class != want)
        return "register class";
    if (o->reg != id)
        return "register";
    return o->size == size ? NULL : "register size";
}

static int
register_number(ZydisRegister r, unsigned address_size, unsigned vector_size)
{
    if (r == ZYDIS_REGISTER_NONE)
        return X86_BASE_NONE;
    if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
        return X86_BASE_RIP;
    ZydisRegisterClass class = ZydisRegisterGetClass(r);
    if (vector_size)
        return class == (vector_size == 32 ? ZYDIS_REGCLASS_YMM : ZYDIS_REGCLASS_XMM) ? ZydisRegisterGetId(r) : -100;
    if (class != (address_size == 8 ? ZYDIS_REGCLASS_GPR64 : ZYDIS_REGCLASS_GPR32))
        return -100;
    return ZydisRegisterGetId(r);
}

/* ModRM.mod 0 with SIB.base 5 has no base, whatever REX.B (SDM vol. 2, table 2-5). With a 67 prefix, Zydis 4.0 sees
 * r13d. */
static bool
zydis_sees_r13(const struct x86_insn *i, const ZydisDecodedInstruction *zi)
{
    return i->address_size == 4 && zi->raw.modrm.mod == 0 && zi->raw.modrm.rm == 4 && zi->raw.sib.base == 5 &&
           zi->raw.rex.B;
}

static const char *
compare_memory(const struct x86_insn *i, const struct x86_operand *o, const ZydisDecodedInstruction *zi,
               const ZydisDecodedOperand *z)
{
    unsigned seg = z->mem.segment == ZYDIS_REGISTER_FS   ? X86_SEG_FS
                   : z->mem.segment == ZYDIS_REGISTER_GS ? X86_SEG_GS
                                                         : X86_SEG_DS;
    if (o->seg != seg)
        return "segment";
    if (zydis_sees_r13(i, zi) && o->base == X86_BASE_NONE)
        return NULL;
    if (o->base != register_number(z->mem.base, i->address_size, 0))
        return "base";
    if (o->index != register_number(z->mem.index, i->address_size, o->index_size))
        return "index";
    if (o->index != X86_BASE_NONE && o->scale != z->mem.scale)
        return "scale";
    int64_t disp = z->mem.disp.value;
    if (o->base == X86_BASE_RIP) {
        uint64_t address = i->address + zi->length + (uint64_t)disp;
        disp = (int64_t)(i->address_size == 4 ? (uint32_t)address : address);
    }
    /* Zydis sign-extends 32-bit moffs; they are absolute. */
    bool absolute32 = o->base == X86_BASE_NONE && o->index == X86_BASE_NONE && i->address_size == 4;
    if (absolute32 ? (uint32_t)o->disp != (uint32_t)disp : o->disp != disp)
        return "displacement";
    /* The far pointer of LSS and friends, descriptor registers, XSAVE areas: no lifter reads a size. */
    if (o->size == 0 || o->size * 8u == z->size)
        return NULL;
    switch (i->op) {
    case X86_OP_CALLF:
    case X86_OP_JMPF:
    case X86_OP_CLFLUSH:
    case X86_OP_CLFLUSHOPT:
    case X86_OP_CLWB: /* theirs: the whole line */
    case X86_OP_MOVSXD: /* with 66 it is MOVSXD r16, r/m16 (SDM) */ return NULL;
    }
    return "memory size";
}

/* Instructions that leave part of the destination register as it was; Zydis calls that written only. */
static bool
keeps_part(const struct x86_insn *i)
{
    switch (i->op) {
        /* clang-format off */
    case X86_OP_MOVLPS: case X86_OP_MOVHPS: case X86_OP_MOVLPD: case X86_OP_MOVHPD: case X86_OP_MOVHLPS:
    case X86_OP_MOVLHPS: case X86_OP_MOVSS: case X86_OP_MOVSD: case X86_OP_CVTSS2SD: case X86_OP_CVTSD2SS:
    case X86_OP_CVTPI2PS: case X86_OP_CVTSI2SS: case X86_OP_CVTSI2SD: case X86_OP_SQRTSS: case X86_OP_SQRTSD:
    case X86_OP_RSQRTSS: case X86_OP_RCPSS: case X86_OP_ROUNDSS: case X86_OP_ROUNDSD:
        /* clang-format on */
        return true;
    }
    return false;
}

static const char *
compare_operand(const struct x86_insn *i, const struct x86_operand *o, const ZydisDecodedInstruction *zi,
                const ZydisDecodedOperand *z)
{
    unsigned access = ((z->actions & ZYDIS_OPERAND_ACTION_MASK_READ) ? 1 : 0) |
                      ((z->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ? 2 : 0);
    const char *what = NULL;
    switch (z->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        if (o->kind != X86_OPD_REG)
            return "operand kind";
        what = compare_register(o, z);
        break;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        if (o->kind != X86_OPD_MEM)
            return "operand kind";
        what = compare_memory(i, o, zi, z);
        break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        if (z->imm.is_relative) {
            uint64_t target = i->address + zi->length + (uint64_t)z->imm.value.s;
            return o->kind != X86_OPD_REL ? "operand kind" : (uint64_t)o->imm != target ? "target" : NULL;
        } else {
            uint64_t mask = o->size >= 8 ? UINT64_MAX : (1ull << 8 * o->size) - 1;
            if (o->kind != X86_OPD_IMM)
                return "operand kind";
            if (((uint64_t)o->imm ^ z->imm.value.u) & mask)
                return "immediate";
        }
        return NULL;
    default: return "operand type";
    }
    if (what)
        return what;
    if (z->actions & ZYDIS_OPERAND_ACTION_CONDWRITE)
        access |= 1; /* what may not be written keeps its value */
    if (o->kind == X86_OPD_REG && o->reg_class == X86_RC_XMM && o->access == 3 && keeps_part(i))
        access |= 1;
    if ((i->op == X86_OP_BSF || i->op == X86_OP_BSR) && o == &i->operand[0])
        access |= 1; /* a source of zero leaves the destination as it was */
    if ((o->access & 2) != (access & 2))
        return "written";
    return (o->access & 1) != (access & 1) ? "read" : NULL;
}

static bool
string_op(const struct x86_insn *i)
{
    return i->op == X86_OP_MOVS || i->op == X86_OP_CMPS || i->op == X86_OP_STOS || i->op == X86_OP_LODS ||
           i->op == X86_OP_SCAS || i->op == X86_OP_INS || i->op == X86_OP_OUTS || i->op == X86_OP_XLAT;
}

static uint8_t
flag_mask(ZydisAccessedFlagsMask flags)
{
    return (
        uint8_t)((flags & ZYDIS_CPUFLAG_CF ? 1 << X86_FLAG_CF : 0) | (flags & ZYDIS_CPUFLAG_PF ? 1 << X86_FLAG_PF : 0) |
                 (flags & ZYDIS_CPUFLAG_AF ? 1 << X86_FLAG_AF : 0) | (flags & ZYDIS_CPUFLAG_ZF ? 1 << X86_FLAG_ZF : 0) |
                 (flags & ZYDIS_CPUFLAG_SF ? 1 << X86_FLAG_SF : 0) | (flags & ZYDIS_CPUFLAG_OF ? 1 << X86_FLAG_OF : 0) |
                 (flags & ZYDIS_CPUFLAG_DF ? 1 << X86_FLAG_DF : 0));
}

static const char *
compare_flags(const struct x86_insn *i, const ZydisDecodedInstruction *zi)
{
    struct x86_flag_effects e = x86_flag_effects(i);
    ZydisAccessedFlags none = {0};
    const ZydisAccessedFlags *f = zi->cpu_flags ? zi->cpu_flags : &none;
    if (e.written & e.undefined)
        return "flags overlap";
    switch (i->op) {
        /* clang-format off */
    case X86_OP_ROL: case X86_OP_ROR: case X86_OP_RCL: case X86_OP_RCR: case X86_OP_SHL: case X86_OP_SHR:
    case X86_OP_SAR: case X86_OP_SHLD: case X86_OP_SHRD:
        /* clang-format on */
        return NULL;     /* ours depend on the count: see test_decode.c */
    case X86_OP_SYSCALL: /* the kernel gives the flags back as they were */
    case X86_OP_SYSRET:
    case X86_OP_RSM:
    case X86_OP_BEXTR: /* theirs leaves CF and OF out, which are cleared (SDM) */ return NULL;
    case X86_OP_SBB: /* theirs leaves AF out */
    case X86_OP_VPTEST:
    case X86_OP_VTESTPS:
    case X86_OP_VTESTPD: /* and what these clear */ return NULL;
    case X86_OP_CMPS:
    case X86_OP_SCAS:
        if (i->rep || i->repne)
            return NULL; /* ours adds what RCX = 0 keeps, theirs ZF alone */
        break;
    }
    if (e.tested != flag_mask(f->tested))
        return "flags tested";
    if (e.written != flag_mask(f->modified | f->set_0 | f->set_1))
        return "flags written";
    return e.undefined != flag_mask(f->undefined) ? "flags undefined" : NULL;
}

static const char *
compare_flow(const struct x86_insn *i, const ZydisDecodedInstruction *zi)
{
    bool ends = false;
    switch (x86_flow(i)) {
    case X86_FLOW_JUMP:
    case X86_FLOW_JUMP_INDIRECT: ends = zi->meta.category == ZYDIS_CATEGORY_UNCOND_BR; break;
    case X86_FLOW_BRANCH: ends = zi->meta.category == ZYDIS_CATEGORY_COND_BR; break;
    case X86_FLOW_CALL:
    case X86_FLOW_CALL_INDIRECT: ends = zi->meta.category == ZYDIS_CATEGORY_CALL; break;
    case X86_FLOW_RETURN: ends = zi->meta.category == ZYDIS_CATEGORY_RET; break;
    case X86_FLOW_SYSCALL: ends = zi->mnemonic == ZYDIS_MNEMONIC_SYSCALL; break;
    case X86_FLOW_TRAP: return NULL;
    case X86_FLOW_NEXT:
        ends = zi->meta.category != ZYDIS_CATEGORY_UNCOND_BR && zi->meta.category != ZYDIS_CATEGORY_COND_BR &&
               zi->meta.category != ZYDIS_CATEGORY_CALL && zi->meta.category != ZYDIS_CATEGORY_RET &&
               !(zi->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED);
        break;
    }
    return ends ? NULL : "flow";
}

static const char *
compare_insn(const struct x86_insn *i, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *z)
{
    char name[64];
    if (!same_name(expected_name(i, name, sizeof name), zi))
        return "mnemonic";
    if (i->address_size * 8 != zi->address_width)
        return "address size";
    if (i->lock != !!(zi->attributes & ZYDIS_ATTRIB_HAS_LOCK))
        return "lock";
    if (zi->mnemonic == ZYDIS_MNEMONIC_PAUSE)
        return NULL;
    const char *what = compare_flags(i, zi);
    if (!what)
        what = compare_flow(i, zi);
    if (what)
        return what;
    unsigned count = zi->operand_count_visible;
    if (string_op(i))
        return NULL;
    unsigned ours = i->operand_count;
    if (i->op == X86_OP_NOP)
        return NULL; /* operands that are never looked at */
    if (i->op == X86_OP_FUCOMP && ours == 1)
        return compare_operand(i, &i->operand[0], zi, &z[1]); /* theirs writes ST(0), as for FUCOM it does not */
    if (i->op == X86_OP_MASKMOVQ || i->op == X86_OP_MASKMOVDQU || i->op == X86_OP_VMASKMOVDQU)
        ours = 2; /* ours names [rdi] too */
    if (ours != count)
        return "operand count";
    for (unsigned k = 0; k < ours; k++) {
        what = compare_operand(i, &i->operand[k], zi, &z[k]);
        if (what)
            return what;
    }
    return NULL;
}

/* --- text: operands as Zydis writes them --- */
static ZydisFormatter formatter;

static void
formatter_init(void)
{
    static const ZydisFormatterProperty unpadded[] = {
        ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE,
        ZYDIS_FORMATTER_PROP_ADDR_PADDING_RELATIVE,
        ZYDIS_FORMATTER_PROP_DISP_PADDING,
        ZYDIS_FORMATTER_PROP_IMM_PADDING,
    };
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
    for (unsigned k = 0; k < sizeof unpadded / sizeof *unpadded; k++)
        ZydisFormatterSetProperty(&formatter, unpadded[k], ZYDIS_PADDING_DISABLED);
    ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_FORCE_SIZE, ZYAN_TRUE);
    ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_IMM_SIGNEDNESS, ZYDIS_SIGNEDNESS_SIGNED);
}

/* Skips prefixes and mnemonic. */
static const char *
operands_of(const char *text)
{
    static const char *const prefixes[] = {"lock ",     "rep ",      "repe ", "repz ",   "repne ",
                                           "xacquire ", "xrelease ", "bnd ",  "notrack "};
    for (unsigned k = 0; k < sizeof prefixes / sizeof *prefixes; k++)
        if (!strncmp(text, prefixes[k], strlen(prefixes[k])))
            return operands_of(text + strlen(prefixes[k]));
    const char *space = strchr(text, ' ');
    return space ? space + 1 : "";
}

/* Where the operands are written otherwise on purpose. */
static bool
text_differs(const struct x86_insn *i, const ZydisDecodedInstruction *zi)
{
    switch (i->op) {
    /* no operands; "far" is an operand */
    case X86_OP_NOP:
    case X86_OP_RETF:
    case X86_OP_CALLF:
    case X86_OP_JMPF:
    /* implied operands */
    case X86_OP_MASKMOVQ:
    case X86_OP_MASKMOVDQU:
    case X86_OP_VMASKMOVDQU:
    case X86_OP_FUCOMP:
        /* sizes, as in compare_memory() */
        /* clang-format off */
    case X86_OP_LSS: case X86_OP_LFS: case X86_OP_LGS: case X86_OP_INVLPG:
    case X86_OP_CLFLUSH: case X86_OP_CLFLUSHOPT: case X86_OP_CLWB: case X86_OP_MOVSXD:
        /* clang-format on */
        return true;
    }
    return string_op(i) || zi->mnemonic == ZYDIS_MNEMONIC_PAUSE || zydis_sees_r13(i, zi);
}

/* st(3) to st3, [rel x] to [x] */
static void
as_zydis(char *text)
{
    char *rel = strstr(text, "[rel ");
    if (rel)
        memmove(rel + 1, rel + 5, strlen(rel + 5) + 1);
    for (char *st; (st = strstr(text, "st(")) != NULL;) {
        st[2] = st[3];
        memmove(st + 3, st + 5, strlen(st + 5) + 1);
    }
}

static const char *
compare_text(const struct x86_insn *i, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *z)
{
    char ours[128], theirs[128];
    if (text_differs(i, zi))
        return NULL;
    x86_format(i, ours, sizeof ours);
    as_zydis(ours);
    ZydisFormatterFormatInstruction(&formatter, zi, z, zi->operand_count_visible, theirs, sizeof theirs, i->address,
                                    NULL);
    return strcmp(operands_of(ours), operands_of(theirs)) ? "text" : NULL;
}

static void
disagree(const char *what, const uint8_t *bytes, int length, const struct x86_insn *i,
         const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *z)
{
    static uint64_t seen[4096];
    uint64_t key = ((uint64_t)(uintptr_t)what << 24) ^ ((uint64_t)(zi ? zi->mnemonic : 0) << 12) ^ (i ? i->op : 0);
    disagreements++;
    for (unsigned k = 0; k < 4096; k++) {
        if (seen[k] == key)
            return;
        if (!seen[k]) {
            seen[k] = key;
            break;
        }
    }
    if (shown++ >= 200)
        return;
    char ours[128] = "invalid", theirs[128] = "invalid";
    if (i)
        x86_format(i, ours, sizeof ours);
    if (zi) {
        ZydisFormatterFormatInstruction(&formatter, zi, z, zi->operand_count_visible, theirs, sizeof theirs,
                                        i ? i->address : 0x1000, NULL);
    }
    printf("%-14s ours (%d) %-44s theirs (%d) %-44s", what, length, ours, zi ? zi->length : 0, theirs);
    for (unsigned k = 0; k < 15; k++)
        printf(" %02x", bytes[k]);
    printf("\n");
}

void
oracle_init(void)
{
    formatter_init();
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    /* MPX and CLDEMOTE are hint NOPs where CPUID does not announce them; no processor of ours is a KNC. */
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_WBNOINVD, ZYAN_FALSE);
}

/* Instructions that no x86-64-v2 processor has: length and rip-relative operand. Of the legacy encodings only some are
 * known; what the first Xeon Phi alone had is not. */
static bool
same_foreign(const uint8_t *bytes, size_t size, uint64_t address, const ZydisDecodedInstruction *zi,
             const ZydisDecodedOperand *z)
{
    uint64_t data, expected = 0;
    int length = x86_foreign_length(bytes, size, address, &data);

    if (length == 0)
        return zi->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY || zi->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX;
    if (zi->mnemonic == ZYDIS_MNEMONIC_JKZD || zi->mnemonic == ZYDIS_MNEMONIC_JKNZD)
        return true;
    for (unsigned k = 0; k < zi->operand_count_visible; k++) {
        if (z[k].type == ZYDIS_OPERAND_TYPE_MEMORY && z[k].mem.base == ZYDIS_REGISTER_RIP)
            expected = address + zi->length + (uint64_t)z[k].mem.disp.value;
    }
    return length == zi->length && data == expected;
}

unsigned
oracle_check(const uint8_t *bytes, size_t size, uint64_t address)
{
    struct x86_insn i;
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand z[ZYDIS_MAX_OPERAND_COUNT];
    int length = x86_decode(bytes, size, address, &i);
    ZyanStatus status = ZydisDecoderDecodeFull(&decoder, bytes, size < 15 ? size : 15, &zi, z);
    bool theirs = ZYAN_SUCCESS(status);
    compared++;
    if (length < 0) {
        if (theirs)
            disagree("cut off", bytes, length, NULL, &zi, z);
        return 1;
    }
    bool scope = theirs && in_scope(&zi);
    if (length > 0 && !scope) {
        disagree(theirs ? "out of scope" : "validity", bytes, length, &i, theirs ? &zi : NULL, z);
        return (unsigned)length;
    }
    if (length == 0) {
        if (scope)
            disagree("validity", bytes, length, NULL, &zi, z);
        else if (theirs && !same_foreign(bytes, size, address, &zi, z))
            disagree("foreign length", bytes, x86_foreign_length(bytes, size, address, NULL), NULL, &zi, z);
        return theirs ? zi.length : 1;
    }
    valid++;
    row_met[i.row] = true;
    const char *what = length != zi.length ? "length" : compare_insn(&i, &zi, z);
    if (!what)
        what = compare_text(&i, &zi, z);
    if (what)
        disagree(what, bytes, length, &i, &zi, z);
    return (unsigned)length;
}

int
oracle_report(void)
{
    printf("%llu encodings, %llu valid, %llu disagreements\n", (unsigned long long)compared, (unsigned long long)valid,
           (unsigned long long)disagreements);
    return disagreements != 0;
}

int
oracle_report_rows(void)
{
    unsigned missing = 0;
    for (unsigned row = 0; row < X86_ROW_COUNT; row++)
        if (!row_met[row]) {
            printf("row %u of insn.tab was never met\n", row);
            missing++;
        }
    return missing != 0;
}
