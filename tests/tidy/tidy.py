#!/usr/bin/python3
"""The house rules as a test: floors, lengths, names, banned calls, and documents that keep up.

First every rule is shown to fail on a tree that breaks it (cases.py), then the project is read."""
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

import cases
import rules_code
import rules_tree
from tree import load

RULES = rules_code.RULES + rules_tree.RULES

# What stood before the rule did: (rule, what the sentence holds). This list only shrinks.
RATCHET = [
    ("rule_parameters", "backprop_forward"), ("rule_parameters", "backprop_backward"),
    ("rule_parameters", "_velocity"),
    ("rule_parameters", "tile_combine"), ("rule_parameters", "wrong_combine"),
    ("rule_parameters", "encode_row"), ("rule_parameters", "json_read_matrix"),
]


def forgiven(rule, sentence):
    return any(rule.__name__ == name and part in sentence for name, part in RATCHET)


def check_rules():
    """Names of the rules that do not see what they are there for, or see what is not there."""
    wrong = []
    for rule in RULES:
        name = rule.__name__
        if not cases.BAD.get(name):
            wrong.append(f"{name}: has no case in cases.py")
        for bad in cases.BAD.get(name, []):
            if not list(rule(bad)):
                wrong.append(f"{name}: does not see what is wrong in {sorted(bad)}")
        for good in cases.GOOD.get(name, []):
            wrong += [f"{name}: wrongly says: {sentence}" for sentence in rule(good)]
    return wrong


def main():
    root = Path(__file__).resolve().parents[2]
    started = time.monotonic()
    wrong = check_rules()
    tree = load(root)
    failed = bool(wrong)
    for rule in RULES:
        found = [sentence for sentence in rule(tree) if not forgiven(rule, sentence)]
        failed += bool(found)
        wrong += [f"{rule.__name__}: {sentence}" for sentence in found]
    print("\n".join(wrong))
    print(f"{len(tree)} files, {len(RULES)} rules, {time.monotonic() - started:.1f} s")
    print(f"counts: {len(RULES) + 1 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
