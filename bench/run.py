#!/usr/bin/env python3
"""Measures ingot against native execution and qemu-user on the programs of the Debian test image.

usage: run.py --build DIR [--rounds N] [--only REGEX] [--quick] [--write]
Every number is a ratio within one run: native (chroot), qemu-x86_64 (chroot) and the artifacts in DIR take turns, round by round, and the
medians are compared: debian.ingot, which is "ingot" in the tables and what the bars are for, and where they exist debian-v3.ingot
(--cpu x86-64-v3) and debian-wasm.ingot (--backend wasm). Prints tables, checks the bars, and with --write puts the tables into
docs/performance.md. Exit status 1 when a bar is missed.
"""
import argparse
import datetime
import json
import math
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}

# Work that keeps one processor busy for a few tenths of a second natively: name, command for bash.
CPU = [
    ("lua fib", "lua5.4 -e 'local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end print(fib(31))'"),
    ("lua tables", "lua5.4 -e 'local s = 0 for r = 1, 12 do local t = {} for i = 1, 200000 do t[i] = i * r end "
                   "for i = 1, #t do s = s + t[i] % 7 end end print(s)'"),
    ("python calls", "python3 -c '\ndef f(n): return n if n < 2 else f(n-1) + f(n-2)\nprint(f(25))'"),
    ("python dicts", "python3 -c '\nd = {}\nfor i in range(600000): d[i * 7919 % 100003] = d.get(i % 1000, 0) + 1\n"
                     "print(len(d), sum(d.values()))'"),
    ("perl strings", "perl -e 'my $s = \"\"; my %h; for my $i (1..200000) { $s = \"k\" . ($i * 7 % 5003); $h{$s} .= chr(65 + $i % 26);"
                     " } my $n = 0; for (sort keys %h) { $n += () = $h{$_} =~ /[AEIOU]/g } print \"$n\\n\"'"),
    ("bash arithmetic", "s=0; for ((i = 0; i < 150000; i++)); do ((s = (s * 31 + i) % 1000003)); done; echo $s"),
    ("gzip", "gzip -6 < /bench/text > /dev/null; gzip -d < /bench/text.gz > /dev/null"),
    ("xz", "xz -2 -T1 < /bench/small > /dev/null; xz -dc /bench/text.xz > /dev/null"),
    ("sqlite3", "sqlite3 :memory: 'create table t(a integer primary key, b int, c text); with recursive n(i) as (select 1 union "
                "all select i + 1 from n where i < 150000) insert into t select i, i * 7919 % 10007, hex(i) from n; create index "
                "x on t(b); select count(*), sum(b), max(c) from t where b between 100 and 5000; select b, count(*) from t group "
                "by b order by 2 desc, 1 limit 3;'"),
    ("sort", "sort /bench/text | tail -1; sort -n -k2 /bench/numbers | tail -1"),
    ("sha256sum", "sha256sum /bench/big"),
    ("awk", "mawk '{ n[$1 % 1000] += $2; s += length($0) } END { for (i = 0; i < 5; i++) print n[i]; print s }' /bench/numbers"),
    ("grep and sed", "grep -cE '(ab|cd)[0-9]+f' /bench/text; sed -E 's/([a-f])([0-9])/\\2\\1/g' /bench/small | md5sum"),
]

# Made once, the same for all sides.
PREPARE = """mkdir -p /bench && cd /bench
seq 400000 | awk '{ printf "%08x %d line %s\\n", ($1 * 2654435761) % 4294967296, $1 * 7919 % 1000003, $1 }' > text
head -c 2000000 text > small
awk '{ print NR, $2 }' text > numbers
head -c 150000000 /dev/zero > big
gzip -k text && xz -1 -k text
"""

# The bars: a run's time is at most so many times the native one's, and the geometric mean of all.
MEAN, EACH = 1.20, 1.5
INTERPRETERS = dict.fromkeys(("lua fib", "lua tables", "python calls", "python dicts", "perl strings", "bash arithmetic"), 1.35)
COLD_SECONDS, COLD_MEMORY, CODE_PER_TEXT = 60, 1000, 2.0  # of the whole image on two processors; MB

