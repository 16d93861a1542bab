#!/usr/bin/env python3
"""A file of a volume that is mapped, and that the host makes shorter, longer and other all the time, while a guest copies from and to the
mapping by every kind of call, forks, and executes what it was allowed to. Only calls and accesses of the guest may fail.

    volume_shrinks.py VKERNEL MKPAYLOAD GUEST.c [SECONDS]
"""
import os, subprocess, sys, tempfile, threading

vkernel, mkpayload, source = sys.argv[1:4]
seconds = sys.argv[4] if len(sys.argv) > 4 else '2'
PAGE, PAGES = 4096, 64


def disturb(volume, stop):
    fd = os.open(volume + '/data', os.O_RDWR)
    code = os.open(volume + '/code', os.O_RDWR)
    size, n = os.fstat(code).st_size, 0
    while not stop.is_set():
        os.ftruncate(fd, n % 5 * PAGE)
        os.ftruncate(fd, PAGES * PAGE - n % 3 * 1000)
        if os.path.exists(volume + '/ready'):  # the code is mapped
            os.pwrite(code, bytes([n % 256]) * PAGE, n % (size // PAGE) * PAGE)
            os.ftruncate(code, size // 2 if n % 2 else size)
        n += 1
    return n


def main():
    with tempfile.TemporaryDirectory() as work:
        root, image, volume = (os.path.join(work, name) for name in ('root', 'image', 'volume'))
        for d in (root + '/bin', root + '/tmp', volume):
            os.makedirs(d)
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', root + '/bin/shrinks', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        subprocess.run(['cp', root + '/bin/shrinks', volume + '/code'], check=True)
        with open(volume + '/data', 'wb') as f:
            f.write(b'x' * PAGE * PAGES)
        failed = 0
        for stress in ('', '--stress budget'):
            if os.path.exists(volume + '/ready'):
                os.unlink(volume + '/ready')
            subprocess.run(['cp', root + '/bin/shrinks', volume + '/code'], check=True)
            stop = threading.Event()
            host = threading.Thread(target=disturb, args=(volume, stop))
            host.start()
            try:
                r = subprocess.run([image, '/bin/shrinks', seconds], capture_output=True, text=True, timeout=int(seconds) + 60, cwd='/',
                                   env={'INGOT_OPTIONS': f'--volume {volume}:/v {stress}'})
            finally:
                stop.set()
                host.join()
            ok = r.returncode == 0 and r.stdout.endswith('survived\n')
            print('ok' if ok else 'not ok', 'shrinks', stress, r.stdout, r.stderr, r.returncode)
            failed += not ok
    return failed != 0


sys.exit(main())
