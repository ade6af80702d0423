#!/usr/bin/python3
"""The engine of the real daemon under load: deadlines, small requests beside large ones."""

import http.client
import io
import json
import socket
import threading
import time
import unittest

import numpy

import safetensors
from harness import Daemon

JSON = {"Content-Type": "application/json"}
# Some 10 ms a step of 64 rows.
SLOW = {"dim": 2, "hidden": (1024, 1024, 1024)}


def put(daemon, name, checkpoint):
    answer = daemon.request("PUT", f"/models/{name}", checkpoint,
                            {"Content-Type": "application/octet-stream"})
    assert answer.status == 201, answer.body


class Load:
    """A request that keeps the daemon at work until it is left; it reads all that comes."""

    def __init__(self, daemon, **request):
        body = json.dumps(request)
        self.sock = daemon.connect(timeout=None)
        self.sock.sendall(f"POST /sample HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          f"Accept: application/x-npy\r\nContent-Length: {len(body)}\r\n\r\n"
                          f"{body}".encode())
        self.thread = threading.Thread(target=self.drain)
        self.thread.start()
        while daemon.metric("advectd_rows_active") == 0:
            time.sleep(0.01)

    def drain(self):
        while self.sock.recv(65536):
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.sock.close()


class Deadlines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--workers", "2")
        put(cls.daemon, "slow", safetensors.model(**SLOW))
        put(cls.daemon, "quick", safetensors.model())

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def post(self, path="/sample", accept="application/json", **request):
        started = time.monotonic()
        answer = self.daemon.request("POST", path, request, {"Accept": accept})
        return answer, time.monotonic() - started

    def assert_late(self, answer):
        self.assertEqual(answer.status, 504)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        problem = answer.json()
        self.assertEqual(problem["type"], "urn:advectd:problem:deadline-passed")
        self.assertEqual(problem["errors"][0]["pointer"], "/timeout_ms")

    def assert_idle(self):
        limit = time.monotonic() + 10
        while self.daemon.metric("advectd_rows_active") > 0 and time.monotonic() < limit:
            time.sleep(0.01)
        self.assertEqual(self.daemon.metric("advectd_rows_active"), 0)

    def test_an_answer_in_time_is_that_without_a_deadline(self):
        plain, _ = self.post(model="quick", count=2000, seed=4)
        for accept in ("application/json", "application/x-ndjson", "text/csv", "application/x-npy"):
            plain, _ = self.post(accept=accept, model="quick", count=100000, seed=4)
            timed, _ = self.post(accept=accept, model="quick", count=100000, seed=4,
                                 timeout_ms=60000)
            self.assertEqual(timed.status, 200)
            self.assertEqual(timed.body, plain.body)

    def test_what_is_computed_too_slowly_gets_504_and_stops(self):
        for accept, count in (("application/json", 8), ("application/x-ndjson", 8),
                              ("application/x-npy", 1000000), ("text/csv", 1000000)):
            answer, seconds = self.post(accept=accept, model="slow", count=count, timeout_ms=200,
                                        solver={"method": "rk4", "steps": 10000})
            self.assert_late(answer)
            self.assertGreater(seconds, 0.19)
            self.assertLess(seconds, 5)
            self.assert_idle()
            self.assertEqual(self.daemon.metric("advectd_runs_active"), 0)

    def test_what_waits_too_long_gets_504(self):
        daemon = Daemon("--workers", "1")
        self.addCleanup(daemon.stop)
        put(daemon, "slow", safetensors.model(**SLOW))
        # As many lanes as the express tile has, for a long time.
        waiting = [threading.Thread(target=daemon.request, args=(
            "POST", "/sample", {"model": "slow", "count": 64, "timeout_ms": 3000,
                                "solver": {"method": "euler", "steps": 500}}))
                   for _ in range(2)]
        for thread in waiting:
            thread.start()
        while daemon.metric("advectd_rows_active") < 64:
            time.sleep(0.01)
        started = time.monotonic()
        answer = daemon.request("POST", "/sample", {"model": "slow", "count": 1, "timeout_ms": 100})
        self.assert_late(answer)
        self.assertLess(time.monotonic() - started, 2)
        for thread in waiting:
            thread.join()

    def test_a_stream_that_has_begun_ends_with_the_problem(self):
        for path, accept, count in (("/trajectory", "application/x-ndjson", 3),
                                    ("/trajectory", "text/event-stream", 3),
                                    ("/sample", "application/x-ndjson", 100000)):
            answer, _ = self.post(path, accept, model="slow", count=count, timeout_ms=700,
                                  seed=1, solver={"method": "euler",
                                                  "steps": 10000 if count == 3 else 5})
            self.assertEqual(answer.status, 200)
            lines = answer.body.decode().splitlines()
            if accept == "text/event-stream":
                self.assertEqual(lines[0], "event: start")
                self.assertEqual(lines[-3], "event: error")
                last = json.loads(lines[-2].removeprefix("data: "))
            else:
                last = json.loads(lines[-1])
                self.assertEqual(last["event"], "error")
                self.assertGreater(len([json.loads(line) for line in lines]), 1)
            self.assertEqual(last["status"], 504)
            self.assert_idle()

    def test_a_form_without_a_place_for_errors_is_cut(self):
        for accept in ("application/json", "text/csv", "application/x-npy"):
            with self.assertRaises(http.client.IncompleteRead):
                self.post(accept=accept, model="slow", count=100000, timeout_ms=700,
                          solver={"method": "euler", "steps": 5})
        with self.assertRaises(http.client.IncompleteRead):  # inside of a frame
            self.post("/trajectory", "application/x-ndjson", model="slow", count=100000,
                      timeout_ms=700, solver={"method": "euler", "steps": 5})
        self.assert_idle()

    def test_a_reader_that_is_slow_does_not_hold_a_deadline_up(self):
        body = json.dumps({"model": "quick", "count": 100000000, "timeout_ms": 500})
        with self.daemon.connect() as sock:
            sock.sendall(f"POST /sample HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                         f"Accept: application/x-npy\r\nContent-Length: {len(body)}\r\n\r\n"
                         f"{body}".encode())
            time.sleep(1.5)
            self.assertEqual(self.daemon.metric("advectd_rows_active"), 0)
            sock.settimeout(10)
            while sock.recv(1 << 20):
                pass
        self.assertEqual(self.daemon.metric("advectd_runs_active"), 0)

    def test_out_of_range_is_refused(self):
        for bad in (0, -1, 86400001, 1.5, "1"):
            for path in ("/sample", "/trajectory"):
                answer, _ = self.post(path, "*/*", model="quick", timeout_ms=bad)
                self.assertEqual(answer.status, 422)
                self.assertEqual(answer.json()["errors"][0]["pointer"], "/timeout_ms")


