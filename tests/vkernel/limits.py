#!/usr/bin/env python3
"""What --cpus, --pids, --ulimit, --disk and --timeout do to a container (limits.c), and what its programs see of them.

    limits.py VKERNEL MKPAYLOAD limits.c [NAME...]
"""
import json, os, shutil, subprocess, sys, tempfile, time

vkernel, mkpayload, source = sys.argv[1:4]
only = sys.argv[4:]
failed = 0


def build(work):
    root = os.path.join(work, 'root')
    for d in ('bin', 'etc', 'tmp', 'proc', 'dev'):
        os.makedirs(os.path.join(root, d))
    subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-pthread', '-w', '-o', root + '/bin/limits', source], check=True)
    with open(root + '/bin/large', 'wb') as f:
        f.write(b'large' * (4 << 20))
    image = os.path.join(work, 'image')
    subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
    return image


def run(image, options, *args):
    """Exit status, lines, seconds, and seconds of the host's processor that the container had. Where a limit does not hold, the host
    must not pay for it: every run has a limit of memory and of time that the test sets itself."""
    start = time.monotonic()
    if '--memory' not in options:
        options += ' --memory 300m'
    p = subprocess.Popen(['timeout', '-s', 'KILL', '60', image, '/bin/limits', *args], env=dict(os.environ, INGOT_OPTIONS='--quiet ' + options), stdout=subprocess.PIPE,
                         stdin=subprocess.DEVNULL, text=True)
    lines = p.stdout.read().splitlines()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    return p.returncode, lines, time.monotonic() - start, usage.ru_utime + usage.ru_stime


def expect(what, ok, *seen):
    global failed
    failed += not ok
    print('ok' if ok else 'not ok', what, *seen, flush=True)


def idle_share():
    """How much of a processor a program gets here now, which other programs decide: the lower bound of what a container gets follows it."""
    before, start = time.process_time(), time.monotonic()
    while time.monotonic() < start + 0.5:
        pass
    return (time.process_time() - before) / (time.monotonic() - start)


def cpus(image):
    for share, args in ((0.25, ('burn', '1')), (0.25, ('burn', '4')), (0.5, ('ping-pong',)), (0.05, ('burn', '2'))):
        have = min(1, idle_share())
        status, _, wall, cpu = run(image, f'--cpus {share}', *args)
        # The start of the vkernel and a share that is used in advance are in it.
        expect(f'--cpus {share} {args}', status == 0 and cpu <= wall * share * 1.1 + 0.06, f'{cpu / wall:.3f}')
        # Only what wants all of it says that it gets as much. Another program may take the processor at any moment.
        if args[0] == 'burn' and have > 0.9:
            expect(f'--cpus {share} {args}: not less', cpu >= wall * share * 0.6, f'{cpu / wall:.3f} of {have:.2f}')
    status, lines, wall, cpu = run(image, '--cpus 0.2', 'burst')
    expect('a share is not saved', status == 0 and cpu <= 0.2 * 0.5 + 0.2 * 0.1 + 0.08, f'{cpu:.3f}')
    status, _, wall, cpu = run(image, '--cpus 0.01 --timeout 1', 'burn', '4')
    expect('the time-out comes while the share is used up', status == 124 and wall < 3, status, f'{wall:.2f}')


def pids(image):
    want = ['limit 20, 1 at first', '19 more: EAGAIN', 'a thread: EAGAIN', 'with zombies: EAGAIN', '19 threads: EAGAIN', 'a process: EAGAIN',
            '1 at last']
    for option in ('--pids', '--pids-limit'):
        status, lines, _, _ = run(image, option + ' 20', 'pids')
        expect(option, status == 0 and lines == want, lines)
    status, lines, wall, _ = run(image, '--pids 50', 'fork-bomb')
    expect('fork bomb', status == 0 and lines == ['1 left'] and wall < 20, status, lines, f'{wall:.1f}')


def ulimit(image):
    status, lines, _, _ = run(image, '--ulimit nofile=50:60 --ulimit nproc=7 --ulimit core=-1 --ulimit fsize=100:-1 --ulimit cpu=20', 'ulimits')
    expect('--ulimit', status == 0 and lines == ['nofile 50 60', 'nproc 7 7', 'core -1 -1', 'fsize 100 -1', 'as -1 -1', 'cpu 20 20',
                                                 'descriptors 50 EMFILE'], lines)
    status, _, wall, _ = run(image, '--ulimit cpu=1', 'cpu')
    expect('--ulimit cpu', status == 137 and wall < 9, status, f'{wall:.1f}')


