/* The evaluator's blocks: found by guest address, translated on first use, forgotten when their mapping
 * changes. Nothing here is half-done when guest memory is touched: a fault may leave eval_run()
 * by siglongjmp at any load, store or helper, and during the copy of code bytes. */
#include "eval/eval_internal.h"

#include <stdlib.h>
#include <string.h>

#include "x86/x86.h"

__thread union eval_slot eval_slots[EVAL_SLOTS];
__thread struct eval_place eval_place;

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

/* --- translations that nobody will find any more --- */

static void
free_code(struct eval_code *code)
{
    if (!code)
        return;
    mem_free(code->ops);
    mem_free(code->marks);
    mem_free(code);
}

static void
drop_code(struct eval *ev, struct eval_block *block)
{
    struct eval_code *code = block->code;

    block->insns += __atomic_load_n(&code->runs, __ATOMIC_RELAXED) * code->insn_count;
    __atomic_store_n(&block->code, NULL, __ATOMIC_RELAXED);
    code->next_dropped = ev->dropped[ev->phase];
    ev->dropped[ev->phase] = code;
}

/* When no run of the other phase is left, what was dropped in it is freed, and new runs are counted there. The runs of
 * this phase are then on their way out, so that each phase ends, however many runs there are. */
static void
free_dropped(struct eval *ev)
{
    for (int k = 0; k < 2; k++) {
        unsigned other = !ev->phase;

        if (ev->runs[other])
            return;
        for (struct eval_code *code = ev->dropped[other], *next; code; code = next) {
            next = code->next_dropped;
            free_code(code);
        }
        ev->dropped[other] = NULL;
        ev->phase = other;
    }
}

void
eval_stop_runs(struct eval *ev)
{
    __atomic_store_n(&ev->changes, ev->changes + 1, __ATOMIC_RELEASE);
}

static void
begin_run(struct eval *ev)
{
    eval_left();
    eval_place.ev = ev;
    eval_place.phase = ev->phase;
    eval_place.changes = ev->changes;
    ev->runs[ev->phase]++;
}

void
eval_left(void)
{
    struct eval *ev = eval_place.ev;

    if (!ev)
        return;
    eval_place.ev = NULL;
    ev->runs[eval_place.phase]--;
    if (ev->dead)
        eval_free(ev);
    else
        free_dropped(ev);
}

void
eval_free(struct eval *ev)
{
    if (!ev)
        return;
    if (ev->runs[0] || ev->runs[1]) {
        ev->dead = true;
        eval_stop_runs(ev);
        return;
    }
    free_dropped(ev);
    for (size_t i = 0; i < ev->table_size; i++) {
        if (ev->table[i]) {
            free_code(ev->table[i]->code);
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

/* --- blocks --- */

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

    return block && block->code ? block : NULL;
}

static void
drop_range(struct eval *ev, uint64_t start, uint64_t end)
{
    uint64_t first = start > EVAL_MAX_BYTES ? start - EVAL_MAX_BYTES : 0;

    if (end - first < ev->table_size) { /* few are the places where such a block may begin */
        for (uint64_t address = first; address < end; address++) {
            struct eval_block *block = eval_block_find(ev, address);

            if (block && block->code->end > start)
                drop_code(ev, block);
        }
        return;
    }
    for (size_t i = 0; i < ev->table_size; i++) {
        struct eval_block *block = ev->table[i];

        if (block && block->code && block->address < end && block->code->end > start)
            drop_code(ev, block);
    }
}

void
eval_invalidate(struct eval *ev, uint64_t start, uint64_t end)
{
    drop_range(ev, start, end);
    eval_stop_runs(ev);
    free_dropped(ev);
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
        struct eval_code *code = NULL;
        int n = eval_translate(ev, host, address, bytes, size, image_base, max, &code);

        if (n >= 0 && (!code || code->insn_count == 0) && size < left) {
            /* Its first instruction crosses the page. */
            free_code(code);
            code = NULL;
            memcpy(bytes + size, text + size, left - size);
            size = left;
            max = insns_until(host, address, bytes, size);
            n = eval_translate(ev, host, address, bytes, size, image_base, max, &code);
        }
        if (n < 0)
            continue;
        __atomic_store_n(&block->code, code, __ATOMIC_RELEASE);
        return code ? block : NULL;
    }
    return NULL;
}

enum eval_stop
eval_run(struct eval *ev, const struct eval_host *host, unsigned *trap)
{
    enum eval_stop stop;

    begin_run(ev);
    stop = eval_interpret(ev, host, trap);
    if (host->come_in)
        host->come_in(host->context);
    eval_left();
    return stop;
}

uint64_t
eval_fault_address(void)
{
    const struct eval_place *p = &eval_place;
    uint64_t address = x86_this_cpu()->rip;

    if (!p->code || p->current < p->code->ops || p->current >= p->code->ops + p->code->op_count)
        return address;
    size_t op = (size_t)(p->current - p->code->ops);
    address = p->block->address;
    for (size_t i = 0; i < p->code->mark_count && p->code->marks[i].op <= op; i++)
        address = p->block->address + p->code->marks[i].address;
    return address;
}

uint64_t
eval_block_end(void)
{
    return eval_place.code ? eval_place.code->end : 0;
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
        c = (struct eval_count){.address = block->address, .entered = block->entered, .insns = block->insns};
        if (block->code)
            c.insns += __atomic_exchange_n(&block->code->runs, 0, __ATOMIC_RELAXED) * block->code->insn_count;
        block->entered = block->insns = 0;
        if (c.insns || c.entered)
            take(context, &c);
    }
}
