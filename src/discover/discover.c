/* Finding the code of an ELF file (DESIGN section 4).
 *
 * Discovery begins with seeds, addresses that something in the file says are code, and makes functions of them, those
 * of most trust first: the starts of FDEs, the entry point, symbols, init and fini functions, stubs of the PLT, landing
 * pads, relocated words that point into the text. Each function is then explored: its instructions are followed from
 * its start and from its entries, inside of its range, which is its FDE or reaches up to the next FDE or function. What
 * it calls or jumps to elsewhere becomes another function, or a further entry of the function that has the address.
 *
 * Weak seeds are addresses that some instruction takes, and in files without relocations also words of data and
 * immediates that happen to be addresses of the text. They are taken last, where they decode like code and, as a rule,
 * only where nothing was found. */
#include "discover/discover.h"

#include <stdlib.h>
#include <string.h>

#include "discover/discover_internal.h"

enum { MAX_ROUNDS = 32, LOOK_AHEAD = 64, JUMP_WORK = 4 << 20 };

/* --- seeds and functions --- */

int
finder_compare_addresses(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

struct text_range *
finder_range(struct finder *f, uint64_t address)
{
    size_t low = 0, high = f->ranges.count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        struct text_range *r = &f->ranges.items[mid];

        if (address < r->start)
            high = mid;
        else if (address >= r->end)
            low = mid + 1;
        else
            return r;
    }
    return NULL;
}

const struct elf_fde *
finder_fde(const struct finder *f, uint64_t address)
{
    size_t low = 0, high = f->image->fdes.count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct elf_fde *fde = &f->image->fdes.items[mid];

        if (address < fde->start)
            high = mid;
        else if (address >= fde->end)
            low = mid + 1;
        else
            return fde;
    }
    return NULL;
}

struct func *
finder_function(struct finder *f, uint64_t address)
{
    struct text_range *r = finder_range(f, address);

    return r && r->func[address - r->start] ? &f->funcs.items[r->func[address - r->start] - 1] : NULL;
}

enum x86_flow
finder_last_insn(struct finder *f, const struct disc_block *b, struct x86_insn *insn)
{
    const struct text_range *r = finder_range(f, b->start);
    enum x86_flow flow = X86_FLOW_NEXT;

    for (uint64_t at = b->start; at < b->end; at += insn->length) {
        if (x86_decode(r->bytes + (at - r->start), r->end - at, at, insn) <= 0)
            break;
        flow = x86_flow(insn);
    }
    return flow;
}

bool
finder_is_function(struct finder *f, uint64_t address)
{
    return finder_function(f, address) != NULL;
}

/* How far a function at this address may reach: to the end of its FDE, or without one to the next FDE or the end of the
 * section. */
static uint64_t
limit_of(const struct finder *f, const struct text_range *r, uint64_t address)
{
    size_t low = 0, high = f->image->fdes.count;

    while (low < high) { /* looks for the first FDE that ends behind the address */
        size_t mid = (low + high) / 2;

        if (f->image->fdes.items[mid].end <= address)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == f->image->fdes.count)
        return r->end;
    if (f->image->fdes.items[low].start <= address)
        return f->image->fdes.items[low].end;
    return f->image->fdes.items[low].start < r->end ? f->image->fdes.items[low].start : r->end;
}

static void
enqueue(struct finder *f, uint32_t index)
{
    struct func *fn = &f->funcs.items[index];

    if (!fn->queued) {
        fn->queued = true;
        vec_push(&f->queue, index);
    }
}

static void
add_func(struct finder *f, uint64_t address, uint64_t limit)
{
    struct text_range *r = finder_range(f, address);

    if (!r || r->func[address - r->start])
        return;
    vec_push(&f->funcs, ((struct func){.address = address, .limit = limit}));
    r->func[address - r->start] = (uint32_t)f->funcs.count;
    enqueue(f, (uint32_t)f->funcs.count - 1);
}