def disk(image):
    want = ['size 10 MiB', 'filled to the last page: 1, then ENOSPC', 'left 0', 'over what is there: done', 'memory files are not of that disk: done',
            'a shorter one takes less: 1', 'everything came back: 1', 'holes: done', 'a mebibyte of pages: 1', 'the rest is free: 1',
            'allocated: ENOSPC', 'mapped with all its holes: ENOSPC', 'a large file of the image: ENOSPC', 'cut to nothing: done',
            'empty files: 1, then ENOSPC, mkdir ENOSPC, symlink ENOSPC', 'hard links: 1, then ENOSPC', 'their room came back: 1',
            'attributes without a value take room: 1 of it, 100000 of them', 'that came back: 1', 'attributes: ENOSPC', 'a number of them: 1']
    status, lines, _, _ = run(image, '--disk 10m', 'disk')
    expect('--disk', status == 0 and lines == want, [line for line in lines if line not in want], [line for line in want if line not in lines])


def timeout(image):
    for how, want, said in (('handles', 124, ['asked']), ('waits', 124, ['asked']), ('spins', 124, []), ('sleeps', 124, []), ('outlives', 124, [])):
        log = image + '.audit'
        status, lines, wall, _ = run(image, f'--timeout 1.5s --audit {log}', 'timeout', how)
        with open(log) as f:
            records = [json.loads(line) for line in f]
        os.unlink(log)
        actions = [r['event.action'] for r in records]
        expect(f'--timeout: {how}', status == want and lines == said and 1.4 < wall < 6 and 'timeout-reached' in actions and
               records[-1]['process.exit_code'] == 124, status, lines, f'{wall:.2f}', actions)
        if how != 'spins': # while no task runs, it is for none
            reached = [r for r in records if r['event.action'] == 'timeout-reached']
            expect(f'--timeout: {how}: of no process', len(reached) == 1 and 'process.pid' not in reached[0], reached)
    status, _, wall, _ = run(image, f'--timeout 500ms --audit {log}', 'timeout', 'stubborn')
    with open(log) as f:
        actions = [json.loads(line)['event.action'] for line in f]
    expect('--timeout: stubborn', status == 137 and 10 < wall < 20 and 'timeout-killed' in actions, status, f'{wall:.2f}', actions)
    status, _, wall, _ = run(image, '--timeout 1h', 'show')
    expect('--timeout: in time', status == 0)


def show(image):
    status, lines, _, _ = run(image, '--memory 200m --cpus 1.5 --pids 100', 'show')
    expect('what programs see', status == 0 and lines == ['cpu.max: 150000 100000', 'memory.max: 209715200', 'pids.max: 100', 'memory.swap.max: 0',
                                                          'cgroup.controllers: cpu memory pids', 'total 200 MiB, less is free: 1'], lines)
    status, lines, _, _ = run(image, '--pids -1 --memory 0 --cpus 0 --disk 0 --timeout 0', 'show')
    expect('no limits', status == 0 and lines[:3] == ['cpu.max: -', 'memory.max: -', 'pids.max: -'], lines)


def wrong(image):
    """The message names option and value, and nothing runs."""
    values = {'memory': ('1q', '5m', ''), 'pids': ('x', '-2', '1.5', ''), 'cpus': ('x', '-1', '0.001', '1e3', ''),
              'disk': ('-1', '10x'), 'timeout': ('soon', '-1', '1x', '1m30', 's', '99999999999h', '5s x'),
              'ulimit': ('nofile', 'nofile=', 'nofile=x', 'files=5', 'nofile=5:4', 'nofile=5:6:7', 'nofile=-1', 'nofile=2000000', '=5', 'nofile=-5')}
    for option, wrong_ones in values.items():
        for value in wrong_ones:
            word = value.replace(' ', '%20') or '%00'
            r = subprocess.run([image, '/bin/limits'], env=dict(os.environ, INGOT_OPTIONS=f'--{option} {word}'), capture_output=True, text=True,
                               timeout=60)
            expect(f'--{option} "{value}" is refused', r.returncode == 125 and r.stdout == '' and f'--{option} {value}: ' in r.stderr, r.stderr.strip())
    for options in ('--timeout 1m30s', '--timeout .5h', '--timeout 1h0.5m3s', '--cpus 2.', '--cpus .5', '--ulimit as=-1'):
        status, _, _, _ = run(image, options, 'show')
        expect(options, status == 0, status)


def main():
    with tempfile.TemporaryDirectory() as work:
        image = build(work)
        for test in (show, wrong, pids, ulimit, disk, timeout, cpus):
            if not only or test.__name__ in only:
                test(image)
    return failed != 0


sys.exit(main())
