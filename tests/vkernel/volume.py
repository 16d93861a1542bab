#!/usr/bin/env python3
"""Containers, and programs of the host, on one volume: each sees the others' locks. The same program runs natively and on the
vkernel, in all pairs of the two: what one of them holds, the other may not take.

    volume.py VKERNEL MKPAYLOAD volume.c
"""
import os, shutil, subprocess, sys, tempfile

vkernel, mkpayload, source = sys.argv[1:4]
HELD = 'flock {0}\nposix {0}\nposix, elsewhere got\ngetlk write\nofd {0}\n'
BUSY = 'Resource temporarily unavailable'
failed = 0


def check(what, got, want):
    global failed
    good = got == want
    print('ok' if good else 'not ok', what, flush=True)
    if not good:
        failed += 1
        print('--- wanted', want, '--- got', got, sep='\n')


class Side:
    """Runs the program on one side of the volume's border."""

    def __init__(self, name, folder, command, environment, native_file):
        self.name, self.folder, self.command, self.environment = name, folder, command, environment
        self.file = folder + '/' + native_file

    def start(self, *arguments):
        return subprocess.Popen([*self.command, arguments[0], self.file, *arguments[1:]], text=True, env=self.environment,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *arguments):
        out, err = self.start(*arguments).communicate(timeout=100)
        return out + err


def held(side, what, lines):
    p = side.start('hold', what)
    said = ''.join(p.stdout.readline() for _ in range(lines))
    return p, said


def end(p):
    p.stdin.close()
    p.stdout.read()
    p.wait()


def pair(holder, other):
    name = f'{holder.name} holds, {other.name} tries: '
    p, said = held(holder, 'epo', 4)
    check(name + 'taking', said, 'flock exclusive got\nposix got\nofd got\nheld\n')
    check(name + 'all', other.run('try'), HELD.format(BUSY))
    end(p)
    check(name + 'released', other.run('try'), HELD.format('got').replace('getlk write', 'getlk free'))
    p, said = held(holder, 'fr', 3)
    check(name + 'shared', other.run('try'), HELD.format(BUSY).replace(f'ofd {BUSY}', 'ofd got').replace('getlk write', 'getlk read'))
    end(p)
    p, said = held(holder, 'rc', 4)
    check(name + 'a child has the rest', said, 'read got\nchild reads got\nparent unlocks got\nheld\n')
    q, said = held(other, 'o', 2)
    end(q)
    check(name + 'the rest', other.run('try').split('\n')[3], 'getlk read')
    end(p)


def random_locks(side, others, seed):
    """What its own calls say and, after each forty of them, what it and the others see locked."""
    p, said = side.start('random', str(seed)), []
    for _ in range(12):
        said.append(p.stdout.readline())
        seen = {p.stdout.readline(), *(o.run('map') for o in others)}
        said.append(' '.join(sorted(seen)))
        p.stdin.write('\n')
        p.stdin.flush()
    end(p)
    return ''.join(said) + others[0].run('map')


def changed(side, folder):
    p = side.start('watch')
    said = p.stdout.readline()
    with open(folder + '/file', 'a') as f:
        f.write('appended by the host')
    with open(folder + '/z1', 'w'):
        pass
    os.rename(folder + '/z1', folder + '/z2')
    os.chmod(folder + '/z2', 0o600)
    os.unlink(folder + '/z2')
    os.mkdir(folder + '/z3')
    os.rmdir(folder + '/z3')
    os.unlink(folder + '/file')
    with open(folder + '/end', 'w'):
        pass
    said += p.communicate(timeout=100)[0]
    os.unlink(folder + '/end')
    with open(folder + '/file', 'w'):
        pass
    return said


def main():
    with tempfile.TemporaryDirectory() as work:
        root, folder, image, native = (os.path.join(work, name) for name in ('root', 'volume', 'image', 'root/bin/volume'))
        for d in ('bin', 'etc', 'tmp', 'proc', 'dev'):
            os.makedirs(os.path.join(root, d))
        os.makedirs(folder)
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-o', native, source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        environment = dict(os.environ, INGOT_OPTIONS=f'--volume {folder}:/v')
        host = Side('host', folder, [native], os.environ, 'file')
        guests = [Side(f'container {k}', '/v', [image, '/bin/volume'], environment, 'file') for k in range(3)]
        for holder, other in ((host, host), (host, guests[0]), (guests[0], host), (guests[0], guests[1])):
            pair(holder, other)
        for seed in range(1, 5):
            check(f'random locks, seed {seed}', random_locks(guests[0], (host, guests[1]), seed), random_locks(host, (host,), seed))
        check('as many locks as are allowed', guests[0].run('alternate'),
              'No locks available at many\none more No locks available\nclosed soon\none more Success\n')
        # A lock that is waited for, on all sides at once.
        with open(folder + '/file', 'w') as f:
            f.write('0\n')
        running = [side.start('count', '100') for side in (host, *guests)]
        for p in running:
            p.communicate(timeout=100)
        with open(folder + '/file') as f:
            check('four count under a lock', f.read(), '400\n')
        os.truncate(folder + '/file', 0)
        running = [side.start('append', str(k), '3000') for k, side in enumerate((host, *guests))]
        check('positions after appending', [p.communicate(timeout=100)[0] for p in running], ['at the end: 1\n'] * 4)
        with open(folder + '/file') as f:
            said, want = f.read().split('\n')[:-1], {f'{k} {n}' for k in range(4) for n in range(3000)}
            check('four append: lines lost, torn', (len(want - set(said)), len(said) - len(want & set(said))), (0, 0))
        shutil.copy(native, folder + '/setuid')
        os.chmod(folder + '/setuid', 0o4755)
        check('set-user-id on a volume', guests[0].run('setuid'), 'is 1000\n')
        os.unlink(folder + '/setuid')
        changes = [changed(side, folder) for side in (host, guests[0])]
        check('changes by the host are told', changes[1], changes[0])
        check('they are', [line for line in changes[0].split('\n') if 'z' in line],
              ['folder 100 z1', 'folder 40 z1', 'folder 80 z2', 'folder 4 z2', 'folder 200 z2', 'folder 40000100 z3', 'folder 40000200 z3'])
        os.chmod(folder + '/file', 0o644)
        for d in (work, folder):
            os.chmod(d, 0o755)
        times = [side.run('atime').split('by another' if os.geteuid() else '(all)')[0] for side in (host, guests[0])]
        check('O_NOATIME', times[1], times[0])
        if 'done, accessed' in times[0]:
            check('it is told apart', times[0].count('done, not accessed'), 11 if os.geteuid() else 13)
        else:
            print('skipped: this file system keeps no times of access')
        limits = []
        for side in (host, guests[0]):
            os.truncate(folder + '/file', 0)
            limits.append(side.run('limit') + str(os.stat(folder + '/file').st_size))
        check('RLIMIT_FSIZE', limits[1], limits[0])
    return failed != 0


sys.exit(main())
