"""A report of a run as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provisioner.cli.render.recovery.times import offset
from provisioner.cli.render.recovery.words import (
    Fact,
    achieved,
    became,
    facts,
    kept,
    lost,
    ranked,
    spread,
    title,
    verdict,
)
from provisioner.cli.render.runs import duration, moment
from provisioner.cli.render.text import Paint, count, pairs, plain, table, wrap
from provisioner.service.recovery.reporting import Ended, Evidence, Report, Step

_MOST = 50


def render_report(
    evidence: Evidence, width: int = 80, paint: Paint = plain, *, whole: bool = False
) -> list[str]:
    """The report in lines. ``whole``: every machine and failure, however many there are."""
    report = evidence.report
    most = len(report.steps) if whole else _MOST
    lines = [paint("strong", line) for line in wrap(f"Report of the run: {title(report)}", width)]
    for fact in (verdict(report), *achieved(report)):
        text = fact.text if fact.name == "Outcome" else f"{fact.name}: {fact.text}."
        lines += [paint(_role(fact), line) for line in wrap(text, width, "", "    ")]
    lines += ["", *pairs([(fact.name, fact.text) for fact in facts(evidence)], width)]
    lines += _machines(report, most, width, paint)
    for heading, steps in (
        ("Failed", report.that(Ended.FAILED)),
        ("Held back", report.that(Ended.HELD)),
        ("Given up: whether it was done is not known", report.abandoned),
        ("Passed over: it counts as done, and did not succeed", report.that(Ended.PASSED_OVER)),
    ):
        lines += _steps(heading, steps, most, width, paint)
    if report.answers:
        lines += ["", paint("strong", "Answers")]
        for item in report.answers:
            text = f"{moment(item.at)}  {item.actor}: {item.text!r} to {item.title or item.task}"
            lines += wrap(text, width, "  ", "      ")
    return [*lines, *_path(report, most, width, paint)]


def _role(fact: Fact) -> str:
    return {True: "add", False: "error", None: "strong"}[fact.good]


def _machines(report: Report, most: int, width: int, paint: Paint) -> Iterator[str]:
    machines = report.machines
    if not machines:
        return
    rows = [
        (
            item.address.rpartition("/")[2],
            became(report, item),
            duration(item.seconds) if item.seconds is not None else "",
            duration(item.since_fenced) if item.since_fenced is not None else "",
            lost(report, item),
            kept(item),
        )
        for item in ranked(machines)[:most]
    ]
    yield ""
    header = ("MACHINE", "", "AFTER", "FENCED+", "LOST", "OBJECTIVE")
    yield from table(header, rows, paint, width)
    if len(machines) > most:
        yield from wrap(f"{len(machines) - most:,} more: {spread(machines)}.", width, "  ")


def _steps(
    heading: str, steps: Sequence[Step], most: int, width: int, paint: Paint
) -> Iterator[str]:
    if not steps:
        return
    yield ""
    yield paint("strong", heading)
    for step in steps[:most]:
        # Many failures say which step it was.
        told = step.why.startswith(step.task.title)
        text = step.why if told else f"{step.task.title}: {step.why}"
        yield from wrap(text, width, "  ", "      ")
    if len(steps) > most:
        yield f"  {count(len(steps) - most, 'step')} more (--verbose tells them)"


def _path(report: Report, most: int, width: int, paint: Paint) -> Iterator[str]:
    path = report.critical_path
    if not path:
        return
    yield ""
    yield paint("strong", "Critical path: what the end waited for")
    rows = [
        (
            offset(step.start or 0.0),
            duration((step.end or 0.0) - (step.start or 0.0)),
            step.task.title,
        )
        for step in path[-most:]
    ]
    yield from table(("BEGAN", "TOOK", "STEP"), rows, paint, width)
