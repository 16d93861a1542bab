#!/usr/bin/env python3
"""Generates the x86 decoder's tables from src/x86/insn.tab (whose head explains its columns).

usage: gen_x86.py insn.tab x86_ops.h x86_lifters.h x86_tables.inc
"""
import re
import sys

MAPS = ['', '0f', '0f38', '0f3a', 'vex.0f', 'vex.0f38', 'vex.0f3a']
PREFIX = {'': 15, 'np': 1, '66': 2, 'f3': 4, 'f2': 8, 'n6': 3}
FLAGS = {'c': 0, 'p': 1, 'a': 2, 'z': 3, 's': 4, 'o': 5, 'd': 6}
FLOW = {'.': 'NEXT', 'jump': 'JUMP', 'jumpind': 'JUMP_INDIRECT', 'branch': 'BRANCH', 'call': 'CALL',
        'callind': 'CALL_INDIRECT', 'return': 'RETURN', 'syscall': 'SYSCALL', 'trap': 'TRAP'}
ATTRS = ['lock', 'rep', 'repz', 'd64', 'f64', 'mod3', 'count', 'byte', 'op66', 'ccflags', 'reg_opcode',
         'cc_opcode', 'max4', 'unaligned', 'aligned']
CONDITIONS = {'w0': 'W0', 'w1': 'W1', 'b0': 'B0', 'l0': 'L0', 'l1': 'L1', 'v3': 'V3'}
SIZES = {'b': 'B', 'w': 'W', 'd': 'D', 'q': 'Q', 'x': 'X', 't': 'T', 'v': 'V', 'z': 'Z', 'y': 'Y',
         'e': 'ENV', 's': 'STATE', 'f': 'FXSAVE', 'p': 'FAR', 'g': 'GDTR', '': 'NONE',
         'o': 'O', 'x2': 'X2', 'x4': 'X4', 'x8': 'X8'}
FIXED = {'AL': ('ACC', 'b'), 'AX': ('ACC', 'w'), 'rAX': ('ACC', 'v'), 'zAX': ('ACC', 'z'), 'CL': ('CL', 'b'),
         'DX': ('DX', 'w'), 'ST0': ('ST0', 't'), 'STi': ('STI', 't'), 'FS': ('FS', 'w'), 'GS': ('GS', 'w'),
         '1': ('ONE', 'b')}
LETTERS = {'A': 'A', 'E': 'E', 'G': 'G', 'M': 'M', 'R': 'R', 'Z': 'Z', 'B': 'B', 'V': 'V', 'W': 'W', 'U': 'U', 'P': 'P',
           'Q': 'Q', 'N': 'N', 'S': 'S', 'C': 'C', 'D': 'D', 'I': 'I', 'J': 'J', 'O': 'O', 'X': 'XSI',
           'Y': 'YDI', 'H': 'H', 'L': 'L'}


def fail(line, text):
    sys.exit(f'insn.tab:{line}: {text}')


def operand(line, token):
    """Returns (encoding, register size, memory size, access)."""
    access = 1
    if token[-1] in '=+':
        access = 2 if token[-1] == '=' else 3
        token = token[:-1]
    if token in FIXED:
        encoding, size = FIXED[token]
        return encoding, size, size, access
    m = re.fullmatch(r'R(.)M(.)', token)
    if m:
        return 'E', m[1], m[2], access
    m = re.fullmatch(r'M(.)\[(.+)\]', token)
    if m:
        return 'VSIB', m[2], m[1], access
    for name, encoding in (('sI', 'SI'), ('DI', 'DI'), ('BX', 'BX')):
        m = re.fullmatch(name + '(.)', token)
        if m:
            return encoding, m[1], m[1], access
    if token == 'A':
        access = 0
    if token[0] not in LETTERS or token[1:] not in SIZES:
        fail(line, f'operand {token}')
    return LETTERS[token[0]], token[1:], token[1:], access


def flags(line, text):
    if text == '-':
        return (0, 0, 0), False
    parts = text.split('/')
    if len(parts) != 3:
        fail(line, f'flags {text}')
    cc = parts[0] == 'cc'
    if cc:
        parts[0] = '-'
    return tuple(sum(1 << FLAGS[c] for c in p if c != '-') for p in parts), cc


