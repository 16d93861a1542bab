#!/usr/bin/env python3
"""The audit log: what is in it, that tampering shows, that a flood is bounded; and the lines on standard error. On a vkernel
without compiled code.

    audit.py VKERNEL MKPAYLOAD INGOT AUDITED.c
"""
import fcntl, hashlib, json, os, resource, subprocess, sys, tempfile

vkernel, mkpayload, ingot, source = (os.path.abspath(a) for a in sys.argv[1:])
failed = 0

JOURNAL = '''
import os, socket, sys
os.makedirs('/run/systemd/journal')
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('/run/systemd/journal/socket')
os.chmod('/run/systemd/journal/socket', 0o666)
os.system(sys.argv[1])
s.settimeout(5)
for _ in range(3):
    print(s.recv(1 << 20).decode())
'''


def expect(what, condition, shown=''):
    global failed
    print('ok' if condition else 'not ok', what, '' if condition else shown)
    failed += not condition


def run(*args, **options):
    return subprocess.run([ingot, 'run', *args], capture_output=True, timeout=60, stdin=subprocess.DEVNULL, **options)


def verify(lines, *options):
    with tempfile.NamedTemporaryFile('wb') as f:
        f.writelines(lines)
        f.flush()
        r = subprocess.run([ingot, 'audit', 'verify', *options, f.name], capture_output=True, text=True)
        return r.returncode, r.stdout + r.stderr


def tampering(lines):
    code, text = verify(lines)
    expect('an untouched log', code == 0 and f'{len(lines)} records of 2 runs' in text, text)
    last = text.split()[-1]
    expect('with its last value', verify(lines, '--last', last)[0] == 0)
    expect('with another last value', verify(lines[:-1], '--unfinished', '--last', last)[0] == 1)
    missed = []
    for i, line in enumerate(lines):
        changed = line.replace(b'"process.pid":1', b'"process.pid":7', 1).replace(b'"ecs.version":"8', b'"ecs.version":"9', 1)
        for kind, bad in (('edit', lines[:i] + [changed] + lines[i + 1:]), ('removal', lines[:i] + lines[i + 1:]),
                          ('copy', lines[:i] + [line, line] + lines[i + 1:]), ('damage', lines[:i] + [line[:-20] + b'\n'] + lines[i + 1:])):
            if verify(bad)[0] != 1:
                missed.append((kind, i))
        if i:
            # Two runs may share a file: the order of records of different runs is free.
            swapped = lines[:i - 1] + [lines[i], lines[i - 1]] + lines[i + 1:]
            same_run = json.loads(lines[i])['ingot.run'] == json.loads(lines[i - 1])['ingot.run']
            if verify(swapped)[0] != (1 if same_run else 0):
                missed.append(('swap', i))
    expect('every edit, removal, copy, damage and swap shows', not missed, missed)
    expect('a cut end', verify(lines[:-1])[0] == 1 and verify(lines[:-1], '--unfinished')[0] == 0)
    expect('a run of which nothing is left', verify([l for l in lines if json.loads(l)['ingot.run'] != json.loads(lines[0])['ingot.run']])[0] == 0)
    expect('no log', verify([])[0] == 1)
    forged = b'{"event.action":"run-started","event.sequence":0,"ingot.run":"\\u001b[2K"'
    forged += b',"ingot.chain":"' + hashlib.sha256(bytes(32) + forged).hexdigest().encode() + b'"}\n'
    code, text = verify([forged])
    expect('a log does not write to the terminal', code == 1 and 'run \\x1b[2K: this run has no end' in text and '\033' not in text, repr(text))
    expect('a line without an end', verify(lines + [b'x' * (8 << 20)])[0] == 1)
    expect('something else', verify([b'{}\n', b'\0\n', b'[' * 10000 + b'\n', b'"\n'])[0] == 1)


def content(lines, program):
    records = [json.loads(line) for line in lines]
    actions = [r['event.action'] for r in records]
    expect('actions', actions == ['run-started', 'volume-mounted', 'process-launched', 'memory-refused', 'memory-refused', 'code-refused', 'network-bound',
                                  'network-connected', 'process-launched', 'run-ended'], actions)
    by = {r['event.action']: r for r in records}
    launch = by['process-launched']
    with open(program, 'rb') as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    expect('a launch', launch['process.hash.sha256'] == digest and launch['process.executable'] == '/bin/audited' and
           launch['process.parent.pid'] == 1 and launch['process.pid'] > 1 and launch['user.id'] == 0 and
           launch['process.args'] == ['audited', 'caf\ufffd "quoted"'], launch)
    refused = by['code-refused']
    expect('a refusal', refused['file.path'] == '/tmp/stranger\033[31m' and len(refused['file.hash.sha256']) == 64 and
           refused['event.outcome'] == 'failure' and refused['event.reason'] == 'unknown file', refused)
    bound = by['network-bound']
    expect('an address', bound['source.ip'] == '127.0.0.1' and bound['source.port'] == 4242, bound)
    expect('the end', by['run-ended']['process.exit_code'] == 3 and by['run-ended']['ingot.refused'] == 3, by['run-ended'])


