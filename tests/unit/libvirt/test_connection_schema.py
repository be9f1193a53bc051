"""The schema of a Host's connection: what it takes, and that every field is described."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from provisioner.manifest.canonical import Findings
from provisioner.manifest.compiled import CompiledSchema

SCHEMA: dict[str, Any] = json.loads(
    files("provisioner_plugins.kvm").joinpath("connection.v1.json").read_text(encoding="utf-8")
)
COMPILED = CompiledSchema(SCHEMA)


def test_every_example_is_valid() -> None:
    for example in SCHEMA["examples"]:
        assert [] == COMPILED.problems(example)


@pytest.mark.parametrize(
    "connection",
    [
        {},
        {"uri": "http://kvm1"},
        {"uri": "qemu:///system", "unknown": 1},
        {"uri": "qemu:///system", "tls": {}},
        {"uri": "qemu:///system", "ssh": {"keyFile": "a", "privateKey": {"secretRef": "env://A"}}},
        {"uri": "qemu:///system", "ssh": {"privateKey": "-----BEGIN"}},
        {"uri": "qemu:///system", "credentials": {"password": "hunter2"}},
        {"uri": "qemu:///system", "timeouts": {"connect": 15}},
        {"uri": "qemu:///system", "keepalive": {"count": 0}},
    ],
)
def test_what_is_wrong_is_found(connection: dict[str, Any]) -> None:
    assert COMPILED.problems(connection)


def test_units_become_milliseconds() -> None:
    written = {"uri": "qemu:///system", "timeouts": {"connect": "30s"}, "keepalive": {"count": 3}}
    canonical = COMPILED.canonicalise(written, Findings())
    assert {**written, "timeouts": {"connect": 30_000}} == canonical


def test_every_field_is_described_with_an_example_or_a_default() -> None:
    for name, field in fields(SCHEMA):
        if "$ref" not in field:
            assert field.get("description"), name
            assert "examples" in field, name
        else:
            assert field.get("description"), name


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
