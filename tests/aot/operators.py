"""Writes operators.wat (a function for every operator of src/wasm/operators.def, and those of control.wat) and
vectors.bin (function index, three 16-byte operands); compares two result files.

    operators.py generate OPERATORS_DEF CONTROL_WAT OUT_WAT OUT_VECTORS OUT_NAMES
    operators.py compare NAMES VECTORS A B
"""
import json
import random
import re
import struct
import sys

OPERANDS = 0x20000  # guest addresses: operands, 16 bytes each; the result; scratch
RESULT = 0x20040
TYPES = {'i': 'i32', 'I': 'i64', 'f': 'f32', 'F': 'f64', 'v': 'v128'}
PARAMS = ' '.join(['i64'] * 11)
RESULTS = ' '.join(['i64'] * 10)
PASS_THROUGH = ' '.join('(local.get %d)' % k for k in range(10))
SKIP = {'memory.size', 'memory.grow', 'memory.copy', 'memory.fill', 'nop', 'i32.const', 'i64.const', 'f32.const',
        'f64.const', 'v128.const'}  # in control.wat

I32 = [0, 1, 2, 7, 31, 32, 33, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x12345678, 0x7fffffff, 0x80000000, 0x80000001,
       0xdeadbeef, 0xffffff80, 0xffffffff]
I64 = I32 + [63, 64, 65, 0x100000000, 0x123456789abcdef0, 0x7fffffffffffffff, 0x8000000000000000,
             0x8000000000000001, 0xffffffff00000000, 0xffffffffffffffff]
F32 = [0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x3f000000, 0xbf000000, 0x3fc00000, 0x40200000, 0xc0200000,
       0x00000001, 0x80000001, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001,
       0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x4f7fffff, 0x4f800000, 0x5effffff, 0x5f000000, 0xdf000000,
       0x5f800000, 0xbf7fffff, 0x3eaaaaab, 0x4b000001, 0x4b800000]
F64 = [0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x3fe0000000000000, 0xbfe0000000000000,
       0x3ff8000000000000, 0x4004000000000000, 0xc004000000000000, 1, 0x8000000000000001, 0x7fefffffffffffff,
       0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 0x41dfffffffc00000,
       0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000200000, 0xc1dfffffffe00000, 0x41efffffffe00000,
       0x41f0000000000000, 0x43dfffffffffffff, 0x43e0000000000000, 0xc3e0000000000000, 0xc3e0000000000001,
       0x43efffffffffffff, 0x43f0000000000000, 0xbfefffffffffffff, 0x3fd5555555555555, 0x36a0000000000000,
       0x47efffffe0000000, 0x47effffff0000000, 0x4330000000000001]


def vectors(rng):
    out = [bytes(16), b'\xff' * 16, bytes(range(16)), b'\x80' * 16, b'\x7f' * 16, b'\x00\x80' * 8, b'\xff\x7f' * 8,
           struct.pack('<4I', *[0x80000000] * 4), struct.pack('<2Q', *[0x8000000000000000] * 2)]
    out += [struct.pack('<4I', *rng.sample(F32, 4)) for _ in range(9)]
    out += [struct.pack('<2Q', *rng.sample(F64, 2)) for _ in range(9)]
    out += [rng.randbytes(16) for _ in range(5)]
    return out


def values(letter, rng):
    if letter == 'v':
        return vectors(rng)
    lists = {'i': ('<I12x', I32), 'I': ('<QQ', I64), 'f': ('<I12x', F32), 'F': ('<QQ', F64)}
    fmt, items = lists[letter]
    return [struct.pack(fmt, v) if fmt == '<I12x' else struct.pack(fmt, v, 0) for v in items]


def operand(k, letter):
    return '(%s.load (i32.const %d))' % (TYPES[letter], OPERANDS + 16 * k)


def function(body):
    return '  (func (type $guest)\n    %s\n    %s)' % (body, PASS_THROUGH)


def store(letter, expr):
    return '(%s.store (i32.const %d) %s)' % (TYPES[letter], RESULT, expr)


