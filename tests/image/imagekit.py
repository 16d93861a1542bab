"""What the image and bad-input tests share: making layers, OCI layouts and docker archives with tarfile, running ingot, and
reading the artifact it writes (src/artifact/format.h)."""
import hashlib
import io
import json
import os
import signal
import stat
import struct
import subprocess
import tarfile

SECTIONS = ["config", "inodes", "directory entries", "strings", "ledger", "code map", "data", "chunk hashes"]


# --- layers ---

def member(name, data=None, kind=None, mode=None, link="", uid=0, gid=0, mtime=1000000000, device=(0, 0), pax=None):
    m = tarfile.TarInfo(name)
    m.type = kind or (tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE)
    m.mode = mode if mode is not None else (0o755 if m.type == tarfile.DIRTYPE else 0o644)
    m.uid, m.gid, m.mtime, m.linkname = uid, gid, mtime, link
    m.devmajor, m.devminor = device
    if pax:
        m.pax_headers = pax
    data = data.encode() if isinstance(data, str) else (data or b"")
    m.size = len(data)
    return m, data


def symlink(name, target, **more):
    return member(name, kind=tarfile.SYMTYPE, link=target, mode=0o777, **more)


def hardlink(name, target):
    return member(name, kind=tarfile.LNKTYPE, link=target)


def layer(*members, format=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as t:
        for m, data in members:
            t.addfile(m, io.BytesIO(data))
    return out.getvalue()


def compressed(data, how):
    if how == "plain":
        return data
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    import bz2
    import gzip
    import lzma
    return {"gzip": lambda: gzip.compress(data, mtime=0), "bzip2": lambda: bz2.compress(data),
            "xz": lambda: lzma.compress(data)}[how]()


# --- images ---

def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    """An OCI image layout in a folder. What a test wants broken it changes in the files or through `edit`."""

    def __init__(self, path):
        self.path = path
        os.makedirs(path + "/blobs/sha256")
        self.manifests = []
        with open(path + "/oci-layout", "w") as f:
            f.write('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, data):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        with open(f"{self.path}/blobs/sha256/{hashlib.sha256(data).hexdigest()}", "wb") as f:
            f.write(data)
        return {"digest": digest(data), "size": len(data)}

    def image(self, layers, config=None, tag="latest", document=None, platform=None, edit=None):
        document = document if document is not None else {
            "architecture": "amd64", "os": "linux", "config": config or {"Cmd": ["/bin/sh"]}, "rootfs": {"type": "layers"}}
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **self.blob(document)},
                    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **self.blob(l)} for l in layers]}
        if edit:
            manifest = edit(manifest)
        d = {"mediaType": "application/vnd.oci.image.manifest.v1+json", **self.blob(manifest)}
        if tag:
            d["annotations"] = {"org.opencontainers.image.ref.name": tag}
        if platform:
            d["platform"] = platform
        self.manifests.append(d)
        self.index({"schemaVersion": 2, "manifests": self.manifests})
        return d

    def index(self, document):
        with open(self.path + "/index.json", "wb") as f:
            f.write(document if isinstance(document, bytes) else json.dumps(document).encode())


def pack(folder, archive):
    with tarfile.open(archive, "w") as t:
        for name in sorted(os.listdir(folder)):
            t.add(f"{folder}/{name}", name)
    return archive


def docker_archive(path, layers, config=None, tags=("test:latest",), manifest=None, extra=()):
    document = json.dumps({"architecture": "amd64", "os": "linux", "config": config or {"Cmd": ["/bin/sh"]}}).encode()
    name = hashlib.sha256(document).hexdigest() + ".json"
    members = [member(name, document)]
    names = []
    for i, data in enumerate(layers):
        names.append(f"layer{i}/layer.tar")
        members += [member(f"layer{i}/"), member(names[-1], data) if isinstance(data, bytes) else
                    symlink(names[-1], data)]
    members += list(extra)
    if manifest is None:
        manifest = [{"Config": name, "RepoTags": list(tags), "Layers": names}]
    members.append(member("manifest.json", json.dumps(manifest)))
    with open(path, "wb") as f:
        f.write(layer(*members))
    return path


# --- ELF ---

# write(1, "tiny\n", 5); exit_group(7), position-dependent at 0x400000.
TINY_CODE = bytes.fromhex("b801000000bf01000000" "be%s" "ba050000000f05" "b8e7000000bf070000000f05"
                          % struct.pack("<I", 0x400000 + 120 + 34).hex())


