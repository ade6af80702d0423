#!/usr/bin/python3
"""Training over HTTP: a job from its submission to samples of its model, through kills and
restarts."""
import concurrent.futures
import http.client
import json
import os
import shutil
import signal
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np

import harness

WAIT_SECONDS = 120
SMALL = {"dataset": "small", "network": {"hidden": [16, 16]}, "batch_size": 32, "seed": 5,
         "validation": {"every": 200}}
ENDED = ("succeeded", "failed", "cancelled")
ENDLESS = 10_000_000


def table(rows=200):
    generator = np.random.default_rng(3)
    lines = [f"{generator.normal():.3f},{generator.integers(10)},{'ab'[row % 2]}"
             for row in range(rows)]
    return "height,count,kind\n" + "\n".join(lines) + "\n"


def until(what, condition, seconds=WAIT_SECONDS):
    limit = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > limit:
            raise AssertionError(f"after {seconds} s still waiting: {what}")
        time.sleep(0.02)
    return result


def trainers(daemon):
    """Process ids of the daemon's children."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == daemon.pid and fields[0] != "Z":
            pids.append(int(path.parent.name))
    return pids


class Client:
    """Requests about datasets and jobs."""

    def __init__(self, daemon):
        self.daemon = daemon

    def put(self, name="small", text=None):
        answer = self.daemon.request("PUT", f"/datasets/{name}", text or table(),
                                     {"Content-Type": "text/csv"})
        assert answer.status in (200, 201), answer.body

    def train(self, headers=None, **fields):
        return self.daemon.request("POST", "/train", {**SMALL, **fields}, headers)

    def start(self, **fields):
        answer = self.train(**fields)
        assert answer.status == 202, answer.body
        return answer.json()["id"]

    def job(self, job_id):
        return self.daemon.request("GET", f"/jobs/{job_id}").json()

    def delete(self, job_id):
        return self.daemon.request("DELETE", f"/jobs/{job_id}")

    def wait_state(self, job_id, *states):
        return until(f"{job_id} to be {states}",
                     lambda: (job := self.job(job_id))["state"] in states and job)

    def wait_saved(self, job_id):
        """Until the trainer has saved a state."""
        with self.daemon.connect() as sock:
            sock.sendall(f"GET /jobs/{job_id}/events HTTP/1.0\r\nHost: a\r\n\r\n".encode())
            for line in sock.makefile("rb"):
                if b'"event":"checkpoint"' in line:
                    return
        raise AssertionError("the job ended before it had saved a state")

    def events(self, job_id, query="", headers=None):
        return self.daemon.request("GET", f"/jobs/{job_id}/events{query}", headers=headers,
                                   timeout=WAIT_SECONDS)

    def follow(self, job_id, query=""):
        """All events to the end of the job."""
        return [json.loads(line) for line in self.events(job_id, query).body.splitlines()]

    def sample(self, model="small", count=3):
        return self.daemon.request("POST", "/sample", {"model": model, "count": count})


class JobsTest(unittest.TestCase):
    def start_daemon(self, data_dir=None):
        daemon = harness.Daemon(data_dir=data_dir)
        self.addCleanup(daemon.clean_up)
        return Client(daemon)

    def keep_dir(self):
        folder = tempfile.mkdtemp(prefix="advectd-jobs-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def refused(self, answer, status, place):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertIn(place, answer.body.decode())

    def test_a_job_goes_from_its_submission_to_samples(self):
        client = self.start_daemon()
        client.put()
        answer = client.train(steps=600, model="drawn")
        self.assertEqual(answer.status, 202, answer.body)
        job = answer.json()
        self.assertEqual(answer.headers["location"], f"/jobs/{job['id']}")
        self.assertEqual((job["state"], job["model"]), ("queued", "drawn"))
        self.assertEqual(job["progress"], {"step": 0, "steps": 600})
        self.assertEqual(job["request"]["missing"], "drop", "defaults are spelled out")
        events = client.follow(job["id"])
        self.assertEqual([event["id"] for event in events], list(range(1, len(events) + 1)))
        states = [event["state"] for event in events if event["event"] == "state"]
        self.assertEqual(states, ["queued", "running", "succeeded"])
        self.assertEqual(client.sample("drawn").status, 200, "there the moment it has succeeded")
        job = client.job(job["id"])
        self.assertEqual((job["state"], job["version"], job["attempts"]), ("succeeded", 1, 1))
        self.assertEqual(job["progress"], {"step": 600, "steps": 600})
        self.assertGreater(job["train_loss"], 0)
        self.assertGreater(job["validation_loss"], 0)
        self.assertEqual(job["report"]["rows_used"], 200)
        self.assertIsNone(job["error"])
        self.assertLessEqual(job["created"], job["started"])
        self.assertLess(job["started"], job["finished"])
        self.assertEqual(client.daemon.metric('advectd_jobs{state="succeeded"}'), 1)
        model = client.daemon.request("GET", "/models/drawn/checkpoint").body
        kept = client.daemon.request("GET", f"/jobs/{job['id']}/checkpoint")
        self.assertEqual(kept.body, model)
        client.daemon.stop()

    def test_a_seed_is_drawn_and_stated(self):
        client = self.start_daemon()
        client.put()
        seeds = {client.train(seed=None, steps=1).json()["request"]["seed"] for _ in range(2)}
        self.assertEqual(len(seeds), 2)
        client.daemon.stop()

    def test_models_and_events_are_there_after_a_restart(self):
        folder = self.keep_dir()
        client = self.start_daemon(folder)
        client.put()
        job_id = client.start(steps=300)
        events = client.follow(job_id)
        job = client.job(job_id)
        client.daemon.kill()
        client = self.start_daemon(folder)
        self.assertEqual(client.job(job_id), job)
        self.assertEqual(client.follow(job_id), events)
        self.assertEqual(client.sample().status, 200)
        client.daemon.stop()

    def test_events_go_on_after_the_last_one_that_was_seen(self):
        client = self.start_daemon()
        client.put()
        job_id = client.start(steps=1000)
        events = client.follow(job_id)
        self.assertEqual(client.follow(job_id, "?after=3"), events[3:])
        self.assertEqual(client.follow(job_id, f"?after={len(events)}"), [])
        answer = client.events(job_id, headers={"Accept": "text/event-stream",
                                                "Last-Event-ID": "2"})
        self.assertEqual(answer.headers["content-type"], "text/event-stream")
        messages = answer.body.decode().split("\n\n")
        self.assertEqual(messages.pop(), "")
        for message, event in zip(messages, events[2:], strict=True):
            number, kind, data = message.split("\n")
            self.assertEqual(number, f"id: {event['id']}")
            self.assertEqual(kind, f"event: {event['event']}")
            self.assertEqual(json.loads(data.removeprefix("data: ")), event)
        client.daemon.stop()

    def test_progress_is_told_while_it_happens(self):
        client = self.start_daemon()
        client.put()
        job_id = client.start(steps=ENDLESS)
        connection = http.client.HTTPConnection(client.daemon.host, client.daemon.port, timeout=60)
        connection.request("GET", f"/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
        answer = connection.getresponse()
        kinds = set()
        while not {"state", "start", "progress", "checkpoint"} <= kinds:
            line = answer.readline().decode()
            kinds |= {line[7:-1]} if line.startswith("event: ") else set()
        job = client.job(job_id)
        self.assertEqual(job["state"], "running")
        self.assertGreater(job["progress"]["step"], 0)
        self.assertGreater(job["steps_per_second"], 0)
        self.assertGreater(job["remaining_seconds"], 0)
        connection.close()
        client.delete(job_id)
        client.wait_state(job_id, "cancelled")
        client.daemon.stop()

    def test_clients_that_leave_are_forgotten(self):
        client = self.start_daemon()
        client.put()
        job_id = client.start(steps=ENDLESS)
        until("it runs", lambda: client.job(job_id)["progress"]["step"] > 0)
        for _ in range(50):
            sock = client.daemon.connect()
            sock.sendall(f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            sock.recv(10)
            sock.close()
        descriptors = Path(f"/proc/{client.daemon.pid}/fd")
        until("connections to be closed", lambda: len(list(descriptors.iterdir())) < 40, 30)
        client.delete(job_id)
        client.wait_state(job_id, "cancelled")
        client.daemon.stop()

    def test_a_running_job_is_cancelled_and_keeps_its_weights(self):
        client = self.start_daemon()
        client.put()
        job_id = client.start(steps=ENDLESS)
        until("it runs", lambda: client.job(job_id)["progress"]["step"] > 400)
        early = client.daemon.request("GET", f"/jobs/{job_id}/checkpoint")
        self.assertEqual(early.status, 404)
        self.assertIn("no checkpoint yet", early.json()["detail"])
        answer = client.delete(job_id)
        self.assertEqual(answer.status, 202)
        self.assertTrue(answer.json()["cancelling"])
        job = client.wait_state(job_id, *ENDED)
        self.assertEqual(job["state"], "cancelled")
        self.assertNotIn("cancelling", job)
        self.assertEqual(client.sample().status, 404, "a cancelled job publishes nothing")
        weights = client.daemon.request("GET", f"/jobs/{job_id}/checkpoint")
        self.assertEqual(weights.status, 200)
        put = client.daemon.request("PUT", "/models/kept", weights.body,
                                    {"Content-Type": "application/octet-stream"})
        self.assertIn(put.status, (200, 201), put.body)
        self.assertEqual(client.sample("kept").status, 200)
        self.assertEqual(client.follow(job_id)[-1]["state"], "cancelled")
        client.daemon.stop()

    def test_jobs_run_one_at_a_time_in_order_and_a_queued_one_is_cancelled(self):
        client = self.start_daemon()
        client.put()
        first = client.start(steps=ENDLESS)
        second, third = client.start(steps=50), client.start(steps=50, model="third")
        client.wait_state(first, "running")
        self.assertEqual(client.job(second)["state"], "queued")
        listed = client.daemon.request("GET", "/jobs").json()
        self.assertEqual([job["id"] for job in listed["jobs"]], [third, second, first])
        self.assertEqual(listed["total"], 3)
        queued = client.daemon.request("GET", "/jobs?state=queued&limit=1").json()["jobs"]
        self.assertEqual([job["id"] for job in queued], [third])
        self.assertEqual(client.delete(second).status, 202)
        client.wait_state(second, "cancelled")
        client.delete(first)
        self.assertEqual(client.wait_state(third, *ENDED)["state"], "succeeded")
        self.assertEqual(client.job(first)["state"], "cancelled")
        self.assertEqual(client.job(second)["attempts"], 0)
        client.daemon.stop()

    def test_an_ended_job_is_deleted_with_its_folder(self):
        client = self.start_daemon()
        client.put()
        job_id = client.start(steps=20)
        client.wait_state(job_id, "succeeded")
        folder = client.daemon.data_dir / "jobs" / job_id
        self.assertTrue((folder / "events.ndjson").exists())
        self.assertFalse((folder / "data.csv").exists(), "the data is let go")
        self.assertEqual(client.delete(job_id).status, 204)
        self.assertFalse(folder.exists())
        self.assertEqual(client.delete(job_id).status, 404)
        self.assertEqual(client.sample().status, 200, "the model stays")
        client.daemon.stop()

    def test_an_idempotency_key_makes_one_job(self):
        folder = self.keep_dir()
        client = self.start_daemon(folder)
        client.put()
        key = {"Idempotency-Key": "a-1"}
        first = client.train(key, steps=30)
        self.assertEqual(first.status, 202)
        self.assertNotIn("idempotent-replayed", first.headers)
        again = client.train(key, steps=30)
        self.assertEqual(again.status, 202)
        self.assertEqual(again.headers["idempotent-replayed"], "true")
        self.assertEqual(again.headers["location"], first.headers["location"])
        self.refused(client.train(key, steps=31), 422, "Idempotency-Key")
        client.daemon.kill()
        client = self.start_daemon(folder)
        self.assertEqual(client.train(key, steps=30).json()["id"], first.json()["id"])
        self.refused(client.train({"Idempotency-Key": "x" * 200}), 422, "Idempotency-Key")
        self.refused(client.train({"Idempotency-Key": "a b"}), 422, "Idempotency-Key")
        self.assertEqual(client.daemon.request("GET", "/jobs").json()["total"], 1)
        client.daemon.stop()

    def test_a_hundred_equal_submissions_at_once_make_one_job(self):
        client = self.start_daemon()
        client.put()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: client.train({"Idempotency-Key": "k"}, steps=30),
                                    range(100)))
        self.assertLessEqual({answer.status for answer in answers}, {202, 409})
        ids = {answer.json()["id"] for answer in answers if answer.status == 202}
        self.assertEqual(len(ids), 1)
        self.assertEqual(client.daemon.request("GET", "/jobs").json()["total"], 1)
        client.daemon.stop()

    def test_a_killed_daemon_goes_on_with_its_jobs(self):
        folder = self.keep_dir()
        client = self.start_daemon(folder)
        client.put()
        job_id, behind = client.start(steps=60000), client.start(steps=40, model="behind")
        client.wait_saved(job_id)
        children = trainers(client.daemon)
        self.assertEqual(len(children), 1)
        client.daemon.kill()
        until("the trainer to die with the daemon",
              lambda: not Path(f"/proc/{children[0]}").exists(), 10)
        client = self.start_daemon(folder)
        events = client.follow(job_id)
        self.assertEqual(client.job(job_id)["state"], "succeeded")
        self.assertEqual(client.job(job_id)["attempts"], 2)
        starts = [event["step"] for event in events if event["event"] == "start"]
        self.assertEqual(starts[0], 0)
        self.assertGreater(starts[1], 0, "it did not begin anew")
        numbers = [event["id"] for event in events]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(client.wait_state(behind, *ENDED)["state"], "succeeded")
        self.assertEqual(client.sample().status, 200)
        client.daemon.stop()

    def test_a_killed_trainer_is_started_again(self):
        client = self.start_daemon()
        client.put()
        job_id = client.start(steps=60000)
        client.wait_saved(job_id)
        os.kill(trainers(client.daemon)[0], signal.SIGKILL)
        job = client.wait_state(job_id, *ENDED)
        self.assertEqual((job["state"], job["attempts"]), ("succeeded", 2))
        client.daemon.stop()

    def test_a_stopped_daemon_saves_and_goes_on(self):
        folder = self.keep_dir()
        client = self.start_daemon(folder)
        client.put()
        job_id = client.start(steps=60000)
        until("it runs", lambda: client.job(job_id)["progress"]["step"] > 0)
        sock = client.daemon.connect()
        sock.sendall(f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        sock.recv(10)
        began = time.monotonic()
        client.daemon.stop()
        self.assertLess(time.monotonic() - began, 20, "streams of events held it up")
        sock.close()
        self.assertTrue((Path(folder) / "jobs" / job_id / "state.safetensors").exists())
        client = self.start_daemon(folder)
        starts = [event["step"] for event in client.follow(job_id) if event["event"] == "start"]
        self.assertGreater(starts[-1], 0)
        self.assertEqual(client.job(job_id)["state"], "succeeded")
        client.daemon.stop()

    def test_a_wish_to_cancel_outlives_the_daemon(self):
        folder = self.keep_dir()
        client = self.start_daemon(folder)
        client.put()
        job_id = client.start(steps=ENDLESS)
        until("it runs", lambda: client.job(job_id)["progress"]["step"] > 0)
        os.kill(trainers(client.daemon)[0], signal.SIGSTOP)
        self.assertEqual(client.delete(job_id).status, 202)
        client.daemon.kill()
        client = self.start_daemon(folder)
        self.assertEqual(client.wait_state(job_id, *ENDED)["state"], "cancelled")
        self.assertEqual(client.job(job_id)["attempts"], 1)
        client.daemon.stop()

    def test_a_trainer_that_always_dies_fails_the_job(self):
        folder = Path(self.keep_dir())
        shutil.copy(harness.BINARY, folder / "advectd")
        (folder / "advect-train").write_text("#!/bin/sh\nkill -9 $$\n")
        (folder / "advect-train").chmod(0o755)
        real, harness.BINARY = harness.BINARY, str(folder / "advectd")
        try:
            client = self.start_daemon()
        finally:
            harness.BINARY = real
        client.put()
        job_id = client.start()
        job = client.wait_state(job_id, *ENDED)
        self.assertEqual((job["state"], job["attempts"]), ("failed", 3))
        self.assertIn("crash_loop", json.dumps(job["error"]))
        client.daemon.stop()

    def test_a_failed_job_says_why(self):
        client = self.start_daemon()
        client.put("odd", "a,b\n1,x\n2,y\n")
        job_id = client.start(dataset="odd", columns={"b": "numeric"})
        job = client.wait_state(job_id, *ENDED)
        self.assertEqual(job["state"], "failed")
        self.assertEqual(job["error"]["status"], 422)
        self.assertIn("b", job["error"]["detail"])
        self.assertEqual(client.daemon.request("GET", "/livez").status, 200)
        client.daemon.stop()

    def test_a_dataset_may_go_while_it_is_trained_on(self):
        client = self.start_daemon()
        client.put()
        blocker = client.start(steps=ENDLESS)
        job_id = client.start(steps=100, model="second")
        self.assertEqual(client.daemon.request("DELETE", "/datasets/small").status, 204)
        client.delete(blocker)
        self.assertEqual(client.wait_state(job_id, *ENDED)["state"], "succeeded")
        client.daemon.stop()

    def test_bad_requests_are_refused_by_name(self):
        client = self.start_daemon()
        client.put()
        self.refused(client.train(dataset="none"), 404, "/dataset")
        self.refused(client.train(stepz=3), 422, "/stepz")
        self.refused(client.train(steps="many"), 422, "/steps")
        self.refused(client.train(steps=0), 422, "/steps")
        self.refused(client.train(steps=10 ** 12), 422, "/steps")
        self.refused(client.train(model="../x"), 422, "/model")
        self.refused(client.train(columns={"width": "numeric"}), 422, "/columns/width")
        self.refused(client.train(columns={"kind": "colour"}), 422, "/columns/kind")
        daemon = client.daemon
        self.assertEqual(daemon.request("POST", "/train", "{", {
            "Content-Type": "application/json"}).status, 400)
        self.assertEqual(daemon.request("POST", "/train", "{}", {
            "Content-Type": "text/plain"}).status, 415)
        self.assertEqual(daemon.request("POST", "/train", {"x": "y" * 70000}).status, 413)
        self.assertEqual(daemon.request("GET", "/jobs").json(), {"jobs": [], "total": 0})
        for path in ("/jobs/none", "/jobs/none/events", "/jobs/none/checkpoint"):
            self.refused(daemon.request("GET", path), 404, "job")
        self.refused(daemon.request("GET", "/jobs?state=done"), 422, "state")
        self.refused(daemon.request("GET", "/jobs?limit=x"), 422, "limit")
        job_id = client.start(steps=10)
        self.refused(client.events(job_id, "?after=-1"), 422, "after")
        self.refused(client.events(job_id, headers={"Last-Event-ID": "x"}), 422, "Last-Event-ID")
        self.refused(client.events(job_id, headers={"Accept": "text/csv"}), 406, "event-stream")
        self.assertEqual(client.wait_state(job_id, *ENDED)["state"], "succeeded")
        daemon.stop()


if __name__ == "__main__":
    unittest.main()
