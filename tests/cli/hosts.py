#!/usr/bin/env python3
"""Hosts that allow less: older kernels, and containers of podman (with the default seccomp profile that it shares with docker) and of
bubblewrap, as root and as an ordinary user: what holds there, what the line at the start and the audit log say is missing, that
--require-layers refuses, and that volumes work. On a vkernel without compiled code.

    hosts.py VKERNEL MKPAYLOAD SHOW.c OLD_KERNEL.c PROGRAM.c...

The programs must print on an older kernel what they print here (tests/vkernel).
"""
import glob, json, os, re, shutil, signal, subprocess, sys, tempfile

vkernel, mkpayload, show, old_kernel, *programs = (os.path.abspath(a) for a in sys.argv[1:])
failed = 0
USER = 4321
PROFILE = '/usr/share/containers/seccomp.json'
UNKNOWN = '(Function not implemented)'
INVALID = '(Invalid argument)'
DENIED = '(Operation not permitted)'

# From which kernel on which layers are missing; what volumes lack besides.
KERNELS = {
    '4.19': (f'MDWE {INVALID}, Landlock {UNKNOWN}', f'volumes as mounts {UNKNOWN}, '),
    '5.4': (f'MDWE {INVALID}, Landlock {UNKNOWN}', f'volumes as mounts {UNKNOWN}, '),
    '5.10': (f'MDWE {INVALID}, Landlock {UNKNOWN}', f'volumes as mounts {UNKNOWN}, '),
    '5.15': (f'MDWE {INVALID}', ''), # Landlock's first version forbids renames: not with a writable volume
    '6.1': (f'MDWE {INVALID}', ''),
    '6.6': ('', ''),
}


def expect(what, condition, shown=''):
    global failed
    print('ok' if condition else 'not ok', what, '' if condition else shown)
    failed += not condition


