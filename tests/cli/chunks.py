#!/usr/bin/env python3
"""An artifact's parts are compared with their hashes when they are used, and what was found right is remembered. On a vkernel without
compiled code.

    chunks.py VKERNEL MKPAYLOAD INGOT READER.c
"""
import mmap, os, subprocess, sys, tempfile, time

vkernel, mkpayload, ingot, source = (os.path.abspath(a) for a in sys.argv[1:])
failed = 0
SEALED = ('ef53', '58465342', '9123683e', 'f2f52010')  # file systems that keep seals (platform/seals.c)


def expect(what, condition, shown=''):
    global failed
    print('ok' if condition else 'not ok', what, '' if condition else shown)
    failed += not condition


def main():
    with tempfile.TemporaryDirectory() as work:
        root, image, seals = (os.path.join(work, name) for name in ('root', 'image', 'runtime'))
        os.makedirs(root + '/bin')
        os.mkdir(seals, 0o700)
        subprocess.run(['cc', '-O1', '-static', '-o', root + '/bin/reader', source], check=True)
        files = {name: os.urandom(1 << 20) for name in ('a', 'b')}
        for name, data in files.items():
            with open(f'{root}/{name}', 'wb') as f:
                f.write(data)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image, '/bin/reader'], check=True)
        with open(image, 'rb') as f:
            whole = f.read()
        where = {name: whole.index(data) for name, data in files.items()}
        kind = subprocess.run(['stat', '-f', '-c', '%t', work], capture_output=True, text=True, check=True).stdout.strip()

        def run(*args):
            r = subprocess.run([image, 'reader', *args], capture_output=True, text=True, timeout=60, env={'XDG_RUNTIME_DIR': seals})
            return r.returncode, r.stdout, r.stderr

        def change(offset):
            with open(image, 'r+b') as f:
                f.seek(offset)
                byte = f.read(1)[0]
                f.seek(offset)
                f.write(bytes([byte ^ 1]))

        sums = {name: f'/{name} {sum(data)}\n' for name, data in files.items()}
        expect('all right', run('read', '/a', 'map', '/b') == (7, sums['a'] + sums['b'], ''))
        change(where['b'] + 700000)
        expect('a changed file that nobody uses', run('read', '/a') == (7, sums['a'], ''))
        for how in ('read', 'map'):
            status, out, err = run('read', '/a', how, '/b', 'read', '/a')
            expect(f'ends the run when it is used: {how}', status == 125 and out == sums['a'] and 'file b (inode' in err and 'expected sha256' in err,
                   (status, out, err))
        expect('verify names it', subprocess.run([ingot, 'verify', image], capture_output=True).returncode == 1)
        change(where['b'] + 700000)

        # What was compared is remembered, and forgotten when the file changes in any way.
        time.sleep(2.2)
        expect('right again', run('read', '/a', 'map', '/b')[0] == 7)
        kept = os.listdir(seals + '/ingot') if os.path.exists(seals + '/ingot') else []
        expect('a seal where the file system tells of writes', len(kept) == (kind in SEALED), (kind, kept))
        times = os.stat(image)
        with open(image, 'r+b') as f, mmap.mmap(f.fileno(), 0) as m:
            m[where['a'] + 5] ^= 1
        os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
        status, out, err = run('read', '/a')
        expect('a change behind the seal', status == 125 and 'file a (inode' in err, (status, out, err))
        with open(image, 'r+b') as f, mmap.mmap(f.fileno(), 0) as m:
            m[where['a'] + 5] ^= 1
        time.sleep(2.2)
        run('read', '/a')
        for name in kept:
            path = f'{seals}/ingot/{name}'
            with open(path, 'rb') as f:
                good = f.read()
            for bad in (b'', good[:40], good[:-8] + b'\xff' * 8, bytes(len(good)), b'\xff' * len(good), good + b'x' * 100000):
                with open(path, 'wb') as f:
                    f.write(bad)
                expect(f'a damaged seal of {len(bad)} bytes', run('map', '/a') == (7, sums['a'], ''))
        # Parts that every run uses.
        config = whole.index(b'"Cmd"')
        names = whole.rindex(b'\0reader\0') + 1
        for what, at in (('config', config), ('strings', names), ('native code', whole.index(b'--require-layers' if b'--require-layers' in whole else b'unknown option'))):
            change(at)
            status, out, err = run('read', '/a')
            expect(f'{what} is compared at start', status == 125 and what in err and not out, (status, out, err))
            change(at)
    return failed != 0


sys.exit(main())
