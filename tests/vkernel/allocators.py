#!/usr/bin/env python3
"""The vkernel and the platform allocate from platform/heap.h only: the C library's heap does not know types.

    allocators.py LIBRARY...
"""
import subprocess, sys

FORBIDDEN = {'malloc', 'calloc', 'realloc', 'reallocarray', 'free', 'strdup', 'strndup', 'posix_memalign', 'aligned_alloc', 'memalign',
             'asprintf', 'vasprintf', '__asprintf_chk', '__vasprintf_chk', 'open_memstream', 'fopen', 'fdopen', 'getline', 'getdelim', 'realpath',
             'scandir', 'opendir', 'mem_alloc', 'mem_zalloc', 'mem_realloc', 'mem_strdup', 'mem_printf', 'mem_free'}
# Object files, with the reason.
EXCEPTIONS = {
    'heap.c.o': 'is the heap; with AddressSanitizer, the C library\'s',
    'c_heap.c.o': 'allocates once, before the first guest instruction, and says why',
    'run_lockstep_report.c.o': 'lockstep only',
    'run_lockstep_direct.c.o': 'lockstep only',
    'run_lockstep_effects.c.o': 'lockstep only',
    'run_lockstep_memory.c.o': 'lockstep only',
    'run_lockstep.c.o': 'lockstep only',
}


def main():
    failed = checked = 0
    member = None
    for library in sys.argv[1:]:
        for line in subprocess.run(['nm', '-A', '-u', library], capture_output=True, text=True, check=True).stdout.splitlines():
            where, _, symbol = line.rpartition(' U ')
            if not where:
                continue
            member = where.rstrip(': ').rsplit('/', 1)[-1].rsplit(':', 1)[-1].strip()
            checked += 1
            if symbol in FORBIDDEN and member not in EXCEPTIONS:
                print(f'not ok - {member} calls {symbol}')
                failed += 1
    if checked < 500:
        print(f'not ok - only {checked} symbols were found')
        failed += 1
    print(f'{"not ok" if failed else "ok"} - {checked} symbols')
    return failed != 0


sys.exit(main())
