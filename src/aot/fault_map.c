/* LLVM's stack maps ("Stack maps and patch points in LLVM", version 3), rewritten in the object file as a fault map
 * (artifact/fault_map.h), which is some fifteen times smaller. It is done in place: the section keeps its offset and
 * gets a smaller size, its relocations, one a function, move along, and its name is one of the same length. */
#include "aot/aot_internal.h"

#include <elf.h>
#include <string.h>

#include "artifact/fault_map.h"
#include "base/mem.h"

enum { STACK_MAP_VERSION = 3, HEADER_SIZE = 16, FUNCTION_SIZE = 24, REGISTERS = 16 };
enum { LOCATION_REGISTER = 1, LOCATION_DIRECT, LOCATION_INDIRECT, LOCATION_CONSTANT, LOCATION_CONSTANT_INDEX };

static const char llvm_section[] = ".llvm_stackmaps";
_Static_assert(sizeof llvm_section == sizeof FAULT_MAP_SECTION, "the name is overwritten");

/* x86 numbers of the registers in DWARF's order (System V ABI, figure 3.36). */
static const uint8_t x86_number[REGISTERS] = {0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};

struct place {
    uint8_t kind;
    int64_t value;
};

struct maps { /* an object's section, while it is read */
    const uint8_t *functions, *constants;
    uint32_t function_count, constant_count, record_count;
    struct cursor records;
};

static bool
read_header(struct maps *m, const uint8_t *data, size_t size)
{
    struct cursor c = cursor_make(data, size);

    if (cursor_u32(&c) != STACK_MAP_VERSION)
        return false;
    m->function_count = cursor_u32(&c);
    m->constant_count = cursor_u32(&c);
    m->record_count = cursor_u32(&c);
    m->functions = cursor_bytes(&c, (size_t)m->function_count * FUNCTION_SIZE);
    m->constants = cursor_bytes(&c, (size_t)m->constant_count * 8);
    m->records = c;
    return !c.failed;
}