/* Adds a further entry to a function. When the entry is new, the function is explored, again if it was before. */
static void
add_entry(struct finder *f, struct func *fn, uint64_t address)
{
    for (size_t i = 0; i < fn->entries.count; i++) {
        if (fn->entries.items[i] == address)
            return;
    }
    if (fn->entries.count >= MAX_ENTRIES)
        return;
    vec_push(&fn->entries, address);
    enqueue(f, (uint32_t)(fn - f->funcs.items));
}

void
finder_add_target(struct finder *f, uint64_t address)
{
    const struct elf_fde *fde;
    struct text_range *r = finder_range(f, address);
    struct func *owner;

    if (!r || r->func[address - r->start])
        return;
    fde = finder_fde(f, address);
    owner = fde ? finder_function(f, fde->start) : NULL;
    if (owner && address != fde->start)
        add_entry(f, owner, address);
    else
        add_func(f, address, limit_of(f, r, address));
}

static void
seed_strong(struct finder *f)
{
    const struct elf_image *image = f->image;

    for (size_t i = 0; i < image->fdes.count; i++)
        add_func(f, image->fdes.items[i].start, image->fdes.items[i].end);
    finder_add_target(f, image->entry);
    for (size_t i = 0; i < image->symbols.count; i++) {
        if (image->symbols.items[i].function)
            finder_add_target(f, image->symbols.items[i].address);
    }
    for (size_t i = 0; i < image->init_functions.count; i++)
        finder_add_target(f, image->init_functions.items[i]);
    for (size_t i = 0; i < image->lazy_stubs.count; i++)
        finder_add_target(f, image->lazy_stubs.items[i]);
    for (size_t i = 0; i < image->landing_pads.count; i++)
        finder_add_target(f, image->landing_pads.items[i]);
    for (size_t i = 0; i < image->relocs.count; i++) {
        const struct elf_reloc *r = &image->relocs.items[i];

        /* A constant word that points inside of a function is one of a jump table. It makes no entry, because
         * discovery finds these targets through the jump. */
        if (finder_fde(f, r->target) && finder_fde(f, r->target)->start != r->target &&
            elf_image_is_constant(image, r->where))
            continue;
        finder_add_target(f, r->target);
    }
}

/* Collects words of data that look like addresses of code. It is for files that lie at fixed addresses: they have no
 * relocations that would say which words are addresses. */
static void
collect_data_words(struct finder *f)
{
    for (size_t i = 0; i < f->image->segments.count; i++) {
        const struct elf_segment *s = &f->image->segments.items[i];

        if (s->exec)
            continue;
        for (uint64_t at = (s->address + 7) & ~7ull; at + 8 <= s->address + s->file_size; at += 8) {
            uint64_t word;

            memcpy(&word, s->bytes + (at - s->address), 8);
            if (!finder_range(f, word))
                continue;
            vec_push(&f->words, word);
            if (s->write || !finder_fde(f, word) || finder_fde(f, word)->start == word)
                vec_push(&f->weak, word);
        }
    }
}

static void
collect_words(struct finder *f)
{
    size_t kept = 0;

    if (!f->image->is_pie)
        collect_data_words(f);
    for (size_t i = 0; i < f->image->relocs.count; i++) {
        if (finder_range(f, f->image->relocs.items[i].target))
            vec_push(&f->words, f->image->relocs.items[i].target);
    }
    if (!f->words.count)
        return;
    qsort(f->words.items, f->words.count, sizeof(uint64_t), finder_compare_addresses);
    for (size_t i = 0; i < f->words.count; i++) {
        if (kept == 0 || f->words.items[kept - 1] != f->words.items[i])
            f->words.items[kept++] = f->words.items[i];
    }
    f->words.count = kept;
}

/* --- following one function --- */

static bool
in_func(const struct func *fn, uint64_t address)
{
    return address >= fn->address && address < fn->limit;
}

static void
mark_leader(struct finder *f, uint64_t address)
{
    struct text_range *r = finder_range(f, address);

    if (!r || r->leader[address - r->start] == f->stamp)
        return;
    r->leader[address - r->start] = f->stamp;
    f->changed = true;
}

