#!/usr/bin/env python3
"""Runs bombs.c in a container with limits: as many pipes, sockets, timers, directories and so on as a guest can make. The container must go on,
everything must be free afterwards, in the container and of the host's descriptors and mappings, and the host's process must not have had more than
its limit and a twentieth.

    bombs.py [--cpus N] VKERNEL MKPAYLOAD bombs.c [BOMB]
"""
import os, subprocess, sys, tempfile, time

arguments = sys.argv[1:]
processors = ''
if arguments[0] == '--cpus':
    processors = ' --cpus ' + arguments[1]
    del arguments[:2]
vkernel, mkpayload, source, *only = arguments
LIMIT = 150  # MiB
ALLOWED = LIMIT * 1.05
FIBERS = 64  # whose stacks are kept for the next ones (platform/fiber.c), each with its guard


most_of_files = 0


def peak(pid):
    """MiB; what came and went between two looks is in it, but for page tables and memory files. Pages of the artifact are not counted, of which
    there may have been more at the peak than now."""
    global most_of_files
    with open(f'/proc/{pid}/status') as f:
        fields = {line.split(':')[0]: int(line.split()[1]) for line in f if line.startswith(('Rss', 'Vm'))}
    most_of_files = max(most_of_files, fields['RssFile'])
    return max(fields['RssAnon'] + fields['VmPTE'], fields['VmHWM'] - most_of_files) / 1024


def held(pid):
    """How many of the host's descriptors and mappings the process has."""
    with open(f'/proc/{pid}/maps') as f:
        return len(os.listdir(f'/proc/{pid}/fd')), sum(1 for _ in f)


def main():
    with tempfile.TemporaryDirectory() as work:
        root, image = os.path.join(work, 'root'), os.path.join(work, 'image')
        for d in ('bin', 'etc', 'tmp', 'proc', 'dev'):
            os.makedirs(os.path.join(root, d))
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', root + '/bin/bombs', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        # --timeout is the test's own: a bomb that does not end must not outlive it.
        options = f'--memory {LIMIT}m --disk 40m --pids 300 --timeout 170 --quiet' + processors
        with open(work + '/out', 'w+') as out:
            p = subprocess.Popen([image, '/bin/bombs', *only], env=dict(os.environ, INGOT_OPTIONS=options), stdout=out)
            most, lines, holds = 0, 0, []  # the last: after each bomb
            while p.poll() is None:
                try:
                    most = max(most, peak(p.pid))
                    with open(work + '/out') as said:
                        now = said.read().count('\n')
                    if now > lines:
                        lines = now
                        time.sleep(0.05)
                        holds.append(held(p.pid))
                except (OSError, KeyError):
                    pass
                time.sleep(0.005)
            out.seek(0)
            text = out.read()
    left = [(text.splitlines()[k].split(':')[0], h) for k, h in enumerate(holds) if h[0] > holds[0][0] + 2 or h[1] > holds[0][1] + 2 * FIBERS + 20]
    print(text, f'status {p.returncode}, most {most:.1f} MiB, descriptors and mappings of the host {holds}, left of {left}', sep='')
    return p.returncode != 0 or left or not text.endswith('survived\n') or most > ALLOWED


sys.exit(main())
