#!/usr/bin/python3
"""Writes tests/golden/net_reference.txt: what PyTorch makes of small velocity networks.

Every activation, and every way in which time enters; in double arithmetic on weights that are exact
in float32 and that tests/unit/net/test_net.c makes by the same rule. Needs python3-torch; run it
again only when the reference itself must change.
"""
import math
import pathlib

import torch

DIM, HIDDEN, ROWS, FREQUENCIES = 3, (8, 5), 4, 3

ACTIVATIONS = {
    "none": torch.nn.Identity(), "silu": torch.nn.SiLU(), "relu": torch.nn.ReLU(),
    "elu": torch.nn.ELU(), "selu": torch.nn.SELU(), "gelu": torch.nn.GELU(),
    "gelu_tanh": torch.nn.GELU(approximate="tanh"), "tanh": torch.nn.Tanh(),
}
# input, scale, cosines first, features before x
TIMES = [("first", 1, 0, 0), ("last", 1, 0, 0), ("last", 999, 0, 0)]
TIMES += [embedding + (cos_first, before_x)
          for embedding in (("fourier", 1), ("sinusoidal", 1000))
          for cos_first in (0, 1) for before_x in (0, 1)]


def rule(count, factor, offset, modulus, unit):
    index = torch.arange(count, dtype=torch.float64)
    return ((index * factor + offset) % modulus - modulus // 2) / unit


def time_features(kind, scale, cos_first, t):
    if kind in ("first", "last"):
        return scale * t
    if kind == "fourier":
        angle = 2 * math.pi * scale * t * torch.tensor([0.5, 1, 2.25], dtype=torch.float64)
    else:
        k = torch.arange(FREQUENCIES, dtype=torch.float64)
        angle = scale * t * torch.exp(-math.log(10000) * k / FREQUENCIES)
    waves = [torch.cos(angle), torch.sin(angle)] if cos_first else [torch.sin(angle),
                                                                   torch.cos(angle)]
    return torch.cat(waves, dim=1)


def velocity(activation, time):
    kind, scale, cos_first, before_x = time
    x = rule(ROWS * DIM, 29, 5, 41, 8).reshape(ROWS, DIM)
    t = torch.tensor([[0], [0.25], [0.625], [1]], dtype=torch.float64)
    features = time_features(kind, scale, cos_first, t)
    first = kind == "first" or before_x
    values = torch.cat([features, x] if first else [x, features], dim=1)
    widths = (values.shape[1],) + HIDDEN + (DIM,)
    params = rule(sum((a + 1) * b for a, b in zip(widths, widths[1:])), 37, 11, 101, 64)
    for layer, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        linear = torch.nn.Linear(inputs, outputs, dtype=torch.float64)
        linear.weight.data = params[:inputs * outputs].reshape(outputs, inputs)
        linear.bias.data = params[inputs * outputs:(inputs + 1) * outputs]
        params = params[(inputs + 1) * outputs:]
        values = linear(values)
        if layer < len(HIDDEN):
            values = ACTIVATIONS[activation](values)
    return values.detach()


def main():
    cases = [(name, TIMES[1]) for name in ACTIVATIONS] + [("silu", time) for time in TIMES]
    path = pathlib.Path(__file__).parents[1] / "golden" / "net_reference.txt"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{len(cases)}\n")
        for activation, time in cases:
            file.write(" ".join([activation, *map(str, time)]) + "\n")
            for row in velocity(activation, time):
                file.write(" ".join(f"{value:.12g}" for value in row.tolist()) + "\n")


main()
