#!/usr/bin/env python3
"""TFD_TIMER_CANCEL_ON_SET: a vkernel whose host's clock can be set to order (clock_set.c) must print what Linux does when its clock is set.
What Linux prints is kept here, as no test may set the clock of the machine: `GUEST host`, run as root, shows it.

    clock_set.py VKERNEL MKPAYLOAD GUEST.c
"""
import os, subprocess, sys, tempfile

vkernel, mkpayload, source = sys.argv[1:4]
LINUX = """\
before: ready 0, read EAGAIN 0
cancelled: ready 1, read ECANCELED 0
told once: ready 0, read EAGAIN 0
relative: ready 0, read EAGAIN 0
monotonic: ready 0, read EAGAIN 0
not asked for: ready 0, read EAGAIN 0
again: ready 1, read ECANCELED 0
told once: ready 0, read EAGAIN 0
another: ready 1, read ECANCELED 0
told once: ready 0, read EAGAIN 0
with the other closed: ready 1, read ECANCELED 0
with all closed: ready 0, read EAGAIN 0
set: ECANCELED
told so: ready 0, read EAGAIN 0
set without: ok
not any more: ready 0, read EAGAIN 0
nor later: ready 0, read EAGAIN 0
set with, what was not told: ECANCELED
told: ready 0, read EAGAIN 0
disarmed: ok
disarmed: ready 1, read ECANCELED 0
set before it was made: ready 0, read EAGAIN 0
a reader: ECANCELED
a watcher: 1
what it sees: ready 1, read ECANCELED 0
"""
# Not recorded, as the clock would have to jump by hours: from fs/timerfd.c, where a read that tells of the jump forgets all expiries.
EXPIRIES = """\
set back: ready 1, read ECANCELED 0
left: about 2000
set forward, to a second before: ready 1, read ECANCELED 0
left: about 0
set back and past it: ready 1, read ECANCELED 0
nothing else: ready 0, read EAGAIN 0
set past it, with an interval: ready 1, read ECANCELED 0
nothing else: ready 0, read EAGAIN 0
left: about 0 of 2000
a second later: 1
it has come: ready 1, read ok 1
"""


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        root, image = os.path.join(work, 'root'), os.path.join(work, 'image')
        for d in ('/bin', '/tmp'):
            os.makedirs(root + d)
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-pthread', '-w', '-o', root + '/bin/guest', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        for stress in ('', '--stress unwind', '--stress budget'):
            r = subprocess.run([image, '/bin/guest'], capture_output=True, text=True, timeout=60, env=dict(os.environ, INGOT_OPTIONS=stress))
            ok = r.returncode == 0 and r.stdout == LINUX + EXPIRIES
            print('ok' if ok else 'not ok', '- the clock is set', stress)
            if not ok:
                failed += 1
                print('--- wanted', LINUX + EXPIRIES, '--- got', r.stdout, r.stderr, sep='\n')
    return failed != 0


sys.exit(main())
