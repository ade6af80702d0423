#!/usr/bin/python3
"""Checkpoints of diffusions and of other paths: what they predict becomes a velocity, and samples
and outputs are those of an integration by numpy."""
import json
import unittest

import harness
import numpy
import safetensors

DIM, HIDDEN, STEPS = 2, (16, 16), 60
SIZES = [DIM + 1, *HIDDEN, DIM]
CLAMP = 1e-3
BETAS = numpy.linspace(1e-4, 0.02, 1000)


def selu(x):
    return 1.0507009873554805 * numpy.where(x > 0, x, 1.6732632423543772 * numpy.expm1(x))


class Network:
    """The uploaded network in double precision."""

    def __init__(self, seed):
        self.tensors = safetensors.mlp(SIZES, seed)

    def __call__(self, x, t):
        layers = len(SIZES) - 1
        h = numpy.concatenate([x, numpy.full((len(x), 1), t)], axis=1)
        for i in range(layers):
            weight = self.tensors[f"net.{2 * i}.weight"].astype(float)
            h = h @ weight.T + self.tensors[f"net.{2 * i}.bias"].astype(float)
            h = selu(h) if i < layers - 1 else h
        return h


def linear(t):
    return t, 1 - t, 1.0, -1.0


def vp(t, low=0.1, high=20.0):
    s = 1 - t
    big = 0.5 * s * s * (high - low) + s * low
    rate = -(s * (high - low) + low)
    alpha, beta = numpy.exp(-big / 2), numpy.sqrt(1 - numpy.exp(-big))
    return alpha, beta, -0.5 * rate * alpha, 0.5 * rate * numpy.exp(-big) / beta


def ve(t):
    sigma = 0.01 * (5 / 0.01) ** (1 - t)
    return 1.0, sigma, 0.0, -sigma * numpy.log(5 / 0.01)


def ddpm(t):
    """Step k stands at t = 1 - k / 999; between the steps a polynomial through seven of them."""
    kept = numpy.log(numpy.cumprod(1 - BETAS))[::-1]
    times = numpy.linspace(0, 1, len(BETAS))
    near = int(numpy.clip(round(t * (len(BETAS) - 1)), 3, len(BETAS) - 4))
    piece = slice(near - 3, near + 4)
    curve = numpy.polynomial.Polynomial.fit(times[piece], kept[piece], 6)
    log_kept, slope = curve(t), curve.deriv()(t)
    alpha, beta = numpy.exp(log_kept / 2), numpy.sqrt(1 - numpy.exp(log_kept))
    return alpha, beta, slope / 2 * alpha, -slope / 2 * alpha**2 / beta


PATHS = {
    "linear": (linear, {"kind": "linear"}),
    "vp": (vp, {"kind": "vp", "beta_min": 0.1, "beta_max": 20}),
    "ve": (ve, {"kind": "ve", "sigma_min": 0.01, "sigma_max": 5}),
    "ddpm": (ddpm, {"kind": "ddpm", "schedule": "linear", "steps": 1000, "beta_min": 0.0001,
                    "beta_max": 0.02}),
}


def pair(path, prediction, value, x, t):
    """Data and noise, from any prediction."""
    alpha, beta, dalpha, dbeta = path(t)
    if prediction == "data":
        return value, (x - alpha * value) / beta
    if prediction == "velocity":
        data = (beta * value - dbeta * x) / (dalpha * beta - dbeta * alpha)
        return data, (x - alpha * data) / beta
    noise = value if prediction == "noise" else -beta * value
    return (x - beta * noise) / alpha, noise


def outputs(path, prediction, value, x, t):
    alpha, beta, dalpha, dbeta = path(t)
    data, noise = pair(path, prediction, value, x, t)
    return {"data": data, "noise": noise, "score": -noise / beta,
            "velocity": dalpha * data + dbeta * noise}


