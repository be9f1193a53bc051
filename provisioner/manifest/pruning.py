"""Takes out of a document what is wrong with it, so that the rest can be checked in the same run.

Called where a schema or the canonical form found problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from typing import Any

from provisioner.manifest.placeholders import UNREADABLE, outputs_in, unresolved
from provisioner.manifest.problems import MISSING, Element, Part, Problem

_GONE = object()


def pruned(value: Any, problems: Iterable[Problem]) -> Any:
    """The value without what the problems are about. The value itself is not changed.

    An element that is taken out of a list of mappings leaves None, so that the others keep their
    numbers.
    """
    value = _copied(value)
    for problem in problems:
        if problem.code != MISSING:
            _remove(value, problem.path)
    return _stripped(value, lambda child: child)


def without_unresolved(value: Any, kinds: Set[str]) -> Any:
    """The value without the texts in it whose variables or replica numbers have no value. The
    outputs in such a text stay, for they can be checked.
    """

    def change(child: Any) -> Any:
        if not isinstance(child, str) or "${" not in child or not unresolved(child):
            return child
        return outputs_in(child, kinds) or _GONE

    return _stripped(value, change)


def without_unreadable(value: Any) -> Any:
    """The value without what strict reading refused in it."""
    return _stripped(value, lambda child: _GONE if child is UNREADABLE else child)


def unreadable_places(value: Any, path: tuple[Part, ...] = ()) -> Iterator[tuple[Part, ...]]:
    """Where strict reading refused something."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from unreadable_places(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from unreadable_places(child, (*path, index))
    elif value is UNREADABLE:
        yield path


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


def _stripped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        changed = {key: change(child) for key, child in value.items()}
        return {
            key: _stripped(child, change) for key, child in changed.items() if child is not _GONE
        }
    if isinstance(value, list):
        hole = any(isinstance(child, dict) for child in value)
        items = [change(child) for child in value]
        return [
            None if child is _GONE else _stripped(child, change)
            for child in items
            if hole or child is not _GONE
        ]
    return value
