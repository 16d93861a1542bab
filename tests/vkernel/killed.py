#!/usr/bin/env python3
"""The host process is killed (kill -9) at random moments while guests write into a volume: what they were promised (promises.py) is in
the files, whole. Nothing of it was kept in the process. (What the host's kernel keeps outlives the process: tests/machine/crash.py has that end, too.)

    killed.py VKERNEL MKPAYLOAD killed.c [ROUNDS [SEED]]
"""
import os, random, subprocess, sys, tempfile, time

import promises

vkernel, mkpayload, source = sys.argv[1:4]
rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 8
seed = int(sys.argv[5]) if len(sys.argv) > 5 else int(time.time())


def attempt(image, volume, delay, cpus):
    p = subprocess.Popen(['timeout', '-s', 'KILL', '60', image, '/bin/killed', '/v'], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                         env=dict(os.environ, INGOT_OPTIONS=f'--memory 400m --cpus {cpus} --volume {volume}:/v'))
    first = p.stdout.readline()  # it works: the delay is of writing, not of the start
    time.sleep(delay)
    with open(f'/proc/{p.pid}/task/{p.pid}/children') as f:
        os.kill(int(f.read().split()[0]), 9)
    said = first + p.stdout.read()  # up to the end of the pipe; the last line may be cut
    p.wait()
    return promises.last_of(said.decode())


def main():
    failed, promised, seen = 0, 0, set()
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as work:
        root, image = os.path.join(work, 'root'), os.path.join(work, 'image')
        for d in ('bin', 'etc', 'tmp', 'proc', 'dev', 'v'):
            os.makedirs(os.path.join(root, d))
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', root + '/bin/killed', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        for k in range(rounds):
            volume = os.path.join(work, f'v{k}')
            os.mkdir(volume)
            os.chmod(volume, 0o777)
            last = attempt(image, volume, chance.uniform(0, 1.5), 1 + k % 2)
            wrong = promises.missing(volume, last)
            promised += sum(n + 1 for n in last.values())
            seen |= set(last)
            failed += bool(wrong)
            print('not ok' if wrong else 'ok', k, last, wrong, flush=True)
    print(promised, 'promises in', rounds, 'rounds, seed', seed)
    return failed != 0 or seen != set(promises.WAYS)


sys.exit(main())
