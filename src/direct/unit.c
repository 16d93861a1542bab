/* Makes, from the discovered blocks of one program or library, its rewritten code with map and tables. */
#include "direct/unit.h"

#include <stdlib.h>
#include <string.h>

#include "direct/object.h"
#include "direct/rewrite.h"
#include "x86/address_space.h"

/* --- which instructions there are --- */

enum { MAX_KEPT = 12 /* instructions that nobody enters; a tick steps through them */ };
enum { IN_BLOCK = 1, STARTS = 2, LEADER = 4, FUNCTION = 8 };

static void
add_code(struct rewriter *w, uint64_t start, const uint8_t *bytes, uint64_t size)
{
    vec_push(&w->code, ((struct code_range){start, start + size, bytes, mem_zalloc(size + 1, 1)}));
}

static const struct code_range *
range_at(const struct rewriter *w, uint64_t address)
{
    for (size_t i = 0; i < w->code.count; i++) {
        const struct code_range *r = &w->code.items[i];

        if (address >= r->start && address < r->end)
            return r;
    }
    return NULL;
}

const uint8_t *
rewriter_bytes(const struct rewriter *w, uint64_t address, uint64_t *left)
{
    const struct code_range *r = range_at(w, address);

    *left = r ? r->end - address : 0;
    return r ? r->bytes + (address - r->start) : NULL;
}

static uint8_t *
mark_at(const struct rewriter *w, uint64_t address)
{
    const struct code_range *r = range_at(w, address);

    return r ? &r->marks[address - r->start] : NULL;
}

/* Marks an instruction. False: another block has divided these bytes otherwise; the instruction is left out, and the
 * evaluator runs it. */
static bool
mark_insn(const struct rewriter *w, uint64_t address, unsigned length)
{
    for (unsigned i = 0; i < length; i++) {
        uint8_t *m = mark_at(w, address + i);

        if (!m || (*m & IN_BLOCK))
            return false;
    }
    for (unsigned i = 0; i < length; i++)
        *mark_at(w, address + i) |= IN_BLOCK;
    *mark_at(w, address) |= STARTS;
    return true;
}

static void
mark_block(const struct rewriter *w, uint64_t start, uint64_t end)
{
    uint8_t *first = mark_at(w, start);

    for (uint64_t at = start; at < end;) {
        uint64_t left;
        const uint8_t *bytes = rewriter_bytes(w, at, &left);
        struct x86_insn insn;
        int length = bytes ? x86_decode(bytes, left, at, &insn) : 0;

        if (length <= 0)
            break;
        if (!(*mark_at(w, at) & STARTS) && !mark_insn(w, at, (unsigned)length))
            break;
        at += (unsigned)length;
    }
    if (first && (*first & STARTS))
        *first |= LEADER;
}

static void
mark_function(const struct rewriter *w, uint64_t address)
{
    uint8_t *m = mark_at(w, address);

    if (m && (*m & STARTS))
        *m |= FUNCTION | LEADER;
}

static void
list_insns(struct rewriter *w)
{
    for (size_t i = 0; i < w->code.count; i++) {
        const struct code_range *r = &w->code.items[i];

        for (uint64_t at = r->start; at < r->end; at++) {
            uint8_t mark = r->marks[at - r->start];
            struct x86_insn insn;

            if (!(mark & STARTS))
                continue;
            x86_decode(r->bytes + (at - r->start), r->end - at, at, &insn);
            vec_push(&w->insns, ((struct insn_place){.address = (uint32_t)at,
                                                     .length = insn.length,
                                                     .leader = mark & LEADER,
                                                     .function = mark & FUNCTION}));
        }
    }
}

