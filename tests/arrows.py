#!/usr/bin/env python3
"""The arrows between the folders of src/: each includes and calls what the table of docs/architecture.md allows it, and nothing else.

    arrows.py SOURCE_FOLDER LIBRARY...    the folders' libraries: .../src/FOLDER/.../libNAME.a

A row of the table names only folders of rows above it, so that there is no circle. Its last column has the functions and variables that the folder's
headers declare and another folder defines: these it may use, and so may who uses the folder. What a row allows and nothing uses is an error, too.
Programs (cli) and what is linked into every artifact from elsewhere (runtime) have no library: only their includes are looked at.

What a C file uses of others it includes: none declares a function by itself, but for its static ones. The linker's
symbols, which are data, may be declared there.
"""
import pathlib, re, subprocess, sys


def symbols(library):
    """(object file, symbol, is it defined there for others?)"""
    member = ''
    for line in subprocess.run(['nm', library], capture_output=True, text=True, check=True).stdout.splitlines():
        if line.endswith(':'):
            member = line[:-1]
        elif words := line.split():
            kind, name = words[-2], words[-1]
            if kind in 'Uvw' or kind.isupper():
                yield member, name, kind not in 'Uvw'


def table(architecture):
    """folder -> folders that it may use, and folder -> what it has others define, in the table's order"""
    section = re.search(r'^## Arrows\n(.*?)^## ', architecture, re.M | re.S)[1]
    rows = [row for row in re.findall(r'^\| (\w+) \| ([\w, ]*)\| ?([\w, ]*)\|', section, re.M) if row[0] != 'folder']
    return {folder: re.findall(r'\w+', uses) for folder, uses, _ in rows}, {folder: re.findall(r'\w+', left) for folder, _, left in rows}


SKIPPED = re.compile(r'''/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|^[ \t]*\#(?:\\\n|[^\n])*''', re.M | re.S)


def prototypes(text):
    """Declarations of functions with external linkage at the top level of a C file."""
    depth, top = 0, ''
    for part in re.split(r'([{}])', SKIPPED.sub('', text)):
        if part in ('{', '}'):
            depth += 1 if part == '{' else -1
            top += '}' if depth == 0 else ''  # what ends with it is a definition
        elif depth == 0:
            top += part
    top = re.sub(r'__attribute__\s*\(\(.*?\)\)', '', top)
    for declaration in re.findall(r'([^;}]*);', top):
        declaration = ' '.join(declaration.split())
        if re.match(r'(?!static\b|typedef\b|_Static_assert\b|__asm__\b)[a-z_]\w*\b[^=()]*\w ?\(.*\)$', declaration):
            yield declaration


def folder_of(library):
    parts = pathlib.Path(library).parts
    return parts[len(parts) - parts[::-1].index('src')]


def main():
    source, libraries = pathlib.Path(sys.argv[1]) / 'src', sys.argv[2:]
    allowed, left_open = table((source.parent / 'docs/architecture.md').read_text())
    failures, defined, wanted, uses, calls, includes = [], {}, [], set(), 0, 0
    open_in = {name: folder for folder in left_open for name in left_open[folder]}

    above = set()
    for folder, others in allowed.items():
        failures += [f'the table: {folder} uses {other}, which does not stand above it' for other in others if other not in above]
        above.add(folder)
    folders = {p.name for p in source.iterdir() if p.is_dir()}
    failures += [f'{folder}: ' + ('not in the table of docs/architecture.md' if folder in folders else 'in the table, but no folder')
                 for folder in sorted(folders ^ set(allowed))]

    for folder, names in left_open.items():
        headers = ''.join(path.read_text() for path in (source / folder).glob('*.h')) if names else ''
        failures += [f'the table: no header of {folder} declares {name}' for name in names if not re.search(rf'\b{name}\b', headers)]

    for library in libraries:
        for member, name, is_defined in symbols(library):
            if is_defined:
                defined.setdefault(name, folder_of(library))
            else:
                wanted.append((folder_of(library), member, name))
    for folder, member, name in wanted:
        to = defined.get(name, folder)
        if name in open_in:
            uses.add((open_in[name], name))
            to = open_in[name]
        if to != folder:
            calls += 1
            uses.add((folder, to))
            if to not in allowed.get(folder, []):
                failures.append(f'{folder}/{member} uses {name} of {to}/')
    for folder in sorted(folders):
        for path in sorted((source / folder).rglob('*')):
            if path.suffix not in ('.c', '.h', '.S', '.def'):
                continue
            text = path.read_text()
            if path.suffix == '.c':
                failures += [f'{path.relative_to(source)} declares by itself: {declaration}' for declaration in prototypes(text)]
            for to, header in re.findall(r'^#include "(\w+)/([\w./]+)"', text, re.M):
                if to == folder or to not in folders:
                    continue
                includes += 1
                uses.add((folder, to))
                if to not in allowed.get(folder, []):
                    failures.append(f'{path.relative_to(source)} includes {to}/{header}')
                if header.endswith('_internal.h'):
                    failures.append(f'{path.relative_to(source)} includes {to}/{header}, which is for {to}/ alone')
    failures += [f'the table: {folder} does not use {other}' for folder in allowed for other in allowed[folder] + left_open[folder]
                 if (folder, other) not in uses]
    for failure in failures:
        print(f'not ok - {failure}')
    if calls < 1000 or includes < 500:
        print(f'not ok - only {calls} uses of symbols and {includes} includes were found')
        return 1
    print(f'{"not ok" if failures else "ok"} - {len(allowed)} folders, {calls} uses of functions and variables, {includes} includes')
    return bool(failures)


if __name__ == '__main__':
    sys.exit(main())
