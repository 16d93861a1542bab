#!/usr/bin/env python3
"""Why tests of meson failed: for each its name, how it ended, and the lines by which it says what went wrong, or its
last ones.

usage: why.py TESTLOG   (meson-logs/testlog.json of a build)
"""
import json
import re
import sys

AFTER = 4  # lines behind one that says so
LAST = 12


def reasons(text):
    lines = text.splitlines()
    at = {k + d for k, line in enumerate(lines) if re.match(r"not ok|FAIL|Traceback|.*Error:", line) for d in range(AFTER + 1)}
    return [lines[k] for k in sorted(at) if k < len(lines)] or lines[-LAST:]


with open(sys.argv[1], encoding="utf-8") as log:
    for test in map(json.loads, log):
        if test["result"] in ("OK", "SKIP", "EXPECTEDFAIL"):
            continue
        print(f"{test['name']}: {test['result']}, exit status {test['returncode']}, {test['duration']:.1f} s")
        for line in reasons(test.get("stdout", "") + test.get("stderr", "")):
            print("   ", line)
