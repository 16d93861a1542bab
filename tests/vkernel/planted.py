#!/usr/bin/env python3
"""Mistakes in the vkernel's use of its objects end the container with a line, and nothing runs on (planted.c has the mistakes).

    planted.py VKERNEL MKPAYLOAD GUEST.c
"""
import os, subprocess, sys, tempfile

vkernel, mkpayload, source = sys.argv[1:4]
MISTAKES = {1: 'a file put twice', 2: 'an inode put twice', 3: 'a name put until it is gone', 4: 'a buffer overrun',
            5: 'a freed file written', 6: 'a buffer freed twice', 7: 'a forged table of operations'}


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        root, image = os.path.join(work, 'root'), os.path.join(work, 'image')
        for d in ('/bin', '/tmp'):
            os.makedirs(root + d)
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', root + '/bin/guest', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)

        def run(mistake):
            return subprocess.run([image, '/bin/guest', str(mistake)], capture_output=True, text=True, timeout=60, cwd='/')

        r = run(0)
        ok = r.returncode == 0 and r.stdout == 'finished\n'
        print('ok' if ok else 'not ok', '- without a mistake it finishes', r.stderr)
        failed += not ok
        for mistake, name in MISTAKES.items():
            r = run(mistake)
            ok = r.returncode != 0 and 'finished' not in r.stdout and 'ingot: internal' in r.stderr
            print('ok' if ok else 'not ok', f'- {name}: {r.stderr.strip()} ({r.returncode})')
            failed += not ok
    return failed != 0


sys.exit(main())
