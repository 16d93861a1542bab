#!/usr/bin/env python3
"""Programs compiled here, run natively and, recompiled, in an artifact: plainly and under each stress mode. Output and exit status
must be the same.

usage: run.py --ingot FILE [--backend direct|wasm] [--cpu x86-64-v3] [--only REGEX]
Ends with a line "N passed, N failed".
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ["backwards", "control", "faults", "frames", "places", "registers", "repair", "stacks", "unmapped"]
PROGRAMS_V3 = ["wide"]
PROGRAMS_DIRECT = ["flags"]  # in code compiled from wasm, flags die at calls (docs/recompilation.md)
MODES = [None, "unwind", "budget", "evaluate"]


def run(argv, timeout=120):
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    return p.returncode, p.stdout.decode(errors="replace")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--only")
    parser.add_argument("--backend", default="direct")
    parser.add_argument("--cpu", default="x86-64-v2")
    args = parser.parse_args()
    ingot = os.path.abspath(args.ingot)
    programs = PROGRAMS + (PROGRAMS_V3 if args.cpu == "x86-64-v3" else [])
    programs = programs + (PROGRAMS_DIRECT if args.backend == "direct" else [])
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="ingot-compiled-") as work:
        root = work + "/root"
        os.mkdir(root)
        for name in programs:
            subprocess.run(["cc", "-O2", "-static", "-pthread", "-Wall", "-Wextra", "-o", f"{root}/{name}", f"{HERE}/{name}.c"], check=True)
        subprocess.run([ingot, "build", "-q", "--backend", args.backend, "--cpu", args.cpu, "--cache", work + "/cache", root, "-o", work + "/out"], check=True)
        for name in programs:
            expected = run([f"{root}/{name}"])
            for mode in MODES:
                what = f"{name} {mode or 'plain'}"
                if args.only and not re.search(args.only, what):
                    continue
                stress = ["--stress", mode] if mode else []
                try:
                    found = run([ingot, "run", *stress, work + "/out", "/" + name])
                except subprocess.TimeoutExpired:
                    found = "timeout", ""
                if found == expected:
                    passed += 1
                    continue
                failed += 1
                print(f"FAIL {what}: status {found[0]}, expected {expected[0]}")
                for a, b in zip(expected[1].splitlines(), found[1].splitlines() + [""] * 1000):
                    if a != b:
                        print(f"  expected {a}\n  found    {b}")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