static bool
is_leader(struct finder *f, uint64_t address)
{
    struct text_range *r = finder_range(f, address);

    return r && r->leader[address - r->start] == f->stamp;
}

static void
visit(struct finder *f, uint64_t address)
{
    struct text_range *r = finder_range(f, address);

    mark_leader(f, address);
    if (r && r->seen[address - r->start] != f->stamp)
        vec_push(&f->work, address);
}

/* Notes what the operands of an instruction say about other addresses of the text, and about data. */
static void
note_references(struct finder *f, const struct func *fn, const struct x86_insn *insn)
{
    for (int i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind == X86_OPD_MEM && o->base == X86_BASE_RIP) {
            uint64_t to = (uint64_t)o->disp;

            if (insn->op == X86_OP_LEA && finder_range(f, to)) {
                const struct elf_fde *fde = finder_fde(f, to);

                if (to > fn->address && to < fn->limit)
                    vec_push(&f->lea_labels, to);
                if (fde && fde->start == to)
                    finder_add_target(f, to);
                else if (!fn->done)
                    vec_push(&f->weak, to);
            } else if (finder_range(f, to)) {
                if (!fn->done)
                    vec_push(&f->text_refs, to);
            } else if (insn->op == X86_OP_LEA && elf_image_at(f->image, to, NULL)) {
                vec_push(&f->lea_targets, to);
            }
        } else if (o->kind == X86_OPD_IMM && !fn->done && !f->image->is_pie && insn->opsize >= 4 &&
                   finder_range(f, (uint64_t)o->imm)) {
            vec_push(&f->weak, (uint64_t)o->imm);
        }
    }
}

static void
note_unlifted(struct disc *d, const struct x86_insn *insn)
{
    for (size_t i = 0; i < d->unlifted.count; i++) {
        if (d->unlifted.items[i].op == insn->op) {
            d->unlifted_counts.items[i]++;
            return;
        }
    }
    vec_push(&d->unlifted, *insn);
    vec_push(&d->unlifted_counts, 1u);
}

static void
note_jump(struct func *fn, const struct x86_insn *insn)
{
    const struct x86_operand *o = &insn->operand[0];
    bool slot =
        o->kind == X86_OPD_MEM && o->index == X86_BASE_NONE && (o->base == X86_BASE_RIP || o->base == X86_BASE_NONE);

    vec_push(&fn->jumps, ((struct found_jump){.address = insn->address,
                                              .end = insn->address + insn->length,
                                              .kind = slot ? DISC_JUMP_SLOT : DISC_JUMP_POINTER}));
}

/* Decodes instructions from this address on, until control leaves or comes to one that this function has already. */
static void
follow(struct finder *f, struct func *fn, uint64_t address)
{
    enum x86_flow before = X86_FLOW_CALL;

    for (;; before = f->steps.items[f->steps.count - 1].flow) {
        struct text_range *r = finder_range(f, address);
        struct x86_insn insn;
        struct step step;

        if (!r || r->seen[address - r->start] == f->stamp)
            return;
        if (!in_func(fn, address)) {
            /* The range ends here. Behind a call that means that the callee never returns, because the compiler put
             * nothing there. After other instructions control does go on, in the function that begins here. */
            if (before == X86_FLOW_NEXT || before == X86_FLOW_BRANCH)
                finder_add_target(f, address);
            return;
        }
        if (address != fn->address && r->func[address - r->start] && !finder_fde(f, address)) {
            return; /* Without an FDE the range may be too long: here the next function begins. */
        }
        if (x86_decode(r->bytes + (address - r->start), r->end - address, address, &insn) <= 0) {
            vec_push(&f->foreign, address);
            return;
        }
        r->seen[address - r->start] = f->stamp;
        step = (struct step){.address = address, .length = insn.length, .flow = (uint8_t)x86_flow(&insn)};
        vec_push(&f->steps, step);
        note_references(f, fn, &insn);
        if (!fn->done && !lift_supported(&insn))
            note_unlifted(f->disc, &insn);
        address += insn.length;
        switch (step.flow) {
        case X86_FLOW_NEXT: continue;
        case X86_FLOW_SYSCALL:
        case X86_FLOW_CALL:
        case X86_FLOW_CALL_INDIRECT:
            if (step.flow == X86_FLOW_CALL)
                finder_add_call(f, (uint64_t)insn.operand[0].imm);
            mark_leader(f, address);
            continue;
        case X86_FLOW_BRANCH:
            finder_add_jump(f, fn, (uint64_t)insn.operand[0].imm);
            mark_leader(f, address);
            continue;
        case X86_FLOW_JUMP: finder_add_jump(f, fn, (uint64_t)insn.operand[0].imm); return;
        case X86_FLOW_JUMP_INDIRECT: note_jump(fn, &insn); return;
        default: return;
        }
    }
}

