#!/usr/bin/env python3
"""ingot run --lockstep: code objects that were made wrong by one operation, and rewritten code by one instruction, must be found, by the address
of the instruction; what is right must run to its end. --lockstep=OTHER: two artifacts, of which one is wrong, must be told apart at the system call
that gets what is wrong; of either backend, right, they must run to their end.

usage: lockstep.py --ingot FILE [--artifact FILE]...   (the Debian image, of either backend, for the programs of a distribution)
Ends with a line "N passed, N failed".
"""
import argparse
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DIFFERENCE = 125
passed = failed = 0

PROGRAMS = {
    "bash": ["bash", "-c", "f() { local i s=0; for ((i = 0; i < 2000; i++)); do s=$((s + i * i % 7)); done; echo $s; }; f; x=abc; "
             "echo ${x/b/Z} ${#x}; for w in a b c; do echo $w; done | while read l; do echo got $l; done"],
    "sort": ["sh", "-c", "for i in 5 3 9 1 7 77 12; do echo \"$i x$i\"; done | sort -k2 -r | sort -n"],
    "awk": ["awk", 'BEGIN { for (i = 0; i < 20000; i++) { s += sin(i) * i; a[i % 100] = s }; printf "%.6f %d\\n", s, length(a); '
            'print toupper("abc"), substr("hello", 2, 3) }'],
    "lua": ["lua5.4", "-e", "local t = {} for i = 1, 20000 do t[i] = (i * 7919) % 10007 end table.sort(t) "
            "print(t[1], t[100], #t, string.format('%5.2f %s', math.pi, ('x'):rep(5)))"],
    "perl": ["perl", "-e", 'my %h; for my $i (1..3000) { $h{$i % 97} .= chr(65 + $i % 26); } print join(",", map { length $h{$_} } '
             'sort { $a <=> $b } keys %h), "\\n"; my $s = "the quick brown fox"; $s =~ s/(\\w+)/\\u$1/g; printf "$s %.10g\\n", sqrt(2);'],
    "python": ["python3", "-c", "print(sum(i * i for i in range(1000)), {str(k): k for k in range(5)})"],
}


RIGHT = ["control", "repeated", "faults"]
BOTH = ["control", "repeated"]  # compiled code does not know all registers at faults


def check(what, ok, detail=""):
    global passed, failed
    passed += bool(ok)
    failed += not ok
    if not ok:
        print(f"FAIL {what}: {detail}")


def sleb(v):
    out = bytearray()
    while True:
        b, v = v & 0x7f, v >> 7
        if (v == 0 and not b & 0x40) or (v == -1 and b & 0x40):
            return bytes(out) + bytes([b])
        out.append(b | 0x80)


# Of code objects: label, bytes to be found (a constant, and what follows within some bytes), and those to be put there: add to sub, and
# so on.
WRONG_WASM = [
    ("straight", sleb(0x11223344), b"\x7c", b"\x7d"),  # with the 3 of the lea
    ("loop", sleb(0x11223342), b"\x6a", b"\x6b"),
    ("flag", sleb(0x11223343), b"\x54", b"\x5a"),
    ("store", "cells+0x4321", b"\x36\x00\x00", b"\x3b\x00\x00"),
    ("vector", sleb(0x1122334455667744), b"\xfd\x6e", b"\xfd\x71"),
]


# Of rewritten code: label, bytes of instructions, and how many of them in front are others instead. The address of a cell is told by its name.
WRONG_DIRECT = [
    ("straight", b"\x48\x05\x41\x33\x22\x11", b"\x48\x2d"),
    ("loop", b"\x81\xc1\x42\x33\x22\x11", b"\x81\xe9"),
    ("flag", b"\x48\x3d\x43\x33\x22\x11", b"\x48\xa9"),  # TEST: no carry
    ("store", b"\x89\x04\x25cells+0x4321", b"\x88"),
    ("vector", b"\x66\x0f\xfc\xca", b"\x66\x0f\xf8"),
    ("push", b"\x65\x67\x4d\x89\x73\xf8", b"\x65\x67\x4d\x89\x6b"),  # r13 for r14
]


def make_wrong(data, near, old, new):
    """Replaces, behind each occurrence of near, the next old if it is close."""
    data, at, count = bytearray(data), 0, 0
    while True:
        at = data.find(near, at)
        if at < 0:
            return bytes(data), count
        place = data.find(old, at + len(near), at + 48)
        if place >= 0:
            data[place:place + len(old)] = new
            count += 1
        at += 1


