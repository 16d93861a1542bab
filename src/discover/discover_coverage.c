/* Discovery's account of the text: how many bytes the blocks cover, and for each gap between them whether it is
 * padding, data, code for other processors, or code that was not reached. */
#include <stdlib.h>

#include "discover/discover_internal.h"

/* The length of the fill at p, or 0 when there is none. Fill is what compilers and linkers put between functions: nops
 * of any length, int3, zero bytes. */
static unsigned
fill_length(const uint8_t *p, const uint8_t *end)
{
    struct x86_insn insn;
    int n;

    if (*p == 0xcc || *p == 0x00)
        return 1;
    n = x86_decode(p, (size_t)(end - p), 0, &insn);
    if (n <= 0 ||
        !(insn.op == X86_OP_NOP || (insn.op == X86_OP_XCHG && insn.operand[0].kind == X86_OPD_REG &&
                                    insn.operand[1].kind == X86_OPD_REG && insn.operand[0].reg == insn.operand[1].reg)))
        return 0;
    return (unsigned)n;
}

static void
put_gap(struct finder *f, uint64_t start, uint64_t end, enum disc_gap_kind kind)
{
    if (start == end)
        return;
    vec_push(&f->disc->gaps, ((struct disc_gap){start, end, (uint8_t)kind}));
    f->disc->gap_bytes[kind] += end - start;
}

/* The first address from start on that something uses as data; end when there is none before it. */
static uint64_t
first_data_ref(const struct finder *f, uint64_t start, uint64_t end)
{
    size_t low = 0, high = f->text_refs.count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (f->text_refs.items[mid] < start)
            low = mid + 1;
        else
            high = mid;
    }
    return low < f->text_refs.count && f->text_refs.items[low] < end ? f->text_refs.items[low] : end;
}

/* Divides one gap. The fill at its two ends is padding. What lies between counts as data from the first address on that
 * something uses as data, and as unreached before that. */
static void
measure_gap(struct finder *f, const struct text_range *r, uint64_t start, uint64_t end)
{
    const uint8_t *bytes = r->bytes - r->start, *stop = bytes + end;
    uint64_t at = start, tail, data;
    unsigned n;

    while (at < end && (n = fill_length(bytes + at, stop)) != 0)
        at += n;
    put_gap(f, start, at, DISC_GAP_PADDING);
    for (tail = end; tail > at;) {
        uint64_t from = tail;

        for (n = 1; n <= X86_MAX_LENGTH && n <= tail - at; n++) {
            if (fill_length(bytes + tail - n, bytes + tail) == n)
                from = tail - n;
        }
        if (from == tail)
            break;
        tail = from;
    }
    data = first_data_ref(f, at, tail);
    put_gap(f, at, data, DISC_GAP_UNREACHED);
    put_gap(f, data, tail, DISC_GAP_DATA);
    put_gap(f, tail, end, DISC_GAP_PADDING);
}

/* --- code for other processors --- */

/* Marks what control would reach from a foreign instruction, one that the artifact's level does not have, if that were
 * a nop. It is code and must not be counted as unreached. But no blocks are made of it, because the processor that the
 * guest sees raises #UD at the foreign instruction and never gets there. */
static void
mark_foreign(struct finder *f, uint64_t address)
{
    struct text_range *r;

    while ((r = finder_range(f, address)) != NULL && r->covered[address - r->start] == COVER_NONE) {
        const uint8_t *p = r->bytes + (address - r->start);
        struct x86_insn insn;
        int n = x86_decode(p, r->end - address, address, &insn);
        enum x86_flow flow = n > 0 ? x86_flow(&insn) : X86_FLOW_NEXT;

        if (n <= 0) {
            uint64_t data;

            n = x86_foreign_length(p, r->end - address, address, &data);
            if (n > 0 && data)
                vec_push(&f->text_refs, data);
        }
        if (n <= 0 || (uint64_t)n > r->end - address)
            return;
        for (int i = 0; i < n; i++) {
            if (r->covered[address - r->start + (unsigned)i] == COVER_NONE)
                r->covered[address - r->start + (unsigned)i] = COVER_FOREIGN;
        }
        if (flow == X86_FLOW_BRANCH || flow == X86_FLOW_JUMP || flow == X86_FLOW_CALL)
            vec_push(&f->work, (uint64_t)insn.operand[0].imm);
        if (flow == X86_FLOW_JUMP || flow == X86_FLOW_JUMP_INDIRECT || flow == X86_FLOW_RETURN || flow == X86_FLOW_TRAP)
            return;
        address += (unsigned)n;
    }
}

static void
find_foreign(struct finder *f)
{
    f->work.count = 0;
    for (size_t i = 0; i < f->foreign.count; i++) {
        uint64_t address = f->foreign.items[i];
        struct text_range *r = finder_range(f, address);

        if (r && x86_foreign_length(r->bytes + (address - r->start), r->end - address, address, NULL) > 0)
            vec_push(&f->work, address);
    }
    while (f->work.count)
        mark_foreign(f, f->work.items[--f->work.count]);
}

static void
collect_objects(struct finder *f)
{
    for (size_t i = 0; i < f->image->symbols.count; i++) {
        const struct elf_symbol *s = &f->image->symbols.items[i];

        if (!s->function && s->size && finder_range(f, s->address))
            vec_push(&f->text_refs, s->address);
    }
    if (f->text_refs.count)
        qsort(f->text_refs.items, f->text_refs.count, sizeof(uint64_t), finder_compare_addresses);
}

void
finder_measure(struct finder *f)
{
    find_foreign(f);
    collect_objects(f);
    for (size_t i = 0; i < f->ranges.count; i++) {
        const struct text_range *r = &f->ranges.items[i];

        f->disc->exec_bytes += r->end - r->start;
        for (uint64_t at = r->start; at < r->end;) {
            uint64_t start = at;

            uint8_t cover = r->covered[start - r->start];

            while (at < r->end && r->covered[at - r->start] == cover)
                at++;
            if (cover == COVER_BLOCK)
                f->disc->covered_bytes += at - start;
            else if (cover == COVER_FOREIGN)
                put_gap(f, start, at, DISC_GAP_FOREIGN);
            else
                measure_gap(f, r, start, at);
        }
    }
}
