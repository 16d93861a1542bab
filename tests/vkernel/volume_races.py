#!/usr/bin/env python3
"""A volume whose folders are renamed and replaced on the host, by links to outside and by moving them outside, while a guest
walks them: nothing outside may be read or changed. As root and, started by root, as an ordinary user.

    volume_races.py VKERNEL MKPAYLOAD GUEST.c [SECONDS]
"""
import ctypes, os, subprocess, sys, tempfile, threading

vkernel, mkpayload, source = sys.argv[1:4]
seconds = sys.argv[4] if len(sys.argv) > 4 else '2'
libc = ctypes.CDLL(None)


def exchange(a, b):
    libc.renameat2(-100, a.encode(), -100, b.encode(), 2)


def race(volume, outside, stop):
    """The walk's folders become links to outside, are moved out, and come back."""
    swaps = 0
    while not stop.is_set():
        for a, b in ((volume + '/a/b/c', volume + '/evil'), (volume + '/a/b', volume + '/evil'),
                     (volume + '/a', outside + '/moved'), (volume + '/a/b/c/file', volume + '/evil_file'),
                     (volume + '/a/b', outside + '/moved2')):
            exchange(a, b)
            exchange(a, b)
            swaps += 2
    return swaps


def run(image, work, user):
    volume, outside = (os.path.join(work, name) for name in ('volume%d' % user, 'outside%d' % user))
    for d in (volume + '/a/b/c', outside + '/moved/b/c', outside + '/moved2/c', outside + '/b/c', outside + '/c'):
        os.makedirs(d)
    for d in (outside, outside + '/b', outside + '/b/c', outside + '/c'):
        with open(d + '/file', 'w') as f:
            f.write('SECRET'.ljust(777))
        os.symlink('SECRET', d + '/link')
    for d in (volume + '/a/b/c', outside + '/moved/b/c', outside + '/moved2/c'):
        with open(d + '/file', 'w') as f:
            f.write('inside')
    with open(work + '/file', 'w') as f:
        f.write('SECRET')
    os.symlink(outside, volume + '/evil')
    os.symlink(outside + '/file', volume + '/evil_file')
    os.chmod(work, 0o711)
    if user:
        subprocess.run(['chown', '-R', '4321:4321', volume, outside], check=True)
    stop = threading.Event()
    mover = threading.Thread(target=race, args=(volume, outside, stop))
    mover.start()
    try:
        r = subprocess.run([image, '/bin/races', seconds], capture_output=True, text=True, timeout=int(seconds) + 60, cwd='/',
                           env={'INGOT_OPTIONS': f'--volume {volume}:/v'}, **({'user': 4321, 'group': 4321, 'extra_groups': []} if user else {}))
    finally:
        stop.set()
        mover.join()
    changed = [d for d in (outside, outside + '/b/c', outside + '/c') if os.path.exists(d + '/new') or os.path.exists(d + '/newer')
               or os.stat(d + '/file').st_size != 777]
    ok = r.returncode == 0 and not changed
    print('ok' if ok else 'FAIL', 'as user' if user else 'as started', r.stdout.strip()[-400:], r.stderr[-400:], changed or '')
    return ok


def main():
    with tempfile.TemporaryDirectory() as work:
        root, image = os.path.join(work, 'root'), os.path.join(work, 'image')
        os.makedirs(root + '/bin')
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-o', root + '/bin/races', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        os.chmod(work, 0o711)
        os.chmod(image, 0o755)
        ok = run(image, work, 0)
        if os.getuid() == 0:
            ok = run(image, work, 1) and ok
    return not ok


sys.exit(main())
