#!/usr/bin/python3
"""Models: uploaded, described, downloaded as they came, removed; what is no velocity field is
refused with its place."""
import hashlib
import json
import os
import struct
import unittest
from pathlib import Path

import harness
import numpy as np
import safetensors

CHECKPOINTS = Path(os.environ.get("ADVECTD_CHECKPOINTS",
                                  harness.ROOT.parent / "shared/checkpoints"))
TORCH = harness.ROOT / "tests/golden/torch"
SIDECAR = json.dumps({"activation": "selu", "time": {"input": "last", "scale": 1}})
FIELDS = ["8gaussian-moons__cfm_v1", "8gaussian-moons__otcfm_v1", "8gaussian-moons__rect_1_v1",
          "gaussian-moons__cfm_v1", "gaussian-moons__otcfm_v1"]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = harness.Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def put(self, name, body, sidecar=None, headers=None):
        headers = dict(headers or {})
        if sidecar:
            headers["Advect-Config"] = sidecar
        return self.daemon.request("PUT", f"/models/{name}", body, headers)

    def get(self, path):
        return self.daemon.request("GET", f"/models/{path}")

    def problem(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        for word in words:
            self.assertIn(word, answer.body.decode())


class Good(Case):
    def test_model_with_metadata_is_described(self):
        body = safetensors.model(dim=3, hidden=(16, 8))
        answer = self.put("small", body, headers={"Content-Type": "application/octet-stream"})
        self.assertEqual(answer.status, 201, answer.body)
        described = answer.json()
        expected = {"name": "small", "version": 1, "state": "ready", "dim": 3, "hidden": [16, 8],
                    "parameters": 4 * 16 + 16 + 16 * 8 + 8 + 8 * 3 + 3, "activation": "selu",
                    "network": "mlp", "prediction": "velocity", "noise_at": 0, "ema": False,
                    "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        self.assertEqual({key: described[key] for key in expected}, expected)
        self.assertEqual(described["time"]["input"], "last")
        self.assertEqual([column["name"] for column in described["columns"]], ["x0", "x1", "x2"])
        self.assertEqual(self.get("small").json(), described)

    def test_download_is_the_upload(self):
        body = safetensors.model(config=None)
        self.assertEqual(self.put("plain", body, SIDECAR).status, 201)
        answer = self.get("plain/checkpoint")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, body)
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")
        self.assertIn('filename="plain.safetensors"', answer.headers["content-disposition"])
        self.assertEqual(answer.headers["advect-config"], SIDECAR)
        etag = answer.headers["etag"]
        self.assertEqual(etag, f'"{hashlib.sha256(body).hexdigest()}"')
        known = self.daemon.request("GET", "/models/plain/checkpoint",
                                    headers={"If-None-Match": etag})
        self.assertEqual((known.status, known.body), (304, b""))

    def test_the_config_beside_a_file_has_a_limit_and_comes_back(self):
        body = safetensors.model(config=None)
        longest = SIDECAR[:-1] + " " * (16384 - len(SIDECAR)) + "}"
        self.assertEqual(self.put("longest", body, longest).status, 201)
        answer = self.get("longest/checkpoint")
        self.assertEqual((answer.status, answer.body), (200, body))
        self.assertEqual(answer.headers["advect-config"], longest)
        self.problem(self.put("longer", body, longest[:-1] + " }"), 413, "Advect-Config", "16384")

    def test_versions_rise_and_are_not_given_twice(self):
        self.assertEqual(self.put("v", safetensors.model()).json()["version"], 1)
        second = self.put("v", safetensors.model(seed=2))
        self.assertEqual((second.status, second.json()["version"]), (200, 2))
        self.assertEqual(self.get("v").json()["version"], 2)
        self.assertEqual(self.daemon.request("DELETE", "/models/v").status, 204)
        self.problem(self.get("v"), 404)
        self.problem(self.get("v/checkpoint"), 404)
        self.problem(self.daemon.request("DELETE", "/models/v"), 404)
        third = self.put("v", safetensors.model())
        self.assertEqual((third.status, third.json()["version"]), (201, 3))

    def test_list_is_in_order_of_names(self):
        self.put("zz", safetensors.model())
        self.put("aa", safetensors.model())
        names = [model["name"] for model in self.daemon.request("GET", "/models").json()["models"]]
        self.assertEqual(names, sorted(names))
        self.assertLessEqual({"aa", "zz"}, set(names))

    def test_fields_trained_in_pytorch_are_taken(self):
        if not CHECKPOINTS.is_dir():
            self.skipTest(f"there are no checkpoints in {CHECKPOINTS}")
        for i, name in enumerate(FIELDS):
            body = (CHECKPOINTS / f"{name}.safetensors").read_bytes()
            answer = self.put(f"field{i}", body, SIDECAR)
            self.assertEqual(answer.status, 201, answer.body)
            self.assertEqual(answer.json()["dim"], 2)
            self.assertEqual(answer.json()["hidden"], [64, 64, 64])


class FromTorch(Case):
    def velocity(self, model):
        body = json.dumps({"model": model, "points": [[0.5, -1]], "t": 0.25}).encode()
        answer = self.daemon.request("POST", "/velocity", body,
                                     {"Content-Type": "application/json"})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["velocity"]

    def test_a_whole_module_is_kept_as_safetensors_with_its_config(self):
        body = (TORCH / "valid/module/file.pt").read_bytes()
        answer = self.put("module", body, SIDECAR)
        self.assertEqual(answer.status, 201, answer.body)
        described = answer.json()
        self.assertEqual((described["dim"], described["hidden"]), (2, [4]))
        kept = self.get("module/checkpoint")
        self.assertNotIn("advect-config", kept.headers)
        self.assertEqual(described["sha256"], hashlib.sha256(kept.body).hexdigest())
        self.assertEqual(described["bytes"], len(kept.body))
        size = struct.unpack("<Q", kept.body[:8])[0]
        header = json.loads(kept.body[8:8 + size])
        self.assertEqual(header["__metadata__"], {"advect": SIDECAR})
        self.assertEqual(header["net.0.weight"]["shape"], [4, 3])
        again = self.put("again", kept.body)
        self.assertEqual(again.status, 201, again.body)
        self.assertEqual(self.velocity("module"), self.velocity("again"))

    def test_it_is_there_again_after_a_restart(self):
        first = harness.Daemon()
        body = (TORCH / "valid/state_dict/file.pt").read_bytes()
        answer = first.request("PUT", "/models/kept", body, {"Advect-Config": SIDECAR})
        self.assertEqual(answer.status, 201, answer.body)
        first.kill()
        second = harness.Daemon(data_dir=first.data_dir)
        self.assertEqual(second.request("GET", "/models/kept").json(), answer.json())
        second.stop()
        first.clean_up()

    def test_averaged_weights_are_chosen_by_name(self):
        body = (TORCH / "invalid/several_sets/file.pt").read_bytes()
        velocities = []
        for name in ("model", "ema"):
            config = SIDECAR[:-1] + f', "weights": "{name}"}}'
            answer = self.put(name, body, config)
            self.assertEqual(answer.status, 201, answer.body)
            self.assertEqual(answer.json()["weights"], name)
            velocities.append(self.velocity(name))
        self.assertNotEqual(*velocities)


class Bad(Case):
    def tearDown(self):
        self.assertEqual(list((self.daemon.data_dir / "models").iterdir()), [])
        self.assertEqual(list((self.daemon.data_dir / "tmp").iterdir()), [])
        self.assertEqual(self.daemon.request("GET", "/livez").status, 200)

    def test_without_a_config_the_missing_fields_are_asked_for(self):
        body = safetensors.model(config=None)
        self.problem(self.put("bad", body), 422, "Advect-Config", "activation")
        self.problem(self.put("bad", body, '{"activation": "selu"}'), 422, "time")
        self.problem(self.put("bad", body, '{"time": {"input": "last"}}'), 422, "activation")
        self.problem(self.put("bad", body, SIDECAR.replace("selu", "sellu")), 422, "activation")
        self.problem(self.put("bad", body, SIDECAR[:-1] + ', "pth": 1}'), 422, "pth")
        self.assertIn(self.put("bad", body, "{").status, (400, 422))

    def test_every_cut_of_a_checkpoint_is_refused(self):
        body = safetensors.model()
        for size in [0, 1, 7, 8, 9, 100, len(body) // 2, len(body) - 1]:
            with self.subTest(size=size):
                self.problem(self.put("bad", body[:size]), 422)
        self.problem(self.put("bad", body + b"x"), 422)

    def test_weights_that_are_not_finite_are_named(self):
        for value in (np.nan, np.inf, -np.inf, 1e30):
            tensors = safetensors.mlp([3, 8, 2])
            tensors["net.2.weight"][1, 3] = value
            body = safetensors.encode(tensors, {"advect": json.dumps(safetensors.CONFIG)})
            self.problem(self.put("bad", body), 422, "net.2.weight")

    def test_layers_that_do_not_chain_are_refused(self):
        tensors = safetensors.mlp([3, 8, 2])
        tensors["net.2.weight"] = np.ascontiguousarray(tensors["net.2.weight"].T)
        self.problem(self.put("bad", safetensors.encode(tensors), SIDECAR), 422, "net.2")
        tensors = safetensors.mlp([3, 8, 2])
        del tensors["net.0.bias"]
        self.problem(self.put("bad", safetensors.encode(tensors), SIDECAR), 422, "net.0")

    def test_scalar_potential_is_refused_with_the_reason(self):
        body = safetensors.encode(safetensors.mlp([3, 8, 1]))
        self.problem(self.put("bad", body, SIDECAR), 422, "potential")

    def test_action_matching_checkpoint_is_refused_with_the_reason(self):
        path = CHECKPOINTS / "8gaussian-moons__action_matching_v1.safetensors"
        if not path.exists():
            self.skipTest(f"there is no {path}")
        self.problem(self.put("bad", path.read_bytes(), SIDECAR), 422, "potential")

    def test_bare_pickles_are_refused_with_advice(self):
        legacy = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
        self.problem(self.put("bad", legacy, SIDECAR), 415, "before PyTorch 1.6", "torch.save")
        self.problem(self.put("bad", b"\x80\x02}q\x00.", SIDECAR), 415, "pickle", "torch.save")

    def test_files_of_torch_save_that_cannot_be_read_are_refused(self):
        self.problem(self.put("bad", b"PK\x03\x04" + b"x" * 100, SIDECAR), 422, "zip")
        for case in sorted((TORCH / "invalid").iterdir()):
            with self.subTest(case.name):
                expected = json.loads((case / "error.json").read_text())
                answer = self.put("bad", (case / "file.pt").read_bytes(), SIDECAR)
                self.problem(answer, expected["status"])
                self.assertEqual(answer.json()["detail"], expected["detail"])

    def test_a_file_of_torch_save_needs_its_config(self):
        body = (TORCH / "valid/module/file.pt").read_bytes()
        self.problem(self.put("bad", body), 422, "Advect-Config")
        self.problem(self.put("bad", body, '{"activation": "selu"}'), 422, "time")
        self.problem(self.put("bad", body, SIDECAR[:-1] + ', "weights": "ema"}'), 422, "/weights")

    def test_headers_that_lie_are_refused(self):
        def edit(name, key, value):
            return safetensors.model(header_edit=lambda header: header[name].update({key: value}))
        for body in (edit("net.0.weight", "dtype", "I32"),
                     edit("net.0.weight", "shape", [2**32, 2**32]),
                     edit("net.0.weight", "shape", [-1]),
                     edit("net.0.weight", "data_offsets", [0, 4]),
                     edit("net.0.weight", "data_offsets", [8, 0]),
                     struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 2**64 - 5) + b"{}"):
            self.problem(self.put("bad", body), 422)

    def test_types_and_names_are_checked(self):
        body = safetensors.model()
        self.problem(self.put("bad", body, headers={"Content-Type": "application/json"}), 415)
        self.problem(self.put("Bad", body), 422, "a-z")
        for name in ("..", "%2e%2e%2fx", "a%2fb", "a" * 65, "%c0%ae"):
            for path in (name, f"{name}/checkpoint"):
                answer = self.get(path)
                self.assertEqual(answer.status, 404, answer.body)

    def test_body_over_the_limit_is_refused_before_it_is_sent(self):
        head = b"PUT /models/bad HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000000\r\n\r\n"
        self.assertIn(b" 413 ", self.daemon.exchange(head).split(b"\r\n")[0])


class Restart(unittest.TestCase):
    def test_models_are_there_again_and_a_broken_file_stops_nothing(self):
        first = harness.Daemon()
        plain = safetensors.model(config=None)
        for name, body, headers in (("one", safetensors.model(), {}),
                                    ("two", safetensors.model(), {}),
                                    ("plain", plain, {"Advect-Config": SIDECAR})):
            self.assertEqual(first.request("PUT", f"/models/{name}", body, headers).status, 201)
        described = {name: first.request("GET", f"/models/{name}").json()
                     for name in ("one", "two", "plain")}
        first.kill()
        self.damage(first.data_dir / "models", described["one"]["bytes"])
        second = harness.Daemon(data_dir=first.data_dir)
        states = {model["name"]: model
                  for model in second.request("GET", "/models").json()["models"]}
        self.assertEqual(sorted(states), ["one", "plain", "two"])
        failed = [name for name, model in states.items() if model["state"] == "failed"]
        self.assertEqual(len(failed), 1)
        self.assertTrue(states[failed[0]]["error"])
        self.assertEqual(second.request("GET", f"/models/{failed[0]}").json()["state"], "failed")
        for name, model in described.items():
            if name not in failed:
                self.assertEqual(second.request("GET", f"/models/{name}").json(), model)
        self.assertEqual(second.request("GET", "/models/plain/checkpoint").body, plain)
        replaced = second.request("PUT", f"/models/{failed[0]}", safetensors.model())
        self.assertEqual((replaced.status, replaced.json()["state"]), (200, "ready"))
        second.stop()
        first.clean_up()

    def damage(self, folder, size):
        """One weight of one of the two files of that size becomes NaN."""
        path = next(path for path in sorted(folder.iterdir()) if path.stat().st_size == size)
        with open(path, "r+b") as file:
            file.seek(-4, os.SEEK_END)
            file.write(struct.pack("<f", float("nan")))


if __name__ == "__main__":
    unittest.main()
