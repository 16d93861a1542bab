#!/usr/bin/env python3
"""What guests see of several processors: all that tells of them says the same number, in the words of Linux; and a task runs where it may run.

    processors.py VKERNEL MKPAYLOAD processors_guest.c
"""
import os, subprocess, sys, tempfile

vkernel, mkpayload, source = sys.argv[1:4]
CPU = '/sys/devices/system/cpu/'


def mask(numbers, n):
    """As %*pb of Linux's kernel prints a set of processors of which there are n."""
    value, groups = sum(1 << k for k in numbers), []
    for low in range(0, n, 32):
        groups.insert(0, '%0*x' % ((min(n - low, 32) + 3) // 4, value >> low & 0xffffffff))
    return ','.join(groups)


def wanted(n):
    every = '0' if n == 1 else f'0-{n - 1}'
    bits = (n - 1).bit_length()
    some = [k for k in (0, 2, 39) if k < n]
    listed = ','.join(map(str, some))
    lines = [f'affinity 8 {(1 << n) - 1:x} online {n}',
             *(f'{CPU}{name}: {every}' for name in ('online', 'possible', 'present')),
             f'{CPU}cpu0/topology/core_siblings: {mask(range(n), n)}', f'{CPU}cpu0/topology/core_siblings_list: {every}']
    if n > 2:
        lines += [f'{CPU}cpu2/topology/core_id: 2', f'{CPU}cpu2/topology/thread_siblings: {mask([2], n)}',
                  f'{CPU}cpu2/topology/thread_siblings_list: 2']
    lines += [f'/sys/devices/system/node/node0/cpulist: {every}', f'/proc/self/status: Cpus_allowed:\t{mask(range(n), n)}',
              f'/proc/self/status: Cpus_allowed_list:\t{every}', f'/proc/cpuinfo processor\t: {n}', f'/proc/stat cpu: {n + 1}',
              f'folders {n}, one too many 0', f'leaf 1: ids {1 << bits}, HTT {int(n > 1)}']
    lines += [f'leaf 4: level {level} shared by {1 << bits if level == 3 else 1}, cores {1 << bits}' for level in (1, 1, 2, 3)]
    lines += ['leaf 11: 0 1 100', f'leaf 11: {bits} {n} 201', 'leaf 11: 0 0 2']
    lines += [f'/proc/self/status: Cpus_allowed:\t{mask(some, n)}', f'/proc/self/status: Cpus_allowed_list:\t{listed}', f'online {n}']
    turns = (some[1:] + some[:1]) * 4
    return lines + [f'at {k} {k} {k} {k} {k} 0' for k in turns[:4]]


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        root, image = os.path.join(work, 'root'), os.path.join(work, 'image')
        os.makedirs(root + '/bin')
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', root + '/bin/guest', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        for n in (1, 2, 3, 32, 33, 40, 64):
            r = subprocess.run([image, '/bin/guest'], capture_output=True, text=True, timeout=60, env=dict(os.environ, INGOT_OPTIONS=f'--cpus {n}'))
            got, want = r.stdout.splitlines(), wanted(n)
            ok = r.returncode == 0 and got == want
            print('ok' if ok else 'not ok', n, 'processors')
            failed += not ok
            if not ok:
                print('\n'.join(f'  {a!r}, wanted {b!r}' for a, b in zip(got + [''] * 50, want + [''] * 50) if a != b), r.stderr)
    return failed != 0


sys.exit(main())
