#!/usr/bin/python3
"""Writes tests/golden/train_reference.txt: what PyTorch makes of a few training steps.

A small network, one batch of the linear flow matching loss, its gradient, and ten AdamW steps with
clipping, warm-up, cosine decay and EMA. tests/unit/train/test_optimizer.c compares. Needs
python3-torch; run it again only when the reference itself must change.
"""
import math
import pathlib

import torch

DIM, HIDDEN, ROWS, STEPS = 3, 8, 16, 10
RATE, WARMUP, FINAL, DECAY, CLIP, EMA = 2e-2, 3, 0.1, 0.1, 0.5, 0.7


def learning_rate(step):
    """The schedule of core/train/optimizer.h."""
    if step < WARMUP:
        return RATE * (step + 1) / WARMUP
    done = (step - WARMUP) / (STEPS - WARMUP)
    return RATE * (FINAL + (1 - FINAL) * 0.5 * (1 + math.cos(math.pi * done)))


def flat(tensors):
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def main():
    torch.manual_seed(3)
    torch.set_num_threads(1)
    net = torch.nn.Sequential(
        torch.nn.Linear(DIM + 1, HIDDEN), torch.nn.SiLU(),
        torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.SiLU(),
        torch.nn.Linear(HIDDEN, DIM))
    x0, x1 = torch.randn(ROWS, DIM), 2 * torch.randn(ROWS, DIM) + 1
    t = torch.rand(ROWS, 1)
    parts = {"weights": flat(net.parameters()), "x0": x0, "x1": x1, "t": t}
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in net.parameters() if p.dim() == 2], "weight_decay": DECAY},
         {"params": [p for p in net.parameters() if p.dim() == 1], "weight_decay": 0.0}],
        betas=(0.9, 0.99), eps=1e-8)
    ema = flat(net.parameters())
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        x = t * x1 + (1 - t) * x0
        loss = ((net(torch.cat([x, t], 1)) - (x1 - x0)) ** 2).mean()
        loss.backward()
        parts.setdefault("gradient", flat(p.grad for p in net.parameters()))
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP).item())
        losses.append(loss.item())
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.step()
        keep = min(EMA, (1 + step) / (10 + step))
        ema = keep * ema + (1 - keep) * flat(net.parameters())
    parts.update(losses=torch.tensor(losses), norms=torch.tensor(norms),
                 trained=flat(net.parameters()), ema=ema)
    path = pathlib.Path(__file__).parents[1] / "golden" / "train_reference.txt"
    with path.open("w", encoding="ascii") as out:
        for name, values in parts.items():
            values = values.reshape(-1).tolist()
            print(name, len(values), file=out)
            print("\n".join("%.9g" % value for value in values), file=out)


if __name__ == "__main__":
    main()
