#!/usr/bin/python3
"""advectd under loads that are not even: many sizes at once, requests that come whether or not
answers do, clients that do not read. (2, 64, 3), NPY answers.

usage: mixed.py [--quick]
The client (load.c) runs on the same two processors; "client" is the share of one that it took."""
import argparse
import statistics
import tempfile

import report
import servers
from networks import Network

ROUNDS, CLIENTS, ROWS_MAX, STEPS = 5, 64, 64, 100
WHOLE = 1 << 18       # rows of a request that is large enough for its ends not to count
SHARE = 0.9           # of the rows a second of the same rows in one request
SLOW, SLOW_RATE = 16, 20000  # readers, bytes a second
LOADS = (0.5, 0.8, 0.95)     # of what the closed loop reached


def median(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def mixed_bodies(steps):
    return [(rows, servers.request_of(rows, steps)) for rows in range(1, ROWS_MAX + 1)]


def compare_sizes(folder, port, steps, seconds):
    """64 clients with 1 to 64 rows each, beside the same rows in one request and in a larger one.
    Returns the requests a second of the first."""
    together = CLIENTS * (ROWS_MAX + 1) // 2
    mixed, alone = [], {together: [], WHOLE: []}
    for _ in range(ROUNDS):
        mixed.append(servers.load(folder, port, mixed_bodies(steps), CLIENTS, seconds))
        for rows, rates in alone.items():
            body = servers.request_of(rows, steps)
            repeats = max(1, WHOLE // rows // 8)
            rates.append(rows / statistics.median(
                servers.seconds_of(port, body) for _ in range(repeats)))
    found = median(mixed)
    lines = [[f"{CLIENTS} clients, n = 1..{ROWS_MAX}", f"{found['rows']:.0f}",
              f"{found['requests']:.0f}", f"{1e3 * found['p50']:.2f}", f"{1e3 * found['p99']:.2f}",
              f"{found['cpu']:.2f}"]]
    for rows, rates in alone.items():
        rate = statistics.median(rates)
        lines.append([f"one request, n = {rows}", f"{rate:.0f}", "", "", "", ""])
        share = found["rows"] / rate
        if rows == together:
            report.goal(f"{CLIENTS} clients, n = 1..{ROWS_MAX}, {steps} steps",
                        f">= {SHARE:.0%} of one request", f"{share:.0%}", share >= SHARE)
    report.table(f"mixed sizes, {steps} steps",
                 ["", "rows/s", "req/s", "p50 ms", "p99 ms", "client"], lines)
    return found["requests"]


def open_loop(folder, port, capacity, seconds):
    """Latencies from when a request was due."""
    lines = []
    for share in LOADS:
        found = median([servers.load(folder, port, mixed_bodies(STEPS), 1000, seconds,
                                     share * capacity) for _ in range(ROUNDS)])
        lines.append([f"{share:.0%} of {capacity:.0f} req/s", f"{found['requests']:.0f}",
                      f"{1e3 * found['p50']:.2f}", f"{1e3 * found['p99']:.2f}",
                      f"{1e3 * found['max']:.2f}", f"{found['failed']:.0f}",
                      f"{found['cpu']:.2f}"])
    report.table(f"Poisson arrivals, n = 1..{ROWS_MAX}, {STEPS} steps",
                 ["", "req/s", "p50 ms", "p99 ms", "max ms", "not 200", "client"], lines)


def slow_readers(folder, daemon, seconds):
    """Clients that hardly read beside four that do."""
    fast = [(16, servers.request_of(16, STEPS))]
    lines = []
    for count in (0, SLOW):
        readers = servers.SlowReaders(daemon, count, SLOW_RATE)
        found = median([servers.load(folder, daemon.port, fast, 4, seconds)
                        for _ in range(ROUNDS)])
        readers.stop()
        lines.append([f"{count} slow readers", f"{found['requests']:.0f}",
                      f"{1e3 * found['p50']:.2f}", f"{1e3 * found['p99']:.2f}"])
    report.table(f"4 clients, n = 16, {STEPS} steps, beside readers of {SLOW_RATE // 1000} kB/s",
                 ["", "req/s", "p50 ms", "p99 ms"], lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    seconds = 1.5 if parser.parse_args().quick else 4
    daemon = servers.Advectd(Network(2, 64, 3))
    with tempfile.TemporaryDirectory() as folder:
        capacity = compare_sizes(folder, daemon.port, STEPS, seconds)
        compare_sizes(folder, daemon.port, 20, seconds)
        open_loop(folder, daemon.port, capacity, seconds)
        slow_readers(folder, daemon, seconds)
    daemon.stop()


if __name__ == "__main__":
    main()
