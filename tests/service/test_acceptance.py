#!/usr/bin/python3
"""The main job from end to end, with curl alone: a table is uploaded, a field is trained and
watched, new rows are drawn; and fields trained in PyTorch give the published numbers."""
import csv
import io
import json
import os
import re
import time
import unittest
from pathlib import Path

import curl
import harness
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data"
CHECKPOINTS = Path(os.environ.get("ADVECTD_CHECKPOINTS", ROOT.parent / "shared/checkpoints"))
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
TRAINING_SECONDS = 60
ROWS = 1000

# Field: u(0, 0; t = 0), u(1, -2; t = .5), Euler with 100 steps from (1, -2). Double arithmetic on
# the float32 weights.
GOLDEN = {
    "8gaussian-moons__cfm_v1": [(-0.769758609, 0.199581278), (0.795189539, 4.465193704),
                                (0.098134073, -0.718970596)],
    "8gaussian-moons__otcfm_v1": [(-0.251740115, 0.150259252), (1.064511183, 3.030935813),
                                  (1.037584647, -0.020700832)],
    "gaussian-moons__cfm_v1": [(0.676652402, 0.068334840), (2.092894617, -0.401951072),
                               (3.334764812, -2.205733717)],
    "gaussian-moons__otcfm_v1": [(0.558931962, 0.023700546), (1.689723328, -0.603249019),
                                 (3.104435070, -2.267718044)],
}
CONFIG = {"network": "mlp", "activation": "selu", "time": {"input": "last", "scale": 1}}


def read_csv(text):
    rows = list(csv.reader(io.StringIO(text)))
    return rows[0], rows[1:]


def is_number(cell):
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", cell) is not None


class Table:
    """An uploaded file, as the samples are compared with it: its complete rows by column."""

    def __init__(self, path):
        self.header, rows = read_csv(path.read_text())
        used = [row for row in rows if not any(cell.strip().lower() in MISSING for cell in row)]
        self.columns = dict(zip(self.header, zip(*used)))
        self.used = len(used)
        self.dropped = len(rows) - len(used)
        every = dict(zip(self.header, zip(*rows)))
        self.levels = {name: set(cells) - {""} for name, cells in every.items()}

    def numeric(self):
        return [name for name, cells in self.columns.items() if all(map(is_number, cells))]

    def categorical(self):
        return [name for name in self.header if name not in self.numeric()]


