"""Holds documents that the program prints to the schemas of its results."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

RESULTS = Path(__file__).parents[2] / "schemas" / "results"


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """That of a schema, with no room for what it does not describe."""
    schema = json.loads((RESULTS / f"{name}.v1.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(closed(schema))


def misfits(name: str, document: Any) -> list[str]:
    """What of the document is not as the schema says."""
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error in validator(name).iter_errors(document)
    ]


def closed(schema: Any) -> Any:
    """The schema with no room for what it does not describe."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if "properties" in found and "required" in found:
        found.setdefault("additionalProperties", False)
    return found
