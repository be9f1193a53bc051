"""Turns broken rules of a schema into diagnostics that speak of manifests, not of schemas.

Called by the loader for every document that a schema does not accept. One :class:`Problem` for each
mistake, with what was found, what is expected, and the nearest known name where that helps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from provisioner.core.diagnostics import quoted, shortened
from provisioner.core.units import similar_durations, similar_sizes
from provisioner.core.values import path_text
from provisioner.manifest.fields import Field, walk
from provisioner.manifest.placeholders import SHIELD, UNREADABLE, meaningful
from provisioner.manifest.problems import Problem
from provisioner.manifest.validation import Violation

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
_SWITCH_WORDS = frozenset({"yes", "no", "on", "off", "true", "false"})
_BARE_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_NEAR, _CLOSE = 0.6, 0.75
"""How much of two names has to be the same (difflib's ratio) to mention one for the other."""
_CLOSED = frozenset({"additionalProperties", "unevaluatedProperties"})
_MOST_NAMES = 20
_LONGEST_NAME = 200
"""Longer than any name that it could be near to."""
_MOST_SEARCHES = 50
"""Unknown fields of one mapping for which a similar name is looked for."""

Describe = Callable[[Violation, Field], Iterator[Problem]]


def problems(
    violations: Iterable[Violation], top: Field, prefix: tuple[str, ...] = ()
) -> list[Problem]:
    """The problems of one document, or of a section of it that stands at ``prefix``.

    ``top`` is the field that the violations' paths start from; the problems' paths start with
    ``prefix``.
    """
    violations = list(violations)
    chosen = {item.path for item in violations if item.keyword in {"enum", "const"}}
    found: dict[Problem, None] = {}
    for violation in violations:
        if violation.keyword == "type" and violation.path in chosen:
            continue
        field = _at(top, violation.path)
        placed = _placed(violation, prefix)
        if violation.keyword in _CLOSED:
            found_now = _unknown_fields(placed, top)
        else:
            found_now = _KEYWORDS.get(violation.keyword, _other)(placed, field)
        secret = field.sensitive and not isinstance(violation.instance, dict | list)
        found |= dict.fromkeys(problem._replace(secret=secret) for problem in found_now)
    # What stands on the same line must not be quoted either.
    if any(problem.secret for problem in found):
        return [problem._replace(secret=True) for problem in found]
    return list(found)


def _placed(violation: Violation, prefix: tuple[str, ...]) -> Violation:
    if not prefix:
        return violation
    branches = tuple(
        tuple(_placed(below, prefix) for below in branch) for branch in violation.branches
    )
    return violation._replace(path=(*prefix, *violation.path), branches=branches)


def found_text(value: object, *, sensitive: bool = False) -> str:
    """A value as a message names it; long text is cut."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
    if sensitive:
        return "a value"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    return f"the number {value}"


def nearest(name: object, known: Iterable[object], cutoff: float = _NEAR) -> str | None:
    """The known name that ``name`` was probably meant to be."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return None
    names = [text for text in known if isinstance(text, str)]
    same = [text for text in names if text.lower() == name.lower()]
    near = same or get_close_matches(name, names, n=1, cutoff=cutoff)
    return near[0] if near else None


def names_text(names: Iterable[object]) -> str:
    """A list of names for a message; cut if it is long."""
    every = list(names)
    more = f", and {len(every) - _MOST_NAMES} more" if len(every) > _MOST_NAMES else ""
    texts = [
        shortened(name) if isinstance(name, str) else found_text(name)
        for name in every[:_MOST_NAMES]
    ]
    return ", ".join(texts) + more


def _at(top: Field, path: Iterable[str | int]) -> Field:
    field: Field | None = top
    for part in path:
        field = None if field is None else field.children.get(str(part), field.rest)
    return field or Field()


def _unknown_fields(violation: Violation, top: Field) -> Iterator[Problem]:
    known = violation.schema.get("properties", {})
    meant = _misspelt(violation)
    for number, name in enumerate(_unknown_names(violation)):
        path = (*violation.path, name)
        hint = ""
        if name in meant:
            hint = f"Did you mean {meant[name]!r}?"
        elif number < _MOST_SEARCHES:
            hint = _elsewhere(path, top) or _similar(name, known)
        place = shortened(path_text(tuple(str(part) for part in violation.path)), _LONGEST_NAME)
        yield Problem(
            path,
            "PRV1103",
            f"unknown field {quoted(name)}" + (f" in {place}" if place else ""),
            hint,
            f"Known fields: {names_text(known)}." if known else "",
            at_key=True,
        )


def _unknown_names(violation: Violation) -> list[str]:
    known = violation.schema.get("properties", {})
    patterns = violation.schema.get("patternProperties", {})
    return [
        name
        for name, value in violation.instance.items()
        if name not in known
        and value != UNREADABLE
        and not any(re.search(pattern, name) for pattern in patterns)
    ]


def _is_closed(schema: Mapping[str, Any]) -> bool:
    return any(schema.get(keyword) is False for keyword in _CLOSED)


def _misspelt(violation: Violation) -> dict[str, str]:
    """Unknown fields of a mapping with the one, not yet written, that each was meant to be."""
    known = violation.schema.get("properties", {})
    free = [name for name in known if name not in violation.instance]
    names = _unknown_names(violation)[:_MOST_SEARCHES]
    return {name: near for name in names if (near := nearest(name, free, _CLOSE))}


def _similar(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"Did you mean {near!r}?" if near else ""


def _elsewhere(place: tuple[str | int, ...], top: Field) -> str:
    """A hint at a field of the same name in another section."""
    paths = [path for path, _ in walk(top) if path[-1] == place[-1] and "*" not in path]
    paths.sort(key=lambda path: (path[0] != place[0], len(path)))
    return f"There is {path_text(paths[0])}: is it meant?" if paths else ""


def _wrong_type(violation: Violation, field: Field) -> Iterator[Problem]:
    limit, value = violation.limit, violation.instance
    types = [limit] if isinstance(limit, str) else list(limit)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if field.unit is not None and number:
        yield _without_unit(violation, field)
        return
    expected = violation.schema.get("x-expected") or " or ".join(_TYPES[name] for name in types)
    yield Problem(
        violation.path,
        "PRV1104",
        f"found {found_text(value, sensitive=field.sensitive)}, expected {expected}",
        _type_hint(types, value),
    )


def _type_hint(types: list[str], value: object) -> str:
    if "string" in types and isinstance(value, bool | int | float):
        text = found_text(value).removeprefix("the number ")
        return f'Put it in quotes: "{text}".'
    if "boolean" in types and isinstance(value, str) and value.lower() in _SWITCH_WORDS:
        return "Write true or false, without quotes."
    if (
        {"integer", "number"} & set(types)
        and isinstance(value, str)
        and _BARE_NUMBER.fullmatch(value)
    ):
        return "Remove the quotes."
    if "array" in types:
        return "Begin each element with '- ' on a line of its own, or write [a, b]."
    if value is None:
        return "Write a value, or remove the field."
    return ""


_DIGITS_OF_MEBIBYTES = 3


def _without_unit(violation: Violation, field: Field) -> Problem:
    example = "4GiB or 200GB" if field.unit == "bytes" else "30s or 5m"
    text = shortened(str(violation.instance))
    # Nobody asks for thousands of gibibytes by leaving the unit out.
    unit = "s" if field.unit != "bytes" else "GiB" if len(text) < _DIGITS_OF_MEBIBYTES else "MiB"
    expected = violation.schema.get("x-expected") or f"a value with a unit, such as {example}"
    return Problem(
        violation.path,
        "PRV1108",
        f"a bare number ({text}) where a unit is needed",
        f"Write the unit, such as {text}{unit}.",
        f"Expected {expected}.",
    )


def _missing(violation: Violation, field: Field) -> Iterator[Problem]:
    # What is reported as unknown, with the right name, is there: only its name is wrong.
    # A condition elsewhere in the schema may say what is needed: the field itself tells its names.
    own = violation if _is_closed(violation.schema) else violation._replace(schema=field.schema)
    misspelt = set(_misspelt(own).values()) if _is_closed(own.schema) else set()
    for name in violation.limit:
        if name not in violation.instance and name not in misspelt:
            place = shortened(path_text(tuple(str(part) for part in violation.path)), _LONGEST_NAME)
            yield Problem(
                violation.path,
                "PRV1105",
                f"the field {name!r} is missing" + (f" in {place}" if place else ""),
                _addition(name, field.children.get(name, Field())),
                at_key=True,
            )


def _addition(name: str, field: Field) -> str:
    """How to write a field that is missing."""
    if "const" in field.schema:
        return f"Add '{name}: {field.schema['const']}'."
    expected = field.expected or " or ".join(_TYPES[kind] for kind in field.types)
    if "enum" in field.schema:
        expected = f"one of {names_text(field.schema['enum'])}"
    text = f"Add '{name}': {expected}." if expected else f"Add {name!r}."
    return f"{text} {_example(field.schema)}".rstrip()


def _example(schema: Mapping[str, Any]) -> str:
    """A value that fits, for a field whose expected form names none."""
    example = next(iter(schema.get("examples", ())), None)
    is_named = "such as" in schema.get("x-expected", "such as")
    return f"For example: {example}" if isinstance(example, str) and not is_named else ""


def _not_allowed(violation: Violation, field: Field) -> Iterator[Problem]:
    allowed = violation.limit if violation.keyword == "enum" else [violation.limit]
    # No choice is spelled like a switch word: on is nearer to down than to up.
    is_switch = str(violation.instance).lower() in _SWITCH_WORDS
    near = None if is_switch else nearest(violation.instance, allowed)
    yield Problem(
        violation.path,
        "PRV1106",
        f"found {found_text(violation.instance, sensitive=field.sensitive)}, expected "
        + (f"one of {names_text(allowed)}" if len(allowed) > 1 else names_text(allowed)),
        f"Did you mean {near!r}?" if near else "",
    )


def _malformed(violation: Violation, field: Field) -> Iterator[Problem]:
    value = violation.instance
    if field.unit is not None and _BARE_NUMBER.fullmatch(str(value)) and not violation.of_name:
        yield _without_unit(violation, field)
        return
    expected = violation.schema.get("x-expected") or "another form"
    what = "the name " if violation.of_name else ""
    hint = ""
    if SHIELD in str(value) and any(meaningful(str(value).replace(SHIELD, "${"))):
        hint = "This '${' means itself: it was written as '$${', or is in the value of a variable."
    elif "${" in str(value) or SHIELD in str(value):
        hint = "Variables, replica numbers and outputs are the only ${...} that are replaced."
    elif isinstance(value, str) and value != value.strip():
        hint = "Remove the space around it."
    elif isinstance(value, str) and field.unit is not None:
        similar = similar_sizes if field.unit == "bytes" else similar_durations
        meant = " or ".join(similar(value))
        hint = f"Did you mean {meant}?" if meant else ""
    yield Problem(
        (*violation.path, str(value)) if violation.of_name else violation.path,
        "PRV1107",
        f"found {what}{found_text(value, sensitive=field.sensitive)}, expected {expected}",
        hint or _example(violation.schema),
        at_key=violation.of_name,
    )


def _out_of_range(violation: Violation, field: Field) -> Iterator[Problem]:
    limit, value = violation.limit, violation.instance
    size = len(value) if isinstance(value, str | list | dict) else None
    expected = {
        "minimum": f"at least {limit}",
        "maximum": f"at most {limit}",
        "exclusiveMinimum": f"more than {limit}",
        "exclusiveMaximum": f"less than {limit}",
        "multipleOf": f"a multiple of {limit}",
        "minLength": f"at least {limit} characters",
        "maxLength": f"at most {limit} characters",
        "minItems": f"at least {limit} elements",
        "maxItems": f"at most {limit} elements",
        "minProperties": f"at least {limit} fields",
        "maxProperties": f"at most {limit} fields",
    }[violation.keyword]
    if violation.keyword.endswith("Properties"):
        expected = violation.schema.get("x-expected") or expected
    if isinstance(value, str) and not value:
        found = "empty text"
    elif size is None:
        found = found_text(value, sensitive=field.sensitive)
    else:
        found = f"{size} " + (
            "characters"
            if isinstance(value, str)
            else "elements"
            if isinstance(value, list)
            else "fields"
        )
    yield Problem(
        (*violation.path, value) if violation.of_name else violation.path,
        "PRV1109",
        f"found {found}, expected {expected}",
        at_key=violation.of_name,
    )


def _repeated(violation: Violation, field: Field) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, item in enumerate(violation.instance):
        before = len(seen)
        seen.add(json.dumps(item, sort_keys=True))
        if len(seen) == before and item != UNREADABLE:
            yield Problem(
                (*violation.path, index),
                "PRV1109",
                f"{found_text(item, sensitive=field.sensitive)} stands in the list twice",
                "Remove one of the two.",
            )


def _needs_beside(violation: Violation, _field: Field) -> Iterator[Problem]:
    for name, needed in violation.limit.items():
        for other in needed:
            if name in violation.instance and other not in violation.instance:
                yield Problem(
                    (*violation.path, name),
                    "PRV1110",
                    f"the field {quoted(name)} needs the field {other!r} beside it",
                    f"Add {other!r}, or remove {name!r}.",
                    at_key=True,
                )


def _alternatives(violation: Violation, field: Field) -> Iterator[Problem]:
    """The alternative that the author came closest to: the one whose mistakes lie deepest."""
    branches = [
        branch
        for branch in violation.branches
        if not any(
            problem.keyword == "type" and problem.path == violation.path for problem in branch
        )
    ]
    if len(branches) == 1:
        for below in branches[0]:
            if below.keyword in _CLOSED:
                yield from _unknown_fields(below, Field())
            else:
                yield from _KEYWORDS.get(below.keyword, _other)(below, field)
        return
    yield from _other(violation, field)


def _other(violation: Violation, field: Field) -> Iterator[Problem]:
    expected = violation.schema.get("x-expected") or "another form; see the reference of this kind"
    found = found_text(violation.instance, sensitive=field.sensitive)
    if isinstance(violation.instance, dict):
        found = "the fields " + names_text(violation.instance)
    yield Problem(violation.path, "PRV1110", f"found {found}, expected {expected}")


_KEYWORDS: dict[str, Describe] = {
    "type": _wrong_type,
    "required": _missing,
    "enum": _not_allowed,
    "const": _not_allowed,
    "pattern": _malformed,
    "format": _malformed,
    "uniqueItems": _repeated,
    "dependentRequired": _needs_beside,
    "anyOf": _alternatives,
    "oneOf": _alternatives,
    **dict.fromkeys(
        (
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
        ),
        _out_of_range,
    ),
}
