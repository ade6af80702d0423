#!/usr/bin/python3
"""A power cut, as the file system sees it: ext4 on a loop device is shut down without writing its
log (EXT4_IOC_SHUTDOWN), so that all that was not synced is lost. Needs root and a loop device."""
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import harness
import safetensors

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, uint32_t)
NO_LOG_FLUSH = struct.pack("I", 2)
TRIALS = 3


class PowerCut(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="advectd-power-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.disk, self.image = self.folder / "disk", self.folder / "image"
        self.disk.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(64 * 1024 * 1024)
        try:
            subprocess.run(["mkfs.ext4", "-q", self.image], check=True, capture_output=True)
            self.mount()
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"no ext4 on a loop device here: {error}")
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], capture_output=True)

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.disk], check=True,
                       capture_output=True)

    def cut(self):
        fd = os.open(self.disk, os.O_RDONLY)
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH)
        os.close(fd)

    def write(self, daemon, acknowledged):
        """Uploads one after the other until the disk is gone; says what was answered with 2xx."""
        for i in range(10_000):
            kind, name = ("datasets", f"d{i % 5}") if i % 2 else ("models", f"m{i % 5}")
            body = f"a\n{i}\n{i + 1}\n" if i % 2 else safetensors.model(seed=i)
            try:
                answer = daemon.request("PUT", f"/{kind}/{name}", body, {}, timeout=10)
            except OSError:
                return
            if answer.status not in (200, 201):
                return
            acknowledged[kind, name] = answer.json()

    def check(self, acknowledged, daemon):
        for (kind, name), described in acknowledged.items():
            now = daemon.request("GET", f"/{kind}/{name}")
            self.assertEqual(now.status, 200, f"{kind}/{name} was acknowledged, and is lost")
            if kind == "models":
                self.assertGreaterEqual(now.json()["version"], described["version"])
                self.assertEqual(now.json()["state"], "ready", now.body)
            else:
                # An upload that was under way may be there without an answer.
                first = described["columns"][0]["min"]
                self.assertIn(now.json()["columns"][0]["min"], (first, first + 10))

    def trial(self):
        daemon = harness.Daemon(data_dir=self.disk / "var")
        acknowledged = {}
        writer = threading.Thread(target=self.write, args=(daemon, acknowledged))
        writer.start()
        while writer.is_alive() and len(acknowledged) < 10:
            writer.join(0.02)
        self.assertTrue(writer.is_alive(), daemon.stderr())
        # A machine without power answers nothing more. Here the kernel lives on, and an fsync that
        # meets the shutdown can still report success (its transaction is gone, not waited for).
        before = dict(acknowledged)
        self.cut()
        writer.join()
        daemon.kill()
        subprocess.run(["umount", self.disk], check=True)
        self.mount()
        daemon = harness.Daemon(data_dir=self.disk / "var")
        self.check(before, daemon)
        daemon.stop()

    def test_what_was_acknowledged_survives(self):
        for _ in range(TRIALS):
            self.trial()


if __name__ == "__main__":
    unittest.main()