/* What is called becomes a function of its own even inside of another one's FDE, because a single FDE covers all the
 * stubs of a .plt. */
void
finder_add_call(struct finder *f, uint64_t target)
{
    struct text_range *r = finder_range(f, target);

    if (r)
        add_func(f, target, limit_of(f, r, target));
}

void
finder_add_jump(struct finder *f, const struct func *fn, uint64_t target)
{
    struct text_range *r = finder_range(f, target);

    if (!r)
        return;
    if (in_func(fn, target) && (target == fn->address || !r->func[target - r->start] || finder_fde(f, target)))
        visit(f, target);
    else
        finder_add_target(f, target);
}

static int
compare_steps(const void *a, const void *b)
{
    return finder_compare_addresses(&((const struct step *)a)->address, &((const struct step *)b)->address);
}

/* Where a jump leads into the middle of an instruction, two streams of instructions overlap, and the step after an
 * instruction is not the one that control goes on to. So that the block of that instruction has a successor all the
 * same, a block must begin where the instruction ends. */
static void
settle_overlaps(struct finder *f)
{
    for (size_t i = 0; i + 1 < f->steps.count; i++) {
        const struct step *s = &f->steps.items[i];

        if (s->address + s->length != f->steps.items[i + 1].address)
            mark_leader(f, s->address + s->length);
    }
}

/* Makes blocks of the steps, which are sorted. */
static void
make_blocks(struct finder *f, struct func *fn)
{
    fn->blocks.count = 0;
    for (size_t i = 0; i < f->steps.count; i++) {
        const struct step *s = &f->steps.items[i];
        bool first = i == 0 || is_leader(f, s->address) ||
                     f->steps.items[i - 1].address + f->steps.items[i - 1].length != s->address ||
                     f->steps.items[i - 1].flow != X86_FLOW_NEXT;

        if (first)
            vec_push(&fn->blocks, ((struct disc_block){.start = s->address, .table = -1}));
        fn->blocks.items[fn->blocks.count - 1].end = s->address + s->length;
    }
}

static bool
has_unknown_jumps(const struct func *fn)
{
    for (size_t i = 0; i < fn->jumps.count; i++) {
        if (fn->jumps.items[i].kind != DISC_JUMP_SLOT)
            return true;
    }
    return false;
}

/* While a copy of a function is explored, the stored original may be given entries and be queued, because something
 * that is found leads into it. The copy, which will replace the original, takes that over. */
static void
keep_entries(struct finder *f, uint32_t index, struct func *fn)
{
    const struct func *stored = &f->funcs.items[index];

    fn->entries.items = stored->entries.items;
    fn->entries.count = stored->entries.count;
    fn->entries.capacity = stored->entries.capacity;
    fn->queued = stored->queued;
}

/* Explores one function: follows its code, makes blocks of it, and resolves its indirect jumps, until these lead to
 * nothing new or MAX_ROUNDS are over. The queue brings it here again when it gains an entry. */
