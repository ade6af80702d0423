#!/usr/bin/python3
"""Datasets: what is uploaded is described and kept; what cannot be read is refused by its place,
and leaves nothing."""
import hashlib
import io
import os
import resource
import shutil
import tempfile
import threading
import unittest

import harness
import numpy as np

DATA = harness.ROOT / "tests/data"
CSV = {"Content-Type": "text/csv"}
NPY = {"Content-Type": "application/x-npy"}
TRAVERSALS = [
    "..", "../x", "%2e%2e", "%2e%2e%2fx", "%252e%252e", "..%2f..%2fetc%2fpasswd", "%c0%ae%c0%ae",
    ".", "a/.", "a%2fb", "a%5cb", "A", "Iris", "a.csv", "-a", "_a", "a" * 65, "%c3%a9", "a%20b",
    "a%0ab", "a%22b", "~", "%20", "a;b", "a%3Fb", "...", "a%00",
]


def npy(array, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=version, allow_pickle=True)
    return out.getvalue()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = harness.Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def put(self, name, body, headers=CSV):
        return self.daemon.request("PUT", f"/datasets/{name}", body, headers)

    def get(self, name):
        return self.daemon.request("GET", f"/datasets/{name}")

    def problem(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        for word in words:
            self.assertIn(word, answer.body.decode())

    def files(self, folder):
        return sorted(path.name for path in (self.daemon.data_dir / folder).iterdir())


class Good(Case):
    def test_penguins_are_described_column_by_column(self):
        body = (DATA / "penguins.csv").read_bytes()
        answer = self.put("penguins", body)
        self.assertEqual(answer.status, 201, answer.body)
        described = answer.json()
        self.assertEqual(described["name"], "penguins")
        self.assertEqual(described["format"], "csv")
        self.assertEqual(described["rows"], 344)
        self.assertEqual(described["bytes"], len(body))
        self.assertEqual(described["sha256"], hashlib.sha256(body).hexdigest())
        columns = {column["name"]: column for column in described["columns"]}
        species = columns["Species"]
        self.assertEqual(species["kind"], "categorical")
        self.assertEqual({level["value"]: level["rows"] for level in species["levels"]},
                         {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124})
        self.assertTrue(any(column["missing"] for column in columns.values()))
        self.assertEqual(self.get("penguins").json(), described)

    def test_iris_has_the_statistics_that_numpy_finds(self):
        body = (DATA / "iris.csv").read_bytes()
        described = self.put("iris", body).json()
        rows = [line.split(",") for line in body.decode().splitlines() if line]
        for i, column in enumerate(described["columns"]):
            if column["kind"] == "categorical":
                continue
            values = np.array([row[i] for row in rows[1:]], float)
            self.assertAlmostEqual(column["mean"], values.mean(), 10)
            self.assertAlmostEqual(column["std"], values.std(), 10)
            self.assertEqual(column["min"], values.min())
            self.assertEqual(column["max"], values.max())

    def test_replacing_answers_200_and_keeps_one_file(self):
        self.assertEqual(self.put("again", "a\n1\n2\n").status, 201)
        before = len(self.files("datasets"))
        self.assertEqual(self.put("again", "a\n1\n2\n3\n").status, 200)
        self.assertEqual(len(self.files("datasets")), before)
        self.assertEqual(self.get("again").json()["rows"], 3)

    def test_removed_dataset_is_gone(self):
        self.put("gone", "a\n1\n2\n")
        answer = self.daemon.request("DELETE", "/datasets/gone")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.problem(self.get("gone"), 404, "gone")
        self.problem(self.daemon.request("DELETE", "/datasets/gone"), 404)

    def test_list_is_in_order_and_short(self):
        self.put("zeta", "a\n1\n2\n")
        self.put("alpha", "a\n1\n2\n")
        listed = self.daemon.request("GET", "/datasets").json()["datasets"]
        names = [entry["name"] for entry in listed]
        self.assertEqual(names, sorted(names))
        self.assertLessEqual({"alpha", "zeta"}, set(names))
        self.assertNotIn("columns", listed[0])

    def test_arrays_have_plain_columns(self):
        array = np.random.default_rng(1).normal(3, 2, (1000, 3)).astype("float32")
        answer = self.put("array", npy(array), NPY)
        self.assertEqual(answer.status, 201, answer.body)
        described = answer.json()
        self.assertEqual((described["format"], described["rows"]), ("npy", 1000))
        self.assertEqual([column["name"] for column in described["columns"]], ["x0", "x1", "x2"])
        for i, column in enumerate(described["columns"]):
            self.assertEqual(column["kind"], "numeric")
            self.assertAlmostEqual(column["mean"], array[:, i].astype(float).mean(), 5)
            self.assertAlmostEqual(column["std"], array[:, i].astype(float).std(), 5)

    def test_every_numeric_type_and_rank_one_are_read(self):
        for kind in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):
            for shape in ((6,), (3, 2)):
                array = np.arange(6).reshape(shape).astype("<" + kind)
                answer = self.put("kinds", npy(array), NPY)
                self.assertIn(answer.status, (200, 201), (kind, shape, answer.body))
                self.assertEqual(answer.json()["columns"][0]["max"], array[..., 0].max()
                                 if len(shape) == 2 else array.max())

    def test_type_may_be_absent_and_is_then_seen_in_the_bytes(self):
        self.assertEqual(self.put("sniffed", "a\n1\n2\n", {}).json()["format"], "csv")
        self.assertEqual(self.put("sniffed", npy(np.ones((2, 1))), {}).json()["format"], "npy")

    def test_large_table_arrives_whole(self):
        body = "n,word\n" + "".join(f"{i},w{i % 7}\n" for i in range(300_000))
        answer = self.put("large", body)
        self.assertEqual(answer.status, 201, answer.body)
        self.assertEqual(answer.json()["rows"], 300_000)
        self.assertEqual(answer.json()["sha256"], hashlib.sha256(body.encode()).hexdigest())


