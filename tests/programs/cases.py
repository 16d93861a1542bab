"""Test cases as command lines: read from a table, run natively (chroot into a root filesystem) and in ingot, compared to the
byte. For run.py (the Debian test image) and ../families/run.py.

A table:
  === NAME [quick] [mask=REGEX]...
  script for bash -c, run in an empty folder /w as root, stdin from /dev/null

quick: also run under every stress mode by `make check`. mask: what matches (times, pids) is replaced by "#".
"""
import concurrent.futures
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "HOSTNAME": "ingot",
       "TERM": "dumb"}
TIMEOUT = 120


# Whoever runs this in the background or under nohup ignores signals, and so would all programs natively.
signal.signal(signal.SIGINT, signal.default_int_handler)
for ignored in signal.SIGHUP, signal.SIGQUIT:
    signal.signal(ignored, signal.SIG_DFL)


def load(path):
    """The cases of a table, and the lines that stand before the first."""
    head, cases, current = [], [], None
    for line in open(path, encoding="utf-8"):
        if line.startswith("=== "):
            name, *flags = line[4:].split()
            current = {"name": name, "quick": "quick" in flags, "masks": [f[5:] for f in flags if f.startswith("mask=")],
                       "script": ""}
            cases.append(current)
        elif current is not None:
            current["script"] += line
        else:
            head.append(line.rstrip("\n"))
    names = [c["name"] for c in cases]
    if len(set(names)) != len(names):
        sys.exit(f"{path}: two cases have one name: " + " ".join(sorted({n for n in names if names.count(n) > 1})))
    return head, cases


def finish(process, timeout):
    try:
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        return "timeout", out, err


def decode(result):
    status, out, err = result
    return {"status": status, "out": out.decode("utf-8", "backslashreplace"),
            "err": err.decode("utf-8", "backslashreplace")}


def wrap(script):
    return "mkdir -p /w && cd /w || exit 99\n" + script


# A private overlay of the root filesystem, its own mounts, pids and host name; what it leaves goes with the tmpfs.
SETUP = """set -e
mount -t tmpfs none "$2"
mkdir "$2/u" "$2/w" "$2/r"
mount -t overlay none -o lowerdir="$1",upperdir="$2/u",workdir="$2/w" "$2/r"
mount -t proc proc "$2/r/proc"
mount -t devpts devpts "$2/r/dev/pts" -o newinstance,ptmxmode=0666
mount --bind "$2/r/dev/pts/ptmx" "$2/r/dev/ptmx"
mount -t tmpfs none "$2/r/dev/shm"
mount -t tmpfs none "$2/r/tmp" -o mode=1777
hostname ingot
ip link set lo up 2>/dev/null || true
umask 022
ulimit -S -c 0
exec chroot --groups= "$2/r" /bin/bash -c "$3"
"""
NAMESPACES = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "--kill-child"]


def guest_script(case):
    """What pid 1 is asked to do: the case in a child, because a pid 1 ignores the signals it does not handle."""
    return "bash -c '" + wrap(case["script"]).replace("'", "'\\''") + "'; exit $?"


def run_native(rootfs, case):
    with tempfile.TemporaryDirectory(prefix="ingot-native-") as mount_point:
        p = subprocess.Popen([*NAMESPACES, "sh", "-c", SETUP, "sh", rootfs, mount_point, guest_script(case)], env=ENV,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             start_new_session=True)
        result = decode(finish(p, TIMEOUT))
        if result["err"].startswith(("chroot:", "unshare:", "mount:")): # nothing of the case ran: not to be remembered
            raise SystemExit(f"{rootfs}: {result['err']}")
        return result