static void
explore(struct finder *f, uint32_t index)
{
    /* Functions that are found meanwhile may move the array funcs, so a copy is explored and stored back. */
    struct func fn = f->funcs.items[index];

    f->stamp++;
    f->steps.count = f->work.count = f->lea_targets.count = f->lea_labels.count = fn.jumps.count = 0;
    visit(f, fn.address);
    for (size_t i = 0; i < fn.entries.count; i++)
        visit(f, fn.entries.items[i]);
    for (size_t i = 0; i < fn.labels.count; i++)
        visit(f, fn.labels.items[i]);
    f->changed = true;
    for (int round = 0; (f->changed || f->work.count) && round < MAX_ROUNDS; round++) {
        while (f->work.count)
            follow(f, &fn, f->work.items[--f->work.count]);
        if (f->steps.count) {
            qsort(f->steps.items, f->steps.count, sizeof(struct step), compare_steps);
            settle_overlaps(f);
        }
        make_blocks(f, &fn);
        fn.done = true;
        f->changed = false;
        keep_entries(f, index, &fn);
        if (has_unknown_jumps(&fn))
            finder_resolve_jumps(f, &fn);
    }
    keep_entries(f, index, &fn);
    f->funcs.items[index] = fn;
}

void
finder_drain(struct finder *f)
{
    while (f->queue.count) {
        uint32_t index = f->queue.items[--f->queue.count];

        f->funcs.items[index].queued = false;
        explore(f, index);
    }
}

/* --- weak seeds --- */

void
finder_mark_covered(struct finder *f)
{
    for (size_t i = 0; i < f->funcs.count; i++) {
        const struct func *fn = &f->funcs.items[i];

        for (size_t j = 0; j < fn->blocks.count; j++) {
            const struct disc_block *b = &fn->blocks.items[j];
            struct text_range *r = finder_range(f, b->start);

            if (r)
                memset(r->covered + (b->start - r->start), COVER_BLOCK, b->end - b->start);
        }
    }
}

/* Do the bytes at this address decode like code? Hand-written assembly has constants between its functions and takes
 * their addresses as it takes those of functions, so that only the bytes tell them apart. They are decoded for
 * LOOK_AHEAD instructions, or up to a jump, a return or code that was found. */
static bool
looks_like_code(struct finder *f, uint64_t address)
{
    for (int i = 0; i < LOOK_AHEAD; i++) {
        const struct text_range *r = finder_range(f, address);
        const uint8_t *p = r ? r->bytes + (address - r->start) : NULL;
        struct x86_insn insn;
        int n = r ? x86_decode(p, r->end - address, address, &insn) : 0;

        if (!r || r->covered[address - r->start])
            return r != NULL;
        if (n <= 0) {
            n = x86_foreign_length(p, r->end - address, address, NULL);
            if (n <= 0)
                return false;
            address += (unsigned)n;
            continue;
        }
        if (p[0] == 0 && p[1] == 0) /* Two zeros decode as add [rax], al, but are data or fill. */
            return false;
        switch (x86_flow(&insn)) {
        case X86_FLOW_JUMP:
        case X86_FLOW_BRANCH:
        case X86_FLOW_CALL:
            if (!finder_range(f, (uint64_t)insn.operand[0].imm))
                return false;
            if (x86_flow(&insn) == X86_FLOW_JUMP)
                return true;
            break;
        case X86_FLOW_JUMP_INDIRECT:
        case X86_FLOW_RETURN: return true;
        case X86_FLOW_TRAP: return insn.op == X86_OP_UD2 || insn.op == X86_OP_INT3 || insn.op == X86_OP_HLT;
        default: break;
        }
        address += (unsigned)n;
    }
    return true;
}

static void
take_weak(struct finder *f)
{
    for (int round = 0; round < 8 && f->weak.count; round++) {
        size_t count = f->weak.count;

        finder_mark_covered(f);
        for (size_t i = 0; i < count; i++) {
            uint64_t address = f->weak.items[i];
            struct text_range *r = finder_range(f, address);

            if (!looks_like_code(f, address))
                vec_push(&f->text_refs, address);
            else if (!r->covered[address - r->start] || (f->image->is_pie && finder_fde(f, address)))
                finder_add_target(f, address);
        }
        memmove(f->weak.items, f->weak.items + count, (f->weak.count - count) * sizeof *f->weak.items);
        f->weak.count -= count;
        finder_drain(f);
    }
}

