"""Typed variables of a stack: declared in the Stack manifest, set by an environment or on the
command line.

The last of these that gives a value wins: the declaration's ``default``, the environment's
``variables``, ``--var NAME=VALUE``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from provisioner.core.diagnostics import Diagnostic, error, quoted, shortened
from provisioner.core.units import parse_duration, parse_size
from provisioner.core.values import Json
from provisioner.manifest.problems import Problem
from provisioner.manifest.scalars import resolve
from provisioner.manifest.violations import found_text, names_text, nearest

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


class Doubts(NamedTuple):
    """What could not be read of the variables of a Stack, so that nothing is said about it.

    ``names`` are variables of which something could not be read. ``declarations``: there may be
    more of them; ``values``: the environment may give more values.
    """

    names: frozenset[str] = frozenset()
    declarations: bool = False
    values: bool = False


def resolve_variables(
    spec: Mapping[str, Any],
    environment: str | None,
    given: Mapping[str, Json],
    doubts: Doubts = Doubts(),  # noqa: B008 - immutable
) -> Variables:
    """The value of each variable that the spec of a Stack manifest declares; ``spec`` without what
    could not be read.
    """
    everything: Mapping[str, Any] = spec.get("variables", {})
    declared = {name: item for name, item in everything.items() if "type" in item}
    result = Variables(missing={*(everything.keys() - declared.keys()), *doubts.names})
    for name, declaration in declared.items():
        _default(name, declaration, result)
    environments: Mapping[str, Any] = spec.get("environments", {})
    for other, settings in environments.items():
        for name, value in settings.get("variables", {}).items():
            path = ("spec", "environments", other, "variables", name)
            if name not in declared:
                known = name in result.missing or doubts.declarations
                result.problems += [] if known else [_undeclared(name, declared, path)]
                continue
            usable = _checked(name, declared[name]["type"], value, path, result)
            if other == environment and usable:
                result.values[name] = value
            elif other == environment:
                result.missing.add(name)
    for name, value in given.items():
        if name in declared or not (name in result.missing or doubts.declarations):
            _from_command_line(name, value, declared, result)
    for name in declared.keys() - result.values.keys() - result.missing:
        result.missing.add(name)
        if not (doubts.values or _meant_elsewhere(name, environment, environments)):
            chosen = environment if environment in environments else None
            giving = [
                other
                for other, settings in environments.items()
                if name in settings.get("variables", {})
            ]
            result.problems.append(_required(name, declared[name]["type"], chosen, giving))
    return result


def _meant_elsewhere(name: str, environment: str | None, environments: Mapping[str, Any]) -> bool:
    """Whether the environment that was meant may give the variable a value, where the one that was
    chosen does not exist.
    """
    return (
        environment is not None
        and environment not in environments
        and any(name in settings.get("variables", {}) for settings in environments.values())
    )


def _default(name: str, declaration: Mapping[str, Any], result: Variables) -> None:
    if "default" not in declaration:
        return
    value = declaration["default"]
    path = ("spec", "variables", name, "default")
    if _checked(name, declaration["type"], value, path, result):
        result.values[name] = value
    else:
        result.missing.add(name)


def _checked(name: str, kind: str, value: Json, path: tuple[str, ...], result: Variables) -> bool:
    """Whether a value is of the type of its variable; what is wrong with it is noted."""
    fits = _fits(kind, value)
    result.problems += [] if fits else [_misfit(name, kind, value, path)]
    return fits


def _from_command_line(
    name: str, value: Json, declared: Mapping[str, Any], result: Variables
) -> None:
    if name not in declared:
        near = nearest(name, declared)
        result.diagnostics.append(
            error(
                "PRV1211",
                f"there is no variable {quoted(name)} to be set on the command line",
                detail=f"Declared variables: {names_text(declared) or 'none'}.",
                hint=f"Did you mean {near!r}?"
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
            f"the variable {quoted(name)} was given {found_text(value)}, "
            f"expected {_EXPECTED[kind]}",
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
    templated = isinstance(value, str) and "${" in value
    return Problem(
        path,
        "PRV1212",
        f"the variable {quoted(name)} has {found_text(value)}, expected {_EXPECTED[kind]}",
        "Nothing is replaced in the value of a variable."
        if templated
        else f"It is declared with 'type: {kind}'.",
    )


def _undeclared(name: str, declared: Mapping[str, Any], path: tuple[str, ...]) -> Problem:
    near = nearest(name, declared)
    return Problem(
        path,
        "PRV1211",
        f"there is no variable {quoted(name)}",
        f"Did you mean {near!r}?" if near else "Declare it in spec.variables.",
        f"Declared variables: {names_text(declared) or 'none'}.",
        at_key=True,
    )


def _required(name: str, kind: str, environment: str | None, giving: Sequence[str]) -> Problem:
    """``giving``: the environments that have a value for it."""
    if environment is None and giving:
        ways = " or ".join(f"--env {other}" for other in giving)
        hint = (
            f"Choose an environment that gives it one: {shortened(ways)}. Or give it with "
            f"'--var {shortened(name)}=...'."
        )
    else:
        where = f"spec.environments.{environment}.variables" if environment else "an environment"
        hint = f"Give it with '--var {shortened(name)}=...', in {where}, or as its default."
    return Problem(
        ("spec", "variables", name),
        "PRV1213",
        f"the variable {quoted(name)} has no value",
        hint,
        f"Expected {_EXPECTED[kind]}.",
        at_key=True,
    )
