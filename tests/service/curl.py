"""The real curl program, as a user of the README has it."""
import json
import subprocess
import tempfile
from pathlib import Path


class Answer:
    """Status, headers (names in lower case) and body of one call."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


def run(*arguments, timeout=120):
    """curl with these arguments; raises when curl itself fails."""
    with tempfile.TemporaryDirectory() as folder:
        head, body = Path(folder, "head"), Path(folder, "body")
        subprocess.run(["curl", "-sS", "-D", head, "-o", body, *map(str, arguments)],
                       check=True, timeout=timeout)
        blocks = head.read_text().replace("\r", "").strip().split("\n\n")
        lines = blocks[-1].splitlines()  # a 100 Continue stands before the answer
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        return Answer(int(lines[0].split()[1]), {k.lower(): v for k, v in headers.items()},
                      body.read_bytes() if body.exists() else b"")


def post(url, request, *arguments, timeout=120):
    """POSTs what `request` says as JSON, as `curl -d` does."""
    return run(url, "-H", "Content-Type: application/json", "--data-binary", json.dumps(request),
               *arguments, timeout=timeout)
