"""Writes a header with a hash over source files: what the cache keys of the recompiler stand on.

usage: source_version.py OUT NAME=PATH[,PATH...] ...   (PATH: a folder or a file)
"""
import hashlib
import os
import sys


def digest(dirs):
    h = hashlib.sha256()
    for d in dirs:
        paths = [d] if os.path.isfile(d) else [os.path.join(d, name) for name in sorted(os.listdir(d))]
        for path in paths:
            if path.endswith((".c", ".h", ".def", ".tab", ".py")):
                h.update(os.path.basename(path).encode())
                with open(path, "rb") as f:
                    h.update(f.read())
    return h.hexdigest()


out, *pairs = sys.argv[1:]
lines = ["/* Generated. */"]
for pair in pairs:
    name, dirs = pair.split("=")
    lines.append(f'#define {name} "{digest(dirs.split(","))}"')
with open(out, "w") as f:
    f.write("\n".join(lines) + "\n")
