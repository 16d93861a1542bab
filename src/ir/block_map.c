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

bool
ir_each_successor(const struct ir_block_map *m, const struct ir_terminator *t,
                  void (*reach)(void *context, uint32_t block), void *context)
{
    bool is_switch = t->kind == IR_T_SWITCH, leaves = false;
    bool goes = t->kind == IR_T_JUMP || t->kind == IR_T_BRANCH;
    bool goes_on = t->kind == IR_T_BRANCH || is_switch || t->kind == IR_T_CALL || t->kind == IR_T_CALL_INDIRECT ||
                   t->kind == IR_T_SYSCALL;
    uint64_t addresses[2] = {goes ? t->target : IR_NO_ADDRESS, goes_on ? t->next : IR_NO_ADDRESS};

    for (uint32_t i = 0; i < 2 + (is_switch ? t->target_count : 0); i++) {
        uint64_t address = i < 2 ? addresses[i] : t->targets[i - 2];
        uint32_t block = address == IR_NO_ADDRESS ? IR_NO_BLOCK : ir_block_find(m, address);

        if (block != IR_NO_BLOCK && reach)
            reach(context, block);
        leaves |= address != IR_NO_ADDRESS && block == IR_NO_BLOCK;
    }
    return leaves;
}
