/* Of AVX and AVX2 what touches memory by elements: masked moves and gathers. The masks' signs choose. */
#include <stdbool.h>
#include <string.h>

#include "x86/helper_codes.h"
#include "x86/helpers.h"

enum { HALF = 16 };

/* Byte n of a ymm register. */
static uint8_t *
vector_byte(struct x86_cpu *cpu, unsigned reg, unsigned n)
{
    return n < HALF ? &cpu->xmm[reg].u8[n] : &cpu->ymm_high[reg].u8[n - HALF];
}

static bool
is_chosen(struct x86_cpu *cpu, unsigned mask, unsigned n, unsigned size)
{
    return *vector_byte(cpu, mask, n + size - 1) & 0x80;
}

/* What is not chosen is not accessed, and reads as 0. All of a store is there before any of it is written. */
void
helper_vector_mask_move(uint32_t code, uint32_t address)
{
    struct x86_cpu *cpu = x86_this_cpu();
    unsigned data = code & 15, mask = code >> 4 & 15, size = code & VECTOR_MASK_64 ? 8 : 4,
             length = code & VECTOR_MASK_WIDE ? 32 : 16;
    bool store = code & VECTOR_MASK_STORE;
    uint8_t loaded[32] = {0};

    for (unsigned i = 0; i < length; i += size)
        if (is_chosen(cpu, mask, i, size))
            x86_guest_read(loaded + i, address + i, size);
    for (unsigned i = 0; store && i < length; i += size)
        if (is_chosen(cpu, mask, i, size))
            x86_guest_write(address + i, vector_byte(cpu, data, i), size);
    if (store)
        return;
    memcpy(&cpu->xmm[data], loaded, HALF);
    memcpy(&cpu->ymm_high[data], loaded + HALF, HALF);
}

/* Elements from the lowest on; each leaves the mask as it is loaded, so that a fault goes on where it was (SDM vol. 2,
 * VPGATHERDD). */
void
helper_vector_gather(uint32_t code, uint32_t base)
{
    struct x86_cpu *cpu = x86_this_cpu();
    unsigned to = code & 15, mask = code >> 4 & 15, index = code >> 8 & 15, scale = code >> 12 & 3;
    unsigned size = code & VECTOR_GATHER_64 ? 8 : 4, index_size = code & VECTOR_GATHER_INDEX_64 ? 8 : 4,
             count = code >> 16;

    for (unsigned i = 0; i < count; i++) {
        uint8_t loaded[8];
        uint32_t number;

        if (!is_chosen(cpu, mask, i * size, size))
            continue;
        memcpy(&number, vector_byte(cpu, index, i * index_size), sizeof number); /* addresses are modulo 4 GiB */
        x86_guest_read(loaded, base + (number << scale), size);
        memcpy(vector_byte(cpu, to, i * size), loaded, size);
        memset(vector_byte(cpu, mask, i * size), 0, size);
    }
    memset(&cpu->xmm[mask], 0, HALF);
    memset(&cpu->ymm_high[mask], 0, HALF);
    if (count * size < HALF)
        memset(vector_byte(cpu, to, count * size), 0, HALF - count * size);
    if (count * size <= HALF)
        memset(&cpu->ymm_high[to], 0, HALF);
}
