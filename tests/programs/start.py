#!/usr/bin/env python3
"""What a start of /bin/true costs in an artifact, counted and not timed (docs/decisions/0015-start.md): no CPUID, which traps in a virtual machine, and not
more host calls and pages than it had.

usage: start.py ARTIFACT COUNT      COUNT: build/tests/cli/start_count
Ends with a line "N passed, N failed".
"""
import os
import subprocess
import sys
import tempfile
import time

# Measured on the Debian image with two processors (200 and 231), and a tenth more. Each processor of the container, which are as many as the
# host process may use, is a thread: some calls and pages more.
MORE = min(len(os.sched_getaffinity(0)), 64) - 2
CALLS, FAULTS = 220 + 8 * MORE, 254 + 8 * MORE
SEALED_AFTER = 2.5  # seconds: a younger file is not sealed


def faults(command, environment):
    pid = os.posix_spawn(command[0], command, environment)
    _, status, usage = os.wait4(pid, 0)
    return usage.ru_minflt if status == 0 else 1 << 30


def main():
    artifact, count = sys.argv[1:]
    failed = passed = 0

    def expect(what, is_right, more):
        nonlocal failed, passed
        passed += is_right
        failed += not is_right
        print("ok  " if is_right else "FAIL", f"{what}: {more}")

    with tempfile.TemporaryDirectory() as folder:
        environment = {"XDG_RUNTIME_DIR": folder, "PATH": "/usr/bin:/bin"}
        command = [os.path.realpath(artifact), "/bin/true"]
        time.sleep(max(0, os.path.getmtime(artifact) + SEALED_AFTER - time.time()))
        subprocess.run(command, env=environment, check=True)
        line = subprocess.run([count] + command, env=environment, capture_output=True, text=True, check=True).stdout
        numbers = dict(zip(line.split()[::2], map(int, line.split()[1::2])))
        least = min(faults(command, environment) for _ in range(5))
    expect("the start ends well", numbers["status"] == 0, line.strip())
    expect("CPUID instructions", numbers["cpuid"] == 0, numbers["cpuid"])
    expect("host calls", numbers["calls"] <= CALLS, f"{numbers['calls']}, at most {CALLS}")
    expect("page faults", least <= FAULTS, f"{least}, at most {FAULTS}")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
