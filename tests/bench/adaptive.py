#!/usr/bin/python3
"""dopri5 at 1e-5 on the published fields: evaluations a row where every row has its own error norm,
beside one norm for the batch, as torchdiffeq takes it. 1,024 rows.

usage: adaptive.py [--quick]  (fewer tolerances)
The others solve the same rows in float64 (dopri5.py) at tolerances from 1e-3 to 1e-6; what they
would take for advectd's error is read off a quadratic through log error and log evaluations, which
evens out that so few common steps make their error jump. Errors are distances to a solve at 1e-8,
root mean square and the most over all rows. These fields have kinks (SELU), which no estimate of a
step's error sees: errors are far above the tolerance, for all alike."""
import argparse
import io

import published  # before numpy, whose threads it sets

import numpy as np

import dopri5
import report

ROWS, TOLERANCE, EXACT = 1024, 1e-5, 1e-8
COUNTS = (1, 16, ROWS)
OWN, THEIRS, MIXED = "advectd", "torchdiffeq's rule", "advectd's rule"
BATCH = {THEIRS: dopri5.TheirRule, MIXED: dopri5.OurRule}  # with one norm for the batch


def errors(x, exact):
    """Root mean square, and the most."""
    away = np.linalg.norm(x - exact, axis=1)
    return np.sqrt((away ** 2).mean()), away.max()


def solve_here(daemon, model, x0, exact):
    """Errors, and the evaluations a row: mean, least, most."""
    solver = {"method": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE}
    answer = daemon.sample(model=model, x0=x0.tolist(), solver=solver).json()
    per_row = answer["evaluations_per_row"]
    return errors(np.array(answer["samples"]), exact), [
        per_row[key] for key in ("mean", "min", "max")]


def same_bytes(daemon, model, x0):
    """Whether rows are the same to the bit whatever number of others they are drawn with."""
    solver = {"method": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE}
    rows = [np.load(io.BytesIO(daemon.sample("application/x-npy", model=model, solver=solver,
                                             x0=x0[:count].tolist()).body)) for count in COUNTS]
    return all(own.tobytes() == rows[-1][:len(own)].tobytes() for own in rows)


def moved_alone(field, x0):
    """How far the first row is from itself when torchdiffeq's rule solves it alone."""
    alone, among = (dopri5.Solve(field, x0[:count], TOLERANCE, dopri5.TheirRule, False).x[0]
                    for count in (1, ROWS))
    return np.linalg.norm(alone - among)


def at_same(own, found, evaluations):
    """Evaluations for the error `own`, from pairs of both."""
    curve = np.polyfit(np.log(found), np.log(evaluations), 2)
    return float(np.exp(np.polyval(curve, np.log(np.clip(own, min(found), max(found))))))


def compare(daemon, name, tolerances):
    """The lines of a field, and our evaluations by torchdiffeq's at the same errors."""
    field, x0 = published.Field(name), published.start_points(name, 1, ROWS)
    exact = dopri5.Solve(field, x0.astype("float32"), EXACT, dopri5.OurRule, True).x
    (own_rms, own_most), (mean, least, most) = solve_here(daemon, daemon.models[name], x0, exact)
    lines = [[f"{published.title(name)}: {OWN}", f"{mean:.1f} ({least} to {most})",
              f"{own_rms:.1e}", f"{own_most:.1e}", "", "", ""]]
    ratios = {}
    for rule_name, rule in BATCH.items():
        solves = [dopri5.Solve(field, x0.astype("float32"), tolerance, rule, False)
                  for tolerance in tolerances]
        counts = [solve.evaluations.mean() for solve in solves]
        found = np.array([errors(solve.x, exact) for solve in solves])
        same = int(np.argmin(np.abs(tolerances - TOLERANCE)))
        by = [at_same(own, found[:, i], counts) for i, own in enumerate((own_rms, own_most))]
        ratios[rule_name] = mean / by[0]
        lines.append([f"  {rule_name}, one norm", f"{counts[same]:.0f}", f"{found[same, 0]:.1e}",
                      f"{found[same, 1]:.1e}", f"{by[0]:.0f}", f"{by[1]:.0f}",
                      f"{mean / by[0]:.2f}"])
    bits = same_bytes(daemon, daemon.models[name], x0)
    lines.append(["  rows alone and among others", "", "", "", "", "",
                  "same bytes" if bits else "DIFFER"])
    lines.append([f"  {THEIRS}: a row alone", "", "", "", "", "",
                  f"moves {moved_alone(field, x0):.0e}"])
    return lines, ratios, bits


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    points = 7 if parser.parse_args().quick else 13
    if published.missing():
        return
    daemon = published.Daemon()
    found = {name: compare(daemon, name, np.logspace(-3, -6, points)) for name in published.NAMES}
    daemon.stop()
    report.table(f"dopri5, rtol = atol = {TOLERANCE:.0e}, n = {ROWS}",
                 ["", "evaluations a row", "rms error", "most", "at our rms", "at our most",
                  "ours by it"], [line for lines, _, _ in found.values() for line in lines])
    for name, (_, ratios, _) in found.items():
        report.goal(f"dopri5, {published.title(name)}: evaluations a row",
                    "< torchdiffeq's rule at the same rms error", f"{ratios[THEIRS]:.2f} of them",
                    ratios[THEIRS] < 1)
    report.goal(f"dopri5: rows among {', '.join(map(str, COUNTS))}", "the same bytes",
                "the same" if all(bits for _, _, bits in found.values()) else "they differ",
                all(bits for _, _, bits in found.values()))


if __name__ == "__main__":
    main()
