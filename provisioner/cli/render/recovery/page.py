"""A report of a run as one page that needs nothing else, with the steps along their time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement

from provisioner.cli.render.html.frame import file_of, lines_of, page_of, text_in
from provisioner.cli.render.recovery.gantt import MANY, gantt
from provisioner.cli.render.recovery.times import offset
from provisioner.cli.render.recovery.words import (
    CRITICAL,
    STATES,
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
from provisioner.cli.render.text import printable
from provisioner.service.recovery.reporting import GATE, Ended, Evidence, Report, Step

_MOST = 500
"""Rows of a table."""
_NUMBERS = frozenset({"Recovered after", "After fencing", "Began", "Ended", "Took"})
_SHORT = frozenset({"State", "Lost", "Objective", "Recovery point", "Gates passed", "When"})
"""Columns whose cells are not broken into lines."""
_BAD = frozenset(
    {STATES[state] for state in (Ended.FAILED, Ended.HELD, Ended.GIVEN_UP, Ended.PASSED_OVER)}
)


def render_page(evidence: Evidence) -> list[str]:
    """The page in lines."""
    report = evidence.report
    style = file_of("html", "page.css")
    style += file_of("recovery", "report.css") + file_of("recovery", "gantt.css")
    page, body = page_of(printable(f"{title(report)}, run {report.record.id}"), style)
    header = SubElement(body, "header")
    text_in(header, "h1", title(report))
    record = report.record
    where = f"From {report.here} to {report.there}, begun {moment(record.started)}"
    text_in(header, "p", f"{where} by {record.actor}", "where")
    main = SubElement(body, "main")
    result = verdict(report)
    text_in(main, "p", result.text, "verdict" if result.good else "verdict bad").tail = "\n"
    _add_achieved(main, achieved(report))
    _add_failures(main, report)
    _add_chart(main, report)
    _add_machines(main, report)
    _add_path(main, report)
    _add_gates(main, report)
    _add_answers(main, report)
    _add_steps(main, report)
    _add_facts(SubElement(body, "footer"), evidence)
    return lines_of(page)


def _add_achieved(main: Element, found: Iterable[Fact]) -> None:
    items = SubElement(main, "ul", {"class": "achieved"})
    items.tail = "\n"
    for fact in found:
        role = {True: "good", False: "bad", None: ""}[fact.good]
        item = SubElement(items, "li", {"class": role} if role else {})
        text_in(item, "b", fact.name)
        sign = {True: "\u2713 ", False: "\u2717 ", None: ""}[fact.good]
        text_in(item, "span", f"{sign}{fact.text}")


def _add_machines(main: Element, report: Report) -> None:
    rows = [
        (
            item.address.rpartition("/")[2],
            became(report, item),
            duration(item.seconds) if item.seconds is not None else "",
            duration(item.since_fenced) if item.since_fenced is not None else "",
            moment(item.taken) if item.taken is not None else "",
            lost(report, item),
            kept(item),
            f"{item.gates_passed} of {item.gates}" if item.gates else "",
        )
        for item in ranked(report.machines)
    ]
    header = (
        "Machine",
        "State",
        "Recovered after",
        "After fencing",
        "Recovery point",
        "Lost",
        "Objective",
        "Gates passed",
    )
    section = _add_table(main, "machines", "Machines", header, rows)
    if section is not None and len(rows) > _MOST:
        text_in(section, "p", f"All of them: {spread(report.machines)}.", "legend")


def _add_failures(main: Element, report: Report) -> None:
    passed_over = report.that(Ended.PASSED_OVER)
    for name, heading, steps in (
        ("failed", "Failed", report.that(Ended.FAILED)),
        ("held", "Held back", report.that(Ended.HELD)),
        ("abandoned", "Given up, and not known to be done", report.abandoned),
        ("passed", "Passed over: they count as done, and did not succeed", passed_over),
    ):
        rows = [(step.task.title, step.task.id, step.why) for step in steps]
        _add_table(main, name, heading, ("Step", "Id", "Why"), rows)


def _add_chart(main: Element, report: Report) -> None:
    section = _section(main, "chart", "Steps along the time")
    legend = f"{CRITICAL} and a thick outline: on the critical path. \u2717: failed. "
    legend += "\u2016: held back."
    if len(report.steps) > MANY:
        legend += " Dashed: many steps that do the like, from the first to the last."
    text_in(section, "p", legend, "legend")
    SubElement(section, "figure", {"tabindex": "0"}).append(gantt(report))


def _add_path(main: Element, report: Report) -> None:
    rows = [_timed(step) for step in report.critical_path]
    header = ("Began", "Took", "Stage", "Step")
    _add_table(main, "path", "Critical path: what the end waited for", header, rows)


def _timed(step: Step) -> tuple[str, ...]:
    start, end = step.start or 0.0, step.end or 0.0
    return offset(start), duration(end - start), step.task.stage, step.task.title


def _add_gates(main: Element, report: Report) -> None:
    gates = report.named(GATE)
    rows = [
        (
            step.task.title,
            "passed" if step.ended is Ended.DONE else STATES[step.ended],
            offset(step.end) if step.end is not None else "",
            step.why,
        )
        for step in sorted(gates, key=lambda step: step.ended is Ended.DONE)
    ]
    _add_table(main, "gates", "Gates", ("Gate", "State", "Ended", "Why not"), rows)


def _add_answers(main: Element, report: Report) -> None:
    rows = [
        (moment(item.at), item.actor, item.text, item.title or item.task) for item in report.answers
    ]
    rows += [(moment(item.at), item.actor, "cancel", "") for item in report.cancellations]
    _add_table(main, "answers", "Answers", ("When", "Who", "What", "Question"), rows)


def _add_steps(main: Element, report: Report) -> None:
    if len(report.steps) <= MANY:
        rows = [(*_timed(step), STATES[step.ended], step.task.lane) for step in report.steps]
        header: tuple[str, ...] = ("Began", "Took", "Stage", "Step", "State", "Lane")
    else:
        rows = [
            (
                offset(start) if start is not None else "",
                duration(end - start) if start is not None and end is not None else "",
                stage,
                action,
                f"{done:,} of {number:,} done",
            )
            for stage, action, number, done, start, end in summed(report.steps)
        ]
        header = ("Began", "Took", "Stage", "Work", "State")
    details = SubElement(main, "details")
    text_in(details, "summary", f"All {len(report.steps):,} steps in words")
    _add_table(details, "steps", "Steps", header, rows)


def _add_facts(footer: Element, evidence: Evidence) -> None:
    table = SubElement(footer, "dl")
    for fact in facts(evidence):
        text_in(table, "dt", fact.name)
        text_in(table, "dd", fact.text).tail = "\n"
    text_in(
        footer,
        "p",
        "The signature is over the report in JSON, which has every step: 'provisioner dr report "
        "--verify FILE' checks it. This page was drawn from it.",
    )


def _add_table(
    parent: Element, name: str, heading: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> Element | None:
    """A table without the columns in which nothing stands; None if there are no rows."""
    if not rows:
        return None
    section = _section(parent, name, f"{heading} ({len(rows):,})")
    columns = [place for place in range(len(header)) if any(row[place] for row in rows)]
    table = SubElement(SubElement(section, "div", {"class": "scroll"}), "table", {"class": "rows"})
    head = SubElement(SubElement(table, "thead"), "tr")
    for place in columns:
        text_in(head, "th", header[place], _class(header[place])).set("scope", "col")
    body = SubElement(table, "tbody")
    for row in rows[:_MOST]:
        line = SubElement(body, "tr")
        line.tail = "\n"
        for place in columns:
            bad = row[place] in _BAD or row[place].startswith("BEYOND")
            role = "bad" if bad else _class(header[place])
            role += " short" if header[place] in _SHORT else ""
            tag = "th" if place == columns[0] else "td"
            cell = text_in(line, tag, row[place], role.strip())
            cell.set("scope", "row") if tag == "th" else cell.set("data-name", header[place])
    if len(rows) > _MOST:
        text = f"{len(rows) - _MOST:,} more; the JSON has them."
        text_in(section, "p", text, "legend")
    return section


def _class(column: str) -> str:
    return "number" if column in _NUMBERS else ""


def _section(parent: Element, name: str, heading: str) -> Element:
    section = SubElement(parent, "section", {"id": name, "aria-labelledby": f"{name}-title"})
    section.tail = "\n"
    text_in(section, "h2", heading).set("id", f"{name}-title")
    return section
