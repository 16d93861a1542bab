#!/usr/bin/env python3
"""Builds late_signal.c, also as a container's program in rewritten code, and has the first try the second.

    late_signal.py INGOT late_signal.c
"""
import os, subprocess, sys, tempfile

ingot, source = (os.path.abspath(a) for a in sys.argv[1:3])
with tempfile.TemporaryDirectory(dir='/var/tmp') as work:
    os.makedirs(work + '/root/bin')
    program, image = work + '/root/bin/late_signal', work + '/image'
    subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', program, source], check=True)
    subprocess.run([ingot, 'build', '-q', '--backend', 'direct', '--cache', work + '/cache', work + '/root', '-o', image], check=True)
    symbols = {w[2]: w[0] for w in map(str.split, subprocess.run(['nm', image], capture_output=True, text=True, check=True).stdout.splitlines()) if len(w) == 3}
    text = [symbols[f'__{end}_ingot_direct_text'] for end in ('start', 'stop')]
    p = subprocess.run([program, *text, ingot, 'run', '-q', '--cpus', '1', image, '/bin/late_signal', 'guest'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=280)
    print('\n'.join(line for line in p.stdout.splitlines() if line != 'ready'))
sys.exit(p.returncode)