def bounds(image, log):
    """What --eval-unknown lets in, and what is hashed of the unknown."""
    r = run('--quiet', '--eval-unknown', '--audit', log + 'a', image, 'audited', 'admitted')
    with open(log + 'a', 'rb') as f:
        actions = [json.loads(line)['event.action'] for line in f]
    expect('4096 unknown files are let in', r.stdout == b'4096\n' and actions.count('code-admitted') == 4096 and actions.count('code-refused') == 1,
           (r, actions[-3:]))
    for option, results in (('--policy=enforce', b'13 13\n'), ('--eval-unknown', b'0 13\n')):
        r = run('--quiet', option, '--audit', log + 'b' + option, image, 'audited', 'large')
        with open(log + 'b' + option, 'rb') as f:
            files = [r for r in map(json.loads, f) if r['event.action'].startswith('code-')]
        expect(f'{option}: unknown files above 64 MiB are not hashed', r.stdout == results and len(files) == 2 and
               len(files[0].get('file.hash.sha256', '')) == 64 and 'file.hash.sha256' not in files[1] and
               files[1]['event.action'] == 'code-refused', (r, files))


def read_all(fd):
    """What a pipe holds, without waiting."""
    os.set_blocking(fd, False)
    data = b''
    while True:
        try:
            more = os.read(fd, 1 << 20)
        except BlockingIOError:
            break
        if not more:
            break
        data += more
    os.set_blocking(fd, True)
    return data


def slow_readers(image, work):
    """A pipe that nobody reads, a file that becomes full in the middle of a record."""
    def start(*args):
        r, w = os.pipe()
        fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4 * 4096)
        p = subprocess.Popen([ingot, 'run', '--audit', f'fd:{w}', *args], pass_fds=[w], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        os.close(w)
        return p, r

    p, r = start(image, 'audited', 'many')
    try:
        p.wait(timeout=2)
        ended = True
    except subprocess.TimeoutExpired:
        ended = False
    data = b''
    while more := os.read(r, 1 << 20):
        data += more
    expect('nothing happens unrecorded: it waits for who reads the log', not ended and p.wait(timeout=60) == 0 and
           data.count(b'"process-launched"') == 101 and verify(data.splitlines(True))[0] == 0, data[-300:])

    p, r = start('--audit-full', 'drop', image, 'audited', 'many')
    said = p.communicate(timeout=60)[1]
    data = read_all(r)
    expect('or not, as asked', p.returncode == 0 and said.count(b'records are lost') == 1 and 5 < data.count(b'"process-launched"') < 100,
           (p.returncode, said, data[-300:]))

    p, r = start('--audit-full', 'drop', image, 'audited', 'torn')
    p.stdout.readline()
    data = read_all(r)
    p.communicate(b'\n', timeout=60)
    lines = (data + read_all(r)).splitlines(True)
    broken = [i for i, line in enumerate(lines) if not line.endswith(b'"}\n')]
    lost = [json.loads(line)['ingot.lost'] for line in lines if b'"records-dropped"' in line]
    expect('what is left of a torn record is a line of its own', broken == [2] and lost == [1] and b'small' in lines[4] and
           verify(lines)[0] == 1 and verify(lines[:2] + lines[3:])[0] == 0, (broken, lost, [l[:300] for l in lines]))

    log = work + '/short'
    r = run('--audit', log, image, 'audited', preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)))
    expect('RLIMIT_FSIZE of the host', r.returncode == 0 and r.stderr.count(b'records are lost') == 1 and os.path.getsize(log) == 1024, r)
    r = run('--audit', log, image, 'audited')
    with open(log, 'rb') as f:
        lines = f.readlines()
    expect('the next run begins a line of its own', verify(lines[-3:])[0] == 0 and verify(lines)[0] == 1 and len(lines[-4]) > 1, lines)


def journald(image, work):
    """A socket of ours in the place of the journal's, in a mount namespace: an ordinary user needs a user namespace for that."""
    os.chmod(work, 0o755)
    os.chmod(image, 0o755)
    start = f'INGOT_OPTIONS="--audit journald" exec %s {image} audited'
    root = os.getuid() == 0
    for who, switch in (('root', ''), ('a user', 'setpriv --reuid=4321 --regid=4321 --clear-groups')) if root else (('a user', 'env'),):
        r = subprocess.run(['unshare', '-m' if root else '-Urm', 'sh', '-c', 'mount -t tmpfs none /run && exec "$@"', 'sh', sys.executable, '-c',
                            JOURNAL, start % switch], capture_output=True, text=True, timeout=60, cwd='/')
        expect(f'journald, {who}', r.stdout.count('SYSLOG_IDENTIFIER=ingot\n') == 3 and 'MESSAGE={"@timestamp"' in r.stdout, r)