/* A function without an FDE ends where the next one begins, and discovery may have learnt of that only after it had
 * explored the function. So these are explored again, now that more starts are known. The second round is for what the
 * first one finds. */
static void
settle_open_ended(struct finder *f)
{
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < f->funcs.count; i++) {
            if (!finder_fde(f, f->funcs.items[i].address))
                enqueue(f, i);
        }
        finder_drain(f);
    }
}

/* --- the result --- */

static int
compare_jumps(const void *a, const void *b)
{
    const struct disc_jump *x = a, *y = b;

    return x->address != y->address ? (x->address < y->address ? -1 : 1) : x->kind - y->kind;
}

/* Functions of files without unwind tables may share code, and then each has a record of the same jump. One is kept,
 * that of the lowest kind, of which most is known. */
static void
sort_jumps(struct disc *d)
{
    size_t kept = 0;

    if (d->jumps.count)
        qsort(d->jumps.items, d->jumps.count, sizeof *d->jumps.items, compare_jumps);
    for (size_t i = 0; i < d->jumps.count; i++) {
        if (kept == 0 || d->jumps.items[kept - 1].address != d->jumps.items[i].address)
            d->jumps.items[kept++] = d->jumps.items[i];
    }
    d->jumps.count = kept;
}

static int
compare_funcs(const void *a, const void *b)
{
    return finder_compare_addresses(&((const struct func *)a)->address, &((const struct func *)b)->address);
}

static int
compare_disc_funcs(const void *a, const void *b)
{
    return finder_compare_addresses(&((const struct disc_func *)a)->address, &((const struct disc_func *)b)->address);
}

