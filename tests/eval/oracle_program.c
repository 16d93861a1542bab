/* Programs: a single instruction of a form, a random run of instructions, or given bytes; and states to run them
 * from. */
#include "oracle.h"

#include <stdio.h>
#include <string.h>

#include "lift/lift.h"

unsigned program_host_only;
bool program_portable;

static const uint16_t flag_bit[X86_FLAG_COUNT] = {1, 4, 0x10, 0x40, 0x80, 0x800, 0x400};

static void
add_bytes(struct program *p)
{
    p->size = 0;
    for (unsigned i = 0; i < p->count; i++) {
        memcpy(p->code + p->size, p->part[i].bytes, p->part[i].length);
        p->size += p->part[i].length;
    }
}

static uint16_t
address_registers(const struct x86_insn *insn)
{
    uint16_t out = 1u << X86_RSP;

    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind != X86_OPD_MEM)
            continue;
        if (o->base >= 0 && o->base < 16)
            out |= (uint16_t)(1u << o->base);
        if (o->index >= 0 && !o->index_size)
            out |= (uint16_t)(1u << o->index);
    }
    return out;
}

/* Cache line operations do nothing here; whether a masked store faults for bytes that it does not store is the
 * processor's choice (SDM vol. 2, MASKMOVQ). */
static bool
faults_differently(unsigned op)
{
    return op == X86_OP_CLFLUSH || op == X86_OP_CLFLUSHOPT || op == X86_OP_CLWB || op == X86_OP_MASKMOVQ ||
           op == X86_OP_MASKMOVDQU || op == X86_OP_VMASKMOVDQU;
}

static uint64_t
stack_near_edge(void)
{
    return (random_below(2) ? WINDOW : WINDOW + WINDOW_SIZE) +
           (random_below(4) ? 8 * random_below(32) : random_below(256)) - 128;
}

bool
program_of_form(struct program *p, const struct form *f, uint64_t address)
{
    p->form = f;
    p->address = address;
    p->count = 1;
    p->sequence = false;
    p->kept = 0;
    p->host_only = program_host_only && random_below(2 * program_host_only) == 0;
    state_random(&p->anchor);
    form_faults = f->memory && (p->host_only || !(f->sample.rep || f->sample.repne)) &&
                  random_below(p->host_only ? 4 : 16) == 0 && !faults_differently(f->op);
    form_misaligns = random_below(16) == 0;
    form_prefixes = random_below(8) == 0;
    if (p->host_only && random_below(4) == 0) {
        form_faults = true;
        p->anchor.gpr[X86_RSP] = stack_near_edge();
    }
    if (!form_make(f, address, false, &p->anchor, &p->part[0]))
        return false;
    p->anchored = address_registers(&p->part[0].insn);
    add_bytes(p);
    return true;
}

/* SHLD and SHRD of 16 bits by more than 16 leave the destination undefined; F2XM1 wants at most 1, FYL2XP1 less than
 * 0.29. */
static bool
result_undefined(const struct x86_insn *insn, const struct state *s)
{
    if (insn->op == X86_OP_F2XM1 || insn->op == X86_OP_FYL2XP1) {
        unsigned exponent = s ? (s->fx[40] | s->fx[41] << 8) & 0x7fff : 0;
        bool one = s && exponent == 0x3fff && insn->op == X86_OP_F2XM1 && s->fx[39] == 0x80 && !(s->fx[32] | s->fx[38]);

        return !s || (exponent >= (insn->op == X86_OP_F2XM1 ? 0x3fff : 0x3ffd) && exponent != 0x7fff && !one);
    }
    if ((insn->op == X86_OP_SHLD || insn->op == X86_OP_SHRD) && insn->opsize == 2) {
        const struct x86_operand *o = &insn->operand[2];
        return !s || ((o->kind == X86_OPD_IMM ? (uint64_t)o->imm : s->gpr[X86_RCX]) & 31) > 16;
    }
    return insn->op == X86_OP_BSWAP && insn->opsize == 2;
}

