#!/usr/bin/python3
"""What bf16x3 and bf16 change: the distance of rows to the f32 ones of the same start points, over
10^5 rows, and the change in the 2-Wasserstein distance to two moons, beside its spread over seeds.
The published fields, 100 Euler steps, through the daemon.

usage: distance.py [--quick]  (10^4 rows)"""
import argparse
import io

import published  # before numpy, whose threads it sets

import numpy as np

import report
import wasserstein

ROWS, QUICK_ROWS, STEPS, PIECE = 10 ** 5, 10 ** 4, 100, 20000  # PIECE: rows of one request
LOWER = ("bf16x3", "bf16")


def draw(daemon, model, x0, precision):
    answers = [daemon.sample("application/x-npy", model=model, precision=precision,
                             x0=x0[at:at + PIECE].tolist(),
                             solver={"method": "euler", "steps": STEPS})
               for at in range(0, len(x0), PIECE)]
    return np.concatenate([np.load(io.BytesIO(answer.body)) for answer in answers])


def distances(daemon, name, rows, precisions):
    """precision -> the distance of each row to the f32 one."""
    x0 = published.start_points(name, 1, rows)
    model = daemon.models[name]
    exact = draw(daemon, model, x0, "f32")
    return {precision: np.linalg.norm(draw(daemon, model, x0, precision) - exact, axis=1)
            for precision in precisions}


def w2_of_seeds(daemon, name, precision):
    found = []
    for seed in wasserstein.SEEDS:
        x0 = published.start_points(name, seed, wasserstein.ROWS)
        moons = wasserstein.two_moons(np.random.default_rng(1000 + seed), wasserstein.ROWS)
        found.append(wasserstein.wasserstein(draw(daemon, daemon.models[name], x0, precision),
                                             moons))
    return np.array(found)


def lines_of(daemon, name, rows, precisions):
    own = w2_of_seeds(daemon, name, "f32")
    lines = [[f"{published.title(name)}: f32", "", "",
              f"{own.mean():.4f} +- {own.std(ddof=1):.4f}", ""]]
    for precision, away in distances(daemon, name, rows, precisions).items():
        change = w2_of_seeds(daemon, name, precision) - own
        lines.append([f"  {precision}", f"{away.mean():.1e}", f"{away.max():.1e}", "",
                      f"{change.mean():+.1e} +- {change.std(ddof=1):.1e}"])
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    rows = QUICK_ROWS if parser.parse_args().quick else ROWS
    if published.missing():
        return
    daemon = published.Daemon()
    any_model = daemon.models[published.NAMES[0]]
    precisions = [precision for precision in LOWER if daemon.offers(precision, any_model)]
    lines = [line for name in published.NAMES
             for line in lines_of(daemon, name, rows, precisions)]
    daemon.stop()
    seeds = len(wasserstein.SEEDS)
    report.table(f"{STEPS} Euler steps: {rows} rows against the f32 ones, and W2 to two moons over "
                 f"{seeds} seeds",
                 ["", "mean distance", "most", "W2", "its change"], lines)


if __name__ == "__main__":
    main()
