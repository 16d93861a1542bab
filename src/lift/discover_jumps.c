/* Jump tables. A bounded table in constant data becomes IR_T_SWITCH when the block that jumps shows the whole
 * load; otherwise (base register set in another block, tables in writable data) its targets become
 * entries of the function, and the jump finds them through the code map: slower by a few instructions,
 * and never wrong. */
#include <string.h>

#include "lift/discover_internal.h"

enum { LOOK_BACK = 48 };

static bool
read_entry(const struct finder *f, uint64_t table, unsigned size, uint64_t relative_to, uint32_t i, uint64_t *target)
{
    uint64_t left, at = table + (uint64_t)i * size, v = 0;
    const uint8_t *p = elf_image_at(f->image, at, &left);

    if (!p || left < size)
        return false;
    memcpy(&v, p, size);
    *target = size == 4 ? relative_to + (uint64_t)(int64_t)(int32_t)v : v;
    return true;
}

/* In a PIE the file holds no absolute addresses: the relocation does. */
static bool
read_absolute_entry(const struct finder *f, uint64_t table, uint32_t i, uint64_t *target)
{
    uint64_t at = table + (uint64_t)i * 8;

    for (size_t low = 0, high = f->image->relocs.count; low < high;) {
        size_t mid = (low + high) / 2;
        const struct elf_reloc *r = &f->image->relocs.items[mid];

        if (r->where == at) {
            *target = r->target;
            return true;
        }
        if (r->where < at)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* One entry, of either size; false where there is none. */
static bool
read_target(const struct finder *f, uint64_t table, unsigned size, uint64_t relative_to, uint32_t i, uint64_t *target)
{
    bool ok = size == 8 && f->image->is_pie ? read_absolute_entry(f, table, i, target)
                                            : read_entry(f, table, size, relative_to, i, target);

    return ok && finder_range((struct finder *)f, *target);
}

/* The entries of a table in constant data, up to the first that cannot be one. */
static uint32_t
read_table(struct finder *f, const struct func *fn, uint64_t table, unsigned size, uint64_t relative_to,
           uint32_t bound, uint64_t *targets)
{
    uint32_t n = 0;

    while (n < bound) {
        uint64_t t;

        if (!elf_image_is_constant(f->image, table + (uint64_t)n * size) ||
            !read_target(f, table, size, relative_to, n, &t) ||
            (size == 4 && (t < fn->address || t >= fn->limit)))
            break;
        for (size_t i = 0; n > 0 && i < f->lea_targets.count; i++) {
            if (f->lea_targets.items[i] == table + (uint64_t)n * size)
                return n; /* the next table starts here */
        }
        targets[n++] = t;
    }
    return n;
}

/* The block that ends in the jump: back to the last leader before it, by the steps decoded. */
static uint64_t
block_start(struct finder *f, uint64_t insn_address, uint32_t *bound)
{
    uint64_t at = insn_address;
    bool found = true;
    bool bounded = false;

    *bound = MAX_TABLE;
    for (int n = 0; n < LOOK_BACK && found && !bounded; n++) {
        found = false;
        for (unsigned length = 1; length <= X86_MAX_LENGTH; length++) {
            struct text_range *r = finder_range(f, at - length);
            struct x86_insn insn;

            if (!r || r->seen[at - length - r->start] != f->stamp)
                continue;
            if (x86_decode(r->bytes + (at - length - r->start), r->end - (at - length), at - length, &insn) !=
                (int)length)
                continue;
            if (x86_flow(&insn) != X86_FLOW_NEXT)
                return at;
            found = true;
            at -= length;
            bounded = finder_range(f, at)->leader[at - finder_range(f, at)->start] == f->stamp;
            break;
        }
    }
    return at;
}

/* cmp reg, imm; ja: the instructions before the block bound the index. They only shorten the table. */
static uint32_t
bound_before(struct finder *f, uint64_t at)
{
    bool above = false;

    for (int n = 0; n < 8; n++) {
        bool found = false;

        for (unsigned length = 1; length <= X86_MAX_LENGTH && !found; length++) {
            struct text_range *r = finder_range(f, at - length);
            struct x86_insn insn;

            if (!r || r->seen[at - length - r->start] != f->stamp ||
                x86_decode(r->bytes + (at - length - r->start), r->end - (at - length), at - length, &insn) !=
                    (int)length)
                continue;
            found = true;
            at -= length;
            if (insn.op == X86_OP_JCC) {
                if (above || insn.cc != X86_CC_A)
                    return MAX_TABLE;
                above = true;
            } else if (insn.op == X86_OP_CMP) {
                const struct x86_operand *o = &insn.operand[1];

                if (!above || o->kind != X86_OPD_IMM || o->imm < 0 || o->imm >= MAX_TABLE)
                    return MAX_TABLE;
                return (uint32_t)o->imm + 1;
            } else if (x86_flow(&insn) != X86_FLOW_NEXT) {
                return MAX_TABLE;
            }
        }
        if (!found)
            return MAX_TABLE;
    }
    return MAX_TABLE;
}

static void
add_label(struct func *fn, uint64_t target)
{
    for (size_t i = 0; i < fn->labels.count; i++) {
        if (fn->labels.items[i] == target)
            return;
    }
    vec_push(&fn->labels, target);
}

static void
follow_targets(struct finder *f, struct func *fn, const uint64_t *targets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        finder_add_jump(f, fn, targets[i]);
}

/* Reads a table whose entries become labels; the jump itself finds them through the code map, so a wrong one does no
 * harm. Now and then one entry lies outside the function, in its cold part. */
static uint32_t
read_labels(struct finder *f, struct func *fn, uint64_t table, unsigned size, bool take)
{
    uint32_t inside = 0, outside = 0;

    for (uint32_t n = 0; n < MAX_TABLE && outside < 2 && fn->labels.count < MAX_ENTRIES; n++) {
        uint64_t t;

        if (!read_target(f, table, size, table, n, &t))
            break;
        if (t < fn->address || t >= fn->limit) {
            outside++;
            continue;
        }
        outside = 0;
        inside++;
        if (take) {
            add_label(fn, t);
            finder_add_jump(f, fn, t);
        }
    }
    return inside;
}

/* Tables whose address the function takes, but whose load spans blocks or that lie in writable data. */
static bool
guess_tables(struct finder *f, struct func *fn)
{
    bool any = false;

    for (size_t i = 0; i < f->lea_targets.count; i++) {
        for (unsigned size = 4; size <= 8; size += 4) {
            if (read_labels(f, fn, f->lea_targets.items[i], size, false) < 3)
                continue;
            read_labels(f, fn, f->lea_targets.items[i], size, true);
            any = true;
        }
    }
    return any;
}

void
finder_resolve_jump(struct finder *f, struct func *fn, uint64_t insn_address)
{
    static uint64_t targets[MAX_TABLE];
    struct text_range *r = finder_range(f, insn_address);
    struct lift_table_pattern pattern;
    struct lift_jump_table table;
    struct x86_insn insn;
    uint32_t bound, count;
    uint64_t start = block_start(f, insn_address, &bound);
    struct lift_request request = {.bytes = r->bytes + (start - r->start), .address = start};

    if (x86_decode(r->bytes + (insn_address - r->start), r->end - insn_address, insn_address, &insn) <= 0)
        return;
    request.size = insn_address + insn.length - start;
    ir_func_clear(&f->scratch, start);
    lift_block(&f->build, &request);
    if (f->scratch.blocks.count != 1 ||
        !lift_match_jump_table(&f->scratch, &f->scratch.blocks.items[0], &pattern)) {
        if (insn.operand[0].kind != X86_OPD_MEM || insn.operand[0].base != X86_BASE_RIP) {
            if (!guess_tables(f, fn))
                f->disc->unresolved_jumps++;
        }
        return;
    }
    bound = pattern.max_index ? pattern.max_index + 1 : bound_before(f, start);
    if (bound > MAX_TABLE)
        bound = MAX_TABLE;
    count = read_table(f, fn, pattern.table_address, pattern.entry_size, pattern.relative_to, bound, targets);
    if (count == 0) {
        if (read_labels(f, fn, pattern.table_address, pattern.entry_size, true) == 0)
            f->disc->unresolved_jumps++;
        return;
    }
    follow_targets(f, fn, targets, count);
    for (size_t i = 0; i < f->disc->tables.count; i++) {
        if (f->disc->tables.items[i].insn_address == insn_address)
            return;
    }
    table = (struct lift_jump_table){
        .insn_address = insn_address, .count = count, .table_address = pattern.table_address,
        .entry_size = pattern.entry_size,
        .targets = arena_copy(&f->disc->arena, targets, count * sizeof *targets),
    };
    vec_push(&f->disc->tables, table);
}

void
finder_note_unlifted(struct finder *f, const struct x86_insn *insn)
{
    struct disc *d = f->disc;

    for (size_t i = 0; i < d->unlifted.count; i++) {
        if (d->unlifted.items[i].op == insn->op) {
            d->unlifted_counts.items[i]++;
            return;
        }
    }
    vec_push(&d->unlifted, *insn);
    vec_push(&d->unlifted_counts, 1u);
}
