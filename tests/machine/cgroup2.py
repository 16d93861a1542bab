#!/usr/bin/env python3
"""`--isolate full` on a host whose cgroups are those of version 2 (machine.py): the files of the group that the container makes for itself,
at the top, as root and in a group delegated to a user, what is said where none can be made, and who ends the container at the limit.

    cgroup2.py KERNEL VKERNEL MKPAYLOAD
"""
import os, re, sys, tempfile

import machine

kernel, vkernel, mkpayload = sys.argv[1:]
MIB = 1 << 20
failed = 0


def expect(what, ok, *seen):
    global failed
    failed += not ok
    print('ok' if ok else 'not ok', what, *seen, flush=True)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as work:
        p = machine.start(kernel, machine.build(work, vkernel, mkpayload, here + '/cgroup2.sh', 'guest', here + '/cgroup2.c'))
        text = p.communicate()[0].decode(errors='replace').replace('\r', '')
    print(text)
    facts = [fact for fact in re.findall(r'^(\w+): (.*)$', text, re.M) if 'does not allow MDWE' not in fact[1]] # of this kernel's, always
    of = {name: [fact for n, fact in facts if n == name] for name, _ in facts}
    limits = ['pids.max 1', f'memory.max {128 * MIB + 16 * MIB + 64 * MIB}', 'memory.swap.max 0', 'cpu.max 50000 100000', 'status 7']
    for name in ('top', 'alone', 'delegated'):
        expect(f'limits of the group: {name}', of.get(name) == limits, of.get(name))
    for name, why in (('shared', 'Device or resource busy'), ('foreign', 'Permission denied')):
        expect(f'no group: {name}', len(of.get(name, [])) == 2 and of[name][0] == 'status 7' and f'own cgroup ({why})' in of[name][1], of.get(name))
    expect('two processors', of.get('processors') == ['pids.max 2', 'cpu.max 200000 100000', 'pids.current 2', 'status 7'], of.get('processors'))
    killed = of.get('memory', [])
    expect('the limit of the vkernel', len(killed) == 2 and killed[0] == 'status 137' and 'above its limit of 64 MiB' in killed[1], killed)
    full = of.get('full', [])
    expect('the limit of the group', len(full) == 2 and full[0] == 'status 137' and 'above the memory limit of its cgroup' in full[1], full)
    share = of.get('share', [''])
    used = re.match(r'used (\d+) % of a processor, (\d+) times held back', share[0])
    expect('the share of the group', used and int(used[1]) <= 36 and int(used[2]) > 10 and share[1:] == ['status 7'], share)
    return failed != 0


sys.exit(main())
