"""A plan as one page that needs nothing else: no other file, no server, no script to be read.

Built from elements, never from templates, so that nothing in a plan can become markup.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

from provisioner.cli.render.gate import consents, trust
from provisioner.cli.render.html.frame import file_of, lines_of, page_of, text_in
from provisioner.cli.render.html.steps import add_steps
from provisioner.cli.render.plan import WHAT_WAITS, summary
from provisioner.cli.render.review import Group, grouped, own_steps
from provisioner.cli.render.svg import styles, svg
from provisioner.cli.render.text import count, printable
from provisioner.cli.render.values import Vocabulary, render_path, render_value
from provisioner.core.actions import Action
from provisioner.service.graph import dependencies_of_plan
from provisioner.service.model import Plan, Step

_OPEN = 20
"""Destructive steps that are unfolded from the beginning; of more, all are folded."""

_FITS = 1350
"""Width of a drawing that can be made as narrow as the page and be read still; wider ones are
scrolled.
"""


def render_html(plan: Plan, vocabulary: Vocabulary, command: Sequence[str] = ()) -> list[str]:
    """The page in lines. ``command`` is what has the plan made: a refusal repeats it with what
    would allow it.
    """
    heading = printable(f"Plan {plan.short_id} of {plan.stack}")
    style, script = styles() + file_of("html", "page.css"), file_of("html", "page.js")
    page, body = page_of(heading, style, script)
    _add_title(SubElement(body, "header"), plan)
    main = SubElement(body, "main")
    steps = own_steps(plan)
    groups = grouped(steps)
    _add_gate(main, plan, command)
    if groups:
        _add_counts(main, steps, groups)
    if groups or plan.held:
        _add_tools(main)
    destructive = sum(len(group.steps) for group in groups if group.concern.is_destructive)
    for group in groups:
        unfolded = group.concern.is_destructive and destructive <= _OPEN
        section = _section(main, group.concern.name.lower(), group.concern.value, len(group.steps))
        add_steps(section, group.steps, plan, vocabulary, unfolded=unfolded)
    if plan.held:
        section = _section(main, "held", "Held back, not carried out", len(plan.held))
        add_steps(section, plan.held, plan, vocabulary, unfolded=False)
    _add_notes(main, plan, vocabulary)
    if groups or plan.held:
        _add_graph(main, plan)
    _add_facts(SubElement(body, "footer"), plan)
    SubElement(body, "script").text = script
    return lines_of(page)


def _add_title(header: Element, plan: Plan) -> None:
    where = f"Stack {plan.stack}"
    if plan.environment is not None:
        where += f", environment {plan.environment}"
    title = text_in(header, "h1", "Destroy, plan " if plan.destroy else "Plan ")
    text_in(title, "code", plan.short_id)
    text_in(header, "p", where, "where")
    text_in(header, "p", summary(plan), "summary")


def _add_gate(main: Element, plan: Plan, command: Sequence[str]) -> None:
    refused = len({step.consent_address for step in plan.refused})
    name = "gate refused" if refused else "gate passed"
    gate = SubElement(main, "section", {"class": name, "aria-label": "Gate"})
    gate.tail = "\n"
    if not refused:
        text_in(gate, "p", f"Gate passed: nothing beyond {plan.max_impact.value}.")
    else:
        text = f"Gate: refused. {count(refused, 'step')} beyond {plan.max_impact.value}."
        text_in(gate, "p", f"{text} Apply does nothing of this plan. To allow it:")
        allowing = consents(plan)
        line = " ".join(map(shlex.quote, allowing.added_to(command or ("provisioner", "plan"))))
        place = gate
        if allowing.are_many:
            place = SubElement(gate, "details")
            text_in(
                place,
                "summary",
                f"The command, for {len(allowing.losing):,} addresses",
            )
        SubElement(place, "pre").text = printable(line)
    if plan.consents:
        text_in(gate, "p", f"Loss of data was allowed for {', '.join(map(str, plan.consents))}.")
    said = trust(plan)
    if said is not None:
        text_in(gate, "p", said)


def _add_counts(main: Element, steps: Sequence[Step], groups: Iterable[Group]) -> None:
    actions = [action for action in Action if any(step.action is action for step in steps)]
    frame = SubElement(main, "div", {"class": "scroll"})
    frame.tail = "\n"
    table = SubElement(frame, "table", {"class": "counts"})
    head = SubElement(SubElement(table, "thead"), "tr")
    SubElement(head, "td")
    for action in actions:
        text_in(head, "th", action.value).set("scope", "col")
    rows = SubElement(table, "tbody")
    for group in groups:
        row = SubElement(rows, "tr")
        row.tail = "\n"
        title = SubElement(row, "th", {"scope": "row"})
        text_in(title, "a", group.concern.value).set("href", f"#{group.concern.name.lower()}")
        counts = Counter(step.action for step in group.steps)
        for action in actions:
            number = f"{counts[action]:,}" if counts[action] else ""
            text_in(row, "td", number).set("data-action", action.value)


def _add_tools(main: Element) -> None:
    """What needs the script; it shows them."""
    tools = SubElement(main, "div", {"class": "tools", "hidden": ""})
    tools.tail = "\n"
    label = text_in(tools, "label", "Filter ")
    SubElement(label, "input", {"type": "search", "id": "filter", "autocomplete": "off"})
    for name, text in (("unfold", "Unfold all"), ("fold", "Fold all")):
        text_in(tools, "button", text).attrib.update({"type": "button", "id": name})
    text_in(tools, "output", "").set("id", "found")


class _Note(NamedTuple):
    about: str
    text: str


def _add_notes(main: Element, plan: Plan, vocabulary: Vocabulary) -> None:
    waiting = [
        _Note(
            str(note.address),
            f"{render_path(note.path)}: configured "
            f"{render_value(note.configured, note.address.kind, note.path, vocabulary)}, running "
            f"{render_value(note.running, note.address.kind, note.path, vocabulary)}"
            f"{f' ({note.reason})' if note.reason else ''}",
        )
        for note in plan.pending
    ]
    kept = [_Note(str(item.address), item.reason) for item in plan.kept]
    unseen = [_Note(item.address or "", item.summary) for item in plan.undetermined]
    warned = [_Note(item.address or str(item.source or ""), item.summary) for item in plan.warnings]
    for name, title, notes in (
        ("undetermined", "Not determined: nothing is planned for these", unseen),
        ("pending", "Waiting for a restart", waiting),
        ("kept", "Replaced, and kept until nothing needs them", kept),
        ("warnings", "Warnings", warned),
    ):
        if notes:
            found = SubElement(_section(main, name, title, len(notes)), "ul", {"class": "notes"})
            for note in notes:
                item = SubElement(found, "li")
                item.tail = "\n"
                if note.about:
                    text_in(item, "code", note.about).tail = " "
                text_in(item, "span", note.text)
    if plan.pending or any(step.deferred for step in plan.steps):
        text_in(main, "p", f"{WHAT_WAITS} To restart it now: --max-impact restart.")


def _add_graph(main: Element, plan: Plan) -> None:
    section = _section(main, "dependencies", "What depends on what")
    figure = SubElement(section, "figure", {"tabindex": "0"})
    picture = svg(dependencies_of_plan(plan))
    if float(picture.get("width", "0")) <= _FITS:
        picture.set("class", "graph fits")
    figure.append(picture)


def _add_facts(footer: Element, plan: Plan) -> None:
    table = SubElement(footer, "dl")
    providers = ", ".join(f"{name} {version}" for name, version in sorted(plan.providers.items()))
    for name, value in (
        ("Made", f"{plan.created_at} by provisioner {plan.tool_version}"),
        ("Id", plan.id),
        ("State", f"{plan.lineage}, serial {plan.serial}"),
        ("Providers", providers),
        ("Only", " ".join(plan.selection.get("target", ()))),
        ("Without", " ".join(plan.selection.get("exclude", ()))),
        ("Adopting", " ".join(plan.selection.get("adopt", ()))),
    ):
        if value:
            text_in(table, "dt", name)
            text_in(table, "dd", value).tail = "\n"


def _section(main: Element, name: str, title: str, number: int | None = None) -> Element:
    section = SubElement(main, "section", {"id": name, "aria-labelledby": f"{name}-title"})
    section.tail = "\n"
    text = title if number is None else f"{title} ({number:,})"
    text_in(section, "h2", text).set("id", f"{name}-title")
    return section
