/* Checking and running programs of classic BPF. All that a program does is forwards, so the time of a run is bounded by
 * its length. */
#include "vkernel/seccomp/bpf.h"

#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(struct seccomp_data) == 64, "struct seccomp_data is the guest's");
_Static_assert(BPF_MEMWORDS == 16, "a bit of a uint16_t for each word of memory");

/* --- what is valid: Linux's bpf_check_classic, check_load_and_stores and seccomp_check_filter --- */

/* May the instruction stand in a program for seccomp, which may look at nothing but struct seccomp_data? Its operand is
 * checked, too, but not where it jumps to. */
static bool
instruction_valid(const struct sock_filter *i)
{
    switch (i->code) {
    case BPF_LD | BPF_W | BPF_ABS: return i->k < sizeof(struct seccomp_data) && i->k % 4 == 0;
    case BPF_ALU | BPF_DIV | BPF_K: return i->k != 0;
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K: return i->k < 32;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX: return i->k < BPF_MEMWORDS;
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
    case BPF_ALU | BPF_NEG:
    case BPF_ALU | BPF_ADD | BPF_K:
    case BPF_ALU | BPF_ADD | BPF_X:
    case BPF_ALU | BPF_SUB | BPF_K:
    case BPF_ALU | BPF_SUB | BPF_X:
    case BPF_ALU | BPF_MUL | BPF_K:
    case BPF_ALU | BPF_MUL | BPF_X:
    case BPF_ALU | BPF_DIV | BPF_X:
    case BPF_ALU | BPF_AND | BPF_K:
    case BPF_ALU | BPF_AND | BPF_X:
    case BPF_ALU | BPF_OR | BPF_K:
    case BPF_ALU | BPF_OR | BPF_X:
    case BPF_ALU | BPF_XOR | BPF_K:
    case BPF_ALU | BPF_XOR | BPF_X:
    case BPF_ALU | BPF_LSH | BPF_X:
    case BPF_ALU | BPF_RSH | BPF_X:
    case BPF_JMP | BPF_JA:
    case BPF_JMP | BPF_JEQ | BPF_K:
    case BPF_JMP | BPF_JEQ | BPF_X:
    case BPF_JMP | BPF_JGE | BPF_K:
    case BPF_JMP | BPF_JGE | BPF_X:
    case BPF_JMP | BPF_JGT | BPF_K:
    case BPF_JMP | BPF_JGT | BPF_X:
    case BPF_JMP | BPF_JSET | BPF_K:
    case BPF_JMP | BPF_JSET | BPF_X: return true;
    default: return false;
    }
}

static bool
is_conditional(const struct sock_filter *i)
{
    return BPF_CLASS(i->code) == BPF_JMP && BPF_OP(i->code) != BPF_JA;
}

/* Does the instruction, `left` of which follow, jump to one of those? */
static bool
jumps_within(const struct sock_filter *i, unsigned left)
{
    if (i->code == (BPF_JMP | BPF_JA))
        return i->k < left;
    return !is_conditional(i) || (i->jt < left && i->jf < left);
}

/* Is each word of memory written before it is read, on all ways? A bit says that a word is written. */
static bool
memory_written(const struct sock_filter *program, unsigned count)
{
    uint16_t at[BPF_MAXINSNS], written = 0; /* at: on all ways that jump there */

    memset(at, 0xff, count * sizeof at[0]);
    for (unsigned pc = 0; pc < count; pc++) {
        const struct sock_filter *i = &program[pc];

        written &= at[pc];
        if (i->code == BPF_ST || i->code == BPF_STX) {
            written |= (uint16_t)(1u << i->k);
        } else if (i->code == (BPF_LD | BPF_MEM) || i->code == (BPF_LDX | BPF_MEM)) {
            if (!(written >> i->k & 1))
                return false;
        } else if (i->code == (BPF_JMP | BPF_JA)) {
            at[pc + 1 + i->k] &= written;
            written = UINT16_MAX;
        } else if (is_conditional(i)) {
            at[pc + 1 + i->jt] &= written;
            at[pc + 1 + i->jf] &= written;
            written = UINT16_MAX;
        }
    }
    return true;
}

bool
bpf_valid(const struct sock_filter *program, unsigned count)
{
    if (count == 0 || count > BPF_MAXINSNS || BPF_CLASS(program[count - 1].code) != BPF_RET)
        return false;
    for (unsigned pc = 0; pc < count; pc++)
        if (!instruction_valid(&program[pc]) || !jumps_within(&program[pc], count - 1 - pc))
            return false;
    return memory_written(program, count);
}

/* --- running --- */

static uint32_t
calculate(uint16_t operation, uint32_t a, uint32_t operand)
{
    switch (operation) {
    case BPF_ADD: return a + operand;
    case BPF_SUB: return a - operand;
    case BPF_MUL: return a * operand;
    case BPF_DIV: return a / operand;
    case BPF_AND: return a & operand;
    case BPF_OR: return a | operand;
    case BPF_XOR: return a ^ operand;
    case BPF_LSH: return a << (operand & 31);
    case BPF_RSH: return a >> (operand & 31);
    default: return -a; /* BPF_NEG */
    }
}