size_t
rewriter_first_from(const struct rewriter *w, uint64_t address)
{
    size_t low = 0, high = w->insns.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (w->insns.items[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t
rewriter_find(const struct rewriter *w, uint64_t address)
{
    size_t i = rewriter_first_from(w, address);

    return i < w->insns.count && w->insns.items[i].address == address ? i : SIZE_MAX;
}

/* --- one instruction after the other --- */

/* Is this an instruction that not every processor has that runs artifacts of level v2? */
static bool
is_of_v3(const struct x86_insn *insn, const struct x86_parts *at)
{
    switch (insn->op) {
        /* clang-format off */
    case X86_OP_AESDEC: case X86_OP_AESDECLAST: case X86_OP_AESENC: case X86_OP_AESENCLAST: case X86_OP_AESIMC:
    case X86_OP_AESKEYGENASSIST: case X86_OP_PCLMULQDQ: case X86_OP_SHA1MSG1: case X86_OP_SHA1MSG2: case X86_OP_SHA1NEXTE:
    case X86_OP_SHA1RNDS4: case X86_OP_SHA256MSG1: case X86_OP_SHA256MSG2: case X86_OP_SHA256RNDS2: case X86_OP_MOVBE: case X86_OP_LZCNT:
        /* clang-format on */
        return true;
    default: return at->vex;
    }
}

/* Must the evaluator do this instruction, because the processor does it otherwise than the guest is promised, because
 * it tells of the host, or because it would change more than the guest? */
static bool
is_evaluated(const struct x86_insn *insn)
{
    switch (insn->op) {
        /* clang-format off */
    case X86_OP_CPUID: case X86_OP_RDTSC: case X86_OP_RDTSCP: case X86_OP_RDPID: case X86_OP_XGETBV: case X86_OP_RDRAND: case X86_OP_RDSEED:
    case X86_OP_RDFSBASE: case X86_OP_RDGSBASE: case X86_OP_WRFSBASE: case X86_OP_WRGSBASE:
    case X86_OP_LAR: case X86_OP_LSL: case X86_OP_VERR: case X86_OP_VERW: case X86_OP_SGDT: case X86_OP_SIDT: case X86_OP_SLDT:
    case X86_OP_SMSW: case X86_OP_STR:
    case X86_OP_POPF: case X86_OP_ENTER: case X86_OP_IRET:
    case X86_OP_FNSTENV: case X86_OP_FNSAVE: case X86_OP_FLDENV: case X86_OP_FRSTOR: case X86_OP_FXSAVE: case X86_OP_FXRSTOR:
    case X86_OP_XSAVE: case X86_OP_XSAVEC: case X86_OP_XSAVEOPT: case X86_OP_XSAVES: case X86_OP_XRSTOR: case X86_OP_XRSTORS:
    case X86_OP_CLFLUSHOPT: case X86_OP_CLWB: case X86_OP_ADCX: case X86_OP_ADOX:
    case X86_OP_RCPPS: case X86_OP_RCPSS: case X86_OP_RSQRTPS: case X86_OP_RSQRTSS:
    case X86_OP_VRCPPS: case X86_OP_VRCPSS: case X86_OP_VRSQRTPS: case X86_OP_VRSQRTSS:
    case X86_OP_F2XM1: case X86_OP_FCOS: case X86_OP_FSIN: case X86_OP_FSINCOS: case X86_OP_FPATAN: case X86_OP_FPTAN: case X86_OP_FYL2X:
    /* clang-format on */
    case X86_OP_FYL2XP1: return true;
    case X86_OP_BT:
    case X86_OP_BTS:
    case X86_OP_BTR:
    case X86_OP_BTC: /* the bit's number in a register leads beyond the operand */
        return insn->operand[0].kind == X86_OPD_MEM && insn->operand[1].kind == X86_OPD_REG;
    default: break;
    }
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind == X86_OPD_REG &&
            (o->reg_class == X86_RC_SEG || o->reg_class == X86_RC_CR || o->reg_class == X86_RC_DR))
            return true;
    }
    return false;
}

static bool
is_string(const struct x86_insn *insn)
{
    return insn->op == X86_OP_MOVS || insn->op == X86_OP_CMPS || insn->op == X86_OP_STOS || insn->op == X86_OP_LODS ||
           insn->op == X86_OP_SCAS;
}

static bool
is_nothing(const struct x86_insn *insn)
{
    return insn->op == X86_OP_NOP || insn->op == X86_OP_ENDBR64 || insn->op == X86_OP_ENDBR32;
}

static bool
rewrite_insn(struct rewriter *w, size_t index, const uint8_t *bytes, const struct x86_insn *insn,
             const struct x86_parts *at)
{
    if (is_evaluated(insn) || (x86_level() < X86_LEVEL_V3 && is_of_v3(insn, at)))
        return false;
    if (is_nothing(insn))
        return true;
    if (x86_flow(insn) != X86_FLOW_NEXT)
        return rewrite_control(w, index, bytes, insn, at);
    if (is_string(insn))
        return rewrite_string(w, bytes, insn, at);
    return rewrite_plain(w, bytes, insn, at);
}

static bool
falls_through(const struct x86_insn *insn)
{
    switch (x86_flow(insn)) {
    case X86_FLOW_JUMP:
    case X86_FLOW_JUMP_INDIRECT:
    case X86_FLOW_RETURN:
    case X86_FLOW_TRAP: return false;
    default: return true;
    }
}

/* --- the guest's r10 or r11 in the host's r10 from one instruction to the next --- */

/* Does the instruction's form leave the host's r10 alone, but for what plain.c does with it? Of a conditional jump that
 * is asked for when it does not jump. */
static bool
is_plain(const struct x86_insn *insn)
{
    return insn->op == X86_OP_JCC || (x86_flow(insn) == X86_FLOW_NEXT && !is_stack_insn(insn) && !is_string(insn));
}

/* Which of the guest's r10 (bit 0) and r11 (bit 1) the instruction names. */
static unsigned
displaced_of(const struct x86_insn *insn)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind == X86_OPD_REG && o->reg_class == X86_RC_GPR && is_displaced(o->reg))
            bits |= 1u << (o->reg - X86_R10);
        if (o->kind == X86_OPD_MEM && is_displaced(o->base))
            bits |= 1u << (o->base - X86_R10);
        if (o->kind == X86_OPD_MEM && is_displaced(o->index))
            bits |= 1u << (o->index - X86_R10);
    }
    return bits;
}

