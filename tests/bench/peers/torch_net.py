"""A network of Linear layers as a PyTorch user writes it, and its Euler loop."""
import numpy
import torch
from torch import Tensor, nn


class Field(nn.Module):
    """u(x, t): the time behind x, SiLU between the layers."""

    def __init__(self, folder):
        super().__init__()
        arrays = [torch.from_numpy(array) for array in numpy.load(f"{folder}/weights.npz").values()]
        layers = []
        for weight, bias in zip(arrays[::2], arrays[1::2]):
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
            layers += [linear, nn.SiLU()]
        self.dim = arrays[-1].shape[0]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor, t: float) -> Tensor:
        time = torch.full((x.shape[0], 1), t)
        return self.net(torch.cat([x, time], 1))


class Euler(nn.Module):
    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, x: Tensor, steps: int) -> Tensor:
        h = 1.0 / steps
        for i in range(steps):
            x = x + h * self.field(x, i * h)
        return x


def build(folder, mode, threads):
    """mode: eager or jit (the whole loop compiled, its weights made constants)."""
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    solver = Euler(Field(folder)).eval()
    if mode == "jit":
        solver = torch.jit.freeze(torch.jit.script(solver))
    return solver
