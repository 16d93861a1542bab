#!/usr/bin/env python3
"""What objects point to and CALLED (vkernel/ops.h) calls is marked as CALLBACK: a function that is not ends the container when it is called.

    callbacks.py SOURCE_FOLDER

The fields are those that CALLED is used with. Each function that a C file puts into one must be defined with the mark, in whichever file; so must what
is passed to a function that puts its argument there. Tables of operations and hooks have fields of the same names; OPS and hooks call these.
"""
import pathlib, re, sys

TABLE = re.compile(r'OPS_TABLE|_hooks\b')
DEFINITION = re.compile(r'^((?:[\w*]+ )*[\w*]+)\n(\w+)\(', re.M)


def owner(text, at):
    """The line at the left edge, or of a declaration, that the initializer around this place belongs to."""
    begin = max((m.start() for m in re.finditer(r'^.*=\s*(?:\([^)]*\))?\s*\{', text[:at], re.M)), default=0)
    return text[begin:text.find('\n', begin)]


def around(text, at):
    """The function in which this place is: its name and its parameters' names."""
    found = [m for m in DEFINITION.finditer(text) if m.start() < at]
    if not found:
        return '', []
    end = text.index('\n{', found[-1].end())
    names = []
    for parameter in re.split(r',(?![^()]*\))', text[found[-1].end():end].rstrip(')\n ')):
        function = re.search(r'\(\*(\w+)\)', parameter)
        names.append(function[1] if function else re.findall(r'\w+', parameter)[-1])
    return found[-1][2], names


def main():
    files = {path: path.read_text() for path in sorted((pathlib.Path(sys.argv[1]) / 'src').rglob('*.[ch]'))}
    fields = {name for text in files.values() for name in re.findall(r'\bCALLED\([\w>.\[\]-]*?(?:->|\.)(\w+)\)', text)}
    marked, plain = set(), set()
    for path, text in files.items():
        for kind, name in DEFINITION.findall(text):
            if 'CALLBACK' in kind.split():
                marked.add((path, name))
            else:
                plain.add(name)
    failures, seen, passed = [], set(), {}

    def put(path, name, field):
        if (path, name) in marked:
            seen.add((path, name))
        elif name in plain:
            failures.append(f'{path.relative_to(sys.argv[1])}: {name} is put into "{field}", which CALLED calls, and is no CALLBACK')

    for path, text in files.items():
        for m in re.finditer(r'(->|\.)(\w+) = (\w+)(?=[;,}\s])', text):
            if m[2] not in fields or (m[1] == '.' and re.search(r'[{,\s]$', text[:m.start()]) and TABLE.search(owner(text, m.start()))):
                continue
            function, parameters = around(text, m.start())
            if m[3] in parameters:
                passed[function] = (parameters.index(m[3]), m[2])
            else:
                put(path, m[3], m[2])
    for path, text in files.items():
        for m in re.finditer(r'\b(\w+)\(([^;{}]*?)\);', text):
            if m[1] in passed:
                place, field = passed[m[1]]
                arguments = re.split(r',\s*(?![^()]*\))', m[2])
                if place < len(arguments):
                    put(path, arguments[place], field)
    for failure in failures:
        print('not ok -', failure)
    unused = marked - seen
    for path, name in sorted(unused):
        print(f'not ok - {path.relative_to(sys.argv[1])}: {name} is a CALLBACK, and nothing that CALLED calls was seen to become it')
    if len(fields) < 6 or len(seen) < 20:
        print(f'not ok - only {len(fields)} fields and {len(seen)} functions were found')
        return 1
    print(f'{"not ok" if failures or unused else "ok"} - {len(seen)} functions in the fields {", ".join(sorted(fields))}')
    return bool(failures or unused)


sys.exit(main())
