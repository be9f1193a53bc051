"""Writes the state that Terraform has after it applied an estate of :mod:`tests.bench.terraform`.

Terraform needs hours to apply thousands of resources, but the plans that follow can be measured on
a state that somebody else wrote. It is what Terraform 1.11 writes (version 4) but for identifiers;
``test_terraform.py`` holds the two together where there is a Terraform or OpenTofu.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from textwrap import indent
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.bench.estate import Shape
from tests.bench.terraform_estate import Reference, Resource, references, resources

FILE = "terraform.tfstate"

_EMPTY = '"resources": []'


def write(folder: Path, count: int, version: str) -> None:
    """Write the state of an estate of ``count`` resources into its folder, as the given version of
    Terraform does. One resource at a time: see :mod:`tests.bench.estate` for why.
    """
    head, _, tail = _frame(count, version).partition(_EMPTY)
    with (folder / FILE).open("w", encoding="utf-8") as stream:
        stream.write(f'{head}"resources": [')
        for number, text in enumerate(_entries(count)):
            stream.write(f"{',' if number else ''}\n{indent(text, ' ' * 4)}")
        stream.write(f"\n  ]{tail}\n")


def identifier(name: str) -> str:
    """The ``id`` of a resource, the same in every state that is written here."""
    return str(uuid5(NAMESPACE_URL, f"estate/{name}"))


def _frame(count: int, version: str) -> str:
    return json.dumps(
        {
            "version": 4,
            "terraform_version": version,
            # One for each resource, and one for the end.
            "serial": count + 1,
            "lineage": identifier("lineage"),
            "outputs": {},
            "resources": [],
            "check_results": None,
        },
        indent=2,
    )


def _entries(count: int) -> Iterator[str]:
    found = resources(count)
    # Terraform sorts by name. Machines come last both here and there, and are in order.
    others = sorted(islice(found, Shape.of(count).resources - Shape.of(count).machines))
    needs = {name: set(references(value)) for name, value in others}
    for resource in others:
        yield _entry(resource, needs)
    for resource in found:
        yield _entry(resource, needs)


def _entry(resource: Resource, needs: dict[str, set[str]]) -> str:
    direct = set(references(resource.input))
    # Terraform notes whatever has to be there first, also what others need.
    first = direct.union(*(needs[name] for name in direct))
    value = {"value": _resolved(resource.input), "type": _type(resource.input)}
    instance: dict[str, Any] = {
        "schema_version": 0,
        "attributes": {
            "id": identifier(resource.name),
            "input": value,
            "output": value,
            "triggers_replace": None,
        },
        "sensitive_attributes": [],
    }
    if first:
        instance["dependencies"] = [f"terraform_data.{name}" for name in sorted(first)]
    return json.dumps(
        {
            "mode": "managed",
            "type": "terraform_data",
            "name": resource.name,
            "provider": 'provider["terraform.io/builtin/terraform"]',
            "instances": [instance],
        },
        indent=2,
    )


def _resolved(value: object) -> object:
    match value:
        case Reference(name):
            return identifier(name)
        case dict():
            return {key: _resolved(value[key]) for key in sorted(value)}
        case list():
            return [_resolved(item) for item in value]
    return value


def _type(value: object) -> object:
    """The type as Terraform's type system (cty) writes it in JSON."""
    match value:
        case bool():
            return "bool"
        case int():
            return "number"
        case dict():
            return ["object", {key: _type(value[key]) for key in sorted(value)}]
        case list():
            return ["tuple", [_type(item) for item in value]]
    return "string"
