#!/usr/bin/env python3
"""--network host: net_host.c on Linux and on the vkernel must print the same, by itself and with this script on the other side;
and what a guest must not reach.

    net_host.py VKERNEL MKPAYLOAD net_host.c
"""
import os, shutil, socket, struct, subprocess, sys, tempfile, threading

vkernel, mkpayload, source = sys.argv[1:4]
STRESS = ('', '--stress unwind', '--stress budget')
SIZE, SEED_OUT, SEED_BACK = 3 << 20, 1, 2
LIMIT = 40
failed = 0

# What the vkernel says to a guest that looks for more than it is given (guard in net_host.c).
GUARD = '''unix ECONNREFUSED
raw EPERM, packet EAFNOSUPPORT, vsock EAFNOSUPPORT, audit netlink EPROTONOSUPPORT, SCTP EPROTONOSUPPORT, MPTCP EPROTONOSUPPORT
filter EPERM, ULP ENOPROTOOPT, repair ENOPROTOOPT, priority EPERM, congestion ENOENT, zerocopy ENOPROTOOPT, bind to device ENOPROTOOPT
rights EINVAL, ethtool EPERM, set flags EPERM
'''


def noise(seed):
    mask = (1 << 64) - 1
    words = []
    for k in range(SIZE // 8):
        x = ((seed << 32 | k) * 0x9e3779b97f4a7c15) & mask
        words.append(x ^ x >> 29)
    return struct.pack('<%dQ' % len(words), *words)


def report(what, good, *details):
    global failed
    print('ok' if good else 'not ok', what)
    if not good:
        failed += 1
        for d in details:
            print('---', d, sep='\n')


class Program:
    """The test program, natively (options None) or on the vkernel."""

    def __init__(self, image, native, options, *args):
        env = dict(os.environ)
        if options is not None:
            env['INGOT_OPTIONS'] = options
        self.process = subprocess.Popen([native if options is None else image] +
                                        (['/bin/net_host'] if options is not None else []) + list(args),
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
        self.timer = threading.Timer(LIMIT, self.process.kill)
        self.timer.start()

    def line(self):
        return self.process.stdout.readline().decode(errors='replace')

    def finish(self):
        text = self.process.stdout.read().decode(errors='replace')
        code = self.process.wait()
        self.timer.cancel()
        return text + 'status %d\n' % code


def receive(s, size):
    data = bytearray()
    while len(data) < size:
        part = s.recv(size - len(data))
        if not part:
            break
        data += part
    return bytes(data)


def exchange(s, send, expect):
    """Both directions at once."""
    sender = threading.Thread(target=s.sendall, args=(send,))
    sender.start()
    got = receive(s, SIZE)
    sender.join()
    return got == expect


def as_client(program):
    """Against the program's servers; returns what both said."""
    tcp, udp = map(int, program.line().split()[1:])
    said = ''
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.settimeout(LIMIT)
    u.sendto(b'from the host', ('127.0.0.1', udp))
    said += 'echo %s\n' % u.recv(100).decode()
    with socket.create_connection(('127.0.0.1', tcp), LIMIT) as s:
        for k in range(3):
            s.sendall(b'line %d' % k)
            said += 'echo %s\n' % receive(s, 6).decode()
        said += 'exchange %s\n' % exchange(s, DATA[SEED_OUT], DATA[SEED_BACK])
        said += 'end %r\n' % s.recv(100)
    return said + program.finish()


def as_server(start):
    """Serves the program that start(tcp port, udp port) runs."""
    said = ''
    with socket.create_server(('127.0.0.1', 0)) as l, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
        l.settimeout(LIMIT)
        u.settimeout(LIMIT)
        u.bind(('127.0.0.1', 0))
        program = start(str(l.getsockname()[1]), str(u.getsockname()[1]))
        data, peer = u.recvfrom(100)
        u.sendto(data, peer)
        s, _ = l.accept()
        with s:
            s.settimeout(LIMIT)
            for k in range(3):
                data = s.recv(100)
                said += 'got %s\n' % data.decode()
                s.sendall(data)
            said += 'exchange %s\n' % exchange(s, DATA[SEED_BACK], DATA[SEED_OUT])
            said += 'end %r\n' % s.recv(100)
    return said + program.finish()


def reach(start):
    """Does the program reach a listener of the host? Returns what it says, and whether anyone came."""
    with socket.create_server(('127.0.0.1', 0)) as l:
        said = start(str(l.getsockname()[1])).finish()
        l.settimeout(0.2)
        try:
            l.accept()[0].close()
            return said, True
        except TimeoutError:
            return said, False


def calls_for_requests(command, work, options=None):
    """How many calls of the host's each request takes, by strace."""
    count, log = 1000, os.path.join(work, 'strace')
    env = dict(os.environ, INGOT_OPTIONS=options) if options else os.environ
    p = subprocess.Popen(['strace', '-f', '-c', '-S', 'name', '-U', 'calls,name', '-o', log] + command + ['requests'], env=env, stdout=subprocess.PIPE)
    port = int(p.stdout.readline().split()[1])
    with socket.create_connection(('127.0.0.1', port), LIMIT) as s:
        for k in range(count):
            s.sendall(b'request')
            receive(s, 7)
    said = p.stdout.read()
    p.wait(LIMIT)
    with open(log) as f:
        total = sum(int(line.split()[0]) for line in f if line.split()[0].isdigit() and 'total' not in line)
    return total / count, said


def main():
    with tempfile.TemporaryDirectory() as work:
        root = os.path.join(work, 'root')
        for d in ('bin', 'etc', 'tmp', 'proc', 'dev'):
            os.makedirs(os.path.join(root, d))
        native, image = os.path.join(root, 'bin/net_host'), os.path.join(work, 'image')
        # -w: that getaddrinfo of a static program may want files at run time is known
        subprocess.run(['cc', '-O1', '-w', '-D_GNU_SOURCE', '-static', '-pthread', '-o', native, source, '-Wl,--no-warnings'],
                       check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)

        def run(options, *args):
            return Program(image, native, options, *args)

        for what, play in (('self', lambda o: run(o, 'self').finish()),
                           ('host client, guest server', lambda o: as_client(run(o, 'server'))),
                           ('host server, guest client', lambda o: as_server(lambda *ports: run(o, 'client', *ports))),
                           ('files', lambda o: run(o, 'files').finish())):
            expected = play(None)
            for stress in STRESS:
                got = play('--network host ' + stress)
                report(what + ' ' + stress, got == expected, 'Linux', expected, 'vkernel', got)

        if shutil.which('strace'):
            natively, said = calls_for_requests([native], work)
            here, same = calls_for_requests([image, '/bin/net_host'], work, '--network host --cpus 1')
            report('%.1f calls of the host for a request, natively %.1f' % (here, natively), here < 4.5 and said == same, said, same)

        for options, expected in (('--network host', ('connect 0\nstatus 0\n', True)),
                                  ('', ('connect ECONNREFUSED\nstatus 0\n', False)),
                                  ('--network none', ('connect ECONNREFUSED\nstatus 0\n', False))):
            got = reach(lambda port: run(options, 'refused', port))
            report('a listener of the host, ' + (options or 'no option'), got == expected, expected, got)

        name = 'ingot-test-%d' % os.getpid()
        with socket.socket(socket.AF_UNIX) as un:
            un.bind('\0' + name)
            un.listen()
            said, _ = reach(lambda port: run('--network host', 'guard', name, port))
            report('guard', said == GUARD + 'status 0\n', 'expected', GUARD, 'vkernel', said)
    return failed != 0


DATA = {seed: noise(seed) for seed in (SEED_OUT, SEED_BACK)}
sys.exit(main())
