"""Takes out of a document what is wrong with it, so that the rest can be checked in the same run.

Called where a schema or the canonical form found problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from provisioner.manifest.placeholders import unresolved
from provisioner.manifest.problems import Element, Part, Problem

_GONE = object()
_MISSING = "PRV1105"
"""A field that is missing: nothing is wrong with what is there."""


def pruned(value: Any, problems: Iterable[Problem]) -> Any:
    """The value without what the problems are about. The value itself is not changed."""
    value = _copied(value)
    for problem in problems:
        if problem.code != _MISSING:
            _remove(value, problem.path)
    return _stripped(value, lambda child: child is _GONE)


def without_unresolved(value: Any) -> Any:
    """The value without the texts in it whose variables or replica numbers have no value."""

    def is_unresolved(child: Any) -> bool:
        return isinstance(child, str) and "${" in child and unresolved(child)

    return _stripped(value, is_unresolved)


def _remove(value: Any, path: tuple[Part, ...]) -> None:
    for part in path[:-1]:
        key = _key_in(value, part)
        if key is None:
            return
        value = value[key]
    key = _key_in(value, path[-1]) if path else None
    if key is not None:
        value[key] = _GONE


def _key_in(value: Any, part: Part) -> str | int | None:
    """What the part is called in this collection; None if it is not there."""
    if isinstance(value, dict):
        name = part.key if isinstance(part, Element) else part
        return name if name in value else None
    if not isinstance(value, list):
        return None
    number = part.number if isinstance(part, Element) else part
    if isinstance(number, str):
        number = int(number) if number.isdecimal() else None
    return number if number is not None and number < len(value) else None


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(child) for key, child in value.items()}
    return [_copied(child) for child in value] if isinstance(value, list) else value


def _stripped(value: Any, is_gone: Callable[[Any], bool]) -> Any:
    if isinstance(value, dict):
        return {
            key: _stripped(child, is_gone) for key, child in value.items() if not is_gone(child)
        }
    if isinstance(value, list):
        return [_stripped(child, is_gone) for child in value if not is_gone(child)]
    return value
