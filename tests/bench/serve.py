#!/usr/bin/python3
"""POST /sample, n = 64, 20 Euler steps, (2, 64, 3): requests a second of advectd, FastAPI with
PyTorch, and fastify with ONNX Runtime, loaded by wrk on the same two processors.

usage: serve.py [--quick]
Peers have their best setting: threads and processes, loop outside or inside the graph, PyTorch's
JSON from a plain dump. Medians of five runs in turns."""
import argparse
import statistics
import tempfile

import report
import servers
from networks import Network

ROUNDS, ROWS, STEPS = 5, 64, 20
SETTINGS = [(2, 1), (1, 1), (1, 2)]  # threads, processes
PEER_BODY = {"count": ROWS, "seed": 1, "steps": STEPS}
EAGER, JIT, NODE = "FastAPI + PyTorch eager", "FastAPI + PyTorch jit", "fastify + ONNX Runtime"
# How many times as many requests as EAGER and as NODE; and p99 by theirs at most.
GOALS = {"f32": (8, 3.5), "bf16": (12, 5)}
TAILS = (1 / 10, 1 / 3)


def best_setting(candidates, folder, seconds):
    """Starts each in turn, keeps the one with the most requests a second."""
    best = None
    for start in candidates:
        peer = start()
        servers.wrk(folder, peer.port, PEER_BODY, 8, 1)
        peer.found = servers.wrk(folder, peer.port, PEER_BODY, 64, seconds)["requests"]
        print(f"  {peer.name}: {peer.found:.0f}", flush=True)
        worse = peer if best and peer.found < best.found else best
        best = best if worse is peer else peer
        if worse:
            worse.stop()
    return best


def start_peers(folder, network, seconds):
    print("requests a second of each setting, 64 connections:")
    families = {
        EAGER: [lambda s=s: servers.fastapi(folder, "eager", *s) for s in SETTINGS],
        JIT: [lambda s=s: servers.fastapi(folder, "jit", *s) for s in SETTINGS],
        NODE: [lambda s=s, mode=mode: servers.fastify(folder, network.dim, mode, *s)
               for mode in ("step", "loop") for s in SETTINGS],
    }
    return {name: best_setting(starts, folder, seconds) for name, starts in families.items()}


def measure(targets, folder, connections, seconds):
    """name -> the median of each figure; targets: name -> (port, body)."""
    runs = {name: [] for name in targets}
    for _ in range(ROUNDS):
        for name, (port, body) in targets.items():
            runs[name].append(servers.wrk(folder, port, body, connections, seconds))
    return {name: {key: statistics.median(run[key] for run in own) for key in own[0]}
            for name, own in runs.items()}


def show(found, connections, peers):
    own = found["advectd f32"]["requests"]
    report.table(
        f"POST /sample n = {ROWS}, {STEPS} steps, (2, 64, 3), {connections} connections",
        ["", "req/s", "advectd f32 by it", "p50 ms", "p99 ms", "best setting"],
        [[name, f"{one['requests']:.0f}", f"{own / one['requests']:.2f}",
          f"{1e3 * one['p50']:.2f}", f"{1e3 * one['p99']:.2f}",
          peers[name].name if name in peers else ""] for name, one in found.items()])


def judge(found):
    for precision, ratios in GOALS.items():
        own = found.get(f"advectd {precision}")
        for peer, ratio, tail in zip((EAGER, NODE), ratios, TAILS):
            work = f"/sample n = {ROWS}, {precision}"
            if not own:
                report.goal(work, f">= {ratio:g}x {peer}", "not offered", None)
                continue
            report.at_least(work, own["requests"] / found[peer]["requests"], ratio, peer)
            share = own["p99"] / found[peer]["p99"]
            report.goal(f"{work}, p99", f"<= {tail:.2f} of {peer}", f"{share:.2f}", share <= tail)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    seconds = 1 if parser.parse_args().quick else 3
    network = Network(2, 64, 3)
    with tempfile.TemporaryDirectory() as folder:
        network.write(folder, "n")
        daemon = servers.Advectd(network)
        peers = start_peers(folder, network, seconds)
        targets = {f"advectd {precision}":
                   (daemon.port, servers.request_of(ROWS, STEPS, precision))
                   for precision in ("f32", "bf16") if daemon.offers(precision, "bench")}
        targets |= {name: (peer.port, PEER_BODY) for name, peer in peers.items()}
        one = measure(targets, folder, 1, 1)
        many = measure(targets, folder, 64, seconds)
        for peer in peers.values():
            peer.stop()
        daemon.stop()
    show(one, 1, peers)
    show(many, 64, peers)
    judge(many)


if __name__ == "__main__":
    main()