def run_ingot(args, case):
    options = ["--hostname", "ingot"]
    if args.stress:
        options += ["--stress", args.stress]
    if args.cpus:
        options += ["--cpus", args.cpus]
    if args.stats:
        options += [f"--stats={args.stats}"]
    for k, v in ENV.items():
        options += ["--env", f"{k}={v}"]
    # Lines of ingot's own, of a JIT that was refused and given up for example, are not the program's.
    p = subprocess.Popen([args.ingot, "run", "--quiet", *options, args.artifact, "/bin/bash", "-c", guest_script(case)],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    return decode(finish(p, TIMEOUT * (4 if args.stress else 1)))


# What bash says of a job that a signal ended: "bash: line 3:    11 Killed ...".
JOB = re.compile(r"(line \d+:) +\d+ ")


def mask(result, masks):
    result = dict(result)
    for k in ("out", "err"):
        result[k] = JOB.sub(r"\1 # ", result[k])
        for m in masks:
            result[k] = re.sub(m, "#", result[k])
    return result


class Expected:
    """Native results, kept beside the root filesystem they belong to. image: what changes when that does."""

    def __init__(self, rootfs, image):
        self.rootfs, self.image, self.path = rootfs, image, rootfs.rstrip("/") + ".expected.json"
        try:
            self.results = json.load(open(self.path))
        except (OSError, ValueError):
            self.results = {}

    def key(self, case):
        return hashlib.sha256(json.dumps([case["name"], case["script"], ENV, self.image]).encode()).hexdigest()

    def get(self, case):
        key = self.key(case)
        if key not in self.results:
            self.results[key] = run_native(self.rootfs, case)
        return self.results[key]

    def save(self):
        with open(self.path + ".tmp", "w") as f:
            json.dump(self.results, f)
        os.replace(self.path + ".tmp", self.path)


CONTEXT = 3  # lines before the first that differs
WIDTH = 240


def shorten(line, other):
    """The part of a long line where it leaves the other."""
    at = next((i for i, (a, b) in enumerate(zip(line, other)) if a != b), min(len(line), len(other)))
    start = max(0, at - WIDTH // 3) if len(line) > WIDTH else 0
    return ("..." if start else "") + repr(line[start:start + WIDTH]) + ("..." if len(line) > start + WIDTH else "")


def print_difference(a_name, a, b_name, b):
    """Status, and of each output the first line that differs: its number, both, and what comes before and after."""
    width = max(len(a_name), len(b_name))
    if a["status"] != b["status"]:
        print(f"  status: {a_name} {a['status']}, {b_name} {b['status']}")
    for k in ("out", "err"):
        if a[k] == b[k]:
            continue
        left, right = a[k].split("\n"), b[k].split("\n")
        n = next((i for i, (x, y) in enumerate(zip(left, right)) if x != y), min(len(left), len(right)))
        print(f"  {k}, line {n + 1} of {len(left)} ({a_name}) and {len(right)} ({b_name}):")
        for line in left[max(0, n - CONTEXT):n]:
            print(f"    {'':{width}}  {line[:WIDTH]!r}")
        for name, mine, other in (a_name, left, right), (b_name, right, left):
            shown = shorten(mine[n], other[n] if n < len(other) else "") if n < len(mine) else "(ends)"
            print(f"    {name:{width}}: {shown}")
            for line in mine[n + 1:n + 3]:
                print(f"    {'':{width}}  {line[:WIDTH]!r}")


def check_native(args, expected, cases):
    """Each case twice; different results mean that the case cannot be used to compare with."""
    failed = []

    def one(case):
        expected.results[expected.key(case)] = raw = run_native(args.rootfs, case)
        return case, mask(raw, case["masks"]), mask(run_native(args.rootfs, case), case["masks"])

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for case, first, second in pool.map(one, cases):
            if first != second or first["status"] == "timeout":
                failed.append(case["name"])
                print(f"FAIL {case['name']}: not deterministic natively")
                print_difference("first", first, "second", second)
            if args.show:
                print(f"--- {case['name']}: {first['status']}\n{first['out'][:600]}", end="")
                if first["err"]:
                    print("[stderr] " + first["err"][:400], end="")
    return failed


def check_ingot(args, expected, cases):
    failed = []

    def one(case):
        want = mask(expected.get(case), case["masks"])
        start = time.monotonic()
        return case, want, mask(run_ingot(args, case), case["masks"]), time.monotonic() - start

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for case, want, have, seconds in pool.map(one, cases):
            if want == have:
                if args.verbose:
                    print(f"ok   {case['name']} ({seconds:.1f} s)")
            else:
                failed.append(case["name"])
                print(f"FAIL {case['name']}" + (f" (--stress {args.stress})" if args.stress else ""))
                print_difference("native", want, "ingot", have)
            sys.stdout.flush()
    return failed


def add_options(parser):
    parser.add_argument("--native-only", action="store_true", help="run each case twice natively and compare")
    parser.add_argument("--show", action="store_true", help="with --native-only: print the results")
    parser.add_argument("--quick", action="store_true", help="only the cases marked quick")
    parser.add_argument("--stress", help="unwind, budget, evaluate or migrate")
    parser.add_argument("--cpus", help="processors of the container")
    parser.add_argument("--stats", help="append the stats record of each case to this file")
    parser.add_argument("--only", metavar="REGEX", help="names of cases")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("-v", "--verbose", action="store_true")


def run(args, cases, image):
    """The cases that args asks for, over args.rootfs and args.artifact; returns how many passed and how many failed."""
    cases = [c for c in cases if (not args.quick or c["quick"]) and (not args.only or re.search(args.only, c["name"]))]
    expected = Expected(args.rootfs, image)
    failed = (check_native if args.native_only else check_ingot)(args, expected, cases)
    expected.save()
    if failed:
        print("failed:", " ".join(failed))
    return len(cases) - len(failed), len(failed)
