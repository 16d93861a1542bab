/* String instructions with rep (ir/helpers.def).
 *
 * A run may fault at any element: what came before is done, and tmp[1] says how much that is (x86_string_faulted()). So
 * it goes page by page: the first element by itself, in memory's order, and the rest of its pages, which cannot fault
 * any more, at once. Addresses wrap at 4 GiB, between two pages. */
#include <stdbool.h>
#include <string.h>

#include "x86/helpers.h"
#include "x86/x86.h"

void helper_rep_movs(uint64_t addresses, uint64_t count, uint32_t control);
void helper_rep_stos(uint64_t to, uint64_t count, uint64_t value);
uint64_t helper_rep_lods(uint64_t from, uint64_t count, uint64_t value);
uint64_t helper_rep_cmps(uint64_t addresses, uint64_t count, uint32_t control);
uint64_t helper_rep_scas(uint64_t at, uint64_t count, uint64_t value);

enum { PAGE = 4096 };

/* How many elements from here on are on the page of the first one; 1 when that is on two. */
static uint32_t
elements_on_page(uint32_t address, unsigned size, bool down)
{
    uint32_t offset = address % PAGE;

    if (offset + size > PAGE)
        return 1;
    return down ? offset / size + 1 : (PAGE - offset) / size;
}

static uint64_t
minimum(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
load(uint32_t address, unsigned size)
{
    uint64_t v = 0;

    switch (size) {
    case 1: return *(volatile uint8_t *)x86_guest(address);
    case 2: memcpy(&v, x86_guest(address), 2); return v;
    case 4: memcpy(&v, x86_guest(address), 4); return v;
    default: memcpy(&v, x86_guest(address), 8); return v;
    }
}

static void
store(uint32_t address, unsigned size, uint64_t v)
{
    switch (size) {
    case 1: *(volatile uint8_t *)x86_guest(address) = (uint8_t)v; break;
    case 2: memcpy(x86_guest(address), &v, 2); break;
    case 4: memcpy(x86_guest(address), &v, 4); break;
    default: memcpy(x86_guest(address), &v, 8); break;
    }
}

static unsigned
control_size(uint32_t control)
{
    return control & 15;
}

static bool
control_down(uint32_t control)
{
    return control >> 8 & 1;
}

/* Elements on one page each of source and destination. Overlapping in the direction of the copy, it repeats a pattern;
 * memmove would not. */
static void
copy_elements(uint32_t to, uint32_t from, uint32_t count, unsigned size, bool down)
{
    uint32_t bytes = count * size, step = down ? -size : size;

    if (down ? from - to < bytes && from != to : to - from < bytes && from != to) {
        for (; count != 0; count--, to += step, from += step)
            store(to, size, load(from, size));
        return;
    }
    if (down) {
        to -= bytes - size;
        from -= bytes - size;
    }
    memmove(x86_guest(to), x86_guest(from), bytes);
}

void
helper_rep_movs(uint64_t addresses, uint64_t count, uint32_t control)
{
    uint32_t to = (uint32_t)addresses, from = (uint32_t)(addresses >> 32);
    unsigned size = control_size(control);
    bool down = control_down(control);
    uint32_t step = down ? -size : size, n;

    for (uint64_t done = 0; done < count; done += n, to += n * step, from += n * step) {
        x86_this_cpu()->tmp[1] = done;
        store(to, size, load(from, size));
        n = (uint32_t)minimum(count - done, minimum(elements_on_page(to, size, down), elements_on_page(from, size, down)));
        if (n > 1)
            copy_elements(to + step, from + step, n - 1, size, down);
    }
}

static void
fill_elements(uint32_t to, uint32_t count, unsigned size, bool down, uint64_t value)
{
    uint32_t step = down ? -size : size;
    bool same = true;

    for (unsigned i = 1; i < size; i++)
        same &= (uint8_t)(value >> i * 8) == (uint8_t)value;
    if (same) {
        memset(x86_guest(down ? to - (count - 1) * size : to), (uint8_t)value, (size_t)count * size);
        return;
    }
    for (; count != 0; count--, to += step)
        store(to, size, value);
}

void
helper_rep_stos(uint64_t at, uint64_t count, uint64_t value)
{
    uint32_t to = (uint32_t)at, control = (uint32_t)(at >> 32);
    unsigned size = control_size(control);
    bool down = control_down(control);
    uint32_t step = down ? -size : size, n;

    for (uint64_t done = 0; done < count; done += n, to += n * step) {
        x86_this_cpu()->tmp[1] = done;
        store(to, size, value);
        n = (uint32_t)minimum(count - done, elements_on_page(to, size, down));
        if (n > 1)
            fill_elements(to + step, n - 1, size, down, value);
    }
}

uint64_t
helper_rep_lods(uint64_t at, uint64_t count, uint64_t value)
{
    uint32_t from = (uint32_t)at, control = (uint32_t)(at >> 32);
    unsigned size = control_size(control);
    uint32_t step = control_down(control) ? -size : size;

    for (uint64_t done = 0; done < count; done++, from += step) {
        x86_this_cpu()->tmp[0] = value;
        x86_this_cpu()->tmp[1] = done;
        value = load(from, size);
    }
    return value;
}

uint64_t
helper_rep_cmps(uint64_t addresses, uint64_t count, uint32_t control)
{
    uint32_t right = (uint32_t)addresses, left = (uint32_t)(addresses >> 32);
    unsigned size = control_size(control);
    uint32_t step = control_down(control) ? -size : size;
    bool until_equal = control >> 9 & 1;
    uint64_t a = 0, b = 0, n = 0;

    while (n < count) {
        x86_this_cpu()->tmp[1] = n;
        a = load(left, size);
        b = load(right, size);
        n++;
        if ((a == b) == until_equal)
            break;
        left += step;
        right += step;
    }
    x86_this_cpu()->tmp[0] = a;
    x86_this_cpu()->tmp[1] = b;
    return n;
}

uint64_t
helper_rep_scas(uint64_t address, uint64_t count, uint64_t value)
{
    uint32_t at = (uint32_t)address, control = (uint32_t)(address >> 32);
    unsigned size = control_size(control);
    uint32_t step = control_down(control) ? -size : size;
    bool until_equal = control >> 9 & 1;
    uint64_t mask = size == 8 ? UINT64_MAX : (UINT64_C(1) << size * 8) - 1;
    uint64_t b = 0, n = 0;

    while (n < count) {
        x86_this_cpu()->tmp[1] = n;
        b = load(at, size);
        n++;
        if (((value & mask) == b) == until_equal)
            break;
        at += step;
    }
    x86_this_cpu()->tmp[0] = b;
    return n;
}

/* RCX, RSI, RDI after `done` elements, as the address size of the instruction has them. */
static void
move_on(uint64_t *reg, uint64_t by, unsigned address_size)
{
    *reg = address_size == 4 ? (uint32_t)(*reg + by) : *reg + by;
}

static bool
uses_memory_at(const struct x86_insn *insn, int reg)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == X86_OPD_MEM && insn->operand[i].base == reg)
            return true;
    return false;
}

void
x86_string_faulted(const struct x86_insn *insn)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t done = cpu->tmp[1];
    uint64_t by = done * (cpu->flag[X86_FLAG_DF] ? -(uint64_t)insn->opsize : insn->opsize);

    if ((!insn->rep && !insn->repne) || done == 0)
        return;
    move_on(&cpu->gpr[X86_RCX], -done, insn->address_size);
    if (uses_memory_at(insn, X86_RSI))
        move_on(&cpu->gpr[X86_RSI], by, insn->address_size);
    if (uses_memory_at(insn, X86_RDI))
        move_on(&cpu->gpr[X86_RDI], by, insn->address_size);
    if (insn->op == X86_OP_LODS)
        memcpy(&cpu->gpr[X86_RAX], &cpu->tmp[0], insn->opsize);
    if (insn->op == X86_OP_LODS && insn->opsize == 4)
        cpu->gpr[X86_RAX] = (uint32_t)cpu->tmp[0];
}
