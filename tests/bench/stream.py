#!/usr/bin/python3
"""10^8 rows as NPY to a reader at full speed, and for a while to one at 1 MB/s: the daemon's
resident memory against idle. (2, 64, 3), one Euler step, so that rows come as fast as they can.

usage: stream.py [--quick | --full]
--quick: 10^7 rows at full speed, 5 s at 1 MB/s. --full: 60 s at 1 MB/s in place of 20 (all of them
would take 800 s)."""
import argparse
import re
import time
from pathlib import Path

import report
import servers
from networks import Network

ROWS, QUICK_ROWS, SLOW_RATE = 10 ** 8, 10 ** 7, 10 ** 6
SLOW_SECONDS, QUICK_SECONDS, FULL_SECONDS = 20, 5, 60
LIMIT_MIB = 64


def resident_mib(pid, key):
    """VmRSS: now; VmHWM: the most since reset_peak."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) / 1024


def reset_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def stream(daemon, rows, rate=None, seconds=None):
    """Peak memory in MiB, and how long it went on."""
    reset_peak(daemon.pid)
    start = time.monotonic()
    reader = servers.Reader(daemon.port, servers.request_of(rows, 1), rate)
    while reader.running() and (seconds is None or time.monotonic() - start < seconds):
        time.sleep(0.1)
    took = time.monotonic() - start
    if reader.running():
        reader.stop()
    elif reader.process.returncode:
        raise RuntimeError("the stream broke off")
    return resident_mib(daemon.pid, "VmHWM"), took


def main():
    parser = argparse.ArgumentParser()
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true")
    length.add_argument("--full", action="store_true")
    options = parser.parse_args()
    rows = QUICK_ROWS if options.quick else ROWS
    patience = (QUICK_SECONDS if options.quick else FULL_SECONDS if options.full else
                SLOW_SECONDS)
    daemon = servers.Advectd(Network(2, 64, 3))
    idle = resident_mib(daemon.pid, "VmRSS")
    fast, took = stream(daemon, rows)
    slow, held = stream(daemon, ROWS, SLOW_RATE, patience)
    daemon.stop()
    report.table(f"{rows:.0e} rows as NPY", ["", "most resident MiB", "above idle", "s"],
                 [["idle", f"{idle:.1f}", "", ""],
                  ["full speed", f"{fast:.1f}", f"{fast - idle:.1f}", f"{took:.1f}"],
                  ["1 MB/s", f"{slow:.1f}", f"{slow - idle:.1f}", f"first {held:.0f}"]])
    whole = "10^7" if options.quick else "10^8"
    for name, most in ((f"{whole} rows at full speed", fast), ("10^8 rows at 1 MB/s", slow)):
        report.goal(name,
                    f"<= {LIMIT_MIB} MiB above idle", f"{most - idle:.1f} MiB",
                    most - idle <= LIMIT_MIB)


if __name__ == "__main__":
    main()
