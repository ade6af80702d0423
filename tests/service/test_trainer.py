#!/usr/bin/python3
"""advect-train alone, on job folders made by hand: what it leaves behind, and that a run that is
killed at any point ends with the same weights as one that is not."""
import hashlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TRAINER = os.environ.get("ADVECT_TRAIN_BINARY", str(ROOT / "build/server/advect-train"))
DONE, FAILED, USAGE, STOPPED = 0, 1, 2, 3
KILL_TEST_SECONDS = 5
SMALL = {"network": {"hidden": [16, 16]}, "batch_size": 32, "validation": {"every": 50}}
# Steps of this size make the product of so many layers overflow.
HOPELESS = {"network": {"hidden": [64] * 20, "activation": "selu"},
            "optimizer": {"learning_rate": 10, "clip": 0, "warmup": 0}}


def table(rows=200, missing=()):
    generator = np.random.default_rng(3)
    lines = ["height,count,kind"]
    for row in range(rows):
        cell = "" if row in missing else f"{generator.normal():.3f}"
        lines.append(f"{cell},{generator.integers(10)},{'ab'[row % 2]}")
    return "\n".join(lines) + "\n"


def tensors(path):
    """The header's metadata and the bytes of the weights."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    return json.loads(header["__metadata__"]["advect"]), data[8 + size:]


class Job:
    def __init__(self, steps, data=None, **fields):
        self.steps = steps
        self.folder = Path(tempfile.mkdtemp(prefix="advect-train-"))
        request = {"dataset": "small", "seed": 5, "steps": steps, **SMALL, **fields}
        (self.folder / "request.json").write_text(json.dumps(request))
        (self.folder / "data.csv").write_text(data or table())

    def start(self, *options):
        return subprocess.Popen([TRAINER, *options, str(self.folder)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def run(self):
        """Exit code and events."""
        process = self.start()
        out, said = process.communicate(timeout=120)
        if "Sanitizer" in said or "runtime error" in said:
            raise AssertionError(said)
        return process.returncode, [json.loads(line) for line in out.splitlines()]

    def weights(self):
        return hashlib.sha256(tensors(self.folder / "model.safetensors")[1]).hexdigest()


class TrainerTest(unittest.TestCase):
    def job(self, *arguments, **fields):
        job = Job(*arguments, **fields)
        self.addCleanup(shutil.rmtree, job.folder, ignore_errors=True)
        return job

    def failed(self, job):
        code, events = job.run()
        self.assertEqual(code, FAILED)
        self.assertEqual(events[-1]["event"], "error")
        self.assertFalse((job.folder / "model.safetensors").exists())
        return events[-1]["problem"]

    def test_a_job_leaves_a_model_and_says_what_it_did(self):
        job = self.job(4000, data=table(missing=(3, 8)), network={"hidden": [64, 64]})
        code, events = job.run()
        self.assertEqual(code, DONE)
        start, done = events[0], events[-1]
        self.assertEqual(start["event"], "start")
        self.assertEqual(start["columns"], ["height", "count", "kind"])
        self.assertEqual((start["rows"], start["rows_used"], start["rows_dropped"]), (200, 198, 2))
        self.assertEqual(done["event"], "done")
        self.assertEqual(done["step"], 4000)
        progress = [event for event in events if event["event"] == "progress"]
        self.assertGreaterEqual(len(progress), 2)
        self.assertLess(progress[-1]["validation_loss"], progress[0]["validation_loss"])
        self.assertEqual(progress[-1]["remaining_seconds"], 0)
        config, _ = tensors(job.folder / "model.safetensors")
        self.assertEqual([column["name"] for column in config["columns"]], start["columns"])
        self.assertEqual(config["training"]["rows_dropped"], 2)
        self.assertEqual(config["training"]["seed"], 5)

    def test_the_best_step_is_named_only_where_rows_were_held_out(self):
        for fraction, best, weights in ((0.1, 60, "best"), (0, None, "last")):
            with self.subTest(fraction):
                job = self.job(60, validation={"fraction": fraction, "every": 60})
                code, events = job.run()
                self.assertEqual(code, DONE)
                self.assertEqual(events[-1].get("best_step"), best)
                record = tensors(job.folder / "model.safetensors")[0]["training"]
                self.assertEqual((record.get("best_step"), record["weights"]), (best, weights))

    def test_rows_are_imputed_when_asked(self):
        code, events = self.job(20, data=table(missing=(3, 8)), missing="impute").run()
        self.assertEqual(code, DONE)
        self.assertEqual((events[0]["rows_used"], events[0]["rows_imputed"]), (200, 2))

    def test_an_array_is_trained_on_as_numeric_columns(self):
        job = self.job(20)
        values = np.random.default_rng(1).normal(5, 3, (100, 3))
        values[7, 1] = np.nan
        (job.folder / "data.csv").unlink()
        np.save(job.folder / "data.npy", values)
        code, events = job.run()
        self.assertEqual(code, DONE)
        self.assertEqual((events[0]["rows_used"], events[0]["rows_dropped"]), (99, 1))
        self.assertEqual(events[0]["columns"], ["x0", "x1", "x2"])
        config, _ = tensors(job.folder / "model.safetensors")
        np.testing.assert_allclose([column["mean"] for column in config["columns"]],
                                   np.nanmean(values, axis=0))
        np.testing.assert_allclose([column["std"] for column in config["columns"]],
                                   np.nanstd(values, axis=0))

    def test_kills_at_random_points_change_no_bit_of_the_weights(self):
        done = self.job(500).run()[1][-1]
        job = self.job(int(500 * KILL_TEST_SECONDS / max(done["seconds"], 0.01)))
        calm = self.job(job.steps)
        code, events = calm.run()
        self.assertEqual(code, DONE)
        longest = max(0.3, events[-1]["seconds"] / 2)

        chance, kills, resumed = random.Random(11), 0, 0
        while not (job.folder / "model.safetensors").exists():
            process = job.start()
            try:
                process.wait(chance.uniform(0.1, longest))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            out, _ = process.communicate()
            first = out.split("\n", 1)[0]
            resumed += first.startswith("{") and json.loads(first)["step"] > 0
        self.assertGreater(kills, 0)
        self.assertGreater(resumed, 0, "no run went on from a saved state")
        self.assertEqual(job.weights(), calm.weights())

    def test_sigterm_saves_and_the_same_command_goes_on(self):
        steps = 20000
        job = self.job(steps)
        process = job.start()
        for line in process.stdout:
            if json.loads(line)["event"] == "progress":
                break
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, STOPPED)
        saved = json.loads(out.splitlines()[-1])
        self.assertEqual(saved["event"], "checkpoint")
        self.assertTrue((job.folder / "partial.safetensors").exists())
        process = job.start()
        self.assertEqual(json.loads(process.stdout.readline())["step"], saved["step"])
        process.kill()
        process.communicate()

    def test_a_damaged_state_falls_back_to_the_one_before(self):
        job = self.job(1000000)
        process = job.start()
        checkpoints = []
        for line in process.stdout:
            event = json.loads(line)
            checkpoints += [event["step"]] if event["event"] == "checkpoint" else []
            if len(checkpoints) == 2:
                break
        process.kill()
        process.communicate()
        state = job.folder / "state.safetensors"
        state.write_bytes(state.read_bytes()[:-5])
        process = job.start()
        self.assertIn(json.loads(process.stdout.readline())["step"], checkpoints)
        process.kill()
        process.communicate()

    def test_a_state_of_other_data_is_not_gone_on_from(self):
        job = self.job(1000000)
        process = job.start()
        for line in process.stdout:
            if json.loads(line)["event"] == "checkpoint":
                break
        process.kill()
        process.communicate()
        (job.folder / "data.csv").write_text(table(rows=201))
        process = job.start()
        self.assertEqual(json.loads(process.stdout.readline())["step"], 0)
        process.kill()
        process.communicate()

    def test_a_loss_that_is_not_finite_fails_the_job_and_keeps_what_was_learnt(self):
        job = self.job(100000, **HOPELESS)
        problem = self.failed(job)
        self.assertIn("finite", problem["detail"])
        self.assertTrue((job.folder / "state.safetensors").exists())

    @unittest.skipUnless(os.geteuid() == 0, "a small file system is mounted by root alone")
    def test_a_full_disk_costs_states_but_not_the_training(self):
        job = self.job(8000, network={"hidden": [128, 128, 128]})
        (job.folder / "request.json").rename(job.folder / "kept.json")
        mounted = job.folder / "disk"
        mounted.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", mounted], check=True)
        self.addCleanup(subprocess.run, ["umount", mounted], check=True)
        shutil.copy(job.folder / "kept.json", mounted / "request.json")
        shutil.copy(job.folder / "data.csv", mounted)
        job.folder = mounted
        process = job.start()
        out, said = process.communicate(timeout=120)
        self.assertEqual(process.returncode, DONE, out[-2000:])
        self.assertIn("full", said)
        self.assertNotIn('"checkpoint"', out)
        self.assertEqual({path.name for path in mounted.iterdir()},
                         {"request.json", "data.csv", "model.safetensors"})

    def test_bad_data_fails_the_job_and_names_the_place(self):
        problem = self.failed(self.job(10, data="a,b\n1,2\n3\n"))
        self.assertEqual(problem["status"], 422)
        self.assertIn("line 3", problem["detail"])
        problem = self.failed(self.job(10, data="a,b\n1,x\n2,y\n", columns={"b": "numeric"}))
        self.assertIn("b", problem["detail"])
        problem = self.failed(self.job(10, data="a,b\n1,\n,2\n"))
        self.assertIn("impute", problem["detail"])

    def test_levels_that_fit_into_no_checkpoint_are_refused_before_training(self):
        names = [f"{column}-{level}".ljust(250, "x") for column in range(8)
                 for level in range(500)]
        lines = [",".join(names[level::500]) for level in range(500)]
        started = time.monotonic()
        problem = self.failed(self.job(10**7, data="\n".join(["a,b,c,d,e,f,g,h", *lines]) + "\n"))
        self.assertIn("levels of the columns do not fit into a checkpoint", problem["detail"])
        self.assertLess(time.monotonic() - started, 60)

    def test_a_folder_without_a_request_fails(self):
        job = self.job(10)
        (job.folder / "request.json").unlink()
        self.failed(job)
        (job.folder / "request.json").write_text('{"dataset": "a", "steps": 0}')
        self.assertIn("steps", self.failed(job)["detail"])

    def test_wrong_arguments_are_told_how_to_do_it(self):
        run = subprocess.run([TRAINER], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, USAGE)
        self.assertIn("usage", run.stderr)

    def test_a_child_dies_with_its_parent(self):
        job = self.job(1000000)
        script = ('import subprocess, sys, time\n'
                  'p = subprocess.Popen([sys.argv[1], "--child", sys.argv[2]], '
                  'stdout=subprocess.PIPE)\n'
                  'p.stdout.readline()\nprint(p.pid, flush=True)\ntime.sleep(60)\n')
        parent = subprocess.Popen(["/usr/bin/python3", "-c", script, TRAINER, str(job.folder)],
                                  stdout=subprocess.PIPE, text=True)
        child = int(parent.stdout.readline())
        parent.kill()
        parent.communicate()
        limit = time.monotonic() + 10
        while Path(f"/proc/{child}/cmdline").exists() and time.monotonic() < limit:
            if not Path(f"/proc/{child}/cmdline").read_bytes():
                break
            time.sleep(0.02)
        self.assertLess(time.monotonic(), limit)


if __name__ == "__main__":
    unittest.main()
