#!/usr/bin/env python3
"""Who may have a host pointer into guest memory, where other threads write while the vkernel looks (src/vkernel/usercopy/usercopy.h).

    guest_memory.py SOURCE_FOLDER

Everybody else reaches guest memory by copies alone, so that nothing is read twice. The files of each rule are those in which the
rule's words stand for a reason; a new one wants a reason, too, and a line here.
"""
import pathlib, re, sys

RULES = [
    # (what is looked for, in which folder, where it may be, why it may be there)
    (r'\bspace\s*(?:\.|->)\s*base\b', 'src/vkernel',
     ['mm/*.c',               # host calls that map pages; copies of whole pages while nobody can write to them
      'run/run.c',            # what the evaluator works on; bytes of code, which nobody can write
      'run/switch.c',         # handed to the platform
      'run/lockstep*.c']),    # in lockstep there is one processor
    (r'\bx86_memory_tls\b', 'src/vkernel',
     ['cpu/x87.c', 'run/faults.c', 'run/direct.c',  # host addresses from and to guest addresses
      'run/run.c']),                                # the code map, which guests cannot write
    (r'\bguest_span\b', 'src/vkernel', ['usercopy/*', 'vfs/file.c']),
    (r'\biov_base\b', 'src/vkernel',
     ['vfs/file.c',           # iov_scatter, iov_gather, iov_clear
      'fs/memfs_content.c',   # handed to platform_copy or the host
      'fs/hostfs.c']),        # handed to the host
    (r'\bplatform_(?:copy|clear|exchange)\b', 'src/vkernel',
     ['usercopy/*', 'vfs/file.c', 'mm/*.c', 'fs/memfs_content.c',
      'run/calls.c']),        # lockstep's record
    (r'\bx86_guest\b', 'src/x86',
     ['helpers.h',            # single accesses, x86_guest_read, x86_guest_write
      'helpers_fxstate.c', 'helpers_x87.c']),  # areas that are written
]


def code_of(path):
    """Without comments."""
    return re.sub(r'/\*.*?\*/|//[^\n]*', lambda m: '\n' * m[0].count('\n'), path.read_text(), flags=re.S)


def main():
    root, failures = pathlib.Path(sys.argv[1]), []

    for word, folder, places in RULES:
        allowed = {p for place in places for p in (root / folder).glob(place)}
        found = set()
        for path in sorted((root / folder).rglob('*.[ch]')):
            for number, line in enumerate(code_of(path).splitlines(), 1):
                if not re.search(word, line):
                    continue
                found.add(path)
                if path not in allowed:
                    failures.append(f'{path.relative_to(root)}:{number}: {line.strip()}')
        for place in places:
            if not found & set((root / folder).glob(place)):
                failures.append(f'{folder}/{place} has no {word} any more: leave it out of the rule')
    for line in failures:
        print(line)
    if failures:
        print('Guest memory is reached by the copies of usercopy.h, or for vectors by iov_gather and its kin; see tests/vkernel/guest_memory.py.')
    return bool(failures)


sys.exit(main())
