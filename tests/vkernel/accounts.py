#!/usr/bin/env python3
"""What a container's programs are told of the time that they use (accounts.c).

    accounts.py VKERNEL MKPAYLOAD accounts.c [NAME...]
    accounts.py --host accounts.c [NAME...]     what Linux says; other programs of the host are in its load and its idle time
"""
import math, os, subprocess, sys, tempfile

host = sys.argv[1] == '--host'
if host:
    source, only = sys.argv[2], sys.argv[3:]
else:
    vkernel, mkpayload, source = sys.argv[1:4]
    only = sys.argv[4:]
failed = 0
sanitized = False
if not host:
    with open(vkernel, 'rb') as f:
        sanitized = b'__asan_init' in f.read()  # then the evaluator itself brings in much memory, which is system time


def run(program, *args):
    r = subprocess.run([*program, *args], capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r
    print(args, r.stdout.replace('\n', ', '))
    return {name: float(value) for name, value in (line.split() for line in r.stdout.splitlines())}


def expect(what, ok, *seen):
    global failed
    failed += not ok
    print('ok' if ok else 'FAIL', what, *seen, flush=True)


def load(program):
    v = run(program, 'load')
    # One period of 5 s with 3 tasks; it begins with the container, so that some of the 6 s may be in the next one.
    for name, minutes in ('load1', 1), ('load5', 5), ('load15', 15):
        whole = 3 * (1 - math.exp(-5 / (60 * minutes)))
        expect(name, 0.75 * whole - 0.01 <= v[name] <= 2.1 * whole + 0.01, v[name], f'{whole:.2f}')
    expect('sysinfo says the same', abs(v['load1'] - v['sysinfo1']) < 0.03 and abs(v['load15'] - v['sysinfo15']) < 0.03)
    expect('three spin and one asks', v['running'] == 4, v['running'])
    expect('processes', v['made'] == 3)
    expect('switches', 20 <= v['switched'] <= 100000)
    busy = v['user'] + v['nice'] + v['system']
    expect('busy and idle', abs(busy + v['idle'] + v['steal'] - v['seconds']) < 0.1 and 0.5 <= v['idle'] <= 1.6 and busy <= 6.5, busy, v['idle'],
           v['steal'])


def nice(program):
    v = run(program, 'nice')
    expect('nice', v['nice'] >= 0.05 and v['user'] <= 0.02)


# Of the time that the work takes, the least and the most that is the kernel's. The evaluator runs the guest here, which makes user time longer than
# rewritten code has it.
SYSTEM = {'compute': (0, 0.03), 'large-copies': (0.85, 1), 'small-copies': (0.08, 0.7), 'cheap-calls': (0.1, 0.9), 'mappings': (0.2, 1),
          'forks': (0.5, 1), 'mixed-sizes': (0.3, 0.95), 'pipes': (0.15, 0.95), 'half-and-half': (0.15, 0.75), 'fresh-memory': (0.3, 1)}


def works(program):
    for work, (least, most) in SYSTEM.items():
        v = run(program, work)
        share = v['system'] / (v['user'] + v['system'])
        expect(work, sanitized or least <= share <= most and v['user'] + v['system'] > 0.4, f'{share:.3f}')
        expect(work + ': everything says the same', v['agree'] == 1 and v['waited-for'] == 1)


def stolen(program):
    """Beside a program of the host that wants the same processor all the time."""
    processor = {min(os.sched_getaffinity(0))}
    before = os.sched_getaffinity(0)
    other = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
    try:
        os.sched_setaffinity(0, processor)
        os.sched_setaffinity(other.pid, processor)
        start = os.times()
        v = run(program, 'stolen')
        end = os.times()
    finally:
        os.sched_setaffinity(0, before)
        other.kill()
        other.wait()
    host_says = end.children_user + end.children_system - start.children_user - start.children_system
    expect('others have the rest', v['cpu'] <= 0.85 * v['seconds'], v['cpu'], v['seconds'])
    # The host's includes the start of the container.
    expect('what it has used is what the host says', -0.05 <= host_says - v['cpu'] <= 0.25, v['cpu'], f'{host_says:.3f}')
    if not host:
        expect('steal', abs(v['cpu'] + v['steal'] - v['seconds']) < 0.1 and v['idle'] < 0.1, v['steal'], v['idle'])
        expect('no time of the processor goes back', v['back'] == 0, v['back'])


def threads(program):
    v = run(program, 'threads')
    expect('the thread that computes', v['thread-system'] <= 0.03 and 0.25 <= v['thread-user'])
    expect('the thread that copies', sanitized or v['system'] >= 0.1)
    expect('neither time goes back', v['back'] == 0)


def timers(program):
    v = run(program, 'timers')
    expect('in the kernel', v['virtual0'] <= 2 and v['prof0'] >= 4)
    expect('in user code', 4 <= v['virtual1'] <= v['prof1'] + 1 and v['prof1'] >= 4)


def main():
    with tempfile.TemporaryDirectory() as work:
        root, image = os.path.join(work, 'root'), os.path.join(work, 'image')
        os.makedirs(root + '/bin')
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-pthread', '-w', '-o', root + '/bin/accounts', source], check=True)
        if not host:
            subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        for test in (load, nice, works, stolen, threads, timers):
            if not only or test.__name__ in only:
                test([root + '/bin/accounts'] if host else [image, '/bin/accounts'])
    return failed != 0


sys.exit(main())
