#!/usr/bin/python3
"""The same bits on ARM: the numeric core is compiled for aarch64, runs under qemu, and must print
the digests that this machine prints. test_neon.py takes the built program of this machine and the
compiler's flags from meson."""
import os
import shutil
import subprocess
import tempfile
import unittest
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST = os.environ["DIGESTS_BINARY"]
FLAGS = os.environ["DIGESTS_FLAGS"].split()
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
MISSING = [tool for tool in (COMPILER, EMULATOR) if not shutil.which(tool)]
FOLDERS = ["core/base", "core/linalg", "core/net", "core/flow"]
# BLAS, what stands on it, and instructions of other processors.
LEFT_OUT = {"mat.c", "backprop.c", "half_amx.c", "half_dot.c", "tile_kernels.c"}
VARIANTS = ["neon", "plain"]
SECONDS = 200


def compile_all(folder):
    """The program for aarch64, linked statically so that the emulator needs nothing else."""
    common = [COMPILER, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-psabi", "-Werror",
              "-I", str(ROOT), *FLAGS]
    kernels = []
    for name in VARIANTS:
        kernels.append(folder / f"{name}.o")
        subprocess.run([*common, "-O3", f"-DTILE_{name.upper()}", f'-DTILE_NAME="{name}"',
                        f"-DTILE_KERNELS=tile_kernels_{name}", "-c", "-o", kernels[-1],
                        ROOT / "core/linalg/tile_kernels.c"], check=True, timeout=SECONDS)
    sources = [path for part in FOLDERS for path in sorted((ROOT / part).glob("*.c"))
               if path.name not in LEFT_OUT]
    program = folder / "digests"
    subprocess.run([*common, "-O2", "-DSIMD_HAVE_NEON", "-static", "-o", program, *kernels,
                    *sources, ROOT / "tests/cross/digests.c", "-lm"], check=True, timeout=SECONDS)
    return program


def digests(*command):
    """{what: {variant: digest}}"""
    found = defaultdict(dict)
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True,
                          timeout=SECONDS).stdout
    for line in text.splitlines():
        words = line.split()
        if len(words) != 3:
            raise AssertionError(line)  # a self-test that failed says so
        found[words[1]][words[0]] = words[2]
    return found


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
class Neon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.here = digests(HOST)
        with tempfile.TemporaryDirectory() as folder:
            cls.there = digests(EMULATOR, compile_all(Path(folder)))

    def assert_equal(self, kind, variants):
        names = [what for what in self.here if what.split(":")[0] == kind]
        self.assertGreater(len(names), 2)
        for what in names:
            with self.subTest(what):
                self.assertLessEqual(set(variants), set(self.there[what]))
                everywhere = {f"{variant} {place}": digest
                              for place, found in (("here", self.here), ("aarch64", self.there))
                              for variant, digest in found[what].items()}
                self.assertEqual(len(set(everywhere.values())), 1, everywhere)

    def test_both_print_the_same_things(self):
        self.assertEqual(set(self.here), set(self.there))

    def test_noise(self):
        self.assert_equal("noise", ["any"])

    def test_elementary_functions(self):
        self.assert_equal("function", ["any"])

    def test_paths_and_analytic_fields(self):
        self.assert_equal("path", ["any"])
        self.assert_equal("analytic", ["any"])

    def test_activations_and_slopes(self):
        self.assert_equal("activation", VARIANTS)

    def test_layers_of_a_tile(self):
        self.assert_equal("layer", VARIANTS)

    def test_layers_of_rows(self):
        self.assert_equal("rows", VARIANTS)

    def test_velocity_fields(self):
        self.assert_equal("field", VARIANTS)

    def test_solves(self):
        self.assert_equal("solve", VARIANTS)


if __name__ == "__main__":
    unittest.main()
