"""Programs that run natively make files with names of their own in /tmp, which is the same for all that run at the same time, as from two
builds or two tests: one at a time does.

    with native.alone():
        subprocess.run(...)
"""
import contextlib, fcntl, os, tempfile


@contextlib.contextmanager
def alone():
    with open(os.path.join(tempfile.gettempdir(), f'ingot-native-programs.{os.getuid()}.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
