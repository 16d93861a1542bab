#!/usr/bin/env python3
"""Families of programs, by how they were built: each is a folder here with a table (table.txt; root.py explains its head,
../programs/cases.py its cases), made into a root folder, recompiled, and run natively and in ingot.

usage: run.py --build BUILD [--set quick|long] [--family REGEX] [--make-only] [--no-code] [--backend direct|wasm] [options of ../programs/run.py]
--set quick: the families marked quick, their quick cases under each stress mode too; --set long: so all families.
--no-code: on the vkernel alone, everything in the evaluator, nothing compiled: for work on lifter and vkernel.
Roots, artifacts and build reports are kept in BUILD/families. Ends with a line "N passed, N failed".
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../programs")
import cases as table  # noqa: E402
import root  # noqa: E402

STRESS = ["unwind", "budget", "evaluate"]


def recompile(args, rootfs, work):
    if args.no_code:
        subprocess.run([HERE + "/../../tools/mkpayload.py", args.build + "/tests/vkernel/vk-dev", rootfs, work + "/artifact"],
                       check=True, stdout=subprocess.DEVNULL)
        return
    subprocess.run([args.ingot, "build", "-q", "--backend", args.backend, "-j", str(args.jobs), "--cache", args.build + "/cache", "--report",
                    work + "/report.json", rootfs, "-o", work + "/artifact"], check=True)


def make(args, family, head):
    """The root of a family, what changes when that does, and how long it took."""
    start = time.monotonic()
    work = f"{args.build}/families/{family}"
    os.makedirs(work, exist_ok=True)
    return *root.make(f"{HERE}/{family}", head, work), time.monotonic() - start


def check(args, family, made, cases):
    """One family, whose root is being made; returns passed and failed."""
    work = f"{args.build}/families/{family}"
    try:
        args.rootfs, version, seconds = made.result()
        start = time.monotonic()
        if not args.native_only:
            args.artifact = work + "/artifact"
            recompile(args, args.rootfs, work)
    except subprocess.CalledProcessError as e:
        print(f"FAIL {family}: {e}")
        return 0, 1
    print(f"{family}: root {seconds:.0f} s, ingot build {time.monotonic() - start:.0f} s", flush=True)
    passed = failed = 0
    if args.make_only:
        return passed, failed
    runs = [(args.stress, args.quick)] + [(mode, True) for mode in STRESS if args.set]
    for args.stress, args.quick in runs:
        p, f = table.run(args, cases, version)
        passed, failed = passed + p, failed + f
    args.stress, args.quick = runs[0]
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--set", choices=["quick", "long"])
    parser.add_argument("--family", metavar="REGEX", default="")
    parser.add_argument("--make-only", action="store_true", help="make root and artifact and run nothing")
    parser.add_argument("--no-code", action="store_true")
    parser.add_argument("--backend", default="direct")
    table.add_options(parser)
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    args.ingot = args.build + "/src/cli/ingot"
    families = []
    for family in sorted(os.listdir(HERE)):
        if not os.path.exists(f"{HERE}/{family}/table.txt") or not re.search(args.family, family):
            continue
        head, cases = table.load(f"{HERE}/{family}/table.txt")
        if args.set != "quick" or "quick" in head:
            families.append((family, head, cases))
    passed = failed = 0
    # Roots are made one after the other, most of the time waiting for packages, while families whose root is there
    # are recompiled and run.
    roots = concurrent.futures.ThreadPoolExecutor(1)
    try:
        making = [roots.submit(make, args, family, head) for family, head, _ in families]
        for (family, _, cases), made in zip(families, making):
            start = time.monotonic()
            p, f = check(args, family, made, cases)
            print(f"{family}: {p} passed, {f} failed, {time.monotonic() - start:.0f} s", flush=True)
            passed, failed = passed + p, failed + f
    finally:
        roots.shutdown(cancel_futures=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
