#include "vkernel/run/fault_map.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/fault_map.h"
#include "base/buf.h"
#include "base/rare.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/image/artifact.h"
#include "x86/address_space.h"
#include "x86/helpers.h"
#include "x86/x86.h"

/* The linker's, of the sections that aot makes; absent when there is no such code. */
extern const uint8_t __start_ingot_text[] __attribute__((weak)), __stop_ingot_text[] __attribute__((weak));
extern const uint8_t __start_ingot_precise[] __attribute__((weak)), __stop_ingot_precise[] __attribute__((weak));
extern const uint8_t __start_ingot_fault_map[] __attribute__((weak)), __stop_ingot_fault_map[] __attribute__((weak));

enum { REGISTERS = 16 };

struct place {
    uint8_t kind;
    int64_t value;
};

static bool
between(uint64_t pc, const uint8_t *start, const uint8_t *stop)
{
    return start && pc >= (uint64_t)(uintptr_t)start && pc < (uint64_t)(uintptr_t)stop;
}

enum fault_code
fault_code_at(uint64_t host_pc)
{
    if (between(host_pc, __start_ingot_precise, __stop_ingot_precise))
        return FAULT_CODE_PRECISE;
    return between(host_pc, __start_ingot_text, __stop_ingot_text) ? FAULT_CODE_PLAIN : FAULT_CODE_NONE;
}

/* --- which function --- */

static const struct artifact_ledger *
row_of_slot(uint32_t slot)
{
    for (uint32_t i = 0; i < artifact_ledger_count(the_artifact); i++) {
        const struct artifact_ledger *row = artifact_ledger(the_artifact, i);

        if (slot >= row->table_base && slot - row->table_base < row->entry_count)
            return row;
    }
    return NULL;
}

/* The table slot of the last entry at or before a host address. */
static bool
slot_before(uint64_t host_pc, uint32_t *out)
{
    uint64_t best = 0;

    if (!the_artifact || !ingot_table)
        return false;
    for (uint32_t i = 0; i < artifact_ledger_count(the_artifact); i++) {
        const struct artifact_ledger *row = artifact_ledger(the_artifact, i);

        for (uint32_t slot = row->table_base; slot - row->table_base < row->entry_count; slot++) {
            uint64_t at = (uint64_t)(uintptr_t)ingot_table[slot];

            if (at <= host_pc && at > best) {
                best = at;
                *out = slot;
            }
        }
    }
    return best != 0;
}

/* The guest address of a slot, when it is among these entries of the code map; the first is for the unit at `from`. */
static uint64_t
address_in(const struct code_map_entry *entries, size_t count, uint64_t from, uint32_t slot)
{
    for (size_t i = 0; i < count; i++) {
        const struct code_map_entry *e = &entries[i];
        unsigned bits = e->bits;

        if (slot < e->rank || slot - e->rank >= (unsigned)__builtin_popcount(bits))
            continue;
        for (uint32_t skip = slot - e->rank; skip > 0; skip--)
            bits &= bits - 1;
        return from + i * GUEST_CODE_MAP_UNIT + (unsigned)__builtin_ctz(bits);
    }
    return 0;
}

/* From the pages of its file's code map. */
static uint64_t
address_of_slot(const struct artifact_ledger *row, uint32_t slot)
{
    static struct code_map_entry entries[1024] RARE;
    uint64_t offset = artifact_code_map_offset(the_artifact, row), found = 0;

    for (uint64_t at = 0; at < row->code_map_size && !found; at += sizeof entries) {
        long n = platform_read_at(artifact_host_fd(the_artifact), entries, sizeof entries, offset + at);

        if (n <= 0)
            return 0;
        found = address_in(entries, (size_t)n / sizeof *entries,
                           row->code_map_from + at / sizeof *entries * GUEST_CODE_MAP_UNIT, slot);
    }
    return found;
}

uint64_t
fault_function(uint64_t host_pc, const char **path)
{
    static uint64_t last_pc, last_address; /* some programs fault at one place over and over */
    static const char *last_path;
    const struct artifact_ledger *row;
    uint32_t slot = 0;

    if (host_pc != last_pc) {
        last_pc = host_pc;
        last_address = 0;
        last_path = NULL;
        row = fault_code_at(host_pc) != FAULT_CODE_NONE && slot_before(host_pc, &slot) ? row_of_slot(slot) : NULL;
        if (row) {
            last_path = artifact_string(the_artifact, row->path);
            last_address = address_of_slot(row, slot);
        }
    }
    *path = last_path;
    return last_address;
}

