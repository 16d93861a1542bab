#!/usr/bin/env python3
"""Every thread-local variable keeps its value over a switch of fibers. In a sanitized vkernel it does so if FIBER_VARIABLE (platform/sanitizer.h)
stands in its file; those that need not are named here, with the reason.

    fiber_variables.py SOURCE
"""
import pathlib, re, sys

NEED_NOT = {
    'platform_thread_tls': "the host thread's, and set before each switch",
    'eval_slots': 'nothing is in them between two runs',
    'eval_place': 'said of a run, and there is no switch in one; what it keeps behind a run is for statistics',
    'thread_value': "a probe of its own (runtime/start_probe.c)",
}

failed = 0
source = pathlib.Path(sys.argv[1]) / 'src'
text = {p: p.read_text() for p in source.rglob('*.c')}
listed = {m for t in text.values() for m in re.findall(r'^FIBER_VARIABLE\((\w+)\);', t, re.M)}
for path, t in text.items():
    for name in re.findall(r'^(?:static )?__thread [^;=(]*?(\w+)(?:\[\w+\])?(?: __attribute__.*)?(?: = [^;]*)?;', t, re.M):
        if name not in listed and name not in NEED_NOT:
            print(f'{path}: {name} is not listed as FIBER_VARIABLE')
            failed += 1
if len(listed) < 8:
    print('only', len(listed), 'variables were found')
    failed += 1
sys.exit(failed != 0)
