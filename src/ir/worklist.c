#include "ir/worklist.h"

#include "base/mem.h"

enum { WORD = 64 };

void
ir_worklist_init(struct ir_worklist *l, uint32_t count, bool highest_first)
{
    *l = (struct ir_worklist){.words = count / WORD + 1, .highest_first = highest_first};
    l->bits = mem_zalloc(l->words, sizeof *l->bits);
    l->at = highest_first ? 0 : l->words - 1;
}

void
ir_worklist_fini(struct ir_worklist *l)
{
    mem_free(l->bits);
    l->bits = NULL;
}

void
ir_worklist_put(struct ir_worklist *l, uint32_t number)
{
    uint32_t word = number / WORD;

    l->bits[word] |= UINT64_C(1) << number % WORD;
    if (l->highest_first ? word > l->at : word < l->at)
        l->at = word;
}

bool
ir_worklist_take(struct ir_worklist *l, uint32_t *number)
{
    uint32_t last = l->highest_first ? 0 : l->words - 1;
    unsigned bit;

    while (l->bits[l->at] == 0) {
        if (l->at == last)
            return false;
        l->at += l->highest_first ? UINT32_MAX : 1;
    }
    bit = l->highest_first ? WORD - 1 - (unsigned)__builtin_clzll(l->bits[l->at])
                           : (unsigned)__builtin_ctzll(l->bits[l->at]);
    l->bits[l->at] &= ~(UINT64_C(1) << bit);
    *number = l->at * WORD + bit;
    return true;
}
