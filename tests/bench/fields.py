#!/usr/bin/python3
"""100 Euler steps of a velocity field: advectd's engine beside PyTorch and ONNX Runtime, with the
same weights, start points, grid and two threads.

usage: fields.py [--quick | --full]
A time is the median of five turns (contenders.py; three with --quick) in milliseconds. advectd is
timed from the request's text to the answer's bytes, through the engine's threads and with noise;
the peers, and "solve alone", from start points to end points by calling a function. Where 100
steps would take too long (unless --full), "~" marks a time that is that of one step and 99 times a
further step's, measured over as many as fit. Peers have their best setting: one thread, two, or
two with a processor each."""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import contenders
import report
from networks import Network

STEPS = 100
PRECISIONS = {"f32": 1e-4, "bf16x3": 1e-3, "bf16": 0.1}  # and how far rows may be from ORT's
SMALL, MIDDLE, LARGE = (2, 64, 3), (2, 512, 4), (784, 1024, 4)
CASES = [(SMALL, 1), (SMALL, 1024), (SMALL, 16384), (MIDDLE, 1024), (MIDDLE, 16384), (LARGE, 1024),
         (LARGE, 16384)]
SOLVE, EAGER, JIT = "advectd solve alone", "PyTorch eager", "PyTorch jit"
ORT, ORT_LOOP = "ONNX Runtime", "ONNX Runtime, inner loop"

AMX_PRECISIONS = ("bf16x3", "bf16")  # whose goals are for machines with AMX

# (precision, network, rows): [(peer, ratio)]; issue "The engine".
GOALS = {(who, SMALL, 1): [(EAGER, 60), (ORT, 15)] for who in ("f32", "solve alone")}
for wanted_rows in (1024, 16384):
    deep = wanted_rows == 16384
    GOALS |= {
        ("f32", SMALL, wanted_rows): [("PyTorch at its best", 4), (ORT, 2.5)],
        ("f32", MIDDLE, wanted_rows): [(ORT, 1.5 if deep else 1.3)],
        ("f32", LARGE, wanted_rows): [(ORT, 1.5 if deep else 1.2)],
        ("bf16x3", MIDDLE, wanted_rows): [(ORT, 3)],
        ("bf16x3", LARGE, wanted_rows): [(ORT, 3)],
        ("bf16", MIDDLE, wanted_rows): [(ORT, 7)],
        ("bf16", LARGE, wanted_rows): [(ORT, 5)],
    }
PEAK_SHARE = 0.8  # of MIDDLE and LARGE in f32


def measured_peak():
    """GFLOP/s of two threads."""
    ran = subprocess.run([contenders.BUILD / "tests/bench/bench_peak"], capture_output=True,
                         text=True, check=True)
    return float(ran.stdout.splitlines()[contenders.THREADS - 1].split()[1])


def field_contenders(folder, rows, steps):
    """Everybody who is there, by name; peers at their best."""
    engines = {f"advectd {name}": contenders.engine(folder, rows, name) for name in PRECISIONS}
    if rows == 1:
        engines[SOLVE] = contenders.engine(folder, rows, "f32", workers=0)
    first = next(iter(engines.values()))
    first.ask(f"noise {folder}/x0.f32")
    everybody = {name: engine for name, engine in engines.items() if not engine.reason}
    families = {EAGER: (contenders.torch, "eager"), JIT: (contenders.torch, "jit"),
                ORT: (contenders.ort, "step"), ORT_LOOP: (contenders.ort, "loop")}
    for name, (start, mode) in families.items():
        everybody[name] = contenders.best_of(
            [start(folder, rows, mode, *setting) for setting in contenders.SETTINGS], steps)
    return everybody


def check_agreement(everybody, folder, steps):
    """All outputs are the same rows before anything is timed."""
    rows = {}
    for name, contender in everybody.items():
        contender.run(steps)
        contender.ask(f"save {folder}/out.f32")
        rows[name] = np.fromfile(f"{folder}/out.f32", "float32")
    for name, values in rows.items():
        allowed = PRECISIONS.get(name.removeprefix("advectd "), PRECISIONS["f32"])
        away = float(np.abs(values - rows[ORT]).max())
        if not away <= allowed:
            sys.exit(f"{name} is {away:g} away from {ORT}: the contenders do not compute the same")


def times_of(everybody, steps, rounds):
    """Seconds for STEPS steps of each, and whether they were extrapolated."""
    whole = contenders.take_turns(everybody.values(), steps, rounds)
    if steps == STEPS:
        return dict(zip(everybody, whole)), False
    single = contenders.take_turns(everybody.values(), 1, rounds)
    return {name: one + (many - one) / (steps - 1) * (STEPS - 1)
            for name, one, many in zip(everybody, single, whole)}, True


def show(network, rows, everybody, seconds, guessed, peak):
    work = 2e-9 * network.multiply_adds * rows * STEPS
    lines = []
    for name, own in seconds.items():
        setting = everybody[name].name if not name.startswith("advectd") else ""
        lines.append([name, f"{'~' if guessed else ''}{1e3 * own:.4g}",
                      f"{own / seconds['advectd f32']:.2f}", f"{100 * work / own / peak:.0f} %",
                      setting])
    report.table(f"{network.name}, n = {rows}, {STEPS} Euler steps",
                 ["", "ms", "of advectd f32", "of the peak", "best setting"], lines)


def judge(shape, rows, seconds, peak):
    network = Network(*shape)
    work = f"{network.name} n = {rows}"
    peers = dict(seconds)
    peers["PyTorch at its best"] = min(seconds[EAGER], seconds[JIT])
    for (precision, goal_shape, goal_rows), goals in GOALS.items():
        own = seconds.get(f"advectd {precision}")
        if (goal_shape, goal_rows) != (shape, rows):
            continue
        for peer, ratio in goals:
            if own and precision in AMX_PRECISIONS and not contenders.has_amx():
                report.goal(f"{work}, {precision}", f">= {ratio:g}x {peer}, on AMX",
                            f"{peers[peer] / own:.2f}x, no AMX", None)
            elif own:
                report.at_least(f"{work}, {precision}", peers[peer] / own, ratio, peer)
            else:
                report.goal(f"{work}, {precision}", f">= {ratio:g}x {peer}", "not offered", None)
    if shape != SMALL:
        flops = 2e-9 * network.multiply_adds * rows * STEPS
        share = flops / seconds["advectd f32"] / peak
        report.goal(f"{work}, f32", f">= {PEAK_SHARE:.0%} of the peak", f"{share:.0%}",
                    share >= PEAK_SHARE)


def run_case(shape, rows, options, peak):
    budget = np.inf if options.full else 2e10 if options.quick else 1.5e12  # operations a run
    network = Network(*shape)
    steps = int(min(STEPS, max(3, budget / (2 * network.multiply_adds * rows))))
    few = max(1, steps // 5)
    with tempfile.TemporaryDirectory() as folder:
        network.write(folder, rows)
        everybody = field_contenders(folder, rows, few)
        check_agreement(everybody, folder, few)
        seconds, guessed = times_of(everybody, steps, 3 if options.quick else 5)
        show(network, rows, everybody, seconds, guessed, peak)
        for contender in everybody.values():
            contender.end()
    judge(shape, rows, seconds, peak)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer steps a run: minutes")
    parser.add_argument("--full", action="store_true", help="always 100 steps: an hour")
    options = parser.parse_args()
    peak = measured_peak()
    print(f"f32 fused multiply-adds in registers, two threads: {peak:.0f} GFLOP/s", flush=True)
    for shape, rows in CASES:
        run_case(shape, rows, options, peak)


if __name__ == "__main__":
    main()