def tiny_elf(code=None, segments=None, **header):
    """A static executable of one segment, or with the fields given instead."""
    code = code if code is not None else TINY_CODE + b"tiny\n"
    h = dict(ident=b"\x7fELF\2\1\1" + bytes(9), type=2, machine=62, version=1, entry=0x400000 + 120, phoff=64, shoff=0,
             flags=0, ehsize=64, phentsize=56, phnum=None, shentsize=64, shnum=0, shstrndx=0)
    h.update(header)
    size = 120 + len(code)
    if segments is None:
        segments = [(1, 5, 0, 0x400000, 0x400000, size, size, 0x1000)]
    phnum = len(segments) if h["phnum"] is None else h["phnum"]
    out = h["ident"] + struct.pack("<HHIQQQIHHHHHH", h["type"], h["machine"], h["version"], h["entry"], h["phoff"],
                                   h["shoff"], h["flags"], h["ehsize"], h["phentsize"], phnum, h["shentsize"],
                                   h["shnum"], h["shstrndx"])
    out += b"".join(struct.pack("<IIQQQQQQ", *s) for s in segments)
    return out.ljust(120, b"\0") + code


# --- running ingot ---

class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def crashed(self):
        return (self.status < 0 or self.status > 2 or "AddressSanitizer" in self.err or "runtime error:" in self.err or
                "LeakSanitizer" in self.err)


def run(argv, timeout=60, env=None, **more):
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1", **(env or {})},
                         start_new_session=True, **more)
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, err = p.communicate()
        return Result(-999, out.decode(errors="replace"), err.decode(errors="replace") + "\n[timeout]")
    return Result(p.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


# --- artifacts ---

class Artifact:
    def __init__(self, path):
        self.data = data = open(path, "rb").read()
        magic, self.payload, self.header_sha, size, _ = struct.unpack("<QQ32sQQ", data[-64:])
        assert magic == 0x315450414d474e49 and size == len(data)
        self.header_size = 8 + 4 + 4 + 8 + 8 + 32 + 32 + 4 + 4 + 3 * 8 + 8 * 48
        head = data[self.payload:self.payload + self.header_size]
        assert hashlib.sha256(head).digest() == self.header_sha
        (_, self.version, count, self.payload_size, self.elf_size, self.elf_sha, self.megabinary, self.table_size,
         _, self.loaded, self.code, self.code_size) = struct.unpack("<QIIQQ32s32sIIQQQ", head[:128])
        assert count == 8
        self.sections = {}
        for i, name in enumerate(SECTIONS):
            offset, size, sha = struct.unpack("<QQ32s", head[128 + i * 48:176 + i * 48])
            self.sections[name] = (self.payload + offset, size, sha)
        self.config = json.loads(self.section("config"))
        self.inodes = []
        raw = self.section("inodes")
        for at in range(0, len(raw), 96):
            self.inodes.append(dict(zip(
                "mode uid gid nlink size mtime mtime_nsec major minor ledger data first count sha256".split(),
                struct.unpack("<IIIIQqIIIIQII32s", raw[at:at + 96]))))
        self.paths = {}
        self.walk(0, "")

    def section(self, name):
        at, size, _ = self.sections[name]
        return self.data[at:at + size]

    def string(self, offset):
        at, size, _ = self.sections["strings"]
        return os.fsdecode(self.data[at + offset:self.data.index(b"\0", at + offset)])

    def walk(self, inode, path):
        n = self.inodes[inode]
        self.paths[path or "/"] = inode
        if not stat.S_ISDIR(n["mode"]):
            return
        raw, last = self.section("directory entries"), b""
        for i in range(n["first"], n["first"] + n["count"]):
            name, child = struct.unpack("<II", raw[i * 8:i * 8 + 8])
            name = self.string(name)
            assert os.fsencode(name) > last, "directory entries must be sorted"
            last = os.fsencode(name)
            self.walk(child, f"{path}/{name}")

    def at(self, path):
        return self.inodes[self.paths[path]]

    def content(self, path):
        n = self.at(path)
        if stat.S_ISLNK(n["mode"]):
            return self.string(n["data"])
        at = self.sections["data"][0] + n["data"]
        data = self.data[at:at + n["size"]]
        assert hashlib.sha256(data).digest() == n["sha256"], path
        assert n["data"] % 4096 == 0
        return data
