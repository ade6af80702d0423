#!/usr/bin/python3
"""POST /sample, /trajectory and /velocity of the real daemon: answers, formats, streams,
refusals."""

import http.client
import io
import json
import shutil
import signal
import tempfile
import threading
import time
import unittest

import numpy

import safetensors
from harness import Daemon

SLOW = {"dim": 2, "hidden": (1024, 1024, 1024)}


def npy(body):
    return numpy.load(io.BytesIO(body))


def start(*arguments, **more):
    daemon = Daemon(*arguments, **more)
    put(daemon, "moons", safetensors.model())
    return daemon


def put(daemon, name, checkpoint):
    answer = daemon.request("PUT", f"/models/{name}", checkpoint,
                            {"Content-Type": "application/octet-stream"})
    assert answer.status == 201, answer.body


def sample(daemon, accept="application/x-npy", path="/sample", **request):
    answer = daemon.request("POST", path, {"model": "moons", **request}, {"Accept": accept})
    assert answer.status == 200, answer.body
    return answer


class Sampling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def test_json_states_what_was_done(self):
        answer = sample(self.daemon, "application/json", count=3, seed=7,
                        solver={"method": "heun", "steps": 10})
        body = answer.json()
        self.assertEqual(body["model"], "moons")
        self.assertEqual(body["version"], 1)
        self.assertEqual(body["seed"], 7)
        self.assertEqual(body["solver"]["method"], "heun")
        self.assertEqual(body["solver"]["steps"], 10)
        self.assertEqual(body["columns"], ["x0", "x1"])
        self.assertEqual(numpy.shape(body["samples"]), (3, 2))
        self.assertEqual(body["evaluations"], 3 * 10 * 2)
        self.assertRegex(answer.headers["server-timing"], r"^queue;dur=[\d.]+, compute;dur=[\d.]+$")

    def test_every_format_gives_the_same_floats(self):
        rows = npy(sample(self.daemon, count=100, seed=1).body)
        self.assertEqual(rows.dtype, numpy.float32)
        text = sample(self.daemon, "application/json", count=100, seed=1).json()["samples"]
        self.assertTrue((numpy.array(text, dtype=numpy.float32) == rows).all())
        lines = sample(self.daemon, "application/x-ndjson", count=100, seed=1).body.splitlines()
        self.assertTrue((numpy.array([json.loads(x) for x in lines], "float32") == rows).all())
        table = sample(self.daemon, "text/csv", count=100, seed=1).body.decode()
        self.assertTrue(table.startswith("x0,x1"))
        cells = numpy.loadtxt(io.StringIO(table), delimiter=",", skiprows=1, dtype=numpy.float32)
        self.assertTrue((cells == rows).all())

    def test_a_row_does_not_depend_on_the_count_or_the_load(self):
        alone = npy(sample(self.daemon, count=1, seed=9).body)
        stop = threading.Event()

        def load():
            while not stop.is_set():
                sample(self.daemon, count=777, seed=3, solver={"method": "rk4", "steps": 13})

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for count in (1, 63, 64, 65, 1000):
                rows = npy(sample(self.daemon, count=count, seed=9).body)
                self.assertEqual(rows.shape, (count, 2))
                self.assertEqual(rows[0].tobytes(), alone[0].tobytes())
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def test_workers_kernels_and_restarts_give_the_same_bytes(self):
        expected = sample(self.daemon, count=300, seed=11, solver="rk4").body
        for arguments in (["--workers", "1"], ["--workers", "3"], ["--kernels", "plain"]):
            other = start(*arguments)
            self.assertEqual(sample(other, count=300, seed=11, solver="rk4").body, expected)
            other.stop()

    def precisions(self, daemon):
        return daemon.request("GET", "/readyz").json()["precisions"]

    def test_every_answer_states_its_precision(self):
        for precision in self.precisions(self.daemon):
            more = {"precision": precision, "count": 2, "seed": 1}
            body = sample(self.daemon, "application/json", **more).json()
            self.assertEqual(body["precision"], precision)
            lines = sample(self.daemon, "application/x-ndjson", "/trajectory", **more).body
            self.assertEqual(json.loads(lines.splitlines()[0])["precision"], precision)
            answer = self.daemon.request("POST", "/velocity", {
                "model": "moons", "points": [[1.0, -2.0]], "t": 0.5, "precision": precision})
            self.assertEqual(answer.json()["precision"], precision)
        self.assertEqual(sample(self.daemon, "application/json").json()["precision"], "f32")

    def test_bfloat16_is_near_float32_and_repeats_its_bits(self):
        wide = safetensors.model(hidden=(64, 64))
        daemons = [start(), start("--workers", "1")]
        for daemon in daemons:
            put(daemon, "wide", wide)
            self.addCleanup(daemon.stop)

        def draw(daemon, precision, count=300):
            return sample(daemon, model="wide", count=count, seed=2, precision=precision).body

        for precision, near in (("bf16x3", 1e-5), ("bf16", 0.02)):
            if precision not in self.precisions(daemons[0]):
                self.skipTest(f"{precision} is not on this machine")
            rows = draw(daemons[0], precision)
            error = numpy.abs(npy(rows) - npy(draw(daemons[0], "f32"))).max()
            self.assertTrue(0 < error < near, (precision, error))
            self.assertEqual(draw(daemons[1], precision), rows)
            few = npy(draw(daemons[0], precision, count=3))
            self.assertEqual(few.tobytes(), npy(rows)[:3].tobytes())

    def test_a_precision_that_the_machine_has_not_is_refused(self):
        plain = start("--kernels", "plain")
        try:
            self.assertEqual(self.precisions(plain), {"f32": "plain"})
            for path, more in (("/sample", {}), ("/trajectory", {}),
                               ("/velocity", {"points": [[0.0, 0.0]], "t": 0})):
                answer = plain.request("POST", path,
                                       {"model": "moons", "precision": "bf16", **more})
                self.assertEqual(answer.status, 422, answer.body)
                self.assertEqual(answer.json()["errors"], [{
                    "pointer": "/precision",
                    "detail": "bf16 is not available on this machine; what it has: f32"}])
        finally:
            plain.stop()

    def test_a_model_has_a_precision_of_its_own(self):
        config = {"activation": "selu", "time": {"input": "last"}, "precision": "bf16"}
        checkpoint = safetensors.model(config=config)
        for arguments in ([], ["--kernels", "plain"]):
            daemon = start(*arguments)
            put(daemon, "rough", checkpoint)
            has = self.precisions(daemon)
            self.assertEqual(daemon.request("GET", "/models/rough").json()["precision"], "bf16")
            body = sample(daemon, "application/json", model="rough").json()
            self.assertEqual(body["precision"], "bf16" if "bf16" in has else "f32")
            body = sample(daemon, "application/json", model="rough", precision="f32").json()
            self.assertEqual(body["precision"], "f32")
            daemon.stop()

    def test_a_seed_is_drawn_and_stated(self):
        first = sample(self.daemon, "application/json", count=2).json()
        second = sample(self.daemon, "application/json", count=2).json()
        self.assertNotEqual(first["seed"], second["seed"])
        again = sample(self.daemon, "application/json", count=2, seed=first["seed"]).json()
        self.assertEqual(again["samples"], first["samples"])

    def test_x0_is_taken_as_it_is_and_runs_backwards(self):
        x0 = [[1.0, -2.0], [0.5, 0.25]]
        there = sample(self.daemon, "application/json", x0=x0,
                       solver={"method": "rk4", "steps": 50})
        back = sample(self.daemon, "application/json", x0=there.json()["samples"], t0=1, t1=0,
                      solver={"method": "rk4", "steps": 50})
        self.assertLess(numpy.abs(numpy.array(back.json()["samples"]) - x0).max(), 1e-5)

    def test_velocity_is_the_slope_of_a_tiny_step(self):
        points = [[1.0, -2.0], [0.0, 0.0], [3.0, 3.0]]
        answer = self.daemon.request("POST", "/velocity",
                                     {"model": "moons", "points": points, "t": 0})
        self.assertEqual(answer.status, 200, answer.body)
        ends = sample(self.daemon, "application/json", x0=points, t1=0.015625,
                      solver={"method": "euler", "steps": 1}).json()["samples"]
        slope = (numpy.array(ends) - points) / 0.015625
        self.assertLess(numpy.abs(slope - answer.json()["velocity"]).max(), 1e-4)
        each = self.daemon.request("POST", "/velocity",
                                   {"model": "moons", "points": points, "t": [0, 0.5, 1]}).json()
        self.assertEqual(each["velocity"][0], answer.json()["velocity"][0])
        self.assertNotEqual(each["velocity"][1], answer.json()["velocity"][1])

    def test_a_large_answer_streams_in_order(self):
        body = sample(self.daemon, count=200000, seed=5,
                      solver={"method": "euler", "steps": 2}).body
        rows = npy(body)
        self.assertEqual(rows.shape, (200000, 2))
        head = npy(sample(self.daemon, count=1000, seed=5,
                          solver={"method": "euler", "steps": 2}).body)
        self.assertTrue((rows[:1000] == head).all())
        self.assertTrue(numpy.isfinite(rows).all())

    def test_an_answer_whose_units_end_while_it_is_read_is_sent_once(self):
        """Workers that finish between the loop's wake and its reading wake it once more."""
        def ask(seed):
            for i in range(200):
                sample(self.daemon, "application/json", count=1024, seed=seed + i,
                       solver={"steps": 1})
        threads = [threading.Thread(target=ask, args=[1000 * k]) for k in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.daemon.request("GET", "/livez").status, 200)

    def test_metrics_count_rows_and_evaluations(self):
        rows = self.daemon.metric("advectd_rows_total")
        evaluations = self.daemon.metric("advectd_field_evaluations_total")
        sample(self.daemon, count=50, seed=1, solver={"method": "midpoint", "steps": 5})
        self.assertEqual(self.daemon.metric("advectd_rows_total"), rows + 50)
        self.assertEqual(self.daemon.metric("advectd_field_evaluations_total"),
                         evaluations + 50 * 5 * 2)


