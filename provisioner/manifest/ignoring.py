"""The rules of a Stack manifest about drift that is accepted (``spec.drift.ignore``).

Called by :mod:`provisioner.manifest.stackfile`. The schema has said what it can; here is read what
it cannot tell: patterns of fields, whether a date is one, and whether there is such a field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from provisioner.core.address import AddressPattern
from provisioner.core.diagnostics import quoted
from provisioner.core.fieldpattern import FieldPattern
from provisioner.core.values import path_text
from provisioner.manifest.annotations import KindInfo
from provisioner.manifest.fields import Field
from provisioner.manifest.problems import Problem
from provisioner.manifest.violations import names_text, nearest

PLACE = ("spec", "drift", "ignore")
UNKNOWN_FIELD = "PRV1103"
BAD_FORM = "PRV1107"


class Ignored(NamedTuple):
    """One rule, before its place is looked up."""

    address: AddressPattern
    field: FieldPattern
    reason: str
    until: date


def ignore_rules(
    value: Any, known: Iterable[Problem], kinds: Iterable[KindInfo]
) -> tuple[dict[int, Ignored], Sequence[Problem]]:
    """The rules by their place in the list, without those in which something is wrong, and what is
    wrong besides what is ``known``.
    """
    made = [kind for kind in kinds if kind.is_resource]
    written: Any = value
    for part in PLACE:
        written = written.get(part) if isinstance(written, dict) else None
    bad = {problem.path[3] for problem in known if problem.path[:3] == PLACE != problem.path}
    found: dict[int, Ignored] = {}
    problems: list[Problem] = []
    for index, rule in enumerate(written if isinstance(written, list) else ()):
        if index in bad or not isinstance(rule, dict) or not _is_readable(rule):
            continue
        field, until = _field(rule["field"]), _date(rule["until"])
        if isinstance(field, FieldPattern) and until is not None:
            address = AddressPattern.parse(rule["address"])
            meant = [kind for kind in made if fnmatchcase(kind.kind, address.kind)]
            unknown = _unknown_field(field, meant)
            if unknown is None:
                found[index] = Ignored(address, field, rule["reason"], until)
            else:
                problems.append(unknown._replace(path=(*PLACE, index, "field")))
        if isinstance(field, str):
            problems.append(Problem((*PLACE, index, "field"), BAD_FORM, field))
        if until is None:
            summary = f"{rule['until']!r} is no day of the calendar"
            problems.append(Problem((*PLACE, index, "until"), BAD_FORM, summary))
    return found, problems


def _is_readable(rule: Mapping[str, Any]) -> bool:
    return all(isinstance(rule.get(name), str) for name in Ignored._fields)


def _field(text: str) -> FieldPattern | str:
    """The pattern, or what is wrong with it."""
    try:
        return FieldPattern.parse(text)
    except ValueError as problem:
        return str(problem)


def _date(text: str) -> date | None:
    with suppress(ValueError):
        return date.fromisoformat(text)
    return None


def _unknown_field(pattern: FieldPattern, kinds: Sequence[KindInfo]) -> Problem | None:
    """What is wrong with a pattern that leads nowhere in any of the kinds. Of several it need fit
    one only: a rule for all of them is about those that have the field.
    """
    reached = [_followed(pattern, kind.canonical) for kind in kinds]
    depth = max((depth for depth, _ in reached), default=len(pattern.parts))
    if depth == len(pattern.parts):
        return None
    fields = [field for far, found in reached if far == depth for field in found]
    part, above = pattern.parts[depth], pattern.parts[:depth]
    names = sorted({name for field in fields for name in field.children})
    near = nearest(part, names)
    where = f" in {path_text(above)}" if above else ""
    whose = f"{kinds[0].kind} has no" if len(kinds) == 1 else "none of these kinds has a"
    return Problem(
        (),
        UNKNOWN_FIELD,
        f"{whose} field {quoted(part)}{where}",
        f"Did you mean {path_text((*above, near))!r}?" if near else "",
        f"Known fields: {names_text(names)}." if names else "There is nothing below that field.",
        within=part,
    )


def _followed(pattern: FieldPattern, top: Field) -> tuple[int, list[Field]]:
    """How many parts of the pattern lead to a field, and the fields that the last one of them leads
    to; all of them where anything goes below one.
    """
    fields = [top]
    for depth, part in enumerate(pattern.parts):
        below = [child for field in fields for child in _below(field, part)]
        if any(map(_is_free, fields)):
            return len(pattern.parts), fields
        if not below:
            return depth, fields
        fields = below
    return len(pattern.parts), fields


def _below(field: Field, part: str) -> Iterator[Field]:
    for name, child in field.children.items():
        if fnmatchcase(name, part):
            yield child
    if field.rest is not None:
        yield field.rest


def _is_free(field: Field) -> bool:
    """Whether the schema does not say what stands below: a provider's section, or any mapping."""
    closed = field.children or field.rest is not None
    return field.provider_part is not None or (not closed and "object" in field.types)
