"""A report of a run as Markdown, for a wiki or a ticket. Whatever comes from manifests, endpoints
or people stands in code, where nothing looks for markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provisioner.cli.render.markdown import code
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
    summed,
    title,
    verdict,
)
from provisioner.cli.render.runs import duration, moment
from provisioner.service.recovery.reporting import Ended, Evidence, Report, Step

_MOST = 500
"""Rows of a table."""


def render_markdown_report(evidence: Evidence) -> list[str]:
    """The report in lines."""
    report = evidence.report
    lines = [f"<!-- provisioner report {report.record.id} -->"]
    lines += [f"# {code(title(report))}", "", f"**{_mark(verdict(report))}**", ""]
    lines += [f"- **{fact.name}**: {_mark(fact)}" for fact in achieved(report)]
    lines += ["", "| | |", "|---|---|"]
    lines += [f"| {fact.name} | {_cell(fact.text)} |" for fact in facts(evidence)]
    for part in (_machines, _failures, _answers, _path, _stages):
        lines += part(report)
    return lines


def _mark(fact: Fact) -> str:
    return {True: "\u2713 ", False: "\u2717 ", None: ""}[fact.good] + _cell(fact.text)


def _cell(text: str) -> str:
    # A bar ends a cell even in code (GFM tables).
    return code(text).replace("|", "\\|")


def _table(heading: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", f"## {heading}", "", f"| {' | '.join(header)} |")
    yield "|" + "---|" * len(header)
    for row in rows[:_MOST]:
        yield f"| {' | '.join(_cell(cell) if cell else ' ' for cell in row)} |"
    if len(rows) > _MOST:
        yield from ("", f"{len(rows) - _MOST:,} more; the JSON has them.")


def _machines(report: Report) -> Iterator[str]:
    rows = [
        (
            item.address,
            became(report, item),
            duration(item.seconds) if item.seconds is not None else "",
            duration(item.since_fenced) if item.since_fenced is not None else "",
            moment(item.taken) if item.taken is not None else "",
            lost(report, item),
            kept(item),
            f"{item.gates_passed} of {item.gates}",
            item.why,
        )
        for item in ranked(report.machines)
    ]
    header = (
        "Machine",
        "State",
        "After the beginning",
        "After the fencing",
        "Recovery point",
        "Lost",
        "Objective",
        "Gates",
        "Why not",
    )
    yield from _table(f"Machines ({len(rows):,})", header, rows)
    if len(rows) > _MOST:
        yield from ("", f"All of them: {spread(report.machines)}.")


def _failures(report: Report) -> Iterator[str]:
    for heading, steps in (
        ("Failed", report.that(Ended.FAILED)),
        ("Held back", report.that(Ended.HELD)),
        ("Given up, and not known to be done", report.abandoned),
        ("Passed over: it counts as done, and did not succeed", report.that(Ended.PASSED_OVER)),
    ):
        rows = [(step.task.title, step.task.id, step.why) for step in steps]
        yield from _table(f"{heading} ({len(rows):,})", ("Step", "Id", "Why"), rows)


def _answers(report: Report) -> Iterator[str]:
    rows = [
        (moment(item.at), item.actor, item.text, item.title or item.task) for item in report.answers
    ]
    yield from _table("Answers", ("When", "Who", "Answer", "Question"), rows)


def _path(report: Report) -> Iterator[str]:
    rows = [_row(step) for step in report.critical_path]
    header = ("Began", "Ended", "Took", "Stage", "Step")
    yield from _table("Critical path: what the end waited for", header, rows)


def _row(step: Step) -> tuple[str, ...]:
    start, end = step.start or 0.0, step.end or 0.0
    return offset(start), offset(end), duration(end - start), step.task.stage, step.task.title


def _stages(report: Report) -> Iterator[str]:
    rows = [
        (
            stage,
            action,
            f"{done:,} of {number:,}",
            offset(start) if start is not None else "",
            offset(end) if end is not None else "",
        )
        for stage, action, number, done, start, end in summed(report.steps)
    ]
    header = ("Stage", "Work", "Done", "First began", "Last ended")
    yield from _table("Stages", header, rows)