def labels(path):
    out = subprocess.run(["nm", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {m[2]: int(m[1], 16) for m in re.finditer(r"^(\w+) \w (\w+)$", out, re.M)}


def wrong_wasm(right, address):
    """For each case its label, the code object with it, and how often."""
    for label, near, old, new in WRONG_WASM:
        if isinstance(near, str):
            name, offset = near.split("+")
            near = sleb(address[name] + int(offset, 16))
        yield label, *make_wrong(right, near, old, new)


def wrong_direct(right, address):
    cell = (address["cells"] + 0x4321).to_bytes(4, "little")
    for label, old, new in WRONG_DIRECT:
        old = old.replace(b"cells+0x4321", cell)
        yield label, right.replace(old, new + old[len(new):]), right.count(old)


BACKENDS = {"wasm": ("/objects/*.wasm", wrong_wasm), "direct": ("/native/*.0.o", wrong_direct)}


def compile_bare(root, name):
    os.makedirs(root, exist_ok=True)
    subprocess.run(["cc", "-O2", "-static", "-nostdlib", "-fno-stack-protector", "-Wall", "-Wextra", "-Werror", "-o",
                    f"{root}/{name}", f"{HERE}/{name}.c"], check=True)


def compare_processes(ingot, folder):
    """Many processes, on both backends, and twice: what differs from run to run is the same."""
    root = folder + "/calls"
    compile_bare(root, "calls")
    for backend in BACKENDS:
        subprocess.run([ingot, "build", "-q", "--backend", backend, "--cache", folder + "/cache", root, "-o", f"{root}.{backend}"], check=True)
    first, second = (subprocess.run([ingot, "run", f"--lockstep={root}.wasm", root + ".direct", "/calls"], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, timeout=100) for _ in range(2))
    check("processes", (first.returncode, first.stdout.count("ended"), first.stderr) == (3, 4, ""), first)
    check("processes: a run is repeatable", first.stdout == second.stdout, second)


def find_wrong(ingot, folder, backend):
    root, cache, out = folder + "/root", folder + "/wrong-" + backend, folder + "/out"
    compile_bare(root, "wrong")
    build = [ingot, "build", "-q", "--backend", backend, "--cache", cache, root, "-o", out]
    run = [ingot, "run", "--lockstep", out, "/wrong"]
    subprocess.run(build, check=True)
    r = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    expected = subprocess.run([root + "/wrong"], stdout=subprocess.PIPE, text=True).stdout
    check(f"{backend}: right", (r.returncode, r.stdout, r.stderr) == (0, expected, ""), r)
    files, all_wrong = BACKENDS[backend]
    [object_path] = glob.glob(cache + files)
    with open(object_path, "rb") as f:
        right = f.read()
    right_out = shutil.copy(out, folder + "/right-" + backend)
    address = labels(root + "/wrong")
    for name, wrong, count in all_wrong(right, address):
        label = f"{backend} {name}"
        check(f"{label}: made wrong", count > 0)
        with open(object_path, "wb") as f:
            f.write(wrong)
        with open(object_path + ".sum", "w") as f: # or the cache would not believe it
            f.write(hashlib.sha256(wrong).hexdigest() + "\n")
        subprocess.run(build, check=True)
        plain = subprocess.run([ingot, "run", out, "/wrong"], stdout=subprocess.PIPE, text=True)
        check(f"{label}: the result is wrong", plain.stdout != expected)
        r = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        at = address["at_" + name]
        check(f"{label}: status", r.returncode == DIFFERENCE, r.returncode)
        check(f"{label}: the program's name", "evaluator differ in wrong[1]" in r.stderr, r.stderr[:300])
        check(f"{label}: the instruction is marked", re.search(rf"^ *=?> +{at:#x} ", r.stderr, re.M), r.stderr[:3000])
        if (backend, name) != ("wasm", "flag"):  # there the branch is named, and what it depends on is marked
            check(f"{label}: it is named first", f"first wrong: instruction {at:#x} /wrong+{at:#x}\n" in r.stderr, r.stderr[:3000])
        both = subprocess.run([ingot, "run", "--lockstep=" + right_out, out, "/wrong"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        check(f"{label}: another artifact: status", both.returncode == DIFFERENCE, both.returncode)
        check(f"{label}: another artifact: the call", re.search(r"differ at system call \d+\n(.*\n)*.* wrong\[1\]: write\(1, ", both.stderr), both.stderr[:3000])

def run_right(ingot, artifact, name, argv):
    plain = subprocess.run([ingot, "run", artifact, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    r = subprocess.run([ingot, "run", "--lockstep", artifact, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=300)
    check(f"{name} runs", plain.returncode == 0, plain)
    check(name, (r.returncode, r.stdout, r.stderr) == (plain.returncode, plain.stdout, plain.stderr),
          (r.returncode, r.stdout[-300:], r.stderr[:3000].decode(errors="replace")))
    r = subprocess.run([ingot, "run", "--lockstep", "--stats", artifact, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=300)
    compared = re.search(r"^lockstep: (\d+) checks", r.stderr, re.M)
    check(f"{name}: something was compared", compared and int(compared[1]) > 10, r.stderr[:300])


def run_both(ingot, artifact, other, name, argv):
    r = subprocess.run([ingot, "run", "--lockstep=" + other, artifact, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=300)
    plain = subprocess.run([ingot, "run", artifact, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check(f"{name} on both", (r.returncode, r.stdout, r.stderr) == (plain.returncode, plain.stdout, plain.stderr),
          (r.returncode, r.stdout[-300:], r.stderr[:3000].decode(errors="replace")))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--artifact", action="append", default=[])
    args = parser.parse_args()
    ingot = os.path.abspath(args.ingot)
    with tempfile.TemporaryDirectory(prefix="ingot-lockstep-") as folder:
        for backend in BACKENDS:
            find_wrong(ingot, folder, backend)
        compare_processes(ingot, folder)
        root = folder + "/right"
        os.mkdir(root)
        for name in RIGHT:
            subprocess.run(["cc", "-O2", "-static", "-Wall", "-Wextra", "-o", f"{root}/{name}", f"{HERE}/{name}.c"], check=True)
        for backend in BACKENDS:
            subprocess.run([ingot, "build", "-q", "--backend", backend, "--cache", folder + "/cache", root, "-o", folder + "/" + backend],
                           check=True)
            for name in RIGHT:
                run_right(ingot, folder + "/" + backend, f"{backend} {name}", ["/" + name])
        for name in BOTH:
            run_both(ingot, folder + "/direct", folder + "/wasm", name, ["/" + name])
    for artifact in args.artifact:
        for name, argv in PROGRAMS.items():
            run_right(ingot, artifact, f"{os.path.basename(artifact)} {name}", argv)
    if len(args.artifact) == 2:
        for name, argv in PROGRAMS.items():
            run_both(ingot, *args.artifact, name, argv)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
