#!/usr/bin/env python3
"""Runs the program table natively (chroot) and in ingot and compares output, error output and exit status.

usage: run.py --rootfs DIR --artifact FILE --ingot FILE [--quick] [--stress MODE] [--only REGEX] [--jobs N] [-v]
Ends with a line "N passed, N failed". Expected native results are cached beside the rootfs (DIR.expected.json).
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys

ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "HOSTNAME": "ingot",
       "TERM": "dumb"}
TIMEOUT = 120


def load(path):
    cases, current = [], None
    for line in open(path, encoding="utf-8"):
        if line.startswith("=== "):
            name, *flags = line[4:].split()
            current = {"name": name, "quick": "quick" in flags, "masks": [f[5:] for f in flags if f.startswith("mask=")],
                       "script": ""}
            cases.append(current)
        elif current is not None:
            current["script"] += line
    return cases


def finish(process, timeout):
    try:
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return "timeout", out, err


def decode(result):
    status, out, err = result
    return {"status": status, "out": out.decode("utf-8", "backslashreplace"),
            "err": err.decode("utf-8", "backslashreplace")}


def wrap(script):
    return "mkdir -p /w && cd /w || exit 99\n" + script


def run_native(rootfs, case):
    """In its own mount and pid namespace, on a throw-away overlay of the root filesystem."""
    setup = ('mount -t tmpfs none "$2" && mkdir "$2/u" "$2/o" "$2/r" && '
             'mount -t overlay none -o lowerdir="$1",upperdir="$2/u",workdir="$2/o" "$2/r" && '
             'mount -t proc proc "$2/r/proc" && mount -t tmpfs none "$2/r/dev/shm" 2>/dev/null; '
             'hostname ingot; exec chroot "$2/r" /bin/bash -c "$3"')
    # The command runs as pid 1's child, as `bash -c` under a shell would: pid 1 ignores signals.
    mount_point = f"/tmp/ingot-native-{os.getpid()}-{case['name']}"
    os.makedirs(mount_point, exist_ok=True)
    # bash -c SCRIPT must not be pid 1 (a pid 1 ignores signals it does not handle).
    script = "bash -c " + "'" + wrap(case["script"]).replace("'", "'\\''") + "'; exit $?"
    p = subprocess.Popen(["unshare", "--mount", "--pid", "--uts", "--fork", "sh", "-c", setup, "sh", rootfs, mount_point,
                          script], env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    result = finish(p, TIMEOUT)
    os.rmdir(mount_point)
    return decode(result)


def run_ingot(args, case):
    options = ["--hostname", "ingot"]
    if args.stress:
        options += ["--stress", args.stress]
    script = "bash -c " + "'" + wrap(case["script"]).replace("'", "'\\''") + "'; exit $?"
    for k, v in ENV.items():
        options += ["--env", f"{k}={v}"]
    p = subprocess.Popen([args.ingot, "run", *options, args.artifact, "/bin/bash", "-c", script],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return decode(finish(p, TIMEOUT * (4 if args.stress else 1)))


def mask(result, masks):
    result = dict(result)
    for m in masks:
        for k in ("out", "err"):
            result[k] = re.sub(m, "#", result[k])
    # bash names the line of the script it was given; both sides are given the same.
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rootfs", required=True)
    parser.add_argument("--artifact", required=True)
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--stress")
    parser.add_argument("--only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    args.rootfs, args.artifact = os.path.abspath(args.rootfs), os.path.abspath(args.artifact)
    table = os.path.join(os.path.dirname(os.path.abspath(__file__)), "table.txt")
    cases = [c for c in load(table) if (not args.quick or c["quick"]) and (not args.only or re.search(args.only, c["name"]))]
    cache_path = args.rootfs.rstrip("/") + ".expected.json"
    try:
        cache = json.load(open(cache_path))
    except (OSError, ValueError):
        cache = {}

    def one(case):
        key = hashlib.sha256(json.dumps([case["name"], case["script"], ENV]).encode()).hexdigest()
        if key not in cache:
            cache[key] = run_native(args.rootfs, case)
        want = mask(cache[key], case["masks"])
        have = mask(run_ingot(args, case), case["masks"])
        return case, want, have

    passed, failed = 0, []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for case, want, have in pool.map(one, cases):
            if want == have:
                passed += 1
                if args.verbose:
                    print(f"ok   {case['name']}")
                continue
            failed.append(case["name"])
            print(f"FAIL {case['name']}" + (f" (--stress {args.stress})" if args.stress else ""))
            for k in ("status", "out", "err"):
                if want[k] != have[k]:
                    print(f"  {k}: native {str(want[k])[:400]!r}\n  {' ' * len(k)}  ingot  {str(have[k])[:400]!r}")
            sys.stdout.flush()
    json.dump(cache, open(cache_path + ".tmp", "w"))
    os.replace(cache_path + ".tmp", cache_path)
    if failed:
        print("failed:", " ".join(failed))
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


sys.exit(main())
