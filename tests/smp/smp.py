#!/usr/bin/env python3
"""The programs of this folder, natively and in a container: each must say the same.

usage: smp.py VKERNEL MKPAYLOAD [--processors] [--long]
Without an option they run on the vkernel alone (all in the evaluator), on one processor.
--processors: on two processors, where threads do run at the same time, and on two between which every task moves at each call. It is for
rewritten code: VKERNEL MKPAYLOAD are INGOT tests/direct/mkdirect.py.
--long: the litmus tests natively a hundred million rounds, where relaxed outcomes must be seen (which takes two processors); a model
without them must then be found wrong; and the programs at their full length. With --processors, the same in the container as well.
tests/families/smp runs them as rewritten code, in all stress modes.
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# Name, options of a short run.
PROGRAMS = [("litmus", ["--rounds", "2000", "--brief"]), ("lockfree", ["--rounds", "200"]), ("locks", ["--rounds", "10"]),
            ("futexes", ["--rounds", "10"]), ("siblings", ["--rounds", "3"]), ("alloc", ["--rounds", "200"]),
            ("membarrier", ["--rounds", "3000"])]


def long_runs(report, where, command, env):
    """The litmus tests for a hundred million rounds, and the other programs for ten seconds each."""
    def run(name, *options):
        return subprocess.run([*command(name), *options], capture_output=True, env=dict(os.environ, **env))

    two = len(os.sched_getaffinity(0)) > 1
    relaxed = ["--expect-relaxed"] if two else []
    p = run("litmus", *relaxed, "--total", "100000000")
    report(p.returncode == 0, f"litmus {where}, long", p.stdout, p.stderr)
    if two:
        p = run("litmus", *relaxed, "--model", "sc", "--only", "SB", "--rounds", "1000000")
        report(p.returncode == 1, f"litmus {where} with a model that is too strong", p.stdout, p.stderr)
    for name, _ in PROGRAMS[1:]:
        p = run(name, "--seconds", "10")
        report(p.returncode == 0, f"{name} {where}, long", p.stdout, p.stderr)


def main():
    vkernel, mkpayload, *more = sys.argv[1:]
    modes = ("--cpus 2", "--cpus 2 --stress migrate") if "--processors" in more else ("--cpus 1",)
    failed = 0

    def report(ok, what, *details):
        nonlocal failed
        failed += not ok
        print("ok" if ok else "FAIL", what, flush=True)
        for text in () if ok else details:
            print(text.decode(errors="replace"))

    with tempfile.TemporaryDirectory() as work:
        root = work + "/root"
        for folder in ("bin", "tmp", "proc", "dev"):
            os.makedirs(f"{root}/{folder}")
        for name, _ in PROGRAMS:
            subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror", "-static", "-pthread", "-o",
                            f"{root}/bin/{name}", f"{HERE}/{name}.c"], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, work + "/image"], check=True, stdout=subprocess.DEVNULL)
        for name, options in PROGRAMS:
            native = subprocess.run([f"{root}/bin/{name}", *options], capture_output=True, timeout=300)
            report(native.returncode == 0, f"{name} natively", native.stdout, native.stderr)
            for mode in modes:
                got = subprocess.run([work + "/image", f"/bin/{name}", *options], capture_output=True, timeout=300,
                                     env=dict(os.environ, INGOT_OPTIONS=mode))
                report(got.returncode == 0 and got.stdout == native.stdout, f"{name} on the vkernel {mode}".rstrip(), got.stdout, got.stderr)
        if "--long" in more:
            long_runs(report, "natively", lambda name: [f"{root}/bin/{name}"], {})
            if "--processors" in more:
                long_runs(report, "on two processors of the vkernel", lambda name: [work + "/image", f"/bin/{name}"], {"INGOT_OPTIONS": "--cpus 2"})
    return failed != 0


sys.exit(main())
