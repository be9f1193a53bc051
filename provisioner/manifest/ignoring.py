"""The rules of a Stack manifest about drift that is accepted (``spec.drift.ignore``).

Called by :mod:`provisioner.manifest.stackfile`. The schema has said what it can; here is read what
it cannot tell: patterns of fields, and whether a date is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any, NamedTuple

from provisioner.core.address import AddressPattern
from provisioner.core.fieldpattern import FieldPattern
from provisioner.manifest.problems import Problem

PLACE = ("spec", "drift", "ignore")
BAD_FORM = "PRV1107"


class Ignored(NamedTuple):
    """One rule, before its place is looked up."""

    address: AddressPattern
    field: FieldPattern
    reason: str
    until: date


def ignore_rules(
    value: Any, known: Iterable[Problem]
) -> tuple[dict[int, Ignored], Sequence[Problem]]:
    """The rules by their place in the list, without those in which something is wrong, and what is
    wrong besides what is ``known``.
    """
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
            found[index] = Ignored(address, field, rule["reason"], until)
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