static struct disc_block *
block_ending_at(struct func *fn, uint64_t end)
{
    size_t low = 0, high = fn->blocks.count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (fn->blocks.items[mid].end == end)
            return &fn->blocks.items[mid];
        if (fn->blocks.items[mid].end < end)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static void
put_jumps(struct disc *d, struct func *fn)
{
    for (size_t i = 0; i < fn->jumps.count; i++) {
        const struct found_jump *j = &fn->jumps.items[i];
        struct disc_block *b = block_ending_at(fn, j->end);

        bool through_table = (j->kind == DISC_JUMP_SWITCH || j->kind == DISC_JUMP_GOTO) && j->by_index;

        vec_push(&d->jumps, ((struct disc_jump){.address = j->address,
                                                .kind = j->kind,
                                                .table = through_table ? (int32_t)d->tables.count : -1}));
        if (!through_table)
            continue;
        if (j->kind == DISC_JUMP_SWITCH && b)
            b->table = (int32_t)d->tables.count;
        vec_push(&d->tables, j->table);
    }
}

static void
put_func(struct finder *f, struct disc *d, struct func *fn)
{
    struct disc_func out = {.address = fn->address, .end = fn->address, .address_taken = true};
    size_t entry = 0;

    while (entry < fn->blocks.count && fn->blocks.items[entry].start != fn->address)
        entry++;
    if (entry == fn->blocks.count)
        return; /* No instruction decodes at its address. */
    put_jumps(d, fn);
    finder_find_loops(f, fn);
    fn->blocks.items[entry].entry = true;
    out.first_block = (uint32_t)d->blocks.count;
    vec_push(&d->blocks, fn->blocks.items[entry]);
    for (size_t i = 0; i < fn->blocks.count; i++) {
        if (i != entry)
            vec_push(&d->blocks, fn->blocks.items[i]);
        if (fn->blocks.items[i].end > out.end)
            out.end = fn->blocks.items[i].end;
    }
    out.block_count = (uint32_t)d->blocks.count - out.first_block;
    vec_push(&d->funcs, out);
}

static int
open_ranges(struct finder *f, struct err *e)
{
    for (size_t i = 0; i < f->image->exec_sections.count; i++) {
        struct elf_range s = f->image->exec_sections.items[i];
        uint64_t left, size;
        struct text_range r = {.start = s.start, .end = s.end};

        if (f->ranges.count && s.start < f->ranges.items[f->ranges.count - 1].end)
            r.start = f->ranges.items[f->ranges.count - 1].end; /* What two sections share is taken once. */
        if (r.start >= r.end)
            continue;
        size = r.end - r.start;
        r.bytes = elf_image_at(f->image, r.start, &left);
        if (!r.bytes || left < size)
            return err_set(e, "executable section at %#lx is not in the file", r.start);
        r.func = mem_zalloc(size, sizeof *r.func);
        r.leader = mem_zalloc(size, sizeof *r.leader);
        r.seen = mem_zalloc(size, sizeof *r.seen);
        r.covered = mem_zalloc(size, 1);
        vec_push(&f->ranges, r);
    }
    return 0;
}

static void
close_finder(struct finder *f)
{
    for (size_t i = 0; i < f->ranges.count; i++) {
        mem_free(f->ranges.items[i].func);
        mem_free(f->ranges.items[i].leader);
        mem_free(f->ranges.items[i].seen);
        mem_free(f->ranges.items[i].covered);
    }
    for (size_t i = 0; i < f->funcs.count; i++) {
        vec_fini(&f->funcs.items[i].blocks);
        vec_fini(&f->funcs.items[i].entries);
        vec_fini(&f->funcs.items[i].labels);
        vec_fini(&f->funcs.items[i].jumps);
    }
    vec_fini(&f->ranges);
    vec_fini(&f->funcs);
    vec_fini(&f->queue);
    vec_fini(&f->work);
    vec_fini(&f->steps);
    vec_fini(&f->lea_targets);
    vec_fini(&f->lea_labels);
    vec_fini(&f->weak);
    vec_fini(&f->foreign);
    vec_fini(&f->text_refs);
    vec_fini(&f->words);
    vec_fini(&f->data_refs);
    mem_free(f->targets);
    ir_build_fini(&f->build);
    ir_func_fini(&f->scratch);
    ir_build_fini(&f->build_block);
    ir_func_fini(&f->scratch_block);
}

int
discover(struct disc *d, const struct elf_image *image, const uint64_t *profile, size_t profile_count, struct err *e)
{
    struct finder f = {.image = image, .disc = d};

    *d = (struct disc){0};
    ir_func_init(&f.scratch, 0);
    ir_build_init(&f.build, &f.scratch);
    ir_func_init(&f.scratch_block, 0);
    ir_build_init(&f.build_block, &f.scratch_block);
    f.targets = mem_zalloc(MAX_TABLE, sizeof *f.targets);
    if (open_ranges(&f, e) < 0) {
        close_finder(&f);
        return -1;
    }
    f.jump_work = JUMP_WORK;
    collect_words(&f);
    finder_collect_data_refs(&f);
    seed_strong(&f);
    finder_drain(&f);
    take_weak(&f);
    settle_open_ended(&f);
    finder_find_forks(&f);
    finder_take_profile(&f, profile, profile_count);
    if (profile_count)
        settle_open_ended(&f);
    finder_mark_covered(&f);
    finder_measure(&f);
    if (f.funcs.count)
        qsort(f.funcs.items, f.funcs.count, sizeof(struct func), compare_funcs);
    for (size_t i = 0; i < f.funcs.count; i++)
        put_func(&f, d, &f.funcs.items[i]);
    sort_jumps(d);
    if (d->funcs.count)
        qsort(d->funcs.items, d->funcs.count, sizeof(struct disc_func), compare_disc_funcs);
    close_finder(&f);
    return 0;
}

void
disc_fini(struct disc *d)
{
    vec_fini(&d->funcs);
    vec_fini(&d->blocks);
    vec_fini(&d->tables);
    vec_fini(&d->jumps);
    vec_fini(&d->evaluated);
    vec_fini(&d->gaps);
    vec_fini(&d->unlifted);
    vec_fini(&d->unlifted_counts);
    arena_fini(&d->arena);
}

unsigned
disc_unresolved_jumps(const struct disc *d)
{
    unsigned n = 0;

    for (size_t i = 0; i < d->jumps.count; i++)
        n += d->jumps.items[i].kind >= DISC_JUMP_POINTER;
    return n;
}
