"""The estate of :mod:`tests.bench.estate` for Terraform and OpenTofu: the same resources with the
same fields and references, each in a block of the built-in ``terraform_data``.

That a block for each resource costs Terraform less than ``for_each`` does is shown in
docs/decisions/0033-terraform-at-its-cheapest.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import estate
from tests.bench.estate import PER_FILE

_REFERENCES = ("disk", "image", "network", "pool")
"""Fields whose values are names of other resources."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The identifier of another resource, as a value."""

    name: str


class Resource(NamedTuple):
    """A resource and its ``input``: plain data in which references are marked."""

    name: str
    input: dict[str, Any]


def resources(count: int) -> Iterator[Resource]:
    """The resources of an estate, in the order in which they are written."""
    for manifest in estate.resources(count):
        metadata = manifest["metadata"]
        fields = manifest["spec"]
        if "labels" in metadata:
            fields = {**fields, "labels": metadata["labels"]}
        yield Resource(metadata["name"], _marked(fields))


def references(value: object) -> Iterator[str]:
    """The names of the resources that a value refers to."""
    match value:
        case Reference(name):
            yield name
        case dict():
            for item in value.values():
                yield from references(item)
        case list():
            for item in value:
                yield from references(item)


def write(folder: Path, count: int) -> None:
    """Write an estate of so many resources into an empty folder, in files of 100 each: the same
    count gives the same files, byte for byte.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = resources(count)
    number = 0
    while some := list(islice(found, PER_FILE)):
        number += 1
        text = "\n".join(map(block, some))
        (folder / f"resources-{number:04}.tf").write_text(text, encoding="utf-8")


def block(resource: Resource) -> str:
    """A resource in HCL."""
    return (
        f'resource "terraform_data" "{resource.name}" {{\n'
        f"  input = {_expression(resource.input, 1)}\n}}\n"
    )


def _marked(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: Reference(item)
                if key in _REFERENCES and isinstance(item, str)
                else _marked(item)
                for key, item in value.items()
            }
        case list():
            return [_marked(item) for item in value]
    return value


def _expression(value: object, depth: int) -> str:
    inner, outer = "  " * (depth + 1), "  " * depth
    match value:
        case Reference(name):
            return f"terraform_data.{name}.id"
        case dict():
            lines = (f"{key} = {_expression(item, depth + 1)}" for key, item in value.items())
            return "{\n" + "".join(f"{inner}{line}\n" for line in lines) + outer + "}"
        case list():
            return "[" + ", ".join(_expression(item, depth) for item in value) + "]"
    # An estate's texts hold nothing that HCL writes otherwise than JSON.
    return json.dumps(value)
