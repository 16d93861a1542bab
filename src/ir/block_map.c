/* A hash table of block addresses. */
#include "ir/block_map.h"

static uint32_t
slot_of(const struct ir_block_map *m, uint64_t address)
{
    return (uint32_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 32) & m->mask;
}

void
ir_block_map_init(struct ir_block_map *m, const struct ir_func *f)
{
    size_t size = 16;

    while (size < f->blocks.count * 2)
        size *= 2;
    m->f = f;
    m->mask = (uint32_t)size - 1;
    m->slots = mem_zalloc(size, sizeof *m->slots);
    for (uint32_t i = 0; i < f->blocks.count; i++) {
        uint64_t address = f->blocks.items[i].address;
        uint32_t at = slot_of(m, address);

        while (m->slots[at] != 0 && f->blocks.items[m->slots[at] - 1].address != address)
            at = (at + 1) & m->mask;
        if (m->slots[at] == 0)
            m->slots[at] = i + 1;
    }
}

void
ir_block_map_fini(struct ir_block_map *m)
{
    mem_free(m->slots);
    m->slots = NULL;
}

uint32_t
ir_block_find(const struct ir_block_map *m, uint64_t address)
{
    for (uint32_t at = slot_of(m, address); m->slots[at] != 0; at = (at + 1) & m->mask) {
        if (m->f->blocks.items[m->slots[at] - 1].address == address)
            return m->slots[at] - 1;
    }
    return IR_NO_BLOCK;
}
