"""Specs as nested mappings: carrying changes out on them, comparing the configured with the
running.

Called by the handlers of every kind.
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


def says(found: Any, wanted: Any) -> bool:
    """Whether a value is the wanted one; a mapping may hold more."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(says(found.get(key), value) for key, value in wanted.items())
    return bool(found == wanted)


def running_differences(configured: Mapping[str, Any], live: Mapping[str, Any]) -> dict[Path, Json]:
    """The values in force where they are not the configured ones, by path; None: not in force.

    Descends as long as both sides are mappings.
    """
    found: dict[Path, Json] = {}
    _compare(configured, live, (), found)
    return found


def _compare(
    configured: Mapping[str, Any], live: Mapping[str, Any], path: Path, found: dict[Path, Json]
) -> None:
    for key in sorted({*configured, *live}):
        one, other = configured.get(key), live.get(key)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            _compare(one, other, (*path, key), found)
        else:
            found[*path, key] = other


def with_text(spec: Mapping[str, Any], name: str, form: Callable[[str], str]) -> dict[str, Any]:
    """A copy of ``spec`` with a text in the form in which it is read back from an element (see
    :func:`~provisioner_plugins._libvirt.xml.text_of`), and without it if nothing is left of it. One
    that waits for an output stays as it is.
    """
    result = dict(spec)
    text = spec.get(name)
    if isinstance(text, str):
        result[name] = form(text)
        if not result[name]:
            del result[name]
    return result


def is_known(value: object) -> bool:
    """Whether a value of a spec holds no part that waits for another resource's output."""
    if isinstance(value, Mapping):
        return not {"$unknown", "$template"} & value.keys() and all(map(is_known, value.values()))
    if isinstance(value, list):
        return all(map(is_known, value))
    return True