static uint64_t
word(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* A location of eight bytes, in a form that can be compared. */
static bool
read_place(struct maps *m, struct place *out)
{
    struct cursor *c = &m->records;
    unsigned type = cursor_u8(c), reg;
    int32_t value;

    cursor_u8(c);
    if (cursor_u16(c) != 8)
        return false;
    reg = cursor_u16(c);
    cursor_u16(c);
    value = (int32_t)cursor_u32(c);
    if (type != LOCATION_CONSTANT && type != LOCATION_CONSTANT_INDEX && reg >= REGISTERS)
        return false;
    *out = (struct place){.value = value};
    switch (type) {
    case LOCATION_REGISTER: *out = (struct place){.kind = x86_number[reg]}; return true;
    case LOCATION_DIRECT: out->kind = (uint8_t)(FAULT_PLACE_ADDRESS | x86_number[reg]); return true;
    case LOCATION_INDIRECT: out->kind = (uint8_t)(FAULT_PLACE_MEMORY | x86_number[reg]); return true;
    case LOCATION_CONSTANT: out->kind = FAULT_PLACE_CONSTANT; return true;
    case LOCATION_CONSTANT_INDEX:
        if ((uint32_t)value >= m->constant_count)
            return false;
        *out = (struct place){FAULT_PLACE_CONSTANT, (int64_t)word(m->constants + (size_t)value * 8)};
        return true;
    default: return false;
    }
}

static void
skip_live_outs(struct maps *m, const uint8_t *section)
{
    struct cursor *c = &m->records;

    while ((c->at - section) % 8 && !c->failed)
        cursor_u8(c);
    cursor_u16(c);
    cursor_bytes(c, (size_t)cursor_u16(c) * 4);
    while ((c->at - section) % 8 && !c->failed)
        cursor_u8(c);
}

struct block { /* a function's records while they are written */
    struct place last[REGISTERS];
    uint32_t host;
    uint64_t guest;
};

static bool
put_record(struct maps *m, const uint8_t *section, struct block *b, struct buf *out)
{
    struct cursor *c = &m->records;
    uint64_t id = cursor_u64(c), guest = id & ((1ull << 48) - 1);
    uint32_t host = cursor_u32(c), given = (uint32_t)(id >> 48), moved = 0;
    struct place places[REGISTERS] = {0};

    cursor_u16(c);
    if (cursor_u16(c) != __builtin_popcount(given) || host < b->host)
        return false;
    for (uint32_t left = given; left != 0; left &= left - 1) {
        unsigned r = (unsigned)__builtin_ctz(left);

        if (!read_place(m, &places[r]))
            return false;
        if (places[r].kind != b->last[r].kind || places[r].value != b->last[r].value)
            moved |= 1u << r;
        b->last[r] = places[r];
    }
    skip_live_outs(m, section);
    buf_put_uleb(out, host - b->host);
    buf_put_sleb(out, (int64_t)(guest - b->guest));
    buf_put_uleb(out, given);
    buf_put_uleb(out, moved);
    for (; moved != 0; moved &= moved - 1) {
        const struct place *p = &places[__builtin_ctz(moved)];

        buf_put_u8(out, p->kind);
        if (p->kind >= FAULT_PLACE_CONSTANT)
            buf_put_sleb(out, p->value);
    }
    b->host = host;
    b->guest = guest;
    return !c->failed;
}

/* offsets: where each function's address ends up, for its relocation. */
static bool
rewrite(const uint8_t *section, size_t size, struct buf *out, uint64_t **offsets, uint32_t *functions)
{
    struct maps m = {0};

    if (!read_header(&m, section, size))
        return false;
    *offsets = mem_zalloc(m.function_count + 1, sizeof **offsets);
    *functions = m.function_count;
    for (uint32_t i = 0; i < m.function_count; i++) {
        uint64_t count = word(m.functions + (size_t)i * FUNCTION_SIZE + 16);
        struct block b = {0};
        size_t start = out->size;
        uint32_t bytes;

        (*offsets)[i] = start;
        buf_put_u64(out, word(m.functions + (size_t)i * FUNCTION_SIZE));
        buf_put_u32(out, 0);
        buf_put_u32(out, (uint32_t)count);
        for (uint64_t k = 0; k < count; k++)
            if (!put_record(&m, section, &b, out))
                return false;
        bytes = (uint32_t)(out->size - start - FAULT_BLOCK_HEADER);
        memcpy(out->data + start + 8, &bytes, sizeof bytes);
        buf_align(out, 8);
    }
    return out->size <= size;
}

static const char *
section_name(const uint8_t *object, const Elf64_Shdr *names, const Elf64_Shdr *s)
{
    return (const char *)object + names->sh_offset + s->sh_name;
}

static bool
move_relocations(uint8_t *object, const Elf64_Shdr *s, const uint64_t *offsets, uint32_t functions)
{
    Elf64_Rela *rela = (Elf64_Rela *)(void *)(object + s->sh_offset);

    for (size_t i = 0; i < s->sh_size / sizeof *rela; i++) {
        uint64_t k = (rela[i].r_offset - HEADER_SIZE) / FUNCTION_SIZE;

        if (rela[i].r_offset < HEADER_SIZE || k >= functions || rela[i].r_offset != HEADER_SIZE + k * FUNCTION_SIZE)
            return false;
        rela[i].r_offset = offsets[k];
    }
    return true;
}

/* The object is LLVM's own: well-formed, and its tables aligned in a buffer that is. */
int
aot_rewrite_stack_maps(struct buf *object, size_t start, struct err *e)
{
    uint8_t *elf = object->data + start;
    Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)elf;
    Elf64_Shdr *sections = (Elf64_Shdr *)(void *)(elf + header->e_shoff);
    const Elf64_Shdr *names = &sections[header->e_shstrndx];
    struct buf map = {0};
    uint64_t *offsets = NULL;
    uint32_t functions = 0;
    bool right = true;

    for (unsigned i = 0; i < header->e_shnum; i++) {
        Elf64_Shdr *s = &sections[i];

        if (strcmp(section_name(elf, names, s), llvm_section) != 0)
            continue;
        right = rewrite(elf + s->sh_offset, s->sh_size, &map, &offsets, &functions);
        for (unsigned k = 0; k < header->e_shnum && right; k++)
            if (sections[k].sh_type == SHT_RELA && sections[k].sh_info == i)
                right = move_relocations(elf, &sections[k], offsets, functions);
        if (!right)
            break;
        memcpy(elf + s->sh_offset, map.data, map.size);
        s->sh_size = map.size;
        memcpy(elf + names->sh_offset + s->sh_name, FAULT_MAP_SECTION, sizeof llvm_section);
        break;
    }
    mem_free(offsets);
    buf_fini(&map);
    return right ? 0 : err_set(e, "LLVM's stack maps are not as expected");
}
