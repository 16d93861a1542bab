#!/usr/bin/env python3
"""Profiles: what the evaluator ran is recorded (ingot run --stats=FILE) and compiled by the next build (ingot build
--profile), reproducibly and without touching the code of other files; bad profiles are refused.

usage: profile.py --ingot FILE [--backend direct|wasm]
Ends with a line "N passed, N failed".
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
passed = failed = 0


def check(what, ok, detail=""):
    global passed, failed
    passed += bool(ok)
    failed += not ok
    if not ok:
        print(f"FAIL {what}: {detail}")


class World:
    def __init__(self, ingot, folder, backend):
        self.ingot, self.folder, self.backend = ingot, folder, backend
        self.root = folder + "/root"
        os.mkdir(self.root)
        cc = ["cc", "-O2", "-static", "-nostdlib", "-fno-stack-protector", "-s", "-Wall", "-Wextra", "-Werror", "-o"]
        subprocess.run([*cc, self.root + "/hidden", HERE + "/hidden.c"], check=True)
        subprocess.run([*cc, self.root + "/other", "-xc", "-"], input=b"void _start(void) { __builtin_trap(); }", check=True)

    def build(self, out, *options):
        return subprocess.run([self.ingot, "build", "-q", "--backend", self.backend, "--cache", self.folder + "/cache", *options, self.root, "-o",
                               f"{self.folder}/{out}"], stderr=subprocess.PIPE, text=True)

    def run(self, out, record):
        """Output, and the record of this run."""
        path = f"{self.folder}/{record}"
        p = subprocess.run([self.ingot, "run", "--stats=" + path, f"{self.folder}/{out}", "/hidden"], stdout=subprocess.PIPE,
                           text=True)
        with open(path) as f:
            return p.stdout, json.loads(f.readlines()[-1])

    def keys(self, out):
        text = subprocess.run([self.ingot, "inspect", "--json", f"{self.folder}/{out}"], check=True, stdout=subprocess.PIPE)
        return {p["path"]: p["code_key"] for p in json.loads(text.stdout)["programs"]}


def code(record):
    return {(f["sha256"], address): (entered, instructions) for f in record["files"]
            for address, entered, instructions in f["code"]}


def rebuild(w):
    expected = subprocess.run([w.root + "/hidden"], stdout=subprocess.PIPE, text=True).stdout
    check("build", w.build("plain").returncode == 0)
    output, record = w.run("plain", "first")
    before = code(record)
    entered = {k for k, v in before.items() if v[0]}
    check("output", output == expected, output)
    check("the sum is that of the addresses", record["evaluated"] == sum(v[1] for v in before.values()), record)
    check("the hidden function was entered", max((v[0] for v in before.values()), default=0) >= 20, before)
    check("nothing was lost", record["lost"] == {"addresses": 0, "instructions": 0}, record["lost"])

    r = w.build("profiled", "--profile", w.folder + "/first", "--report", w.folder + "/report")
    check("build with the profile", r.returncode == 0, r.stderr)
    with open(w.folder + "/report") as f:
        explained = {(p["sha256"], int(v["address"], 16)): v for p in json.load(f)["programs"] for v in p["evaluated"]}
    check("the report explains each address", explained.keys() == entered, (explained, entered))
    check("one was not found", any(v["reason"].startswith("nothing") for v in explained.values()), explained)
    output, record = w.run("profiled", "second")
    after = code(record)
    check("output with the profile", output == expected, output)
    check("no recorded entry reaches the evaluator", not entered & after.keys(), [(hex(a), v) for (_, a), v in after.items()])
    check("nor does anything else of that function", record["evaluated"] * 20 < sum(v[1] for v in before.values()),
          record["evaluated"])

    plain, profiled = w.keys("plain"), w.keys("profiled")
    check("its code key changes", plain["/hidden"] != profiled["/hidden"])
    check("those of others do not", plain["/other"] == profiled["/other"])
    w.run("plain", "first")  # twice the same record
    check("several profiles", w.build("again", "--profile", w.folder + "/first", "--profile", w.folder + "/first").returncode == 0)
    with open(w.folder + "/profiled", "rb") as a, open(w.folder + "/again", "rb") as b:
        check("reproducible", a.read() == b.read())


def bad(w):
    name = w.folder + "/bad"
    file = '{"version":1,"files":[{"sha256":"' + "0" * 64 + '","code":%s}]}\n'
    for what, text, why in (
            ("not JSON", "evaluated: 0x1000 5\n", "byte"),
            ("cut off", '{"version":1,"files":[]}', "not complete"),
            ("a list", "[]\n", "not a record"),
            ("another version", '{"version":2,"files":[]}\n', "not a record"),
            ("no files", '{"version":1}\n', "files"),
            ("bad hash", '{"version":1,"files":[{"sha256":"zz","code":[]}]}\n', "sha256"),
            ("a hash that is a number", '{"version":1,"files":[{"sha256":5,"code":[]}]}\n', "sha256"),
            ("files of numbers", '{"version":1,"files":[1]}\n', "sha256"),
            ("no code", '{"version":1,"files":[{"sha256":"' + "0" * 64 + '"}]}\n', "code"),
            ("short item", file % "[[1,1]]", "item"),
            ("strings", file % '[["1",1,1]]', "item"),
            ("negative", file % "[[-1,1,1]]", "range"),
            ("above 4 GiB", file % "[[4294967296,1,1]]", "range"),
            ("too large a number", file % "[[99999999999999999999999,1,1]]", "byte"),
            ("deep", "[" * 100000 + "\n", "byte"),
            ("zeros", "\0" * 100 + "\n", "byte"),
            ("not UTF-8", '{"version":1,"files":[],"x":"\udcff"}\n', "byte")):
        with open(name, "w", errors="surrogateescape") as f:
            f.write(text)
        r = w.build("bad-out", "--profile", name)
        check(what, r.returncode == 1 and r.stderr.startswith(f"ingot: profile {name}: ") and why in r.stderr and
              not os.path.exists(w.folder + "/bad-out"), (r.returncode, r.stderr[:300]))
    check("no such file", w.build("bad-out", "--profile", w.folder + "/nothing").returncode == 1)
    # Addresses of nothing, of data, inside of instructions, of other files: harmless.
    with open(w.folder + "/first") as f:
        hash_of_hidden = json.loads(f.readline())["files"][0]["sha256"]
    with open(name, "w") as f:
        f.write(file % "[[4096,1,1]]")
        f.write(json.dumps({"version": 1, "files": [{"sha256": hash_of_hidden, "path": 7, "code":
                [[a, 1, 0] for a in [0, 1, 2**32 - 1, 0x400000, *range(0x401000, 0x401400), *range(0x4a0000, 0x4a0100)]]}]}) + "\n")
    r = w.build("harmless", "--profile", name)
    check("useless addresses", r.returncode == 0, r.stderr)
    expected = subprocess.run([w.root + "/hidden"], stdout=subprocess.PIPE, text=True).stdout
    check("run with useless addresses", w.run("harmless", "third")[0] == expected)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--backend", default="direct")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingot-profile-") as folder:
        w = World(os.path.abspath(args.ingot), folder, args.backend)
        rebuild(w)
        bad(w)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
