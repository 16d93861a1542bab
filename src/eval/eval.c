/* The evaluator's blocks: found by guest address, translated on first use, forgotten when their mapping
 * changes. Nothing here is half-done when guest memory is touched: a fault may leave eval_run()
 * by siglongjmp at any load, store or helper, and during the copy of code bytes. */
#include "eval/eval_internal.h"

#include <stdlib.h>
#include <string.h>

#include "x86/x86.h"

__thread union eval_slot eval_slots[EVAL_SLOTS];

void *
eval_scratch(size_t *size)
{
    *size = sizeof eval_slots;
    return eval_slots;
}

struct eval *
eval_new(void)
{
    struct eval *ev = mem_zalloc(1, sizeof *ev);

    ev->table_size = 1024;
    ev->table = mem_zalloc(ev->table_size, sizeof *ev->table);
    ir_func_init(&ev->func, 0);
    ir_build_init(&ev->build, &ev->func);
    if (!eval_labels.plain[0])
        eval_interpret(NULL, NULL, NULL);
    return ev;
}

static void
drop_code(struct eval_block *block)
{
    block->insns += block->runs * block->insn_count;
    block->runs = 0;
    mem_free(block->ops);
    mem_free(block->marks);
    block->ops = NULL;
    block->marks = NULL;
}

void
eval_free(struct eval *ev)
{
    if (!ev)
        return;
    for (size_t i = 0; i < ev->table_size; i++) {
        if (ev->table[i]) {
            drop_code(ev->table[i]);
            mem_free(ev->table[i]);
        }
    }
    mem_free(ev->table);
    ir_build_fini(&ev->build);
    ir_func_fini(&ev->func);
    vec_fini(&ev->ops);
    vec_fini(&ev->last_use);
    vec_fini(&ev->place);
    mem_free(ev);
}

static size_t
table_slot(struct eval_block *const *table, size_t size, uint64_t address)
{
    size_t i = (size_t)(address * 0x9e3779b97f4a7c15ull >> 32) & (size - 1);

    while (table[i] && table[i]->address != address)
        i = (i + 1) & (size - 1);
    return i;
}

struct eval_block *
eval_block_find(const struct eval *ev, uint64_t address)
{
    struct eval_block *block = ev->table[table_slot(ev->table, ev->table_size, address)];

    return block && block->ops ? block : NULL;
}

void
eval_invalidate(struct eval *ev, uint64_t start, uint64_t end)
{
    uint64_t first = start > EVAL_MAX_BYTES ? start - EVAL_MAX_BYTES : 0;

    if (end - first < ev->table_size) { /* few are the places where such a block may begin */
        for (uint64_t address = first; address < end; address++) {
            struct eval_block *block = eval_block_find(ev, address);

            if (block && block->end > start)
                drop_code(block);
        }
        return;
    }
    for (size_t i = 0; i < ev->table_size; i++) {
        struct eval_block *block = ev->table[i];

        if (block && block->ops && block->address < end && block->end > start)
            drop_code(block);
    }
}

static void
table_grow(struct eval *ev)
{
    size_t size = ev->table_size * 2;
    struct eval_block **table = mem_zalloc(size, sizeof *table);

    for (size_t i = 0; i < ev->table_size; i++) {
        if (ev->table[i])
            table[table_slot(table, size, ev->table[i]->address)] = ev->table[i];
    }
    mem_free(ev->table);
    ev->table = table;
    ev->table_size = size;
}

/* How many instructions the block may have. */
static uint32_t
insns_until(const struct eval_host *host, uint64_t address, const uint8_t *bytes, size_t size)
{
    uint32_t n = 0;
    size_t at = 0;

    while (host->ends_before && n < EVAL_MAX_INSNS) {
        struct x86_insn insn;
        int length = x86_decode(bytes + at, size - at, address + at, &insn);

        n++;
        if (length <= 0)
            break;
        at += (size_t)length;
        if (host->ends_before(host->context, address + at))
            return n;
    }
    return EVAL_MAX_INSNS;
}

struct eval_block *
eval_block_at(struct eval *ev, const struct eval_host *host, uint64_t address)
{
    uint8_t bytes[EVAL_MAX_BYTES];
    uint64_t image_base = 0;
    size_t left = 0;
    const uint8_t *text = host->fetch(host->context, address, &left, &image_base);

    if (!text || left == 0)
        return NULL;
    if (left > sizeof bytes)
        left = sizeof bytes;
    /* Code can run off the pages of its file: copy up to the page's end first, so that a block that
     * ends before is found without touching the next page. */
    size_t page_left = 4096 - (address & 4095);
    size_t size = left < page_left ? left : page_left;
    memcpy(bytes, text, size);

    size_t i = table_slot(ev->table, ev->table_size, address);
    struct eval_block *block = ev->table[i];
    if (!block) {
        block = mem_zalloc(1, sizeof *block);
        block->address = address;
        ev->table[i] = block;
        ev->block_count++;
        if (ev->block_count * 2 > ev->table_size)
            table_grow(ev);
    }
    for (uint32_t max = insns_until(host, address, bytes, size); max; max /= 2) {
        int n = eval_translate(ev, host, block, bytes, size, image_base, max);

        if (n >= 0 && block->insn_count == 0 && size < left) {
            /* Its first instruction crosses the page. */
            if (n == 0)
                drop_code(block);
            memcpy(bytes + size, text + size, left - size);
            size = left;
            max = insns_until(host, address, bytes, size);
            n = eval_translate(ev, host, block, bytes, size, image_base, max);
        }
        if (n >= 0)
            return n == 0 ? block : NULL;
    }
    return NULL;
}

enum eval_stop
eval_run(struct eval *ev, const struct eval_host *host, unsigned *trap)
{
    return eval_interpret(ev, host, trap);
}

uint64_t
eval_fault_address(const struct eval *ev)
{
    const struct eval_block *block = ev->block;
    uint64_t address = x86_this_cpu()->rip;

    if (!block || !block->ops || ev->current < block->ops || ev->current >= block->ops + block->op_count)
        return address;
    size_t op = (size_t)(ev->current - block->ops);
    address = block->address;
    for (size_t i = 0; i < block->mark_count && block->marks[i].op <= op; i++)
        address = block->address + block->marks[i].address;
    return address;
}

uint64_t
eval_block_end(const struct eval *ev)
{
    return ev->block ? ev->block->end : 0;
}

void
eval_collect(struct eval *ev, uint64_t start, uint64_t end, void (*take)(void *context, const struct eval_count *c),
             void *context)
{
    for (size_t i = 0; i < ev->table_size; i++) {
        struct eval_block *block = ev->table[i];
        struct eval_count c;

        if (!block || block->address < start || block->address >= end)
            continue;
        c = (struct eval_count){block->address, block->entered, block->insns + block->runs * block->insn_count};
        block->entered = block->insns = block->runs = 0;
        if (c.insns || c.entered)
            take(context, &c);
    }
}