class Fairness(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--workers", "2")
        put(cls.daemon, "slow", safetensors.model(**SLOW))
        put(cls.daemon, "other", safetensors.model(**SLOW, seed=2))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def seconds(self, **request):
        """The better of three: other programs run on the machine, too."""
        times = []
        for _ in range(3):
            started = time.monotonic()
            answer = self.daemon.request("POST", "/sample", {"count": 16, "seed": 1, **request})
            self.assertEqual(answer.status, 200)
            times.append(time.monotonic() - started)
        return min(times)

    def test_a_small_request_is_not_held_up_by_a_giant(self):
        solver = {"method": "euler", "steps": 20}
        alone = self.seconds(model="slow", solver=solver)
        # A row of it takes 500 times as many steps: whoever waits for its lanes waits long.
        with Load(self.daemon, model="slow", count=10000000, solver={"steps": 10000}):
            self.assertLess(self.seconds(model="slow", solver=solver), 10 * alone + 0.2)
            self.assertLess(self.seconds(model="other", solver=solver), 10 * alone + 0.2)
            self.assertLess(self.seconds(model="slow", solver={"method": "heun", "steps": 10}),
                            10 * alone + 0.2)

    def test_readers_that_do_not_read_keep_nobody_out(self):
        daemon = Daemon("--workers", "2")
        put(daemon, "quick", safetensors.model(hidden=(64, 64, 64)))
        body = json.dumps({"model": "quick", "count": 10 ** 8, "solver": {"steps": 1}})
        head = ("POST /sample HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Accept: application/x-npy\r\nContent-Length: {len(body)}\r\n\r\n")
        # Together they ask for all the work that may wait.
        socks = [daemon.connect() for _ in range(8)]
        for sock in socks:
            sock.sendall((head + body).encode())
            self.assertIn(b"200 OK", sock.recv(100))
        small = {"model": "quick", "count": 16, "solver": {"steps": 100}}
        statuses = []
        limit = time.monotonic() + 20
        while statuses[-1:] != [200] and time.monotonic() < limit:
            statuses.append(daemon.request("POST", "/sample", small).status)
            time.sleep(0.1)
        self.assertEqual(statuses[-1], 200)
        # and from then on.
        for _ in range(100):
            self.assertEqual(daemon.request("POST", "/sample", small).status, 200)
        for sock in socks:
            sock.close()
        daemon.stop()

    def test_the_bytes_beside_a_giant_are_those_alone(self):
        request = {"model": "slow", "count": 100, "seed": 3, "solver": {"steps": 20}}
        npy = {"Accept": "application/x-npy"}
        alone = self.daemon.request("POST", "/sample", request, npy).body
        with Load(self.daemon, model="slow", count=10000000, solver={"steps": 100}):
            beside = self.daemon.request("POST", "/sample", request, npy).body
        self.assertEqual(alone, beside)
        self.assertEqual(numpy.load(io.BytesIO(alone)).shape, (100, 2))


if __name__ == "__main__":
    unittest.main()
