"""Typed variables of a stack: declared in the Stack manifest, set by an environment or on the
command line.

The last of these that gives a value wins: the declaration's ``default``, the environment's
``variables``, ``--var NAME=VALUE``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.units import parse_duration, parse_size
from provisioner.core.values import Json
from provisioner.manifest.problems import Problem
from provisioner.manifest.scalars import resolve
from provisioner.manifest.violations import found_text, names_text

_EXPECTED = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "size": "a size with a unit, such as 4GiB or 200GB",
    "duration": "a duration with a unit, such as 30s or 5m",
}
_UNITS: dict[str, Callable[[str], int]] = {"size": parse_size, "duration": parse_duration}


@dataclass(slots=True)
class Variables:
    """``values`` are usable; ``missing`` were declared but have no usable value, for which there
    is a diagnostic.
    """

    values: dict[str, Json] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    """Paths start at the top of the Stack manifest."""
    diagnostics: list[Diagnostic] = field(default_factory=list)
    """About what the command line gave: it has no place in a file."""


def resolve_variables(
    spec: Mapping[str, Any],
    environment: str | None,
    given: Mapping[str, Json],
    *,
    damaged: bool = False,
) -> Variables:
    """The value of each variable that the spec of a Stack manifest declares.

    ``damaged``: parts of the spec were wrong and are left out, so that nothing is called missing.
    """
    everything: Mapping[str, Any] = spec.get("variables", {})
    declared = {name: item for name, item in everything.items() if "type" in item}
    result = Variables(missing=set(everything.keys() - declared.keys()))
    for name, declaration in declared.items():
        _default(name, declaration, result)
    for other, settings in spec.get("environments", {}).items():
        for name, value in settings.get("variables", {}).items():
            path = ("spec", "environments", other, "variables", name)
            if name not in declared:
                result.problems += [] if damaged else [_undeclared(name, declared, path)]
            elif not _fits(declared[name]["type"], value):
                result.problems.append(_misfit(name, declared[name]["type"], value, path))
                result.missing.update({name} if other == environment else ())
            elif other == environment:
                result.values[name] = value
    for name, value in given.items():
        if name in declared or not damaged:
            _from_command_line(name, value, declared, result)
    for name in declared:
        if name not in result.values and name not in result.missing:
            result.missing.add(name)
            required = _required(name, declared[name]["type"], environment)
            result.problems += [] if damaged else [required]
    return result


def _default(name: str, declaration: Mapping[str, Any], result: Variables) -> None:
    if "default" not in declaration:
        return
    if _fits(declaration["type"], declaration["default"]):
        result.values[name] = declaration["default"]
        return
    path = ("spec", "variables", name, "default")
    result.problems.append(_misfit(name, declaration["type"], declaration["default"], path))
    result.missing.add(name)


def _from_command_line(
    name: str, value: Json, declared: Mapping[str, Any], result: Variables
) -> None:
    if name not in declared:
        near = get_close_matches(name, declared, n=1)
        result.diagnostics.append(
            error(
                "PRV1211",
                f"there is no variable {name!r} to be set on the command line",
                detail=f"Declared variables: {names_text(declared) or 'none'}.",
                hint=f"Did you mean {near[0]!r}?"
                if near
                else "Declare it in the Stack's spec.variables.",
            )
        )
        return
    kind = declared[name]["type"]
    if isinstance(value, str) and kind in {"integer", "number", "boolean"}:
        with suppress(ValueError):
            value = resolve(value)
    if _fits(kind, value):
        result.values[name] = value
        return
    result.missing.add(name)
    result.diagnostics.append(
        error(
            "PRV1212",
            f"the variable {name!r} was given {found_text(value)}, expected {_EXPECTED[kind]}",
            hint=f"It is declared with 'type: {kind}'.",
        )
    )


def _fits(kind: str, value: object) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind in _UNITS:
        try:
            _UNITS[kind](value if isinstance(value, str) else "")
        except ValueError:
            return False
        return True
    types = {"string": str, "integer": int, "number": int | float}
    return isinstance(value, types[kind])


def _misfit(name: str, kind: str, value: Json, path: tuple[str, ...]) -> Problem:
    return Problem(
        path,
        "PRV1212",
        f"the variable {name!r} has {found_text(value)}, expected {_EXPECTED[kind]}",
        f"It is declared with 'type: {kind}'.",
    )


def _undeclared(name: str, declared: Mapping[str, Any], path: tuple[str, ...]) -> Problem:
    near = get_close_matches(name, declared, n=1)
    return Problem(
        path,
        "PRV1211",
        f"there is no variable {name!r}",
        f"Did you mean {near[0]!r}?" if near else "Declare it in spec.variables.",
        f"Declared variables: {names_text(declared) or 'none'}.",
        at_key=True,
    )


def _required(name: str, kind: str, environment: str | None) -> Problem:
    where = f"in spec.environments.{environment}.variables" if environment else "in an environment"
    return Problem(
        ("spec", "variables", name),
        "PRV1213",
        f"the variable {name!r} has no value",
        f"Give it with '--var {name}=...', {where}, or as its default.",
        f"Expected {_EXPECTED[kind]}.",
        at_key=True,
    )
