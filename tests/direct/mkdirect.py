#!/usr/bin/env python3
"""In the place of tools/mkpayload.py for tests/vkernel/run.py and attacks.py: builds the folder ROOT with the direct backend, so that the same
programs run as rewritten code. OUT is a script that runs what was built.

    mkdirect.py INGOT ROOT OUT
"""
import os
import stat
import subprocess
import sys

ingot, root, out = (os.path.abspath(a) for a in sys.argv[1:4])
subprocess.run([ingot, 'build', '-q', '--backend', 'direct', '--cache', out + '.cache', root, '-o', out + '.ingot'], check=True)
with open(out, 'w') as f:
    f.write(f'#!/bin/sh\nexec {ingot} run $INGOT_OPTIONS {out}.ingot "$@"\n')
os.chmod(out, stat.S_IRWXU)
