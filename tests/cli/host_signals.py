#!/usr/bin/env python3
"""Signals of the host to a container: which reach process 1, what ignored ones become, and that a run which is ended by force
still writes its records. On a vkernel without compiled code.

    host_signals.py VKERNEL MKPAYLOAD INGOT HOST_SIGNALS.c
"""
import json, os, pty, signal, subprocess, sys, tempfile, termios, time

vkernel, mkpayload, ingot, source = (os.path.abspath(a) for a in sys.argv[1:])
failed = 0


def expect(what, condition, shown=''):
    global failed
    print('ok' if condition else 'not ok', what, '' if condition else shown)
    failed += not condition


class Run:
    def __init__(self, image, *args, options=(), ignore=()):
        def before():
            for sig in range(1, 65):
                try:
                    signal.signal(sig, signal.SIG_IGN if sig in ignore else signal.SIG_DFL)
                except (OSError, ValueError):
                    pass
        self.p = subprocess.Popen([ingot, 'run', *options, image, 'host_signals', *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, preexec_fn=before, start_new_session=True)
        self.ready = self.p.stdout.readline().decode()

    def send(self, sig):
        os.kill(self.p.pid, sig)

    def line(self):
        return self.p.stdout.readline().decode()

    def end(self):
        try:
            self.p.wait(20)
        finally:
            self.p.kill()
        return self.p.returncode


def actions(path):
    with open(path) as f:
        return [json.loads(line)['event.action'] for line in f]


def main():
    with tempfile.TemporaryDirectory() as work:
        root, image = work + '/root', work + '/image'
        os.makedirs(root + '/bin')
        subprocess.run(['cc', '-O1', '-static', '-o', root + '/bin/host_signals', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image, '/bin/host_signals'], check=True)

        r = Run(image, 'handle')
        expect('ready', r.ready == 'ready, SIGINT handled\n', r.ready)
        wrong = []
        for sig in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP, signal.SIGURG,
                    signal.SIGIO, signal.SIGPWR, signal.SIGINT, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)):
            r.send(sig)
            got = r.line()
            if got != f'got {int(sig)}\n':
                wrong.append((sig, got))
        expect('all that can be forwarded arrives', not wrong, wrong)
        r.send(signal.SIGUSR2)
        expect('its status', r.line() == 'got 12\n' and r.end() == 5)

        r = Run(image, 'handle', ignore=(signal.SIGINT, signal.SIGQUIT))
        r.send(signal.SIGINT)
        expect('an ignored signal reaches a handler', r.line() == 'got 2\n')
        r.send(signal.SIGUSR2)
        r.end()
        r = Run(image, ignore=(signal.SIGINT,))
        expect('an ignored signal stays ignored without one', r.ready == 'ready, SIGINT ignored\n', r.ready)
        r.send(signal.SIGINT)
        time.sleep(0.2)
        expect('and does not end it', r.p.poll() is None)
        r.p.kill()
        r.p.wait()

        # Process 1 has no handler, so nothing happens (as for process 1 of docker); the second one ends the run.
        for what in ('sleep', 'busy'):
            audit, stats = f'{work}/{what}.audit', f'{work}/{what}.stats'
            r = Run(image, what, options=('--audit', audit, '--stats=' + stats))
            r.send(signal.SIGTERM)
            time.sleep(0.2)
            expect(f'{what}: the first is process 1\'s', r.p.poll() is None)
            r.send(signal.SIGTERM)
            expect(f'{what}: the second ends the run', r.end() == 128 + 15, r.p.returncode)
            expect(f'{what}: with its audit log', actions(audit)[-1] == 'run-ended', actions(audit))
            with open(stats) as f:
                expect(f'{what}: and its stats', json.loads(f.read())['version'] == 1)

        # On a terminal a signal means the container.
        audit = work + '/tty.audit'
        pid, master = pty.fork()
        if pid == 0:
            os.execv(ingot, [ingot, 'run', '--audit', audit, image, 'host_signals'])
        before, text = termios.tcgetattr(master), b''
        while b'ready' not in text:
            text += os.read(master, 1000)
        os.kill(pid, signal.SIGTERM)
        status = os.waitpid(pid, 0)[1]
        expect('terminal: ended', os.waitstatus_to_exitcode(status) == 128 + 15, status)
        expect('terminal: as it was', termios.tcgetattr(master)[:4] == before[:4])
        expect('terminal: with its audit log', actions(audit)[-1] == 'run-ended')
    return failed != 0


sys.exit(main())
