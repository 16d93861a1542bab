#!/usr/bin/env python3
"""A guest tries to have more of the host's memory than --memory allows, in each way of memory_limit.c: private and shared pages, files,
page tables, sockets, names, events. The container must not have much more than its limit at any time, but for
what a tick lets through.

    memory_limit.py VKERNEL MKPAYLOAD memory_limit.c [WAY...]
"""
import os, shutil, subprocess, sys, tempfile, time

vkernel, mkpayload, source = sys.argv[1:4]
only = sys.argv[4:]
LIMIT, ALLOWANCE = 100, 150  # MiB; the allowance is for 20 ms of writing on a busy machine


def now(pid):
    """MiB of the host's memory that the process holds: its own pages, its page tables, its memory files."""
    total = 0
    with open(f'/proc/{pid}/status') as f:
        for line in f:
            if line.startswith(('RssAnon:', 'VmPTE:')):
                total += int(line.split()[1])
    for fd in os.listdir(f'/proc/{pid}/fd'):
        try:
            if os.readlink(f'/proc/{pid}/fd/{fd}').startswith('/memfd:'):
                total += os.stat(f'/proc/{pid}/fd/{fd}').st_blocks // 2
        except OSError:
            pass
    return total >> 10


def attempt(image, way):
    """The exit status and the most memory seen."""
    p = subprocess.Popen([image, '/bin/attack', way], env=dict(os.environ, INGOT_OPTIONS=f'--memory {LIMIT}m'), stderr=subprocess.DEVNULL)
    most, end = 0, time.monotonic() + 60
    while p.poll() is None and time.monotonic() < end:
        try:
            most = max(most, now(p.pid))
        except OSError:
            pass
        if most > 4 * (LIMIT + ALLOWANCE):
            p.kill()
        time.sleep(0.005)
    if p.poll() is None:
        p.kill()
        return 'timeout', most
    return p.wait(), most


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        root = os.path.join(work, 'root')
        for d in ('bin', 'etc', 'tmp', 'proc', 'dev'):
            os.makedirs(os.path.join(root, d))
        attack = os.path.join(root, 'bin', 'attack')
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', attack, source], check=True)
        image = os.path.join(work, 'image')
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        for way in only or subprocess.run([attack], capture_output=True, text=True, check=True).stdout.split():
            status, most = attempt(image, way)
            ok = status in (0, 137) and most < LIMIT + ALLOWANCE
            failed += not ok
            print('ok' if ok else 'not ok', way, 'status', status, 'most', most, 'MiB', flush=True)
    return failed != 0


sys.exit(main())
