#!/usr/bin/python3
"""POST /sample {"count", "seed", "steps"} as a Python user writes it: FastAPI, uvicorn, PyTorch.

usage: torch_server.py FOLDER PORT eager|jit THREADS PROCESSES"""
import json
import os
import sys

import torch
import torch_net
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel


class Request(BaseModel):
    count: int
    seed: int
    steps: int


def make_app():
    folder, _, mode, threads, _ = json.loads(os.environ["TORCH_SERVER"])
    solver = torch_net.build(folder, mode, int(threads))
    dim = torch_net.Field(folder).dim
    app = FastAPI()

    # On the loop itself: a thread for each request would be slower, and the JSON of a response
    # model several times so.
    @app.post("/sample")
    async def sample(request: Request):
        noise = torch.Generator().manual_seed(request.seed)
        x0 = torch.randn(request.count, dim, generator=noise)
        rows = solver(x0, request.steps)
        return Response(json.dumps({"samples": rows.tolist()}), media_type="application/json")

    return app


def main():
    arguments = sys.argv[1:]
    os.environ["TORCH_SERVER"] = json.dumps(arguments)
    uvicorn.run("torch_server:make_app", factory=True, host="127.0.0.1", port=int(arguments[1]),
                workers=int(arguments[4]), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