FORKS = 300
SYSCALLS = 200000
SPECIAL = [
    # name, unit, command, how often it does the thing
    ("fork and exec", "us", "i=0; while [ $i -lt %d ]; do /bin/true; i=$((i + 1)); done" % FORKS, FORKS),
    ("fork and wait", "us", "i=0; while [ $i -lt %d ]; do (:); i=$((i + 1)); done" % FORKS, FORKS),
    ("fork with 256 MB written", "us", "perl -e '$x = \"a\" x 268435456; for (1..10) { if (!fork) { exec \"/bin/true\" } wait }'", 10),
    ("system call (1-byte read and write)", "us", "dd if=/dev/zero of=/dev/null bs=1 count=%d 2>/dev/null" % SYSCALLS,
     2 * SYSCALLS),
    ("pipe round trip", "us", "perl -e 'pipe A,B; pipe C,D; if (!fork) { close B; close C; while (sysread A,$x,1) { syswrite D,$x,1 } exit } close A; "
     "for (1..5000) { syswrite B,\"x\",1; sysread C,$x,1 } close B; wait'", 5000),
]
START = [("/bin/true", "/bin/true"), ("python3 -c pass", "python3 -c pass"), ("bash -c :", "bash -c :")]


ARTIFACTS = {"ingot": "debian.ingot", "v3": "debian-v3.ingot", "wasm": "debian-wasm.ingot"}


class Sides:
    """How to run one command line: natively, under qemu, in an artifact."""

    def __init__(self, build, work):
        self.image = build + "/debian"
        self.artifact = {side: f"{build}/{f}" for side, f in ARTIFACTS.items() if os.path.exists(f"{build}/{f}")}
        self.root = work + "/root"
        os.mkdir(self.root)
        for d in ("u", "w"):
            os.mkdir(f"{work}/{d}")
        subprocess.run(["mount", "-t", "overlay", "none", "-o", f"lowerdir={self.image},upperdir={work}/u,workdir={work}/w",
                        self.root], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", self.root + "/proc"], check=True)
        self.ingot = build + "/src/cli/ingot"
        self.bench = work + "/bench"
        self.qemu = self.find_qemu()
        subprocess.run(["chroot", self.root, "/bin/bash", "-c", PREPARE], env=ENV, check=True)
        shutil.copytree(self.root + "/bench", self.bench)
        self.all = ["native", *(["qemu"] if self.qemu else []), *self.artifact]

    def find_qemu(self):
        """qemu-user, put where the chroot sees it; the dynamic one brings its libraries along."""
        path = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
        if not path:
            return None
        os.makedirs(self.root + "/qemu/lib")
        shutil.copy(path, self.root + "/qemu/qemu")
        libraries = re.findall(r"=> (/\S+)", subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True).stdout)
        for l in libraries:
            shutil.copy(l, self.root + "/qemu/lib")
        if not libraries:
            return ["/qemu/qemu"]
        shutil.copy(os.path.realpath("/lib64/ld-linux-x86-64.so.2"), self.root + "/qemu/ld.so")
        # bash with a shim: every program that the shell starts must run under qemu too.
        return ["/qemu/ld.so", "--library-path", "/qemu/lib", "/qemu/qemu"]

    def argv(self, side, command):
        if side == "native":
            return ["chroot", self.root, "/bin/bash", "-c", command]
        if side == "qemu":
            return ["chroot", self.root, *self.qemu, "/bin/bash", "-c", command]
        return [self.ingot, "run", *[x for k, v in ENV.items() for x in ("--env", f"{k}={v}")], "--volume",
                f"{self.bench}:/bench:ro", self.artifact[side], "/bin/bash", "-c", command]

    def direct(self, side, program):
        """One program without a shell around it."""
        words = program.split()
        if side in self.artifact:
            return [self.artifact[side], *words]
        path = words[0] if "/" in words[0] else "/usr/bin/" + words[0]
        return ["chroot", self.root, *(self.qemu if side == "qemu" else []), path, *words[1:]]


