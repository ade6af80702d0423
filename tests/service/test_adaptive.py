#!/usr/bin/python3
"""Adaptive solvers over HTTP: beside a fine solve, with frames by dense output, and to the bit."""

import io
import json
import unittest

import numpy

import safetensors
from harness import Daemon

METHODS = ("dopri5", "tsit5", "bosh3")
SIZES = (3, 8, 8, 2)


def velocity(tensors, x, t):
    """The network of safetensors.model() in float64. x: [rows, 2]."""
    h = numpy.concatenate([x, numpy.full((len(x), 1), t)], axis=1)
    for i in (0, 2, 4):
        h = h @ tensors[f"net.{i}.weight"].T.astype(float) + tensors[f"net.{i}.bias"]
        if i < 4:
            h = 1.0507009873554805 * numpy.where(h > 0, h, 1.6732632423543772 * numpy.expm1(h))
    return h


def solve(tensors, x, start, end, steps=2000):
    """Classical Runge-Kutta with steps far below any tolerance asked for here."""
    h = (end - start) / steps
    for i in range(steps):
        t = start + i * h
        a = velocity(tensors, x, t)
        b = velocity(tensors, x + h / 2 * a, t + h / 2)
        c = velocity(tensors, x + h / 2 * b, t + h / 2)
        d = velocity(tensors, x + h * c, t + h)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
    return x


def launch(*arguments):
    daemon = Daemon(*arguments)
    answer = daemon.request("PUT", "/models/field", safetensors.model(),
                            {"Content-Type": "application/octet-stream"})
    assert answer.status == 201, answer.body
    return daemon


def ask(daemon, path="/sample", accept="application/x-npy", **request):
    return daemon.request("POST", path, {"model": "field", **request}, {"Accept": accept})


class Adaptive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = launch()
        cls.tensors = safetensors.mlp(SIZES)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def rows(self, daemon=None, **request):
        answer = ask(daemon or self.daemon, **request)
        self.assertEqual(answer.status, 200, answer.body)
        return numpy.load(io.BytesIO(answer.body))

    def test_ends_are_within_the_tolerance(self):
        x0 = [[0.3, -1.2], [2.0, 0.5], [-0.7, -0.1]]
        for start, end in ((0.0, 1.0), (1.0, 0.0), (0.25, 0.75)):
            exact = solve(self.tensors, numpy.array(x0), start, end)
            for method in METHODS:
                for tolerance in (1e-3, 1e-6):
                    solver = {"method": method, "rtol": tolerance, "atol": tolerance}
                    rows = self.rows(x0=x0, t0=start, t1=end, solver=solver)
                    error = numpy.abs(rows - exact).max()
                    # SELU has a kink, which the estimate of a smooth field's error does not see.
                    self.assertLess(error, 100 * tolerance, (method, tolerance, start))

    def test_a_tighter_tolerance_takes_more_evaluations(self):
        for method in METHODS:
            counts = []
            for tolerance in (1e-2, 1e-4, 1e-6):
                solver = {"method": method, "rtol": tolerance, "atol": tolerance}
                body = ask(self.daemon, accept="application/json", count=50, seed=3,
                           solver=solver).json()
                per_row = body["evaluations_per_row"]
                self.assertEqual(body["solver"]["method"], method)
                self.assertEqual(body["solver"]["rtol"], tolerance)
                self.assertEqual(body["failed"], [])
                self.assertLessEqual(per_row["min"], per_row["mean"])
                self.assertLessEqual(per_row["mean"], per_row["max"])
                self.assertAlmostEqual(50 * per_row["mean"], body["evaluations"])
                self.assertGreaterEqual(body["steps"]["accepted"], 50)
                counts.append(body["evaluations"])
            self.assertEqual(counts, sorted(set(counts)), method)

    def test_frames_are_dense_output_and_change_no_step(self):
        times = [0.0, 0.125, 0.5, 0.51, 0.52, 0.875, 1.0]
        x0 = [[0.3, -1.2], [2.0, 0.5]]
        for method in METHODS:
            solver = {"method": method, "rtol": 1e-5, "atol": 1e-5}
            plain = ask(self.daemon, accept="application/json", x0=x0, solver=solver).json()
            lines = ask(self.daemon, "/trajectory", "application/x-ndjson", x0=x0, times=times,
                        solver=solver).body.decode().splitlines()
            events = [json.loads(line) for line in lines]
            states = [event for event in events if event["event"] == "state"]
            self.assertEqual([state["t"] for state in states], times)
            for state in states:
                exact = solve(self.tensors, numpy.array(x0), 0.0, state["t"], 500)
                error = numpy.abs(numpy.array(state["samples"]) - exact).max()
                self.assertLess(error, 1e-3, (method, state["t"]))
            self.assertEqual(states[-1]["samples"], plain["samples"])
            self.assertEqual(events[-1]["evaluations"], plain["evaluations"])
            self.assertEqual(events[-1]["steps"], plain["steps"])

    def test_a_row_is_the_same_alone_and_among_others(self):
        for method in METHODS:
            many = self.rows(count=1000, seed=5, solver=method)
            for count in (1, 17, 100):
                rows = self.rows(count=count, seed=5, solver=method)
                self.assertEqual(rows.tobytes(), many[:count].tobytes(), (method, count))

    def test_workers_and_kernels_give_the_same_bytes(self):
        expected = {method: self.rows(count=300, seed=9, solver=method).tobytes()
                    for method in METHODS}
        for arguments in (("--workers", "1"), ("--kernels", "plain")):
            other = launch(*arguments)
            for method in METHODS:
                rows = self.rows(other, count=300, seed=9, solver=method)
                self.assertEqual(rows.tobytes(), expected[method], (method, arguments))
            other.stop()

    def test_rows_that_need_too_much_are_named(self):
        solver = {"method": "dopri5", "rtol": 1e-7, "atol": 1e-9, "max_evaluations": 10}
        body = ask(self.daemon, accept="application/json", count=2, seed=1, solver=solver).json()
        self.assertEqual(body["samples"], [None, None])
        self.assertEqual(body["failed"], [{"row": 0, "status": "max_evaluations"},
                                          {"row": 1, "status": "max_evaluations"}])
        self.assertLessEqual(body["evaluations_per_row"]["max"], 10)
        answer = ask(self.daemon, accept="application/json", count=2, seed=1, solver="dopri5")
        self.assertEqual(answer.json()["failed"], [])

    def test_members_of_other_methods_are_refused_by_name(self):
        for solver, pointer in (({"method": "dopri5", "steps": 10}, "/solver/steps"),
                                ({"method": "euler", "rtol": 1e-3}, "/solver/rtol"),
                                ({"method": "heun", "max_evaluations": 50},
                                 "/solver/max_evaluations"),
                                ({"method": "tsit5", "atol": 0}, "/solver/atol")):
            answer = ask(self.daemon, accept="application/json", solver=solver)
            self.assertEqual(answer.status, 422, answer.body)
            self.assertEqual(answer.json()["errors"][0]["pointer"], pointer)


if __name__ == "__main__":
    unittest.main()