def run(command, options='', **more):
    env = {'PATH': os.environ['PATH'], 'INGOT_OPTIONS': options, **more.pop('env', {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, env=env, **more)


def missing(r):
    """The layers that the line at the start says are missing."""
    said = re.findall(r'^ingot: this host does not allow (.*): only the other layers hold', r.stderr, re.M)
    return said[0] if said else ''


def recorded(log):
    with open(log) as f:
        return json.loads(f.readline()).get('ingot.missing_layers', '')


# --- older kernels ---

def kernels(work, image):
    old, volume, log = work + '/old', work + '/volume', work + '/log'
    subprocess.run(['cc', '-std=gnu17', '-O1', '-D_GNU_SOURCE', '-static', '-o', old, old_kernel], check=True)
    here = missing(run([image, 'show']))
    if here:
        print('left out: older kernels; this one does not allow', here)
        return
    for version, (always, volumes) in KERNELS.items():
        r = run([old, version, image, 'show'], f'--audit {log}{version}')
        expect(f'Linux {version}', r.returncode == 7 and missing(r) == always and recorded(log + version) == always, r)
        r = run([old, version, image, 'show'], '--require-layers')
        expect(f'Linux {version}, --require-layers', r.returncode == (125 if always else 7) and (not always or always in r.stderr), r)
        os.mkdir(volume)
        with open(volume + '/file', 'w') as f:
            f.write('x')
        os.symlink('/etc/passwd', volume + '/out')
        r = run([old, version, image, 'show', '/v/file', '+/v/made', '=/v/file', '/v/out', '/v/../../etc/shadow'], f'--volume {volume}:/v')
        lacks = volumes + always + (', Landlock (Operation not supported)' if version == '5.15' else '')
        expect(f'Linux {version}, a volume', r.returncode == 7 and missing(r) == lacks and os.path.exists(volume + '/made') and
               '/v/file 100644 0\nmade 1\nopened 1\n/v/out 100644' in r.stdout and '[/v/../../etc/shadow] is no file' in r.stdout, r)
        if os.getuid() == 0: # where a volume is no mount of its own it shows what is mounted in it later, but not the kernel
            os.mkdir(volume + '/late')
            late = ('(for i in $(seq 400); do grep -qs process-launched "$0"/file && break; sleep 0.05; done; '
                    'mount --bind /proc "$0"/late && echo) | "$@"; umount -l "$0"/late')
            r = run(['unshare', '-m', 'sh', '-c', late, volume, old, version, image, 'show', '-', '/v/file', '/v/late', '/v/late/version'],
                    f'--volume {volume}:/v --audit {volume}/file')
            expect(f'Linux {version}, /proc mounted later', '/v/file 100644' in r.stdout and '[/v/late/version] is no file' in r.stdout, r)
        shutil.rmtree(volume)
        r = run([old, version, image, 'show'], '--isolate full')
        expect(f'Linux {version}, --isolate full', r.returncode == 7 and 'PID' not in r.stderr, r)


def on_old_kernels(work, image):
    guest = work + '/guest/bin/'
    for source in programs:
        name = os.path.splitext(os.path.basename(source))[0]
        native = subprocess.run([guest + name], capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        for version in ('4.19', '5.10'):
            r = subprocess.run([work + '/old', version, image, '/bin/' + name], capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
            expect(f'{name} on Linux {version}', (r.returncode, r.stdout) == (native.returncode, native.stdout), r)


# --- containers ---

def podman(place, profile=PROFILE, user=False):
    """Without cgroups, which the host may have in a way that podman does not know, and with limits that need no right to raise them."""
    home = place + '/home'
    if not os.path.exists(home):
        for d in (home, home + '/run'):
            os.makedirs(d, 0o700)
    if user:
        for at, folders, files in os.walk(place):
            for name in (at, *(os.path.join(at, n) for n in folders + files)):
                os.lchown(name, USER, USER)
    limits = [f'--ulimit=nofile={min(1024, resource_limit("nofile"))}', f'--ulimit=nproc={min(1024, resource_limit("nproc"))}']
    switch = ['setpriv', f'--reuid={USER}', f'--regid={USER}', '--clear-groups'] if user else []
    prepare = 'mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup && cd / && exec "$@"'
    return ['unshare', '-m', 'sh', '-c', prepare, 'sh', *switch, 'env', f'HOME={home}', f'XDG_RUNTIME_DIR={home}/run', 'podman',
            '--root', home + '/store', '--runroot', home + '/run/store', '--cgroup-manager=cgroupfs', '--events-backend=none', 'run', '--rm',
            '--cgroups=disabled', '--network=none', *limits, f'--security-opt=seccomp={profile}', '--env=INGOT_OPTIONS',
            '--rootfs', place + '/root']


def end_pause(place):
    """A user's podman leaves processes that hold its namespaces for the next one."""
    ended = 0
    for environment in glob.glob('/proc/[0-9]*/environ'):
        try:
            with open(environment, 'rb') as f:
                if f'HOME={place}/home'.encode() in f.read().split(b'\0'):
                    os.kill(int(environment.split('/')[2]), signal.SIGKILL)
                    ended += 1
        except OSError:
            pass
    return ended


def resource_limit(name):
    import resource
    n = resource.getrlimit(getattr(resource, 'RLIMIT_' + name.upper()))[1]
    return 1024 if n == resource.RLIM_INFINITY else n


def bubblewrap(place, user=False):
    switch = ['setpriv', f'--reuid={USER}', f'--regid={USER}', '--clear-groups'] if user else []
    if user:
        subprocess.run(['chown', '-R', f'{USER}:{USER}', place], check=True)
    return [*switch, 'bwrap', '--unshare-all', '--die-with-parent', '--bind', place + '/root', '/', '--proc', '/proc', '--dev', '/dev']


def old_profile(out):
    """As docker's of some years ago: what it does not know is EPERM, and it does not know the calls that came with 5.2 and later."""
    with open(PROFILE) as f:
        profile = json.load(f)
    new = re.compile('^(landlock_.*|openat2|clone3|close_range|faccessat2|epoll_pwait2|mount_setattr|open_tree|move_mount|fs.*mount|fsopen|'
                     'fsconfig|fspick|pidfd_.*|process_madvise)$')
    for rule in profile['syscalls']:
        rule['names'] = [n for n in rule['names'] if not new.match(n)]
    profile['syscalls'] = [rule for rule in profile['syscalls'] if rule['names']]
    profile.update(defaultErrno='EPERM', defaultErrnoRet=1)
    with open(out, 'w') as f:
        json.dump(profile, f)
    os.chmod(out, 0o644)
    return out


def container(what, place, command, always, volumes, isolation):
    """The image in a container of somebody else's. The lists: names of layers that are missing always, with volumes, with --isolate full."""
    plain = run([*command, '/show'])
    if plain.returncode != 7:
        print(f'left out: {what}, which runs no program here: {plain.stderr.strip()[-300:]}')
        return
    def names(r):
        return sorted(re.sub(r' \([^)]*\)', '', missing(r)).split(', ')) if missing(r) else []
    r = run([*command, '/image', 'show'], '--audit /log')
    expect(what, r.returncode == 7 and names(r) == sorted(always) and recorded(place + '/root/log') == missing(r), r)
    r = run([*command, '/image', 'show'], '--require-layers')
    expect(what + ', --require-layers', r.returncode == (125 if always else 7) and (not always or '--require-layers: this host' in r.stderr), r)
    for mode in ('rw', 'ro'):
        r = run([*command, '/image', 'show', '/v/file', f'+/v/made-{mode}'], f'--volume /volume:/v:{mode}')
        expect(f'{what}, a {mode} volume', r.returncode == 7 and names(r) == sorted(always + volumes) and
               f'/v/file 100644 {0 if mode == "rw" else -1}\nmade {int(mode == "rw")}' in r.stdout, r)
    r = run([*command, '/image', 'show'], '--isolate full')
    expect(what + ', --isolate full', r.returncode == 7 and names(r) == sorted(always + isolation), r)


def containers(work, image):
    def place(name):
        at = os.path.join(work, name)
        for d in ('proc', 'sys', 'dev', 'tmp', 'etc', 'run', 'volume'):
            os.makedirs(os.path.join(at, 'root', d))
        shutil.copy(image, at + '/root/image')
        shutil.copy(work + '/guest/bin/show', at + '/root/show')
        with open(at + '/root/volume/file', 'w') as f:
            f.write('x')
        return at
    isolation = ['PID and network namespaces', 'own cgroup']
    # A container's root may not make namespaces or mounts. Where only one user exists there is no other to become.
    at = place('podman-root')
    container('podman, root', at, podman(at), ['namespaces'], ['volumes as mounts'], isolation)
    at, profile = place('old-profile'), old_profile(work + '/old.json')
    container('an old profile, root', at, podman(at, profile), ['namespaces', 'Landlock'], ['volumes as mounts'], isolation)
    at = place('bwrap-root')
    container('bubblewrap, root', at, bubblewrap(at), ['unused user id'], [], ['own cgroup'])
    at = place('podman-user')
    container('podman, a user', at, podman(at, user=True), ['namespaces', 'unused user id'], ['volumes as mounts'], isolation)
    print(end_pause(at), 'processes of podman ended')
    at = place('bwrap-user')
    container('bubblewrap, a user', at, bubblewrap(at, user=True), [], [], ['own cgroup'])


def main():
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o755)
        guest, image = work + '/guest', work + '/image'
        for d in ('bin', 'etc', 'proc', 'dev', 'tmp'):
            os.makedirs(os.path.join(guest, d))
        with open(guest + '/etc/passwd', 'w') as f:
            f.write('root:x:0:0::/:\n')
        os.chmod(guest + '/etc/passwd', 0o644)
        subprocess.run(['cc', '-O1', '-static', '-o', guest + '/bin/show', show], check=True)
        for source in programs:
            program = guest + '/bin/' + os.path.splitext(os.path.basename(source))[0]
            subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-pthread', '-o', program, source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, guest, image, '/bin/show'], check=True)
        kernels(work, image)
        on_old_kernels(work, image)
        if os.getuid() == 0:
            containers(work, image)
        else:
            print('left out: containers, which are prepared as root')
    print(f'{failed} failed')
    return failed != 0


sys.exit(main())