class Bad(Case):
    def tearDown(self):
        self.assertEqual(self.files("datasets"), [])
        self.assertEqual(self.files("tmp"), [])
        self.assertEqual(self.daemon.request("GET", "/livez").status, 200)

    def test_ragged_row_is_named_by_its_line(self):
        self.problem(self.put("bad", "a,b\n1,2\n3\n4,5\n"), 422, "line 3")
        self.problem(self.put("bad", "a,b\n1,2\n3,4,5\n"), 422, "line 3")

    def test_empty_uploads_say_so(self):
        self.problem(self.put("bad", ""), 422, "empty")
        self.problem(self.put("bad", b"", {}), 422, "empty")
        self.problem(self.put("bad", "a,b\n"), 422)

    def test_other_broken_tables_are_named_by_their_place(self):
        for body, place in [
            ('a,b\n"1,2\n', "line"),
            (b"a,b\n1,\x00\n", "line 2"),
            (b"a,b\n1,\xff\n", "line 2"),
            ("a,a\n1,2\n", "a"),
            ("a,\n1,2\n", ""),
            ("1,2\n3,4\n", "line 1"),
            ("a\n" + "x" * 5000 + "\n", "line 2"),
        ]:
            with self.subTest(body=body[:20]):
                self.problem(self.put("bad", body), 422, place)

    def test_forms_and_other_types_are_refused_with_advice(self):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        self.problem(self.put("bad", "a\n1\n", form), 415, "text/csv")
        other = {"Content-Type": "application/json"}
        self.problem(self.put("bad", "a\n1\n", other), 415, "text/csv")
        self.problem(self.put("bad", npy(np.ones((2, 1))), CSV), 415, "application/x-npy")
        self.problem(self.put("bad", "a\n1\n", NPY), 415, "NPY")

    def test_pickles_and_archives_are_refused_by_name(self):
        self.problem(self.put("bad", b"PK\x03\x04" + b"x" * 100, {}), 415, "zip")
        self.problem(self.put("bad", b"\x80\x02}q\x00.", {}), 415, "pickle")

    def test_broken_arrays_are_refused(self):
        whole = npy(np.arange(6.0).reshape(3, 2))
        infinite = npy(np.array([[1, 2], [3, np.inf]]))
        self.problem(self.put("bad", infinite, NPY), 422, "row 1, column x1")
        for body in (whole[:-1], whole + b"x", whole[:20], whole[:7],
                     npy(np.array([{}, {}], dtype=object)), npy(np.ones((2, 2, 2))),
                     npy(np.asfortranarray(np.arange(6.0).reshape(3, 2))), npy(np.ones((0, 2))),
                     npy(np.ones((2, 2), ">f4")), npy(np.ones((2, 2), "c8"))):
            self.problem(self.put("bad", body, NPY), 422)

    def test_body_over_the_limit_is_refused_before_it_is_sent(self):
        head = (b"PUT /datasets/bad HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
                b"Content-Length: 3000000000\r\n\r\n")
        self.assertIn(b" 413 ", self.daemon.exchange(head).split(b"\r\n")[0])

    def test_names_that_are_none_never_reach_the_disk(self):
        for name in TRAVERSALS:
            for method in ("PUT", "GET", "DELETE"):
                with self.subTest(name=name, method=method):
                    body = "a\n1\n2\n" if method == "PUT" else None
                    answer = self.daemon.request(method, f"/datasets/{name}", body, CSV)
                    self.assertIn(answer.status, (400, 404, 405, 422), answer.body)
                    self.assertIn("problem+json", answer.headers["content-type"])
        self.problem(self.put("Iris", "a\n1\n"), 422, "a-z")


