#!/usr/bin/env python3
"""Measures what a second processor is worth to a container, and what fork costs, natively and in ingot.

usage: smp.py --build DIR [--rounds N] [--only REGEX] [--check]
Each row is work that is done by one thread or process at a time, and by two at the same time. The speed-up is the first's time divided
by the second's. Natively and in ingot all four take turns, round by round, and medians are compared, so that what else runs
on the machine concerns all of them. What counts is the last column: ingot's speed-up divided by the native one. --check: exit status 1 when
a bar is missed. DIR holds the built tree, debian/ and debian.ingot, and for the row of make its family
(tests/families/run.py --build DIR --family '^make$' --make-only). In ingot everything of this table runs with --cpus 2.

A second table says what fork costs, with one processor and with two: the smallest time of many, and the bar is the native one.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

# Two halves of the same work, in memory of their own and with none: what a second processor gives when nobody waits for anybody.
COMPUTE = r"""
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t results[2];

static void *
half(void *argument)
{
    uint64_t *result = argument, a = 1, sum = 0;
    uint32_t *table = malloc(1 << 16);

    memset(table, 1, 1 << 16);
    for (long i = 0; i < 320000000; i++) { /* so long that a start does not count */
        a = a * 6364136223846793005u + 1442695040888963407u;
        sum += table[a >> 50] ^= (uint32_t)(a >> 32);
    }
    free(table);
    *result = sum;
    return NULL;
}

int
main(int argc, char **argv)
{
    pthread_t thread;

    if (argc != 2)
        return 2;
    if (!strcmp(argv[1], "threads")) {
        pthread_create(&thread, NULL, half, &results[1]);
        half(&results[0]);
        pthread_join(thread, NULL);
    } else if (!strcmp(argv[1], "processes")) {
        int status = 1;

        if (fork() == 0) {
            half(&results[1]);
            _exit(results[1] == 0);
        }
        half(&results[0]);
        wait(&status);
        results[1] = status ? 0 : results[0];
    } else {
        half(&results[0]);
        half(&results[1]);
    }
    printf("%llu\n", (unsigned long long)(results[0] ^ (results[1] << 1)));
    return 0;
}
"""

# What fork costs: the smallest of many, in nanoseconds.
FORKS = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, LARGE = 256 << 20 };
static char **self;
static char *memory;

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
write_all(int value)
{
    for (size_t at = 0; at < LARGE; at += PAGE)
        memory[at] = (char)value;
}

static uint64_t
small(int execs)
{
    uint64_t start = now();
    pid_t pid = fork();

    if (pid == 0) {
        if (execs)
            execv(self[0], (char *[]){self[0], NULL});
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return now() - start;
}

/* How long fork takes, or with `writes` how long each first write does while the child lives. */
static uint64_t
large(int writes)
{
    uint64_t start, taken;
    int ends[2];
    pid_t pid;

    memory = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, LARGE, MADV_NOHUGEPAGE);
    write_all(1);
    if (pipe(ends) < 0)
        exit(1);
    start = now();
    pid = fork();
    taken = now() - start;
    if (pid == 0) {
        close(ends[1]);
        _exit(read(ends[0], memory, 1) != 0);
    }
    if (writes) {
        start = now();
        write_all(2);
        taken = (now() - start) / (LARGE / PAGE);
    }
    close(ends[0]);
    close(ends[1]);
    waitpid(pid, NULL, 0);
    munmap(memory, LARGE);
    return taken;
}

int
main(int argc, char **argv)
{
    uint64_t least = UINT64_MAX, t;
    int count = argc > 2 ? atoi(argv[2]) : 0;

    self = argv;
    for (int i = 0; i < count; i++) {
        t = !strcmp(argv[1], "wait") ? small(0) : !strcmp(argv[1], "exec") ? small(1) : large(!strcmp(argv[1], "writes"));
        least = t < least ? t : least;
    }
    if (count)
        printf("%llu\n", (unsigned long long)least);
    return 0;
}
"""
# Name, what to do, how often in a run, and what it may take: so many times the native time, or so many microseconds.
FORK_ROWS = [
    ("fork and wait", "wait", 300, 1.0, None),
    ("fork and exec", "exec", 100, 1.0, None),
    ("fork with 256 MiB written", "large", 5, 1.0, None),
    ("first write to a page after it", "writes", 3, None, 3.0),
]

