#!/usr/bin/env python3
"""Runs the small programs of tests/vkernel/cases (case.h) on Linux and on the vkernel: each must print the same and end
in the same way. A case that differs runs once more on Linux. Needs root; the last line counts.

    cases.py [--cpus N] [--only REGEX] VKERNEL MKPAYLOAD CASES-FOLDER

VKERNEL MKPAYLOAD as with run.py: they may be INGOT tests/direct/mkdirect.py.
"""
import argparse, difflib, glob, os, re, subprocess, sys, tempfile

import native as native_programs

SECONDS = 240 # for all: less than meson gives the test


def compile_cases(folder, out):
    """Each file by itself, two at a time, as none knows of the other."""
    with tempfile.TemporaryDirectory() as work:
        sources = sorted(glob.glob(folder + '/*.c'))
        assert sources, folder
        objects = [os.path.join(work, os.path.basename(s) + '.o') for s in sources]
        commands = [['cc', '-O1', '-D_GNU_SOURCE', '-pthread', '-w', '-c', '-o', o, s] for s, o in zip(sources, objects)]
        for k in range(0, len(commands), 2):
            running = [subprocess.Popen(c) for c in commands[k:k + 2]]
            if any([p.wait() for p in running]):
                sys.exit('a file of cases does not compile')
        subprocess.run(['cc', '-static', '-pthread', '-o', out, *objects], check=True)


def run(command, **options):
    """What each case printed: {'FILE NAME': [line, ...]}."""
    try:
        p = subprocess.run(command, capture_output=True, timeout=SECONDS, **options)
    except subprocess.TimeoutExpired as e:
        last = [line for line in (e.stdout or b'').decode(errors='replace').splitlines() if line.startswith('== ')][-1:]
        sys.exit(f'{command[0]} did not end in {SECONDS} s; the last case was {last}')
    cases, lines = {}, []
    for line in p.stdout.decode(errors='replace').splitlines():
        if line.startswith('== '):
            lines = cases.setdefault(line[3:], [])
        else:
            lines.append(line)
    if p.returncode:
        lines.append(f'(all: ends with {p.returncode}) {p.stderr.decode(errors="replace")[-2000:]}')
    return cases


def as_a_guest():
    """Which begins with nice value 0, whatever started this has."""
    os.setpriority(os.PRIO_PROCESS, 0, 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cpus', default='1')
    parser.add_argument('--only', default='', metavar='REGEX')
    parser.add_argument('vkernel')
    parser.add_argument('mkpayload')
    parser.add_argument('folder')
    args = parser.parse_args()
    if os.geteuid() != 0:
        print('needs root')
        return 77 # skipped
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        root, image = work + '/root', work + '/image'
        for d in ('bin', 'etc', 'tmp', 'proc', 'dev'):
            os.makedirs(os.path.join(root, d))
        os.chmod(root + '/tmp', 0o1777)
        os.chmod(work, 0o755)
        compile_cases(args.folder, root + '/bin/cases')
        names = []
        if args.only:
            for source in sorted(glob.glob(args.folder + '/*.c')):
                with open(source) as f:
                    found = re.findall(r'^CASE\((\w+)\)', f.read(), re.M)
                names += [n for n in found if re.search(args.only, os.path.basename(source) + ' ' + n)]
            if not names:
                sys.exit(f'no case matches {args.only}')
        subprocess.run([sys.executable, args.mkpayload, args.vkernel, root, image], check=True)
        with native_programs.alone():
            want = run([root + '/bin/cases', *names], preexec_fn=as_a_guest)
        got = run([image, '/bin/cases', *names], env=dict(os.environ, INGOT_OPTIONS='--cpus ' + args.cpus))
        for case, lines in want.items():
            if got.get(case) == lines:
                continue
            with native_programs.alone():
                again = run([root + '/bin/cases', case.split()[1]], preexec_fn=as_a_guest)[case]
            if got.get(case) == again:
                print('(Linux says two different things of', case + ')')
                continue
            failed += 1
            print('not ok', case)
            print('\n'.join(difflib.unified_diff(lines, got.get(case, ['(did not run)']), 'Linux', 'vkernel', lineterm='', n=1)))
    print(f'{len(want) - failed} cases passed, {failed} failed')
    return failed != 0


sys.exit(main())
