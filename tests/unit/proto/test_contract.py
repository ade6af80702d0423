#!/usr/bin/python3
"""The golden requests against proto/openapi.yaml: what the daemon takes, the contract allows, and
what it refuses for its shape, the contract forbids. So neither can change without the other."""
import json
import math
import re
import sys
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden"
CONTRACT = yaml.safe_load((ROOT / "proto/openapi.yaml").read_text())
SCHEMAS = {"sample": "SampleRequest", "trajectory": "TrajectoryRequest", "train": "TrainRequest",
           "velocity": "VelocityRequest", "model_config": "ModelConfig"}

# Rules that no schema can state: they compare fields, count bytes, or concern other files.
BEYOND_SCHEMAS = {
    "sample/x0_ragged", "sample/x0_past_float", "sample/x0_and_other_count", "sample/t0_equals_t1",
    "velocity/times_too_few", "train/hidden_too_wide", "train/time_turns",
    "velocity/outputs_twice",
    "model_config/columns_twice", "model_config/columns_level_twice",
    "model_config/path_vp_falling", "model_config/path_ve_equal",
    "model_config/path_ddpm_noise_at_0", "model_config/path_ddpm_too_noisy",
    "model_config/path_ddpm_falling", "model_config/path_table_ragged",
    "model_config/path_table_not_from_0", "model_config/path_table_not_to_1",
    "model_config/path_table_falls", "model_config/path_table_stands",
    "model_config/path_table_corner",
}
# The daemon takes null for an absent field, which clients in some languages cannot help sending.
NULLS = {"sample/nulls_are_absent"}

TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
}
NOTES = {"description", "default", "examples", "contentMediaType", "format"}


def resolve(schema):
    while "$ref" in schema:
        found = CONTRACT
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def known_names(schema):
    """The properties that a schema and its allOf name."""
    schema = resolve(schema)
    names = set(schema.get("properties", {}))
    return names.union(*(known_names(part) for part in schema.get("allOf", [])))


def accepts_object(schema, value):
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", True)
    if len(value) > schema.get("maxProperties", len(value)):
        return False
    for name in schema.get("required", []):
        if name not in value:
            return False
    for name, member in value.items():
        if name in properties:
            if not accepts(properties[name], member):
                return False
        elif rest is False or (isinstance(rest, dict) and not accepts(rest, member)):
            return False
        if not accepts(schema.get("propertyNames", {}), name):
            return False
    return schema.get("unevaluatedProperties", True) or set(value) <= known_names(schema)


def accepts_array(schema, value):
    return (schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
            and all(accepts(schema.get("items", {}), item) for item in value))


def accepts_text(schema, value):
    return (schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
            and re.search(schema.get("pattern", ""), value) is not None)


def accepts_number(schema, value):
    return (schema.get("minimum", value) <= value <= schema.get("maximum", value)
            and value > schema.get("exclusiveMinimum", -math.inf)
            and value % schema.get("multipleOf", value or 1) == 0)


def same(a, b):
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def accepts(schema, value):
    """The part of JSON Schema 2020-12 that the contract uses."""
    schema = resolve(schema)
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    if types and not any(TYPES[name](value) for name in types):
        return False
    if "enum" in schema and not any(same(value, one) for one in schema["enum"]):
        return False
    if "const" in schema and not same(value, schema["const"]):
        return False
    if not all(accepts(part, value) for part in schema.get("allOf", [])):
        return False
    if "oneOf" in schema and sum(accepts(part, value) for part in schema["oneOf"]) != 1:
        return False
    if "not" in schema and accepts(schema["not"], value):
        return False
    for name, check in (("object", accepts_object), ("array", accepts_array),
                        ("string", accepts_text), ("number", accepts_number)):
        if TYPES[name](value):
            return check(schema, value)
    return True


KEYWORDS = {
    "$ref", "type", "enum", "const", "allOf", "oneOf", "not", "properties", "required",
    "additionalProperties", "unevaluatedProperties", "propertyNames", "minItems", "maxItems",
    "items", "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum",
    "multipleOf", "maxProperties"}


def unknown_keywords(schema):
    found = set(schema) - KEYWORDS - NOTES
    parts = list(schema.get("properties", {}).values()) + schema.get("allOf", [])
    parts += schema.get("oneOf", [])
    parts += [schema[key] for key in ("items", "not", "propertyNames") if key in schema]
    if isinstance(schema.get("additionalProperties"), dict):
        parts.append(schema["additionalProperties"])
    return found.union(*(unknown_keywords(part) for part in parts))


def cases(kind, verdict):
    for folder in sorted((GOLDEN / kind / verdict).iterdir()):
        yield f"{kind}/{folder.name}", folder


class Contract(unittest.TestCase):
    def test_requests_that_are_taken_are_allowed(self):
        for kind, schema in SCHEMAS.items():
            for name, folder in cases(kind, "valid"):
                body = json.loads((folder / "request.json").read_text())
                with self.subTest(name):
                    allowed = accepts(CONTRACT["components"]["schemas"][schema], body)
                    self.assertEqual(allowed, name not in NULLS)

    def test_requests_that_are_refused_are_forbidden(self):
        for kind, schema in SCHEMAS.items():
            for name, folder in cases(kind, "invalid"):
                if json.loads((folder / "error.json").read_text())["status"] != 422:
                    continue
                body = json.loads((folder / "request.json").read_text())
                with self.subTest(name):
                    allowed = accepts(CONTRACT["components"]["schemas"][schema], body)
                    self.assertEqual(allowed, name in BEYOND_SCHEMAS)

    def test_problems_look_as_stated(self):
        for path in GOLDEN.glob("*/invalid/*/error.json"):
            with self.subTest(path.parent.name):
                problem = json.loads(path.read_text())
                self.assertTrue(accepts(CONTRACT["components"]["schemas"]["Problem"], problem))

    def test_texts_spelled_out_are_requests(self):
        for kind in ("train", "model_config"):
            for name, folder in cases(kind, "valid"):
                body = json.loads((folder / "expected.txt").read_text())
                with self.subTest(name):
                    schema = CONTRACT["components"]["schemas"][SCHEMAS[kind]]
                    self.assertTrue(accepts(schema, body))

    def test_examples_are_valid(self):
        for name, schema in CONTRACT["components"]["schemas"].items():
            for example in schema.get("examples", []):
                with self.subTest(name):
                    self.assertTrue(accepts(schema, example))

    def test_no_keyword_is_used_that_is_not_checked_here(self):
        for name, schema in CONTRACT["components"]["schemas"].items():
            with self.subTest(name):
                self.assertEqual(unknown_keywords(schema), set())


if __name__ == "__main__":
    program = unittest.main(verbosity=2, exit=False)
    bad = len({str(test) for test, _ in program.result.failures + program.result.errors})
    print(f"counts: {program.result.testsRun - bad} passed, {bad} failed")
    sys.exit(bool(bad))
