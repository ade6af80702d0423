#!/usr/bin/python3
"""What the benches measure with, the peers apart: the graphs, the engine's contender, the load."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import contenders
import dopri5
import servers
from networks import Network

TOOLS = contenders.BUILD / "tests/bench"
GRAPH, NODE, INITIALIZER, ATTRIBUTE, BODY = 7, 1, 5, 5, 6  # numbers of fields in ONNX messages


def fields_of(message):
    """[(number, value)] of a protobuf message: integers, or bytes."""
    def varint(at):
        value = shift = 0
        while True:
            value |= (message[at] & 127) << shift
            shift += 7
            at += 1
            if message[at - 1] < 128:
                return value, at

    found, at = [], 0
    while at < len(message):
        key, at = varint(at)
        value, at = varint(at)
        if key & 7 == 2:
            value, at = message[at:at + value], at + value
        elif key & 7 != 0:
            raise ValueError(f"a wire type that is not used: {key & 7}")
        found.append((key >> 3, value))
    return found


def all_of(message, number):
    return [value for key, value in fields_of(message) if key == number]


def constants_of(graph):
    """name -> array of the initializers."""
    types = {1: "float32", 7: "int64", 9: "bool"}
    arrays = {}
    for tensor in all_of(graph, INITIALIZER):
        kind, name, data = (all_of(tensor, number)[0] for number in (2, 8, 9))
        arrays[name.decode()] = np.frombuffer(data, types[kind]).reshape(all_of(tensor, 1))
    return arrays


def evaluate(graph, values):
    """The value of every name of a graph with the operators that onnx_file.py writes."""
    operators = {
        "Concat": lambda *parts: np.concatenate(parts, 1), "Mul": lambda a, b: a * b,
        "Gemm": lambda a, weight, bias: a @ weight.T + bias, "Add": lambda a, b: a + b,
        "Sigmoid": lambda a: 1 / (1 + np.exp(-a)), "Identity": lambda a: a,
        "Cast": lambda a: a.astype("float32")}
    values = {**constants_of(graph), **values}
    for node in all_of(graph, NODE):
        names = [name.decode() for name in all_of(node, 1)]
        kind, out = (all_of(node, number)[0].decode() for number in (4, 2))
        values[out] = operators[kind](*(values[name] for name in names))
    return values


def euler(network, x, steps):
    for i in range(steps):
        a = np.concatenate([x, np.full((len(x), 1), i / steps, "float32")], 1)
        for weight, bias in network.layers[:-1]:
            z = a @ weight.T + bias
            a = z / (1 + np.exp(-z))
        x = x + (a @ network.layers[-1][0].T + network.layers[-1][1]) / np.float32(steps)
    return x


class Graphs(unittest.TestCase):
    network = Network(2, 8, 2)

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.network.write(self.folder.name, 5)
        self.x = np.random.default_rng(1).standard_normal((5, 2)).astype("float32")

    def graph(self, name):
        return all_of(Path(self.folder.name, name).read_bytes(), GRAPH)[0]

    def test_the_graph_of_a_step_is_an_euler_step(self):
        x, h = self.x, np.float32([0.25])
        for i in range(4):
            t = np.full((5, 1), i / 4, "float32")
            x = evaluate(self.graph("step.onnx"), {"x": x, "t": t, "h": h})["y"]
        np.testing.assert_allclose(x, euler(self.network, self.x, 4), atol=1e-6)

    def test_the_body_of_the_loop_is_an_euler_step(self):
        loop, = all_of(self.graph("loop.onnx"), NODE)
        body = all_of(all_of(loop, ATTRIBUTE)[0], BODY)[0]
        x = self.x
        outer = {"h": np.float32([0.25]), "ones": np.ones((5, 1), "float32"), "go": True}
        for i in range(4):
            x = evaluate(body, {**outer, "i": np.int64(i), "x": x})["y"]
        np.testing.assert_allclose(x, euler(self.network, self.x, 4), atol=1e-6)

    def test_the_engine_computes_the_same_rows(self):
        engine = contenders.engine(self.folder.name, 5, "f32")
        self.addCleanup(engine.end)
        self.assertIsNone(engine.reason)
        rows = {}
        self.assertGreater(engine.run(4), 0)
        for what in ("noise", "save"):
            path = f"{self.folder.name}/{what}"
            self.assertEqual(engine.ask(f"{what} {path}"), "saved")
            rows[what] = np.fromfile(path, "float32").reshape(5, 2)
        np.testing.assert_allclose(rows["save"], euler(self.network, rows["noise"], 4), atol=1e-5)

    def test_every_precision_is_computed_or_absent(self):
        for precision, allowed in (("bf16x3", 1e-3), ("bf16", 0.1)):
            engine = contenders.engine(self.folder.name, 5, precision)
            if engine.reason:
                self.assertEqual(engine.reason, "/precision: not on this machine")
                continue
            self.addCleanup(engine.end)
            engine.run(4)
            for what in ("noise", "save"):
                engine.ask(f"{what} {self.folder.name}/{what}")
            x, found = (np.fromfile(f"{self.folder.name}/{what}", "float32").reshape(5, 2)
                        for what in ("noise", "save"))
            np.testing.assert_allclose(found, euler(self.network, x, 4), atol=allowed)

    def test_a_precision_that_is_not_known_is_absent(self):
        engine = contenders.engine(self.folder.name, 5, "f7")
        self.assertIn("/precision", engine.reason)


class Dopri5(unittest.TestCase):
    x0 = np.random.default_rng(2).standard_normal((50, 2))

    def solve(self, rows, tolerance, rule, each_row):
        """x' = 3 cos(6 t) x."""
        solve = dopri5.Solve(lambda x, t: 3 * np.cos(6 * t)[:, None] * x, rows, tolerance, rule,
                             each_row)
        return solve, np.abs(solve.x - rows * np.exp(np.sin(6) / 2)).max()

    def test_errors_follow_the_tolerance_under_each_rule_and_norm(self):
        for rule in (dopri5.OurRule, dopri5.TheirRule):
            for each_row in (True, False):
                counts = []
                for tolerance in (1e-4, 1e-6, 1e-8):
                    solve, error = self.solve(self.x0, tolerance, rule, each_row)
                    self.assertLess(error, 100 * tolerance)
                    counts.append(solve.evaluations.mean())
                self.assertEqual(counts, sorted(set(counts)))

    def test_with_one_norm_all_rows_take_the_same_steps_and_change_with_the_batch(self):
        solve, _ = self.solve(self.x0, 1e-5, dopri5.TheirRule, False)
        self.assertEqual(solve.evaluations.min(), solve.evaluations.max())
        alone, _ = self.solve(self.x0[:1], 1e-5, dopri5.TheirRule, False)
        self.assertNotEqual(alone.x[0].tobytes(), solve.x[0].tobytes())

    def test_with_a_norm_for_each_row_a_row_is_the_same_alone(self):
        solve, _ = self.solve(self.x0, 1e-5, dopri5.OurRule, True)
        alone, _ = self.solve(self.x0[:1], 1e-5, dopri5.OurRule, True)
        self.assertEqual(alone.x[0].tobytes(), solve.x[0].tobytes())
        self.assertEqual(alone.evaluations[0], solve.evaluations[0])


