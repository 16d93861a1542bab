#!/usr/bin/env python3
"""--network user: net_user.c in a container of its own network, with this script as its clients, its servers and its resolver.

    net_user.py VKERNEL MKPAYLOAD net_user.c [SECONDS]    with SECONDS: random calls only, for so long

All of it is on the host's loopback. Whatever a guest can do natively, too, is done natively as well and must come out alike.
"""
import hashlib, json, os, random, socket, struct, subprocess, sys, tempfile, threading, time

vkernel, mkpayload, source = sys.argv[1:4]
LIMIT = 40
failed = 0


def report(what, good, *details):
    global failed
    print('ok' if good else 'not ok', what, flush=True)
    if not good:
        failed += 1
        for d in details:
            print('---', d, sep='\n', flush=True)


def equal(what, got, expected):
    report(what, got == expected, 'expected', expected, 'got', got)


def free_port(kind=socket.SOCK_STREAM, ip='127.0.0.1'):
    with socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, kind) as s:
        s.bind((ip, 0))
        return s.getsockname()[1]


class Guest:
    def __init__(self, options, *args):
        env = dict(os.environ)
        if options is not None:
            env['INGOT_OPTIONS'] = '--network user ' + options
        command = [native] if options is None else [image, '/bin/net_user']
        self.process = subprocess.Popen(command + [str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
        self.timer = threading.Timer(LIMIT, self.process.kill)
        self.timer.start()

    def line(self):
        return self.process.stdout.readline().decode(errors='replace')

    def finish(self):
        text = self.process.stdout.read().decode(errors='replace')
        code = self.process.wait()
        self.timer.cancel()
        return text if code == 0 else text + 'status %d\n' % code


def said(options, *args):
    return Guest(options, *args).finish()


def receive_all(s):
    data = bytearray()
    while True:
        part = s.recv(1 << 16)
        if not part:
            return bytes(data)
        data += part


def connect(port, ip='127.0.0.1'):
    return socket.create_connection((ip, port), LIMIT)


# --- published ports ---

def large():
    """A large echo with a half close."""
    port = free_port()
    g = Guest(f'-p 127.0.0.1:{port}:80'.replace('-p', '--publish'), 'echo', 80, 1, 4)
    g.line()
    data = random.randbytes(8 << 20)
    with connect(port) as s:
        sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
        sender.start()
        back = receive_all(s)
        sender.join()
    equal('8 MiB through a published port', hashlib.md5(back).hexdigest(), hashlib.md5(data).hexdigest())
    equal('a client of the loopback comes from the gateway', g.finish(), 'from 10.0.2.2 to 10.0.2.100\n')


def families():
    for host, guest, expected in (('[::1]', 6, 'from fd00::2 to fd00::100\n'), ('[::1]', 4, 'from 10.0.2.2 to 10.0.2.100\n'),
                                  ('127.0.0.1', 6, 'from ::ffff:10.0.2.2 to ::ffff:10.0.2.100\n'),
                                  ('127.0.0.1', 60, 'from fd00::2 to fd00::100\n')):
        port = free_port(ip=host.strip('[]'))
        g = Guest(f'--publish {host}:{port}:80', 'echo', 80, 1, guest)
        g.line()
        with connect(port, host.strip('[]')) as s:
            s.sendall(b'x')
            s.shutdown(socket.SHUT_WR)
            back = receive_all(s)
        equal(f'a guest of family {guest} at {host}', (g.finish(), back), (expected, b'x'))


def many():
    port = free_port()
    g = Guest(f'--publish 127.0.0.1:{port}:80', 'echo', 80, 100, 4)
    g.line()
    sockets = [connect(port) for _ in range(100)]
    for k, s in enumerate(sockets):
        s.sendall(b'%d' % k)
    for s in sockets:
        s.shutdown(socket.SHUT_WR)
    good = sum(receive_all(s) == b'%d' % k for k, s in enumerate(sockets))
    for s in sockets:
        s.close()
    equal('100 connections at once', (good, g.finish()), (100, 'from 10.0.2.2 to 10.0.2.100\n' * 100))


def reset():
    def play(options, port):
        g = Guest(options, 'echo', port if options is None else 80, 1, 4)
        g.line()
        s = connect(port)
        s.sendall(b'x')
        s.recv(1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        s.close()
        return g.finish().split('\n', 1)[1]
    port = free_port()
    equal('a reset', play(f'--publish 127.0.0.1:{port}:80', port), play(None, free_port()))


def slow_reader():
    size = 1 << 20
    port = free_port()
    g = Guest(f'--publish 127.0.0.1:{port}:80', 'slow', 80, size)
    g.line()
    data = random.randbytes(size)
    with connect(port) as s:
        s.sendall(data)
    sum_ = 0
    for byte in data:
        sum_ = (sum_ * 31 + byte) & (1 << 64) - 1
    equal('a slow reader', g.finish(), '%d bytes, end ok, sum %016x\n' % (size, sum_))


def refused(port):
    try:
        connect(port).close()
        return False
    except ConnectionRefusedError:
        return True


def listening():
    port = free_port()
    g = Guest(f'--publish 127.0.0.1:{port}:80', 'refuse', 80, 400)
    g.line()
    with connect(port) as s:
        open_ = True
    g.line()
    closed = refused(port)
    g.line()
    with connect(port) as s:
        hello = receive_all(s)
    g.finish()
    equal('a port answers while a guest listens', (open_, closed, hello), (True, True, b'hello'))
    with socket.create_server(('127.0.0.1', 0)) as l:
        taken = l.getsockname()[1]
        text = said(f'--publish 127.0.0.1:{taken}:80', 'link')
    report('a port that is taken', 'Address already in use' in text and 'status 125' in text, text)


def published_udp():
    port = free_port(socket.SOCK_DGRAM)
    g = Guest(f'--publish 127.0.0.1:{port}:53/udp --allow 192.0.2.1', 'udp', 53, 60)
    g.line()
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
    good = 0
    for k in range(3):
        for n, s in enumerate(sockets):
            s.settimeout(5)
            s.sendto(b'%d %d' % (n, k), ('127.0.0.1', port))
        for n, s in enumerate(sockets):
            good += s.recvfrom(100) == (b'%d %d' % (n, k), ('127.0.0.1', port))
    for s in sockets:
        s.close()
    equal('UDP of 20 peers, answered whatever --allow says', (good, g.finish()), (60, 'from ::ffff:10.0.2.2\n'))


# --- to the outside ---

def outgoing():
    with socket.create_server(('127.0.0.1', 0)) as l:
        port = l.getsockname()[1]
        dead = free_port()

        def serve():
            s, _ = l.accept()
            with s:
                data = receive_all(s)
                s.sendall(data)
        for options, ip in ((None, '127.0.0.1'), ('--host-loopback', '10.0.2.2')):
            t = threading.Thread(target=serve)
            t.start()
            text = said(options, 'talk', ip, port, 3 << 20)
            t.join()
            equal('3 MiB to a server, ' + ip, text, 'nodelay 1\nback %d, wrong 0, end ok\n' % (3 << 20))
        equal('a port of nobody\'s', said('--host-loopback', 'connect', '10.0.2.2', dead), '10.0.2.2 ECONNREFUSED\n')
        equal('names of a connection', said('--host-loopback', 'connect', '10.0.2.2', port, '::ffff:10.0.2.2', port),
              '10.0.2.2 ok as 10.0.2.100 to 10.0.2.2 again EISCONN\n'
              '::ffff:10.0.2.2 ok as ::ffff:10.0.2.100 to ::ffff:10.0.2.2 again EISCONN\n')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
        u.bind(('127.0.0.1', 0))
        port = u.getsockname()[1]

        def answer():
            for _ in range(20):
                data, peer = u.recvfrom(100)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:  # nobody that was asked
                    other.sendto(b'wrong', peer)
                u.sendto(data, peer)
        t = threading.Thread(target=answer)
        t.start()
        equal('UDP, to whoever was asked only', said('--host-loopback', 'ask', '10.0.2.2', port, 10), '20 answers\n')
        t.join()


def forbidden():
    """What may not be reached, by every form of its address; and what a list of --allow leaves."""
    with socket.create_server(('127.0.0.1', 0)) as l, socket.create_server(('::1', 0), family=socket.AF_INET6) as l6, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
        u.bind(('127.0.0.1', 0))
        port, port6, uport = l.getsockname()[1], l6.getsockname()[1], u.getsockname()[1]
        where = [('127.0.0.1', port, 'ECONNREFUSED'), ('127.5.5.5', port, 'ECONNREFUSED'), ('0.0.0.0', port, 'ECONNREFUSED'),
                 ('::1', port6, 'ECONNREFUSED'), ('::', port6, 'ECONNREFUSED'), ('::ffff:127.0.0.1', port, 'ECONNREFUSED'),
                 ('::ffff:0.0.0.0', port, 'ECONNREFUSED'), ('10.0.2.2', port, 'ENETUNREACH'), ('fd00::2', port6, 'ENETUNREACH'),
                 ('::ffff:10.0.2.2', port, 'ENETUNREACH'), ('10.0.2.9', port, 'EHOSTUNREACH'),
                 ('169.254.169.254', 80, 'ENETUNREACH'), ('::ffff:169.254.169.254', 80, 'ENETUNREACH'),
                 ('fe80::1%1', port6, 'ENETUNREACH'), ('fe80::1', port6, 'ENETUNREACH'), ('::127.0.0.1', port, 'ENETUNREACH'),
                 ('255.255.255.255', port, 'ENETUNREACH'), ('224.0.0.1', port, 'ENETUNREACH'), ('0.0.0.1', port, 'ENETUNREACH'),
                 ('ff02::1%1', port6, 'ENETUNREACH'), ('192.0.0.192', 80, 'ENETUNREACH'), ('100.100.100.200', 80, 'ENETUNREACH'),
                 ('168.63.129.16', 80, 'ENETUNREACH'), ('::ffff:168.63.129.16', 80, 'ENETUNREACH'), ('fd00:ec2::254', 80, 'ENETUNREACH'),
                 ('fd20:ce::254', 80, 'ENETUNREACH'), ('fd00:c1::a9fe:a9fe', 80, 'ENETUNREACH')]
        args = [str(a) for ip, p, _ in where for a in (ip, p)]
        text = said('', 'connect', *args)
        equal('nothing of the host\'s loopback, no metadata, no link', text,
              ''.join('%s %s\n' % (ip, error) for ip, _, error in where))
        args = [str(a) for ip, p, _ in where for a in (ip, uport)]
        text = said('', 'send', *args)
        u.settimeout(0.2)
        try:
            u.recv(10)
            came = True
        except TimeoutError:
            came = False
        far = ''.join('%s %s %s %s connect %s\n' % (ip, e, e, e, e) for ip, _, e in where if e != 'ECONNREFUSED')
        got = ''.join(line + '\n' for line in text.splitlines() if not line.endswith(' ok'))
        equal('neither by UDP', (got, came), (far, False))
        for l_ in (l, l6):
            l_.settimeout(0.2)
            try:
                l_.accept()[0].close()
                report('a connection came', False)
            except TimeoutError:
                pass

        log = os.path.join(work, 'audit')
        text = said(f'--host-loopback --allow 10.0.2.2:{port} --allow 198.51.100.0/24 --allow [fd00::]/16:{port6} --audit {log}',
                    'connect', '10.0.2.2', port, '10.0.2.2', uport, '::ffff:10.0.2.2', port, 'fd00::2', port6, 'fd00::2', port,
                    '203.0.113.1', 80, '2001:db8::1', 80, '::ffff:203.0.113.1', 80)
        equal('--allow', text, '10.0.2.2 ok as 10.0.2.100 to 10.0.2.2 again EISCONN\n10.0.2.2 EACCES\n'
              '::ffff:10.0.2.2 ok as ::ffff:10.0.2.100 to ::ffff:10.0.2.2 again EISCONN\n'
              'fd00::2 ok as fd00::100 to fd00::2 again EISCONN\nfd00::2 EACCES\n203.0.113.1 EACCES\n2001:db8::1 EACCES\n'
              '::ffff:203.0.113.1 EACCES\n')
        with open(log) as f:
            records = [json.loads(line) for line in f]
        refused = [(r['destination.ip'], r['destination.port']) if 'destination.ip' in r else
                   (r['destination']['ip'], r['destination']['port']) for r in records if 'network-refused' in json.dumps(r)]
        equal('each refusal on record', refused, [('10.0.2.2', uport), ('fd00::2', port), ('203.0.113.1', 80), ('2001:db8::1', 80),
                                                  ('203.0.113.1', 80)])
        text = subprocess.run([image, '/bin/net_user', 'connect', '127.0.0.1', str(port), '::ffff:127.0.0.1', str(port), '0.0.0.0', str(port),
                               '127.0.0.1', str(uport), '::1', str(port6)], capture_output=True, text=True, timeout=LIMIT,
                              env=dict(os.environ, INGOT_OPTIONS=f'--network host --allow 127.0.0.1:{port}')).stdout
        equal('--allow with --network host', [line.split()[:2] for line in text.splitlines()],
              [['127.0.0.1', 'ok'], ['::ffff:127.0.0.1', 'ok'], ['0.0.0.0', 'ok'], ['127.0.0.1', 'EACCES'], ['::1', 'EACCES']])
    # The unspecified address leads to the socket's own: a list with the loopback alone must not open that.
    with socket.create_server(('127.0.0.2', 0)) as two:
        port = two.getsockname()[1]
        for own, to in (('127.0.0.2', '0.0.0.0'), ('::ffff:127.0.0.2', '::ffff:0.0.0.0'), ('::ffff:127.0.0.2', '::')):
            text = subprocess.run([image, '/bin/net_user', 'connect-from', own, to, str(port)], capture_output=True, text=True, timeout=LIMIT,
                                  env=dict(os.environ, INGOT_OPTIONS=f'--network host --allow 127.0.0.1:{port} --allow [::1]:{port}')).stdout
            report(f'--allow, {to} from {own}', text.startswith(to + ' E'), text)
    for options, message in (('--network none --allow 10.0.0.1', 'needs --network user or'), ('--publish 80:80', 'needs --network user'),
                             ('--network host --publish 80:80', 'needs --network user'), ('--network host --allow a.example', 'needs --network user'),
                             ('--network host --dns 127.0.0.1', 'needs --network user'), ('--network slirp', 'expected none, user or host')):
        r = subprocess.run([image, '/bin/net_user', 'link'], capture_output=True, text=True, timeout=LIMIT, env=dict(os.environ, INGOT_OPTIONS=options))
        report(options, r.returncode == 125 and message in r.stderr, r)
    for option in ('--publish 80', '--publish x:80', '--publish 0:80', '--publish 80:65536', '--publish 1.2.3:80:80', '--publish ::1:80:80',
                   '--publish 80:80/sctp', '--allow 10.0.0.0/33', '--allow 1.2.3.4:0', '--allow a..b:x', '--allow 1.2.3', '--dns a.example'):
        text = said(option, 'link')
        report(option, 'expected' in text and 'status 125' in text, text)


# --- names ---

class Resolver(threading.Thread):
    """Knows a few names, and keeps the questions."""
    def __init__(self):
        super().__init__(daemon=True)
        self.stream = socket.create_server(('127.0.0.1', 0))
        self.port = self.stream.getsockname()[1]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', self.port))
        self.questions = []
        threading.Thread(target=self.run_stream, daemon=True).start()

    def answer(self, data):
        at, labels = 12, []
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]])
            at += 1 + data[at]
        name, end = b'.'.join(labels).decode().lower(), at + 5
        self.questions.append((name, len(data)))
        head = data[:2] + b'\x81\x80\0\1'
        answer = b'\xc0\x0c\0\1\0\1\0\0\0\x05\0\4'
        if name == 'gate.example':
            return head + b'\0\1\0\0\0\0' + data[12:end] + answer + socket.inet_aton('10.0.2.2')
        if name in ('far.example', 'sub.far.example'):
            alias = b'\xc0\x0c\0\5\0\1\0\0\0\x05\0\4\1x\xc0\x0c'
            there = struct.pack('>H', 0xc000 | end + len(alias) - 4)  # x.far.example, in the alias
            return head + b'\0\2\0\0\0\0' + data[12:end] + alias + there + answer[2:] + socket.inet_aton('198.51.100.7')
        if name == 'meta.example':
            return head + b'\0\1\0\0\0\0' + data[12:end] + answer + socket.inet_aton('169.254.169.254')
        if name == 'wide.example':
            return head + b'\0\x28\0\0\0\0' + data[12:end] + b''.join(answer + bytes((198, 51, 100, k)) for k in range(1, 41))
        if name == 'large.example':
            return head + b'\0\x40\0\0\0\0' + data[12:end] + (answer + socket.inet_aton('198.51.100.9')) * 64
        return data[:2] + b'\x81\x83\0\1\0\0\0\0\0\0' + data[12:end]

    def run(self):
        while True:
            data, peer = self.socket.recvfrom(2000)
            reply = self.answer(data)
            self.socket.sendto(bytes(2) + reply[2:], peer)  # the wrong number first: nobody may believe that
            self.socket.sendto(reply[:-3], peer)  # nor what is damaged
            self.socket.sendto(reply, peer)

    def run_stream(self):
        while True:
            s, _ = self.stream.accept()
            with s, s.makefile('rb') as f:
                size, = struct.unpack('>H', f.read(2))
                reply = self.answer(f.read(size))
                reply = struct.pack('>H', len(reply)) + reply
                s.sendall(reply[:20])
                time.sleep(0.01)
                s.sendall(reply[20:])


