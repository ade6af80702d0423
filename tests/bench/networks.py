"""The networks of the tables: one set of weights, written as every contender reads it."""
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "service"))

import onnx_file
import safetensors

CONFIG = {"network": "mlp", "activation": "silu", "time": {"input": "last", "scale": 1}}


class Network:
    """(d, H, L): L hidden layers of H between d numbers and the time, and d velocities."""

    def __init__(self, dim, width, depth):
        self.dim, self.width, self.depth = dim, width, depth
        tensors = safetensors.mlp([dim + 1, *[width] * depth, dim])
        arrays = list(tensors.values())
        self.layers = list(zip(arrays[::2], arrays[1::2]))
        self.checkpoint = safetensors.encode(tensors, {"advect": json.dumps(CONFIG)})

    @property
    def name(self):
        return f"({self.dim}, {self.width}, {self.depth})"

    @property
    def multiply_adds(self):
        """Of one row's evaluation."""
        return sum(weight.size for weight, _ in self.layers)

    def write(self, folder, rows):
        """Checkpoint, plain weights and both graphs in a folder. rows: a number, or the name of a
        free size."""
        folder = Path(folder)
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").write_bytes(self.checkpoint)
        np.savez(folder / "weights.npz", *(array for layer in self.layers for array in layer))
        (folder / "step.onnx").write_bytes(onnx_file.step_model(self.layers, rows))
        (folder / "loop.onnx").write_bytes(onnx_file.loop_model(self.layers, rows))
