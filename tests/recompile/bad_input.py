#!/usr/bin/env python3
"""Bad input, bad machines and damaged artifacts: always a clear error and exit status 1, never a crash, never a half-written
OUT, and a cache that the next build can use.

usage: bad_input.py --ingot FILE [--only REGEX] [--seed N]
Ends with a line "N passed, N failed". Meant to be run with an ingot built with ASan and UBSan.
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../image"))
import imagekit as kit
from imagekit import layer, member, tiny_elf

TESTS = []


def test(f):
    TESTS.append(f)
    return f


class World:
    def __init__(self, args, folder):
        self.ingot, self.folder, self.random = os.path.abspath(args.ingot), folder, random.Random(args.seed)
        self.out, self.cache = folder + "/out", folder + "/cache"

    def run(self, source, wasm=True, prefix=(), **more):
        """wasm: stop at the megabinary, which is enough where the link does not matter, and quicker."""
        return kit.run([*prefix, self.ingot, "build", *(["--emit=wasm"] if wasm else []), "--cache", self.cache, source,
                        "-o", self.out], **more)

    def clean(self):
        left = [n for n in os.listdir(self.folder) if ".tmp-" in n or n.startswith(".ingot")]
        assert not left, f"temporary files left: {left}"

    def refuse(self, source, why="", **more):
        r = self.run(source, **more)
        assert not r.crashed, f"crash (status {r.status}): {r.err[-2000:]}"
        assert r.status == 1, f"status {r.status}, expected 1: {r.err}"
        assert re.search("^ingot: .*" + why, r.err, re.M), f"message {r.err!r} does not match {why!r}"
        assert not os.path.exists(self.out), "OUT was written"
        self.clean()

    def survive(self, source, **more):
        """Either result will do, but not a crash."""
        r = self.run(source, **more)
        assert not r.crashed, f"crash (status {r.status}): {r.err[-2000:]}"
        assert r.status in (0, 1), f"status {r.status}: {r.err}"
        assert r.status == 0 or r.err.startswith("ingot: ") or "\ningot: " in r.err, f"no message: {r.err!r}"
        assert (r.status == 0) == os.path.exists(self.out), "OUT does not go with the status"
        if r.status == 0:
            os.unlink(self.out)
        self.clean()
        return r

    def accept(self, source, says="", **more):
        r = self.run(source, **more)
        assert r.status == 0, f"status {r.status}: {r.err[-2000:]}"
        assert re.search(says, r.err), f"report {r.err!r} does not say {says!r}"
        self.clean()
        return r

    def layout(self, *layers, **more):
        path = self.folder + "/layout"
        shutil.rmtree(path, ignore_errors=True)
        kit.Layout(path).image(list(layers), **more)
        return path

    def archive(self, data):
        path = self.folder + "/image.tar"
        with open(path, "wb") as f:
            f.write(data)
        return path

    def root(self, files):
        path = self.folder + "/root"
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path + "/bin")
        for name, data in files.items():
            with open(f"{path}/bin/{name}", "wb") as f:
                f.write(data)
            os.chmod(f"{path}/bin/{name}", 0o755)
        return path


def good_layers():
    return [layer(member("bin/"), member("bin/sh", tiny_elf(), mode=0o755), member("etc/f", "x" * 5000),
                  kit.symlink("l", "etc/f"), kit.hardlink("h", "etc/f")), layer(member("etc/.wh.f", ""))]


# --- sources ---

@test
def sources_that_are_none(w):
    w.refuse(w.folder + "/nothing", "No such file")
    w.refuse(w.archive(b""))
    w.refuse(w.archive(b"not an archive at all" * 100))
    w.refuse(w.archive(os.urandom(20000)))
    w.refuse(w.archive(layer(member("hello", "x"))), "neither an OCI image layout nor a docker archive")
    w.refuse("/dev/null")


@test
def truncated_archives(w):
    kit.docker_archive(w.folder + "/good.tar", good_layers())
    data = open(w.folder + "/good.tar", "rb").read()
    for size in sorted({0, 1, 100, 511, 512, 513, 1000, 1024, 1536, 3000, 5000, len(data) // 2, len(data) // 2 + 300}):
        w.refuse(w.archive(data[:size]))


@test
def bit_flipped_archives(w):
    kit.docker_archive(w.folder + "/good.tar", good_layers())
    data = open(w.folder + "/good.tar", "rb").read().rstrip(b"\0")
    for i in range(60):
        bad = bytearray(data)
        for _ in range(w.random.choice([1, 1, 1, 5, 50])):
            bad[w.random.randrange(len(bad))] ^= 1 << w.random.randrange(8)
        w.survive(w.archive(bytes(bad) + bytes(1024)))


@test
def bit_flipped_layers(w):
    for how in ("plain", "gzip", "xz"):
        good = kit.compressed(good_layers()[0], how)
        for i in range(15):
            bad = bytearray(good)
            bad[w.random.randrange(len(bad))] ^= 1 << w.random.randrange(8)
            w.survive(w.layout(bytes(bad)))
        for size in (10, len(good) // 2, len(good) - 3):
            w.survive(w.layout(good[:size]))


@test
def layer_sizes_that_lie(w):
    m, _ = member("f", "")
    for size in (1 << 33, 1 << 40, 8 ** 11 - 1, 1 << 62):
        m.size = size
        w.refuse(w.layout(m.tobuf(tarfile.GNU_FORMAT) + b"x" * 512))
    # Sparse maps: sizes beyond everything, holes out of order, more holes than bytes.
    for real, sparse in (("9223372036854775807", "0,1"), ("18446744073709551615", "0,1"), ("100", "50,10,0,10"),
                         ("1099511627776", "0,5"), ("-5", "0,5"), ("10", "9223372036854775800,100"), ("abc", "x,y")):
        pax = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "s", "GNU.sparse.size": real,
               "GNU.sparse.numblocks": "1", "GNU.sparse.map": sparse}
        w.survive(w.layout(layer(member("s", "x" * 20, pax=pax))), timeout=60)


@test
def sparse_file_of_a_terabyte(w):
    pax = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "s", "GNU.sparse.size": str(1 << 40),
           "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,5"}
    w.refuse(w.layout(layer(member("s", "12345", pax=pax))), "larger than 16 GiB")


@test
def archive_member_of_a_terabyte(w):
    """Of an archive of an image, not of a layer: it would be unpacked as a file that has to be hashed."""
    pax = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "a/layer.tar", "GNU.sparse.size": str(1 << 40),
           "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,5"}
    w.refuse(w.archive(layer(member("manifest.json", '[{"Config":"c.json","Layers":["a/layer.tar"]}]'), member("c.json", "{}"),
                             member("a/layer.tar", "12345", pax=pax))), "more than 256 GiB")


@test
def more_layers_than_any_image_has(w):
    names = ",".join(['"a/layer.tar"'] * 1001)
    w.refuse(w.archive(layer(member("manifest.json", '[{"Config":"c.json","Layers":[' + names + "]}]"), member("c.json", "{}"),
                             member("a/layer.tar", layer(member("f", "x"))))), "manifest is damaged")
    path = w.folder + "/layout"
    shutil.rmtree(path, ignore_errors=True)
    kit.Layout(path).image([layer(member("f", "x"))] * 1001)
    w.refuse(path, "more than 1000")


@test
def compressions_by_programs(w):
    """libarchive would start lrzip, lzop and grzip, if it were asked to take whatever it knows."""
    started = w.folder + "/started"
    for name, magic in (("lrzip", b"LRZI\0\6"), ("lzop", b"\x89LZO\0\r\n\x1a\n"), ("grzip", b"GRZipII\0\x02\x04:)")):
        with open(f"{w.folder}/{name}", "w") as f:
            f.write(f"#!/bin/sh\ntouch {started}\n")
        os.chmod(f"{w.folder}/{name}", 0o755)
        for source in (w.archive(magic + bytes(2000)), w.layout(magic + bytes(2000))):
            w.refuse(source, prefix=("env", f"PATH={w.folder}:{os.environ['PATH']}"))
        assert not os.path.exists(started), f"the image had {name} started"


@test
def names_for_terminals(w):
    """A name in an image does not write to the terminal that a build or a look at its result is shown on."""
    source = w.root({"x\33[2Ky": tiny_elf(ident=b"\x7fELF\1\1\1" + bytes(9)), "z\33[2K": tiny_elf(), "\udcff": tiny_elf(ident=b"\x7fELF\1\1\1" + bytes(9)) + b"2"})
    report = w.folder + "/report"
    r = kit.run([w.ingot, "build", "--cache", w.cache, "--report", report, source, "-o", w.out])
    assert r.status == 0 and "x\\x1b[2Ky" in r.err and "\33" not in r.err.replace("\33[K", ""), repr(r.err)
    import json
    kept = [k["path"] for k in json.load(open(report))["kept_as_data"]]
    assert sorted(kept) == ["/bin/x\33[2Ky", "/bin/\ufffd"], kept
    r = kit.run([w.ingot, "inspect", w.out])
    assert r.status == 0 and "z\\x1b[2K" in r.out and "\33" not in r.out, r.out


@test
def hostile_names(w):
    for name in ("../x", "/../x", "a/../../x", "a/b/../../.."):
        w.refuse(w.layout(layer(member(name, "x"))), "out of the image")
    for name in ("a/b/..", "d/../x"): # "a" and "x", as other tools have it
        w.accept(w.layout(layer(member(name, "x"))))
        os.unlink(w.out)
    for data in (layer(kit.symlink("a", "/etc"), member("a/ingot-test-escape", "x")),
                 layer(kit.symlink("a", "../../../../../../etc"), member("a/ingot-test-escape", "x"))):
        w.accept(w.layout(data))
        os.unlink(w.out)
        assert not os.path.exists("/etc/ingot-test-escape")
    w.refuse(w.layout(layer(kit.hardlink("h", "/etc/passwd"))), "hard link")
    # The archive around the image: names that would leave the folder it is unpacked to.
    for name in ("../escape.json", "/tmp/ingot-escape", "blobs/../../escape", "a/../../layer.tar"):
        kit.docker_archive(w.folder + "/image.tar", good_layers(), extra=[member(name, "x")])
        w.survive(w.folder + "/image.tar")
        assert not os.path.exists(w.folder + "/escape.json") and not os.path.exists("/tmp/ingot-escape")
    kit.docker_archive(w.folder + "/image.tar", good_layers(), extra=[kit.symlink("blobs", "/tmp"),
                                                                      member("blobs/ingot-escape", "x")])
    w.survive(w.folder + "/image.tar")
    assert not os.path.exists("/tmp/ingot-escape")


# --- documents ---

@test
def blobs(w):
    path = w.layout(*good_layers())
    blobs = path + "/blobs/sha256/"
    for name in os.listdir(blobs):
        data = open(blobs + name, "rb").read()
        os.unlink(blobs + name)
        w.refuse(path, "No such file")
        open(blobs + name, "wb").write(data[:-1] + bytes([data[-1] ^ 1]))
        w.refuse(path, "sha256")
        open(blobs + name, "wb").write(data + b" ")
        w.refuse(path, "sha256")
        os.unlink(blobs + name)
        os.mkdir(blobs + name)
        w.refuse(path)
        os.rmdir(blobs + name)
        open(blobs + name, "wb").write(data)
    w.accept(path)


@test
def manifests_of_wrong_types(w):
    values = [None, 5, "x", [], {}, [5], [None], {"a": 1}, True, [[]], ["sha256:" + "0" * 64]]
    for key in ("config", "layers"):
        for v in values:
            if key == "layers" and v == []:
                continue
            w.refuse(w.layout(*good_layers(), edit=lambda m: {**m, key: v}))
    for v in values[1:]:
        w.refuse(w.layout(layer(), edit=lambda m: v))
        if v != {}:
            w.refuse(w.layout(layer(), document={"config": v} if v != {"a": 1} else []))
    for key in ("Entrypoint", "Cmd", "Env"):
        for v in (5, "x", {}, [5], [None], ["a\0b"], True):
            w.refuse(w.layout(layer(), config={key: v}), "config" if v != ["a\0b"] else "u0000")
    for key in ("WorkingDir", "User"):
        for v in (5, [], {}, True):
            w.refuse(w.layout(layer(), config={key: v}), "config")
    w.refuse(w.layout(layer(), document={"architecture": "arm64", "os": "linux"}), "linux/arm64")
    w.refuse(w.layout(layer(), document={"architecture": "amd64", "os": "windows"}), "windows")


@test
def digests_that_are_none(w):
    for d in ("", "sha256:", "sha256:xyz", "sha512:" + "0" * 128, "sha256:" + "0" * 63, "sha256:" + "0" * 65,
              "sha256:../../../../etc/passwd", "sha256:" + "../" * 21 + "x", 5, None, "0" * 64):
        w.refuse(w.layout(layer(), edit=lambda m: {**m, "config": {"digest": d, "size": 1}}), "digest|No such file")


@test
def indexes(w):
    path = w.layout(*good_layers())
    for bad in (b"", b"{", b"[]", b"null", b"5", b'"x"', b"{}", b'{"manifests":5}', b'{"manifests":[]}', b"\0" * 100,
                b'{"manifests":[5]}', b'{"manifests":[null]}', b'{"manifests":[{}]}', b"{" * 100000, b"[" * 1000000,
                b'{"manifests":[' + b"[" * 5000 + b"]" * 5000 + b"]}", b'{"a":1,"a":2}', b"\xff\xfe{}",
                b'{"manifests":[{"digest":"sha256:' + b"0" * 64 + b'"}]}', b" " * (17 << 20), b'{"x":"' + b"y" * (17 << 20)):
        kit.Layout.index(type("L", (), {"path": path}), bad)
        w.refuse(path)
    # An index that names itself cannot be (its name is its hash), but a chain can be long.
    l = kit.Layout(w.folder + "/chain")
    d = l.image(good_layers())
    for _ in range(10):
        d = {"mediaType": "application/vnd.oci.image.index.v1+json", **l.blob({"manifests": [d]})}
    l.index({"manifests": [d]})
    w.refuse(l.path, "nested too deeply")


@test
def docker_manifests(w):
    values = [None, 5, "x", {}, [5], [None], [{}], [[]], [{"Config": 5, "Layers": []}], [{"Config": "x", "Layers": []}],
              [{"Config": "../../../../etc/passwd", "Layers": []}], [{"Config": "manifest.json", "Layers": 5}],
              [{"Config": "c.json", "Layers": ["../../../../etc/passwd"]}], [{"Config": "c.json", "Layers": [5]}],
              [{"Config": "c.json", "Layers": ["nothing/layer.tar"]}], [{"Config": "c.json", "Layers": ["/etc/passwd"]}]]
    for v in values:
        kit.docker_archive(w.folder + "/image.tar", good_layers(), manifest=v, extra=[member("c.json", '{"os":"linux"}')])
        if v is None:
            w.accept(w.folder + "/image.tar")
            os.unlink(w.out)
        else:
            w.refuse(w.folder + "/image.tar")


# --- ELF files ---

def segment(kind=1, flags=5, offset=0, address=0x400000, size=None, memory=None, align=0x1000):
    size = 120 + len(kit.TINY_CODE) + 5 if size is None else size
    return (kind, flags, offset, address, address, size, size if memory is None else memory, align)


@test
def elf_kept_as_data(w):
    files = {
        "i386": (tiny_elf(ident=b"\x7fELF\1\1\1" + bytes(9)), "32-bit"),
        "noclass": (tiny_elf(ident=b"\x7fELF\7\1\1" + bytes(9)), "no known class"),
        "bigendian": (tiny_elf(ident=b"\x7fELF\2\2\1" + bytes(9)), "big-endian"),
        "arm64": (tiny_elf(machine=183), "foreign"), "riscv": (tiny_elf(machine=243), "foreign"),
        "object": (tiny_elf(type=1), "relocatable"), "core": (tiny_elf(type=4), "core"),
        "notype": (tiny_elf(type=99), "no known type"), "short": (tiny_elf()[:40], "truncated"),
        "nophdr": (tiny_elf(phnum=0), "no program headers"),
        "magic": (b"\x7fELF", None), "empty": (b"", None), "text": (b"#!/bin/sh\n", None),
    }
    r = w.accept(w.root({name: data for name, (data, _) in files.items()}))
    for name, (_, why) in files.items():
        assert (why is None) == (f"/bin/{name}:" not in r.err), name + r.err
        assert why is None or re.search(f"kept as data: /bin/{name}: .*{why}", r.err), name + r.err


@test
def elf_damaged_kept_as_data(w):
    """What claims to be ours but cannot be loaded is data too: Linux would refuse to start it."""
    size = len(tiny_elf())
    files = {
        "overlap": (tiny_elf(segments=[segment(size=100), segment(size=100, address=0x400010, offset=16)],
                             code=bytes(300)), "overlap"),
        "beyond": (tiny_elf(segments=[segment(size=1 << 20)]), "beyond the end"),
        "wide": (tiny_elf(segments=[segment(size=1 << 63)]), ""), "high": (tiny_elf(segments=[segment(address=1 << 40)]), ""),
        "wrap": (tiny_elf(segments=[segment(address=(1 << 64) - 0x1000)]), ""),
        "small": (tiny_elf(segments=[segment(memory=10)]), "more bytes"),
        "crooked": (tiny_elf(segments=[segment(offset=1, size=50)]), "congruent"),
        "phoff": (tiny_elf(phoff=1 << 60), ""), "phoff2": (tiny_elf(phoff=size - 10), ""),
        "phnum": (tiny_elf(phnum=65535), "program header"), "phsize": (tiny_elf(phentsize=1), "program header"),
        "noload": (tiny_elf(segments=[segment(kind=4)]), "no loadable"),
        "zero": (tiny_elf(segments=[segment(size=0, memory=0)]), "no loadable"),
        "allzero": (tiny_elf(entry=0, phentsize=0, phnum=5), ""),
        "spread": (tiny_elf(segments=[segment(), segment(address=0xfff00000, size=10)], code=bytes(300)), ""),
    }
    r = w.accept(w.root({name: data for name, (data, _) in files.items()}))
    for name, (_, why) in files.items():
        assert re.search(f"kept as data: /bin/{name}: .*{why}", r.err), name + ": " + r.err


def with_sections(sections, **more):
    """tiny_elf with a section header table at its end."""
    body = tiny_elf()
    table = b"".join(struct.pack("<IIQQQQIIQQ", *s) for s in sections)
    return tiny_elf(code=body[120:] + table, segments=[segment()],
                    **{"shoff": len(body), "shnum": len(sections), **more})


@test
def elf_section_tables_that_lie(w):
    text = (0, 1, 6, 0x400078, 120, len(kit.TINY_CODE), 0, 0, 16, 0)
    files = {
        "many": with_sections([(0, 1, 6, 0x400000, 0, 150, 0, 0, 1, 0)] * 3000),
        "outside": with_sections([(0, 1, 6, 0x900000, 120, 50, 0, 0, 1, 0)]),
        "huge": with_sections([(0, 1, 6, 0x400000, 0, (1 << 64) - 1, 0, 0, 1, 0)]),
        "link": with_sections([(0, 2, 0, 0, 0, 150, 9999, 0, 1, 24)]),
        "symbols": with_sections([(0, 2, 2, 0, 0, 154, 1, 0, 1, 24), (0, 3, 0, 0, 10, 1 << 60, 0, 0, 1, 0)]),
        "rela": with_sections([(0, 4, 2, 0x400000, 0, 1 << 40, 0, 0, 1, 24)]),
        "shoff": tiny_elf(shoff=1 << 63, shnum=65535), "shnum": with_sections([text], shnum=60000),
        "shsize": with_sections([text], shentsize=0), "strndx": with_sections([text], shstrndx=65535),
        "inverse": with_sections([(0, 14, 2, (1 << 64) - 8, 0, 1 << 62, 0, 0, 1, 8)]),
        "middle": with_sections([(0, 1, 6, 0x400079, 121, 10, 0, 0, 1, 0), (0, 1, 6, 0x40007c, 124, 20, 0, 0, 1, 0)]),
    }
    for name, data in files.items():
        w.accept(w.root({name: data}), timeout=30)
        os.unlink(w.out)


def with_dynamic(tags, extra=b"", kind=2, type=3, more_segments=()):
    dynamic = b"".join(struct.pack("<QQ", t, v) for t, v in tags) + bytes(16)
    n = 2 + len(more_segments)
    head = 64 + 56 * n
    code = kit.TINY_CODE + b"tiny\n"
    at = head + len(code) + (-head - len(code)) % 8
    body = code.ljust(at - head, b"\0") + dynamic + extra
    size = head + len(body)
    segments = [(1, 7, 0, 0, 0, size, size, 0x1000), (kind, 6, at, at, at, len(dynamic), len(dynamic), 8), *more_segments]
    ident = tiny_elf(type=type, entry=head)[:64]
    return (ident[:56] + struct.pack("<H", n) + ident[58:] + b"".join(struct.pack("<IIQQQQQQ", *s) for s in segments) +
            body)


@test
def elf_dynamic_tables_that_lie(w):
    top = (1 << 64) - 1
    files = {
        "rela": with_dynamic([(7, 0), (8, top), (9, 24)]), "rela2": with_dynamic([(7, top - 8), (8, 1 << 40)]),
        "jmprel": with_dynamic([(23, 8), (2, top)]), "relr": with_dynamic([(36, 0), (35, top), (37, 8)]),
        "relr2": with_dynamic([(36, 240), (35, 4096)], b"\xff" * 4096),
        "symtab": with_dynamic([(6, 0), (5, 0), (10, top), (4, 0), (11, 24)]),
        "hash": with_dynamic([(4, 200), (6, 0)], b"\xff" * 64), "gnu": with_dynamic([(0x6ffffef5, 0), (6, 0)]),
        "gnu2": with_dynamic([(0x6ffffef5, 248), (6, 0), (5, 3), (10, 100)], struct.pack("<IIII", 1 << 31, 0, 1 << 31, 0)),
        "init": with_dynamic([(12, top), (13, 5), (25, 0), (27, top), (26, 8), (28, 7), (32, 1), (33, top)]),
        "soname": with_dynamic([(14, top), (5, 0), (10, 5)]), "endless": with_dynamic([(7, 0)] * 2000),
        "no": with_dynamic([]), "interp": with_dynamic([], kind=3), "eh": with_dynamic([], kind=0x6474e550),
        "relro": with_dynamic([], more_segments=[(0x6474e552, 4, 0, top, top, top, top, 1)]),
    }
    for name, data in files.items():
        w.survive(w.root({name: data}), timeout=30)


@test
def elf_unwind_tables_that_lie(w):
    """.eh_frame_hdr and .eh_frame made of noise and of records that point at each other."""
    for i in range(25):
        header = bytes([1, w.random.choice([0x1b, 0x00, 0x03, 0xff, 0x3b, 0x9b]), 3, 0x3b])
        noise = bytes(w.random.choice([0, 0, 1, 4, 16, 0x1b, 0xff, w.random.randrange(256)]) for _ in range(600))
        at = 64 + 56 * 3 + len(kit.TINY_CODE) + 5
        at += -at % 8 + 16
        data = with_dynamic([], header + struct.pack("<i", 4) + noise,
                            more_segments=[(0x6474e550, 4, at, at, at, 612, 612, 4)])
        w.survive(w.root({"x": data}), timeout=30)


@test
def elf_bit_flips(w):
    programs = [p for p in ("/usr/bin/true", "/usr/bin/env") if os.path.exists(p)]
    for i in range(24):
        data = bytearray(open(programs[i % len(programs)], "rb").read())
        limit = len(data) if i % 3 else 1024  # headers more often than their share
        for _ in range(w.random.choice([1, 3, 40])):
            data[w.random.randrange(limit)] = w.random.choice([0, 1, 0x7f, 0x80, 0xff, w.random.randrange(256)])
        if i % 5 == 0:
            data = data[:w.random.randrange(len(data))]
        w.survive(w.root({"x": bytes(data)}), timeout=60)


@test
def code_that_is_noise(w):
    """Whatever the bytes decode to: built, with traps where nothing can be done."""
    w.accept(w.root({f"noise{i}": tiny_elf(code=w.random.randbytes(3000)) for i in range(4)}), timeout=60)
    os.unlink(w.out)
    w.accept(w.root({"jumps": tiny_elf(code=b"\xeb\xff" * 500 + b"\xff\xe0\xe9\xff\xff\xff\xff" * 100),
                     "prefixes": tiny_elf(code=b"\x66\xf2\xf3\x2e\x48" * 600), "one": tiny_elf(code=b"\x0f"),
                     "loop": tiny_elf(code=b"\xeb\xfe"), "zeros": tiny_elf(code=bytes(5000))}), timeout=60)


# --- the machine ---

@test
def not_enough_disk(w):
    if os.geteuid() != 0:
        return
    layers = [layer(member("bin/sh", tiny_elf(), mode=0o755), member("big", os.urandom(6 << 20)))]
    source = w.layout(*layers)
    small = w.folder + "/small"
    os.mkdir(small)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", small], check=True)
    try:
        w.out = small + "/out"
        w.refuse(source, "No space left", wasm=False)
        assert os.listdir(small) == [], os.listdir(small)
        w.out, w.cache = w.folder + "/out", small + "/cache"
        subprocess.run(["fallocate", "-l", "1990K", small + "/filler"])
        programs = w.root({"x": open("/usr/bin/env", "rb").read()})
        w.refuse(programs, "No space left|cannot (write|create)", wasm=False)
        os.unlink(small + "/filler")
        left = [f for _, _, files in os.walk(small) for f in files if ".tmp-" in f]
        assert not left, left
        w.accept(w.root({"sh": tiny_elf()}))
    finally:
        subprocess.run(["umount", small], check=True)


@test
def not_enough_memory(w):
    plain = os.environ.get("INGOT_PLAIN")  # ASan needs terabytes of address space
    if plain:
        w.ingot = plain
    elif b"__asan_init" in open(w.ingot, "rb").read():
        return
    source = w.root({"true": open("/usr/bin/true", "rb").read()})
    for kilobytes in (60000, 100000, 200000, 300000):
        r = w.run(source, wasm=False, prefix=["sh", "-c", f'ulimit -v {kilobytes}; exec "$@"', "sh"])
        assert r.status in (0, 1, 127), f"status {r.status}: {r.err}"
        assert r.status != 1 or "memory" in r.err or "allocate" in r.err or "map" in r.err, r.err
        assert r.status == 0 or not os.path.exists(w.out)
        if r.status == 0:
            break
    w.accept(w.root({"sh": tiny_elf()}))


@test
def killed_builds(w):
    """SIGKILL at any time: no OUT, no damage to the cache, and the next build goes through and cleans up."""
    w.ingot = os.environ.get("INGOT_PLAIN") or w.ingot  # nothing here for ASan, only time
    source = w.root({"env": open("/usr/bin/env", "rb").read(), "true": open("/usr/bin/true", "rb").read(),
                     "sh": tiny_elf()})
    started = time.monotonic()
    w.accept(source, wasm=False)
    whole = time.monotonic() - started
    good = open(w.out, "rb").read()
    os.unlink(w.out)
    shutil.rmtree(w.cache)
    for i in range(8):
        p = subprocess.Popen([w.ingot, "build", "--cache", w.cache, source, "-o", w.out], stderr=subprocess.DEVNULL,
                             start_new_session=True)
        time.sleep(whole * w.random.uniform(0.05, 1.0))
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        if os.path.exists(w.out):
            assert open(w.out, "rb").read() == good, "a half-written OUT"
            os.unlink(w.out)
        if i % 3 == 2:
            w_ok = w.run(source, wasm=False)
            assert w_ok.status == 0, w_ok.err
            assert open(w.out, "rb").read() == good, "another result after a killed build"
            os.unlink(w.out)
            shutil.rmtree(w.cache)
    w.accept(source, wasm=False)
    assert open(w.out, "rb").read() == good
    left = [f for _, _, files in os.walk(w.cache) for f in files if ".tmp-" in f]
    assert not left, left


@test
def damaged_cache(w):
    """A cache entry that was cut or changed is dropped, said, and made anew."""
    source = w.root({"true": open("/usr/bin/true", "rb").read()})
    w.accept(source, wasm=False)
    good = open(w.out, "rb").read()
    files = [os.path.join(d, f) for d, _, files in os.walk(w.cache) for f in files]
    assert files
    for path in files:
        data = open(path, "rb").read()
        for bad in (b"", data[:len(data) // 2], bytes(b ^ 0x55 for b in data)):
            os.unlink(w.out)
            with open(path, "wb") as f:
                f.write(bad)
            r = w.run(source, wasm=False)
            assert r.status == 0, f"{path}: status {r.status}: {r.err[-1500:]}"
            assert path.endswith(".sum") or f"dropped {path} from the cache" in r.err, f"{path}: nothing was said: {r.err}"
            assert open(w.out, "rb").read() == good, f"{path}: another result"


@test
def poisoned_cache(w):
    """Entries that somebody else may have written do not get into an artifact, even with a hash that is right."""
    import hashlib
    source, other = w.root({"sh": tiny_elf()}), w.root({"true": open("/usr/bin/true", "rb").read()})
    w.accept(other, wasm=False)
    evil = next(os.path.join(w.cache, "native", f) for f in os.listdir(w.cache + "/native") if f.endswith(".0.o"))
    evil = open(evil, "rb").read()
    shutil.rmtree(w.cache)
    os.unlink(w.out)
    w.accept(source, wasm=False)
    good = open(w.out, "rb").read()
    target = next(os.path.join(w.cache, "native", f) for f in os.listdir(w.cache + "/native") if f.endswith(".0.o"))

    def plant(mode=0o644, owner=None, link=False):
        os.unlink(target)
        path = w.folder + "/elsewhere" if link else target
        with open(path, "wb") as f:
            f.write(evil)
        os.chmod(path, mode)
        if owner is not None:
            os.chown(path, owner, owner)
        if link:
            os.symlink(path, target)
        with open(target + ".sum", "w") as f:
            f.write(hashlib.sha256(evil).hexdigest() + "\n")
    ways = [{"mode": 0o666}, {"mode": 0o664}, {"link": True}] + ([{"owner": 4321}] if os.geteuid() == 0 else [])
    for way in ways:
        plant(**way)
        os.unlink(w.out)
        r = w.run(source, wasm=False)
        assert r.status == 0 and f"dropped {target} from the cache" in r.err, f"{way}: {r.status} {r.err}"
        assert open(w.out, "rb").read() == good, f"{way}: the planted code is in the artifact"
    os.unlink(w.out)
    for folder in (w.cache, w.cache + "/native", w.cache + "/objects"):
        os.chmod(folder, 0o775)
        w.refuse(source, "cannot be trusted", wasm=False)
        os.chmod(folder, 0o755)
    w.accept(source, wasm=False)


@test
def cached_report_that_lies(w):
    """Where a program's code lies is read from the program, whatever stands in the cache."""
    import hashlib, json
    source = w.root({"sh": tiny_elf(), "true": open("/usr/bin/true", "rb").read()})
    w.accept(source, wasm=False)
    good = open(w.out, "rb").read()
    for name in os.listdir(w.cache + "/objects"):
        path = os.path.join(w.cache, "objects", name)
        if not path.endswith(".json"):
            continue
        text = open(path).read()
        for lie in ({"low": 1 << 40, "text_low": 1 << 41}, {"high": -4096}, {"text_low": 1 << 33, "text_high": 5}, {"pie": True}):
            changed = json.dumps(json.loads(text) | lie).encode()
            for end, data in (("", changed), (".sum", hashlib.sha256(changed).hexdigest().encode() + b"\n")):
                with open(path + end, "wb") as f:
                    f.write(data)
            os.unlink(w.out)
            w.accept(source, wasm=False)
            assert open(w.out, "rb").read() == good, f"{lie}: another result"