def question(name, more=b'', flags=0x0100, counts=(1, 0, 0, 0), kind=1):
    wire = b''.join(bytes([len(x)]) + x for x in name.split(b'.')) + b'\0'
    return (struct.pack('>6H', 0x1234, flags, *counts) + wire + struct.pack('>2H', kind, 1) + more).hex()


def names():
    r = Resolver()
    r.start()
    dns = f'--dns 127.0.0.1:{r.port} '
    text = said(dns, 'names', 'far.example', 'gate.example', 'nowhere.example')
    equal('names', text, 'far.example 198.51.100.7\ngate.example 10.0.2.2\nnowhere.example Name or service not known\n')
    r.questions.clear()
    text = said(dns + '--allow far.example:443 --allow *.far.example --allow gate.example --host-loopback',
                'names', 'far.example', 'sub.far.example', 'other.example', 'FAR.EXAMPLE')
    equal('names on the list', [line.split()[1] for line in text.splitlines()], ['198.51.100.7', '198.51.100.7', 'Temporary', '198.51.100.7'])
    equal('what is asked outside', sorted(set(n for n, _ in r.questions)), ['far.example', 'sub.far.example'])
    opt = b'\0\0\x29\x10\0\0\0\0\0\0\0'
    queries = [(question(b'far.example'), '12348180'), (question(b'far.example', opt, counts=(1, 0, 0, 1)), '12348180'),
               (question(b'large.example'), '12348380'), (question(b'large.example', opt, counts=(1, 0, 0, 1)), '12348180'),
               ('', None), ('1234', None), (question(b'far.example')[:-2], None), (question(b'far.example', flags=0x8100), None),
               (question(b'far.example', counts=(2, 0, 0, 0)), None), (question(b'far.example', counts=(1, 1, 0, 0)), None),
               (question(b'far.example', b'\0', counts=(1, 0, 0, 1)), None), (question(b'x' * 64 + b'.example'), None),
               ('1234010000010000000000000c' + 'c00c00010001', None), (question(b'.'.join([b'a' * 63] * 4) + b'.b'), None),
               (question(b'nowhere\0.example'), '12348183')]
    text = said(dns, 'query', *[q if a else '-' + q for q, a in queries]).splitlines()
    equal('answers to what is well formed only', [line.split()[1][:8] if ' -1' not in line else None for line in text], [a for _, a in queries])
    equal('a large answer comes by TCP', said(dns, 'names', 'large.example'), 'large.example 198.51.100.9\n')
    text = said(dns + '--allow far.example --allow large.example', 'stream', question(b'large.example'), question(b'gate.example'),
                question(b'far.example'))
    equal('three questions by TCP', text, 'answer 12348180 of 1055\nanswer 12348185 of 30\nanswer 12348180 of 61\nend ok\n')
    text = said(dns + '--allow far.example', 'stream', *[question(b'gate.example')] * 100, question(b'far.example'))
    equal('a hundred questions by TCP', text, 'answer 12348185 of 30\n' * 100 + 'answer 12348180 of 61\nend ok\n')
    equal('no question', said(dns, 'stream', '00' * 20), 'end ok\n')
    opened = said(dns + '--allow meta.example --allow gate.example', 'names', 'meta.example', 'gate.example')
    equal('names that lead to a link', opened, 'meta.example 169.254.169.254\ngate.example 10.0.2.2\n')
    with socket.create_server(('127.0.0.1', 0)) as l:
        port = l.getsockname()[1]
        for more, expected in (('', 'EACCES'), (f' --allow 10.0.2.2:{port}', 'ok as 10.0.2.100 to 10.0.2.2 again EISCONN')):
            text = said(dns + '--host-loopback --allow gate.example' + more, 'name-connect', 'gate.example', '10.0.2.2', port)
            equal('a name that leads to the gateway' + more, text, f'gate.example 10.0.2.2\n10.0.2.2 {expected}\n')
    text = said(dns + '--allow wide.example', 'name-send', 'wide.example', '198.51.100.1', 9, '198.51.100.32', 9, '198.51.100.33', 9)
    equal('an answer opens 32 addresses', [('EACCES' in line) for line in text.splitlines()], [False, False, False, True])
    text = said(dns + '--allow far.example', 'query', question(b'far.example\0x'), question(b'far\x2eexample'), question(b'Far.Example'))
    equal('names that look like another', [line.split()[1][:8] for line in text.splitlines()], ['12348185', '12348180', '12348180'])


