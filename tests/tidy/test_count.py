#!/usr/bin/python3
"""scripts/count_tests.py believes no test that did not say how it went."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

COUNT = Path(__file__).resolve().parents[2] / "scripts/count_tests.py"


def test_line(result, stdout, **more):
    return {"name": "x", "result": result, "stdout": stdout, "returncode": 0, **more}


def count(*tests):
    """(exit status, all output, last line) for a log of these tests."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "build", "meson-logs", "testlog.json")
        log.parent.mkdir(parents=True)
        log.write_text("".join(json.dumps(test) + "\n" for test in tests))
        ran = subprocess.run([sys.executable, COUNT, log], capture_output=True, text=True)
    return ran.returncode, ran.stdout, ran.stdout.splitlines()[-1]


class Count(unittest.TestCase):
    def test_counts_of_all_programs_are_summed(self):
        status, _, last = count(test_line("OK", "a\ncounts: 3 passed, 0 failed\n"),
                                test_line("OK", "counts: 4 passed, 0 failed\n"))
        self.assertEqual((status, last), (0, "7 passed, 0 failed"))

    def test_failures_are_counted_and_their_output_is_shown(self):
        status, output, last = count(
            test_line("FAIL", "why it failed\ncounts: 3 passed, 2 failed\n"))
        self.assertEqual((status, last), (1, "3 passed, 2 failed"))
        self.assertIn("why it failed", output)

    def test_a_crash_without_counts_is_one_failure(self):
        status, output, last = count(test_line("FAIL", "", stderr="heap-buffer-overflow"))
        self.assertEqual((status, last), (1, "0 passed, 1 failed"))
        self.assertIn("heap-buffer-overflow", output)

    def test_a_leak_after_good_counts_is_a_failure(self):
        status, _, last = count(test_line("FAIL", "counts: 3 passed, 0 failed\n", returncode=23))
        self.assertEqual((status, last), (1, "3 passed, 1 failed"))

    def test_a_skipped_program_says_why(self):
        status, output, last = count(test_line("SKIP", "no checkpoints here\n"),
                                     test_line("OK", "counts: 1 passed, 0 failed\n"))
        self.assertEqual((status, last), (0, "1 passed, 0 failed, 1 skipped"))
        self.assertIn("no checkpoints here", output)

    def test_skipped_cases_of_a_good_program_are_counted_with_their_reasons(self):
        _, output, last = count(test_line(
            "OK", "counts: 1 passed, 0 failed, 2 skipped\n", stderr="a ... skipped 'no curl'\n"))
        self.assertEqual(last, "1 passed, 0 failed, 2 skipped")
        self.assertIn("no curl", output)

    def test_a_log_that_is_missing_or_empty_is_no_success(self):
        missing = subprocess.run([sys.executable, COUNT, "nowhere/meson-logs/testlog.json"],
                                 capture_output=True, text=True)
        self.assertEqual((missing.returncode, missing.stdout.splitlines()[-1]),
                         (1, "0 passed, 1 failed"))
        self.assertEqual(count()[0], 1)


if __name__ == "__main__":
    program = unittest.main(verbosity=2, exit=False)
    bad = len(program.result.failures) + len(program.result.errors)
    print(f"counts: {program.result.testsRun - bad} passed, {bad} failed")
    sys.exit(bool(bad))
