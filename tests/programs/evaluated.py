#!/usr/bin/env python3
"""What the evaluator ran, by address and with the reason, from stats records and the report of the build.

usage: evaluated.py REPORT STATS [ALL-STATS]
ALL-STATS: of the same runs with --stress evaluate, which counts all guest instructions; then the share is shown, too.
"""
import bisect
import collections
import json
import sys


def read(path):
    with open(path) as f:
        return [json.loads(line) for line in f if line.strip()]


def reason(program, address):
    ranges = program["uncovered_ranges"]
    i = bisect.bisect_right([int(r["start"], 16) for r in ranges], address) - 1
    if i >= 0 and address < int(ranges[i]["end"], 16):
        return {"foreign": "for another processor", "data": "taken for data",
                "unreached": "not found by discovery"}[ranges[i]["kind"]]
    if program["uncovered_range_count"] > len(ranges):
        return "perhaps recompiled, but not an entry"
    return "recompiled, but not an entry"


def main():
    with open(sys.argv[1]) as f:
        programs = {p["sha256"]: p for p in json.load(f)["programs"]}
    records = read(sys.argv[2])
    entered, instructions = collections.Counter(), collections.Counter()
    for record in records:
        for file in record["files"]:
            for address, times, count in file["code"]:
                entered[file["sha256"], address] += times
                instructions[file["sha256"], address] += count
    for (sha256, address), count in sorted(instructions.items(), key=lambda item: -item[1]):
        program = programs.get(sha256)
        print(f"{count:9} {entered[sha256, address]:7} {address:#9x} {program['paths'][0] if program else sha256}: "
              f"{reason(program, address) if program else 'not in the report'}")
    total = sum(r["evaluated"] for r in records)
    print(f"{len(records)} runs, {total} instructions evaluated at {len(instructions)} addresses")
    if len(sys.argv) > 3:
        everything = sum(r["evaluated"] for r in read(sys.argv[3]))
        print(f"of {everything} in all: 1 in {everything // total if total else everything}")


main()
