#!/usr/bin/env python3
"""Options of `ingot run`: what they do, and that a wrong one ends with status 125 before anything runs. On a vkernel
without compiled code.

    options.py VKERNEL MKPAYLOAD INGOT SHOW.c
"""
import json, os, re, subprocess, sys, tempfile, time

vkernel, mkpayload, ingot, source = sys.argv[1:]
failed = 0


def run(*args, cwd=None, without=''):
    """without: shell redirections that close descriptors"""
    r = subprocess.run(['sh', '-c', f'exec "$@" {without}', 'sh', os.path.abspath(ingot), 'run', *args], capture_output=True, text=True, timeout=30, cwd=cwd,
                       stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout, r.stderr


def expect(what, got, status, out=None):
    global failed
    if got[0] != status or (out is not None and out not in got[1]) or (status == 125 and not got[2].startswith('ingot: ')):
        failed += 1
        print('not ok', what, got)
    else:
        print('ok', what)


def lock_down(image, *options):
    """What the kernel says of the process while its guest waits for input."""
    p = subprocess.Popen([os.path.abspath(ingot), 'run', *options, image, 'show', '-'], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    seen = {}
    for _ in range(600):
        pid = p.pid
        if options: # the container is a second process
            with open(f'/proc/{pid}/task/{pid}/children') as f:
                pid = (f.read().split() or [pid])[0]
        with open(f'/proc/{pid}/status') as f:
            seen = dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)
        if seen.get('Seccomp') == '2':
            break
        time.sleep(0.05)
    p.communicate(b'', timeout=30)
    caps = {seen.get(name) for name in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb')}
    root = os.getuid() == 0
    uids = {int(n) for n in seen.get('Uid', '0').split()}
    return 0, ' '.join([seen.get('Seccomp', ''), seen.get('NoNewPrivs', ''), 'no capabilities' if caps == {'0' * 16} or not root else str(caps),
                        'nobody' if not root or min(uids) >= 2000000000 else str(uids)]), ''


def group_files(pid):
    """The folders of a process's own cgroup, one or (with hierarchies of version 1) more."""
    mounts, folders = {}, []
    with open('/proc/self/mountinfo') as f:
        for words in map(str.split, f):
            kind, options = words[words.index('-') + 1], words[-1].split(',')
            for name in [''] if kind == 'cgroup2' else options if kind == 'cgroup' else []:
                mounts[name] = words[4]
    with open(f'/proc/{pid}/cgroup') as f:
        for line in f:
            number, names, path = line.strip().split(':', 2)
            place = mounts.get('' if number == '0' and not names else names.split(',')[0])
            if place and '/ingot-' in path:
                folders.append(place + path)
    return folders


def in_cgroup(image):
    """--isolate full where the host has cgroups for us: limits are set, and a container above them ends with a line."""
    p = subprocess.Popen([os.path.abspath(ingot), 'run', '--isolate', 'full', '--memory', '1g', '--cpus', '1.5', image, 'show', '-', '%/dev/shm/f'],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    folders, text, allowed = [], {}, True
    for _ in range(600):
        with open(f'/proc/{p.pid}/task/{p.pid}/children') as f:
            child = f.read().split()
        with open(f'/proc/{child[0] if child else p.pid}/status') as f:
            if 'Seccomp:\t2' in f.read():
                break
        time.sleep(0.05)
    folders = group_files(child[0])
    for folder in folders:
        for name in ('pids.max', 'memory.max', 'memory.limit_in_bytes', 'cpu.max', 'cpu.cfs_quota_us'):
            if os.path.exists(folder + '/' + name):
                with open(folder + '/' + name) as f:
                    text[name[:6]] = f.read().strip()
    for folder in folders: # less than it will take, whatever the vkernel thinks
        for name in ('memory.max', 'memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'):
            if os.path.exists(folder + '/' + name):
                with open(folder + '/' + name, 'w') as f:
                    f.write(str(50 << 20))
    said = p.communicate(b'x', timeout=60)[1].decode()
    if not folders:
        expect('no cgroup is said', (0, said, ''), 0, 'own cgroup (')
        expect('no cgroup is fatal', run('--isolate', 'full', '--require-layers', image), 125)
        return
    expect('limits of its cgroup', (0, f"{text.get('pids.m')} {text.get('memory')} {(text.get('cpu.ma') or text.get('cpu.cf', '')).split()[0]}", ''), 0,
           f'2 {(1 << 30) + (128 << 20) + (64 << 20)} 150000')
    expect('above them it ends', (p.returncode, said, ''), -9, 'above the memory limit of its cgroup')
    expect('it is gone', (0, str([f for f in folders if os.path.exists(f)]), ''), 0, '[]')
    hidden = subprocess.run(['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', 'sh', os.path.abspath(ingot), 'run',
                             '--isolate', 'full', image], capture_output=True, text=True, timeout=30)
    expect('where none can be made', (hidden.returncode, hidden.stderr, ''), 7, 'does not allow own cgroup (')


def interfaces(image, work):
    """Volumes through which the kernel would be reached, and FUSE's that would not answer, are refused with the reason."""
    def refused(what, source, why):
        for mode in ('', ':ro'):
            r = run('-v', source + ':/v' + mode, image)
            expect(f'no volume: {what}{mode}', (r[0], r[2], r[2]), 125, why)
    link = work + '/link'
    os.symlink('/proc/sys', link)
    for source in ('/proc', '/proc/self', '/sys', '/dev', link):
        refused(source, source, ' is an interface to the host')
    refused('the root', '/', ' is mounted in it (')
    if os.getuid() != 0:
        return
    inner = work + '/with it'
    os.makedirs(inner + '/deep/proc')
    os.mknod(inner + '/null', 0o20666, os.makedev(1, 3))
    refused('a device', inner + '/null', 'it is a device')
    for kind, why in (('proc', f'{inner}/deep/proc is mounted in it (proc)'), ('cgroup2', 'is mounted in it (cgroup2)')):
        r = subprocess.run(['unshare', '-m', 'sh', '-c', f'mount -t {kind} none "$0"/deep/proc && exec "$@"', inner, os.path.abspath(ingot), 'run',
                            '-v', inner + ':/v', image], capture_output=True, text=True, timeout=30)
        expect(f'no volume: {kind} below', (r.returncode, r.stderr, r.stderr), 125, why)
    expect('a device in a volume', run('-v', inner + ':/v', image, 'show', '=/v/null'), 7, 'opened 0\n')
    fuse = 'exec 9<>/dev/fuse && mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 none "$0" && exec "$@" 9>&-'
    r = subprocess.run(['unshare', '-m', 'sh', '-c', fuse, inner + '/deep', os.path.abspath(ingot), 'run', '-v', inner + '/deep:/v', image],
                       capture_output=True, text=True, timeout=30)
    if os.path.exists('/dev/fuse'):
        expect('no volume: FUSE without allow_other', (r.returncode, r.stderr, r.stderr), 125, 'without allow_other answers nobody but the user')


def as_user(image, volume):
    """An ordinary user starts the image itself; a volume's files are made for that user."""
    r = subprocess.run([image, 'show', '+/v/of_user'], capture_output=True, text=True, timeout=30, cwd='/', user=1234, group=1234, extra_groups=[],
                       stdin=subprocess.DEVNULL, env={'INGOT_OPTIONS': '--volume ' + volume + ':/v'})
    st = os.stat(volume + '/of_user')
    return r.returncode, f'{r.stdout}{st.st_uid} {st.st_gid}', r.stderr


def other_version(image):
    """An artifact of another format: the header's version is the number behind the magic one."""
    with open(image, 'rb') as f:
        data = bytearray(f.read())
    at = int.from_bytes(data[-56:-48], 'little')
    assert data[at:at + 8] == b'INGMAPT1'
    data[at + 8] += 1
    with open(image + '-other', 'wb') as f:
        f.write(data)
    os.chmod(image + '-other', 0o755)
    for command, status in (('run', 125), ('inspect', 1), ('verify', 1), ('attest', 1), (None, 125)):
        words = [os.path.abspath(ingot), command, image + '-other'] if command else [image + '-other']
        r = subprocess.run(words, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        ok = r.returncode == status and not r.stdout and 'built by another version of ingot' in r.stderr
        expect(f'another version, {command or "the artifact itself"}', (status if ok else -1, r.stdout, r.stderr), status)


def main():
    with tempfile.TemporaryDirectory() as work:
        root, image, volume = (os.path.join(work, name) for name in ('root', 'image', 'volume'))
        for d in ('bin', 'run', 'var', 'etc'):
            os.makedirs(os.path.join(root, d))
        os.symlink('/run', root + '/var/run')
        with open(root + '/etc/passwd', 'w') as f:
            f.write('someone:x:12:34::/:\n')
        subprocess.run(['cc', '-O1', '-static', '-o', root + '/bin/show', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image, '/bin/show'], check=True)
        os.mkdir(volume)
        with open(volume + '/f', 'w') as f:
            f.write('x')

        expect('command', run(image), 7, '/ 0 ')
        expect('slashless name', run('image', cwd=work), 7)
        expect('empty words', run('--workdir', '', '--user', '5', image, 'show', '', 'x'), 7, '[] is no file\n[x] is no file')
        expect('user by name', run('-u', 'someone', image), 7, '/ 12 ')
        expect('hostname', run('-h', 'h' * 64, image), 7, 'h' * 64)
        expect('new workdir', run('-w', '/a/new/dir', image), 7, '/a/new/dir 0')
        expect('workdir through a link', run('-w', '/var/run/x', image, 'show', '/run/x'), 7, '/run/x 0')
        expect('volume', run('-v', volume + ':/new/v', image, 'show', '/new/v/f'), 7, '/new/v/f 100644 0')
        expect('volume through a link', run('-v', volume + ':/var/run/v:ro', image, 'show', '/run/v/f'), 7,
               '/run/v/f 100644 -1')
        expect('file volume', run('-v', volume + '/f:/var/run/g:rw', image, 'show', '/run/g'), 7, '/run/g 100644')
        os.chmod(volume, 0o777)
        expect('made in a volume', run('-u', '5:6', '-v', volume + ':/v', image, 'show', '+/v/made'), 7, 'made 1\n')
        made = os.stat(volume + '/made')
        if os.getuid() == 0:
            expect('is the maker\'s', (0, f'{made.st_uid} {made.st_gid}', ''), 0, '5 6')
        expect('has the guest\'s mode', (0, oct(made.st_mode), ''), 0, '0o100666')
        expect('writable volume file', run('-v', volume + ':/v', image, 'show', '=/v/f'), 7, 'opened 1\n')
        interfaces(image, work)
        expect('locked down', lock_down(image), 0, '2 1 no capabilities nobody')
        if os.getuid() == 0:
            os.chmod(work, 0o755)
            os.mkdir(volume + '2', 0o777)
            os.chmod(volume + '2', 0o777)
            expect('as an ordinary user', as_user(image, volume + '2'), 7, 'made 1\n1234 1234')
        told = subprocess.run([os.path.abspath(ingot), 'inspect', '--security', image], capture_output=True, text=True, timeout=30)
        expect('inspect --security', (told.returncode, told.stdout, ''), 0, '\n  mprotect; prot without PROT_EXEC (0x4); ')
        allowed = 'not allowed here: none\n' in told.stdout
        expect('--require-layers', run('--require-layers', image), 7 if allowed else 125)
        always = [line for line in told.stdout.split('calls that are left:\n')[1].splitlines() if ' (--' not in line]
        if allowed:
            expect('--isolate full', run('--isolate', 'full', '-v', volume + ':/v', image, 'show', '+/v/made2'), 7, 'made 1\n')
            in_cgroup(image)
            expect('--isolate full, locked down', lock_down(image, '--isolate', 'full'), 0, '2 1 no capabilities nobody')
        expect('--isolate nonsense', run('--isolate', 'x', image), 125)
        expect('less than 40 calls', (len(always) < 40, '', ''), True)
        calls = told.stdout.split('calls that are left:\n')[1].splitlines()
        counts = [len(always)] + [sum(f'({option})' in line for line in calls) for option in ('--volume', '--network user', '--publish', '--network host', '--cpus 2')]
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../docs/threat-model.md')) as f:
            written = re.search(r"but (\d+) calls \(and (\d+) with volumes, (\d+) with a network, (\d+) with published ports or the host's network, (\d+) with that, "
                                r"(\d+) with several processors\)", f.read())
        expect('as many as the threat model says', ([int(n) for n in written.groups()], counts, ''), counts)
        stdin_limit = subprocess.run(['sh', '-c', 'exec 9</etc/passwd; exec "$0" show', image], capture_output=True, timeout=30)
        expect('with an inherited descriptor', (stdin_limit.returncode, '', ''), 7)
        expect('closed stdin', run(image, 'show', '-', without='<&-'), 7, 'read 0\n')
        expect('closed stdin and stderr', run('--audit', work + '/audit', image, 'show', '-', '!', without='<&- 2>&-'), 7,
               'read 0\nwrote 6\n')
        with open(work + '/audit') as f:
            expect('the audit file is not the guest\'s', (0, str([json.loads(line)['event.action'] for line in f]), ''), 0,
                   "['run-started', 'process-launched', 'run-ended']")
        for size in ('0', '1000000000', '1g', '1GiB', '900MB', '900000k', '900000000b'):
            expect('memory ' + size, run('--memory', size, image), 7)

        expect('memory of files', run('--memory', '150m', image, 'show', '%/dev/shm/f', '%/dev/shm/g', '%/dev/shm/h'), 137)
        expect('enough of it', run('--memory', '1500m', image, 'show', '%/dev/shm/f'), 7, 'filled 300')

        for name, value in (('memory', '1q'), ('memory', 'x'), ('memory', '-5'), ('memory', ''), ('memory', '9' * 30),
                            ('hostname', ''), ('hostname', 'h' * 65), ('volume', '/a'),
                            ('volume', volume + ':rel'), ('volume', volume + ':/v:bogus'), ('volume', '/nonexistent:/v'),
                            ('volume', volume + ':/etc/passwd/v'), ('workdir', 'rel'), ('workdir', '/etc/passwd'),
                            ('user', 'nobody-here'), ('stress', 'x'), ('audit', '/nonexistent/x'), ('nonsense', 'x')):
            expect(f'--{name} {value[-20:]}', run('--' + name, value, image), 125)
        expect('lockstep', run('--lockstep', image), 7)
        expect('stats to a file', run('--stats=' + work + '/stats', image), 7)
        with open(work + '/stats') as f:
            record = json.loads(f.read())
        expect('its sum', (record['evaluated'] == sum(c[2] for p in record['files'] for c in p['code']) > 0, '', ''), True)
        expect('--stats=', run('--stats=/nonexistent/x', image), 125)
        expect('no such image', run(work + '/nothing'), 125)
        expect('a program of the host', run('/bin/true'), 125)
        expect('no such command', run(image, 'nothing'), 127)
        expect('not executable', run(image, '/etc/passwd'), 126)
        other_version(image)
    return failed != 0


sys.exit(main())
