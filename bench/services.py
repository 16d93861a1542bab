#!/usr/bin/env python3
"""Measures servers in ingot against the same servers natively, in the same root, with the same native client.

usage: services.py --build DIR [--rounds N] [--seconds N] [--only REGEX] [--check] [--calls]
Of each row both servers are up at the same time, with the host's network, and the client asks them in turns; medians are compared. The
client takes its share of the same processors. A ratio of throughput above 1 means that ingot is faster, one of latency that it is slower.
--check: exit status 1 when a bar is missed. --calls: no table of times, but how many system calls of the host's a request costs, by
strace, from one connection. The families of tests/families that it needs are made by
`tests/families/run.py --build DIR --family '^(redis|nginx|flask)$' --make-only`.
"""
import argparse
import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, HERE + "/../tests/families/services"]
import run  # noqa: E402
import hosted  # noqa: E402, which adds to the path

SIDES = ("native", "ingot")
SCHEME = "http"
P99 = 1.5  # of the native one, for all rows

REDIS = "exec redis-server --port $PORT --save ''"
NGINX = """mkdir temp site; cp /opt/nginx.conf .; chmod 755 .
head -c 1000 /dev/zero | tr '\\0' a >site/small; head -c 100000 /dev/zero | tr '\\0' b >site/large
echo "access_log off; server { listen 127.0.0.1:$PORT; root site; }" >settings.conf
exec nginx -p /w -c nginx.conf -e error.log -g 'daemon off;'"""
FLASK = """export PYTHONDONTWRITEBYTECODE=1 DATABASE=/w/app.db
(until curl -sf 127.0.0.1:$PORT/setup; do sleep 0.1; done) >/dev/null 2>&1 &
exec gunicorn --chdir /opt/app -b 127.0.0.1:$PORT -w 2 app:app"""
POSTGRESQL = """export PATH=/usr/lib/postgresql/15/bin:$PATH TZ=UTC LC_ALL=C; mkdir data; chown 105 data; chmod 755 .
cat >start <<END
initdb -D /w/data -A trust -U postgres --no-locale >/dev/null && postgres -D /w/data -k /w/data -c listen_addresses= -p $PORT >/w/data/log 2>&1 &
until psql -h /w/data -p $PORT -U postgres -c 'select 1' >/dev/null 2>&1; do sleep 0.1; done
pgbench -i -q -h /w/data -p $PORT -U postgres postgres >/dev/null 2>&1; kill \\$(head -1 /w/data/postmaster.pid); wait
exec postgres -D /w/data -k /w/data -c listen_addresses=127.0.0.1 -p $PORT
END
exec setpriv --reuid 105 --regid 105 --clear-groups bash start"""


def of_redis(out):
    words = out.strip().splitlines()[-1].replace('"', "").split(",")
    return float(words[1]), float(words[6])