def immediates(name, kind, n, rng):
    if kind == 'LANE':
        return [str(k) for k in sorted({0, 1, n - 1})]
    if kind == 'SHUFFLE':
        masks = [range(16), range(16, 32), [0] * 16, [31 - k for k in range(16)],
                 [k // 2 + 16 * (k % 2) for k in range(16)], [(k + 5) for k in range(16)]]
        masks += [[rng.randrange(32) for _ in range(16)] for _ in range(4)]
        return [' '.join(map(str, m)) for m in masks]
    return ['']


def memory_cases(name, kind, sig, n, functions):
    """Loads read operand 0 (16 bytes) at several offsets; stores write into the result."""
    args, result = sig.split(':')
    lanes = [' %d' % k for k in sorted({0, (16 >> n) - 1})] if kind == 'MEMORY_LANE' else ['']
    for lane in lanes:
        for offset in sorted({0, 3, 16 - (1 << n)}):
            if offset + (1 << n) > 16:
                continue
            at = RESULT if not result else OPERANDS
            for split in (0, 0x10000):
                text = '(%s offset=%d%s (i32.const %d)' % (name, offset + split, lane, at - split)
                if len(args) == 2:
                    text += ' ' + operand(1, args[1])
                text += ')'
                functions.append((name, args[1:] or 'v', result or 'v', store(result, text) if result else text,
                                  'v' if len(args) == 1 else 'v' + args[1]))


def generate(table, control, out_wat, out_vectors, out_names):
    rng = random.Random(1)
    functions = []  # name, -, result letter, body, operand letters
    for line in open(table):
        m = re.match(r'OPERATOR\(\w+, 0x\w+, \w+, "([^"]+)", (\w+), "([^"]*)", (\d+)\)', line)
        if not m or m[3] == '*' or m[1] in SKIP:
            continue
        name, kind, sig, n = m[1], m[2], m[3], int(m[4])
        if kind in ('MEMORY', 'MEMORY_LANE'):
            memory_cases(name, kind, sig, n, functions)
            continue
        args, result = sig.split(':')
        for imm in immediates(name, kind, n, rng):
            expr = '(%s %s %s)' % (name, imm, ' '.join(operand(k, c) for k, c in enumerate(args)))
            functions.append((name + ' ' + imm, None, result, store(result, expr), args))
    extra = open(control).read()
    extra_count = len(re.findall(r'\(func \$test_', extra))
    wat = ['(module', '  (type $guest (func (param %s) (result %s)))' % (PARAMS, RESULTS), extra]
    wat += [function(f[3]) for f in functions]
    names = [(n, 'v') for n in re.findall(r'\(func (\$test_\w+)', extra)] + [(f[0].strip(), f[2]) for f in functions]
    helpers = len(re.findall(r'\(func \$', extra)) - extra_count
    wat.append('  (elem (global.get $table_base) %s' % ' '.join(n for n, _ in names[:extra_count]))
    wat.append('    %s))' % ' '.join(str(helpers + extra_count + k) for k in range(len(functions))))
    open(out_wat, 'w').write('\n'.join(wat) + '\n')
    with open(out_vectors, 'wb') as f:
        for k in range(extra_count):
            for v in range(24):
                f.write(struct.pack('<I48s', k, struct.pack('<Q40x', v)))
        for k, fn in enumerate(functions):
            letters = fn[4]
            lists = [values(c, rng) for c in letters]
            cases = [[]]
            for items in lists:
                cases = [c + [v] for c in cases for v in items]
            if len(cases) > 800:
                cases = rng.sample(cases, 800)
            for c in cases:
                f.write(struct.pack('<I48s', extra_count + k, b''.join(c)))
    json.dump(names, open(out_names, 'w'))


def canonical(name, result, data):
    """NaNs are all the same: wasm does not fix their bits. Only for operators whose result is floating point."""
    if result == 'f' or re.match(r'f32x4\.|i32x4\.x', name):
        words = struct.unpack('<4I', data)
        return tuple('nan' if w & 0x7fffffff > 0x7f800000 else w for w in words)
    if result == 'F' or name.startswith('f64x2.'):
        words = struct.unpack('<2Q', data)
        return tuple('nan' if w & (1 << 63) - 1 > 0x7ff << 52 else w for w in words)
    return data


EXACT = ('abs', 'neg', 'copysign', 'splat', 'lane', 'eq', 'ne', 'lt', 'gt', 'le', 'ge', 'pmin', 'pmax', 'load',
         'reinterpret_i32', 'reinterpret_i64')


def compare(names_path, vectors_path, a_path, b_path):
    names = json.load(open(names_path))
    cases = open(vectors_path, 'rb').read()
    a, b = open(a_path, 'rb').read(), open(b_path, 'rb').read()
    count, bad, seen = len(cases) // 52, 0, set()
    if len(a) != 17 * count or len(b) != 17 * count:
        sys.exit('results: %d and %d of %d' % (len(a) // 17, len(b) // 17, count))
    for k in range(count):
        index = struct.unpack_from('<I', cases, 52 * k)[0]
        name, result = names[index]
        x, y = a[17 * k:17 * k + 17], b[17 * k:17 * k + 17]
        if x == y:
            continue
        exact = name.split()[0].split('.')[-1] in EXACT or 'lane' in name or 'load' in name
        if x[0] == y[0] == 0 and not exact and canonical(name, result, x[1:]) == canonical(name, result, y[1:]):
            continue
        bad += 1
        if name not in seen and len(seen) < 40:
            seen.add(name)
            print('%s: operands %s: %s and %s' % (name, cases[52 * k + 4:52 * k + 52].hex(' ', 8), x.hex(), y.hex()))
    print('%d functions, %d cases, %d differences' % (len(names), count, bad))
    sys.exit(1 if bad else 0)


if __name__ == '__main__':
    {'generate': generate, 'compare': compare}[sys.argv[1]](*sys.argv[2:])
