"""Reads the case tables (tests/conformance/provider/tables) and makes manifests of their cases."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import yaml

from provisioner.core.address import Address
from provisioner.core.values import Json

FOLDER = Path(__file__).parent / "tables"

CREATE, CHANGE, REMOVE = "create", "change", "remove"


class MissingValueError(Exception):
    """A case needs a ``$word`` that the provider under test does not give."""


class FieldCase(NamedTuple):
    """One case: a document (``metadata`` and ``spec``) for each of its stages, values unfilled."""

    kind: str
    number: int
    fields: tuple[str, ...]
    stages: Mapping[str, Mapping[str, Any]]

    @property
    def id(self) -> str:
        return f"{self.kind}.{self.fields[0]}-{self.number}"


def merged(base: Any, patch: Any) -> Any:
    """``patch`` over ``base``: mappings key by key, None takes a key out, the rest replaces."""
    if not isinstance(base, Mapping) or not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(base)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def filled(document: Any, values: Mapping[str, Json]) -> Any:
    """``document`` with every ``$word`` replaced; a text that is only one becomes the value itself.

    Raises :class:`MissingValueError`.
    """
    if isinstance(document, Mapping):
        return {key: filled(value, values) for key, value in document.items()}
    if isinstance(document, list):
        return [filled(value, values) for value in document]
    if not isinstance(document, str) or "$" not in document:
        return document
    try:
        if document[1:] in values:
            return values[document[1:]]
        return Template(document).substitute(values)
    except KeyError as problem:
        raise MissingValueError(str(problem.args[0])) from problem


@cache
def table(name: str) -> Mapping[str, Any]:
    """A file of the folder, by its name without its ending."""
    content: Mapping[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    return content


def kinds() -> list[str]:
    """The kinds that have a table, sorted."""
    names = {path.stem for path in FOLDER.glob("*.yaml")} - {"metadata", "surroundings"}
    return sorted(str(table(name)["kind"]) for name in names)


def base(kind: str) -> Mapping[str, Any]:
    """The smallest ``spec`` of a kind that every case starts from."""
    spec: Mapping[str, Any] = table(kind.lower())["base"]
    return spec


def surroundings() -> dict[Address, Mapping[str, Any]]:
    """What cases may refer to, in the order in which it has to be made."""
    return {Address.parse(name): spec for name, spec in table("surroundings").items()}


def field_cases() -> Iterator[FieldCase]:
    """Every case of every kind."""
    for kind in kinds():
        number = 0
        for section, rows in (
            ("spec", table(kind.lower())["cases"]),
            ("metadata", table("metadata")["cases"]),
        ):
            for row in rows:
                number += 1
                yield _case(kind, number, section, row)


def _case(kind: str, number: int, section: str, row: Mapping[str, Any]) -> FieldCase:
    fields = row["field"] if isinstance(row["field"], list) else [row["field"]]
    whole = {"metadata": {}, "spec": base(kind)}
    stages: dict[str, Mapping[str, Any]] = {
        CREATE: merged(whole, {section: row[CREATE]}),
        CHANGE: merged(whole, {section: row[CHANGE]}),
    }
    remove = row.get(REMOVE, {})
    if remove is not False:
        stages[REMOVE] = merged(whole, {section: remove})
    return FieldCase(kind, number, tuple(fields), stages)
