"""The case tables hold a case for every field of every schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from provisioner.manifest.catalog import SchemaCatalog
from tests.conformance.provider.cases import CHANGE, CREATE, field_cases, kinds, table


def resource_kinds(catalog: SchemaCatalog) -> list[str]:
    return sorted(name for name, info in catalog.kinds.items() if info.is_resource)


def leaves(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[str]:
    """The dotted names of the fields that hold values; an element of a list adds nothing."""
    for name, node in schema.get("properties", {}).items():
        inner = list(leaves(resolved(node, root), root))
        if resolved(node, root).get("x-sensitive"):
            inner = []
        yield from (f"{name}.{rest}" for rest in inner) if inner else [name]
    if "items" in schema:
        yield from leaves(resolved(schema["items"], root), root)


def resolved(node: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        target: Any = root
        for part in node["$ref"].partition("#")[2].strip("/").split("/"):
            target = target[part]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def test_every_kind_has_a_table(catalog: SchemaCatalog) -> None:
    assert resource_kinds(catalog) == kinds()


@pytest.mark.parametrize("kind", kinds())
def test_every_field_has_a_case_or_a_reason(catalog: SchemaCatalog, kind: str) -> None:
    schema = catalog.kind(kind).schema
    expected = set(leaves(resolved(schema["properties"]["spec"], schema), schema))
    covered = {field for case in field_cases() if case.kind == kind for field in case.fields}
    covered |= set(table(kind.lower()).get("never", {}))
    assert set() == expected - covered
    assert {"labels", "tenant"} == covered - expected


@pytest.mark.parametrize("case", list(field_cases()), ids=lambda case: case.id)
def test_a_case_changes_something(case: Any) -> None:
    assert case.stages[CREATE] != case.stages[CHANGE]


@pytest.mark.parametrize("kind", kinds())
def test_a_reason_is_given_in_words(kind: str) -> None:
    for field, reason in table(kind.lower()).get("never", {}).items():
        assert len(reason.split()) > 3, field
