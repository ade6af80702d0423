#!/usr/bin/python3
"""run.py TEST_FILE: runs one file of service tests and counts for scripts/test."""
import importlib
import sys
import unittest
from pathlib import Path


def main(path):
    sys.path.insert(0, str(Path(path).resolve().parent))
    suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(Path(path).stem))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len({str(test) for test, _ in result.failures + result.errors})
    failed += len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    passed = max(result.testsRun - failed - skipped, 0)
    print(f"counts: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or result.testsRun == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
