#!/usr/bin/env python3
"""Makes a part of the Debian test image: all of its files but the programs and libraries that no quick case of the
program table needs. The backend wasm compiles it in a part of the time.

usage: make-part.py IMAGE OUT FILE...
IMAGE and OUT are folders; OUT is made anew. Each FILE is a test; of a table its quick cases alone are read. A program
whose name stands in one of them is kept with the libraries that it is linked with, and so are extension modules of
interpreters. A test that misses something fails, because its output is compared with that of the whole image.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/programs"))
import cases as table  # noqa: E402

PROGRAMS = ["usr/bin", "usr/sbin"]
LIBRARIES = "usr/lib/x86_64-linux-gnu"
MODULES = ["usr/lib/python3.11/lib-dynload", LIBRARIES + "/perl-base"]
# What runs every case (tests/programs/cases.py).
ALWAYS = {"bash", "mkdir"}
# Tests mean bash's own kill and a variable; the programs of these names would bring a tenth of the image with them.
NOT_MEANT = {"kill", "w"}


def text_of(test):
    if not test.endswith("table.txt"):
        with open(test, encoding="utf-8") as f:
            return f.read()
    return "\n".join(case["script"] for case in table.load(test)[1] if case["quick"])


def is_elf(path):
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def elf_files(image):
    return {os.path.join(folder, name) for folder, _, names in os.walk(image) for name in names if is_elf(os.path.join(folder, name))}


def follow(image, path):
    """The file that a path of the image leads to."""
    for _ in range(40):
        if not os.path.islink(path):
            break
        target = os.readlink(path)
        path = image + target if target.startswith("/") else os.path.join(os.path.dirname(path), target)
    return os.path.normpath(path)


def needed_by(path):
    """Names of the libraries that a file is linked with, and of its loader."""
    out = subprocess.run(["readelf", "-Wdl", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", out) + [os.path.basename(p) for p in re.findall(r"interpreter: (.*)\]", out)]


def main():
    image, out, *tests = sys.argv[1:]
    image = os.path.realpath(image)
    words = ALWAYS | {word for test in tests for word in re.findall(r"[\w.+-]+", text_of(test))} - NOT_MEANT
    todo = [f"{image}/{folder}/{name}" for folder in PROGRAMS for name in os.listdir(f"{image}/{folder}") if name in words]
    elf = elf_files(image)
    todo += [path for path in elf if path.startswith(tuple(f"{image}/{folder}/" for folder in MODULES))
             and os.path.basename(path).split(".")[0].lstrip("_") in words]
    kept = set()
    while todo:
        path = follow(image, todo.pop())
        if path in elf and path not in kept:
            kept.add(path)
            todo += [f"{image}/{LIBRARIES}/{name}" for name in needed_by(path)]
    subprocess.run(["rm", "-rf", out], check=True)
    subprocess.run(["cp", "-a", "--reflink=auto", image, out], check=True)
    for path in elf - kept:
        os.unlink(out + path[len(image):])
    print(f"{out}: {len(kept)} of {len(elf)} programs and libraries")


main()