def storm(seed, count):
    """Random calls, while clients come and a server answers."""
    port, uport = free_port(), free_port(socket.SOCK_DGRAM)
    r = Resolver()
    r.start()
    over = threading.Event()

    def clients():
        while not over.is_set():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
                u.sendto(b'hello', ('127.0.0.1', uport))
            try:
                with connect(port) as s:
                    s.settimeout(0.01)
                    s.sendall(b'hello')
                    s.recv(100)
            except OSError:
                pass
    with socket.create_server(('127.0.0.1', 0)) as l:
        def serve():
            while not over.is_set():
                try:
                    s, _ = l.accept()
                    s.sendall(b'hello')
                    s.close()
                except OSError:
                    pass
        l.settimeout(0.1)
        threads = [threading.Thread(target=t) for t in (clients, serve)]
        for t in threads:
            t.start()
        text = said(f'--publish 127.0.0.1:{port}:80 --publish 127.0.0.1:{uport}:53/udp --host-loopback --dns 127.0.0.1:{r.port}',
                    'storm', seed, count, l.getsockname()[1])
        over.set()
        for t in threads:
            t.join()
    equal(f'random calls, seed {seed}', text, 'done\n')


def link():
    text = said('', 'link')
    for line in ('lo 127.0.0.1 mask 255.0.0.0', 'eth0 10.0.2.100 mask 255.255.255.0', 'eth0 fd00::100 mask ffff:ffff:ffff:ffff::',
                 'eth0 10.0.2.100 broadcast 10.0.2.255 mtu 65520 index 1 2', '2 in all', 'nameserver 10.0.2.3', 'eth0\t00000000\t0202000A\t0003\t',
                 'fd000000000000000000000000000100 02 40 00 80     eth0'):
        report('link: ' + line, line in text, text)


with tempfile.TemporaryDirectory() as work:
    root = os.path.join(work, 'root')
    for d in ('bin', 'etc', 'tmp', 'proc', 'dev'):
        os.makedirs(os.path.join(root, d))
    native, image = os.path.join(root, 'bin/net_user'), os.path.join(work, 'image')
    # -w: that getaddrinfo of a static program may want files at run time is known
    subprocess.run(['cc', '-O1', '-w', '-D_GNU_SOURCE', '-static', '-o', native, source, '-Wl,--no-warnings'], check=True)
    subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
    if len(sys.argv) > 4:  # seconds of random calls
        end = time.monotonic() + int(sys.argv[4])
        while time.monotonic() < end and not failed:
            storm(random.randrange(1 << 30), 50000)
        sys.exit(failed != 0)
    for seed in (1, 2):
        storm(seed, 5000)
    for test in (link, large, families, many, reset, slow_reader, listening, published_udp, outgoing, forbidden, names):
        test()
sys.exit(failed != 0)