def main():
    with tempfile.TemporaryDirectory() as work:
        root, image, log = (os.path.join(work, name) for name in ('root', 'image', 'log'))
        for d in ('bin', 'tmp', 'etc', 'proc', 'dev'):
            os.makedirs(os.path.join(root, d))
        subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-o', root + '/bin/audited', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image, '/bin/audited'], check=True)

        r = run('--audit', log, '-v', work + ':/work:ro', image, 'audited', 'everything')
        lines = r.stderr.decode().splitlines()
        expect('one line for each kind of refusal', len(lines) == 2 and 'JIT' in lines[0] and 'not' not in lines[0].split(':')[0] and
               'stranger?[31m' in lines[1] and 'build again' in lines[1], r.stderr)
        expect('--quiet', run('--quiet', image, 'audited', 'everything').stderr == b'')
        with open(log, 'rb') as f:
            first = f.readlines()
        content(first, root + '/bin/audited')
        run('--audit', log, image, 'audited')
        with open(log, 'rb') as f:
            tampering(f.readlines())

        expect('a stranger is refused', run('--quiet', image, 'audited', 'stranger').returncode == 13)
        for option, said in (('--eval-unknown', 0), ('--policy=audit', 1)):
            r = run(option, '--audit', log + option, image, 'audited', 'stranger')
            with open(log + option, 'rb') as f:
                lines = f.readlines()
            admitted = [r for r in map(json.loads, lines) if r['event.action'] == 'code-admitted']
            expect(f'{option} lets a stranger in', r.returncode == 0 and len(admitted) == 1 and len(admitted[0]['file.hash.sha256']) == 64 and
                   r.stderr.count(b'would be refused') == said and verify(lines)[0] == 0, (r, admitted))
        r = run('--audit', log + 'n', image, 'audited', 'processes')
        with open(log + 'n', 'rb') as f:
            limits = [r for r in map(json.loads, f) if r['event.action'] == 'limit-hit']
        expect('a limit is said and recorded', r.returncode == 11 and r.stderr.count(b'RLIMIT_NPROC') == 1 and len(limits) == 1, (r, limits))
        r = run('--policy', 'audit', image, 'audited', 'everything')
        expect('written memory is not executable in any case', r.stderr.count(b'executable memory was refused') == 1, r)
        expect('--policy nonsense', run('--policy', 'none', image, 'audited').returncode == 125)

        r = run('--quiet', '--audit', log + '2', image, 'audited', 'flood')
        with open(log + '2', 'rb') as f:
            flood = f.readlines()
        records = [json.loads(line) for line in flood]
        dropped = sum(r.get('ingot.dropped', 0) for r in records)
        written = sum(r['event.action'] == 'memory-refused' for r in records)
        expect('a flood is bounded and counted', 8192 <= written < 40000 and written + dropped == 40000, (written, dropped))
        expect('and verified', verify(flood)[0] == 0, verify(flood))

        run('--quiet', '--audit', log + 'l', image, 'audited', 'launches')
        with open(log + 'l', 'rb') as f:
            records = [json.loads(line) for line in f]
        launched = [r for r in records if r['event.action'] == 'process-launched']
        gone = [r for r in records if r['event.action'] == 'records-dropped']
        expect('a flood of refusals hides no launch', len(launched) == 6 and len(gone) >= 5 and sum(r['ingot.dropped_launches'] for r in gone) == 0,
               (len(launched), gone))
        bounds(image, log)
        slow_readers(image, work)

        run('--audit', log + '3', image, 'audited', 'arguments')
        with open(log + '3', 'rb') as f:
            long = f.readlines()
        expect('long arguments are cut', max(map(len, long)) <= 16384 and json.loads(long[2]).get('ingot.cut') is True and verify(long)[0] == 0,
               [len(l) for l in long])

        opened = os.open(log + '4', os.O_WRONLY | os.O_CREAT, 0o600)
        fd = fcntl.fcntl(opened, fcntl.F_DUPFD, 3)  # not standard input's, which may be closed here
        run('--audit', f'fd:{fd}', image, 'audited', pass_fds=[fd])
        with open(log + '4', 'rb') as f:
            expect('a descriptor', verify(f.readlines())[0] == 0)
        for bad in ('fd:', 'fd:x', 'fd:99', '/no/such/folder/log'):
            r = run('--audit', bad, image, 'audited')
            expect('--audit ' + bad, r.returncode == 125 and r.stderr.startswith(b'ingot: '), r)
        r = run('--audit', '/dev/full', image, 'audited')
        expect('a full disk is said', r.returncode == 0 and b'records are lost' in r.stderr, r)
        journald(image, work)
        print(f'{failed} failed')
    return failed != 0


sys.exit(main())
