#!/usr/bin/env python3
"""Every jump of tables.c, compiled in many ways, must be resolved: the build report says so, and it must have found all of them.

usage: tables.py INGOT-BUILD tables.c COMPILER...
"""
import json
import os
import re
import subprocess
import sys
import tempfile

OPTIMISE = ["-O0", "-O1", "-O2", "-O3", "-Os"]
LINKAGE = [["-fPIE", "-pie"], ["-fno-pie", "-no-pie"]]
MORE = [["-fPIE", "-pie", "-fcf-protection=full"], ["-fPIE", "-pie", "-fno-asynchronous-unwind-tables", "-s"],
        ["-fno-pie", "-no-pie", "-mcmodel=medium"], ["-fPIE", "-pie", "-mcmodel=large"], ["-fPIC", "-shared"]]


def variants(compilers):
    for compiler in compilers:
        short = os.path.basename(compiler)
        for optimise in OPTIMISE:
            for linkage in LINKAGE:
                yield f"{short}{optimise}{linkage[0]}", [compiler, optimise, *linkage]
        for more in MORE:
            yield f"{short}-O2{''.join(more[-2:])}", [compiler, "-O2", *more]


def jumps_of(path):
    """How many indirect jumps a linear disassembly shows, but those through a pointer at a fixed address."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], stdout=subprocess.PIPE, check=True).stdout.decode()
    return len(re.findall(r"^ *[0-9a-f]+:\s+(?:bnd |notrack )*jmp +\*(?!.*\(%rip\)|0x[0-9a-f]+$)", text, re.M))


def main():
    build, source, *compilers = sys.argv[1:]
    failed = total = 0
    with tempfile.TemporaryDirectory(prefix="ingot-tables-") as work:
        os.mkdir(work + "/root")
        for name, command in variants(compilers):
            subprocess.run([*command, "-o", f"{work}/root/{name}", source], check=True)
        subprocess.run([build, "-q", "--emit=wasm", "-j", "2", "--cache", work + "/cache", "--report", work + "/report",
                        work + "/root", "-o", work + "/out"], check=True)
        with open(work + "/report") as f:
            programs = json.load(f)["programs"]
        for program in programs:
            path = program["paths"][0]
            jumps = program["indirect_jumps"]
            expected = jumps_of(work + "/root" + path)
            found = sum(v for k, v in jumps.items() if isinstance(v, int) and k != "slot")
            total += found
            bad = [f"{j['address']} {j['reason']}" for j in jumps["unresolved_jumps"]]
            if found != expected:
                bad.append(f"{found} of {expected} indirect jumps found")
            if jumps["switch"] + jumps["goto"] < 8:
                bad.append(f"only {jumps['switch']} switches, {jumps['goto']} gotos")
            if bad:
                failed += 1
                print(f"FAIL {path}: " + "; ".join(bad))
    print(f"{len(programs)} programs, {total} indirect jumps, {failed} programs failed")
    return failed != 0 or len(programs) < len(compilers) * 10


sys.exit(main())
