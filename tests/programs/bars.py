#!/usr/bin/env python3
"""What discovery must reach on the test image (docs/testing.md): code found, jumps through tables resolved, and how
little is left to the evaluator when the whole program table runs.

usage: bars.py REPORT STATS
REPORT: of the image's build; STATS: records of the whole program table.
"""
import json
import os
import sys

# All guest instructions of the table, as --stress evaluate counts them.
TABLE_INSTRUCTIONS = 21_670_000_000
MAX_EVALUATED_SHARE = 1 / 100_000
MIN_COVERED = 0.995


def main():
    with open(sys.argv[1]) as f:
        report = json.load(f)
    with open(sys.argv[2]) as f:
        records = [json.loads(line) for line in f if line.strip()]
    failed = 0

    def check(ok, text):
        nonlocal failed
        failed += not ok
        print(f"{'ok  ' if ok else 'FAIL'} {text}")

    total = report["total"]
    covered, gaps = total["covered_bytes"], total["uncovered_bytes"]
    share = covered / (covered + gaps["unreached"])
    check(share >= MIN_COVERED, f"{share:.4%} of what is neither padding, data nor for other processors is recompiled")
    tables = [f"{p['paths'][0]} {j['address']}" for p in report["programs"]
              for j in p["indirect_jumps"]["unresolved_jumps"] if not j["reason"].startswith("through a pointer")]
    check(not tables, f"{len(tables)} jumps through tables are unresolved {' '.join(tables[:20])}")
    evaluated = sum(r["evaluated"] for r in records)
    check(evaluated <= TABLE_INSTRUCTIONS * MAX_EVALUATED_SHARE,
          f"{evaluated} instructions evaluated in {len(records)} runs, 1 in {TABLE_INSTRUCTIONS // max(evaluated, 1)}")
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "table.txt")) as f:
        cases = sum(line.startswith("=== ") for line in f)
    check(len(records) == cases and evaluated > 0, f"{len(records)} records of {cases} cases")
    print(f"{4 - failed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