/* #GP for 16 bytes that are not aligned. */
static bool
may_be_misaligned(const struct program *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (x86_alignment(&p->part[i].insn) > 1)
            return true;
    }
    return false;
}

bool
program_covered(const struct program *p, const struct execution *x, const struct outcome *expected)
{
    return !x->flat || !(expected->trap == TRAP_PAGE || (expected->trap == TRAP_PROTECTION && may_be_misaligned(p)));
}

bool
program_defined(const struct program *p, const struct state *s)
{
    if (p->host_only)
        return false;
    for (unsigned i = 0; i < p->count; i++) {
        if (result_undefined(&p->part[i].insn, p->count == 1 ? s : NULL))
            return false;
    }
    return true;
}

/* --- sequences --- */
static bool
is_shift(const struct x86_insn *insn)
{
    return insn->op == X86_OP_ROL || insn->op == X86_OP_ROR || insn->op == X86_OP_RCL || insn->op == X86_OP_RCR ||
           insn->op == X86_OP_SHL || insn->op == X86_OP_SHR || insn->op == X86_OP_SAR || insn->op == X86_OP_SHLD ||
           insn->op == X86_OP_SHRD;
}

/* The flags that are undefined after the whole run; *reads: some instruction of it reads one that is. */
static uint32_t
undefined_after(const struct program *p, bool *reads)
{
    uint8_t undefined = 0;
    uint32_t out = 0;

    *reads = false;
    for (unsigned i = 0; i < p->count; i++) {
        struct x86_flag_effects e = x86_flag_effects(&p->part[i].insn);
        if (e.tested & undefined)
            *reads = true;
        uint32_t now = tolerance_of(&p->part[i].insn, NULL).undefined;
        /* a shift by CL may leave flags as they were */
        if (!is_shift(&p->part[i].insn))
            undefined &= (uint8_t)~e.written;
        for (unsigned j = 0; j < X86_FLAG_COUNT; j++)
            undefined |= (uint8_t)((now & flag_bit[j] ? 1 : 0) << j);
    }
    for (unsigned i = 0; i < X86_FLAG_COUNT; i++)
        out |= undefined >> i & 1 ? flag_bit[i] : 0;
    return out;
}

/* Results that later instructions of a sequence would spread. */
static bool
varies(const struct x86_insn *insn)
{
    struct tolerance t = tolerance_of(insn, NULL);

    return insn->op == X86_OP_DPPS || insn->op == X86_OP_DPPD || insn->op == X86_OP_VDPPS || insn->op == X86_OP_VDPPD ||
           t.high_halves || t.last_bits || t.approximate;
}

/* Another rounding mode and flush to zero: mov dword ptr [r14 + 0x7c], VALUE; ldmxcsr [r14 + 0x7c]. Returns the
 * bytes. */
static unsigned
make_rounding(struct made m[2], uint64_t at)
{
    static const uint8_t store[] = {0x41, 0xc7, 0x46, 0x7c}, load[] = {0x41, 0x0f, 0xae, 0x56, 0x7c};
    uint32_t mxcsr = 0x1f80 | random_below(4) << 13 | random_below(2) << 15 | random_below(2) << 6;

    memcpy(m[0].bytes, store, sizeof store);
    memcpy(m[0].bytes + sizeof store, &mxcsr, 4);
    m[0].length = sizeof store + 4;
    memcpy(m[1].bytes, load, sizeof load);
    m[1].length = sizeof load;
    x86_decode(m[0].bytes, m[0].length, at, &m[0].insn);
    x86_decode(m[1].bytes, m[1].length, at + m[0].length, &m[1].insn);
    return (unsigned)m[0].length + m[1].length;
}

/* A jcc to the next instruction: it ends the block, so that flags cross into the next one. */
static void
make_branch(struct made *m, uint64_t at)
{
    m->bytes[0] = (uint8_t)(0x70 | random_below(16));
    m->bytes[1] = 0;
    m->length = 2;
    x86_decode(m->bytes, 2, at, &m->insn);
}

