#!/usr/bin/env python3
"""The host process is killed (kill -9) at random moments while guests write into a volume: what they were promised (fsync, fdatasync,
O_DSYNC, msync, rename after fsync) is in the files, whole.

    killed.py VKERNEL MKPAYLOAD killed.c [ROUNDS [SEED]]
"""
import os, random, re, subprocess, sys, tempfile, time

vkernel, mkpayload, source = sys.argv[1:4]
rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 8
seed = int(sys.argv[5]) if len(sys.argv) > 5 else int(time.time())
WAYS = ('fsync', 'fdatasync', 'dsync', 'mapped', 'replaced')
RECORD = 64


def record(number):
    text = bytearray(bytes([ord('a') + number % 26]) * RECORD)
    head = b'%010d ' % number
    text[:len(head)] = head
    text[len(head)] = ord('.')
    text[-1] = ord('\n')
    return bytes(text)


def attempt(image, volume, delay):
    p = subprocess.Popen(['timeout', '-s', 'KILL', '60', image, '/bin/killed', '/v'], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                         env=dict(os.environ, INGOT_OPTIONS=f'--memory 400m --volume {volume}:/v'))
    first = p.stdout.readline()  # it works: the delay is of writing, not of the start
    time.sleep(delay)
    with open(f'/proc/{p.pid}/task/{p.pid}/children') as f:
        os.kill(int(f.read().split()[0]), 9)
    said = first + p.stdout.read()  # up to the end of the pipe; the last line may be cut
    p.wait()
    last = {}
    for way, number in re.findall(r'^(\w+) (\d+)\n', said.decode(), re.M):
        last[way] = max(last.get(way, -1), int(number))
    return last


def missing(volume, last):
    """What is not as it was promised."""
    wrong = []
    for way, number in last.items():
        with open(f'{volume}/{way}', 'rb') as f:
            data = f.read((number + 1) * RECORD)
        if way == 'replaced':
            # The next one may be there already, whose promise was not printed.
            if data not in (record(number), record(number + 1)):
                wrong.append((way, number, data[:20]))
            continue
        for k in range(number + 1):
            if data[k * RECORD:(k + 1) * RECORD] != record(k):
                wrong.append((way, number, k))
                break
    return wrong


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
            last = attempt(image, volume, chance.uniform(0, 1.5))
            wrong = missing(volume, last)
            promised += sum(n + 1 for n in last.values())
            seen |= set(last)
            failed += bool(wrong)
            print('not ok' if wrong else 'ok', k, last, wrong, flush=True)
    print(promised, 'promises in', rounds, 'rounds, seed', seed)
    return failed != 0 or seen != set(WAYS)


sys.exit(main())