class Load(unittest.TestCase):
    def setUp(self):
        self.daemon = servers.Advectd(Network(2, 8, 2))
        self.addCleanup(self.daemon.stop)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def load(self, bodies, connections, rate):
        path = Path(self.folder.name, "requests")
        path.write_text("".join(f"{rows} {json.dumps(body)}\n" for rows, body in bodies))
        ran = subprocess.run([TOOLS / "load", str(self.daemon.port), "1.5", str(connections),
                              str(rate), "application/x-npy", path],
                             capture_output=True, text=True, check=True)
        return json.loads(ran.stdout)

    def test_a_closed_loop_counts_requests_and_rows(self):
        found = self.load([(rows, servers.request_of(rows, 2)) for rows in (1, 3000)], 4, 0)
        self.assertGreater(found["answers"], 0)
        self.assertEqual(found["failed"], 0)
        self.assertGreater(found["rows"], found["requests"])
        self.assertLessEqual(found["p50"], found["p99"])

    def test_an_open_loop_sends_at_its_rate(self):
        found = self.load([(1, servers.request_of(1, 2))], 50, 100)
        self.assertAlmostEqual(found["requests"], 100, delta=50)
        self.assertEqual((found["failed"], found["unanswered"]), (0, 0))

    def test_answers_that_are_errors_are_counted_as_failed(self):
        found = self.load([(1, {"model": "nobody", "count": 1})], 2, 50)
        self.assertGreater(found["failed"], 0)
        self.assertEqual(found["answers"], 0)


if __name__ == "__main__":
    unittest.main()
