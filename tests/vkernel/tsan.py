#!/usr/bin/env python3
"""Runs programs on a vkernel that was built with ThreadSanitizer, on two processors. No report may come; what they print, other tests compare.

    tsan.py VKERNEL [--short]
"""
import glob, os, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SHORT = ('programs/threads.c', 'programs/signals.c', 'programs/clone.c', 'programs/process.c', 'attacks/close_in_use.c', 'attacks/changing_code.c')
# Programs of tests/smp, and how long they run.
SMP = {'lockfree': '20', 'locks': '3', 'futexes': '3', 'siblings': '3', 'alloc': '20', 'membarrier': '100'}
# Each of its many tasks is a fiber, for which ThreadSanitizer makes mappings: it comes to the host's limit of them, and ends.
LEFT_OUT = {'clone_corners'}
REPORT = 99 # platform/sanitizer.c


def sources(short):
    if short:
        return [f'{HERE}/{s}' for s in SHORT]
    return [f'{HERE}/fs_ready.c', *sorted(glob.glob(HERE + '/programs/*.c')), *sorted(glob.glob(HERE + '/attacks/*.c')),
            *(f'{HERE}/../smp/{s}.c' for s in SMP)]


def main():
    vkernel, *more = sys.argv[1:]
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        root = work + '/root'
        for folder in ('bin', 'etc', 'tmp', 'proc', 'dev'):
            os.makedirs(f'{root}/{folder}')
        os.chmod(root + '/tmp', 0o1777)
        with open(root + '/etc/base', 'wb') as f:
            f.write(b''.join(bytes([65 + k % 26]) * 4096 for k in range(64)))
        names = []
        for source in sources('--short' in more):
            with open(source) as f:
                if 'Not sanitized.' in f.read().split('*/')[0]:
                    continue
            name = os.path.basename(source)[:-2]
            if name in LEFT_OUT:
                continue
            names.append(name)
            subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-pthread', '-w', '-o', f'{root}/bin/{name}', source], check=True)
        subprocess.run([sys.executable, HERE + '/../../tools/mkpayload.py', vkernel, root, work + '/image'], check=True, stdout=subprocess.DEVNULL)
        for name in names:
            options = ['--rounds', SMP[name]] if name in SMP else []
            try:
                got = subprocess.run([work + '/image', '/bin/' + name, *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
                                     env=dict(os.environ, INGOT_OPTIONS='--cpus 2'))
            except subprocess.TimeoutExpired as e:
                print('not ok', name, 'takes too long')
                print((e.stderr or b'').decode(errors='replace'))
                failed += 1
                continue
            ok = got.returncode != REPORT and b'ThreadSanitizer' not in got.stderr
            print('ok' if ok else 'not ok', name, flush=True)
            if not ok:
                failed += 1
                print(got.stderr.decode(errors='replace'))
    return failed != 0


sys.exit(main())