/* x87, and rounding in SSE: what V8 has no helpers for. */
static bool
needs_host(const struct form *f)
{
    return (f->map == 0 && f->opcode >= 0xd8 && f->opcode <= 0xdf) ||
           (f->map == 3 && f->opcode >= 0x08 && f->opcode <= 0x0b);
}

static bool
make_part(struct program *p, struct made *m, uint64_t at)
{
    const struct form *f = &forms[random_below((uint32_t)form_count)];

    if (p->count && random_below(7) == 0) {
        make_branch(m, at);
        return true;
    }
    if (!form_runs(f) || !lift_supported(&f->sample) || (program_portable && needs_host(f)))
        return false;
    /* three in four from the integer instructions, which have the flags and partial registers */
    if (f->map && !(f->map == 1 && (f->opcode >= 0x90 || (f->opcode & 0xf0) == 0x40)) && random_below(4))
        return false;
    return form_make(f, at, true, &p->anchor, m) &&
           (p->host_only || (!varies(&m->insn) && !result_undefined(&m->insn, NULL))) && !host_deviates(m);
}

/* Pushes and pops alone, where the stack ends. */
static bool
make_stack_part(struct program *p, struct made *m, uint64_t at)
{
    static const struct form *found[64];
    static unsigned count;
    static bool made;

    for (size_t i = 0; !made && i < form_count; i++) {
        const struct form *f = &forms[i];

        if ((f->op == X86_OP_PUSH || f->op == X86_OP_POP) && !f->memory && f->opsize == 8 && form_runs(f) &&
            count < sizeof found / sizeof *found)
            found[count++] = f;
    }
    made = true;
    return form_make(found[random_below(count)], at, true, &p->anchor, m);
}

/* For all parts of a sequence. */
static void
choose_registers(struct program *p)
{
    static const uint8_t bases[] = {X86_R14, X86_R14, X86_R10, X86_R11, X86_RBX, X86_RSP, X86_R12},
                         indexes[] = {X86_R15, X86_R10, X86_R11, X86_RSI};

    do {
        form_base = bases[random_below(sizeof bases)];
        form_index = indexes[random_below(sizeof indexes)];
    } while (form_base == form_index);
    form_faults = form_misaligns = form_prefixes = false;
    p->anchor.gpr[X86_RSP] = WINDOW_MIDDLE;
    p->anchor.gpr[form_base] = WINDOW_MIDDLE;
    p->anchor.gpr[form_index] = random_below(64) * 16;
    p->anchored = (uint16_t)(1u << form_base | 1u << form_index);
}

bool
program_of_sequence(struct program *p, uint64_t address)
{
    unsigned want = 5 + random_below(MAX_SEQUENCE - 4);
    uint64_t at = address;
    bool stack = random_below(16) == 0;

    memset(&p->anchor, 0, sizeof p->anchor);
    do
        choose_registers(p);
    while (stack && form_base == X86_RSP);
    if (stack) {
        p->anchor.gpr[X86_RSP] = stack_near_edge();
        p->anchored |= 1u << X86_RSP;
    }
    p->kept = 0;
    p->host_only = program_host_only && random_below(program_host_only) == 0;
    p->form = NULL;
    p->address = address;
    p->sequence = true;
    p->count = 0;
    for (unsigned tries = 0; p->count < want && tries < 2000; tries++) {
        struct made *m = &p->part[p->count];
        bool reads;

        if (!program_portable && !stack && p->count + 2 < want && form_base == X86_R14 && random_below(25) == 0) {
            at += make_rounding(m, at);
            p->count += 2;
            continue;
        }
        if (!(stack ? make_stack_part(p, m, at) : make_part(p, m, at)))
            continue;
        if (at + m->length - address > 600)
            break;
        p->count++;
        undefined_after(p, &reads);
        if (reads && !p->host_only)
            p->count--;
        else
            at += m->length;
    }
    add_bytes(p);
    return p->count > 0;
}