def shape(operands):
    """Returns which parts of the encoding are what, and how long the immediate is: enum x86_shape, enum x86_immediate."""
    bits, immediate = set(), set()
    for encoding, size, _, _ in operands:
        byte = '_BYTE' if size == 'b' else ''
        if encoding in 'ER':
            bits.add('RM' + byte)
        if encoding == 'G':
            bits.add('REG' + byte)
        if encoding == 'Z':
            bits.add('OPCODE' + byte)
        if encoding == 'B':
            bits.add('VVVV')
        if encoding == 'H':
            bits.add('VVVV_VECTOR')
        if encoding == 'VSIB':
            bits.add('VSIB')
        if encoding in ('E', 'M', 'W', 'Q', 'VSIB'):
            bits.add('MEMORY')
        if encoding in ('XSI', 'YDI', 'DI', 'BX'):
            bits.add('UNNAMED')
        if encoding in ('S', 'C', 'D', 'FS', 'GS'):
            bits.add('SYSTEM')
        if encoding == 'O':
            bits.add('OFFSET')
        if encoding in ('I', 'SI', 'J', 'L'):
            immediate.add(size if encoding == 'I' else 'b' if encoding == 'L' else 'b' if size == 'b' else 'd')
    return bits, '_'.join(sorted(immediate)) or 'none'


class Row:
    pass


def parse(line, text, level):
    defaults = [None, None, '-', '-', '.', '.', '']
    col = text.split()
    col += defaults[len(col):]
    row = Row()
    row.line = line
    encoding, row.op, operands, flag_text, flow, lift, attrs = col
    if lift == '.':
        lift = 'lane:' + row.op[1:].lower() if level else row.op.lower()
    row.lane, row.lift = lift.startswith('lane:'), lift.removeprefix('lane:')
    row.operands = [operand(line, t) for t in operands.split(',')] if operands != '-' else []
    if len(row.operands) > 4:
        fail(line, 'more than four operands')
    row.flags, cc = flags(line, flag_text)
    row.flow = FLOW[flow]
    attr = set(a for a in attrs.split(',') if a) | ({level} if level else set())
    if cc:
        attr.add('ccflags')
    parse_encoding(row, encoding, attr)
    row.conditions = [name for name in CONDITIONS if name in attr]
    attr.difference_update(row.conditions)
    sizes = [s for e, s, _, _ in row.operands if e not in ('I', 'SI', 'ONE', 'CL', 'DX')]
    general = [s for e, s, _, _ in row.operands if e in ('E', 'G', 'R', 'M', 'Z', 'ACC', 'O', 'XSI', 'YDI', 'BX')]
    if general and general[0] == 'b' and not set(sizes) & set('vzy'):
        attr.add('byte')
    if row.prefix == 2:
        attr.add('op66')
    for a in attr:
        if a not in ATTRS:
            fail(line, f'attribute {a}')
    row.attrs = attr
    return row


def parse_encoding(row, text, attr):
    m = re.fullmatch(r'(vex(?P<l>[01]?)\.(?P<v>\w\w)\.|(?P<p>\w\w):)?(?P<bytes>[0-9a-f]+)(?P<plus>\+[rc])?'
                     r'(?P<modrm>/[0-9a-f]{2}(\+i)?|/[r0-7])?(?P<mod>:[mr])?', text)
    if not m:
        fail(row.line, f'encoding {text}')
    if m['l']:
        attr.add('l' + m['l'])
    row.prefix = PREFIX[m['v'] or m['p'] or '']
    code = m['bytes']
    row.map = MAPS.index(('vex.' if m['v'] else '') + code[:-2])
    row.opcode = int(code[-2:], 16)
    row.span = {None: 1, '+r': 8, '+c': 16}[m['plus']]
    if m['plus']:
        attr.add('reg_opcode' if m['plus'] == '+r' else 'cc_opcode')
    row.mods, row.regs, row.rms = 3, 255, 255
    modrm = m['modrm']
    row.modrm = modrm is not None
    if modrm and re.match(r'/[0-7]$', modrm):
        row.regs = 1 << int(modrm[1])
    elif modrm and len(modrm) > 2:
        value = int(modrm[1:3], 16)
        row.mods, row.regs = 2, 1 << (value >> 3 & 7)
        row.rms = 255 if modrm.endswith('+i') else 1 << (value & 7)
    if m['mod']:
        row.mods = 1 if m['mod'] == ':m' else 2


