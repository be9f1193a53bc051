"""What a recovery plan would do now, as text: steps by stage with predicted times, and what differs
from earlier runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from provisioner.cli.render.recovery.times import offset
from provisioner.cli.render.runs import duration, moment
from provisioner.cli.render.text import Paint, count, listed, plain, printable, wrap
from provisioner.service.recovery.model import person
from provisioner.service.recovery.outlook import (
    ASSUMED,
    INSTANT,
    NOUNS,
    Comparison,
    Difference,
    Foreseen,
    Kind,
    Part,
    Planned,
    Since,
)

_FEW = 30
"""Steps of a stage that are told one by one; of more, those that do the like are told together."""
_MOST_DIFFERENCES = 20
_LONGEST_VALUE = 60
_MEASURED = {
    "test": "A drill measures them.",
    "failover": "A drill measures those that it has, too.",
    "migrate": "A drill measures those that it has, too.",
    "failback": "A drill measures those that it has, too.",
}
"""What measures the steps of a mode."""
_SIGNS = {Kind.ADDED: "+", Kind.REMOVED: "-", Kind.CHANGED: "~"}
_COLOURS = {Kind.ADDED: "add", Kind.REMOVED: "destroy", Kind.CHANGED: "change"}


def render_outlook(
    planned: Planned, width: int = 80, paint: Paint = plain, *, whole: bool = False
) -> list[str]:
    """The whole of it. ``whole``: tell every step and difference, however many there are."""
    lines = [*_head(planned, width, paint), ""]
    lines.append(paint("muted", f"  {'BEGINS':>8}  {'TAKES':>11}  {'95% BELOW':>11}  STEP"))
    for stage, steps in _stages(planned.outlook.steps).items():
        lines.append(paint("strong", printable(stage or "other")))
        for row in _rows(steps, whole=whole):
            lines += _row(row, width, paint)
    lines += ["", "* is on the critical path", *wrap(_basis(planned), width)]
    for since in planned.since:
        lines += ["", *_since(since, width, paint, whole=whole)]
    if not planned.since:
        text = f"There was no earlier run of {planned.plan.name} to compare with."
        lines += ["", *wrap(text, width)]
    return lines


def _head(planned: Planned, width: int, paint: Paint) -> Iterator[str]:
    plan, seen = planned.plan, planned.outlook
    # After a reprotection data goes the other way, and machines stay.
    way = f"{plan.here} to {plan.there}"
    text = (
        f"{NOUNS[planned.mode]} of {plan.name}, from {way}: {count(len(seen.steps), 'step')} for "
    )
    text += f"{count(len(plan.machines), 'machine')}, predicted to take {duration(seen.seconds)}"
    yield from (paint("strong", line) for line in wrap(f"{text[0].upper()}{text[1:]}.", width))
    if not seen.is_measured:
        if seen.objective is not None:
            text = (
                f"Whether that is within the recovery time objective of {duration(seen.objective)}"
            )
            text += " cannot be told: no step of it was measured yet."
            yield from (paint("warning", line) for line in wrap(text, width))
    else:
        slow = f"Up to {duration(seen.p95)} if every step takes as long as 95 of 100 do."
        yield from wrap(slow, width)
    if seen.objective is not None and seen.is_measured:
        kept = "within" if seen.is_within else "BEYOND"
        yield from (
            paint("add" if seen.is_within else "error", line)
            for line in wrap(
                f"That is {kept} the recovery time objective of {duration(seen.objective)}.", width
            )
        )
    critical = f"The critical path takes {duration(seen.critical_seconds)}"
    if seen.seconds > 1.01 * seen.critical_seconds:
        critical += "; the rest is waiting for places, such as the parallel starts of a host"
    yield from wrap(f"{critical}.", width)


def _basis(planned: Planned) -> str:
    seen = planned.outlook
    if not seen.assumed:
        return "Times are medians of earlier runs."
    if not seen.is_measured:
        text = "There is no history yet: "
    else:
        text = f"Times are medians of earlier runs; {count(seen.assumed, 'step')} have none (~): "
    each = "each" if seen.assumed > 1 else "it"
    return (
        f"{text}{ASSUMED:g} s is assumed of {each}, so that the whole is likely to take longer. "
        f"{_MEASURED.get(planned.mode, 'Each run measures them.')}"
    )


class _Row(NamedTuple):
    critical: bool
    begins: float
    takes: float
    p95: float | None
    assumed: bool
    title: str


def _stages(steps: Iterable[Foreseen]) -> dict[str, list[Foreseen]]:
    found: dict[str, list[Foreseen]] = {}
    for step in steps:
        found.setdefault(step.task.stage, []).append(step)
    for stage in found.values():
        stage.sort(key=lambda step: step.span.start)
    return dict(sorted(found.items(), key=lambda item: _begins(item[1])))


def _begins(steps: Sequence[Foreseen]) -> float:
    """When a stage does something: what opens it may come long before."""
    acting = [step.span.start for step in steps if step.task.action not in INSTANT]
    return min(acting, default=steps[0].span.start)


def _rows(steps: Sequence[Foreseen], *, whole: bool) -> Iterator[_Row]:
    if whole or len(steps) <= _FEW:
        yield from map(_single, steps)
        return
    groups: dict[str, list[Foreseen]] = {}
    for step in steps:
        groups.setdefault(step.task.action, []).append(step)
    for action, group in groups.items():
        if len(group) == 1:
            yield _single(group[0])
            continue
        begins = min(step.span.start for step in group)
        takes = max(step.span.end for step in group) - begins
        critical = [step.task.title for step in group if step.critical]
        title = f"{action}: {count(len(group), 'step')}"
        if critical:
            title += f"; on the critical path: {listed(critical, 3)}"
        assumed = any(step.is_assumed for step in group)
        yield _Row(bool(critical), begins, takes, None, assumed, title)


def _single(step: Foreseen) -> _Row:
    p95 = None if step.estimate is None else step.estimate.p95
    return _Row(step.critical, step.span.start, step.seconds, p95, step.is_assumed, step.task.title)


def _row(row: _Row, width: int, paint: Paint) -> Iterator[str]:
    takes = f"~{duration(row.takes)}" if row.assumed else duration(row.takes)
    p95 = duration(row.p95) if row.p95 is not None else ""
    sign = "*" if row.critical else " "
    start = f"{sign} {offset(row.begins):>8}  {takes:>11}  {p95:>11}  "
    first, *rest = (
        wrap(row.title, width, "", " " * len(start))
        if len(row.title) + len(start) <= width
        else wrap(row.title, width - len(start))
    )
    lines = [start + first, *(" " * len(start) + line for line in rest)]
    for line in lines:
        yield paint("strong", line) if row.critical else line


def _since(since: Since, width: int, paint: Paint, *, whole: bool) -> Iterator[str]:
    record, comparison = since.record, since.comparison
    title = f"Changed since {since.what} ({moment(record.started)}, run {record.id}): what a "
    title += f"{NOUNS[since.mode]} does"
    yield from (paint("strong", line) for line in wrap(title, width))
    if since.approvals:
        names = sorted({person(actor) for actor in since.approvals.values()})
        yield from wrap(f"Approved by {listed(names)}.", width, "  ")
    if comparison.is_same:
        text = "Nothing: the same steps, in the same order"
        if not comparison.same_plan:
            text += "; something in the plan has changed that steps do not show"
        yield from wrap(f"{text}.", width, "  ")
        return
    if comparison.turned is not None and not whole:
        yield from wrap(_turned(comparison, comparison.turned), width, "  ", "    ")
    for part in comparison.lanes:
        # Those of the hosts that are the other site now.
        if whole or comparison.turned is None or None not in (part.before, part.now):
            yield from wrap(f"places of {_part(part)}", width, "  ", "      ")
    most = len(comparison.differences) if whole else _MOST_DIFFERENCES
    for kind in Kind:
        found = [item for item in comparison.of_kind(kind) if whole or not item.mirrored]
        for item in found[:most]:
            yield from (
                paint(_COLOURS[kind], line)
                for line in wrap(f"{_SIGNS[kind]} {_text(item)}", width, "  ", "      ")
            )
            for part in item.parts:
                yield from wrap(_part(part), width, "      ", "        ")
        if len(found) > most:
            more = f"{len(found) - most:,} more {kind} (--verbose tells them)"
            yield f"  {_SIGNS[kind]} {more}"


def _turned(comparison: Comparison, sites: tuple[str, str]) -> str:
    here, there = sites
    mirrored = sum(item.mirrored for item in comparison.differences)
    text = f"It leads from {here} to {there} now, and led from {there} to {here}"
    if mirrored:
        text += f": {count(mirrored, 'step')} that differ in nothing else are not listed"
        text += " (--verbose tells them)"
    return f"{text}."


def _text(item: Difference) -> str:
    return f"{item.task.title} ({item.kind})"


def _part(part: Part) -> str:
    if isinstance(part.before, list) and isinstance(part.now, list):
        gone = [f"-{one}" for one in part.before if one not in part.now]
        come = [f"+{one}" for one in part.now if one not in part.before]
        if gone or come:
            return f"{part.name}: {listed([*map(str, come), *map(str, gone)], 6)}"
    return f"{part.name}: {_value(part.before)} -> {_value(part.now)}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