/* --- the map --- */

static uint64_t
place_value(const struct place *p, const struct platform_fault *f)
{
    uint64_t at, v;

    if (p->kind < FAULT_PLACE_CONSTANT)
        return f->host[p->kind];
    if (p->kind == FAULT_PLACE_CONSTANT)
        return (uint64_t)p->value;
    at = f->host[p->kind & 15] + (uint64_t)p->value;
    if (p->kind & FAULT_PLACE_ADDRESS)
        return at;
    memcpy(&v, (const void *)(uintptr_t)at, sizeof v);
    return v;
}

static bool
read_moved(struct cursor *c, uint64_t moved, struct place *places)
{
    for (; moved != 0; moved &= moved - 1) {
        struct place *p = &places[__builtin_ctzll(moved)];

        *p = (struct place){.kind = cursor_u8(c)};
        if (p->kind >= FAULT_PLACE_CONSTANT)
            p->value = cursor_sleb(c, 64);
    }
    return !c->failed;
}

/* A walk over the whole function table: not again for the same function. */
static uint64_t
image_base_of(uint64_t function)
{
    static uint64_t last_function, last_base;
    const struct artifact_ledger *row;
    uint32_t slot;

    if (function != last_function) {
        row = slot_before(function, &slot) ? row_of_slot(slot) : NULL;
        last_base = row ? row->base : 0;
        last_function = function;
    }
    return last_base;
}

static bool
apply_record(const struct platform_fault *f, uint64_t function, uint64_t guest, uint64_t given,
             const struct place *places)
{
    struct x86_cpu *cpu = x86_this_cpu();

    for (; given != 0; given &= given - 1) {
        unsigned r = (unsigned)__builtin_ctzll(given);

        cpu->gpr[r] = place_value(&places[r], f);
    }
    cpu->rip = image_base_of(function) + guest;
    return true;
}

/* --- between the access and its record: LLVM may have put instructions there --- */

enum { MAX_BETWEEN = 16, MAX_LENGTH = 15 };

static bool
is_place(const struct place *p, const struct x86_operand *o)
{
    if (o->kind == X86_OPD_REG)
        return o->reg_class == X86_RC_GPR && p->kind == o->reg;
    return o->kind == X86_OPD_MEM && o->index == X86_BASE_NONE && o->base >= 0 && o->base < REGISTERS &&
           o->seg == X86_SEG_DS && p->kind == (FAULT_PLACE_MEMORY | o->base) && p->value == o->disp;
}

static bool
uses_register(const struct place *p, unsigned reg)
{
    return p->kind != FAULT_PLACE_CONSTANT && (p->kind & 15) == reg;
}

/* RAX and RDX, by instructions that do not name them. Others do not come out of LLVM in such a place. */
static bool
writes_unnamed(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_OP_MUL:
    case X86_OP_IMUL:
    case X86_OP_DIV:
    case X86_OP_IDIV: return insn->operand_count < 2;
    case X86_OP_CBW:
    case X86_OP_CWD: return true;
    default: return false;
    }
}

/* Undoes one instruction: a place that it copied to is the one it copied from. False: the value of a place was not
 * there yet. */
