#!/usr/bin/python3
"""A contender (contenders.py): PyTorch.

usage: torch_field.py FOLDER ROWS eager|jit THREADS"""
import sys
import time

import numpy
import torch
import torch_net


def main():
    folder, rows, mode, threads = sys.argv[1:]
    solver = torch_net.build(folder, mode, int(threads))
    x0 = torch.from_numpy(numpy.fromfile(f"{folder}/x0.f32", "float32").reshape(int(rows), -1))
    print("ready", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "run":
            start = time.perf_counter()
            x1 = solver(x0, int(words[1]))
            print(time.perf_counter() - start, flush=True)
        elif words[0] == "save":
            x1.numpy().tofile(words[1])
            print("saved", flush=True)


if __name__ == "__main__":
    main()
