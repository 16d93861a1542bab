#!/usr/bin/env python3
"""Runs the program table natively (chroot) and in ingot and compares output, error output and exit status.

usage: run.py --rootfs DIR --artifact FILE --ingot FILE [--quick] [--stress MODE] [--stats FILE] [--only REGEX]
              [--jobs N] [-v]
       run.py --rootfs DIR --native-only [--only REGEX] [--show]
Ends with a line "N passed, N failed". Expected native results are cached beside the rootfs (DIR.expected.json).
--native-only fills that cache, running each case twice: a case that differs from itself fails.
"""
import argparse
import os
import sys

import cases as table


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rootfs", required=True)
    parser.add_argument("--artifact")
    parser.add_argument("--ingot")
    table.add_options(parser)
    args = parser.parse_args()
    if not args.native_only and not (args.artifact and args.ingot):
        parser.error("--artifact and --ingot are needed (or --native-only)")
    args.rootfs = os.path.abspath(args.rootfs)
    if args.artifact:
        args.artifact, args.ingot = os.path.abspath(args.artifact), os.path.abspath(args.ingot)
    _, cases = table.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), "table.txt"))
    status = os.stat(os.path.join(args.rootfs, "var/lib/dpkg/status"))
    passed, failed = table.run(args, cases, f"{status.st_mtime_ns} {status.st_size}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
