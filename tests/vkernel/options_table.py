#!/usr/bin/env python3
"""Looks at net/options.def: somebody must read each option that is REAL, and nobody one that is a HINT; each has its reason.

    options_table.py SOURCE
"""
import glob, os, re, sys

net = os.path.join(sys.argv[1], 'src/vkernel/net')
table = open(os.path.join(net, 'options.def')).read()
code = {os.path.basename(f): open(f).read() for f in glob.glob(net + '/*.[ch]')}
rows = re.findall(r'^(REAL|HINT|REFUSED)\((\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*(.*)"([^"]*)"\)$', table, re.M)
failed = 0


def wrong(name, what):
    global failed
    failed += 1
    print(f'not ok {name}: {what}')


if len(rows) != len(re.findall(r'^(?:REAL|HINT|REFUSED)\(', table, re.M)):
    wrong('options.def', 'a row is not understood')
for kind, level, name, who, form, rest, text in rows:
    readers = [f for f, text_of in code.items()
               if f != 'options.c' and re.search(r'socket_option\(\w+, %s\)|OPTION_%s\b' % (name, name), text_of)]
    own = re.search(r'OPTION_%s\b|socket_option\(s, %s\)' % (name, name), code['options.c'])
    if len(text) < 4:
        wrong(name, 'no reason')
    if kind == 'REFUSED':
        continue
    if form == 'OWN' and not own and not rest.startswith('0, 0, 1'):
        wrong(name, 'options.c has no function for it')
    if kind == 'HINT' and readers:
        wrong(name, f'is a hint, yet {readers} read it')
    if kind == 'REAL' and not readers:
        field = re.match(r'socket\.(\w+)', text)
        if field:
            users = [f for f, text_of in code.items()
                     if f not in ('options.c', 'socket.h') and re.search(r'->%s\b' % field.group(1), text_of)]
            if not users:
                wrong(name, f'nobody reads {field.group(1)}')
        elif not text.startswith('options.c') or form != 'OWN':
            wrong(name, 'is real, yet nobody reads it')
print(f'{len(rows)} options, {failed} wrong')
sys.exit(failed != 0 or len(rows) < 100)
