#!/usr/bin/env python3
"""Functions of the vkernel that call themselves, over however many others. Host stacks are of fixed size and guests choose how deep
their structures are, so each such circle must have a bound, named here with its reason; any other is an error.

    recursion.py LIBRARY.a...

Only direct calls are seen (objdump). Through pointers, files can reach themselves in three ways: release, which file_put makes wait
its turn, and the polls and wakes of epoll files, which are never more than five deep (io/epoll.c).
"""
import re, subprocess, sys

ALLOWED = {
    # function: what bounds it; one of each circle is enough
    'count_ways': 'epoll: depth is counted',
    'links_above': 'epoll: no way is longer than NEST_MAX, or it would not have been made',
    'links_below': 'epoll: depth is counted',
    'ways_below': 'epoll: no way is longer than NEST_MAX, or it would not have been made',
    'signal_send_info': 'to the parent, of a child that continues or stops; the parent is neither',
    'file_put': 'only the outermost one releases, and unix_gc does not start within itself',
    'emit_search': 'platform/filter.c: before the first guest instruction; halves the table of host calls',
    'skip_value': 'image/config.c: JSON of the artifact, depth is counted',
}

FILE = re.compile(r'^(\S+\.o):\s+file format')
LABEL = re.compile(r'^[0-9a-f]+ <([^>]+)>:$')
BRANCH = re.compile(r'\s(call|jmp)\s+[0-9a-f]+ <([^>]+)>')
RELOCATION = re.compile(r'R_X86_64_(?:PLT32|PC32)\s+([A-Za-z_][\w.]*)-0x4')


def calls(libraries):
    """(file, function) -> set of the same; a name that the file does not define is global. Parts that the compiler splits off a
    function (name.cold, name.part.0) count as the function."""
    edges, defined = {}, {}
    for library in libraries:
        text = subprocess.run(['objdump', '-dr', '--no-show-raw-insn', library], capture_output=True, text=True, check=True).stdout
        file, function, branch = None, None, None
        for line in text.splitlines() + ['']:
            if branch and (m := RELOCATION.search(line)):
                edges[function].add(m[1].split('.')[0])
            elif branch and '+' not in branch[1]: # the assembler knew the target
                target = branch[1].split('.')[0]
                if branch[0] == 'call' or target != function[1]:
                    edges[function].add(target)
            branch = None
            if m := FILE.match(line):
                file = m[1]
            elif m := LABEL.match(line):
                function = (file, m[1].split('.')[0])
                defined.setdefault(function[1], set()).add(function)
                edges.setdefault(function, set())
            elif function and (m := BRANCH.search(line)):
                branch = m.groups()
    return {f: {t for name in names for t in ([(f[0], name)] if (f[0], name) in edges else defined.get(name, ()))}
            for f, names in edges.items()}


def circles(edges):
    """Strongly connected components of more than one function, or of one that calls itself (Tarjan, without recursion)."""
    index, low, on, stack, found = {}, {}, set(), [], []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on.add(root)
        while work:
            v, rest = work[-1]
            for w in rest:
                if w not in index:
                    index[w] = low[w] = len(index)
                    stack.append(w)
                    on.add(w)
                    work.append((w, iter(edges[w])))
                    break
                if w in on:
                    low[v] = min(low[v], index[w])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[v])
                if low[v] == index[v]:
                    circle = []
                    while not circle or circle[-1] != v:
                        circle.append(stack.pop())
                        on.discard(circle[-1])
                    if len(circle) > 1 or v in edges[v]:
                        found.append(circle)
    return found


def main():
    edges = calls(sys.argv[1:])
    bad = 0
    if len(edges) < 500:
        print('only', len(edges), 'functions: nothing was checked')
        return 1
    for circle in circles(edges):
        names = sorted(f'{name} ({file})' for file, name in circle)
        if any(name in ALLOWED for _, name in circle):
            print('bounded:', ', '.join(names))
        else:
            bad += 1
            print('calls itself, without a bound that is named in tests/vkernel/recursion.py:', ', '.join(names))
    print(len(edges), 'functions')
    return bad != 0


sys.exit(main())
