"""The programs that sample a field side by side. Each is a process that says "ready" (or why it is
not there) and then answers a line "run STEPS" with the seconds it took, and "save FILE" with
"saved" once the rows of the last run are in that file. They take turns, so that whatever else the
machine does meets all of them alike. A turn goes on for TURN_SECONDS or one run, whichever is
longer, and its figure is the median of its second half: the first finds the processor, its threads
and its caches asleep."""
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BENCH_BUILD", ROOT / "build"))
NODE = BUILD / "bench-node"
PEERS = ROOT / "tests/bench/peers"
THREADS = 2
PYTHON = "/usr/bin/python3"
TURN_SECONDS = 0.25


# Of a peer: how many threads, and whether each has a processor of its own.
SETTINGS = [(1, False), (THREADS, False), (THREADS, True)]


def setting_name(threads, pinned):
    return f"{threads} thread{'s' if threads > 1 else ''}{' pinned' if pinned else ''}"


def peer_environment(pinned=False):
    """PyTorch and its BLAS share one pool of threads; the processor chooses its kernels; memory
    stays with the process (given back and taken again for every product, large ones would cost it
    seven times their time)."""
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    libraries = sorted(Path("/usr/lib").glob("*/openblas-openmp"))
    if not libraries:
        sys.exit("libopenblas0-openmp is not installed; run scripts/bench")
    environment["LD_LIBRARY_PATH"] = str(libraries[0])
    environment["MALLOC_MMAP_THRESHOLD_"] = environment["MALLOC_TRIM_THRESHOLD_"] = str(1 << 32)
    if pinned:
        environment["OMP_PROC_BIND"] = "true"
    return environment


def ort_library():
    found = sorted(NODE.glob("node_modules/onnxruntime-node/bin/*/linux/*/libonnxruntime.so.1"))
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine)
    return next((path for path in found if path.parent.name == machine), None)


def has_amx():
    """The tiles that the fastest kernels below float32 compute in."""
    return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8").split()


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

    def turn(self, steps):
        times, start = [], time.monotonic()
        while not times or time.monotonic() - start < TURN_SECONDS:
            times.append(self.run(steps))
        return statistics.median(times[len(times) // 2:])

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def engine(folder, rows, precision, workers=THREADS):
    """No workers: the solve alone, called as a function."""
    return Contender(f"advectd {precision}", [
        BUILD / "tests/bench/field_engine", folder, rows, precision, workers])


def torch(folder, rows, mode, threads, pinned):
    return Contender(setting_name(threads, pinned), [
        PYTHON, PEERS / "torch_field.py", folder, rows, mode, threads], peer_environment(pinned))


def ort(folder, rows, mode, threads, pinned):
    return Contender(setting_name(threads, pinned), [
        BUILD / "tests/bench/field_ort", folder, rows, mode, threads, int(pinned), ort_library()])


def best_of(candidates, steps):
    """A peer's best setting: the fastest in a turn after a run to warm up. The others end."""
    times = {}
    for candidate in candidates:
        candidate.run(1)
        times[candidate] = candidate.turn(steps)
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
            own.append(contender.turn(steps))
    return [statistics.median(own) for own in times]
