#!/usr/bin/env python3
"""What starts cost: command lines in turns, each started by posix_spawn and waited for. The first one is what the others are compared with.

usage: start.py [--runs N] [--count build/tests/cli/start_count] COMMAND...
    bench/start.py /bin/true "build/debian.ingot /bin/true"
Wall-clock and CPU time in ms, page faults, and with --count what tests/cli/start_count.c counts. On a machine that does something else as well the
minima and the CPU time say more than the medians. An artifact is sealed before (docs/vkernel.md): it must be older than two seconds.
"""
import argparse
import os
import shlex
import statistics
import subprocess
import sys
import time

WARM = 5


def start(argv):
    """Seconds, CPU seconds, page faults."""
    actions = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(3)]
    begin = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, {"PATH": "/usr/bin:/bin", "HOME": "/root"}, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    end = time.perf_counter()
    if status != 0:
        sys.exit(f"{argv}: status {status}")
    return end - begin, usage.ru_utime + usage.ru_stime, usage.ru_minflt


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--runs", type=int, default=400)
    p.add_argument("--count")
    p.add_argument("command", nargs="+")
    args = p.parse_args()
    commands = [shlex.split(c) for c in args.command]
    runs = [[] for _ in commands]
    for r in range(args.runs + WARM):
        for k, argv in enumerate(commands):
            one = start(argv)
            if r >= WARM:
                runs[k].append(one)
    print("| start | median ms | minimum | CPU median | CPU minimum | of the first | page faults |\n|---|---:|---:|---:|---:|---:|---:|")
    first = statistics.median(x[0] for x in runs[0])
    for text, all_ in zip(args.command, runs):
        wall, cpu, faults = zip(*all_)
        print(f"| `{text}` | {statistics.median(wall) * 1e3:.2f} | {min(wall) * 1e3:.2f} | {statistics.median(cpu) * 1e3:.2f} | {min(cpu) * 1e3:.2f} | "
              f"{statistics.median(wall) / first:.2f} | {min(faults)} |")
    for text, argv in zip(args.command, commands):
        if args.count:
            print(f"{text}: {subprocess.run([args.count, *argv], capture_output=True, text=True, check=True).stdout.strip()}")


main()
