"""Servers for the benches: advectd and its peers, each with the same network, and the two programs
that load them: wrk, and load.c where wrk cannot say what is asked."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import contenders

sys.path.insert(0, str(contenders.ROOT / "tests/service"))
os.environ.setdefault("ADVECTD_BINARY", str(contenders.BUILD / "server/advectd"))

import harness

START_SECONDS = 60
CURL = ["curl", "-sS", "-o", "/dev/null", "-H", "Content-Type: application/json",
        "-H", "Accept: application/x-npy"]
WRK = """wrk.method, wrk.path, wrk.body = "POST", "/sample", '{body}'
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
             latency:percentile(50), latency:percentile(99),
             e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def request_of(count, steps, precision="f32"):
    body = {"model": "bench", "count": count, "seed": 1,
            "solver": {"method": "euler", "steps": steps}}
    return body if precision == "f32" else {**body, "precision": precision}


class Daemon(harness.Daemon):
    """Two workers, and no log of requests."""

    def __init__(self):
        super().__init__("--workers", str(contenders.THREADS), "--log-level", "error")

    def offers(self, precision, model):
        """Whether it computes in that precision; if not, says why."""
        answer = self.request("POST", "/sample", {"model": model, "count": 1,
                                                 "precision": precision})
        if answer.status != 200:
            print(f"  advectd {precision}: {answer.json()['detail']}")
        return answer.status == 200


class Advectd(Daemon):
    """With one model, "bench"."""

    def __init__(self, network):
        super().__init__()
        answer = self.request("PUT", "/models/bench", network.checkpoint,
                              {"Content-Type": "application/octet-stream"})
        if answer.status not in (200, 201):
            sys.exit(f"advectd did not take the model: {answer.body.decode()}")


class Peer:
    """A server of somebody else's, in a process group of its own."""

    def __init__(self, name, command, environment, cwd):
        self.name, self.port = name, free_port()
        words = [str(word).replace("PORT", str(self.port)) for word in command]
        self.process = subprocess.Popen(words, env={**environment, "PORT": str(self.port)},
                                        cwd=cwd, stdout=subprocess.DEVNULL, start_new_session=True)
        self.wait_until_ready()

    def wait_until_ready(self):
        limit = time.monotonic() + START_SECONDS
        while True:
            try:
                ask(self.port, {"count": 1, "seed": 1, "steps": 1})
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > limit:
                    sys.exit(f"{self.name} did not start")
                time.sleep(0.1)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)


def fastapi(folder, mode, threads, processes):
    return Peer(f"{mode}, {threads} threads, {processes} processes", [
        contenders.PYTHON, contenders.PEERS / "torch_server.py", folder, "PORT", mode, threads,
        processes], contenders.peer_environment(), contenders.PEERS)


def fastify(folder, dim, mode, threads, processes):
    return Peer(f"{mode}, {threads} threads, {processes} processes", [
        "node", contenders.PEERS / "ort_server.js", folder, dim, mode, threads, processes],
        {**os.environ, "BENCH_NODE": str(contenders.NODE)}, folder)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def ask(port, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/sample", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def wrk(folder, port, body, connections, seconds):
    """{"requests": a second, "p50", "p99": seconds}."""
    script = Path(folder, "post.lua")
    script.write_text(WRK.replace("{body}", json.dumps(body)))
    ran = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script,
                          f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True)
    count, span, p50, p99, errors = map(int, re.search(r"RESULT (.*)", ran.stdout)[1].split())
    if errors:
        print(f"  wrk: {errors} of {count} failed")
    return {"requests": count / span * 1e6, "p50": p50 * 1e-6, "p99": p99 * 1e-6}


def load(folder, port, bodies, connections, seconds, rate=0):
    """bodies: [(rows, body)], drawn at random; see load.c."""
    path = Path(folder, "requests")
    path.write_text("".join(f"{rows} {json.dumps(body)}\n" for rows, body in bodies))
    ran = subprocess.run([contenders.BUILD / "tests/bench/load", str(port), str(seconds),
                          str(connections), str(rate), "application/x-npy", path],
                         capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    if found["failed"]:
        print(f"  load: {found['failed']} answers were not 200")
    return found


def seconds_of(port, body):
    """Of one NPY answer, from the connection to the last byte."""
    ran = subprocess.run([*CURL, "-w", "%{http_code} %{time_total}", "-d", json.dumps(body),
                          f"http://127.0.0.1:{port}/sample"],
                         capture_output=True, text=True, check=True)
    status, seconds = ran.stdout.split()
    if status != "200":
        sys.exit(f"advectd answered {status}")
    return float(seconds)


class Reader:
    """A client that reads one long NPY answer at so many bytes a second, or as fast as curl can."""

    def __init__(self, port, body, rate=None):
        limit = ["--limit-rate", str(rate)] if rate else []
        self.process = subprocess.Popen(
            [*CURL, *limit, "-d", json.dumps(body), f"http://127.0.0.1:{port}/sample"])

    def running(self):
        return self.process.poll() is None

    def stop(self):
        self.process.kill()
        self.process.wait()


class SlowReaders:
    """Clients with small buffers that take `rate` bytes a second of a long NPY answer each."""

    TICK, BUFFER, PARKED_SECONDS = 0.1, 1 << 14, 20

    def __init__(self, daemon, count, rate):
        self.rate, self.going = rate, True
        body = json.dumps(request_of(10 ** 8, 1))
        head = ("POST /sample HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/x-npy\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
        self.sockets = [self.connect(daemon, (head + body).encode()) for _ in range(count)]
        self.thread = threading.Thread(target=self.read)
        self.thread.start()
        self.wait_until_parked(daemon)

    def connect(self, daemon, request):
        """Comes again as long as it gets 429: the readers before it have not filled their
        buffers."""
        limit = time.monotonic() + self.PARKED_SECONDS
        while True:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.BUFFER)
            sock.connect((daemon.host, daemon.port))
            sock.sendall(request)
            status = sock.recv(12)
            if status.endswith(b"200"):
                return sock
            sock.close()
            if time.monotonic() > limit:
                sys.exit(f"a slow reader got {status.decode()}")
            time.sleep(self.TICK)

    def read(self):
        while self.going:
            for sock in self.sockets:
                sock.recv(int(self.rate * self.TICK))
            time.sleep(self.TICK)

    def wait_until_parked(self, daemon):
        """Until no more rows are made than are read."""
        limit = time.monotonic() + self.PARKED_SECONDS
        rows, made = daemon.metric("advectd_rows_total"), None
        while made is None or made > len(self.sockets) * self.rate:
            time.sleep(1)
            now = daemon.metric("advectd_rows_total")
            rows, made = now, now - rows
            if time.monotonic() > limit:
                print("  the slow readers' buffers were not full when the measurement began")
                return

    def stop(self):
        self.going = False
        self.thread.join()
        for sock in self.sockets:
            sock.close()