class MainJob(unittest.TestCase):
    """Upload, train, watch, sample."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = harness.Daemon()
        cls.url = cls.daemon.url
        cls.events = {}  # of each table that was trained on

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def trained(self, name):
        """The events of a training on tests/data/NAME.csv, done once."""
        if name not in self.events:
            self.events[name] = self.train(name)
        return self.events[name]

    def train(self, name):
        upload = curl.run("-T", DATA / f"{name}.csv", f"{self.url}/datasets/{name}")
        self.assertIn(upload.status, (200, 201), upload.body)
        started = time.monotonic()
        accepted = curl.post(f"{self.url}/train", {"dataset": name, "seed": 1})
        self.assertEqual(accepted.status, 202, accepted.body)
        job = accepted.json()
        self.assertEqual(accepted.headers["location"], f"/jobs/{job['id']}")
        events = curl.run("-N", "-H", "Accept: application/x-ndjson", self.url + job["events"],
                          timeout=600)
        seconds = time.monotonic() - started
        self.assertEqual(events.status, 200, events.body)
        job = curl.run(f"{self.url}/jobs/{job['id']}").json()
        self.assertEqual(job["state"], "succeeded", job)
        print(f"{name}: trained in {seconds:.1f} s")
        if os.environ.get("ADVECTD_SANITIZE", "none") == "none":
            self.assertLess(seconds, TRAINING_SECONDS)
        return [json.loads(line) for line in events.body.splitlines()]

    def sample(self, name):
        answer = curl.post(f"{self.url}/sample", {"model": name, "count": ROWS, "seed": 7},
                           "-H", "Accept: text/csv")
        self.assertEqual(answer.status, 200, answer.body)
        self.assertTrue(answer.headers["content-type"].startswith("text/csv"), answer.headers)
        return answer.body.decode()

    def check_numeric(self, name, data, drawn):
        """Types and moments of a numeric column."""
        self.assertTrue(all(map(is_number, drawn)), f"{name}: a cell is no number")
        if all(re.fullmatch(r"[-+]?\d+", cell) for cell in data):
            self.assertTrue(all(re.fullmatch(r"[-+]?\d+", cell) for cell in drawn),
                            f"{name}: the data's are integers")
        data, drawn = np.array(data, float), np.array(drawn, float)
        shift = abs(drawn.mean() - data.mean()) / data.std()
        ratio = drawn.std() / data.std()
        print(f"  {name}: mean off by {shift:.3f} std, std x {ratio:.3f}")
        self.assertLess(shift, 0.15, f"{name}: the mean")
        self.assertLess(abs(ratio - 1), 0.15, f"{name}: the standard deviation")

    def check_shares(self, name, data, drawn):
        for level in sorted(set(data)):
            share = drawn.count(level) / len(drawn)
            expected = data.count(level) / len(data)
            print(f"  {name} {level}: {share:.3f}, in the data {expected:.3f}")
            self.assertLess(abs(share - expected), 0.05, f"{name}: {level}")

    def check_samples(self, table, text, label):
        header, rows = read_csv(text)
        self.assertEqual(header, table.header)
        self.assertEqual(len(rows), ROWS)
        columns = dict(zip(header, zip(*rows)))
        for name in table.numeric():
            self.check_numeric(name, table.columns[name], columns[name])
        for name in table.categorical():
            self.assertLessEqual(set(columns[name]), table.levels[name], name)
        self.check_shares(label, table.columns[label], columns[label])

    def check_events(self, events):
        losses = [event["loss"] for event in events if event.get("event") == "progress"]
        self.assertGreater(len(losses), 3, events[:3])
        third = len(losses) // 3
        self.assertLess(np.mean(losses[-third:]), np.mean(losses[:third]), "the loss must fall")

    def test_rows_of_a_model_trained_on_penguins_look_like_penguins(self):
        self.check_events(self.trained("penguins"))
        self.check_samples(Table(DATA / "penguins.csv"), self.sample("penguins"), "Species")

    def test_rows_of_a_model_trained_on_iris_look_like_irises(self):
        self.check_events(self.trained("iris"))
        self.check_samples(Table(DATA / "iris.csv"), self.sample("iris"), "species")

    def test_a_body_that_curl_labels_as_a_form_is_answered_with_what_to_do(self):
        answer = curl.run(f"{self.url}/sample", "-d", '{"model": "iris"}')
        self.assertEqual(answer.status, 415)
        self.assertIn("curl --json", answer.json()["detail"])

    def test_a_trained_model_can_be_taken_away_and_served_under_another_name(self):
        self.trained("iris")
        checkpoint = curl.run(f"{self.url}/models/iris/checkpoint")
        self.assertEqual(checkpoint.status, 200)
        copy = Path(self.daemon.data_dir).with_suffix(".safetensors")
        copy.write_bytes(checkpoint.body)
        self.addCleanup(copy.unlink)
        put = curl.run("-T", copy, f"{self.url}/models/iris-copy")
        self.assertIn(put.status, (200, 201), put.body)
        self.assertEqual(self.sample("iris-copy"), self.sample("iris"))


@unittest.skipUnless(CHECKPOINTS.is_dir(), "the published checkpoints are not in "
                     f"{os.path.relpath(CHECKPOINTS, ROOT)}; ADVECTD_CHECKPOINTS names a folder")
class PublishedFields(unittest.TestCase):
    """Fields that somebody else trained in PyTorch give the numbers that PyTorch gives."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = harness.Daemon()
        cls.url = cls.daemon.url

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def upload(self, name, suffix=".safetensors"):
        model = name.replace("__", "-")
        answer = curl.run("-T", CHECKPOINTS / f"{name}{suffix}", f"{self.url}/models/{model}",
                          "-H", f"Advect-Config: {json.dumps(CONFIG)}")
        return model, answer

    def velocity(self, model, point, t):
        answer = curl.post(f"{self.url}/velocity", {"model": model, "points": [point], "t": t})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["velocity"][0]

    def test_velocities_and_euler_endpoints_are_the_published_ones(self):
        for name, (at_start, in_between, endpoint) in GOLDEN.items():
            with self.subTest(name):
                model, answer = self.upload(name)
                self.assertIn(answer.status, (200, 201), answer.body)
                found = [self.velocity(model, [0, 0], 0), self.velocity(model, [1, -2], 0.5)]
                sample = curl.post(f"{self.url}/sample", {
                    "model": model, "x0": [[1, -2]], "solver": {"method": "euler", "steps": 100}})
                self.assertEqual(sample.status, 200, sample.body)
                found += sample.json()["samples"]
                np.testing.assert_allclose(found, [at_start, in_between, endpoint], atol=1e-5,
                                           rtol=0)

    def test_the_file_as_pytorch_wrote_it_gives_the_same_numbers(self):
        name = "8gaussian-moons__otcfm_v1"
        if not (CHECKPOINTS / f"{name}.pt").exists():
            self.skipTest(f"there is no {name}.pt in {CHECKPOINTS}")
        model, answer = self.upload(name, ".pt")
        self.assertIn(answer.status, (200, 201), answer.body)
        found = [self.velocity(model, [0, 0], 0), self.velocity(model, [1, -2], 0.5)]
        np.testing.assert_allclose(found, GOLDEN[name][:2], atol=1e-5, rtol=0)

    def test_a_potential_is_refused_because_it_is_no_velocity_field(self):
        _, answer = self.upload("8gaussian-moons__action_matching_v1")
        self.assertEqual(answer.status, 422, answer.body)
        self.assertIn("application/problem+json", answer.headers["content-type"])
        detail = answer.json()["detail"]
        print(f"refused: {detail}")
        self.assertRegex(detail, r"\b(output|outputs|gives)\b")

    def test_a_plain_state_dict_without_its_config_is_refused_by_the_name_of_the_field(self):
        answer = curl.run("-T", CHECKPOINTS / "gaussian-moons__cfm_v1.safetensors",
                          f"{self.url}/models/bare")
        self.assertEqual(answer.status, 422, answer.body)
        self.assertRegex(answer.body.decode(), "Advect-Config|activation")
        self.assertEqual(curl.run(f"{self.url}/models/bare").status, 404)


if __name__ == "__main__":
    unittest.main(verbosity=2)