/* Does what the host's r10 has behind the instruction before this one still count here? If so, that one fell through to
 * here, because there is no other way here. */
static bool
takes_kept(const struct rewriter *w, size_t i, const struct x86_insn *insn)
{
    const struct insn_place *p = &w->insns.items[i];

    return i > 0 && !p->leader && p->address == p[-1].address + p[-1].length && !p->index && is_plain(insn);
}

static unsigned
wanted_next(const struct rewriter *w, size_t i)
{
    struct x86_insn insn;
    uint64_t left;
    const uint8_t *bytes = i + 1 < w->insns.count ? rewriter_bytes(w, w->insns.items[i + 1].address, &left) : NULL;

    if (!bytes || x86_decode(bytes, left, w->insns.items[i + 1].address, &insn) <= 0 || !takes_kept(w, i + 1, &insn))
        return 0;
    return displaced_of(&insn);
}

static void
begin_kept(struct rewriter *w, size_t i, const struct x86_insn *insn)
{
    if (!takes_kept(w, i, insn) || i - w->kept_since > MAX_KEPT)
        w->kept = -1;
    w->loaded_kept = w->used_kept = false;
    w->wanted = displaced_of(insn) ? (uint8_t)wanted_next(w, i) : 0;
}

static void
end_kept(struct rewriter *w, size_t i, const struct x86_insn *insn)
{
    if (!is_plain(insn))
        w->kept = -1;
    if (w->used_kept)
        for (size_t k = w->kept_since + 1; k <= i; k++)
            w->insns.items[k].run = true;
    if (w->loaded_kept)
        w->kept_since = i;
}

/* Tries to rewrite the instruction, and others after it if they are done together. Returns how many; the last one is in
 * *insn. 0: there is no form. */
static size_t
try_rewrite(struct rewriter *w, size_t i, struct x86_insn *insn)
{
    struct x86_parts at;
    uint64_t left;
    const uint8_t *bytes = rewriter_bytes(w, w->insns.items[i].address, &left);

    x86_decode_parts(bytes, left, w->insns.items[i].address, insn, &at);
    begin_kept(w, i, insn);
    if (is_stack_insn(insn))
        return rewrite_stack(w, i);
    layout_place(&w->layout, position_begin(i));
    if (w->insns.items[i].index && x86_flow(insn) == X86_FLOW_NEXT)
        emit_move(w, HOST_SCRATCH, w->insns.items[i].index - 1u); /* for the jump that follows (labels.c) */
    if (!rewrite_insn(w, i, bytes, insn, &at))
        return 0;
    layout_place(&w->layout, position_end(i));
    return 1;
}

/* Rewrites the instruction, and others after it if they are done together; what has no form becomes the evaluator's.
 * Returns how many; the last one is in *insn. */
