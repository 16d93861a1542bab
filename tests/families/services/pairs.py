#!/usr/bin/env python3
"""Two containers that speak to each other over the host's loopback: a redis server and its replica, in each combination with native ones.

usage: pairs.py --build BUILD
Needs the family redis: `tests/families/run.py --build BUILD --family '^redis$' --make-only`. Ends with a line "N passed, N failed".
"""
import argparse
import os
import sys
import time

import hosted

SECONDS = 30
MASTER = "exec redis-server --port $PORT --save '' --enable-debug-command yes"
REPLICA = MASTER + " --replicaof 127.0.0.1 {port}"


def soon(what, ask):
    end = time.monotonic() + SECONDS
    while not ask():
        if time.monotonic() > end:
            raise RuntimeError("never: " + what)
        time.sleep(0.1)


def same(client, ports):
    """Whether all of these servers hold the same, and hold something."""
    digests = {client.run(f"redis-cli -p {port} debug digest").strip() for port in ports}
    return len(digests) == 1 and len(digests.pop().strip("0")) > 10


def replicate(build, client, sides):
    ports = [hosted.free_port() for _ in range(3)]
    with hosted.Server(build, "redis", sides[0], MASTER, ports[0]):
        client.run(f"redis-benchmark -p {ports[0]} -q -n 5000 -r 2000 -d 300 -t set,lpush,sadd,zadd")
        with hosted.Server(build, "redis", sides[1], REPLICA.format(port=ports[0]), ports[1]):
            soon("a first copy", lambda: same(client, ports[:2]))
            client.run(f"redis-benchmark -p {ports[0]} -q -n 20000 -r 2000 -t set,incr,hset,lpop")
            soon("all that was written meanwhile", lambda: same(client, ports[:2]))
            if "READONLY" not in client.run(f"redis-cli -p {ports[1]} set a b"):
                raise RuntimeError("the replica took a write")
        # That container was killed. Another takes its place and is the master when the first is gone, too.
        client.run(f"redis-cli -p {ports[0]} set after it")
        replica = hosted.Server(build, "redis", sides[1], REPLICA.format(port=ports[0]), ports[2])
        with replica:
            soon("a second copy", lambda: same(client, (ports[0], ports[2])))
            if client.run(f"redis-cli -p {ports[2]} get after") != "it\n":
                raise RuntimeError("the second replica lacks a key")
            client.run(f"redis-cli -p {ports[2]} replicaof no one")
            if client.run(f"redis-cli -p {ports[2]} set a b") != "OK\n":
                raise RuntimeError("the new master refused a write")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    build = os.path.abspath(parser.parse_args().build)
    passed = failed = 0
    with hosted.Client(build, "redis") as client:
        for sides in (("native", "native"), ("ingot", "ingot"), ("ingot", "native"), ("native", "ingot")):
            try:
                replicate(build, client, sides)
                passed += 1
            except (RuntimeError, OSError, hosted.subprocess.SubprocessError) as e:
                failed += 1
                print(f"FAIL master {sides[0]}, replica {sides[1]}: {e}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
