/* String instructions with rep (ir/helpers.def).
 *
 * A run may fault at any element: what came before is done, and tmp[1] says how much that is (x86_string_faulted()). So
 * it goes page by page: the first element by itself, in memory's order, and the rest of its pages, which cannot fault
 * any more, at once. Addresses wrap at 4 GiB, between two pages. */
#include <stdbool.h>
#include <string.h>

#include "x86/helpers.h"
#include "base/page.h"
#include "x86/x86.h"

static uint64_t
minimum(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

struct run { /* what `control` says */
    unsigned size;
    bool down, until_equal;
    uint32_t step;
};

static struct run
run_of(uint32_t control)
{
    unsigned size = control & 15;
    bool down = control >> 8 & 1;

    return (struct run){
        .size = size,
        .down = down,
        .until_equal = control >> 9 & 1,
        .step = down ? -size : size,
    };
}

/* Before each access that may fault. */
static void
say_done(uint64_t elements)
{
    *(volatile uint64_t *)&x86_this_cpu()->tmp[1] = elements;
}

/* Between two elements: somebody may want the processor. Never before the first one, so that the guest gets on. */
static void
pause_if_due(uint64_t done)
{
    if (!x86_string_pause || done == 0 || x86_this_cpu()->limit != UINT64_MAX)
        return;
    say_done(done);
    x86_string_pause();
}

/* How many elements from here on are on the page of the first one; 1 when that is on two. */
static uint32_t
elements_on_page(uint32_t address, const struct run *r)
{
    uint32_t offset = address % PAGE_SIZE;

    if (offset + r->size > PAGE_SIZE)
        return 1;
    return r->down ? offset / r->size + 1 : (PAGE_SIZE - offset) / r->size;
}

enum { WORD = 8 };

/* By words, each byte once and none before those below it: a library's function may write some bytes twice, the second
 * time what another thread has changed since. Aligned elements are single accesses still. */
static void
copy_up(uint32_t to, uint32_t from, uint32_t bytes, unsigned size)
{
    for (; bytes >= WORD; bytes -= WORD, to += WORD, from += WORD)
        x86_guest_store(to, WORD, x86_guest_load(from, WORD));
    for (; bytes != 0; bytes -= size, to += size, from += size)
        x86_guest_store(to, size, x86_guest_load(from, size));
}

static void
fill_up(uint32_t to, uint64_t value, uint32_t bytes, unsigned size)
{
    for (unsigned have = size; have < WORD; have *= 2)
        value = value << have * 8 | (value & UINT64_MAX >> (64 - have * 8));
    for (; bytes >= WORD; bytes -= WORD, to += WORD)
        x86_guest_store(to, WORD, value);
    for (; bytes != 0; bytes -= size, to += size)
        x86_guest_store(to, size, value);
}

/* Elements on one page each of source and destination; `done` were copied before. Where those overlap, what was copied
 * is copied on, so that nothing may be done twice: another processor may take the pages away even now, and then the run
 * begins again where say_done() says. */
static void
copy_elements(uint32_t to, uint32_t from, uint32_t count, const struct run *r, uint64_t done)
{
    uint32_t bytes = count * r->size;
    bool overlap = to != from && (r->down ? from - to < bytes : to - from < bytes);

    if (!r->down && !overlap) {
        copy_up(to, from, bytes, r->size);
        return;
    }
    for (uint32_t i = 0; i < count; i++, to += r->step, from += r->step) {
        if (overlap)
            say_done(done + i);
        x86_guest_store(to, r->size, x86_guest_load(from, r->size));
    }
}

void
helper_rep_movs(uint64_t addresses, uint64_t count, uint32_t control)
{
    uint32_t to = (uint32_t)addresses, from = (uint32_t)(addresses >> 32), n;
    struct run r = run_of(control);

    for (uint64_t done = 0; done < count; done += n, to += n * r.step, from += n * r.step) {
        pause_if_due(done);
        say_done(done);
        x86_guest_store(to, r.size, x86_guest_load(from, r.size));
        n = (uint32_t)minimum(elements_on_page(to, &r), elements_on_page(from, &r));
        n = (uint32_t)minimum(count - done, n);
        if (n > 1)
            copy_elements(to + r.step, from + r.step, n - 1, &r, done + 1);
    }
}

static void
fill_elements(uint32_t to, uint32_t count, const struct run *r, uint64_t value)
{
    if (!r->down) {
        fill_up(to, value, count * r->size, r->size);
        return;
    }
    for (; count != 0; count--, to += r->step)
        x86_guest_store(to, r->size, value);
}

void
helper_rep_stos(uint64_t at, uint64_t count, uint64_t value)
{
    struct run r = run_of((uint32_t)(at >> 32));
    uint32_t to = (uint32_t)at, n;

    for (uint64_t done = 0; done < count; done += n, to += n * r.step) {
        pause_if_due(done);
        say_done(done);
        x86_guest_store(to, r.size, value);
        n = (uint32_t)minimum(count - done, elements_on_page(to, &r));
        if (n > 1)
            fill_elements(to + r.step, n - 1, &r, value);
    }
}

uint64_t
helper_rep_lods(uint64_t at, uint64_t count, uint64_t value)
{
    struct run r = run_of((uint32_t)(at >> 32));
    uint32_t from = (uint32_t)at;

    for (uint64_t done = 0; done < count; done++, from += r.step) {
        x86_this_cpu()->tmp[0] = value;
        if (done % PAGE_SIZE == 0)
            pause_if_due(done);
        say_done(done);
        value = x86_guest_load(from, r.size);
    }
    return value;
}

/* Compares *left, or `value` where there is no left, with memory at right. The elements consumed; the last two to TMP0
 * and TMP1. */
static uint64_t
compare_run(const struct run *r, const uint32_t *left, uint64_t value, uint32_t right, uint64_t count)
{
    uint64_t a = 0, b = 0, n = 0;

    while (n < count) {
        if (n % PAGE_SIZE == 0)
            pause_if_due(n);
        say_done(n);
        a = left ? x86_guest_load(*left + (uint32_t)n * r->step, r->size) : value;
        b = x86_guest_load(right + (uint32_t)n * r->step, r->size);
        n++;
        if ((a == b) == r->until_equal)
            break;
    }
    x86_this_cpu()->tmp[0] = a;
    x86_this_cpu()->tmp[1] = b;
    return n;
}

uint64_t
helper_rep_cmps(uint64_t addresses, uint64_t count, uint32_t control)
{
    struct run r = run_of(control);
    uint32_t left = (uint32_t)(addresses >> 32);

    return compare_run(&r, &left, 0, (uint32_t)addresses, count);
}

uint64_t
helper_rep_scas(uint64_t at, uint64_t count, uint64_t value)
{
    struct run r = run_of((uint32_t)(at >> 32));
    uint64_t mask = UINT64_MAX >> (64 - r.size * 8), n;

    n = compare_run(&r, NULL, value & mask, (uint32_t)at, count);

    x86_this_cpu()->tmp[0] = x86_this_cpu()->tmp[1];
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
    if (insn->op == X86_OP_LODS && insn->opsize == 4)
        cpu->gpr[X86_RAX] = (uint32_t)cpu->tmp[0];
    else if (insn->op == X86_OP_LODS)
        memcpy(&cpu->gpr[X86_RAX], &cpu->tmp[0], insn->opsize);
}
