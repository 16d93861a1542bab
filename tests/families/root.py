"""Makes the root folder of a family: its programs, compiled here or taken from Debian's packages, and the libraries they load.

The head of a family's table (before its first case):
  quick                  part of `make check`; the others only of `make check-long`
  package NAME...        packages to take files from, unpacked (not installed) with all that they depend on
  take GLOB...           files and folders of those packages that become part of the root
  source NAME...         source packages to build from, unpacked below $SOURCES
  uses FAMILY...         whose files `build` reads too
  build COMMAND          run in the family's folder; puts what it makes below $ROOT. $PACKAGES: the unpacked packages
A library that an ELF file of the root needs (DT_NEEDED) is taken by itself. bash and some small tools are always there.
"""
import glob
import hashlib
import os
import shutil
import subprocess

BASE_PACKAGES = ["bash", "coreutils"]
BASE = ["/bin", "/lib", "/lib64", "/sbin", "/dev", "/lib64/ld-linux-x86-64.so.2", "/usr/bin/bash"] + ["/usr/bin/" + name for name in """
    base64 cat chmod cp cut date head ln ls mkdir mv od rm sha256sum sleep sort tail timeout touch tr uniq wc""".split()]
LIBRARIES = ["/usr/lib/x86_64-linux-gnu", "/usr/lib"]


def unpack(packages, out):
    """Debian's packages with what they depend on, without running anything of theirs; kept while the list is the same."""
    stamp, wanted = out + ".list", " ".join(packages)
    if os.path.exists(stamp) and open(stamp).read() == wanted:
        return
    shutil.rmtree(out, ignore_errors=True)
    pin = r'printf "Package: usrmerge\nPin: release *\nPin-Priority: -1\n" >"$1/etc/apt/preferences.d/merged"'
    p = subprocess.run(["mmdebstrap", "--quiet", "--variant=extract", "--include=" + ",".join(packages),
                        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "--setup-hook=" + pin, "bookworm", out],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode:
        raise SystemExit(f"mmdebstrap failed:\n{p.stdout}")
    with open(stamp, "w") as f:
        f.write(wanted)


def unpack_sources(names, packages, out):
    """Debian's source packages of those names, from where the packages came from; kept while the list is the same."""
    stamp, wanted = out + ".list", " ".join(names)
    if not names or os.path.exists(stamp) and open(stamp).read() == wanted:
        return
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out + "/lists/partial")
    with open(packages + "/etc/apt/sources.list") as f, open(out + "/sources.list", "w") as g:
        g.write("".join("deb-src " + line[4:] for line in f if line.startswith("deb ")))
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={out}/sources.list", "-o", "Dir::Etc::sourceparts=-",
           "-o", f"Dir::State::lists={out}/lists", "-o", "APT::Sandbox::User=root"]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "source", *names], cwd=out, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(out + "/lists")
    with open(stamp, "w") as f:
        f.write(wanted)


class Root:
    def __init__(self, packages, out):
        self.packages, self.out, self.taken = packages, out, set()

    def resolve(self, path):
        """The path in the package tree, its folders' links followed as from within that tree."""
        folder, name = os.path.split(path)
        if folder == "/":
            return path
        folder = self.resolve(folder)
        source = self.packages + folder
        if os.path.islink(source):
            folder = self.resolve(os.path.normpath(os.path.join(os.path.dirname(folder), os.readlink(source))))
        return os.path.join(folder, name)

    def take(self, path):
        path = self.resolve(path)
        source, target = self.packages + path, self.out + path
        if path in self.taken:
            return
        self.taken.add(path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
            linked = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(source)))
            if not linked.startswith("/proc") and os.path.lexists(self.packages + self.resolve(linked)):
                # A link to a folder: what is taken of the folder is asked for by its own name.
                if os.path.isdir(self.packages + self.resolve(linked)):
                    os.makedirs(self.out + self.resolve(linked), exist_ok=True)
                else:
                    self.take(linked)
        elif os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
            shutil.copystat(source, target)
            for name in sorted(os.listdir(source)):
                self.take(os.path.join(path, name))
        elif os.path.isfile(source):
            shutil.copy2(source, target)
        else:
            subprocess.run(["cp", "-a", source, target], check=True)  # a device

    def take_glob(self, pattern):
        found = glob.glob(self.packages + self.resolve(pattern))
        if not found:
            raise SystemExit(f"{pattern}: no package has it")
        for f in sorted(found):
            self.take(f[len(self.packages):])

    def elf_files(self):
        for folder, _, names in os.walk(self.out):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as f:
                        if f.read(4) == b"\x7fELF":
                            yield path

    def take_needed(self):
        """Libraries until nothing is missing."""
        seen, available = set(), {}
        while True:
            fresh = [f for f in self.elf_files() if f not in seen]
            if not fresh:
                return
            seen.update(fresh)
            listing = subprocess.run(["readelf", "-d", *fresh], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                     text=True).stdout
            needed = {line.split("[")[1].rstrip("]\n") for line in listing.splitlines() if "(NEEDED)" in line}
            for name in sorted(needed):
                for folder in LIBRARIES:
                    if os.path.lexists(self.out + self.resolve(f"{folder}/{name}")):
                        break  # built here
                    if os.path.lexists(self.packages + self.resolve(f"{folder}/{name}")):
                        self.take(f"{folder}/{name}")
                        break


def digest(folders, head):
    """Of all that a root is made from, the packages aside."""
    h = hashlib.sha256("\n".join(head).encode())
    for folder in folders:
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and name != "table.txt":
                h.update(name.encode() + b"\0" + open(path, "rb").read())
    return h.hexdigest()


def make(source, head, work):
    """The root of the family in folder source, below work; returns its path and what changes when its contents may."""
    words = [line.split(None, 1) for line in head if line.strip() and not line.startswith("#")]
    packages, sources, out = work + "/packages", work + "/sources", work + "/root"
    wanted = BASE_PACKAGES + [p for w in words if w[0] == "package" for p in w[1].split()]
    unpack(wanted, packages)
    unpack_sources([p for w in words if w[0] == "source" for p in w[1].split()], packages, sources)
    folders = [source] + [f"{source}/../{f}" for w in words if w[0] == "uses" for f in w[1].split()]
    version = digest(folders, head) + " " + str(os.stat(packages + ".list").st_mtime_ns)
    stamp = work + "/version"
    if os.path.exists(stamp) and open(stamp).read() == version:
        return out, version
    shutil.rmtree(out, ignore_errors=True)
    root = Root(packages, out)
    for path in BASE:
        root.take(path)
    for folder in ("etc", "proc", "sys", "root", "run", "tmp", "usr/local/bin", "usr/local/sbin", "usr/sbin", "var/tmp"):
        os.makedirs(f"{out}/{folder}", exist_ok=True)
    os.chmod(out + "/tmp", 0o1777)
    with open(out + "/etc/passwd", "w") as f:
        f.write("root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
    with open(out + "/etc/group", "w") as f:
        f.write("root:x:0:\nnogroup:x:65534:\n")
    environment = {**os.environ, "ROOT": out, "PACKAGES": packages, "SOURCES": sources}
    for directive, *rest in words:
        if directive == "take":
            for pattern in rest[0].split():
                root.take_glob(pattern)
        elif directive == "build":
            subprocess.run(["sh", "-ec", rest[0]], cwd=source, check=True, env=environment)
        elif directive not in ("quick", "package", "source", "uses"):
            raise SystemExit(f"{source}: unknown directive {directive}")
    root.take_needed()
    with open(stamp, "w") as f:
        f.write(version)
    return out, version
