#!/usr/bin/env python3
"""What a start costs, counted and not timed: no CPUID, which traps in a virtual machine, and not more host calls and pages than it had. On a vkernel
without compiled code; docs/decisions/0015-start.md has the figures of an artifact.

    start.py VKERNEL MKPAYLOAD COUNT OWN_START
"""
import os, re, subprocess, sys, tempfile, time

vkernel, mkpayload, count, own_start = sys.argv[1:]
# Measured on one processor, and a tenth more. Pages: what the process's first use of each costs, files' pages mapped sixteen at a time.
CALLS, FAULTS = 168, 124
THREAD_CALLS, THREAD_FAULTS = 10, 10  # for each further processor; calls of the first thread only
LARGE = 8192  # bytes: variables from here on are RARE (base/rare.h), so that small ones lie together
GUEST = 'void _start(void) { __asm__ volatile("syscall" :: "a"(231), "D"(0)); }'
failed = 0


def expect(what, right, more):
    global failed
    failed += not right
    print('ok' if right else 'not ok', f'{what}: {more}')


def large_variables():
    """Those of .bss, by the symbol table."""
    sections = {m[2]: m[1] for m in re.finditer(r'\[ *(\d+)\] (\S+)', subprocess.run(['readelf', '-SW', vkernel], capture_output=True, text=True, check=True).stdout)}
    for line in subprocess.run(['readelf', '-sW', vkernel], capture_output=True, text=True, check=True).stdout.splitlines():
        words = line.split()
        if len(words) == 8 and words[3] == 'OBJECT' and words[6] == sections['.bss'] and int(words[2], 0) >= LARGE:
            yield words[7]


def faults(image, environment):
    """Page faults of a run by itself."""
    pid = os.posix_spawn(image, [image], environment)
    _, status, usage = os.wait4(pid, 0)
    return usage.ru_minflt if status == 0 else 1 << 30


# Not in /tmp, which may be a tmpfs: nothing is sealed there, so that all of the file is hashed, step by step, for minutes.
with tempfile.TemporaryDirectory(dir='/var/tmp') as work:
    os.mkdir(work + '/root')
    os.mkdir(work + '/run', 0o700)
    image = work + '/image'
    subprocess.run(['cc', '-static', '-nostdlib', '-O1', '-fno-stack-protector', '-xc', '-', '-o', work + '/root/exit'], input=GUEST, text=True, check=True)
    subprocess.run([sys.executable, mkpayload, vkernel, work + '/root', image, '/exit'], check=True)
    environment = {'XDG_RUNTIME_DIR': work + '/run'}
    time.sleep(2.5)  # a younger file is not sealed
    subprocess.run([image], env=environment, check=True)
    seals = [os.path.join(folder, f) for folder, _, files in os.walk(work + '/run') for f in files]
    sealed = any(os.path.getsize(f) for f in seals)
    for processors in 1, 2:
        environment['INGOT_OPTIONS'] = f'--cpus {processors}'
        line = subprocess.run([count, image], env=environment, capture_output=True, text=True, check=True).stdout
        numbers = dict(zip(line.split()[::2], map(int, line.split()[1::2])))
        expect(f'the start with --cpus {processors} ends well', numbers['status'] == 0, line.strip())
        # Without a seal all of the file is hashed, for which the processor is asked what it can; the C library's start asks some forty times.
        allowed = (0 if sealed else 3) if own_start == 'true' else 1 << 30
        expect('CPUID instructions', numbers['cpuid'] <= allowed, f"{numbers['cpuid']}, at most {allowed}")
        calls, pages = CALLS + THREAD_CALLS * (processors - 1), FAULTS + THREAD_FAULTS * (processors - 1)
        expect('host calls', numbers['calls'] <= calls, f"{numbers['calls']}, at most {calls}")
        if sealed:
            least = min(faults(image, environment) for _ in range(5))
            expect('page faults', least <= pages, f'{least}, at most {pages}')
    large = sorted(large_variables())
    expect('large variables are apart', not large, ', '.join(large) or 'none among small ones')
sys.exit(1 if failed else 0)
