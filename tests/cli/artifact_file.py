"""The parts of an artifact, to make a false one with hashes that are right (artifact/format.h)."""
import hashlib, os, struct

FOOTER, SIGNATURE = 64, 96
CONFIG, LEDGER, CODE_MAP, CHUNKS = 0, 4, 5, 7


class Image:
    def __init__(self, path):
        with open(path, 'rb') as f:
            self.data = bytearray(f.read())
        self.payload, = struct.unpack_from('<Q', self.data, len(self.data) - FOOTER + 8)
        self.signatures, = struct.unpack_from('<Q', self.data, len(self.data) - 8)

    def section(self, i):
        offset, size = struct.unpack_from('<QQ', self.data, self.payload + 128 + 48 * i)
        return self.payload + offset, size

    def rehash(self):
        """The hashes of the executable, of the config and the code map, of the chunks, and of the header."""
        size, = struct.unpack_from('<Q', self.data, self.payload + 24)
        self.data[self.payload + 32:self.payload + 64] = hashlib.sha256(self.data[:size]).digest()
        chunks, _ = self.section(CHUNKS)
        for at in range(0, chunks, 65536):
            if at != self.payload:
                self.data[chunks + at // 2048:chunks + at // 2048 + 32] = hashlib.sha256(self.data[at:at + 65536]).digest()
        for i in (CONFIG, CODE_MAP, CHUNKS):
            at, size = self.section(i)
            self.data[self.payload + 144 + 48 * i:self.payload + 176 + 48 * i] = hashlib.sha256(self.data[at:at + size]).digest()
        header = self.data[self.payload:self.payload + 128 + 8 * 48]
        at = len(self.data) - FOOTER + 16
        self.data[at:at + 32] = hashlib.sha256(header).digest()

    def elf_section(self, name):
        """Offset in the file, size and address of a section of the executable."""
        offset, = struct.unpack_from('<Q', self.data, 40)
        count, strings = struct.unpack_from('<HH', self.data, 60)
        headers = [struct.unpack_from('<IIQQQQ', self.data, offset + 64 * i) for i in range(count)]
        for h in headers:
            at = headers[strings][4] + h[0]
            if self.data[at:at + len(name) + 1] == name.encode() + b'\0':
                return h[4], h[5], h[3]
        raise KeyError(name)

    def write(self, path):
        with open(path, 'wb') as f:
            f.write(self.data)
        os.chmod(path, 0o755)
        return path
