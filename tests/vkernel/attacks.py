#!/usr/bin/env python3
"""Runs programs that attack the vkernel, in the evaluator or, where VKERNEL MKPAYLOAD are INGOT tests/direct/mkdirect.py, as
rewritten code: each must end by itself with status 0, "survived" as its last line, and the output that it has on Linux. Run
natively, as whoever runs the tests, are only those whose first comment has the words "The same on Linux.": an attack is
dangerous where nothing holds it (kill(-1), fork bombs). With "Not sanitized." it is left out where the vkernel was built with
AddressSanitizer, which takes mappings of the host for each fiber and ends when there are no more.

They run on one processor, also in the stress mode budget, and on two; with --migrate on two between which every task moves at each call, and
with --one on one only.

    attacks.py [--migrate | --one] VKERNEL MKPAYLOAD FOLDER|PROGRAM.c...
"""
import glob, os, subprocess, sys, tempfile

import native as native_programs

arguments = sys.argv[1:]
mode = arguments.pop(0) if arguments[0] in ('--migrate', '--one') else ''
vkernel, mkpayload, *sources = arguments
programs = [p for a in sources for p in (sorted(glob.glob(a + '/*.c')) if os.path.isdir(a) else [a])]
OPTIONS = {'--migrate': ('--cpus 2 --stress migrate',), '--one': ('--cpus 1', '--cpus 1 --stress budget')}.get(mode, ('--cpus 1', '--cpus 1 --stress budget', '--cpus 2'))


def run(command, **options):
    try:
        p = subprocess.run(command, capture_output=True, timeout=60, **options)
        return p.returncode, p.stdout, p.stderr
    except subprocess.TimeoutExpired as e:
        return 'timeout', e.stdout or b'', e.stderr or b''


def build(work, sanitized):
    root = os.path.join(work, 'root')
    for d in ('bin', 'etc', 'tmp', 'proc', 'dev'):
        os.makedirs(os.path.join(root, d))
    os.chmod(os.path.join(root, 'tmp'), 0o1777)
    for source in programs:
        name = os.path.splitext(os.path.basename(source))[0]
        # Those that measure time give a sanitized vkernel more.
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', f'-DSLOWER={5 if sanitized else 1}', '-static', '-pthread', '-w', '-o',
                        os.path.join(root, 'bin', name), source], check=True)
    image = os.path.join(work, 'image')
    subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
    return root, image


def main():
    failed = 0
    with open(vkernel, 'rb') as f:
        sanitized = b'__asan_init' in f.read()
    with tempfile.TemporaryDirectory() as work:
        root, image = build(work, sanitized)
        for source in programs:
            name = os.path.splitext(os.path.basename(source))[0]
            with open(source) as f:
                head = f.read().split('*/')[0]
            native = 'The same on Linux.' in head
            if sanitized and 'Not sanitized.' in head:
                continue
            want = None
            if native:
                with native_programs.alone():
                    want = run([os.path.join(root, 'bin', name)], cwd=work)[:2]
            for option in OPTIONS:
                status, out, err = run([image, '/bin/' + name], env=dict(os.environ, INGOT_OPTIONS=option))
                ok = status == 0 and out.endswith(b'survived\n') and want in (None, (status, out))
                print('ok' if ok else 'not ok', name, option, flush=True)
                if not ok:
                    failed += 1
                    print('--- Linux', want, '--- vkernel', status, out.decode(errors='replace')[-2000:],
                          err.decode(errors='replace')[-2000:], sep='\n')
    return failed != 0


sys.exit(main())