def of_wrk(out):
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(out)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def of_pgbench(out):
    *latencies, tps = out.split()
    latencies = sorted(float(word) for word in latencies)
    return float(tps), latencies[len(latencies) * 99 // 100] / 1000


def redis(test, pipeline, rate):
    return (lambda port, seconds, connections: f"redis-benchmark -p {port} -t {test} -P {pipeline} -c {min(connections, 50)} -r 10000 -n {int(rate * seconds)} --csv", of_redis)


def wrk(path):
    return lambda port, seconds, connections: f"wrk -t1 -c{min(connections, 16)} -d{max(int(seconds), 1)}s --latency {SCHEME}://127.0.0.1:{port}{path}", of_wrk


def pgbench():
    return (lambda port, seconds, connections: f"cd /tmp; rm -f log.*; pgbench -n -h 127.0.0.1 -p {port} -U postgres -c {min(connections, 4)} -T {max(int(seconds), 1)} -l "
            f"--log-prefix=log postgres >out 2>&1 && cut -d' ' -f3 log.* && sed -n 's/^tps = \\([0-9.]*\\).*/\\1/p' out", of_pgbench)


# Name; family of the server; how it starts; what says that it is ready (a path to ask for); family of the client; what the client does; bar.
ROWS = [
    ("redis GET, P=1", "redis", REDIS, None, "redis", redis("get", 1, 50000), 1.0),
    ("redis SET, P=1", "redis", REDIS, None, "redis", redis("set", 1, 50000), 1.0),
    ("redis GET, P=16", "redis", REDIS, None, "redis", redis("get", 16, 400000), 0.8),
    ("redis SET, P=16", "redis", REDIS, None, "redis", redis("set", 16, 300000), 0.8),
    ("nginx, 1 KB", "nginx", NGINX, "/small", "nginx", wrk("/small"), 0.95),
    ("nginx, 100 KB", "nginx", NGINX, "/large", "nginx", wrk("/large"), 1.2),
    ("Flask, /", "flask", FLASK, "/visits", "nginx", wrk("/"), 0.7),
    ("Flask, a page by Jinja and SQLite", "flask", FLASK, "/visits", "nginx", wrk("/page"), 0.6),
    ("pgbench", "flask", POSTGRESQL, None, "flask", pgbench(), 0.7),
]


def answers(port, path):
    return subprocess.run(["curl", "-sf", "-o", "/dev/null", f"127.0.0.1:{port}{path}"], check=False).returncode == 0


def servers(row, build, stack):
    """Both sides' servers, and the client."""
    started = {}
    for side in SIDES:
        port = hosted.free_port()
        ready = (lambda port=port: answers(port, row[3])) if row[3] else None
        started[side] = stack.enter_context(hosted.Server(build, row[1], side, row[2], port, ready))
    return started, stack.enter_context(hosted.Client(build, row[4]))


def measure(row, args):
    """Median throughput and median 99th percentile (ms) by side."""
    rates, tails = {side: [] for side in SIDES}, {side: [] for side in SIDES}
    command, parse = row[5]
    with contextlib.ExitStack() as stack:
        started, client = servers(row, args.build, stack)
        for number in range(args.rounds + 1):
            for side in SIDES if number % 2 else SIDES[::-1]:
                rate, tail = parse(client.run(command(started[side].port, args.seconds, 1000)))
                if number: # the first round warms up
                    rates[side].append(rate)
                    tails[side].append(tail)
    return {side: (statistics.median(rates[side]), statistics.median(tails[side])) for side in SIDES}


def count_calls(server, ask):
    """The host's system calls while `ask` runs, by name."""
    with tempfile.NamedTemporaryFile("r", prefix="ingot-calls-") as out:
        strace = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", "-o", out.name, *[x for pid in server.processes() for x in ("-p", str(pid))]],
                                  stderr=subprocess.DEVNULL)
        time.sleep(1)  # until it is attached
        result = ask()
        strace.send_signal(signal.SIGINT)
        strace.wait()
        words = [line.split() for line in out.read().splitlines()]
    return result, {w[1]: int(w[0]) for w in words if len(w) == 2 and w[0].isdigit() and w[1] != "total"}


def calls(row, args):
    """Prints a line for each side."""
    command, parse = row[5]
    with contextlib.ExitStack() as stack:
        started, client = servers(row, args.build, stack)
        for side in SIDES:
            asked = command(started[side].port, args.seconds, 1)
            (rate, _), counted = count_calls(started[side], lambda asked=asked: parse(client.run(asked)))
            number = re.search(r" -n (\d+)", asked)  # redis-benchmark is told how many, the others how long
            requests = int(number[1]) if number else max(rate * max(int(args.seconds), 1), 1)
            most = sorted(counted.items(), key=lambda c: -c[1])[:8]
            print(f"| {row[0]} | {side} | {sum(counted.values()) / requests:.2f} | " + ", ".join(f"{n} {c / requests:.2f}" for n, c in most) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--calls", action="store_true")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    missed = 0
    print(f"{run.machine()}; {args.rounds} rounds\n")
    if args.calls:
        print("| | | calls per request | |\n|---|---|---:|---|")
    else:
        print("| | native, per s | ingot, per s | ratio | bar | native p99, ms | ingot p99, ms | ratio |\n|---|---:|---:|---:|---:|---:|---:|---:|")
    for row in ROWS:
        if not re.search(args.only, row[0]):
            continue
        if args.calls:
            calls(row, args)
            continue
        (native, native_tail), (ingot, ingot_tail) = measure(row, args).values()
        missed += ingot / native < row[6] or ingot_tail / native_tail > P99
        print(f"| {row[0]} | {native:.0f} | {ingot:.0f} | {ingot / native:.2f} | {row[6]:.2f} | {native_tail:.2f} | {ingot_tail:.2f} | {ingot_tail / native_tail:.2f} |", flush=True)
    return 1 if missed and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