@test
def wrong_usage(w):
    source = w.root({"sh": tiny_elf()})
    for args, status in (([], 2), (["build"], 2), (["build", source], 2), (["build", source, "-o", w.out, "x"], 2),
                         (["build", "-j", "0", source, "-o", w.out], 2), (["build", "-O", "9", source, "-o", w.out], 2),
                         (["build", "--emit=elf", source, "-o", w.out], 2), (["nosuch"], 2), (["inspect"], 2),
                         (["verify"], 2), (["verify", "/etc/passwd"], 1), (["inspect", "/etc/passwd"], 1),
                         (["verify", "/nothing"], 1), (["run"], 125), (["run", "--nosuch", "x"], 125),
                         (["run", "/nothing"], 125), (["run", "/etc/passwd"], 125), (["build", "--help"], 0),
                         (["build", "--cache", w.cache, source, "-o", "/nothing/out"], 1),
                         (["build", "--cache", "/dev/null/x", source, "-o", w.out], 1),
                         (["build", "--cpu", "nosuch-cpu", "--cache", w.cache, source, "-o", w.out], 2)):
        r = kit.run([w.ingot, *args])
        assert r.status == status, f"{args}: status {r.status}, expected {status}: {r.err}"
        assert r.out or r.err, args


@test
def options_of_another_backend(w):
    """What a backend would ignore is refused, whether the backend was named or not."""
    source = w.root({"sh": tiny_elf()})
    for named in [], ["--backend", "direct"]:
        for option in ["--precise-faults=all"], ["--precise-faults", "auto"], ["-O", "1"], ["--optimize=2"]:
            r = kit.run([w.ingot, "build", *named, *option, "--cache", w.cache, source, "-o", w.out])
            assert r.status == 2 and "--backend" in r.err and option[0][:5].replace("-O", "--opt") in r.err, (named, option, r.status, r.err)
    for option in ["--emit=wasm"], ["--dump", "lift"]:
        r = kit.run([w.ingot, "build", "--backend", "direct", *option, "--cache", w.cache, source, "-o", w.out])
        assert r.status == 2 and option[0] in r.err, (option, r.status, r.err)
    assert not os.path.exists(w.out)
    r = kit.run([w.ingot, "build", "--emit=wasm", "--precise-faults=all", "--cache", w.cache, source, "-o", w.out])
    assert r.status == 0, r.err