# Name; the commands for bash by one and by two; the least that ingot's speed-up may be of the native one's.
COMPUTING, WORKING = 0.93, 1 / 1.1
ROWS = [
    ("two computing threads", "/compute one", "/compute threads", COMPUTING),
    ("two computing processes", "/compute one", "/compute processes", COMPUTING),
    ("sort", "sort --parallel=1 -S 300M {text} | tail -1", "sort --parallel=2 -S 300M {text} | tail -1", WORKING),
    ("xz", "xz -1 -T1 --block-size=1MiB -c {text} > /tmp/z && xz -dc /tmp/z | md5sum", "xz -1 -T2 --block-size=1MiB -c {text} > /tmp/z && xz -dc /tmp/z | md5sum", WORKING),
    # What make -j2 does: a process for each file, two at a time.
    ("a process for each file", "seq 16 | xargs -P1 -I@ {one_file} | wc -l", "seq 16 | xargs -P2 -I@ {one_file} | wc -l", WORKING),
    ("a pipeline", "gzip -1 < {text} > /tmp/z; gzip -d < /tmp/z | wc -c; rm /tmp/z", "gzip -1 < {text} | gzip -d | wc -c", WORKING),
]
# The same with programs that Debian's image does not have: in the root and the artifact of a family of tests/families.
MAKE = "cp -r /opt/project /tmp/p && make -s -j{jobs} -C /tmp/p/src CC=gcc posix > /tmp/log 2>&1 && sha256sum < /tmp/p/src/lua && rm -r /tmp/p"
FAMILY_ROWS = [("make of a C project", MAKE.format(jobs=1), MAKE.format(jobs=2), WORKING)]
FAMILY = "make"
WORDS = {"text": "/bench/text", "one_file": "bash -c \"gzip -4 < /bench/small | md5sum\""}


class Family:
    """A family's root, natively with a layer of its own above it, and its artifact. They are made by
    tests/families/run.py --build DIR --family '^make$' --make-only"""

    def __init__(self, build, name, work):
        self.ingot, self.artifact, self.root = build + "/src/cli/ingot", f"{build}/families/{name}/artifact", f"{work}/family/root"
        for folder in ("root", "u", "w"):
            os.makedirs(f"{work}/family/{folder}")
        subprocess.run(["mount", "-t", "overlay", "none", "-o",
                        f"lowerdir={build}/families/{name}/root,upperdir={work}/family/u,workdir={work}/family/w", self.root], check=True)

    @staticmethod
    def made(build, name):
        return os.path.exists(f"{build}/families/{name}/artifact")

    def argv(self, side, command):
        if side == "native":
            return ["chroot", self.root, "/bin/bash", "-c", command]
        return [self.ingot, "run", *[x for k, v in run.ENV.items() for x in ("--env", f"{k}={v}")], self.artifact, "/bin/bash", "-c", command]


def own_artifact(sides, work):
    """The programs as an artifact of their own, and in the native root."""
    folder = work + "/own"
    os.makedirs(folder + "/root/tmp")
    for name, text in (("compute", COMPUTE), ("forks", FORKS)):
        with open(f"{folder}/{name}.c", "w") as f:
            f.write(text)
        subprocess.run(["cc", "-O2", "-static", "-pthread", "-o", f"{folder}/root/{name}", f"{folder}/{name}.c"], check=True)
        subprocess.run(["cp", f"{folder}/root/{name}", f"{sides.root}/{name}"], check=True)
    subprocess.run([sides.ingot, "build", "-q", "--cache", folder + "/cache", folder + "/root", "-o", folder + "/artifact"], check=True)
    return folder + "/artifact"


def arguments(sides, artifact, cpus, side, command):
    command = command.format(**WORDS)
    if side == "ingot" and command.startswith("/compute"):
        return [sides.ingot, "run", *cpus, artifact, *command.split()]
    argv = sides.argv(side, command)
    return argv if side == "native" else [*argv[:2], *cpus, *argv[2:]]


