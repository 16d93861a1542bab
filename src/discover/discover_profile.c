/* What discovery makes of a profile, the addresses at which a run entered the evaluator. It says of each why that
 * happened, as far as what was found without the profile tells, and then makes entries of them for the next run. */
#include <stdlib.h>

#include "discover/discover_internal.h"

struct owned_block {
    uint64_t start, end, function;
    bool entry;
};

struct owners {
    VEC(struct owned_block) blocks; /* of all functions, sorted by start */
};

static int
compare_blocks(const void *a, const void *b)
{
    return finder_compare_addresses(&((const struct owned_block *)a)->start, &((const struct owned_block *)b)->start);
}

static bool
has_entry(const struct func *fn, uint64_t address)
{
    for (size_t i = 0; i < fn->entries.count; i++) {
        if (fn->entries.items[i] == address)
            return true;
    }
    return fn->address == address;
}

static void
collect_owners(const struct finder *f, struct owners *o)
{
    for (size_t i = 0; i < f->funcs.count; i++) {
        const struct func *fn = &f->funcs.items[i];

        for (size_t j = 0; j < fn->blocks.count; j++) {
            const struct disc_block *b = &fn->blocks.items[j];

            vec_push(&o->blocks, ((struct owned_block){b->start, b->end, fn->address, has_entry(fn, b->start)}));
        }
    }
    if (o->blocks.count)
        qsort(o->blocks.items, o->blocks.count, sizeof *o->blocks.items, compare_blocks);
}

/* The block that covers the address, or NULL. */
static const struct owned_block *
find_owner(const struct owners *o, uint64_t address)
{
    size_t low = 0, high = o->blocks.count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (o->blocks.items[mid].start <= address)
            low = mid + 1;
        else
            high = mid;
    }
    return low && address < o->blocks.items[low - 1].end ? &o->blocks.items[low - 1] : NULL;
}

/* The flow of the call or system call that ends at this address. X86_FLOW_NEXT says that none does. Text cannot be
 * decoded backwards, so each length from 2 to 8 bytes is tried; the answer may be wrong. */
static enum x86_flow
flow_before(struct finder *f, uint64_t address)
{
    const struct text_range *r = finder_range(f, address);

    for (unsigned length = 2; r && length <= 8 && length <= address - r->start; length++) {
        struct x86_insn insn;
        int n = x86_decode(r->bytes + (address - length - r->start), length, address - length, &insn);
        enum x86_flow flow = n == (int)length ? x86_flow(&insn) : X86_FLOW_NEXT;

        if (flow == X86_FLOW_CALL || flow == X86_FLOW_CALL_INDIRECT || flow == X86_FLOW_SYSCALL)
            return flow;
    }
    return X86_FLOW_NEXT;
}

static enum disc_evaluated_kind
kind_of(struct finder *f, const struct owned_block *b, uint64_t address)
{
    if (!b)
        return DISC_EVALUATED_UNREACHED;
    if (b->start != address)
        return DISC_EVALUATED_INSTRUCTION;
    if (b->entry)
        return DISC_EVALUATED_ENTRY;
    switch (flow_before(f, address)) {
    case X86_FLOW_CALL:
    case X86_FLOW_CALL_INDIRECT: return DISC_EVALUATED_RETURN;
    case X86_FLOW_SYSCALL: return DISC_EVALUATED_SYSCALL;
    default: return DISC_EVALUATED_BLOCK;
    }
}

static void
explain(struct finder *f, const uint64_t *addresses, size_t count)
{
    struct owners owners = {0};

    collect_owners(f, &owners);
    for (size_t i = 0; i < count; i++) {
        const struct owned_block *b = find_owner(&owners, addresses[i]);

        if (finder_range(f, addresses[i]))
            vec_push(&f->disc->evaluated, ((struct disc_evaluated){.address = addresses[i],
                                                                   .function = b ? b->function : 0,
                                                                   .kind = (uint8_t)kind_of(f, b, addresses[i])}));
    }
    vec_fini(&owners.blocks);
}

/* The first round takes all addresses but those behind calls in code that was not found. In code that was found, an
 * entry is needed even behind a call, because the frames of compiled code were gone when the guest came there. In code
 * that was not found, the first round may find the function with the call: then compiled code will return to the
 * address, and it needs no entry. The second round takes those that are still in no block. */
void
finder_take_profile(struct finder *f, const uint64_t *addresses, size_t count)
{
    if (count == 0)
        return;
    explain(f, addresses, count);
    finder_mark_covered(f);
    for (int returns = 0; returns < 2; returns++) {
        for (size_t i = 0; i < count; i++) {
            const struct text_range *r = finder_range(f, addresses[i]);
            bool covered = r && r->covered[addresses[i] - r->start];
            enum x86_flow flow = covered ? X86_FLOW_NEXT : flow_before(f, addresses[i]);
            bool late = flow == X86_FLOW_CALL || flow == X86_FLOW_CALL_INDIRECT;

            if (r && late == returns && !(returns && covered))
                finder_add_target(f, addresses[i]);
        }
        finder_drain(f);
        finder_mark_covered(f);
    }
}
