#!/usr/bin/env python3
"""What guests see of several processors: all that tells of them says the same number, in the words of Linux; and a task runs where it may run.

    processors.py VKERNEL MKPAYLOAD processors_guest.c

Without --cpus there are as many as the process that runs the container may use: by its affinity, by the cgroups that it is in (where the tests may
make one), and by what the host allows of threads.
"""
import contextlib, os, resource, subprocess, sys, tempfile

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


def processors_seen(image, options='', prepare=None):
    """How many the guest finds, or the exit status and what was said."""
    r = subprocess.run([image, '/bin/guest'], capture_output=True, text=True, timeout=60, env=dict(os.environ, INGOT_OPTIONS=options), preexec_fn=prepare)
    line = r.stdout.splitlines()[:1]
    return int(line[0].split()[-1]) if r.returncode == 0 and line else f'status {r.returncode}: {r.stderr.strip()}'


@contextlib.contextmanager
def groups():
    """Two cgroups, one within the other, that have cpu.max or cpu.cfs_quota_us; None where they cannot be made."""
    for top, limit in (('/sys/fs/cgroup', 'cpu.max'), ('/sys/fs/cgroup/cpu', 'cpu.cfs_quota_us')):
        outer = f'{top}/ingot-test-{os.getpid()}'
        inner = outer + '/inner'
        try:
            os.mkdir(outer)
            if limit == 'cpu.max':
                with open(outer + '/cgroup.subtree_control', 'w') as f:
                    f.write('+cpu')
            os.mkdir(inner)
            if os.path.exists(f'{inner}/{limit}'):
                yield outer, inner, limit
                return
        except OSError:
            pass
        finally:
            for folder in inner, outer:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
    yield None


def put(path, text):
    with open(path, 'w') as f:
        f.write(text)


def one_timer():
    """In a child: a user of its own, who may have one signal pending, so one timer."""
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (1, 1))
    os.setgroups([])
    os.setgid(os.getpid() + 1000000)
    os.setuid(os.getpid() + 1000000)


def by_default(image):
    """Yields what is said of a container without --cpus: what, how many it has, how many it is to have."""
    mine = sorted(os.sched_getaffinity(0))
    most = min(len(mine), 64)
    yield 'those of the affinity', processors_seen(image), most
    yield 'those of the affinity, with --cpus 0', processors_seen(image, '--cpus 0'), most
    yield 'one by affinity', processors_seen(image, prepare=lambda: os.sched_setaffinity(0, mine[-1:])), 1
    if os.geteuid() == 0: # its threads are then an unused user's, who has this one process
        yield 'one thread that the host allows', processors_seen(image, prepare=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))), 1
        said = processors_seen(image, '--cpus 2', lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1, 1)))
        yield 'one timer that the host allows', processors_seen(image, prepare=one_timer), 1
        yield 'one thread for --cpus 2', said, 'status 125: ingot: --cpus: this host allows threads for 1 processors only'
    with groups() as made:
        if not made:
            print('(no cgroups can be made here)')
            return
        outer, inner, limit = made
        for where, quota in (inner, 150000), (inner, 100001), (inner, 50000), (outer, 100000):
            put(f'{outer}/{limit}', '-1' if limit != 'cpu.max' else 'max 100000')
            put(f'{inner}/{limit}', '-1' if limit != 'cpu.max' else 'max 100000')
            put(f'{where}/{limit}', str(quota))
            seen = processors_seen(image, prepare=lambda: put(inner + '/cgroup.procs', str(os.getpid())))
            yield f'{quota} of 100000 us in the {"inner" if where == inner else "outer"} group', seen, min(most, -(-quota // 100000))


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        root, image = os.path.join(work, 'root'), os.path.join(work, 'image')
        os.chmod(work, 0o755)
        os.makedirs(root + '/bin')
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', root + '/bin/guest', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        for n in (1, 2, 3, 32, 33, 40, 64):
            r = subprocess.run([image, '/bin/guest'], capture_output=True, text=True, timeout=60, env=dict(os.environ, INGOT_OPTIONS=f'--cpus {n}'))
            got, want = r.stdout.splitlines(), wanted(n)
            ok = r.returncode == 0 and got == want
            print('ok' if ok else 'FAIL', n, 'processors')
            failed += not ok
            if not ok:
                print('\n'.join(f'  {a!r}, wanted {b!r}' for a, b in zip(got + [''] * 50, want + [''] * 50) if a != b), r.stderr)
        for what, got, want in by_default(image):
            print('ok' if got == want else 'FAIL', f'without --cpus: {what}: {got}, wanted {want}')
            failed += got != want
    return failed != 0


sys.exit(main())