def measure(sides, artifact, cpus, row, rounds):
    """Median seconds by side and number of processors that are asked for; None when a run fails or says something else."""
    name, *commands, _ = row
    times, said = {}, {}
    for _ in range(rounds):
        for side in ("native", "ingot"):
            for number, command in enumerate(commands, 1):
                seconds, _, out, status = run.measure(arguments(sides, artifact, cpus, side, command))
                if status != 0 or said.setdefault("all", out) != out:
                    print(f"  {name}: {side}, {number}: " + (f"status {status}" if status else "another output"), file=sys.stderr)
                    return None
                times.setdefault((side, number), []).append(seconds)
    return {key: statistics.median(t) for key, t in times.items()}


def table(rows, sides, artifact, cpus, args):
    """Prints the rows that are wanted. Returns how many bars are missed."""
    missed = 0
    for row in rows:
        if not re.search(args.only, row[0]):
            continue
        t = measure(sides, artifact, cpus, row, args.rounds)
        if not t:
            missed += 1
            continue
        native, ingot = t["native", 1] / t["native", 2], t["ingot", 1] / t["ingot", 2]
        low = ingot / native < row[3]
        missed += low
        print(f"| {row[0]} | {t['native', 1]:.2f} | {t['native', 2]:.2f} | {native:.2f} | {t['ingot', 1]:.2f} | "
              f"{t['ingot', 2]:.2f} | {ingot:.2f} | {ingot / native:.2f}{f' (bar {row[3]:.2f})' if low else ''} |", flush=True)
    return missed


def measure_forks(sides, artifact, row, rounds):
    """The smallest microseconds, natively and by one and by two processors, which take turns; None when a run fails."""
    words = ["/forks", row[1], str(row[2])]
    sides_of = {"native": ["chroot", sides.root, *words], **{n: [sides.ingot, "run", "--cpus", str(n), artifact, *words] for n in (1, 2)}}
    least = {}
    for _ in range(rounds):
        for side, argv in sides_of.items():
            _, _, out, status = run.measure(argv)
            if status != 0:
                print(f"  {row[0]}: {side}: status {status}", file=sys.stderr)
                return None
            least[side] = min(least.get(side, float("inf")), int(out) / 1000)
    return least


def forks(sides, artifact, wanted, rounds):
    """Prints the table of forks. Returns how many bars are missed."""
    missed = 0
    print("\n| the smallest of many, us | native | --cpus 1 | --cpus 2 | of native | of native |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in FORK_ROWS:
        if not re.search(wanted, row[0]):
            continue
        t = measure_forks(sides, artifact, row, rounds)
        if not t:
            missed += 1
            continue
        bar = t["native"] * row[3] if row[3] else row[4]
        high = max(t[1], t[2]) > bar
        missed += high
        print(f"| {row[0]} | {t['native']:.1f} | {t[1]:.1f} | {t[2]:.1f} | {t[1] / t['native']:.2f} | {t[2] / t['native']:.2f}"
              f"{f' (bar {bar:.1f} us)' if high else ''} |", flush=True)
    return missed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("smp.py: this machine lets it use one processor")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="ingot-smp-") as work:
        build = os.path.abspath(args.build)
        sides = run.Sides(build, work)
        try:
            artifact = own_artifact(sides, work)
            cpus = ["--cpus", "2"]
            print(f"{run.machine()}; {args.rounds} rounds; ingot with --cpus 2\n")
            print("| | native by one, s | by two, s | speed-up | ingot by one, s | by two, s | speed-up | of the native one |")
            print("|---|---:|---:|---:|---:|---:|---:|---:|")
            missed += table(ROWS, sides, artifact, cpus, args)
            if not any(re.search(args.only, row[0]) for row in FAMILY_ROWS):
                pass
            elif Family.made(build, FAMILY):
                missed += table(FAMILY_ROWS, Family(build, FAMILY, work), None, cpus, args)
            else:
                print(f"  no root for make: tests/families/run.py --build {args.build} --family '^{FAMILY}$' --make-only", file=sys.stderr)
                missed += 1
            missed += forks(sides, artifact, args.only, args.rounds)
        finally:
            for mounted in ("/root/proc", "/root", "/family/root"):
                subprocess.run(["umount", "-l", work + mounted], stderr=subprocess.DEVNULL)
    return 1 if missed and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