class Crash(unittest.TestCase):
    def test_what_was_acknowledged_survives_kill_9(self):
        first = harness.Daemon()
        acknowledged = {}
        stop = threading.Event()

        def upload():
            for i in range(1000):
                if stop.is_set():
                    return
                body = "a,b\n" + f"{i},{i}.5\n" * (i + 1)
                try:
                    answer = first.request("PUT", f"/datasets/d{i % 7}", body, CSV)
                except OSError:
                    return
                if answer.status in (200, 201):
                    acknowledged[f"d{i % 7}"] = i

        thread = threading.Thread(target=upload)
        thread.start()
        while len(acknowledged) < 5:
            thread.join(0.05)
        thread.join(0.3)
        first.kill()
        stop.set()
        thread.join()
        second = harness.Daemon(data_dir=first.data_dir)
        for name, i in acknowledged.items():
            described = second.request("GET", f"/datasets/{name}").json()
            # The one that was under way may have replaced it without an answer.
            self.assertIn(described["rows"], (i + 1, i + 8))
            self.assertEqual(described["columns"][0]["max"], described["rows"] - 1)
        listed = second.request("GET", "/datasets").json()["datasets"]
        self.assertEqual(len(listed), len(list((first.data_dir / "datasets").iterdir())))
        self.assertEqual(list((first.data_dir / "tmp").iterdir()), [])
        second.stop()
        first.clean_up()

    def test_second_daemon_on_the_same_folder_is_refused(self):
        first = harness.Daemon()
        with self.assertRaises(AssertionError) as caught:
            harness.Daemon(data_dir=first.data_dir)
        self.assertIn("another advectd", str(caught.exception))
        first.stop()


class Damage(unittest.TestCase):
    def test_a_failing_database_is_told_and_a_restart_heals_it(self):
        data_dir = tempfile.mkdtemp(prefix="advectd-")
        self.addCleanup(shutil.rmtree, data_dir)
        daemon = harness.Daemon(data_dir=data_dir)
        put = lambda: daemon.request("PUT", "/datasets/d", "a\n1\n2\n",
                                     {"Content-Type": "text/csv"})
        self.assertEqual(put().status, 201)
        most = os.stat(f"{data_dir}/advectd.db-wal").st_size
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        while (status := put().status) == 200:
            pass
        self.assertEqual(status, 500)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.assertEqual(put().status, 503)
        self.assertEqual(daemon.request("POST", "/train", {"dataset": "d"}).status, 503)
        ready = daemon.request("GET", "/readyz")
        self.assertEqual(ready.status, 503)
        self.assertIn("database", ready.json()["detail"])
        self.assertEqual(daemon.request("GET", "/datasets/d").status, 200)
        daemon.stop()
        daemon = harness.Daemon(data_dir=data_dir)
        self.assertEqual(put().status, 200)
        daemon.stop()


if __name__ == "__main__":
    unittest.main()
