#!/usr/bin/env python3
"""A volume that takes long to answer holds up who asks, and nobody else: on two processors another process gets its
turn meanwhile, while a third one computes. The volume is a file system in this process (FUSE) with one file, so this
needs root; without, it is skipped.

    slow_volume.py VKERNEL MKPAYLOAD slow_volume.c
"""
import ctypes, errno, os, stat, struct, subprocess, sys, tempfile, threading, time

vkernel, mkpayload, source = sys.argv[1:4]
DELAY, ATTEMPTS, SKIPPED = 0.4, 4, 77
LOOKUP, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR = (
    1, 3, 4, 14, 15, 16, 17, 18, 20, 25, 26, 27, 28, 29, 30)
UNANSWERED = {2, 36, 42}  # FORGET, INTERRUPT, BATCH_FORGET
FATTR_SIZE = 1 << 3
libc = ctypes.CDLL(None, use_errno=True)


class FileSystem(threading.Thread):
    """A folder with one file, of zeros."""

    def __init__(self, where):
        super().__init__(daemon=True)
        self.where, self.size, self.slow = where, 0, False
        self.fd = os.open('/dev/fuse', os.O_RDWR)
        options = f'fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other'
        if libc.mount(b'slow', where.encode(), b'fuse', 6, options.encode()) < 0:
            raise OSError(ctypes.get_errno(), 'mount')

    def attributes(self, node):
        mode, size = (stat.S_IFDIR | 0o777, 4096) if node == 1 else (stat.S_IFREG | 0o666, self.size)
        return struct.pack('<6Q10I', node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def answer(self, op, node, data):
        if self.slow and (op in (OPEN, FSYNC, FSYNCDIR, READDIR) or (op == SETATTR and struct.unpack_from('<I', data)[0] & FATTR_SIZE)):
            time.sleep(DELAY)
        if op == INIT:
            return struct.pack('<4I2H2I2H8I', 7, 31, 65536, 0, 16, 12, 65536, 1, 16, 0, *[0] * 8)
        if op == LOOKUP:
            if node != 1 or data != b'file\0':
                return -errno.ENOENT
            return struct.pack('<4Q2I', 2, 0, 60, 60, 0, 0) + self.attributes(2)
        if op == SETATTR and struct.unpack_from('<I', data)[0] & FATTR_SIZE:
            self.size = struct.unpack_from('<Q', data, 16)[0]
        if op in (GETATTR, SETATTR):
            return struct.pack('<Q2I', 60, 0, 0) + self.attributes(node)
        if op in (OPEN, OPENDIR):
            return struct.pack('<Q2I', 0, 0, 0)
        if op == READ:
            offset, size = struct.unpack_from('<8xQI', data)
            return bytes(max(0, min(size, self.size - offset)))
        if op == WRITE:
            offset, size = struct.unpack_from('<8xQI', data)
            self.size = max(self.size, offset + size)
            return struct.pack('<2I', size, 0)
        if op == READDIR:
            return b'' if struct.unpack_from('<8xQ', data)[0] else struct.pack('<2Q2I', 2, 1, 4, 8) + b'file'.ljust(8, b'\0')
        if op == STATFS:
            return struct.pack('<5Q4I24x', 1000, 1000, 1000, 10, 10, 4096, 255, 4096, 0)
        return b'' if op in (RELEASE, RELEASEDIR, FLUSH, FSYNC, FSYNCDIR) else -errno.ENOSYS

    def run(self):
        while True:
            try:
                request = os.read(self.fd, 1 << 20)
            except OSError as e:
                if e.errno in (errno.EINTR, errno.ENOENT):
                    continue
                return  # ENODEV: it is mounted no more
            size, op, unique, node = struct.unpack_from('<2I2Q', request)
            if op in UNANSWERED:
                continue
            r = self.answer(op, node, request[40:size])
            error, body = (r, b'') if isinstance(r, int) else (0, r)
            try:
                os.write(self.fd, struct.pack('<IiQ', 16 + len(body), error, unique) + body)
            except OSError:
                pass  # who asked is gone

    def end(self):
        libc.umount2(self.where.encode(), 2)


def attempt(image, volume):
    """The calls after which something was wrong, and what."""
    r = subprocess.run(['timeout', '-k', '1', '60', image, '/bin/slow'], capture_output=True, text=True,
                       env=dict(os.environ, INGOT_OPTIONS=f'--cpus 2 --volume {volume}:/v'))
    wrong, calls = [], 0
    for line in r.stdout.splitlines():
        name, result, took, wait = line.split('|')
        calls += 1
        ok = int(result) >= 0 and float(took) >= DELAY * 1000 and float(wait) < DELAY * 1000 / 2
        print('ok' if ok else 'again', f'{name}: {result} in {took} ms, another process waited {wait}', flush=True)
        if not ok:
            wrong.append(name)
    if r.returncode or r.stderr or not calls:
        wrong.append(f'status {r.returncode}, {r.stderr}')
    return wrong


def main():
    if os.getuid() != 0 or not os.path.exists('/dev/fuse'):
        print('needs root and /dev/fuse')
        return SKIPPED
    with tempfile.TemporaryDirectory() as work:
        root, image, volume = (os.path.join(work, name) for name in ('root', 'image', 'volume'))
        for d in (root + '/bin', root + '/tmp', root + '/v', volume):
            os.makedirs(d)
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', root + '/bin/slow', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        try:
            files = FileSystem(volume)
        except OSError as e:
            print('no file system of our own here:', e)
            return SKIPPED
        try:
            files.start()
            os.stat(volume)
            files.slow = True
            for _ in range(ATTEMPTS):
                wrong = attempt(image, volume)
                if not wrong:
                    return 0
            print('not ok', wrong)
            return 1
        finally:
            files.end()


sys.exit(main())
