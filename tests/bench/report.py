#!/usr/bin/python3
"""Tables of the benches, and the goals of the project: met or missed.

usage: report.py GOALS  prints the goals that the benches have noted in that file"""
import json
import os
import sys
from pathlib import Path


def table(title, head, lines):
    """Columns as wide as they need; the first to the left, the others to the right."""
    cells = [head] + [[str(cell) for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    print(f"\n{title}")
    for line in cells:
        print("  " + "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))).rstrip())
    sys.stdout.flush()


def goal(work, wanted, found, met):
    """met: None where it cannot be measured here."""
    entry = {"work": work, "goal": wanted, "found": found,
             "verdict": {True: "met", False: "MISSED", None: "-"}[met]}
    path = os.environ.get("BENCH_GOALS")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    else:
        print(f"  {entry['verdict']}: {work}: {wanted}; here {found}", flush=True)


def at_least(work, ratio, wanted, against):
    goal(work, f">= {wanted:g}x {against}", f"{ratio:.2f}x", ratio >= wanted)


def main():
    path = Path(sys.argv[1])
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if entries:
        table("goals", ["work", "goal", "here", ""],
              [[e["work"], e["goal"], e["found"], e["verdict"]] for e in entries])
        missed = sum(entry["verdict"] == "MISSED" for entry in entries)
        print(f"\n{len(entries)} goals, {missed} missed")


if __name__ == "__main__":
    main()
