#!/usr/bin/python3
"""The 2-Wasserstein distance to two moons of the five published fields, drawn through the daemon.

usage: tests/bench/wasserstein.py [--url http://127.0.0.1:8080] [--checkpoints FOLDER]
Without --url it starts build/server/advectd itself. 1,024 samples against 1,024, exact assignment,
mean and standard deviation over five seeds, beside the published mean. Exit status 1 when a mean is
further from the published one than three standard errors of both and 0.02 of rounding allow."""
import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {"network": "mlp", "activation": "selu", "time": {"input": "last", "scale": 1}}
STEPS = [1, 2, 5, 10, 20, 100]
ROWS = 1024
SEEDS = range(5)
PUBLISHED = {
    "8gaussian-moons__cfm_v1": [2.18, 1.69, .995, .628, .450, .375],
    "8gaussian-moons__otcfm_v1": [.397, .362, .351, .318, .346, .355],
    "8gaussian-moons__rect_1_v1": [.526, .433, .414, .443, .440, .425],
    "gaussian-moons__cfm_v1": [2.81, 1.81, .937, .595, .433, .308],
    "gaussian-moons__otcfm_v1": [.356, .326, .330, .308, .273, .283],
}


def eight_gaussians(rng, count):
    """Radius 5, on the axes and diagonals, standard deviation .1^(1/4)."""
    angles = rng.integers(8, size=count) * np.pi / 4
    centres = 5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return centres + 0.1 ** 0.25 * rng.standard_normal((count, 2))


def two_moons(rng, count):
    """The unit moons at even angles; one offset U[0, .2) for both coordinates of a point; times 3
    minus 1."""
    angle = np.linspace(0, np.pi, count // 2)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    moons = np.concatenate([upper, [1, 0.5] - upper])
    return 3 * (moons + rng.uniform(0, 0.2, size=(len(moons), 1))) - 1


def wasserstein(a, b):
    cost = cdist(a, b, "sqeuclidean")
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


def call(method, url, body, headers):
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


def upload(url, folder, name):
    model = name.replace("__", "-").replace("_v1", "")
    call("PUT", f"{url}/models/{model}", (folder / f"{name}.safetensors").read_bytes(),
         {"Advect-Config": json.dumps(CONFIG), "Content-Type": "application/octet-stream"})
    return model


def draw(url, model, steps, seed):
    body = {"model": model, "seed": seed, "solver": {"method": "euler", "steps": steps}}
    if model.startswith("8gaussian"):
        body["x0"] = eight_gaussians(np.random.default_rng(seed), ROWS).round(6).tolist()
    else:
        body["count"] = ROWS
    answer = call("POST", f"{url}/sample", json.dumps(body).encode(),
                  {"Content-Type": "application/json", "Accept": "application/json"})
    return np.array(json.loads(answer)["samples"])


def distances(url, model, steps):
    """One distance a seed."""
    return np.array([
        wasserstein(draw(url, model, steps, seed),
                    two_moons(np.random.default_rng(1000 + seed), ROWS)) for seed in SEEDS])


def table(url, folder):
    """Prints the table; the number of means that are not the published ones."""
    wrong = 0
    print(f"{'W2 to two moons, Euler steps':30}" + "".join(f"{steps:>16}" for steps in STEPS))
    for name, published in PUBLISHED.items():
        model = upload(url, folder, name)
        line = f"{model:30}"
        for steps, mean in zip(STEPS, published):
            found = distances(url, model, steps)
            # both means are over five draws of the same spread
            allowed = 3 * found.std(ddof=1) * np.sqrt(2 / len(SEEDS)) + 0.02
            bad = abs(found.mean() - mean) > allowed
            wrong += bad
            line += f"{found.mean():8.3f} ({mean:.3f}){'!' if bad else ' '}"
        print(line, flush=True)
    floor = [wasserstein(two_moons(np.random.default_rng(seed), ROWS),
                         two_moons(np.random.default_rng(2000 + seed), ROWS)) for seed in SEEDS]
    print(f"moons against moons: {np.mean(floor):.3f}. In brackets: published. "
          f"! {wrong} of {len(PUBLISHED) * len(STEPS)} differ by more than their spread.")
    return wrong


def start_daemon(data_dir):
    """The daemon of build/ on a free port, and its address."""
    daemon = subprocess.Popen(
        [ROOT / "build/server/advectd", "--listen", "127.0.0.1:0", "--data-dir", data_dir,
         "--log-level", "warn"],
        stdout=subprocess.PIPE, text=True)
    line = daemon.stdout.readline()
    if not line.startswith("listening on "):
        daemon.kill()
        sys.exit("build/server/advectd did not start; run scripts/test or scripts/bench first")
    return daemon, line.split()[-1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", help="a daemon that runs already")
    parser.add_argument("--checkpoints", type=Path, default=ROOT.parent / "shared/checkpoints",
                        help="folder of the published .safetensors files")
    options = parser.parse_args()
    if not options.checkpoints.is_dir():
        sys.exit(f"the published checkpoints are not at {options.checkpoints} (--checkpoints)")
    if options.url:
        return 1 if table(options.url, options.checkpoints) else 0
    with tempfile.TemporaryDirectory() as data_dir:
        daemon, url = start_daemon(data_dir)
        try:
            return 1 if table(url, options.checkpoints) else 0
        finally:
            daemon.terminate()
            daemon.wait(20)


if __name__ == "__main__":
    sys.exit(main())
