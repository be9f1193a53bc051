"""Changes to specs by path; called by the memory provider's session when it updates an object."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from provisioner.core.values import Json, Path, get_path


def changed(
    spec: Mapping[str, Any], values: Iterable[tuple[Path, Json]], desired: Mapping[str, Any]
) -> dict[str, Any]:
    """A copy of ``spec`` with each value put at its path; None takes the field out.

    A path that leads through a list counts for the whole list, which is taken from ``desired``.
    """
    result: dict[str, Any] = copy.deepcopy(dict(spec))
    for path, value in values:
        prefix = _mapping_prefix(result, path)
        _put(result, prefix, value if prefix == path else get_path(desired, prefix))
    return result


def _mapping_prefix(document: Mapping[str, Any], path: Path) -> Path:
    value: Any = document
    for length, part in enumerate(path):
        if isinstance(value, list):
            return path[:length]
        value = value.get(part) if isinstance(value, Mapping) else None
    return path


def _put(document: dict[str, Any], path: Path, value: Json) -> None:
    if value is None:
        _take_out(document, path)
        return
    for part in path[:-1]:
        inner = document.get(part)
        if not isinstance(inner, dict):
            inner = document[part] = {}
        document = inner
    document[path[-1]] = copy.deepcopy(value)


def _take_out(document: dict[str, Any], path: Path) -> None:
    for part in path[:-1]:
        inner = document.get(part)
        if not isinstance(inner, dict):
            return
        document = inner
    document.pop(path[-1], None)


def outermost(paths: Iterable[Path]) -> list[Path]:
    """The paths without those that lie below another one, sorted."""
    result: list[Path] = []
    for path in sorted(paths):
        if not any(path[: len(other)] == other for other in result):
            result.append(path)
    return result