def processor_time():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(argv):
    """Wall seconds, seconds of processor time, standard output, status."""
    start, before = time.perf_counter(), processor_time()
    p = subprocess.run(argv, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return time.perf_counter() - start, processor_time() - before, p.stdout, p.returncode


def exec_qemu(command, qemu):
    """qemu-user follows no execve without binfmt_misc: programs named in the command get qemu before them."""
    if not qemu:
        return command
    programs = "lua5.4 python3 perl gzip xz sqlite3 sort tail sha256sum mawk grep sed md5sum dd /bin/true".split()
    shims = "".join(f"{os.path.basename(p)}() {{ {' '.join(qemu)} {p if '/' in p else '/usr/bin/' + p} \"$@\"; }}; "
                    for p in programs)
    return shims + re.sub(r"(?<=do )/bin/true", "true", command)


def rounds(sides, name, argv_of, count, which, least=None):
    """Interleaved; the median of each side's wall-clock time. least: gets the smallest processor time of each, which says more where others
    use the machine as well."""
    times, outputs, broken = {s: [] for s in which}, {}, {}
    for r in range(count):
        for s in which:
            if s in broken:
                continue
            seconds, used, out, status = measure(argv_of(s))
            times[s].append(seconds)
            if least is not None:
                least[s] = min(used, least.get(s, math.inf))
            if status != 0:
                broken[s] = f"status {status}"
            elif outputs.setdefault("all", out) != out:
                broken[s] = "another output"
    for s, why in broken.items():
        print(f"  {name}: {s}: {why}", file=sys.stderr)
        times[s] = [math.nan]
        if least is not None:
            least[s] = math.nan
    return {s: statistics.median(t) if t else math.nan for s, t in times.items()}


def machine():
    model = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    memory = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read())[1]) // (1 << 20)
    return f"{model}, {os.cpu_count()} processors, {memory} GiB, Linux {platform.release()}"


def table(say, title, unit, sides, *more):
    """The head of a table, and what prints a row of it. more: names of further columns."""
    others = [s for s in sides if s != "native"]
    names = [title, *(f"{s} {unit}" for s in sides), *(f"{s} / native" for s in others), *more]
    say("| " + " | ".join(names) + " |")
    say("|---|" + "---:|" * (len(names) - 1))

    def row(name, t, digits, *values):
        say("| " + " | ".join([name, *(f"{t[s]:.{digits}f}" for s in sides), *(f"{t[s] / t['native']:.2f}" for s in others),
                               *(f"{v:.2f}" for v in values)]) + " |")
    return row


