"""The published fields for the benches: their weights, their velocity in float64, their start
points, and the daemon with all of them loaded."""
import json
import os
import struct
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for small matrices threads cost more

import numpy as np

import contenders
import servers
import wasserstein

FOLDER = Path(os.environ.get("BENCH_CHECKPOINTS", contenders.ROOT.parent / "shared/checkpoints"))
NAMES = list(wasserstein.PUBLISHED)
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def missing():
    """Whether the files are not here, and says so."""
    if FOLDER.is_dir():
        return False
    print(f"  skipped: the published checkpoints are not at {FOLDER}")
    return True


def title(name):
    return name.replace("__", " ").replace("_v1", "")


class Field:
    def __init__(self, name):
        data = (FOLDER / f"{name}.safetensors").read_bytes()
        size, = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + size])
        self.tensors = {}
        for key, entry in header.items():
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            values = np.frombuffer(data[begin:end], "<f4").astype(float)
            self.tensors[key] = values.reshape(entry["shape"])

    def __call__(self, x, t):
        """x: [rows, 2], t: [rows]."""
        h = np.concatenate([x, t[:, None]], axis=1)
        for i in (0, 2, 4, 6):
            h = h @ self.tensors[f"net.{i}.weight"].T + self.tensors[f"net.{i}.bias"]
            if i < 6:
                bent = SELU_ALPHA * np.expm1(np.minimum(h, 0))
                h = SELU_SCALE * np.where(h > 0, h, bent)
        return h


def start_points(name, seed, rows):
    """As the field expects them, short enough to be sent."""
    rng = np.random.default_rng(seed)
    if name.startswith("8gaussian"):
        return wasserstein.eight_gaussians(rng, rows).round(6)
    return rng.standard_normal((rows, 2)).round(6)


class Daemon(servers.Daemon):
    """With the published fields. models: field -> its name there."""

    def __init__(self):
        super().__init__()
        self.models = {name: wasserstein.upload(self.url, FOLDER, name) for name in NAMES}

    def sample(self, accept="application/json", **request):
        answer = self.request("POST", "/sample", request, {"Accept": accept})
        if answer.status != 200:
            raise RuntimeError(f"advectd answered {answer.status}: {answer.body.decode()}")
        return answer