static size_t
rewrite_at(struct rewriter *w, size_t i, struct x86_insn *insn)
{
    struct layout_point before = layout_point(&w->layout);
    size_t done;

    w->too_long = false;
    done = try_rewrite(w, i, insn);
    if (done && !w->too_long) {
        end_kept(w, i, insn);
        return done;
    }
    w->kept = -1;
    layout_return(&w->layout, before);
    layout_place(&w->layout, position_begin(i));
    rewrite_leave(w, w->insns.items[i].address);
    layout_place(&w->layout, position_end(i));
    return 1;
}

static void
rewrite_all(struct rewriter *w)
{
    bool reached = false; /* is the place that comes next reached by falling through? */

    for (size_t i = 0; i < w->insns.count;) {
        struct x86_insn insn;
        size_t done;
        uint32_t next;

        if (!reached) {
            if (w->insns.items[i].function) {
                rewrite_slow_paths(w);
                layout_align(&w->layout, 16);
            }
        }
        done = rewrite_at(w, i, &insn);
        i += done;
        next = w->insns.items[i - 1].address + w->insns.items[i - 1].length;
        reached = falls_through(&insn);
        if (reached && (i == w->insns.count || w->insns.items[i].address != next)) {
            rewrite_leave(w, next);
            reached = false;
        }
    }
    rewrite_slow_paths(w);
}

/* --- map and tables --- */

static void
put_place(struct buf *index, uint32_t guest, uint32_t host, size_t at)
{
    buf_put_u32(index, guest);
    buf_put_u32(index, host);
    buf_put_u32(index, (uint32_t)at);
}

static void
put_map(const struct rewriter *w, struct buf *map, struct buf *index, struct buf *entries)
{
    uint32_t guest = w->insns.count ? w->insns.items[0].address : 0, host = 0, since = DIRECT_INDEX_STEP;

    if (w->insns.count)
        host = layout_offset(&w->layout, position_begin(0));
    for (size_t i = 0; i < w->insns.count; i++) {
        const struct insn_place *p = &w->insns.items[i];
        uint32_t begin = layout_offset(&w->layout, position_begin(i)),
                 length = layout_offset(&w->layout, position_end(i)) - begin;

        if (p->address != guest || begin != host) {
            buf_put_u8(map, DIRECT_MAP_GAP);
            buf_put_uleb(map, p->address - guest);
            buf_put_uleb(map, begin - host);
        }
        if (since >= DIRECT_INDEX_STEP && !p->run) {
            put_place(index, p->address, begin, map->size);
            since = 0;
        }
        if (p->run)
            buf_put_u8(map, DIRECT_MAP_RUN);
        buf_put_u8(map, (uint8_t)(p->length << 4 | (length < DIRECT_MAP_LONG ? length : DIRECT_MAP_LONG)));
        if (length >= DIRECT_MAP_LONG)
            buf_put_uleb(map, length);
        /* No entry of the code map where code reads flags: a lookup that finds its target has changed them. */
        if (p->address % GUEST_CODE_MAP_UNIT == 0 && !p->run && !p->reads) {
            buf_put_u32(entries, p->address);
            buf_put_u32(entries, begin);
        }
        guest = p->address + p->length;
        host = begin + length;
        since++;
    }
    put_place(index, guest, host, map->size);
}

/* --- all --- */

static void
rewriter_fini(struct rewriter *w)
{
    for (size_t i = 0; i < w->code.count; i++)
        mem_free(w->code.items[i].marks);
    vec_fini(&w->code);
    layout_fini(&w->layout);
    vec_fini(&w->insns);
    vec_fini(&w->label_tables);
    vec_fini(&w->labels);
    buf_fini(&w->tables);
    vec_fini(&w->table_entries);
    vec_fini(&w->slow);
}

/* Does what comes after the marks. d: NULL when nothing is known of indirect jumps. */
static int
rewrite_marked(struct rewriter *w, const struct disc *d, const char *key, struct direct_result *out, struct err *e)
{
    struct object_input in = {.key = key};
    struct buf text = {0}, map = {0}, index = {0};
    int result;

    list_insns(w);
    for (size_t i = 0; i < 2 * w->insns.count; i++)
        layout_position(&w->layout);
    for (size_t i = 0; d && i < d->funcs.count; i++)
        if (!d->funcs.items[i].loop)
            find_labels(w, d, &d->funcs.items[i]);
    find_live_flags(w);
    rewrite_entries(w);
    rewrite_all(w);
    layout_finish(&w->layout, &text);
    put_map(w, &map, &index, &out->entries);
    in.text = &text;
    in.map = &map;
    in.index = &index;
    in.tables = &w->tables;
    result = object_write(w, &in, &out->object, e);
    buf_fini(&text);
    buf_fini(&map);
    buf_fini(&index);
    return result;
}

