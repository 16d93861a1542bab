#!/usr/bin/env python3
"""A machine (machine.py) is switched off while a guest writes into a volume on its disk: what the guest was promised (tests/vkernel/promises.py) is on
the disk. It is only there because fsync and its kin reach the host's kernel, as the disk's file system is told to write nothing by itself.
Each way to write has a machine of its own, for what one way brings to the disk would hide that another does not; then all of them together.

    crash.py KERNEL VKERNEL MKPAYLOAD [WAY...]
"""
import os, random, subprocess, sys, tempfile, threading, time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here + '/../vkernel')
import machine, promises

kernel, vkernel, mkpayload, *only = sys.argv[1:]


def attempt(ramdisk, work, way, cpus, delay):
    """What was promised on the console, and what of it is missing on the disk."""
    disk, volume = work + '/disk', f'{work}/volume-{way}-{cpus}'
    if os.path.exists(disk):
        os.unlink(disk)
    with open(disk, 'wb') as f:
        f.truncate(256 << 20)
    subprocess.run(['mkfs.ext4', '-q', '-F', disk], check=True)
    p = machine.start(kernel, ramdisk, '-drive', f'file={disk},if=none,id=disk,format=raw,cache=unsafe', '-device', 'nvme,drive=disk,serial=1',
                      words=f'cpus={cpus} way={way}', limit=200)
    said = b''
    for line in p.stdout: # up to the end of the machine
        said += line
        if not promises.last_of(said.decode(errors='replace')):
            continue
        threading.Timer(delay, p.kill).start()
        said += p.stdout.read()
        break
    p.wait()
    # Reads the journal, as the next mount would.
    subprocess.run(['e2fsck', '-f', '-y', disk], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.mkdir(volume)
    subprocess.run(['debugfs', '-R', f'rdump / {volume}', disk], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = promises.last_of(said.decode(errors='replace'))
    if not last:
        print(said.decode(errors='replace'))
    return last, promises.missing(volume, last)


def main():
    failed, seed = 0, int(time.time())
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as work:
        ramdisk = machine.build(work, vkernel, mkpayload, here + '/crash.sh', 'killed', here + '/../vkernel/killed.c')
        for way, cpus in [(way, 1) for way in only or promises.WAYS] + [('', 2)] * (not only):
            last, wrong = attempt(ramdisk, work, way, cpus, chance.uniform(1, 4))
            ok = last and not wrong
            failed += not ok
            print('ok' if ok else 'not ok', way or 'all', last, wrong, flush=True)
    print('seed', seed)
    return failed != 0


sys.exit(main())
