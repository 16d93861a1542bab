#!/usr/bin/env python3
"""Handlers that look at the registers of a fault where the build did not see it: with precise faults everywhere they work as
on Linux; without, the process ends with a message that says so. Never anything else.

usage: looks.py --ingot FILE
Ends with a line "N passed, N failed".
"""
import argparse
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = [["/looks", kind] for kind in ("function", "callback", "copy", "write", "backtrace", "mask")] + [["/throws"]]
MODES = [None, "unwind", "budget", "evaluate"]
SIGNALS = (128 + 11, 128 + 9)  # the message comes with SIGSEGV, or SIGKILL from within a system call
MESSAGE = "compiled without precise faults: build with --precise-faults=all"


def run(argv):
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    return p.returncode, p.stdout, p.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    ingot = os.path.abspath(parser.parse_args().ingot)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="ingot-looks-") as work:
        root = work + "/root"
        os.mkdir(root)
        flags = ["-O2", "-static", "-Wall", "-Wextra"]
        subprocess.run(["cc", *flags, "-o", root + "/looks", HERE + "/looks.c"], check=True)
        subprocess.run(["c++", *flags, "-fnon-call-exceptions", "-o", root + "/throws", HERE + "/throws.cc"], check=True)
        for precise in ("auto", "all"):
            subprocess.run([ingot, "build", "-q", "--cache", work + "/cache", "--backend", "wasm", "--precise-faults", precise, root, "-o",
                            f"{work}/{precise}"], check=True)
        for case in CASES:
            expected = run([root + case[0], *case[1:]])
            for precise in ("auto", "all"):
                for mode in MODES:
                    stress = ["--stress", mode] if mode else []
                    found = run([ingot, "run", *stress, f"{work}/{precise}", *case])
                    told = precise == "auto" and mode != "evaluate" and found[0] in SIGNALS and MESSAGE in found[2]
                    if told or found == expected:
                        passed += 1
                        continue
                    failed += 1
                    print(f"FAIL {' '.join(case)} {precise} {mode or 'plain'}: {found}, expected {expected}")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
