#!/usr/bin/python3
"""HTTP as the daemon speaks it, and what it refuses: framing that two parsers could read in two
ways, targets and headers that are not HTTP, clients that are slow or leave."""
import json
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import harness

GET = b"GET /livez HTTP/1.1\r\nHost: a\r\n"
SECOND = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
LAST = GET + b"Connection: close\r\n\r\n"

# Name: what is sent (a second request follows each), and the status it must get.
REFUSED = {
    "content-length and chunked": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        b"\r\n0\r\n\r\n", 400),
    "chunked and content-length": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n"
        b"\r\n0\r\n\r\n", 400),
    "space before the colon of transfer-encoding": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "two content-lengths": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
        400),
    "the same content-length twice": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        400),
    "content-length with a sign": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    "negative content-length": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nabc", 400),
    "a list as content-length": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
    "an empty content-length": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nabc", 400),
    "content-length of 2^64": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\nabc", 413),
    "transfer-encoding unknown": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "transfer-encoding gzip, chunked": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400),
    "transfer-encoding twice": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in HTTP/1.0": (
        b"POST /livez HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two hosts": (b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "two hosts in HTTP/1.0": (b"GET /livez HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "no host": (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    "%00 in the path": (b"GET /livez%00x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "%00 in the query": (b"GET /livez?a=%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "half an escape": (b"GET /livez%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an escape that is not hex": (b"GET /livez%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target in absolute form": (b"GET http://127.0.0.1/livez HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target without a slash": (b"GET livez HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space in the target": (b"GET /li vez HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a byte above ASCII in the target": (b"GET /livez\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "DEL in the target": (b"GET /livez\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a header name with a space": (GET + b"X Y: 1\r\n\r\n", 400),
    "a header name with a slash": (GET + b"X/Y: 1\r\n\r\n", 400),
    "a control character in a value": (GET + b"X: a\x01b\r\n\r\n", 400),
    "an escape character in a value": (GET + b"X: \x1b[2J\r\n\r\n", 400),
    "a header without a colon": (GET + b"nonsense\r\n\r\n", 400),
    "more headers than anyone sends": (GET + b"X: 1\r\n" * 101 + b"\r\n", 400),
    "headers of 70 KB": (GET + b"X: " + b"a" * 70000 + b"\r\n\r\n", 431),
    "HTTP/9.9": (b"GET /livez HTTP/9.9\r\nHost: a\r\n\r\n", 505),
    "a chunk size that is not hex": (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 404),
}


def statuses(received):
    """The status of each answer in a byte stream."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", received)]


class Refusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = harness.Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def test_what_is_not_http_is_refused_and_nothing_behind_it_is_served(self):
        for name, (request, status) in REFUSED.items():
            with self.subTest(name):
                received = self.daemon.exchange(request + SECOND, timeout=5)
                self.assertEqual(statuses(received)[:1], [status], received[:300])
                self.assertNotIn(b"advectd_build_info", received)
        self.assertEqual(self.daemon.request("GET", "/livez").status, 200)

    def test_a_refusal_closes_the_connection_and_is_a_problem_document(self):
        received = self.daemon.exchange(REFUSED["two hosts"][0])
        head, body = received.split(b"\r\n\r\n", 1)
        self.assertIn(b"Connection: close", head)
        self.assertIn(b"Content-Type: application/problem+json", head)
        problem = json.loads(body)
        self.assertEqual(problem["status"], 400)
        self.assertEqual(problem["errors"][0]["place"], "Host")

    def test_path_problems(self):
        cases = [("GET", "/nothing", 404), ("GET", "/", 404), ("GET", "/livez/", 404),
                 ("GET", "//livez", 404), ("GET", "/livez/../metrics", 404),
                 ("POST", "/livez", 405), ("DELETE", "/metrics", 405), ("BREW", "/livez", 405)]
        for method, path, status in cases:
            with self.subTest(f"{method} {path}"):
                answer = self.daemon.request(method, path)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["content-type"], "application/problem+json")
                self.assertEqual(answer.json()["status"], status)
                self.assertTrue(answer.json()["type"].startswith("urn:advectd:problem:"))
                self.assertEqual("allow" in answer.headers, status == 405)

    def test_405_names_the_methods(self):
        self.assertEqual(self.daemon.request("PUT", "/livez").headers["allow"],
                         "GET, HEAD, OPTIONS")

    def test_a_body_where_none_belongs_is_refused_unread(self):
        answer = self.daemon.request("GET", "/livez", body=b"abc")
        self.assertEqual(answer.status, 413)
        chunked = (b"GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                   b"3\r\nabc\r\n0\r\n\r\n")
        received = self.daemon.exchange(chunked + SECOND)
        self.assertEqual(statuses(received), [413])

    def test_compressed_bodies_are_refused(self):
        answer = self.daemon.request("GET", "/livez", headers={"Content-Encoding": "gzip"})
        self.assertEqual(answer.status, 415)
        self.assertEqual(answer.json()["errors"][0]["place"], "Content-Encoding")
        answer = self.daemon.request("GET", "/livez", headers={"Content-Encoding": "identity"})
        self.assertEqual(answer.status, 200)

    def test_a_client_that_asks_first_does_not_send_its_body(self):
        with self.daemon.connect() as sock:
            sock.sendall(b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n"
                         b"Expect: 100-continue\r\n\r\n")
            received = sock.recv(65536)
        self.assertEqual(statuses(received), [404])

    def test_errors_show_no_inside(self):
        for path in ["/nothing", "/livez%zz", "/models/../../etc/passwd"]:
            body = self.daemon.request("GET", path).body.decode()
            for part in [str(self.daemon.data_dir), ".c:", "0x", "etc/passwd"]:
                self.assertNotIn(part, body)


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = harness.Daemon("--log-level", "debug")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def test_answers_carry_the_headers_of_an_api(self):
        first = self.daemon.request("GET", "/livez")
        second = self.daemon.request("GET", "/livez")
        self.assertEqual(first.headers["x-content-type-options"], "nosniff")
        self.assertEqual(first.headers["cache-control"], "no-store")
        self.assertNotEqual(first.headers["x-request-id"], second.headers["x-request-id"])

    def test_the_contract_is_served_as_it_is_written(self):
        answer = self.daemon.request("GET", "/openapi.yaml")
        self.assertEqual(answer.headers["content-type"], "application/yaml")
        self.assertEqual(answer.body, (harness.ROOT / "proto/openapi.yaml").read_bytes())

    def test_head_has_the_length_and_no_body(self):
        answer = self.daemon.request("HEAD", "/livez")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(int(answer.headers["content-length"]),
                         len(self.daemon.request("GET", "/livez").body))

    def test_options_names_the_methods(self):
        answer = self.daemon.request("OPTIONS", "/readyz")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS")

    def test_json_ends_with_a_line_end_for_the_terminal(self):
        for path in ["/jobs", "/jobs/none", "/datasets", "/models", "/readyz", "/nothing"]:
            with self.subTest(path):
                self.assertTrue(self.daemon.request("GET", path).body.endswith(b"}\n"))

    def test_requests_in_one_packet_are_answered_in_order(self):
        received = self.daemon.exchange(
            GET + b"\r\n" + b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
        self.assertEqual(statuses(received), [200, 404, 200])

    def test_http_1_0_is_answered_and_closed(self):
        received = self.daemon.exchange(b"GET /livez HTTP/1.0\r\n\r\n")
        self.assertTrue(received.startswith(b"HTTP/1."))
        self.assertTrue(received.endswith(b'{"status":"alive"}\n'))

    def test_a_request_may_come_byte_by_byte(self):
        with self.daemon.connect() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in LAST:
                sock.sendall(bytes([byte]))
            self.assertEqual(statuses(sock.recv(65536)), [200])

    def test_slow_clients_do_not_hold_up_others(self):
        slow = [self.daemon.connect() for _ in range(50)]
        for sock in slow:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHo")
        started = time.monotonic()
        for _ in range(20):
            self.assertEqual(self.daemon.request("GET", "/livez").status, 200)
        self.assertLess(time.monotonic() - started, 5)
        for sock in slow:
            sock.sendall(b"st: a\r\n\r\n")
            self.assertEqual(statuses(sock.recv(65536)), [200])
            sock.close()

    def test_a_client_that_never_ends_its_headers_is_cut(self):
        started = time.monotonic()
        with self.daemon.connect() as sock:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n")
            sock.settimeout(1)
            received = None
            while received is None:
                self.assertLess(time.monotonic() - started, 20)
                try:
                    sock.sendall(b"X: 1\r\n")
                    received = sock.recv(100)
                except socket.timeout:
                    continue
                except (ConnectionResetError, BrokenPipeError):
                    break
        self.assertGreater(time.monotonic() - started, 8)

    def test_connections_that_end_anywhere_leave_nothing_behind(self):
        before = self.daemon.metric("process_open_fds")
        for end in range(0, len(LAST), 3):
            with self.daemon.connect() as sock:
                sock.sendall(LAST[:end])
        self.assertEqual(self.daemon.request("GET", "/livez").status, 200)
        limit = time.monotonic() + 10
        while self.daemon.metric("process_open_fds") > before:
            self.assertLess(time.monotonic(), limit)
            time.sleep(0.05)
        # The one that asks.
        self.assertEqual(self.daemon.metric("advectd_http_connections"), 1)

    def test_many_clients_at_once(self):
        failures = []

        def work():
            for _ in range(50):
                answer = self.daemon.request("GET", "/readyz")
                if answer.status != 200:
                    failures.append(answer.status)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_metrics_are_prometheus_text(self):
        self.daemon.request("GET", "/nothing")
        answer = self.daemon.request("GET", "/metrics")
        self.assertTrue(answer.headers["content-type"].startswith("text/plain; version=0.0.4"))
        families = set()
        for line in answer.body.decode().splitlines():
            if line.startswith("# TYPE "):
                self.assertNotIn(line.split()[2], families)
                families.add(line.split()[2])
            elif not line.startswith("#"):
                self.assertRegex(line, r'^[a-z_]+(\{([a-z]+="[^"\\]*",?)+\})? \S+$')
                float(line.rsplit(" ", 1)[1])
        self.assertIn("advectd_http_requests_total", families)
        counted = 'advectd_http_requests_total{operation="none",code="404"}'
        before = self.daemon.metric(counted)
        self.daemon.request("GET", "/nothing")
        self.assertEqual(self.daemon.metric(counted), before + 1)
        count = 'advectd_http_request_duration_seconds_count{operation="livez"}'
        bucket = 'advectd_http_request_duration_seconds_bucket{operation="livez",le="+Inf"}'
        self.daemon.request("GET", "/livez")
        self.assertGreaterEqual(self.daemon.metric(count), 1)
        self.assertEqual(self.daemon.metric(count), self.daemon.metric(bucket))

    def test_the_log_cannot_be_forged(self):
        target = "/x%0d%0a%1b[31m" + "y" * 5000
        self.daemon.request("GET", target)
        self.daemon.exchange(b"GET /q\"\\ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        lines = self.daemon.stderr().splitlines()
        for line in lines:
            self.assertLessEqual(len(line), 4095)
            json.loads(line)
        cut = [line for line in self.daemon.log_lines()
               if line.get("target", "").startswith("/x%0d")]
        self.assertEqual([line["target"] for line in cut], [target[:200]])
        self.assertEqual((cut[0]["status"], cut[0]["outcome"]), (404, "ok"))


class Ends(unittest.TestCase):
    def test_sigterm_and_sigint_end_with_0(self):
        for number in [signal.SIGTERM, signal.SIGINT]:
            daemon = harness.Daemon()
            idle = daemon.connect()
            started = time.monotonic()
            daemon.stop(number)
            self.assertLess(time.monotonic() - started, 5)
            self.assertEqual(idle.recv(1), b"")
            idle.close()

    def test_a_request_under_way_is_answered_503_while_draining(self):
        daemon = harness.Daemon()
        sock = daemon.connect()
        sock.sendall(b"GET /readyz HTTP/1.1\r\n")
        self.assertEqual(daemon.request("GET", "/livez").status, 200)
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with self.assertRaises(ConnectionRefusedError):
            daemon.connect()
        sock.sendall(b"Host: a\r\n\r\n")
        received = b""
        while piece := sock.recv(65536):
            received += piece
        sock.close()
        self.assertEqual(statuses(received), [503])
        self.assertIn(b"Retry-After: ", received)
        self.assertIn(b"Connection: close", received)
        daemon.stop()

    def test_a_second_signal_does_not_wait_for_slow_clients(self):
        daemon = harness.Daemon()
        sock = daemon.connect()
        sock.sendall(b"GET /readyz HTTP/1.1\r\n")
        self.assertEqual(daemon.request("GET", "/livez").status, 200)
        started = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        daemon.stop()
        self.assertLess(time.monotonic() - started, 8)
        sock.close()

    def test_work_that_outlives_its_client_does_not_hurt_the_end(self):
        daemon = harness.Daemon()
        body = b"a,b\n" + b"1.2345,2.3456\n" * 2_000_000
        with daemon.connect() as sock:
            sock.sendall(b"PUT /datasets/left HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(body) + body)
            # Its last byte is on the disk, and the file is being read.
            limit = time.monotonic() + 20
            while not any(file.stat().st_size == len(body)
                          for file in (daemon.data_dir / "tmp").iterdir()):
                self.assertLess(time.monotonic(), limit)
        daemon.stop()


class CommandLine(unittest.TestCase):
    def run_binary(self, *arguments, **variables):
        return subprocess.run([harness.BINARY, *arguments], capture_output=True, text=True,
                              timeout=60, env={"PATH": "/usr/bin", **variables})

    def test_version_and_help(self):
        version = self.run_binary("--version")
        self.assertEqual(version.returncode, 0)
        for name in ["advectd", "libmicrohttpd", "libuv", "jansson", "SQLite", "OpenBLAS"]:
            self.assertRegex(version.stdout, rf"(?m)^{name} \d")
        usage = self.run_binary("--help")
        self.assertEqual(usage.returncode, 0)
        self.assertIn("--data-dir", usage.stdout)

    def test_what_cannot_be_done_is_said(self):
        cases = [(["--nonsense"], "--nonsense"), (["--listen"], "--listen"),
                 (["--listen", "example.org:80"], "listen"), (["--workers", "0"], "--workers"),
                 (["--listen", "127.0.0.1:70000"], "listen"),
                 (["--log-level", "loud"], "--log-level"), (["--grace=x"], "--grace"),
                 (["--pin", "some"], "--pin")]
        for arguments, name in cases:
            with self.subTest(arguments):
                ended = self.run_binary(*arguments)
                self.assertEqual(ended.returncode, 1)
                self.assertIn(name, ended.stderr)
        self.assertIn("ADVECTD_WORKERS", self.run_binary(ADVECTD_WORKERS="many").stderr)

    def test_an_address_in_use_is_said(self):
        daemon = harness.Daemon()
        ended = self.run_binary("--listen", f"127.0.0.1:{daemon.port}", "--data-dir",
                                str(daemon.data_dir) + "-second")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("Address already in use", ended.stderr)
        daemon.stop()

    def test_healthcheck_follows_readyz(self):
        daemon = harness.Daemon()
        listen = f"127.0.0.1:{daemon.port}"
        self.assertEqual(self.run_binary("--healthcheck", "--listen", listen).returncode, 0)
        wildcard = f"0.0.0.0:{daemon.port}"
        self.assertEqual(self.run_binary("--healthcheck", ADVECTD_LISTEN=wildcard).returncode, 0)
        daemon.stop()
        ended = self.run_binary("--healthcheck", "--listen", listen)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("No answer", ended.stderr)


if __name__ == "__main__":
    unittest.main()
