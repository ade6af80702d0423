#!/usr/bin/python3
"""count_tests.py LOG...: sums the verdicts in meson's testlog.json files.

Every test prints `counts: P passed, F failed[, S skipped]`. One that ends badly without saying so
counts as one failure. Shows the output of what failed and the reasons of what was skipped; the last
line is `N passed, N failed[, N skipped]`, and the exit status is 1 when something failed."""
import json
import re
import sys
from pathlib import Path

COUNTS = re.compile(r"^counts: (\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", re.M)
SKIP_REASON = re.compile(r"^(?:skip(?:ped)?: .*|.*\bskipped '.*|.*\bskipped \".*)$", re.M)
OUTPUT_LINES = 150


def verdict(test):
    """(passed, failed, skipped) of one line of a log."""
    found = COUNTS.findall(test.get("stdout") or "")
    passed, failed, skipped = (int(n or 0) for n in found[-1]) if found else (0, 0, 0)
    if test["result"] == "SKIP":
        return passed, failed, max(skipped, 1)
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    if not good and failed == 0:
        failed = 1  # a crash, a leak found at exit, a timeout
    if good and not found:
        passed = 1
    return passed, failed, skipped


def reasons(test):
    """What a test says about the things that it left out."""
    text = test.get("stdout", "") + test.get("stderr", "")
    found = [line.strip() for line in SKIP_REASON.findall(text)]
    if not found and test["result"] == "SKIP":
        found = text.strip().splitlines()[-1:] or ["no reason given"]
    return found


def report(log, test, counts):
    """Prints what a reader needs to know of one test."""
    name = f"{log.parent.parent.name}: {test['name']}"
    if counts[1]:
        print(f"\n---- FAILED {name} ({test['result']}, exit {test.get('returncode')})")
        lines = (test.get("stdout", "") + test.get("stderr", "")).splitlines()
        if len(lines) > OUTPUT_LINES:
            print(f"[the last {OUTPUT_LINES} of {len(lines)} lines]")
        print("\n".join(lines[-OUTPUT_LINES:]))
    if counts[2]:
        for reason in reasons(test):
            print(f"skipped in {name}: {reason}")


def main(paths):
    totals = [0, 0, 0]
    for path in map(Path, paths):
        if not path.exists():
            print(f"\n---- FAILED {path}: the tests of this build did not run")
            totals[1] += 1
            continue
        before = list(totals)
        tests = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        for test in tests:
            counts = verdict(test)
            report(path, test, counts)
            totals = [sum(pair) for pair in zip(totals, counts)]
        seconds = sum(test.get("duration", 0) for test in tests)
        part = [now - then for now, then in zip(totals, before)]
        print(f"{path.parent.parent.name}/: {len(tests)} programs, {part[0]} passed, "
              f"{part[1]} failed, {part[2]} skipped, {seconds:.0f} s")
    line = f"{totals[0]} passed, {totals[1]} failed"
    print(line + (f", {totals[2]} skipped" if totals[2] else ""))
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
