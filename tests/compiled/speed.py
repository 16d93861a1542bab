#!/usr/bin/env python3
"""Back at full speed: the same work in the ordinary course of things and after the host frames of the guest's callers were lost
(fork, longjmp, exception, signal return, change of stacks) may differ by 15 %. Work: loops that call nothing, nests, callers
that go on, an interpreter. Both are timed in the same run, in turn; the best of several rounds counts.

usage: speed.py --ingot FILE [--backend direct|wasm] [--cache DIR] [--only REGEX]
Ends with a line "N passed, N failed".
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = ["plain", "nest", "caller", "interpreter"]
EVENTS = ["fork", "longjmp", "throw", "signal", "switch"]
LIMIT = 1.15
SIZE, ROUNDS, TRIES = 40000000, 3, 4  # work for more than two ticks of 10 ms, within which an alarm comes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--cache")
    parser.add_argument("--only")
    parser.add_argument("--backend", default="direct")
    args = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="ingot-speed-") as folder:
        os.mkdir(folder + "/root")
        subprocess.run(["g++", "-O2", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-o", folder + "/root/speed",
                        HERE + "/speed.cc"], check=True)
        subprocess.run([args.ingot, "build", "-q", "--backend", args.backend, "--cache", args.cache or folder + "/cache", folder + "/root", "-o",
                        folder + "/out"], check=True)
        for work in WORK:
            for event in EVENTS:
                what = f"{work} {event}"
                if args.only and not re.search(args.only, what):
                    continue
                rows = []
                for _ in range(TRIES):  # more rounds only where the machine is noisy
                    p = subprocess.run([args.ingot, "run", folder + "/out", "/speed", work, event, str(SIZE), str(ROUNDS)],
                                       stdout=subprocess.PIPE, text=True, timeout=60)
                    rows += [[int(n) for n in line.split()] for line in p.stdout.splitlines()]
                    without, with_it = (min(column) for column in zip(*rows)) if rows else (1, 1000)
                    if p.returncode != 0 or with_it <= without * LIMIT:
                        break
                ok = p.returncode == 0 and with_it <= without * LIMIT
                passed += ok
                failed += not ok
                print(f"{'ok  ' if ok else 'FAIL'} {what}: {with_it / without:.2f} ({without / 1e6:.0f} ms without)")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