/* --- sequences with a call --- */
static unsigned
append(struct program *p, const void *bytes, size_t size)
{
    struct made *m = &p->part[p->count];

    memcpy(m->bytes, bytes, size);
    m->length = (uint8_t)size;
    p->size += size;
    p->kept |= 1ull << p->count;
    return p->count++;
}

/* 32 bits at the end of an instruction that count from behind it. */
static void
lead_to(struct program *p, unsigned from, uint64_t target)
{
    struct made *m = &p->part[from];
    uint64_t end = p->address;
    uint32_t distance;

    for (unsigned i = 0; i <= from; i++)
        end += p->part[i].length;
    distance = (uint32_t)(target - end);
    memcpy(m->bytes + m->length - 4, &distance, 4);
}

/* Some that leave the stack pointer alone. */
static void
append_parts(struct program *p, unsigned count)
{
    for (unsigned tries = 0; count && tries < 500; tries++) {
        struct made m;

        if (!make_part(p, &m, p->address + p->size) || m.insn.op == X86_OP_PUSH || m.insn.op == X86_OP_POP)
            continue;
        p->kept &= ~(1ull << append(p, m.bytes, m.length));
        count--;
    }
}

/* A register that no memory operand needs. */
static unsigned
pick_register(void)
{
    unsigned reg;

    do
        reg = random_below(16);
    while (reg == X86_RSP || reg == form_base || reg == form_index);
    return reg;
}

static unsigned
append_lea(struct program *p, unsigned reg)
{
    const uint8_t lea[] = {(uint8_t)(0x48 | reg >> 3 << 2), 0x8d, (uint8_t)(5 | (reg & 7) << 3), 0, 0, 0, 0};

    return append(p, lea, sizeof lea);
}

static void
append_register(struct program *p, uint8_t opcode, unsigned reg)
{
    append(p, (const uint8_t[]){(uint8_t)(0x40 | reg >> 3), (uint8_t)(opcode | (reg & 7))}, 2);
}

/* Pops its return address, and returns elsewhere. */
static unsigned
append_other_return(struct program *p)
{
    unsigned reg = pick_register(), lea;

    append_register(p, 0x58, reg);
    lea = append_lea(p, reg);
    append_register(p, 0x50, reg);
    return lea;
}

/* Instructions, a call of a function behind them, and instructions again: what host stack and return points do. */
bool
program_of_call(struct program *p, uint64_t address)
{
    static const uint8_t call[] = {0xe8, 0, 0, 0, 0}, jump[] = {0xe9, 0, 0, 0, 0}, set_flags[] = {0x04, 0x25},
                         ret[] = {0xc3};
    bool indirect = random_below(3) == 0, elsewhere = random_below(4) == 0, nested = random_below(3) == 0;
    unsigned to_function, to_end, to_inner = 0, to_other = 0, reg;
    uint64_t other, at;

    memset(p, 0, sizeof *p);
    p->address = address;
    p->sequence = p->host_only = true;
    do
        choose_registers(p);
    while (form_base == X86_RSP);
    reg = pick_register();
    p->anchor.gpr[X86_RSP] = WINDOW + 0x800 + 8 * random_below(16); /* below all that memory operands write */
    p->anchored |= 1u << X86_RSP;
    append_parts(p, random_below(5));
    to_function = indirect ? append_lea(p, reg) : append(p, call, sizeof call);
    if (indirect)
        append(p, (const uint8_t[]){(uint8_t)(0x40 | reg >> 3), 0xff, (uint8_t)(0xd0 | (reg & 7))}, 3);
    append_parts(p, random_below(4));
    other = address + p->size;
    if (elsewhere)
        append(p, set_flags, sizeof set_flags);
    append_parts(p, random_below(4));
    to_end = append(p, jump, sizeof jump);
    lead_to(p, to_function, address + p->size);
    if (indirect)
        append(p, set_flags, sizeof set_flags);
    append_parts(p, random_below(4));
    if (elsewhere)
        to_other = append_other_return(p);
    if (nested) {
        to_inner = append(p, call, sizeof call);
        append_parts(p, random_below(3));
        append(p, set_flags, sizeof set_flags);
    }
    append(p, ret, sizeof ret);
    if (nested) {
        lead_to(p, to_inner, address + p->size);
        append_parts(p, random_below(3));
        append(p, ret, sizeof ret);
    }
    lead_to(p, to_end, address + p->size);
    if (elsewhere)
        lead_to(p, to_other, other);
    at = address;
    for (unsigned i = 0; i < p->count; i++) {
        x86_decode(p->part[i].bytes, p->part[i].length, at, &p->part[i].insn);
        at += p->part[i].length;
    }
    add_bytes(p);
    return true;
}

