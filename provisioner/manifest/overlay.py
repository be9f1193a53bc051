"""Merges an environment's overlay into a manifest, before anything in it is expanded.

Mappings are merged field by field and null removes a field. Elements of a list with a key
(``x-set``) are merged by it; new ones are added, and one with ``$remove: true`` is taken out. Every
other value replaces what was there.
"""

from __future__ import annotations

from typing import Any

from provisioner.manifest.fields import Field
from provisioner.manifest.problems import Problem

REMOVE = "$remove"


def merge(
    base: Any, over: Any, field: Field | None, path: tuple[str | int, ...] = ()
) -> tuple[Any, list[Problem]]:
    """The merged value, and what is wrong with the overlay (paths start at the overlay's own
    top). Neither value is changed.
    """
    problems: list[Problem] = []
    return _merge(base, over, field, path, problems), problems


def _merge(
    base: Any, over: Any, field: Field | None, path: tuple[str | int, ...], problems: list[Problem]
) -> Any:
    if isinstance(over, dict):
        result = dict(base) if isinstance(base, dict) else {}
        for name, value in over.items():
            if value is None:
                result.pop(name, None)
                continue
            below = None if field is None else field.child(name)
            result[name] = _merge(result.get(name), value, below, (*path, name), problems)
        return result
    if isinstance(over, list) and field is not None and field.set_key is not None:
        elements = base if isinstance(base, list) else []
        return _merge_elements(
            elements, over, field.set_key, field.rest, path=path, problems=problems
        )
    return over


def _merge_elements(
    base: list[Any],
    over: list[Any],
    key: str,
    element: Field | None,
    *,
    path: tuple[str | int, ...],
    problems: list[Problem],
) -> list[Any]:
    result = list(base)
    for index, value in enumerate(over):
        if not isinstance(value, dict):
            result.append(value)
            continue
        name = value.get(key)
        if name is None:
            problems.append(_nameless(key, (*path, index)))
            continue
        at = next(
            (
                number
                for number, old in enumerate(result)
                if isinstance(old, dict) and old.get(key) == name
            ),
            None,
        )
        if REMOVE in value:
            if value[REMOVE] is not True or at is None:
                problems.append(_useless_removal(value, key, at, (*path, index)))
            else:
                del result[at]
        elif at is None:
            result.append(_merge(None, value, element, (*path, index), problems))
        else:
            result[at] = _merge(result[at], value, element, (*path, index), problems)
    return result


def _nameless(key: str, path: tuple[str | int, ...]) -> Problem:
    return Problem(
        path,
        "PRV1105",
        f"the field {key!r} is missing",
        f"Elements of this list are known by {key!r}: write which one is meant.",
    )


def _useless_removal(
    value: dict[str, Any], key: str, at: int | None, path: tuple[str | int, ...]
) -> Problem:
    if value[REMOVE] is not True:
        return Problem(
            (*path, REMOVE), "PRV1232", f"{REMOVE} has to be true", f"Write '{REMOVE}: true'."
        )
    assert at is None
    return Problem(
        (*path, REMOVE),
        "PRV1232",
        f"there is no element with {key} {value.get(key)!r} to be removed",
        "Name the element as the manifest has it, before variables are put in.",
        at_key=True,
    )
