"""Servers of families on the host's loopback, natively in the family's root or in ingot with --network host, and native clients for them.

Roots and artifacts are made by `tests/families/run.py --build BUILD --family NAME --make-only`. Whatever is started here is stopped
by its own number, and everything that it started ends with it: natively by its pid namespace, in ingot with the container.
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../../programs")
import cases  # noqa: E402

UP_SECONDS = 90
# As the program table's cases run natively, but with the host's network.
NAMESPACES = [word for word in cases.NAMESPACES if word != "--net"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Server:
    """script is for bash, in an empty folder /w, as root; PORT in its environment is where it shall listen. Whoever has an own idea
    of ready gives `ready`, which is asked until it is true."""

    def __init__(self, build, family, side, script, port, ready=None, options=()):
        self.folder, self.port, self.ready = tempfile.mkdtemp(prefix="ingot-service-"), port, ready or (lambda: listens(port))
        root, artifact = (f"{build}/families/{family}/{name}" for name in ("root", "artifact"))
        script = f"export PORT={port}\n" + cases.wrap(script)
        environment = [x for k, v in cases.ENV.items() for x in ("--env", f"{k}={v}")]
        argv = {"native": [*NAMESPACES, "sh", "-c", cases.SETUP, "sh", root, self.folder, script],
                "ingot": [f"{build}/src/cli/ingot", "run", "--quiet", "--network", "host", *options, *environment, artifact, "/bin/bash", "-c", script]}
        self.log = open(self.folder + ".log", "w+b")
        self.process = subprocess.Popen(argv[side], env=cases.ENV, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)

    def said(self):
        with open(self.log.name, errors="backslashreplace") as f:
            return f.read()

    def __enter__(self):
        end = time.monotonic() + UP_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(f"the server is not there: {self.last}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.last = self.said()[-2000:]
        self.log.close()
        os.remove(self.log.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self):
        """The numbers of what runs of it on the host; in ingot all of it is one process."""
        found, parents = [self.process.pid], {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/stat") as f:
                    parents.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
            except OSError:
                continue  # it has ended
        for pid in found:
            found += parents.get(pid, [])
        return found


class Client:
    """A family's root with a layer of its own above it, to run its programs natively."""

    def __init__(self, build, family):
        self.work, self.below = tempfile.mkdtemp(prefix="ingot-client-"), f"{build}/families/{family}/root"

    def __enter__(self):
        for folder in ("u", "w", "r"):
            os.mkdir(f"{self.work}/{folder}")
        self.root = self.work + "/r"
        subprocess.run(["mount", "-t", "overlay", "none", "-o", f"lowerdir={self.below},upperdir={self.work}/u,workdir={self.work}/w", self.root], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", self.root + "/proc"], check=True)
        return self

    def __exit__(self, *_):
        for mounted in (self.root + "/proc", self.root):
            subprocess.run(["umount", "-l", mounted], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.work, ignore_errors=True)

    def run(self, command, timeout=120):
        """The output of a command for bash; raises what subprocess raises when it fails."""
        return subprocess.run(["chroot", self.root, "/bin/bash", "-c", command], env=cases.ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout, check=True).stdout
