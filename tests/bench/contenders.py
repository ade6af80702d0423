"""The programs that sample a field side by side. Each is a process that says "ready" (or why it is
not there) and then answers a line "run STEPS" with the seconds it took, and "save FILE" with
"saved" once the rows of the last run are in that file. They take turns, so that whatever else the
machine does meets all of them alike."""
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BENCH_BUILD", ROOT / "build"))
NODE = BUILD / "bench-node"
PEERS = ROOT / "tests/bench/peers"
THREADS = 2
PYTHON = "/usr/bin/python3"
HOPELESS = 3  # times the best so far


def peer_environment():
    """PyTorch and its BLAS share one pool of threads; the processor chooses its kernels."""
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    libraries = sorted(Path("/usr/lib").glob("*/openblas-openmp"))
    if not libraries:
        sys.exit("libopenblas0-openmp is not installed; run scripts/bench")
    environment["LD_LIBRARY_PATH"] = str(libraries[0])
    return environment


def ort_library():
    found = sorted(NODE.glob("node_modules/onnxruntime-node/bin/*/linux/*/libonnxruntime.so.1"))
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine)
    return next((path for path in found if path.parent.name == machine), None)


class Contender:
    def __init__(self, name, command, environment=None):
        self.name, self.reason = name, None
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=environment)
        said = self.process.stdout.readline().strip()
        if said != "ready":
            self.reason = said.removeprefix("absent: ") or "it did not start"
            self.end()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"{self.name} ended")
        return answer

    def run(self, steps):
        return float(self.ask(f"run {steps}"))

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def engine(folder, rows, precision, workers=THREADS):
    return Contender(f"advectd {precision}", [
        BUILD / "tests/bench/field_engine", folder, rows, precision, workers])


def torch(folder, rows, mode, threads):
    return Contender(f"PyTorch {mode}, {threads} threads", [
        PYTHON, PEERS / "torch_field.py", folder, rows, mode, threads], peer_environment())


def ort(folder, rows, mode, threads):
    return Contender(f"ONNX Runtime {mode}, {threads} threads", [
        BUILD / "tests/bench/field_ort", folder, rows, mode, threads, ort_library()])


def best_of(candidates, steps, tries):
    """A peer's best setting: the fastest of all, each after a run to warm up. The others end, and
    one that is far behind sooner."""
    times = {}
    for candidate in candidates:
        best = min(times.values(), default=float("inf"))
        candidate.run(steps)
        times[candidate] = candidate.run(steps)
        for _ in range(1, tries):
            if times[candidate] < HOPELESS * best:
                times[candidate] = min(times[candidate], candidate.run(steps))
    best = min(times, key=times.get)
    for candidate in candidates:
        if candidate is not best:
            candidate.end()
    return best


def take_turns(contenders, steps, rounds):
    """The median seconds of each."""
    times = [[] for _ in contenders]
    for _ in range(rounds):
        for contender, own in zip(contenders, times):
            own.append(contender.run(steps))
    return [statistics.median(own) for own in times]