def emit_ops(rows, path):
    ops = sorted(set(r.op for r in rows))
    with open(path, 'w') as f:
        f.write('/* Generated from insn.tab by tools/gen_x86.py. */\n#ifndef X86_X86_OPS_H\n#define X86_X86_OPS_H\n\n'
                'enum x86_op {\n    X86_OP_INVALID,\n')
        f.writelines(f'    X86_OP_{op},\n' for op in ops)
        f.write('    X86_OP_COUNT\n};\n\n')
        f.write(f'enum {{ X86_ROW_COUNT = {len(rows)} }};\n\n#endif\n')
    return ops


def emit_lifters(rows, ops, path):
    lift = {}
    for r in rows:
        if lift.setdefault(r.op, (r.lift, r.lane)) != (r.lift, r.lane):
            fail(r.line, f'{r.op} has two lifters')
    with open(path, 'w') as f:
        f.write('/* Generated from insn.tab by tools/gen_x86.py: X86_LIFTER(op, lifter\'s name, is it run for each 128 bits), one per op. */\n')
        f.writelines(f'X86_LIFTER(X86_OP_{op}, {lift[op][0]}, {str(lift[op][1]).lower()})\n' for op in ops)


def emit_tables(rows, ops, path):
    cells = {}
    for i, r in enumerate(rows):
        for n in range(r.span):
            cells.setdefault((r.map, r.opcode + n), []).append(i)
    forms, index = [], [[(0, 0, 0)] * 256 for _ in MAPS]
    for (m, opcode), members in sorted(cells.items()):
        if len(set(rows[i].modrm for i in members)) != 1:
            fail(rows[members[0]].line, 'rows of one opcode disagree on ModRM')
        index[m][opcode] = (len(forms), len(members), int(rows[members[0]].modrm))
        forms += members
    with open(path, 'w') as f:
        f.write('/* Generated from insn.tab by tools/gen_x86.py; the structures are in x86_internal.h. */\n')
        f.write('static const char *const x86_names[X86_OP_COUNT] = {\n    [X86_OP_INVALID] = "(invalid)",\n')
        f.writelines(f'    [X86_OP_{op}] = "{op.lower()}",\n' for op in ops)
        f.write('};\n\nconst struct x86_row x86_rows[X86_ROW_COUNT] = {\n')
        for r in rows:
            attrs = ' | '.join('X86_A_' + a.upper() for a in ATTRS if a in r.attrs) or '0'
            opds = ', '.join(f'{{X86_E_{e}, X86_Z_{SIZES[s]}, X86_Z_{SIZES[z]}, {a}}}' for e, s, z, a in r.operands)
            bits, immediate = shape(r.operands)
            bits = ' | '.join('X86_SHAPE_' + b for b in sorted(bits)) or '0'
            f.write(f'    {{X86_OP_{r.op}, {attrs}, X86_FLOW_{r.flow}, {len(r.operands)}, {bits}, X86_IMMEDIATE_{immediate.upper()}, '
                    f'{{{", ".join(map(str, r.flags))}}}, {{{opds or "{0}"}}}}},\n')
        f.write('};\n\nconst struct x86_form x86_forms[] = {\n')
        for i in forms:
            r = rows[i]
            cond = ' | '.join('X86_IF_' + CONDITIONS[c] for c in r.conditions) or '0'
            f.write(f'    {{{i}, {r.prefix}, {r.mods}, {r.regs}, {r.rms}, {cond}}},\n')
        f.write(f'}};\n\nconst struct x86_opcode x86_opcodes[{len(MAPS)}][256] = {{\n')
        for m in index:
            f.write('    {\n')
            for base in range(0, 256, 8):
                f.write('        ' + ' '.join(f'{{{a}, {b}, {c}}},' for a, b, c in m[base:base + 8]) + '\n')
            f.write('    },\n')
        f.write('};\n')


def main():
    table, ops_h, lifters_h, tables = sys.argv[1:5]
    rows = []
    level = None
    with open(table) as f:
        for number, text in enumerate(f, 1):
            text = text.split('#')[0].strip()
            if text.startswith('level '):
                level = text.split()[1]
            elif text:
                rows.append(parse(number, text, level))
    ops = emit_ops(rows, ops_h)
    emit_lifters(rows, ops, lifters_h)
    emit_tables(rows, ops, tables)


main()
