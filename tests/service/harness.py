"""Starts the built daemon for a test: the real binary, on a free port of loopback, in a folder of
its own. Standard library and numpy only."""
import atexit
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("ADVECTD_BINARY", str(ROOT / "build/server/advectd"))
START_SECONDS = 30
STOP_SECONDS = 60
BROKEN = re.compile(r"Sanitizer|runtime error:|check failed|On entry to|panic")


class Answer:
    """Status, headers (names in lower case) and body."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


class Daemon:
    """A running advectd. data_dir: kept when given, else made and removed with the daemon."""

    def __init__(self, *arguments, data_dir=None, environment=None, wait=True):
        self.own_dir = data_dir is None
        self.data_dir = Path(data_dir or tempfile.mkdtemp(prefix="advectd-"))
        self.log = tempfile.TemporaryFile(mode="w+")
        command = [BINARY, "--listen", "127.0.0.1:0", "--data-dir", str(self.data_dir), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env={**os.environ, **(environment or {})})
        atexit.register(self.clean_up)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on (\S+//([\d.]+):(\d+))\n", line)
        if not found:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"advectd said {line!r}:\n{self.stderr()}")
        self.url, self.host, self.port = found[1], found[2], int(found[3])
        if wait:
            self.wait_until_ready()

    @property
    def pid(self):
        return self.process.pid

    def wait_until_ready(self):
        limit = time.monotonic() + START_SECONDS
        while self.request("GET", "/readyz").status != 200:
            if time.monotonic() > limit:
                raise AssertionError(f"not ready after {START_SECONDS} s:\n{self.stderr()}")
            time.sleep(0.02)

    def request(self, method, path, body=None, headers=None, timeout=60):
        """One request on a connection of its own. A dict or list as body is sent as JSON."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def connect(self, timeout=30):
        """A raw socket."""
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def exchange(self, data, timeout=30):
        """Sends raw bytes and reads until the daemon closes the connection (or goes quiet)."""
        received = b""
        with self.connect(timeout) as sock:
            try:
                sock.sendall(data)
                while piece := sock.recv(65536):
                    received += piece
            except (socket.timeout, ConnectionResetError, BrokenPipeError):
                pass
        return received

    def metric(self, name):
        """The value of a line of /metrics; name with its labels."""
        for line in self.request("GET", "/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def stderr(self):
        self.log.seek(0)
        return self.log.read()

    def log_lines(self):
        return [json.loads(line) for line in self.stderr().splitlines() if line.startswith("{")]

    def stop(self, signal_number=signal.SIGTERM):
        """Ends it in good order; fails when it does not, or has said that something broke."""
        self.process.send_signal(signal_number)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "none: it had to be killed"
        said = self.stderr()
        self.clean_up()
        if code != 0 or BROKEN.search(said):
            raise AssertionError(f"advectd ended with {code}:\n{said[-20000:]}")
        return said

    def kill(self):
        """kill -9; the data directory stays until clean_up."""
        self.process.kill()
        self.process.wait()

    def clean_up(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if self.own_dir:
            shutil.rmtree(self.data_dir, ignore_errors=True)
