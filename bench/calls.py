#!/usr/bin/env python3
"""Measures what single calls take, natively and in ingot on one processor and on two.

usage: calls.py --build DIR [--rounds N] [--against OTHER_BUILD]
A small C program repeats each call many times and prints the smallest time for one. It is run natively and in ingot in
turns; the table has the smallest and the median of the rounds, in nanoseconds. OTHER_BUILD is the build folder of
another state of the project, which gets two columns of its own: so one sees what a change is worth, whatever else runs
on the machine.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile

PROGRAM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

#define MEASURE(name, rounds, times, what)                    \
    do {                                                      \
        uint64_t least = UINT64_MAX;                          \
        for (int r = 0; r < (rounds); r++) {                  \
            uint64_t took = now();                            \
            for (int k = 0; k < (times); k++)                 \
                what;                                         \
            took = now() - took;                              \
            least = took < least ? took : least;              \
        }                                                     \
        printf("%s:%.2f\n", name, (double)least / (times));   \
        fflush(stdout);                                       \
    } while (0)

/* The call is made without the C library, which would look at the result. */
static long
call(long number, long a, long b, long c)
{
    long result = number;

    __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

/* The code map finds addresses that are multiples of 16; others take the longer way. */
void aligned(void), unaligned(void);
__asm__(".text; .p2align 4; aligned: ret; .p2align 4; nop; unaligned: ret");
static void (*volatile to_aligned)(void) = aligned, (*volatile to_unaligned)(void) = unaligned;

static void
pipes(char *byte)
{
    int there[2], back[2];

    if (pipe(there) || pipe(back))
        return;
    if (fork() == 0) {
        close(there[1]);
        while (call(SYS_read, there[0], (long)byte, 1) == 1)
            call(SYS_write, back[1], (long)byte, 1);
        _exit(0);
    }
    MEASURE("pipe round trip of two processes", 200, 200,
            (call(SYS_write, there[1], (long)byte, 1), call(SYS_read, back[0], (long)byte, 1)));
    close(there[1]);
    wait(NULL);
}

enum { MINE, YOURS, OVER };
static uint32_t turn;

static void
hand_over(uint32_t to)
{
    __atomic_store_n(&turn, to, __ATOMIC_RELEASE);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static uint32_t
wait_while(uint32_t value)
{
    uint32_t seen;

    while ((seen = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) == value)
        syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    return seen;
}

static void *
partner(void *unused)
{
    while (wait_while(MINE) != OVER)
        hand_over(MINE);
    return unused;
}

static void
futexes(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, partner, NULL);
    MEASURE("futex round trip of two threads", 200, 200, (hand_over(YOURS), wait_while(YOURS)));
    hand_over(OVER);
    pthread_join(thread, NULL);
}

static void
fork_and_wait(void)
{
    if (fork() == 0)
        _exit(0);
    wait(NULL);
}

int
main(void)
{
    int null = open("/dev/null", O_WRONLY);
    char byte = 0;

    MEASURE("getppid", 1000, 1000, call(SYS_getppid, 0, 0, 0));
    MEASURE("write of 0 bytes", 1000, 1000, call(SYS_write, null, (long)&byte, 0));
    MEASURE("write of 1 byte", 1000, 1000, call(SYS_write, null, (long)&byte, 1));
    MEASURE("indirect call", 1000, 2000, to_aligned());
    MEASURE("indirect call, no multiple of 16", 1000, 2000, to_unaligned());
    pipes(&byte);
    futexes();
    MEASURE("fork and wait", 100, 4, fork_and_wait());
    return 0;
}
"""


def artifact(build, root, work, name):
    out = f"{work}/{name}"
    subprocess.run([build + "/src/cli/ingot", "build", "-q", "--cache", f"{work}/cache-{name}", root, "-o", out], check=True)
    return out


def table(sides, rounds):
    times = {}
    for _ in range(rounds):
        for side, argv in sides.items():
            out = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout
            for line in out.splitlines():
                name, ns = line.rsplit(":", 1)
                times.setdefault(name, {}).setdefault(side, []).append(float(ns))
    print("| ns | " + " | ".join(sides) + " |\n|---|" + "---:|" * len(sides))
    for name, row in times.items():
        print(f"| {name} | " + " | ".join(f"{min(row[s]):.1f}, {statistics.median(row[s]):.1f}" for s in sides) + " |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--against")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingot-calls-") as work:
        root = work + "/root"
        os.makedirs(root + "/tmp")
        with open(work + "/calls.c", "w") as f:
            f.write(PROGRAM)
        subprocess.run(["cc", "-O2", "-static", "-pthread", "-o", root + "/calls", work + "/calls.c"], check=True)
        sides = {"native": [root + "/calls"]}
        for name, build in (("before", args.against), ("ingot", args.build)):
            if build:
                build = os.path.abspath(build)
                made = artifact(build, root, work, name)
                for cpus in ("1", "2"):
                    sides[f"{name}, --cpus {cpus}"] = [build + "/src/cli/ingot", "run", "--cpus", cpus, made, "/calls"]
        table(sides, args.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
