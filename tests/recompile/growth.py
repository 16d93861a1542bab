#!/usr/bin/env python3
"""What a build costs grows as its input does: functions of many kinds, once and twice as large. Counted is processor time of the build and its
workers, less that of an empty program. The larger ones are run, too. The rewriter alone: ../direct/test_growth.c.

usage: growth.py --ingot FILE [--only REGEX] [--backend direct|wasm]
Ends with a line "N passed, N failed".
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

N = 65536
LIMIT = 3.0  # times as much for twice the input; 4 is quadratic
IDLE = 0.3   # seconds: below, nothing is said by a ratio


def stores(n):
    return [f"mov %rax, {i * 8 % 4096}(%rdi)" for i in range(n)]


def pushes(n):
    return ["push %rax"] * n + [f"add ${8 * n}, %rsp"]


def flags(n):
    """One block of a megabyte, in which flags are made and used."""
    return ["add %rax, %rcx", "adc $7, %rdx", "lea 3(%rax, %rdx, 4), %rsi", "cmovc %rcx, %rax"] * (n // 2)


def switch(n):
    return ["xor %eax, %eax", f"cmp ${n - 1}, %rax", "ja 9f", "jmp *table(, %rax, 8)", ".section .rodata", "table:",
            *[f".quad case{i}" for i in range(n)], ".text", *[f"case{i}: mov ${i}, %ecx; jmp 9f" for i in range(n)], "9:"]


def goto(n):
    """Jumps through a table of labels, at each of them."""
    lines = [".section .rodata", "labels:", *[f".quad label{i}" for i in range(n // 64)], ".text", "mov $labels, %rbx"]
    for i in range(n // 64):
        lines += [f"label{i}: add $8, %rbx", "cmp $labels_end, %rbx", "jae 9f", "jmp *(%rbx)"]
    return lines + ["9:", ".section .rodata", "labels_end:", ".text"]


def branches(n):
    """Blocks of one function, each with two ways on."""
    n //= 8
    return [line for i in range(n) for line in (f"block{i}: cmp ${i}, %rax", f"je block{(i * 7 + 1) % n}" if i % 3 == 2 else "inc %rax",
                                                     "mov %rax, 8(%rdi)")]


def backward(n):
    """A chain of jumps, each to the block before: what flows against the order of addresses."""
    n //= 4
    return [f"jmp back{n - 1}", *[line for i in range(n) for line in (f"back{i}: inc %rax", f"jmp back{i - 1}" if i else "jmp 9f")], "9:"]


def calls(n):
    lines = ["jmp 8f", "callee: inc %rax; ret", "8:"]
    return lines + ["call callee"] * (n // 4)


def functions(n):
    return ["jmp 9f", *[f".globl f{i}; .type f{i}, @function; f{i}: .cfi_startproc; inc %rax; ret; .cfi_endproc" for i in range(n // 8)], "9:"]


KINDS = [stores, pushes, flags, switch, goto, branches, backward, calls, functions]


def program(folder, lines):
    os.makedirs(folder + "/tree", exist_ok=True)
    source = ["memory = scratch", ".bss", ".balign 4096", "scratch: .skip 8192", ".text", ".globl _start", ".type _start, @function", "_start:",
              "mov $scratch, %rdi", "mov %rdi, %r9", "xor %eax, %eax", *lines, "mov $60, %eax", "mov $23, %edi", "syscall"]
    with open(folder + "/program.S", "w") as f:
        f.write("\n".join(source) + "\n")
    subprocess.run(["cc", "-nostdlib", "-static", "-o", folder + "/tree/program", folder + "/program.S"], check=True)


def cost(args, folder, lines):
    """Seconds of processor time, the better of two."""
    program(folder, lines)
    best = None
    for i in range(2):
        pid = os.posix_spawn(args.ingot, [args.ingot, "build", "-q", "--backend", args.backend, "--cache", f"{folder}/cache{i}", folder + "/tree", "-o",
                                          folder + "/out"], os.environ)
        _, status, usage = os.wait4(pid, 0)
        if status:
            return None
        best = min(usage.ru_utime + usage.ru_stime, best or 1e9)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--backend", default="direct")
    args = parser.parse_args()
    args.ingot = os.path.abspath(args.ingot)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="ingot-growth-") as work:
        none = cost(args, work + "/none", [])
        for kind in KINDS:
            if not re.search(args.only, kind.__name__):
                continue
            once, twice = (cost(args, f"{work}/{kind.__name__}{n}", kind(n)) for n in (N // 2, N))
            if once is None or twice is None:
                ok, text = False, "the build failed"
            else:
                small, large = max(once - none, 0.001), max(twice - none, 0.001)
                status = subprocess.run([args.ingot, "run", f"{work}/{kind.__name__}{N}/out", "/program"], timeout=100).returncode
                ok = (large < IDLE or large / small <= LIMIT) and status == 23
                text = f"{small:.2f} s, {large:.2f} s: {large / small:.1f} times as much; status {status}"
            print("ok  " if ok else "FAIL", kind.__name__, text, flush=True)
            passed += ok
            failed += not ok
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
