"""The steps of a run along its time, as SVG: by stage, with the critical path marked by a sign and
a thick outline. Used by the page of a report, which has the colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

from provisioner.cli.render.layout import Box
from provisioner.cli.render.recovery.times import offset
from provisioner.cli.render.recovery.words import CRITICAL, SIGNS, STATES
from provisioner.cli.render.runs import duration
from provisioner.cli.render.text import count, printable
from provisioner.service.recovery.reporting import Ended, Report, Step

MANY = 300
"""Steps that are drawn one by one; of more, those that do the like are drawn as one, and besides
those of the critical path and those that failed.
"""
_MOST_SINGLE = 100
_NAMES, _CHART, _RIGHT = 330.0, 620.0, 30.0
_ROW, _HEAD, _FOOT = 20.0, 34.0, 10.0
_LETTERS = 44
"""Of a name that are shown; the whole one stands in the title."""
_TICKS = (0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
_MOST_TICKS = 8
_FAILED = (Ended.FAILED, Ended.PASSED_OVER)


class Bar(NamedTuple):
    """One row: of a step, or of ``number`` steps that do the like."""

    name: str
    role: str
    sign: str
    start: float | None
    end: float | None
    told: str
    why: str = ""


def gantt(report: Report) -> Element:
    """The drawing."""
    rows = [(stage, list(bars)) for stage, bars in _rows(report)]
    ends = [bar.end for _, bars in rows for bar in bars if bar.end is not None]
    last = max([*ends, report.seconds or 0.0, 0.1])
    limit = report.objective if report.recovers else None
    shown = limit if limit is not None and limit <= 1.5 * last else None
    whole = max(last, shown or 0.0) * 1.02
    height = _HEAD + _FOOT + _ROW * sum(1 + len(bars) for _, bars in rows)
    width = _NAMES + _CHART + _RIGHT
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "gantt",
            "role": "img",
            "aria-labelledby": "gantt-title gantt-description",
            "viewBox": f"0 0 {_number(width)} {_number(height)}",
            "width": _number(width),
            "height": _number(height),
        },
    )
    SubElement(root, "title", {"id": "gantt-title"}).text = "Steps along the time of the run"
    SubElement(root, "desc", {"id": "gantt-description"}).text = _description(report, last)
    y = _HEAD
    bands = SubElement(root, "g", {"aria-hidden": "true"})
    for stage, bars in rows:
        _rect(bands, "band", Box(0, y, width, _ROW))
        _text(root, "stage", 6, y + 14, stage)
        y += _ROW * (1 + len(bars))
    _add_axis(root, whole, height)
    y = _HEAD
    for _, bars in rows:
        for bar in bars:
            y += _ROW
            _add_bar(root, bar, y, whole)
        y += _ROW
    if report.fenced is not None:
        at = (report.fenced - report.record.started).total_seconds()
        _add_line(root, "mark", _x(at, whole), height, f"fenced {offset(at)}")
    if shown is not None:
        _add_line(root, "limit", _x(shown, whole), height, f"objective {offset(shown)}")
    return root


def _description(report: Report, last: float) -> str:
    path = [step.task.title for step in report.critical_path]
    text = f"{count(len(report.steps), 'step')} within {duration(last)}."
    if path:
        text += f" {count(len(path), 'step')} on the critical path, from '{path[0]}' to "
        text += f"'{path[-1]}'."
    failed = len(report.that(Ended.FAILED))
    return printable(text + (f" {count(failed, 'step')} failed." if failed else ""))


def _rows(report: Report) -> Iterator[tuple[str, Iterable[Bar]]]:
    stages: dict[str, list[Step]] = {}
    for step in report.steps:
        stages.setdefault(step.task.stage, []).append(step)
    ordered = sorted(stages.items(), key=lambda item: _first(item[1]))
    for stage, steps in ordered:
        steps.sort(key=_began)
        folded = len(report.steps) > MANY
        yield stage or "other", _folded(steps) if folded else map(_single, steps)


def _began(step: Step) -> float:
    return step.start if step.start is not None else float("inf")


def _first(steps: Iterable[Step]) -> float:
    """When a stage does something: what opens it may come long before."""
    starts = [_began(step) for step in steps if step.task.action != "milestone"]
    return min(starts, default=0.0)


def _folded(steps: Sequence[Step]) -> Iterator[Bar]:
    alone = [step for step in steps if step.critical or step.ended in _FAILED]
    told = alone[:_MOST_SINGLE]
    yield from map(_single, told)
    groups: dict[str, list[Step]] = {}
    single = {step.task.id for step in told}
    for step in steps:
        if step.task.id not in single:
            groups.setdefault(step.task.action, []).append(step)
    for action, group in groups.items():
        if len(group) == 1:
            yield _single(group[0])
            continue
        ends = [step.end for step in group if step.end is not None]
        starts = [step.start for step in group if step.start is not None]
        done = sum(1 for step in group if step.ended is Ended.DONE)
        name = f"{action}: {len(group):,} steps"
        if done < len(group):
            name += f", {done:,} done"
        start, end = min(starts, default=None), max(ends, default=None)
        yield Bar(name, "many", "", start, end, f"{name}{_span(start, end)}")


def _single(step: Step) -> Bar:
    start = step.start
    # What only notes something still has a place in time.
    end = step.end if step.end is not None else start
    roles = ["critical"] * step.critical + ["failed"] * (step.ended in _FAILED)
    told = f"{step.task.title}: {STATES[step.ended]}{_span(start, end)}"
    if step.critical:
        told += "; on the critical path"
    if step.task.lane:
        told += f"; lane {step.task.lane}"
    if step.why:
        told += f"; {step.why}"
    sign = SIGNS[step.ended] or CRITICAL * step.critical
    return Bar(step.task.title, " ".join(roles), sign, start, end, told, step.why)


def _span(start: float | None, end: float | None) -> str:
    if start is None or end is None:
        return ""
    return f", from {offset(start)} to {offset(end)} ({duration(end - start)})"


def _add_axis(root: Element, whole: float, height: float) -> None:
    step = next((tick for tick in _TICKS if whole / tick <= _MOST_TICKS), 86400.0)
    axis = SubElement(root, "g", {"aria-hidden": "true"})
    for number in range(int(whole / step) + 1):
        x = _x(number * step, whole)
        _line(axis, "grid", x, _HEAD, height - _FOOT)
        text = f"{number * step:.1f} s" if step < 1 else offset(number * step)
        _text(axis, "tick", x, _HEAD - 6, text, anchor="middle")


def _add_line(root: Element, role: str, x: float, height: float, name: str) -> None:
    _line(root, role, x, 14, height - _FOOT)
    _text(root, "named", x, 11, name, anchor="middle")


def _add_bar(root: Element, bar: Bar, y: float, whole: float) -> None:
    row = SubElement(root, "g", {"class": bar.role} if bar.role else {})
    SubElement(row, "title").text = printable(bar.told)
    if bar.sign:
        _text(row, "sign", 14, y + 14, bar.sign)
    _text(row, "name", 26, y + 14, _shortened(bar.name))
    if bar.start is None or bar.end is None:
        _text(row, "why", _NAMES, y + 14, _shortened(bar.why or "not begun", 90))
        return
    start, end = _x(bar.start, whole), _x(bar.end, whole)
    _rect(row, "bar", Box(start, y + 4, max(end - start, 3.0), _ROW - 8))


def _x(seconds: float, whole: float) -> float:
    return _NAMES + _CHART * seconds / whole


def _line(parent: Element, name: str, x: float, top: float, bottom: float) -> None:
    places = {"x1": x, "x2": x, "y1": top, "y2": bottom}
    attributes = {key: _number(value) for key, value in places.items()}
    SubElement(parent, "line", {"class": name, **attributes})


def _rect(parent: Element, name: str, box: Box) -> None:
    attributes = {key: _number(value) for key, value in box._asdict().items()}
    SubElement(parent, "rect", {"class": name, **attributes, "rx": "2"})


def _text(
    parent: Element, name: str, x: float, y: float, text: str, *, anchor: str | None = None
) -> None:
    attributes = {"class": name, "x": _number(x), "y": _number(y)}
    if anchor is not None:
        attributes["text-anchor"] = anchor
    SubElement(parent, "text", attributes).text = printable(text)


def _shortened(name: str, most: int = _LETTERS) -> str:
    """Both ends of a long name."""
    if len(name) <= most:
        return name
    half = (most - 1) // 2
    return f"{name[:half]}\u2026{name[-half:]}"


def _number(value: float) -> str:
    """At most one digit after the point: a tenth of a unit cannot be seen."""
    return f"{value:.1f}".removesuffix(".0")
