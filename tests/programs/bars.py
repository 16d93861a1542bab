#!/usr/bin/env python3
"""What discovery must reach on the test image (docs/testing.md): code found, jumps through tables resolved, and how
little is left to the evaluator when the program table runs.

usage: bars.py [--quick] REPORT STATS
REPORT: of the image's build; STATS: records of the whole program table, or of its quick cases.
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases as table  # noqa: E402

# All guest instructions of the table, as --stress evaluate counts them, and the largest share that the evaluator may have. Quick
# cases are short, so that the start of each weighs more.
WHOLE = 21_670_000_000, 1 / 100_000
QUICK = 368_500_000, 1 / 20_000
MIN_COVERED = 0.995


def main():
    quick = sys.argv[1] == "--quick"
    report_path, stats_path = sys.argv[-2:]
    instructions, max_share = QUICK if quick else WHOLE
    with open(report_path) as f:
        report = json.load(f)
    with open(stats_path) as f:
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
    check(evaluated <= instructions * max_share,
          f"{evaluated} instructions evaluated in {len(records)} runs, 1 in {instructions // max(evaluated, 1)}")
    _, cases = table.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), "table.txt"))
    count = sum(case["quick"] or not quick for case in cases)
    check(len(records) == count and evaluated > 0, f"{len(records)} records of {count} cases")
    print(f"{4 - failed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
