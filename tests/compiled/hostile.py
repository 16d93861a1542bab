#!/usr/bin/env python3
"""A program that jumps everywhere, compiled: the container must live on, whatever its children meet.

usage: hostile.py --ingot FILE [--jumps N] [--seed N]
Ends with a line "N passed, N failed".
"""
import argparse, os, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--jumps", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    ingot = os.path.abspath(args.ingot)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="ingot-hostile-") as work:
        os.makedirs(work + "/root/dev")
        subprocess.run(["cc", "-O2", "-static", "-Wall", "-Wextra", "-o", work + "/root/hostile", HERE + "/hostile.c"], check=True)
        subprocess.run([ingot, "build", "-q", "--cache", work + "/cache", work + "/root", "-o", work + "/out"], check=True)
        for mode, jumps in ((None, args.jumps), ("unwind", args.jumps // 4), ("budget", args.jumps // 4), ("evaluate", args.jumps // 8)):
            started = time.monotonic()
            stress = ["--stress", mode] if mode else []
            try:
                r = subprocess.run([ingot, "run", "--quiet", *stress, work + "/out", "/hostile", str(jumps), str(args.seed)],
                                   capture_output=True, timeout=600, stdin=subprocess.DEVNULL)
                good = (r.returncode, r.stdout) == (0, b"%d jumps, %d children ended\n" % (jumps, jumps)) and b"internal fault" not in r.stderr
                good = good and all(kind in r.stderr for kind in (b"SEGV", b"ILL"))  # the jumps went to different places
                shown = f"status {r.returncode} {r.stdout[-300:]} {r.stderr[-1000:]}"
                kinds = ", ".join(r.stderr.decode(errors="replace").split("\n")[-12:-1])
            except subprocess.TimeoutExpired:
                good, shown = False, "timeout"
            passed += good
            failed += not good
            print(f"{'ok' if good else 'FAIL'} {mode or 'plain'}: {jumps} jumps, {time.monotonic() - started:.0f} s; " + (kinds if good else shown), flush=True)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
