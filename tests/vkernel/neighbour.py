#!/usr/bin/env python3
"""How long a container's answers take while another one, with limits, does the worst that its guests can (bombs.c): the
99th of a hundred answers may take twice as long as while nothing else runs. Other programs of the machine make such a
figure a matter of chance. So the attacker, and a native program in its place that spins, or writes to the same disk
where the attack is that, are stopped and let go on in turns, many times, and what counts is the middle one of the turns
of a kind: what others do meets each kind alike, and rarely most turns. What the native program does as well is the
host's, and no fault of ours.

    neighbour.py [--rounds N] [--options TEXT] INGOT MKDIRECT neighbour.c bombs.c [ATTACK...]
"""
import argparse, os, signal, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser()
parser.add_argument('--rounds', type=int, default=16)
parser.add_argument('--options', default='--cpus 1 --memory 150m --disk 40m --pids 300')
parser.add_argument('arguments', nargs='+')
options = parser.parse_args()
ingot, mkdirect, source, bombs, *attacks = options.arguments
REQUESTS = 120  # a turn's, of a quarter of a second
ATTEMPTS = 6


def slow(times):
    """The 99th of a hundred answers, in milliseconds."""
    return sorted(times)[int(len(times) * 0.99)] / 1000


class Setting:
    def __init__(self, work):
        root, self.image, self.volume = (os.path.join(work, name) for name in ('root', 'image', 'volume'))
        for d in ('bin', 'etc', 'tmp', 'proc', 'dev', 'v'):
            os.makedirs(os.path.join(root, d))
        os.mkdir(self.volume)
        os.chmod(self.volume, 0o777)
        self.program = root + '/bin/neighbour'
        for out, c in ((self.program, source), (root + '/bin/bombs', bombs)):
            subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', out, c], check=True)
        self.names = subprocess.run([root + '/bin/bombs', 'names'], capture_output=True, text=True, check=True).stdout.split()
        subprocess.run([sys.executable, mkdirect, ingot, root, self.image], check=True)
        self.server = self.start('--network host --memory 100m', 'neighbour', 'serve')
        port = self.server.stdout.readline().decode().strip()
        self.client = subprocess.Popen([self.program, 'ask', port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, options, *command):
        """The container, which is one process of the host's. --timeout is the test's own: nothing here outlives it."""
        return subprocess.Popen([self.image, '/bin/' + command[0], *command[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, env=dict(os.environ, INGOT_OPTIONS='--quiet --timeout 1200 ' + options))

    def ask(self):
        self.client.stdin.write(f'{REQUESTS}\n')
        self.client.stdin.flush()
        return [int(word) for word in self.client.stdout.readline().split()]

    def turns(self, name):
        """How long slow answers take while nothing else runs, beside the attack, and beside a native program; and whether the attack went on."""
        attack = self.start(f'{options.options} --volume {self.volume}:/v', 'bombs', name, 'for-ever')
        native = subprocess.Popen([self.program, *(['write', self.volume + '/native'] if name == 'writes' else ['spin'])])
        times = ([], [], [])
        try:
            time.sleep(0.5) # its start
            for p in (attack, native):
                p.send_signal(signal.SIGSTOP)
            for _ in range(options.rounds):
                times[0].append(slow(self.ask()))
                for p, of in ((attack, times[1]), (native, times[2])):
                    p.send_signal(signal.SIGCONT)
                    of.append(slow(self.ask()))
                    p.send_signal(signal.SIGSTOP)
            return *map(statistics.median, times), attack.poll() is None
        finally:
            for p in (attack, native):
                p.kill()
                p.wait()

    def end(self):
        self.client.stdin.close()
        self.client.wait()
        self.server.kill()
        self.server.wait()


def measure(setting, name):
    for attempt in range(ATTEMPTS):
        idle, attack, native, ran = setting.turns(name)
        ok = ran and attack <= max(2 * idle, 1.5 * native)
        print('ok' if ok else 'again' if attempt < ATTEMPTS - 1 else 'not ok',
              f'{name}: {attack:.2f} ms, {attack / idle:.2f} of idle {idle:.2f}; beside a native program {native:.2f}', '' if ran else '(it ended)', flush=True)
        if ok:
            return True
    return False


def main():
    with tempfile.TemporaryDirectory() as work:
        setting = Setting(work)
        setting.ask() # the first answers take a start's time
        try:
            return sum([not measure(setting, name) for name in attacks or setting.names]) != 0
        finally:
            setting.end()


sys.exit(main())
