"""A moving pattern as YUV4MPEG2 on standard output. usage: video.py WIDTH HEIGHT FRAMES BITS"""
import math
import random
import sys

width, height, frames, bits = map(int, sys.argv[1:])
random.seed(1)
out = sys.stdout.buffer


def plane(w, h, value):
    for j in range(h):
        for i in range(w):
            v = min(max(int(value(i, j) * 2 ** (bits - 8)), 0), 2**bits - 1)
            out.write(bytes([v]) if bits == 8 else v.to_bytes(2, "little"))


out.write(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420%s\n" % (width, height, b"jpeg" if bits == 8 else b"p10 XYSCSS=420P10"))
for t in range(frames):
    out.write(b"FRAME\n")
    plane(width, height, lambda i, j: 128 + 60 * math.sin((i + t * 3) / 9) + 50 * math.cos((j - t * 2) / 7 * (1 + i / 300))
          + random.randrange(8))
    for c in (1, 2):
        plane(width // 2, height // 2, lambda i, j: 128 + 80 * math.sin((i * c + j + t * 4) / 20))