/* Marks the stub at an address, up to its jump. */
static void
mark_stub(const struct rewriter *w, uint64_t address)
{
    struct x86_insn insn;
    uint64_t end = address;

    do {
        uint64_t left;
        const uint8_t *bytes = rewriter_bytes(w, end, &left);

        if (!bytes || x86_decode(bytes, left, end, &insn) <= 0)
            return;
        end += insn.length;
    } while (insn.op != X86_OP_JMP);
    mark_block(w, address, end);
    mark_function(w, address);
}

/* Discovery takes calls of PLT stubs for calls of what they lead to, and leaves out the stubs. Here they are needed,
 * because the guest's own calls lead there. */
static void
mark_stubs(const struct rewriter *w, const struct elf_image *image)
{
    for (size_t i = 0; i < w->code.count; i++) {
        const struct code_range *r = &w->code.items[i];

        for (uint64_t at = r->start; at < r->end; at++) {
            struct x86_insn insn;
            uint64_t slot;
            uint8_t *m;

            if (!(r->marks[at - r->start] & STARTS) ||
                x86_decode(r->bytes + (at - r->start), r->end - at, at, &insn) <= 0 || !insn.operand_count ||
                insn.operand[0].kind != X86_OPD_REL)
                continue;
            m = mark_at(w, (uint64_t)insn.operand[0].imm);
            if (m && !(*m & IN_BLOCK) && disc_plt_slot(image, (uint64_t)insn.operand[0].imm, &slot))
                mark_stub(w, (uint64_t)insn.operand[0].imm);
        }
    }
}

int
direct_rewrite(const struct elf_image *image, const struct disc *d, const char *key, struct direct_result *out,
               struct err *e)
{
    struct rewriter w = {0};
    int result;

    *out = (struct direct_result){0};
    if (image->high > GUEST_IMAGE_END)
        return err_set(e, "its segments end above 1 GiB");
    for (size_t i = 0; i < image->exec_sections.count; i++) {
        const struct elf_range *r = &image->exec_sections.items[i];
        uint64_t left;
        const uint8_t *bytes = elf_image_at(image, r->start, &left);

        if (bytes)
            add_code(&w, r->start, bytes, r->end - r->start < left ? r->end - r->start : left);
    }
    for (size_t i = 0; i < d->funcs.count; i++) {
        const struct disc_func *f = &d->funcs.items[i];

        for (uint32_t k = 0; !f->loop && k < f->block_count; k++)
            mark_block(&w, d->blocks.items[f->first_block + k].start, d->blocks.items[f->first_block + k].end);
        if (!f->loop)
            mark_function(&w, f->address);
    }
    mark_stubs(&w, image);
    result = rewrite_marked(&w, d, key, out, e);
    rewriter_fini(&w);
    return result;
}

/* Marks the instructions within the pieces to which this piece's branches lead. */
static void
mark_targets(const struct rewriter *w, const struct direct_piece *piece)
{
    for (uint64_t at = 0; at < piece->size;) {
        struct x86_insn insn;
        int length = x86_decode(piece->bytes + at, piece->size - at, piece->address + at, &insn);
        uint8_t *m;

        if (length <= 0)
            break;
        if (insn.operand_count && insn.operand[0].kind == X86_OPD_REL) {
            m = mark_at(w, (uint64_t)insn.operand[0].imm);
            if (m && (*m & STARTS))
                *m |= LEADER;
        }
        at += (unsigned)length;
    }
}

int
direct_rewrite_pieces(const struct direct_piece *pieces, size_t count, const char *key, struct direct_result *out,
                      struct err *e)
{
    struct rewriter w = {0};
    int result;

    *out = (struct direct_result){0};
    for (size_t i = 0; i < count; i++) {
        add_code(&w, pieces[i].address, pieces[i].bytes, pieces[i].size);
        mark_block(&w, pieces[i].address, pieces[i].address + pieces[i].size);
        mark_function(&w, pieces[i].address);
    }
    for (size_t i = 0; i < count; i++)
        mark_targets(&w, &pieces[i]);
    result = rewrite_marked(&w, NULL, key, out, e);
    rewriter_fini(&w);
    return result;
}
