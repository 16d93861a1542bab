#!/usr/bin/env python3
"""A guest tries to have more of the host's memory than --memory allows, in each way of memory_limit.c: private and shared pages, files,
page tables, sockets, names, events. The container must not have more than its limit and a twentieth at any time.

    memory_limit.py VKERNEL MKPAYLOAD memory_limit.c [WAY...]
"""
import os, subprocess, sys, tempfile, time

vkernel, mkpayload, source = sys.argv[1:4]
only = sys.argv[4:]
LIMIT = 100  # MiB
ALLOWED = LIMIT * 1.05

# Here one page is mapped by many address spaces of the process, and the host's peak counts it for each.
SHARED = ('forks',)

def now(pid, way):
    """MiB of the host's memory that the process holds: its own pages, its page tables, its memory files. The most that it ever had of
    pages the host tells, too: what came and went between two looks."""
    with open(f'/proc/{pid}/status') as f:
        fields = {line.split(':')[0]: int(line.split()[1]) for line in f if line.startswith(('Rss', 'Vm'))}
    total = fields['RssAnon'] + fields['VmPTE']
    peak = fields['VmHWM'] - fields['RssFile']
    for fd in os.listdir(f'/proc/{pid}/fd'):
        try:
            if os.readlink(f'/proc/{pid}/fd/{fd}').startswith('/memfd:'):
                total += os.stat(f'/proc/{pid}/fd/{fd}').st_blocks // 2
        except OSError:
            pass
    return (total if way in SHARED else max(total, peak)) / 1024


def attempt(image, way):
    """The exit status and the most memory seen."""
    p = subprocess.Popen([image, '/bin/attack', way], env=dict(os.environ, INGOT_OPTIONS=f'--memory {LIMIT}m'), stderr=subprocess.DEVNULL)
    most, end = 0, time.monotonic() + 60
    while p.poll() is None and time.monotonic() < end:
        try:
            most = max(most, now(p.pid, way))
        except (OSError, KeyError):
            pass
        if most > 10 * LIMIT:
            p.kill()
        time.sleep(0.001)
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
            ok = status in (0, 137) and most <= ALLOWED
            failed += not ok
            print('ok' if ok else 'not ok', way, 'status', status, 'most', f'{most:.1f} MiB', flush=True)
    return failed != 0


sys.exit(main())
