#!/usr/bin/env python3
"""Appends a host directory as an image to a vkernel executable, with ledger rows for its ELF files but no compiled code:
everything runs in the evaluator. For developing and testing the vkernel alone.

    mkpayload.py EXECUTABLE ROOT OUTPUT [CMD...]
"""
import hashlib, json, os, stat, struct, sys

PAGE = 4096
NONE = 0xffffffff
VERSION = 5
LEVEL = 2 # x86-64-v2
CHUNK = 65536
MAGIC = 0x315450414d474e49


def align(n, a):
    return (n + a - 1) & ~(a - 1)


def elf_extent(data):
    """(is PIE, low, high) of an x86-64 ELF file with something executable, else None."""
    if len(data) < 64 or data[:4] != b'\x7fELF' or data[4] != 2 or struct.unpack_from('<H', data, 18)[0] != 62:
        return None
    kind = struct.unpack_from('<H', data, 16)[0]
    if kind not in (2, 3):
        return None
    phoff = struct.unpack_from('<Q', data, 32)[0]
    size, count = struct.unpack_from('<HH', data, 54)
    low, high = 1 << 64, 0
    for i in range(count):
        p = phoff + i * size
        if p + 56 > len(data):
            return None
        ptype = struct.unpack_from('<I', data, p)[0]
        vaddr, = struct.unpack_from('<Q', data, p + 16)
        memsz, = struct.unpack_from('<Q', data, p + 40)
        if ptype == 1:
            low = min(low, vaddr & ~(PAGE - 1))
            high = max(high, align(vaddr + memsz, PAGE))
    return (kind == 3, low, high) if low < high else None


class Payload:
    def __init__(self):
        self.inodes, self.dirents, self.strings = [], [], bytearray(b'\0')
        self.data, self.by_hash, self.ledger = bytearray(), {}, {}
        self.links = {}
        self.next_base = 0x02000000

    def string(self, s):
        at = len(self.strings)
        self.strings += os.fsencode(s) + b'\0'
        return at

    def content(self, data, path):
        digest = hashlib.sha256(data).digest()
        if digest not in self.by_hash:
            self.by_hash[digest] = len(self.data)
            self.data += data
            self.data += bytes(align(len(self.data), PAGE) - len(self.data))
            extent = elf_extent(data)
            if extent:
                pie, low, high = extent
                base = 0
                if pie:
                    base = self.next_base
                    self.next_base = align(base + high, 0x10000)
                self.ledger[digest] = (len(data), base, low, high, self.string(path))
        return digest, self.by_hash[digest]

    def add(self, root, path, info):
        key = (info.st_dev, info.st_ino)
        if not stat.S_ISDIR(info.st_mode) and key in self.links:
            index = self.links[key]
            self.inodes[index][3] += 1
            return index
        index = len(self.inodes)
        self.links[key] = index
        #        mode, uid, gid, nlink, size, mtime, nsec, major, minor, digest, data, first, count
        row = [info.st_mode, info.st_uid, info.st_gid, 1, 0, int(info.st_mtime), info.st_mtime_ns % 10**9,
               0, 0, None, 0, 0, 0]
        self.inodes.append(row)
        full = root + path
        if stat.S_ISREG(info.st_mode):
            with open(full, 'rb') as f:
                data = f.read()
            row[4] = len(data)
            row[9], row[10] = self.content(data, path)
        elif stat.S_ISLNK(info.st_mode):
            target = os.readlink(full)
            row[4] = len(os.fsencode(target))
            row[10] = self.string(target)
        elif stat.S_ISDIR(info.st_mode):
            names = sorted(os.listdir(full), key=os.fsencode)
            row[11], row[12] = len(self.dirents), len(names)
            row[3] = 2
            slots = [[self.string(n), 0] for n in names]
            self.dirents += slots
            for name, slot in zip(names, slots):
                sub = os.lstat(full + '/' + name)
                slot[1] = self.add(root, path + '/' + name, sub)
                row[3] += stat.S_ISDIR(sub.st_mode)
        elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
            row[7], row[8] = os.major(info.st_rdev), os.minor(info.st_rdev)
        return index

    def sections(self, config):
        digests = sorted(self.ledger)
        number = {d: i for i, d in enumerate(digests)}
        inodes = b''.join(
            struct.pack('<IIIIQqIIIIQII32s', r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8],
                        number.get(r[9], NONE), r[10], r[11], r[12], r[9] or bytes(32)) for r in self.inodes)
        dirents = b''.join(struct.pack('<II', *d) for d in self.dirents)
        ledger = b''.join(
            struct.pack('<32sQQQQQQQQIIII32s32sQQ', d, size, base, low, high, 0, 0, 0, 0, 0, 0, 0, path, bytes(32),
                        bytes(32), 0, 0) for d, (size, base, low, high, path) in ((d, self.ledger[d]) for d in digests))
        return [json.dumps(config).encode(), inodes, dirents, bytes(self.strings), ledger, b'', bytes(self.data)]


def main():
    executable, root, output, cmd = sys.argv[1], sys.argv[2].rstrip('/'), sys.argv[3], sys.argv[4:]
    p = Payload()
    p.add(root, '', os.lstat(root))
    config = {'Entrypoint': [], 'Cmd': cmd or ['/bin/sh'], 'WorkingDir': '/', 'User': '',
              'Env': ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']}
    sections = p.sections(config)
    with open(executable, 'rb') as f:
        elf = f.read()
    phoff, = struct.unpack_from('<Q', elf, 32)
    count, = struct.unpack_from('<H', elf, 56)
    loads = [struct.unpack_from('<IIQQQQ', elf, phoff + 56 * i) for i in range(count)]
    loaded = max(offset + size for kind, _, offset, _, _, size in loads if kind == 1)
    payload = align(len(elf), CHUNK)
    file = bytearray(elf) + bytes(payload + CHUNK - len(elf)) # the header is alone in its chunk
    table = b''
    for i, s in enumerate(sections):
        file += bytes(align(len(file), PAGE) - len(file))
        table += struct.pack('<QQ32s', len(file) - payload, len(s), bytes(32) if i == 6 else hashlib.sha256(s).digest())
        file += s
    file += bytes(align(len(file), CHUNK) - len(file))
    chunks = b''.join(bytes(32) if at == payload else hashlib.sha256(file[at:at + CHUNK]).digest() for at in range(0, len(file), CHUNK))
    table += struct.pack('<QQ32s', len(file) - payload, len(chunks), hashlib.sha256(chunks).digest())
    file += chunks
    file += bytes(align(len(file), PAGE) - len(file))
    header = struct.pack('<QIIQQ32s32sIHHQQQ', MAGIC, VERSION, 8, len(file) - payload, len(elf), hashlib.sha256(elf).digest(), bytes(32), 0,
                         0, LEVEL, loaded, 0, 0) + table
    file[payload:payload + len(header)] = header
    file += struct.pack('<QQ32sQQ', MAGIC, payload, hashlib.sha256(header).digest(), len(file) + 64, 0)
    with open(output, 'wb') as f:
        f.write(file)
    os.chmod(output, 0o755)


main()