static bool
undo(const struct x86_insn *insn, struct place *places, uint64_t given)
{
    const struct x86_operand *to = &insn->operand[0], *from = &insn->operand[1];
    bool copies = insn->op == X86_OP_MOV && insn->operand_count == 2 && to->size == 8 &&
                  (from->kind == X86_OPD_REG || from->kind == X86_OPD_MEM);

    if (x86_flow(insn) != X86_FLOW_NEXT)
        return false;
    for (; given != 0; given &= given - 1) {
        struct place *p = &places[__builtin_ctzll(given)];

        if (copies && is_place(p, to)) {
            if (from->kind == X86_OPD_REG && from->reg_class == X86_RC_GPR)
                *p = (struct place){.kind = from->reg};
            else if (from->kind == X86_OPD_MEM && from->index == X86_BASE_NONE && from->base >= 0 &&
                     from->base < REGISTERS && from->seg == X86_SEG_DS)
                *p = (struct place){.kind = (uint8_t)(FAULT_PLACE_MEMORY | from->base), .value = from->disp};
            else
                return false;
            continue;
        }
        for (unsigned i = 0; i < insn->operand_count; i++) {
            const struct x86_operand *o = &insn->operand[i];

            if ((o->access & 2) &&
                (is_place(p, o) || (o->kind == X86_OPD_REG && o->reg_class != X86_RC_XMM &&
                                    uses_register(p, o->reg & (o->reg_class == X86_RC_GPR_HIGH ? 3 : 15)))))
                return false;
        }
        if (writes_unnamed(insn) && (uses_register(p, X86_RAX) || uses_register(p, X86_RDX)))
            return false;
    }
    return true;
}

static bool
undo_between(uint64_t after, uint64_t record, struct place *places, uint64_t given)
{
    struct x86_insn insns[MAX_BETWEEN];
    unsigned count = 0;

    while (after < record) {
        int length =
            count < MAX_BETWEEN ? x86_decode((const uint8_t *)(uintptr_t)after, MAX_LENGTH, after, &insns[count]) : 0;

        if (length <= 0)
            return false;
        count++;
        after += (unsigned)length;
    }
    while (count > 0)
        if (!undo(&insns[--count], places, given))
            return false;
    return after == record;
}

/* Looks through a block for the record of the access that ends at `after`. */
static bool
search_block(const struct platform_fault *f, uint64_t function, struct cursor records, uint32_t count, uint64_t after)
{
    struct place places[REGISTERS] = {0};
    uint64_t host = function, guest = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t given, moved;

        host += cursor_uleb(&records, 32);
        guest += (uint64_t)cursor_sleb(&records, 64);
        given = cursor_uleb(&records, 32);
        moved = cursor_uleb(&records, 32);
        if (((given | moved) >> REGISTERS) != 0 || !read_moved(&records, moved, places))
            return false;
        if (host >= after)
            return undo_between(after, host, places, given) && apply_record(f, function, guest, given, places);
    }
    return false;
}

struct block { /* of the map, in a table made at the first fault */
    uint64_t function;
    struct cursor records;
    uint32_t count;
};
static struct block *blocks;
static size_t block_count;

static int
by_function(const void *a, const void *b)
{
    const struct block *x = a, *y = b;

    return x->function < y->function ? -1 : x->function > y->function;
}

/* The next block; false at the end. */
static bool
next_block(struct cursor *c, struct block *b)
{
    uint32_t size;

    do
        b->function = cursor_u64(c);
    while (b->function == 0 && !c->failed);
    size = cursor_u32(c);
    b->count = cursor_u32(c);
    b->records = cursor_sub(c, size);
    cursor_bytes(c, (size_t)-(ptrdiff_t)size & 7);
    return !c->failed;
}

static void
make_table(void)
{
    struct cursor map =
        cursor_make(__start_ingot_fault_map, (size_t)(__stop_ingot_fault_map - __start_ingot_fault_map));
    struct cursor c = map;
    struct block b;

    while (next_block(&c, &b))
        block_count++;
    blocks = array_new(block_count + 1, sizeof *blocks);
    if (!blocks) {
        block_count = 0;
        return;
    }
    c = map;
    for (size_t i = 0; i < block_count; i++)
        next_block(&c, &blocks[i]);
    qsort(blocks, block_count, sizeof *blocks, by_function);
}

static bool
search(const struct platform_fault *f, uint64_t after)
{
    size_t low = 0, high;

    if (!__start_ingot_fault_map)
        return false;
    if (!blocks)
        make_table();
    high = block_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (blocks[middle].function < after)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && search_block(f, blocks[low - 1].function, blocks[low - 1].records, blocks[low - 1].count, after);
}

bool
fault_map_apply(const struct platform_fault *f)
{
    struct x86_insn insn;
    int length = x86_decode((const uint8_t *)(uintptr_t)f->host_pc, MAX_LENGTH, f->host_pc, &insn);

    return length > 0 && search(f, f->host_pc + (unsigned)length);
}
