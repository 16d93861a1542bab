#!/usr/bin/env python3
"""Interactive bash on a terminal: the same keys typed into bash natively (chroot) and in ingot, through a pty each.

usage: terminal.py --rootfs DIR --artifact FILE --ingot FILE [--only REGEX] [-v]
       terminal.py --rootfs DIR --native-only
Each test types, waits for what must appear, and gives what was seen; both sides must give the same, and must give it
without a timeout. Ends with a line "N passed, N failed".
"""
import argparse
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases as table

TIMEOUT = 20
PROMPT = "READY> "


class Timeout(Exception):
    pass


class Terminal:
    def __init__(self, argv, env, rows=24, columns=80):
        self.seen, self.at = "", 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(argv[0], argv, env)
            finally:
                os._exit(127)
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, wait):
        if not select.select([self.fd], [], [], wait)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            return None
        self.seen += data.decode("utf-8", "replace")
        return True if data else None

    def expect(self, pattern, timeout=TIMEOUT):
        """Waits until pattern appears after what was matched before; gives the text between."""
        end = time.monotonic() + timeout
        while True:
            m = re.search(pattern, self.seen[self.at:])
            if m:
                between = self.seen[self.at:self.at + m.start()]
                self.at += m.end()
                self.last = m
                return between
            left = end - time.monotonic()
            if left <= 0 or self.read(left) is None:
                raise Timeout(f"waited for {pattern!r}, saw {self.seen[self.at:][-300:]!r}")

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def command(self, line):
        """A line and its output, up to the next prompt."""
        self.type(line + "\r")
        self.expect(re.escape(line[-20:]) + r"\r\n(?:\x1b\[\?2004l\r?)?")
        return self.clean(self.expect(re.escape(PROMPT)))

    @staticmethod
    def clean(text):
        return re.sub(r"\x1b\[\?2004[hl]\r?", "", text)

    def close(self):
        """The exit status, after the other end has gone."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            try:
                if self.read(0.02) is None:
                    pass
            except OSError:
                pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise Timeout("the program did not end")

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


TESTS = []


def test(f):
    TESTS.append(f)
    return f


@test
def commands(t):
    return [t.command("echo hello $((6*7))"), t.command("tty -s; echo $?"), t.command("echo $-"),
            t.command("for i in 1 2; do echo $i; done")]


@test
def exit_status(t):
    t.type("exit 7\r")
    return t.close()


@test
def end_of_file(t):
    t.command("(exit 3)")
    t.type("\x04")
    return t.close()


@test
def line_editing(t):
    out = []
    t.type("echo one twp\x7fo three\x1b[D\x1b[D\x1b[DX\x01\x1b[C\x05!\r")  # backspace, left, home, right, end
    t.expect(r"\n")
    out.append(t.clean(t.expect(re.escape(PROMPT))))
    t.type("echo delete this\x17that\r")  # ^W
    t.expect(r"\n")
    out.append(t.clean(t.expect(re.escape(PROMPT))))
    t.type("garbage\x15echo killed\x19\x15echo yank\r")  # ^U ^Y
    t.expect(r"\n")
    out.append(t.clean(t.expect(re.escape(PROMPT))))
    return out


@test
def history(t):
    t.command("echo first")
    t.command("echo second")
    t.type("\x1b[A\x1b[A\r")
    t.expect(r"\n")
    one = t.clean(t.expect(re.escape(PROMPT)))
    t.type("\x12sec\r")  # reverse search
    t.expect(r"\n")
    return [one, t.clean(t.expect(re.escape(PROMPT)))]


@test
def completion(t):
    t.command("cd /w; touch uniquename1 other; echo x > uniquename1")
    t.type("cat uniq\t\r")
    t.expect(r"uniquename1 ?\r?\n")
    return t.clean(t.expect(re.escape(PROMPT)))


@test
def interrupt_foreground(t):
    t.type("sleep 100\r")
    t.expect(r"sleep 100\r\n")
    time.sleep(0.3)
    t.type("\x03")
    t.expect(re.escape(PROMPT))
    return t.command("echo status $?")


@test
def interrupt_loop(t):
    t.type("while :; do :; done\r")
    t.expect(r"done\r\n")
    time.sleep(0.3)
    t.type("\x03")
    t.expect(re.escape(PROMPT))
    return t.command("echo status $?")


@test
def interrupt_python(t):
    t.type("python3 -c 'while True: pass'\r")
    t.expect(r"pass'\r\n")
    time.sleep(0.7)
    t.type("\x03")
    t.expect("KeyboardInterrupt")
    t.expect(re.escape(PROMPT))
    return t.command("echo status $?")


@test
def interrupt_line(t):
    t.type("half a line")
    t.expect("half a line")
    time.sleep(0.2)
    t.type("\x03")
    t.expect(re.escape(PROMPT))
    return t.command("echo status $?")


@test
def quit_key(t):
    t.command("ulimit -c 0")
    t.type("sleep 100\r")
    t.expect(r"sleep 100\r\n")
    time.sleep(0.3)
    t.type("\x1c")
    t.expect(re.escape(PROMPT))
    return t.command("echo status $?")


@test
def stop_and_foreground(t):
    t.type("cat\r")
    t.expect(r"cat\r\n")
    time.sleep(0.3)
    t.type("one\r")
    t.expect("one\r\none\r\n")
    t.type("\x1a")
    stopped = t.clean(t.expect(re.escape(PROMPT)))
    jobs = t.command("jobs")
    t.type("fg\r")
    t.expect(r"fg\r\n")
    t.expect("cat\r\n")
    t.type("two\r")
    t.expect("two\r\ntwo\r\n")
    t.type("\x04")
    t.expect(re.escape(PROMPT))
    return [stopped.replace("\r", ""), jobs, t.command("echo status $?")]


@test
def stop_and_background(t):
    t.type("sleep 1\r")
    t.expect(r"sleep 1\r\n")
    time.sleep(0.3)
    t.type("\x1a")
    t.expect("Stopped")
    t.expect(re.escape(PROMPT))
    return [t.command("bg"), t.command("wait; echo done").replace("\r", ""), t.command("jobs")]


@test
def background_job(t):
    t.type("sleep 0.2 & echo started\r")
    t.expect(r"\[1\] \d+\r\nstarted\r\n")
    t.expect(re.escape(PROMPT))
    time.sleep(0.8)
    return t.command("echo next")


@test
def background_read_stops(t):
    t.type("cat & sleep 0.5\r")
    t.expect(r"\[1\] \d+\r\n")
    t.expect(re.escape(PROMPT))
    first = t.command("jobs").replace("\r", "")
    return ["Stopped" in first, "137" in t.command("kill -KILL %1; sleep 0.3; wait %1; echo $?")]


@test
def resize(t):
    t.command("trap 'echo winch' WINCH")
    first = t.command("stty size; echo $COLUMNS")
    t.resize(50, 132)
    time.sleep(0.3)
    return [first, t.command("stty size"), t.command("echo $LINES $COLUMNS")]


@test
def terminal_modes(t):
    out = [t.command("stty -a | tr ';' '\\n' | grep -c .")]
    t.type("stty -echo\r")
    t.expect(re.escape(PROMPT))
    t.type("echo unseen\r")
    out.append(t.clean(t.expect(re.escape(PROMPT))))
    t.type("stty echo\r")
    t.expect(re.escape(PROMPT))
    t.type("read -s x; echo \"<$x>\"\r")
    t.expect(r"\n")
    time.sleep(0.2)
    t.type("secret\r")
    out.append(t.clean(t.expect(re.escape(PROMPT))))
    t.type("read -n 3 y; echo \"<$y>\"\r")
    t.expect(r"\n")
    time.sleep(0.2)
    t.type("abc")
    out.append(t.clean(t.expect(re.escape(PROMPT))))
    return out


@test
def less_pages(t):
    t.type("TERM=xterm less /etc/passwd\r")
    t.expect(r"root:.:0:0")
    time.sleep(0.3)
    t.type("G")
    time.sleep(0.3)
    t.type("q")
    t.expect(re.escape(PROMPT))
    return t.command("echo left $?")


@test
def python_prompt(t):
    t.type("python3 -q\r")
    t.expect(">>> ")
    t.type("1 + 1\r")
    t.expect(r"2\r\n>>> ")
    t.type("import sys; sys.stdin.isatty()\r")
    t.expect(r"True\r\n>>> ")
    t.type("exit(4)\r")
    t.expect(re.escape(PROMPT))
    return t.command("echo $?")


@test
def hangup(t):
    t.command("trap 'echo hup > /tmp/hup' HUP")
    os.close(t.fd)
    t.fd = os.open("/dev/null", os.O_RDWR)
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        pid, status = os.waitpid(t.pid, os.WNOHANG)
        if pid:
            t.pid = 0
            return "ended"
        time.sleep(0.05)
    return "still there"


RC = f"PS1='{PROMPT}'; PS2='> '; unset PROMPT_COMMAND; mkdir -p /w; cd /w\n"


def native(args, mount_point):
    script = table.SETUP.replace('/bin/bash -c "$3"', '/bin/bash -c "$3"')
    inner = f"printf %s {shell_quote(RC)} > /tmp/rc; bash --rcfile /tmp/rc --noprofile -i; exit $?"
    return [*table.NAMESPACES, "sh", "-c", script, "sh", args.rootfs, mount_point, inner]


def in_ingot(args):
    inner = f"printf %s {shell_quote(RC)} > /tmp/rc; bash --rcfile /tmp/rc --noprofile -i; exit $?"
    options = [x for k, v in table.ENV.items() for x in ("--env", f"{k}={v}")]
    return [args.ingot, "run", "--quiet", "--hostname", "ingot", *options, args.artifact, "/bin/bash", "-c", inner]


def shell_quote(s):
    return "'" + s.replace("'", "'\\''") + "'"


def attempt(f, argv):
    t = Terminal(argv, table.ENV | {"HOME": "/root"} if argv[0] == "unshare" else {**os.environ, "TERM": "dumb"})
    try:
        t.expect(re.escape(PROMPT))
        return f(t)
    except Timeout as e:
        return f"timeout: {e}"
    finally:
        t.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rootfs", required=True)
    parser.add_argument("--artifact")
    parser.add_argument("--ingot")
    parser.add_argument("--native-only", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    args.rootfs = os.path.abspath(args.rootfs)
    if not args.native_only:
        args.artifact, args.ingot = os.path.abspath(args.artifact), os.path.abspath(args.ingot)
    passed = failed = 0
    for f in TESTS:
        if args.only and not re.search(args.only, f.__name__):
            continue
        with tempfile.TemporaryDirectory(prefix="ingot-native-") as mount_point:
            want = attempt(f, native(args, mount_point))
        have = want if args.native_only else attempt(f, in_ingot(args))
        if want == have and not str(want).startswith("timeout"):
            passed += 1
            if args.verbose:
                print(f"ok   {f.__name__}: {want!r}", flush=True)
        else:
            failed += 1
            print(f"FAIL {f.__name__}\n  native {want!r}\n  ingot  {have!r}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