class Predictions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = harness.Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def upload(self, name, seed=1, **config):
        network = Network(seed)
        config = {"activation": "selu", "time": {"input": "last"}, **config}
        body = safetensors.encode(network.tensors, {"advect": json.dumps(config)})
        answer = self.daemon.request("PUT", f"/models/{name}", body)
        self.assertEqual(answer.status, 201, answer.body)
        return network, answer.json()

    def post(self, path, body):
        answer = self.daemon.request("POST", path, body)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def near(self, found, expected, tolerance=1e-4):
        found, expected = numpy.array(found, float), numpy.array(expected, float)
        self.assertLess((numpy.abs(found - expected) / (1 + numpy.abs(expected))).max(), tolerance)

    def test_samples_are_those_of_an_integration_by_numpy(self):
        x0 = numpy.random.default_rng(3).normal(size=(40, DIM)).astype("float32")
        for kind, (path, config) in PATHS.items():
            for prediction in ("velocity", "noise", "data", "score"):
                name = f"s-{kind}-{prediction}"
                network, _ = self.upload(name, noise_at=1, prediction=prediction, path=config)
                x = x0.astype(float)
                first = STEPS // 4  # off the singular start
                for i in range(first, STEPS):
                    t = i / STEPS
                    value = network(x, 1 - t)
                    if prediction == "velocity":
                        slope = -value
                    else:
                        slope = outputs(path, prediction, value, x, t)["velocity"]
                    x = x + slope / STEPS
                with self.subTest(name):
                    answer = self.post("/sample", {
                        "model": name, "x0": x0.tolist(), "t0": first / STEPS,
                        "solver": {"method": "euler", "steps": STEPS - first}})
                    self.near(answer["samples"], x)

    def test_velocity_gives_the_outputs_that_are_asked_for(self):
        x = numpy.random.default_rng(4).normal(size=(5, DIM)).astype("float32").astype(float)
        for kind, (path, config) in PATHS.items():
            for prediction in ("velocity", "noise", "data", "score"):
                name = f"o-{kind}-{prediction}"
                network, _ = self.upload(name, noise_at=1, prediction=prediction, path=config)
                times = [0.25, 0.5, 0.75, 0.875, 0.9375]
                answer = self.post("/velocity", {
                    "model": name, "points": x.tolist(), "t": times,
                    "outputs": ["score", "data", "velocity", "noise"]})
                with self.subTest(name):
                    self.assertEqual(list(answer), ["model", "version", "precision", "velocity",
                                                    "data", "noise", "score"])
                    for i, t in enumerate(times):
                        value = network(x[i:i + 1], 1 - t)
                        value = -value if prediction == "velocity" else value
                        for output, rows in outputs(path, prediction, value, x[i:i + 1], t).items():
                            self.near(answer[output][i], rows[0])

    def test_singular_ends_are_frozen_and_finite(self):
        network, described = self.upload("frozen", prediction="noise", path=PATHS["vp"][1])
        self.assertEqual(described["clamp"], CLAMP)
        points = [[0.5, -0.25]]
        answer = self.post("/velocity", {"model": "frozen", "points": points, "t": 1,
                                         "outputs": ["velocity", "score"]})
        expected = outputs(vp, "noise", network(numpy.array(points), 1 - CLAMP),
                           numpy.array(points), 1 - CLAMP)
        self.near(answer["velocity"], expected["velocity"], 2e-4)
        for kind, (_, config) in PATHS.items():
            for prediction in ("velocity", "noise", "data", "score"):
                name = f"e-{kind}-{prediction}"
                self.upload(name, noise_at=1, prediction=prediction, path=config)
                answer = self.post("/velocity", {
                    "model": name, "points": points * 2, "t": [0, 1],
                    "outputs": ["score", "data", "velocity", "noise"]})
                for output in ("score", "data", "velocity", "noise"):
                    self.assertNotIn(None, answer[output], (name, output))

    def test_noise_has_the_spread_of_the_path(self):
        self.upload("narrow")
        self.upload("wide", path=PATHS["ve"][1])
        frames = [self.daemon.request(
            "POST", "/trajectory", {"model": name, "count": 3, "seed": 5, "frames": 2},
            {"Accept": "application/x-ndjson"}).body.decode().splitlines()
            for name in ("narrow", "wide")]
        narrow, wide = (numpy.array(json.loads(lines[1])["samples"]) for lines in frames)
        self.near(wide / narrow, numpy.full((3, DIM), numpy.sqrt(26)), 1e-6)

    def test_what_a_checkpoint_is_comes_back(self):
        for kind, (_, config) in PATHS.items():
            _, described = self.upload(f"d-{kind}", prediction="noise", noise_at=1, path=config,
                                       clamp=0.0001)
            self.assertEqual(described["path"], config)
            self.assertEqual((described["prediction"], described["clamp"]), ("noise", 0.0001))
        self.assertEqual(self.daemon.request("GET", "/models/d-vp").json()["path"], PATHS["vp"][1])

    def test_a_path_that_cannot_be_is_refused_by_name(self):
        body = safetensors.encode(safetensors.mlp(SIZES))
        for pointer, path in (("/path/kind", {"kind": "cosinus"}),
                              ("/path/beta_max", {"kind": "vp", "beta_min": 0.1}),
                              ("/path/beta_max", {"kind": "vp", "beta_min": 2, "beta_max": 1}),
                              ("/noise_at", PATHS["ddpm"][1])):
            config = {"activation": "selu", "time": {"input": "last"}, "path": path}
            answer = self.daemon.request("PUT", "/models/bad", body,
                                         {"Advect-Config": json.dumps(config)})
            self.assertEqual(answer.status, 422, answer.body)
            self.assertEqual(answer.json()["errors"][0]["pointer"], pointer)

    def test_training_knows_the_linear_path_only(self):
        answer = self.daemon.request("POST", "/train", {"dataset": "none", "path": "vp"})
        self.assertEqual(answer.status, 422, answer.body)
        self.assertEqual(answer.json()["errors"][0]["pointer"], "/path")


if __name__ == "__main__":
    unittest.main()