static bool
condition(uint16_t operation, uint32_t a, uint32_t operand)
{
    switch (operation) {
    case BPF_JEQ: return a == operand;
    case BPF_JGT: return a > operand;
    case BPF_JGE: return a >= operand;
    default: return (a & operand) != 0; /* BPF_JSET */
    }
}

static uint32_t
word_of(const struct seccomp_data *data, uint32_t offset)
{
    uint32_t word;

    memcpy(&word, (const uint8_t *)data + offset % sizeof *data, sizeof word);
    return word;
}

uint32_t
bpf_run(const struct sock_filter *program, unsigned count, const struct seccomp_data *data)
{
    uint32_t a = 0, x = 0, memory[BPF_MEMWORDS];

    for (unsigned pc = 0; pc < count; pc++) {
        const struct sock_filter i = program[pc];
        uint32_t operand = BPF_SRC(i.code) == BPF_X ? x : i.k;

        switch (i.code) {
        case BPF_LD | BPF_W | BPF_ABS: a = word_of(data, i.k); break;
        case BPF_LD | BPF_W | BPF_LEN: a = sizeof *data; break;
        case BPF_LDX | BPF_W | BPF_LEN: x = sizeof *data; break;
        case BPF_LD | BPF_IMM: a = i.k; break;
        case BPF_LDX | BPF_IMM: x = i.k; break;
        case BPF_LD | BPF_MEM: a = memory[i.k % BPF_MEMWORDS]; break;
        case BPF_LDX | BPF_MEM: x = memory[i.k % BPF_MEMWORDS]; break;
        case BPF_ST: memory[i.k % BPF_MEMWORDS] = a; break;
        case BPF_STX: memory[i.k % BPF_MEMWORDS] = x; break;
        case BPF_MISC | BPF_TAX: x = a; break;
        case BPF_MISC | BPF_TXA: a = x; break;
        case BPF_RET | BPF_K: return i.k;
        case BPF_RET | BPF_A: return a;
        case BPF_JMP | BPF_JA: pc += i.k; break;
        default:
            if (BPF_CLASS(i.code) == BPF_JMP) {
                pc += condition(BPF_OP(i.code), a, operand) ? i.jt : i.jf;
                break;
            }
            if (BPF_OP(i.code) == BPF_DIV && operand == 0) /* the program is over then, with the result 0 */
                return 0;
            a = calculate(BPF_OP(i.code), a, operand);
        }
    }
    return SECCOMP_RET_KILL_PROCESS; /* a valid program has returned */
}

bool
bpf_always_allows(const struct sock_filter *program, unsigned count, uint32_t nr, uint32_t arch)
{
    uint32_t a = 0;

    for (unsigned pc = 0; pc < count; pc++) {
        const struct sock_filter *i = &program[pc];

        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (i->k != offsetof(struct seccomp_data, nr) && i->k != offsetof(struct seccomp_data, arch))
                return false;
            a = i->k == offsetof(struct seccomp_data, nr) ? nr : arch;
            break;
        case BPF_RET | BPF_K: return i->k == SECCOMP_RET_ALLOW;
        case BPF_JMP | BPF_JA: pc += i->k; break;
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_K:
        case BPF_JMP | BPF_JGT | BPF_K:
        case BPF_JMP | BPF_JSET | BPF_K: pc += condition(BPF_OP(i->code), a, i->k) ? i->jt : i->jf; break;
        case BPF_ALU | BPF_AND | BPF_K: a &= i->k; break;
        default: return false;
        }
    }
    return false;
}

/* --- the length that Linux counts: bpf_convert_filter --- */

/* A comparison with a constant that has its sign bit takes one instruction more, for the constant; one whose ways are
 * both further on takes one more, a jump. What is left out of the ways when the condition holds is possible for all
 * conditions but a test of bits. */
static unsigned
conditional_length(const struct sock_filter *i)
{
    unsigned constant = BPF_SRC(i->code) == BPF_K && i->k > INT32_MAX;

    return constant + (i->jf == 0 || (i->jt == 0 && BPF_OP(i->code) != BPF_JSET) ? 1 : 2);
}

unsigned
bpf_counted_length(const struct sock_filter *program, unsigned count)
{
    enum { BEGINNING = 3, DIVISION = 5 };
    unsigned length = BEGINNING;

    for (unsigned pc = 0; pc < count; pc++) {
        const struct sock_filter *i = &program[pc];

        if (is_conditional(i))
            length += conditional_length(i);
        else if (i->code == (BPF_ALU | BPF_DIV | BPF_X))
            length += DIVISION;
        else
            length += i->code == (BPF_RET | BPF_K) ? 2 : 1;
    }
    return length;
}