class Trajectories(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def frames(self, **request):
        return npy(sample(self.daemon, path="/trajectory", **request).body)

    def test_frames_are_the_states_of_a_step_by_step_run(self):
        frames = self.frames(count=100, seed=4, frames=6, solver={"method": "heun", "steps": 10})
        self.assertEqual(frames.shape, (6, 100, 2))
        state = frames[0]
        for i in range(5):
            answer = sample(self.daemon, x0=state.tolist(), t0=0.2 * i, t1=0.2 * (i + 1),
                            solver={"method": "heun", "steps": 2})
            state = npy(answer.body)
            self.assertLess(numpy.abs(state - frames[i + 1]).max(), 1e-6)

    def test_the_last_frame_is_the_sample(self):
        for request in ({"count": 1000, "frames": 20}, {"count": 70, "frames": 2},
                        {"count": 65, "times": [0.25, 0.5, 1]}):
            frames = self.frames(seed=8, **request)
            rows = npy(sample(self.daemon, count=request["count"], seed=8).body)
            self.assertEqual(frames[-1].tobytes(), rows.tobytes())

    def test_ndjson_is_what_curl_gets(self):
        answer = sample(self.daemon, "*/*", "/trajectory", count=3, seed=1, frames=4)
        self.assertEqual(answer.headers["content-type"], "application/x-ndjson")
        events = [json.loads(line) for line in answer.body.splitlines()]
        self.assertEqual([e["event"] for e in events], ["start"] + ["state"] * 4 + ["end"])
        self.assertEqual(events[0]["columns"], ["x0", "x1"])
        self.assertEqual(events[0]["seed"], 1)
        self.assertEqual([e["frame"] for e in events[1:5]], [0, 1, 2, 3])
        self.assertEqual([e["t"] for e in events[1:5]], events[0]["times"])
        self.assertEqual(events[5]["evaluations"], 300)
        rows = npy(sample(self.daemon, count=3, seed=1).body)
        self.assertTrue((numpy.array(events[4]["samples"], "float32") == rows).all())

    def test_server_sent_events(self):
        answer = sample(self.daemon, "text/event-stream", "/trajectory", count=2, seed=1, frames=2)
        self.assertEqual(answer.headers["content-type"].split(";")[0], "text/event-stream")
        blocks = answer.body.decode().strip().split("\n\n")
        kinds = [line[7:] for block in blocks for line in block.splitlines()
                 if line.startswith("event: ")]
        self.assertEqual(kinds, ["start", "state", "state", "end"])
        data = [line[6:] for line in blocks[1].splitlines() if line.startswith("data: ")]
        self.assertEqual(json.loads("\n".join(data))["frame"], 0)

    def test_exact_times_are_reached(self):
        times = [0.1, 0.123, 0.9]
        answer = sample(self.daemon, "*/*", "/trajectory", count=2, seed=1, times=times)
        events = [json.loads(line) for line in answer.body.splitlines()]
        self.assertEqual([e["t"] for e in events if e["event"] == "state"], times)

    def test_the_first_frame_comes_before_the_last_is_computed(self):
        put(self.daemon, "slow", safetensors.model(**SLOW))
        connection = http.client.HTTPConnection(self.daemon.host, self.daemon.port, timeout=300)
        connection.request("POST", "/trajectory", json.dumps({
            "model": "slow", "count": 1000, "seed": 1, "frames": 20,
            "solver": {"method": "euler", "steps": 19}}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        arrivals, computed = [], []
        for line in answer:
            event = json.loads(line)
            if event["event"] == "state":
                arrivals.append(event["frame"])
                computed.append(self.daemon.metric("advectd_field_evaluations_total"))
            self.assertNotEqual(event["event"], "error")
        connection.close()
        self.assertEqual(arrivals, list(range(20)))
        total = computed[-1]
        self.assertLess(computed[0], total)      # the work was still going on
        self.assertLess(computed[1], total - 1000)

    def test_a_client_that_leaves_stops_its_work(self):
        put(self.daemon, "slower", safetensors.model(**SLOW))
        connection = http.client.HTTPConnection(self.daemon.host, self.daemon.port, timeout=60)
        connection.request("POST", "/sample", json.dumps({
            "model": "slower", "count": 100000, "solver": {"method": "rk4", "steps": 1000}}),
            {"Content-Type": "application/json", "Accept": "application/x-npy"})
        limit = time.monotonic() + 60
        while self.daemon.metric("advectd_runs_active") < 1 and time.monotonic() < limit:
            time.sleep(0.02)
        connection.close()
        while self.daemon.metric("advectd_rows_active") > 0 and time.monotonic() < limit:
            time.sleep(0.02)
        self.assertEqual(self.daemon.metric("advectd_runs_active"), 0)
        self.assertEqual(self.daemon.metric("advectd_rows_active"), 0)

    def test_a_client_that_leaves_stops_its_evaluations(self):
        put(self.daemon, "slowest", safetensors.model(dim=2, hidden=(2048, 2048, 2048)))
        connection = http.client.HTTPConnection(self.daemon.host, self.daemon.port, timeout=60)
        connection.request("POST", "/velocity", json.dumps({
            "model": "slowest", "points": [[0.5, 0.5]] * 80000, "t": 0.5}),
            {"Content-Type": "application/json"})
        time.sleep(0.5)
        connection.close()
        started = time.monotonic()
        answer = self.daemon.request("POST", "/velocity",
                                     {"model": "moons", "points": [[0.0, 0.0]], "t": 0.5})
        self.assertEqual(answer.status, 200)
        self.assertLess(time.monotonic() - started, 2)


class StartAndEnd(unittest.TestCase):
    def test_connections_end_with_their_stream_while_draining(self):
        daemon = start()
        put(daemon, "slower", safetensors.model(dim=2, hidden=(256, 256)))
        connection = http.client.HTTPConnection(daemon.host, daemon.port, timeout=60)
        connection.request("POST", "/trajectory", json.dumps({
            "model": "slower", "count": 640, "seed": 1, "solver": {"steps": 20}}),
            {"Content-Type": "application/json", "Accept": "application/x-ndjson"})
        answer = connection.getresponse()
        answer.readline()
        daemon.process.send_signal(signal.SIGTERM)
        self.assertGreater(len(answer.read()), 640)
        started = time.monotonic()
        daemon.process.wait(30)
        self.assertLess(time.monotonic() - started, 5)
        daemon.stop()

    def test_a_model_that_is_not_loaded_yet_is_no_unknown_one(self):
        data_dir = tempfile.mkdtemp(prefix="advectd-")
        self.addCleanup(shutil.rmtree, data_dir)
        daemon = start(data_dir=data_dir)
        for name in "abcdef":
            put(daemon, name, safetensors.model(dim=2, hidden=(2048, 2048)))
        daemon.stop()
        daemon = Daemon(data_dir=data_dir, wait=False)
        seen = []
        while 200 not in seen:
            for path, more in (("/sample", {"count": 1}),
                               ("/velocity", {"points": [[0.0, 0.0]], "t": 0})):
                answer = daemon.request("POST", path, {"model": "moons", **more})
                seen.append(answer.status)
        self.assertEqual(set(seen), {200, 503})
        daemon.stop()


class Refusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def refuse(self, status, pointer, body, path="/sample", headers=None):
        answer = self.daemon.request("POST", path, body, headers)
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        problem = answer.json()
        self.assertEqual(problem["status"], status)
        if pointer is not None:
            self.assertEqual(problem["errors"][0]["pointer"], pointer, problem)
        self.assertEqual(sample(self.daemon, count=1, seed=1).status, 200)
        return problem

    def test_requests_that_cannot_be_carried_out(self):
        for pointer, body in (
                ("/model", {"count": 1}),
                ("/count", {"model": "moons", "count": 0}),
                ("/count", {"model": "moons", "count": -5}),
                ("/count", {"model": "moons", "count": 10**12}),
                ("/count", {"model": "moons", "count": 1e12}),
                ("/count", {"model": "moons", "count": 1.5}),
                ("/count", {"model": "moons", "count": "10"}),
                ("/count", {"model": "moons", "count": True}),
                ("/seed", {"model": "moons", "seed": -1}),
                ("/sovler", {"model": "moons", "sovler": "euler"}),
                ("/solver", {"model": "moons", "solver": "eular"}),
                ("/solver/steps", {"model": "moons", "solver": {"method": "euler", "steps": 0}}),
                ("/precision", {"model": "moons", "precision": "fp16"}),
                ("/solver/step", {"model": "moons", "solver": {"method": "euler", "step": 1}}),
                ("/x0", {"model": "moons", "x0": [[1.0, 2.0, 3.0]]}),
                ("/t1", {"model": "moons", "t1": 1.5}),
                ("/frames", {"model": "moons", "frames": 3})):
            with self.subTest(body=body):
                self.refuse(422, pointer, body)
        for pointer, body in (("/frames", {"model": "moons", "frames": 10**6}),
                              ("/times/1", {"model": "moons", "times": [0.5, 0.5]}),
                              ("/times/0", {"model": "moons", "times": [2]})):
            with self.subTest(body=body):
                self.refuse(422, pointer, body, "/trajectory")
        for pointer, body in (("/points", {"model": "moons", "points": [[1.0]], "t": 0}),
                              ("/t", {"model": "moons", "points": [[1.0, 1.0]], "t": 2}),
                              ("/t", {"model": "moons", "points": [[1.0, 1.0]]})):
            with self.subTest(body=body):
                self.refuse(422, pointer, body, "/velocity")

    def test_unknown_models(self):
        for path, more in (("/sample", {}), ("/trajectory", {}),
                           ("/velocity", {"points": [[0.0, 0.0]], "t": 0})):
            self.refuse(404, "/model", {"model": "nothing", **more}, path)
        self.refuse(422, "/model", {"model": "../etc/passwd"})

    def test_broken_bodies(self):
        json_type = {"Content-Type": "application/json"}
        for body in ("", "{", "[1,", '{"model": NaN}', '{"a":1,"a":2}', "\xff", "[" * 3000):
            with self.subTest(body=body[:20]):
                self.refuse(400, None, body.encode("latin-1"), headers=json_type)
        self.refuse(422, None, "[]", headers=json_type)
        self.refuse(415, None, "model=moons",
                    headers={"Content-Type": "application/x-www-form-urlencoded"})
        received = self.daemon.exchange(
            b"POST /sample HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1048577\r\n\r\n")
        self.assertIn(b" 413 ", received.splitlines()[0])
        self.assertIn(b"1048576", received)

    def test_an_accept_that_cannot_be_met(self):
        problem = self.refuse(406, None, {"model": "moons"}, headers={"Accept": "image/png"})
        self.assertIn("application/x-npy", problem["detail"])
        self.refuse(406, None, {"model": "moons"}, headers={"Accept": "text/event-stream"})
        self.refuse(406, None, {"model": "moons"}, "/trajectory", {"Accept": "text/csv"})

    def test_a_trajectory_too_large_to_keep(self):
        self.refuse(413, "/count", {"model": "moons", "count": 10**8}, "/trajectory")


if __name__ == "__main__":
    unittest.main()
