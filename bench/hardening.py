#!/usr/bin/env python3
"""What hardening costs: two artifacts of the same image, one with the runtime as shipped, one with it built by -Dhardening=false, run in
turns on the commands of run.py; CPU time of pairs is compared.

usage: hardening.py --build DIR [--plain DIR] [--rounds N] [--only REGEX]
DIR/debian.ingot must be there (make artifact). The other build directory (DIR-plain) is set up and built when it is missing, and only linked: the
compiled code is the same, from the cache. The bar: 5 % in the geometric mean.
"""
import argparse
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile

import run


def cpu_seconds(argv):
    """Of the process and what it waited for."""
    p = subprocess.Popen(argv, env=run.ENV, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = status
    if status != 0:
        sys.exit(f"{argv}: status {status}")
    return usage.ru_utime + usage.ru_stime


def plain_artifact(args):
    """The artifact of the same image with the other runtime."""
    source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not os.path.exists(args.plain + "/build.ninja"):
        subprocess.run(["meson", "setup", args.plain, source, "-Dhardening=false"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", args.plain, "src/runtime/libvkernel.a", "src/runtime/cpu_tls.o"], check=True, stdout=subprocess.DEVNULL)
    out = args.plain + "/debian.ingot"
    subprocess.run([args.build + "/src/cli/ingot", "build", "-q", "--cache", args.build + "/cache", args.build + "/debian", "-o", out],
                   check=True, env={**os.environ, "INGOT_RUNTIME": args.plain + "/src/runtime"})
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--plain")
    p.add_argument("--rounds", type=int, default=11)
    p.add_argument("--only", default="")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    args.plain = os.path.abspath(args.plain or args.build + "-plain")
    shipped, plain = args.build + "/debian.ingot", plain_artifact(args)
    ratios = []
    with tempfile.TemporaryDirectory() as work:
        bench = work + "/bench"
        os.mkdir(bench)
        subprocess.run(["bash", "-c", run.PREPARE.replace("/bench", bench).replace("mawk", "awk")], check=True)
        prefix = [args.build + "/src/cli/ingot", "run", *[x for k, v in run.ENV.items() for x in ("--env", f"{k}={v}")],
                  "--volume", f"{bench}:/bench:ro"]
        work_list = [(name, command) for name, command in run.CPU] + [(name, command) for name, _, command, _ in run.SPECIAL] + list(run.START)
        print("| | shipped, s | without hardening, s | ratio of minima | median of pairs |\n|---|---|---|---|---|")
        for name, command in work_list:
            if not re.search(args.only, name):
                continue
            seconds = {shipped: [], plain: []}
            for r in range(args.rounds + 1):
                for artifact in (shipped, plain) if r % 2 else (plain, shipped):
                    t = cpu_seconds([*prefix, artifact, "/bin/bash", "-c", command])
                    if r:  # the first run compares chunks
                        seconds[artifact].append(t)
            a, b = min(seconds[shipped]), min(seconds[plain])
            ratios.append(a / b)
            pairs = statistics.median(x / y for x, y in zip(seconds[shipped], seconds[plain]))
            print(f"| {name} | {a:.3f} | {b:.3f} | {a / b:.3f} | {pairs:.3f} |", flush=True)
    mean = math.exp(statistics.mean(math.log(r) for r in ratios))
    print(f"\nGeometric mean of {len(ratios)}: {mean:.3f}; the bar is 1.05.")
    return mean > 1.05


sys.exit(main())