# --- damaged artifacts ---

def build_artifact(w):
    w.accept(w.root({"sh": tiny_elf(), "other": b"just data " * 1000}), wasm=False)
    return bytearray(open(w.out, "rb").read()), kit.Artifact(w.out)


def put(w, data):
    path = w.folder + "/damaged"
    if os.path.exists(path):
        os.unlink(path)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, 0o755)
    return path


@test
def flipped_bytes_verify(w):
    good, a = build_artifact(w)
    parts = [("native code", a.elf_size // 2), ("native code", 70), ("header", a.payload + 10),
             ("header", a.payload + 300), ("footer|not a built image", len(good) - 60), ("header", len(good) - 40),
             ("footer", len(good) - 12), ("footer", len(good) - 2), ("padding", a.elf_size + 1)]
    for name, (at, size, _) in a.sections.items():
        if name != "data" and size:
            parts += [(name, at), (name, at + size // 2), (name, at + size - 1)]
    for path in ("/bin/sh", "/bin/other"):
        parts.append((path.split("/")[-1], a.sections["data"][0] + a.at(path)["data"] + a.at(path)["size"] // 2))
    parts.append(("padding", a.sections["data"][0] + a.at("/bin/sh")["data"] + a.at("/bin/sh")["size"] + 5))
    for what, at in parts:
        bad = bytearray(good)
        bad[at] ^= 1 << w.random.randrange(8)
        r = kit.run([w.ingot, "verify", put(w, bad)])
        assert r.status == 1 and not r.crashed, f"{what} at {at}: status {r.status} {r.out} {r.err}"
        assert re.search(what, r.out + r.err), f"{what} at {at}: {r.out} {r.err}"


@test
def flipped_bytes_start(w):
    """The start refuses damage to any part that it uses, also of a file that was started before and found right."""
    good, a = build_artifact(w)
    r = kit.run([put(w, good), "/bin/sh"])
    assert (r.status, r.out) == (7, "tiny\n"), (r.status, r.out, r.err)
    data = a.sections["data"][0]
    parts = [("native code", a.elf_size // 2), ("native code", a.elf_size - 1), ("header", a.payload + 10),
             ("header", a.payload + 300), ("header", len(good) - 40), ("footer", len(good) - 60),
             ("padding", a.elf_size + 1), ("file sh", data + a.at("/bin/sh")["data"] + 130),
             ("file other", data + a.at("/bin/other")["data"] + 5)]
    for name, (at, size, _) in a.sections.items():
        if name != "data" and size:
            parts += [(name, at), (name, at + size - 1)]
    for what, at in parts:
        bad = bytearray(good)
        bad[at] ^= 1 << w.random.randrange(8)
        r = kit.run([put(w, bad), "/bin/sh"], timeout=20)
        if at < a.elf_size and r.crashed:
            continue  # the damaged instruction came before the check
        if what == "padding":  # nothing looks there
            assert (r.status, r.out) == (7, "tiny\n"), (r.status, r.out, r.err)
            continue
        assert r.status == 125 and "tiny" not in r.out, f"{what} at {at}: status {r.status} {r.out} {r.err}"
        assert re.search(what, r.err), f"{what} at {at}: {r.err}"


def keeps_seals(folder):
    kind = subprocess.run(["stat", "-f", "-c", "%t", folder], capture_output=True, text=True, check=True).stdout.strip()
    return kind in ("ef53", "58465342", "9123683e", "f2f52010")


@test
def sealed_artifact(w):
    """A start that found all right is remembered, and forgotten when the file changes."""
    good, a = build_artifact(w)
    path, seals = put(w, good), w.folder + "/runtime"
    os.mkdir(seals, 0o700)
    env = {"XDG_RUNTIME_DIR": seals}
    start = lambda: kit.run([path, "/bin/sh"], env=env, timeout=20)
    count = lambda: len(os.listdir(seals + "/ingot")) if os.path.exists(seals + "/ingot") else 0
    assert start().status == 7 and count() == 0, "sealed while its times may still repeat"
    time.sleep(2.2)
    assert start().status == 7 and count() == keeps_seals(w.folder)
    assert start().status == 7
    at = a.sections["data"][0] + a.at("/bin/other")["data"] + 5
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(bytes([good[at] ^ 1]))
    times = os.stat(path)
    r = start()
    assert r.status == 125 and "file other" in r.err, (r.status, r.err)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns - 5 * 10**9))
    assert start().status == 125
    os.chmod(seals, 0o755)
    if os.path.exists(seals + "/ingot"):
        os.chmod(seals + "/ingot", 0o755)  # a folder that others may enter is not used
    with open(path, "wb") as f:
        f.write(good)
    assert start().status == 7


@test
def written_through_a_mapping(w):
    """Writing through a mapping changes no times on tmpfs: no seal may vouch for a file there."""
    import mmap
    good, a = build_artifact(w)
    at = a.sections["data"][0] + a.at("/bin/other")["data"] + 5
    for place in [w.folder] + (["/dev/shm"] if os.access("/dev/shm", os.W_OK) else []):
        with tempfile.TemporaryDirectory(dir=place) as folder:
            path, seals = folder + "/image", folder + "/runtime"
            os.mkdir(seals, 0o700)
            with open(path, "wb") as f:
                f.write(good)
            os.chmod(path, 0o755)
            time.sleep(2.2)
            for _ in range(2):
                r = kit.run([path, "/bin/sh"], env={"XDG_RUNTIME_DIR": seals}, timeout=20)
                assert r.status == 7, (r.status, r.err)
            with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
                m[at] ^= 1
            r = kit.run([path, "/bin/sh"], env={"XDG_RUNTIME_DIR": seals}, timeout=20)
            assert r.status == 125 and "file other" in r.err, (place, r.status, r.err)


@test
def cut_artifacts(w):
    good, a = build_artifact(w)
    for size in (0, 10, 64, a.elf_size, a.payload, a.payload + 200, len(good) - 1, len(good) - 64):
        for command in ("verify", "inspect"):
            r = kit.run([w.ingot, command, put(w, good[:size])])
            assert r.status == 1 and r.err.startswith("ingot: "), f"{command} {size}: {r.status} {r.err}"
        if size >= a.elf_size:
            r = kit.run([put(w, good[:size]), "/bin/sh"], timeout=20)
            assert r.status == 125 and r.err, f"start {size}: {r.status} {r.err}"
    r = kit.run([w.ingot, "verify", put(w, good + b"x")])
    assert r.status == 1


@test
def native_code_is_compared(w):
    """A program's native code is compared when its mapping makes it reachable, and not before: another program runs all the same."""
    w.ingot = os.environ.get("INGOT_PLAIN") or w.ingot  # a C library takes ASan a minute
    with open(w.folder + "/seven.c", "w") as f:
        f.write("int main(void) { return 7; }\n")
    subprocess.run(["cc", "-O1", "-static", "-o", w.folder + "/seven", w.folder + "/seven.c"], check=True)
    w.accept(w.root({"sh": tiny_elf(), "seven": open(w.folder + "/seven", "rb").read()}), wasm=False)
    good, a = open(w.out, "rb").read(), kit.Artifact(w.out)
    rows = a.section("ledger")
    ranges = sorted(struct.unpack("<QQ", rows[at + 176:at + 192]) for at in range(0, len(rows), 192))
    assert len(ranges) == 2 and all(a.code <= low and low + size <= a.code + a.code_size for low, size in ranges), ranges
    low, size = max(ranges, key=lambda r: r[1])
    assert size > 4 * 65536, ranges
    bad = bytearray(good)
    bad[low + size // 2] ^= 1
    path = put(w, bad)
    r = kit.run([path, "/bin/sh"])
    assert (r.status, r.out) == (7, "tiny\n"), (r.status, r.out, r.err)
    r = kit.run([path, "/bin/seven"])
    assert r.status == 125 and "native code" in r.err, (r.status, r.out, r.err)
    r = kit.run([put(w, good), "/bin/seven"])
    assert r.status == 7, (r.status, r.err)


@test
def options_in_the_environment(w):
    """Options come from ingot run, not from an environment that somebody else may have set."""
    good, _ = build_artifact(w)
    path, trace = put(w, good), w.folder + "/trace"
    fd = os.memfd_create("ingot-options", os.MFD_ALLOW_SEALING)
    os.write(fd, b"ingot options 1\n--strace")
    for value in ("--strace", "--volume /:/host", f"fd:{fd}", "fd:0", "fd:99", "fd:-1", "fd:", "fd:1x", f"fd:{fd}" + "0" * 30):
        r = subprocess.run([path, "/bin/sh"], env={"INGOT_OPTIONS": value}, capture_output=True, text=True, pass_fds=[fd], stdin=subprocess.DEVNULL)
        assert r.returncode == 7 and "is ignored" in r.stderr and "exit" not in r.stderr, f"{value}: {r}"
    os.close(fd)
    r = kit.run([w.ingot, "run", "--strace", path, "/bin/sh"])
    assert r.status == 7 and "exit" in r.err and "ignored" not in r.err, r.err


@test
def artifacts_of_noise(w):
    """Inspect and verify read what anybody may have written: footers and headers that are right, sections that are not."""
    import hashlib
    good, a = build_artifact(w)
    for i in range(80):
        bad = bytearray(good)
        start, size, _ = a.sections[w.random.choice(["config", "inodes", "directory entries", "strings", "ledger"])]
        for _ in range(w.random.choice([1, 10, 200])):
            bad[start + w.random.randrange(size)] = w.random.choice([0, 1, 0x80, 0xff])
        head = bytearray(bad[a.payload:a.payload + a.header_size])
        if i % 2:
            at = 128 + 48 * w.random.randrange(8) + 8 * w.random.randrange(2)
            head[at:at + 8] = struct.pack("<Q", w.random.choice([0, 1, 4096, 1 << 20, 1 << 40, 1 << 63, (1 << 64) - 1]))
        offset, size = struct.unpack("<QQ", head[128 + 48 * 7:144 + 48 * 7])
        if offset + size <= len(bad) - a.payload and size == (a.payload + offset) // 65536 * 32:
            chunks = b"".join(bytes(32) if at == a.payload else hashlib.sha256(bad[at:at + 65536]).digest()
                              for at in range(0, a.payload + offset, 65536))
            bad[a.payload + offset:a.payload + offset + size] = chunks
        for j in (0, 1, 2, 3, 4, 5, 7):
            offset, size = struct.unpack("<QQ", head[128 + 48 * j:144 + 48 * j])
            body = bad[a.payload + offset:a.payload + offset + size] if size < len(bad) else b""
            head[144 + 48 * j:176 + 48 * j] = hashlib.sha256(body).digest()
        bad[a.payload:a.payload + a.header_size] = head
        bad[-48:-16] = hashlib.sha256(head).digest()
        path = put(w, bad)
        for argv in ([w.ingot, "verify", path], [w.ingot, "inspect", path], [w.ingot, "inspect", "--json", path]):
            r = kit.run(argv)
            assert not r.crashed, f"{argv[1]}: {r.status} {r.err[-2000:]}"
        if i < 40:
            r = kit.run([path, "/bin/sh"], timeout=20)
            assert 0 <= r.status < 128, f"start: status {r.status} {r.out} {r.err}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    passed = failed = 0
    for t in TESTS:
        if args.only and not re.search(args.only, t.__name__):
            continue
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="ingot-bad-") as folder:
            try:
                t(World(args, folder))
                passed += 1
            except Exception as e:
                failed += 1
                print(f"FAIL {t.__name__}: {e}")
                if not isinstance(e, AssertionError) or not str(e):
                    traceback.print_exc(limit=-2, file=sys.stdout)
        if args.verbose:
            print(f"{t.__name__}: {time.monotonic() - started:.1f} s", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