def image_build(sides, work):
    """Seconds, megabytes and code per text of a build of the whole image from nothing."""
    start = time.perf_counter()
    p = subprocess.run([sides.ingot, "build", "--cache", work + "/cold", "--report", work + "/report", sides.image, "-o", work + "/cold.ingot"],
                       stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    if p.returncode:
        print(p.stderr, file=sys.stderr)
        return None
    memory = re.search(r"peak memory (\d+) MB", p.stderr)
    made = json.loads(subprocess.run([sides.ingot, "inspect", "--json", work + "/cold.ingot"], stdout=subprocess.PIPE).stdout)
    sections = subprocess.run(["readelf", "-SW", work + "/cold.ingot"], stdout=subprocess.PIPE, text=True).stdout
    code = int(re.search(r" ingot_direct_text +PROGBITS +\S+ \S+ (\S+)", sections)[1], 16)
    return {"seconds": seconds, "memory": int(memory[1]) if memory else 0, "text": sum(p["text"] for p in made["programs"]), "code": code}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, no build speed")
    parser.add_argument("--only")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    count = 1 if args.quick else args.rounds
    work = tempfile.mkdtemp(prefix="ingot-bench-")
    wanted = lambda name: not args.only or re.search(args.only, name)
    lines, misses = [], []

    def say(line=""):
        print(line, flush=True)
        lines.append(line)

    sides = None
    try:
        sides = Sides(build, work)
        which = sides.all
        say(f"Measured on {datetime.date.today()}: {machine()}.")
        say(f"{count} interleaved rounds, medians where nothing else is said; every ratio is within one run. Reproduce with `make bench`. \"ingot\" is the direct backend for any "
            "x86-64-v2 host, \"v3\" the same with `--cpu x86-64-v3`, \"wasm\" the other backend.")
        say()
        say("Processor time, the smallest of the rounds; the last column is of wall-clock medians, where it shows what is done at the same time.")
        say()
        row = table(say, "CPU-bound run", "s", which, "ingot / native, wall")
        ratios = {s: [] for s in which[1:]}
        for name, command in CPU:
            if not wanted(name):
                continue
            t = {}
            wall = rounds(sides, name, lambda s: sides.argv(s, exec_qemu(command, sides.qemu) if s == "qemu" else command),
                          count, which, t)
            row(name, t, 3, wall["ingot"] / wall["native"])
            ratio = {s: t[s] / t["native"] for s in ratios}
            for s in ratios:
                ratios[s].append(ratio[s])
            if sides.qemu and not ratio["ingot"] < ratio["qemu"]:
                misses.append(f"{name}: not faster than qemu-user ({ratio['ingot']:.2f}, {ratio['qemu']:.2f})")
            if not ratio["ingot"] <= INTERPRETERS.get(name, EACH):
                misses.append(f"{name}: {ratio['ingot']:.2f} times native, bar {INTERPRETERS.get(name, EACH)}")
        if "v3" not in which:
            misses.append("there is no debian-v3.ingot (make artifact-v3)")
        if ratios["ingot"]:
            mean = {s: math.exp(sum(map(math.log, r)) / len(r)) for s, r in ratios.items()}
            say("| **geometric mean** |" + " |" * len(which) + "".join(f" **{mean[s]:.2f}** |" for s in ratios) + " |")
            if not mean["ingot"] <= MEAN:
                misses.append(f"geometric mean {mean['ingot']:.2f}, bar {MEAN}")
        say()
        row = table(say, "process start", "ms", which)
        for name, program in START:
            if not wanted(name):
                continue
            t = rounds(sides, name, lambda s: sides.direct(s, program), 4 * count, which)
            row(f"`{name}`", {s: v * 1e3 for s, v in t.items()}, 1)
            if name == "/bin/true" and not t["ingot"] <= 0.005:
                misses.append(f"`OUT /bin/true` takes {t['ingot'] * 1e3:.1f} ms, bar 5 ms")
        say()
        row = table(say, "the kernel's work", "us", which)
        for name, unit, command, times in SPECIAL:
            if not wanted(name):
                continue
            t = rounds(sides, name, lambda s: sides.argv(s, exec_qemu(command, sides.qemu) if s == "qemu" else command),
                       count, which)
            base = rounds(sides, name, lambda s: sides.argv(s, ":"), count, which)
            row(name, {s: max(t[s] - base[s], 1e-9) / times * 1e6 for s in which}, 2)
        if not args.quick and wanted("build"):
            b = image_build(sides, work)
            say()
            if b:
                say(f"Build of the whole Debian image, {b['text'] / 1e6:.1f} MB of x86 text, from nothing: {b['seconds']:.0f} s, peak memory {b['memory']} MB, "
                    f"{b['code'] / b['text']:.2f} bytes of code for one of text.")
                if b["seconds"] > COLD_SECONDS or b["memory"] > COLD_MEMORY or b["code"] > CODE_PER_TEXT * b["text"]:
                    misses.append(f"cold build: bars {COLD_SECONDS} s, {COLD_MEMORY} MB, {CODE_PER_TEXT}")
            else:
                misses.append("the image does not build")
            start = time.perf_counter()
            p = subprocess.run([sides.ingot, "build", "-q", "--cache", build + "/cache", sides.image, "-o", work + "/again"])
            warm = time.perf_counter() - start
            say(f"Rebuild of the whole Debian image from the cache: {warm:.1f} s.")
            if p.returncode or warm > 15:
                misses.append(f"rebuild from the cache: {warm:.1f} s, bar 15 s")
        say()
        for m in misses:
            say(f"- missed: {m}")
        if not misses:
            say(f"Every bar is met: each CPU-bound run faster than qemu-user and at most {EACH} times native, interpreters {INTERPRETERS['lua fib']}, "
                f"geometric mean {MEAN}; `/bin/true` within 5 ms; the build.")
        if args.write:
            docs = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../docs")
            os.makedirs(docs, exist_ok=True)
            with open(docs + "/performance.md", "w") as f:
                f.write("# Performance\n\nWritten by `bench/run.py --write`.\n\n" + "\n".join(lines) + "\n")
    finally:
        for m in ("/root/proc", "/root"):
            subprocess.run(["umount", "-l", work + m], stderr=subprocess.DEVNULL)
        shutil.rmtree(work, ignore_errors=True)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
