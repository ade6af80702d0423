#!/usr/bin/python3
"""The latency of 16 rows while somebody else draws 10^7 rows from the same model. (2, 64, 3), 100
Euler steps, NPY, one connection; idle and loaded runs in turns, the median p99 of five each.

usage: beside.py [--quick]"""
import argparse
import statistics
import tempfile
import time

import report
import servers
from networks import Network

ROUNDS, ROWS, GIANT, STEPS = 5, 16, 10 ** 7, 100
LIMIT = 3  # times the idle p99


def measure(folder, port, seconds):
    return servers.load(folder, port, [(ROWS, servers.request_of(ROWS, STEPS))], 1, seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    seconds = 1.5 if parser.parse_args().quick else 4
    daemon = servers.Advectd(Network(2, 64, 3))
    idle, beside = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            idle.append(measure(folder, daemon.port, seconds))
            giant = servers.Reader(daemon.port, servers.request_of(GIANT, STEPS))
            time.sleep(0.5)
            beside.append(measure(folder, daemon.port, seconds))
            if not giant.running():
                print("  the giant request ended before the measurement did")
            giant.stop()
            time.sleep(0.2)
    daemon.stop()
    found = [[statistics.median(run[key] for run in runs) for key in ("p50", "p99")]
             for runs in (idle, beside)]
    report.table(f"n = {ROWS} beside n = {GIANT:.0e}", ["", "p50 ms", "p99 ms"],
                 [[name, f"{1e3 * p50:.3f}", f"{1e3 * p99:.3f}"]
                  for name, (p50, p99) in zip(("idle", "beside"), found)])
    ratio = found[1][1] / found[0][1]
    report.goal(f"p99 of n = {ROWS} beside 10^7 rows", f"< {LIMIT}x idle", f"{ratio:.2f}x",
                ratio < LIMIT)


if __name__ == "__main__":
    main()
