#!/usr/bin/env python3
"""Each file of the source tree that begins with #! may be executed, and no other: a check that calls a script by its
name would only say so on the day on which somebody runs it.

    scripts.py SOURCE-ROOT
"""
import os, subprocess, sys

os.chdir(sys.argv[1])
names = subprocess.run(['git', 'ls-files', '-z'], capture_output=True, text=True, check=True).stdout.split('\0')
wrong = 0
for name in names:
    if not os.path.isfile(name) or os.path.islink(name):
        continue # deleted and not committed yet; or an entry that is no file
    with open(name, 'rb') as f:
        script = f.read(2) == b'#!'
    if script != os.access(name, os.X_OK):
        print(f'{name}: begins with #! and cannot be executed' if script else f'{name}: can be executed and has no #!')
        wrong += 1
print(f'{len(names)} files, {wrong} wrong')
sys.exit(wrong != 0)
