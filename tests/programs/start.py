#!/usr/bin/env python3
"""What a start of /bin/true costs in an artifact, counted and not timed (docs/decisions/0015-start.md): no CPUID, which traps in a virtual machine, and not
more host calls and pages than it had; on one processor, and on two.

usage: start.py ARTIFACT COUNT      COUNT: build/tests/cli/start_count
Ends with a line "N passed, N failed".
"""
import os
import subprocess
import sys
import tempfile
import time

# Measured on the Debian image by either backend, with one processor, and a tenth more; and what each further processor of the container, which
# is a thread, may add (measured: 17 calls and 7 pages).
CALLS, FAULTS = 195, 234
MORE_CALLS, MORE_FAULTS = 20, 10
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
        host = sorted(os.sched_getaffinity(0))
        for processors in range(1, min(len(host), 2) + 1):
            os.sched_setaffinity(0, host[:processors])  # a container has as many as it may use
            line = subprocess.run([count] + command, env=environment, capture_output=True, text=True, check=True).stdout
            numbers = dict(zip(line.split()[::2], map(int, line.split()[1::2])))
            least = min(faults(command, environment) for _ in range(5))
            calls_allowed, faults_allowed = CALLS + (processors - 1) * MORE_CALLS, FAULTS + (processors - 1) * MORE_FAULTS
            where = f"with {processors} processor{'s'[:processors - 1]}"
            expect(f"the start ends well {where}", numbers["status"] == 0, line.strip())
            expect(f"CPUID instructions {where}", numbers["cpuid"] == 0, numbers["cpuid"])
            expect(f"host calls {where}", numbers["calls"] <= calls_allowed, f"{numbers['calls']}, at most {calls_allowed}")
            expect(f"page faults {where}", least <= faults_allowed, f"{least}, at most {faults_allowed}")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
