#!/usr/bin/env python3
"""Generates the constants of the helpers that compute what processors differ in (src/x86/helpers_sse.c, helpers_x87_functions.c).

usage: gen_math.py x86_math.inc
All by integer arithmetic, so that every machine makes the same file.
"""
import math
import sys

BITS = 128
WORK = BITS + 64  # bits after the point while computing


def rounded(value, bits=BITS):
    """A value with WORK bits after the point, to `bits` of them."""
    return (value + (1 << WORK - bits - 1)) >> WORK - bits


def arctangent(numerator, denominator):
    """For at most 1, by Euler's series, which converges for 1 too."""
    square = numerator * numerator + denominator * denominator
    term = (numerator * denominator << WORK) // square
    total, n = 0, 1
    while term:
        total += term
        term = term * 2 * n * numerator * numerator // ((2 * n + 1) * square)
        n += 1
    return total


def logarithm_2():
    return 2 * sum((1 << WORK) // ((2 * k + 1) * 3 ** (2 * k + 1)) for k in range(WORK))


def reciprocal_square_root(middle, scale):
    """4096 * 2 / sqrt(middle / scale), to nearest."""
    square = 4 * 4 * 4096 * 4096 * scale // middle  # of twice the result
    return (math.isqrt(square) + 1) // 2


def table(out, name, kind, values, comment):
    out.write(f'/* {comment} */\nstatic const {kind} {name}[] = {{\n')
    for v in values:
        out.write(f'    WIDE({v >> 64:#x}, {v & (1 << 64) - 1:#x}),\n' if kind == 'wide' else f'    {v},\n')
    out.write('};\n')


def constant(out, name, value):
    assert value < 1 << BITS
    out.write(f'#define {name} WIDE({value >> 64:#x}, {value & (1 << 64) - 1:#x})\n')


def main():
    pi, ln2 = 4 * arctangent(1, 1), logarithm_2()
    with open(sys.argv[1], 'w', encoding='ascii') as out:
        out.write('/* Made by tools/gen_math.py. */\n#ifdef WIDE\n')
        constant(out, 'PI_126', rounded(pi, 126))
        constant(out, 'LN2_128', rounded(ln2))
        constant(out, 'TWICE_LOG2_E_126', rounded((2 << 2 * WORK) // ln2, 126))
        constant(out, 'SQRT_2_127', math.isqrt(2 << 254))
        table(out, 'arctangents', 'wide', [rounded(arctangent(k, 32)) for k in range(33)], 'of k / 32')
        table(out, 'odd_reciprocals', 'wide', [rounded((1 << WORK) // n) for n in range(3, 53, 2)], '1 / 3, 1 / 5, ...')
        table(out, 'factorial_reciprocals', 'wide', [rounded((1 << WORK) // math.factorial(n)) for n in range(2, 34)],
              '1 / 2!, 1 / 3!, ...')
        out.write('#endif\n#ifdef RECIPROCALS\n')
        table(out, 'reciprocals', 'uint16_t', [(2 * (2 << 24) // (4096 + 2 * i + 1) + 1) // 2 for i in range(2048)],
              '4096 * 2 / m, m the middle of interval i of 2048 between 1 and 2')
        table(out, 'root_reciprocals', 'uint16_t',
              [reciprocal_square_root(2048 + 2 * i + 1, 1024 if odd else 2048) for odd in (0, 1) for i in range(1024)],
              '4096 * 2 / sqrt(m), of 1024 intervals between 1 and 2, and between 2 and 4')
        out.write('#endif\n')


main()
