#!/usr/bin/python3
"""The real programs on a processor that computes one bit wrong: the same objects, linked with
damaged kernels."""
import os
import subprocess
import tempfile
import unittest

import harness
import safetensors

harness.BINARY = os.environ["ADVECTD_DAMAGED_BINARY"]
TRAINER = os.environ["ADVECT_TRAIN_DAMAGED_BINARY"]
FAULT = r"The plain kernels compute .* on this machine \(.+\)\."


class DamagedKernels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = harness.Daemon("--kernels", "plain", wait=False)
        cls.daemon.request("PUT", "/models/moons", safetensors.model(),
                           {"Content-Type": "application/octet-stream"})

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def assert_unavailable(self, answer):
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertRegex(answer.json()["detail"], FAULT)

    def test_the_daemon_lives_and_is_not_ready(self):
        self.assertEqual(self.daemon.request("GET", "/livez").status, 200)
        self.assert_unavailable(self.daemon.request("GET", "/readyz"))

    def test_nothing_is_computed(self):
        self.assert_unavailable(self.daemon.request("POST", "/sample", {"model": "moons"}))
        self.assert_unavailable(self.daemon.request("POST", "/sample",
                                                    {"model": "moons", "precision": "bf16"}))
        self.assert_unavailable(self.daemon.request("POST", "/trajectory", {"model": "moons"},
                                                    {"Accept": "application/x-ndjson"}))
        self.assert_unavailable(self.daemon.request(
            "POST", "/velocity", {"model": "moons", "t": [0.5], "points": [[0, 0]]}))

    def test_what_needs_no_arithmetic_works(self):
        self.assertEqual(self.daemon.request("GET", "/models/moons").status, 200)

    def test_the_log_says_it(self):
        lines = [line for line in self.daemon.log_lines() if line["event"] == "kernels"]
        self.assertEqual(len(lines), 1)
        self.assertEqual(lines[0]["level"], "error")
        self.assertRegex(lines[0]["message"], FAULT)

    def test_the_trainer_does_not_train(self):
        with tempfile.TemporaryDirectory() as job:
            ended = subprocess.run([TRAINER, job], capture_output=True, text=True, timeout=60)
        self.assertNotEqual(ended.returncode, 0)
        self.assertRegex(ended.stdout, r"kernels compute .* on this machine")


if __name__ == "__main__":
    unittest.main()