bool
program_of_bytes(struct program *p, uint64_t address, const uint8_t *bytes, size_t size)
{
    size_t at = 0;

    memset(p, 0, sizeof *p);
    p->address = address;
    while (at < size && p->count < MAX_SEQUENCE) {
        struct made *m = &p->part[p->count++];
        int n = x86_decode(bytes + at, size - at, address + at, &m->insn);

        if (n <= 0)
            return false;
        memcpy(m->bytes, bytes + at, (size_t)n);
        m->length = (uint8_t)n;
        at += (size_t)n;
    }
    p->sequence = p->count > 1;
    add_bytes(p);
    return at == size && size > 0;
}

bool
program_drop(const struct program *p, unsigned i, struct program *out)
{
    struct made *m = &out->part[i];
    bool reads;

    *out = *p;
    if (m->bytes[0] == 0x90 || p->kept >> i & 1)
        return false;
    memset(m->bytes, 0x90, m->length);
    x86_decode(m->bytes, 1, m->insn.address, &m->insn);
    add_bytes(out);
    undefined_after(out, &reads);
    return !reads || p->host_only;
}

struct tolerance
program_tolerance(const struct program *p, const struct state *s)
{
    bool reads;

    if (p->count == 1)
        return tolerance_of(&p->part[0].insn, s);
    struct tolerance t = {.undefined = undefined_after(p, &reads), .sequence = true, .quiet = true};
    for (unsigned i = 0; i < p->count; i++) {
        t.nan |= tolerance_of(&p->part[i].insn, NULL).nan;
        /* Behind a return its address is compared; flags that nobody reads there may change. */
        if (x86_flow(&p->part[i].insn) == X86_FLOW_RETURN)
            t.lost_at_traps = STATUS_FLAGS;
    }
    return t;
}

void
program_state(const struct program *p, struct state *s, uint8_t *window)
{
    static uint8_t memory[WINDOW_SIZE];
    static unsigned uses;

    if (uses++ % 16 == 0) /* making it takes longer than a run */
        memory_random(memory);
    memcpy(window, memory, WINDOW_SIZE);
    state_random(s);
    if (p->host_only)
        state_unmask(s);
    if (p->sequence) {
        if (program_portable)
            s->fx[25] &= 0x1f; /* to nearest */
    } else {
        form_prepare_registers(&p->part[0].insn, s);
    }
    for (unsigned i = 0; i < 16; i++) {
        if (p->anchored >> i & 1)
            s->gpr[i] = p->anchor.gpr[i];
    }
    if (!p->sequence)
        state_prepare(p, s, window);
}

void
program_print(const struct program *p)
{
    char text[128];

    for (unsigned i = 0; i < p->count; i++) {
        const struct made *m = &p->part[i];

        if (m->bytes[0] == 0x90 && p->count > 1)
            continue;
        printf("  %-50s [", x86_format(&m->insn, text, sizeof text));
        for (unsigned j = 0; j < m->length; j++)
            printf("%s%02x", j ? " " : "", m->bytes[j]);
        printf("]\n");
    }
}
