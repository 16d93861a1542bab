#!/usr/bin/env python3
"""Makes docs/syscalls.md, which says of each Linux system call what the vkernel does, of the tables in src/vkernel/abi: syscalls.def (what is
implemented), partial.def (what is missing of it) and refused.def (what is not there, and why).

    gen_syscalls.py SOURCE           writes the document
    gen_syscalls.py --check SOURCE   says what is wrong: a document that is not of these tables, a call that is in none of them or in two, and
                                     numbers of <asm/unistd_64.h> that have another name here, or none
"""
import errno, glob, os, re, sys

ROW = r'^{kind}\({fields}\)$'
HEAD = '''# System calls

Made by tools/gen_syscalls.py of src/vkernel/abi: syscalls.def, partial.def and refused.def. Do not edit it here.

Of {total} numbers of x86-64, **{full}** calls are full: they do all that Linux's do, errors included, as far as is known. **{partial}** are
partial, and the table says what is missing, or kept without effect. **{refused}** are refused, with the error and the reason. Any other number
is ENOSYS.

| number | call | | what is missing, or why it is refused |
|---:|---|---|---|
'''


def rows(path, kind, fields):
    text = open(path).read()
    found = re.findall(ROW.format(kind=kind, fields=fields), text, re.M)
    if len(found) != len(re.findall(r'^%s\(' % kind, text, re.M)):
        sys.exit(f'{path}: a row is not understood')
    return found


class Tables:
    def __init__(self, source):
        abi = os.path.join(source, 'src/vkernel/abi')
        self.calls = [(int(n), name) for n, name in rows(abi + '/syscalls.def', 'SYS', r'(\d+), (\w+), \d, ".*"')]
        self.partial = rows(abi + '/partial.def', 'PARTIAL', r'(\w+), "([^"]+)"')
        self.refused = [(int(n), *rest) for n, *rest in rows(abi + '/refused.def', 'REFUSED', r'(\d+), (\w+), (E\w+), "([^"]+)"')]

    def wrong(self):
        numbers = dict((name, n) for n, name in self.calls)
        for what, found in ('syscalls.def', self.calls), ('refused.def', self.refused):
            order = [row[0] for row in found]
            if order != sorted(set(order)):
                yield f'{what}: not sorted, or a number twice'
        order = [numbers.get(name, -1) for name, _ in self.partial]
        for name, _ in self.partial:
            if name not in numbers:
                yield f'partial.def: {name} is not implemented'
        if order != sorted(set(order)):
            yield 'partial.def: not sorted, or a call twice'
        for n, name, error, _ in self.refused:
            if not hasattr(errno, error):
                yield f'refused.def: {name}: no such error: {error}'
        for n, name in sorted({(n, name) for n, name, *_ in self.refused if n in dict(self.calls)}):
            yield f'{name} ({n}) is implemented: its row in refused.def is to go'

    def document(self):
        missing = dict(self.partial)
        lines = [(n, name, 'partial' if name in missing else 'full', missing.get(name, '')) for n, name in self.calls]
        lines += [(n, name, 'refused', f'{error}: {why}') for n, name, error, why in self.refused]
        count = {state: sum(line[2] == state for line in lines) for state in ('full', 'partial', 'refused')}
        return HEAD.format(total=len(lines), **count) + ''.join(f'| {n} | {name} | {state} | {text} |\n' for n, name, state, text in sorted(lines))

    def differ_from_header(self):
        """The installed header may be older than the tables: what it has must be in them."""
        names = dict(self.calls) | {n: name for n, name, *_ in self.refused}
        headers = glob.glob('/usr/include/asm/unistd_64.h') + glob.glob('/usr/include/x86_64-linux-gnu/asm/unistd_64.h')
        if not headers:
            yield 'there is no <asm/unistd_64.h>'
            return
        for name, n in re.findall(r'^#define __NR_(\w+)\s+(\d+)$', open(headers[0]).read(), re.M):
            if names.get(int(n)) != name:
                yield f'{name} ({n}) is {names.get(int(n), "in none of the tables")}'


def main():
    check = sys.argv[1] == '--check'
    source = sys.argv[-1]
    tables, path = Tables(source), os.path.join(source, 'docs/syscalls.md')
    wrong = list(tables.wrong())
    if check:
        wrong += tables.differ_from_header()
        if not os.path.exists(path) or open(path).read() != tables.document():
            wrong.append('docs/syscalls.md is not of these tables: tools/gen_syscalls.py writes it')
    for line in wrong:
        print('not ok', line)
    if not check and not wrong:
        with open(path, 'w') as f:
            f.write(tables.document())
    print(f'{len(tables.calls)} calls, {len(tables.refused)} refused, {len(wrong)} wrong')
    return bool(wrong)


sys.exit(main())
