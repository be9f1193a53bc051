"""Specs as nested mappings: looking into them, carrying changes out on them. Pure; called by the
rules and handlers of every kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from provisioner.core.values import Json, Path
from provisioner.providers.api import Change


def with_changes(observed: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """``observed`` after ``changes``: what nobody asked to change stays as it was found."""
    result = _copy(observed)
    for change in changes:
        _set(result, change.path, change.after)
    return result


def touches(changes: Iterable[Change]) -> Callable[[Path], bool]:
    """Whether the changes say anything of the field at a path, or of a part of it."""
    paths = [change.path for change in changes]
    return lambda path: any(
        changed[: len(path)] == path or path[: len(changed)] == changed for changed in paths
    )


def is_known(value: object) -> bool:
    """Whether a value of a spec holds no part that waits for another resource's output."""
    if isinstance(value, Mapping):
        return not {"$unknown", "$template"} & value.keys() and all(map(is_known, value.values()))
    if isinstance(value, list):
        return all(map(is_known, value))
    return True


def _copy(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copy(below) if isinstance(below, Mapping) else below for key, below in value.items()
    }


def _set(document: dict[str, Any], path: Path, value: Json) -> None:
    *parents, last = path
    node = document
    for key in parents:
        below = node.get(key)
        if not isinstance(below, dict):
            if value is None:
                return
            below = node[key] = {}
        node = below
    if value is None:
        node.pop(last, None)
    else:
        node[last] = _copy(value) if isinstance(value, Mapping) else value
