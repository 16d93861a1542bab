#!/usr/bin/env python3
"""Runs bombs.c in a container with limits: as many pipes, sockets, timers, directories and so on as a guest can make. The container must go on,
everything must be free afterwards, and the host's process must not have had more than its limit and a twentieth.

    bombs.py VKERNEL MKPAYLOAD bombs.c [BOMB]
"""
import os, subprocess, sys, tempfile, time

vkernel, mkpayload, source = sys.argv[1:4]
only = sys.argv[4:]
LIMIT = 150  # MiB
ALLOWED = LIMIT * 1.05


def peak(pid):
    """MiB; what came and went between two looks is in it, but for page tables and memory files."""
    with open(f'/proc/{pid}/status') as f:
        fields = {line.split(':')[0]: int(line.split()[1]) for line in f if line.startswith(('Rss', 'Vm'))}
    return max(fields['RssAnon'] + fields['VmPTE'], fields['VmHWM'] - fields['RssFile']) / 1024


def main():
    with tempfile.TemporaryDirectory() as work:
        root, image = os.path.join(work, 'root'), os.path.join(work, 'image')
        for d in ('bin', 'etc', 'tmp', 'proc', 'dev'):
            os.makedirs(os.path.join(root, d))
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', root + '/bin/bombs', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        # --timeout is the test's own: a bomb that does not end must not outlive it.
        options = f'--memory {LIMIT}m --disk 40m --pids 300 --timeout 170 --quiet'
        with open(work + '/out', 'w+') as out:
            p = subprocess.Popen([image, '/bin/bombs', *only], env=dict(os.environ, INGOT_OPTIONS=options), stdout=out)
            most = 0
            while p.poll() is None:
                try:
                    most = max(most, peak(p.pid))
                except (OSError, KeyError):
                    pass
                time.sleep(0.005)
            out.seek(0)
            text = out.read()
    print(text, f'status {p.returncode}, most {most:.1f} MiB', sep='')
    return p.returncode != 0 or not text.endswith('survived\n') or most > ALLOWED


sys.exit(main())
