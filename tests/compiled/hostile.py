#!/usr/bin/env python3
"""Programs that jump everywhere, and that race on their memory, compiled: the container must live on, whatever its children meet.

usage: hostile.py --ingot FILE [--backend direct|wasm] [--jumps N] [--rounds N] [--seed N] [--only NAME]
Ends with a line "N passed, N failed".
"""
import argparse, os, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
MODES = ((None, 1), ("unwind", 4), ("budget", 4), ("evaluate", 8))  # with the share of the work that each does


def run(ingot, mode, options, work, command, good):
    """One container; its line of output."""
    started = time.monotonic()
    stress = ["--stress", mode] if mode else []
    try:
        r = subprocess.run([ingot, "run", "--quiet", *stress, *options, work + "/out", *command], capture_output=True, timeout=900,
                           stdin=subprocess.DEVNULL)
        ok = r.returncode == 0 and b"internal fault" not in r.stderr and good(r)
        shown = f"status {r.returncode} {r.stdout[-300:]} {r.stderr[-1000:]}"
        if ok:
            shown = ", ".join(r.stderr.decode(errors="replace").split("\n")[-12:-1])
    except subprocess.TimeoutExpired:
        ok, shown = False, "timeout"
    print(f"{'ok' if ok else 'FAIL'} {mode or 'plain'}: {' '.join(command)}, {time.monotonic() - started:.0f} s; {shown}", flush=True)
    return ok


def jumped(jumps):
    expected = b"%d jumps, %d children ended\n" % (jumps, jumps)
    return lambda r: r.stdout == expected and all(kind in r.stderr for kind in (b"SEGV", b"ILL"))  # to different places


def raced(rounds):
    """Nearly every call was made, and many did something."""
    def good(r):
        words = r.stderr.split()[-11:]  # N calls, N of N kinds, N of them with success
        kinds, rows, succeeded = int(words[2]), int(words[4]), int(words[6])
        return r.stdout == b"%d rounds, %d children ended\n" % (rounds, rounds) and (
            rounds < 50 or (kinds >= rows * 9 // 10 and succeeded >= rows // 2))
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--jumps", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--backend", default="direct")
    args = parser.parse_args()
    ingot = os.path.abspath(args.ingot)
    results = []
    with tempfile.TemporaryDirectory(prefix="ingot-hostile-") as work:
        for folder in ("dev", "proc", "tmp", "volume"):
            os.makedirs(f"{work}/root/{folder}")
        os.mkdir(work + "/volume")
        for name in ("hostile", "races"):
            subprocess.run(["cc", "-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Wno-unused-result", "-I", HERE + "/../../src", "-o",
                            f"{work}/root/{name}", f"{HERE}/{name}.c"], check=True)
        subprocess.run([ingot, "build", "-q", "--backend", args.backend, "--cache", work + "/cache", work + "/root", "-o", work + "/out"], check=True)
        for mode, part in MODES if args.only != "races" else ():
            jumps = args.jumps // part
            results.append(run(ingot, mode, [], work, ["/hostile", str(jumps), str(args.seed)], jumped(jumps)))
        for mode, part in MODES if args.only != "hostile" else ():
            rounds = args.rounds // part
            results.append(run(ingot, mode, [], work, ["/races", str(rounds), str(args.seed)], raced(rounds)))
        if args.only != "hostile":  # the host on the same file, at the same time
            with open(work + "/volume/area", "wb") as f:
                f.truncate(65536)
            host = subprocess.Popen([work + "/root/races", "--host", work + "/volume/area", "800"])
            results.append(run(ingot, None, ["--volume", work + "/volume:/volume"], work,
                               ["/races", str(args.rounds), str(args.seed), "/volume/area"], raced(args.rounds)))
            results.append(host.poll() is None)  # it was there to the end
            host.kill()
            host.wait()
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return not all(results)


sys.exit(main())
