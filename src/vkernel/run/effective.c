/* The address that a faulting instruction named. Guest code uses the lower 32 bits of an address (docs/address-space.md),
 * so that an access beyond the address space shows itself only when the place that these 32 bits name is not accessible
 * either. Then the instruction and its registers tell the whole address, as Linux would report it. */
#include "vkernel/run/run.h"
#include "vkernel/usercopy/usercopy.h"
#include "x86/address_space.h"
#include "x86/helpers.h"
#include "x86/x86.h"

enum { VECTOR_SS = 12, VECTOR_GP = 13, VECTOR_PF = 14 };
/* How far from what a register says an access may lie: of an operand, or of push, call and string instructions. */
enum { NEAR = 64 };

static bool
is_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* Is `lower` that of an access to what begins at `address`? Its own address then. */
static bool
reaches(uint64_t address, uint64_t lower, uint64_t *named)
{
    int32_t distance = (int32_t)((uint32_t)lower - (uint32_t)address);

    *named = address + (uint64_t)(int64_t)distance;
    return distance >= -NEAR && distance < NEAR;
}

static uint64_t
address_of(const struct x86_insn *insn, const struct x86_operand *o, const struct x86_cpu *cpu)
{
    uint64_t address = (uint64_t)o->disp;

    if (o->base >= 0)
        address += cpu->gpr[o->base];
    if (o->index >= 0 && !o->index_size)
        address += cpu->gpr[o->index] * o->scale;
    if (insn->address_size == 4)
        address = (uint32_t)address;
    return address + (o->seg == X86_SEG_FS ? cpu->fs_base : o->seg == X86_SEG_GS ? cpu->gs_base : 0);
}

static bool
is_stack(const struct x86_operand *o)
{
    return (o->base == X86_RSP || o->base == X86_RBP) && o->seg == X86_SEG_DS;
}

unsigned
fault_named_address(uint64_t *address)
{
    static const uint8_t implicit[] = {X86_RSP, X86_RDI, X86_RSI}; /* of push, call, ret, string instructions */
    const struct x86_cpu *cpu = x86_this_cpu();
    uint64_t image_base, named;
    struct x86_insn insn;
    size_t left = 0;
    uint64_t last = sizeof(uint64_t) - 1; /* byte of the access */
    bool stack = false, found = false;

    NO_SLEEP; /* with a host span */
    const uint8_t *bytes = run_fetch(NULL, cpu->rip, &left, &image_base);

    if (!bytes || x86_decode(bytes, left, cpu->rip, &insn) <= 0)
        return VECTOR_PF;
    for (unsigned k = 0; k < insn.operand_count && !found; k++) {
        const struct x86_operand *o = &insn.operand[k];

        found = o->kind == X86_OPD_MEM && reaches(address_of(&insn, o, cpu), *address, &named);
        stack = found && is_stack(o);
        last = found && o->size ? o->size - 1u : last;
    }
    for (unsigned k = 0; k < sizeof implicit && !found; k++) {
        found = reaches(cpu->gpr[implicit[k]], *address, &named);
        stack = found && implicit[k] == X86_RSP;
    }
    if (!found || named < GUEST_END)
        return VECTOR_PF;
    if (!is_canonical(named) || !is_canonical(named + last))
        return stack ? VECTOR_SS : VECTOR_GP;
    *address = named;
    return VECTOR_PF;
}
