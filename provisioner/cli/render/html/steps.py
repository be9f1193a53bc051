"""The steps of a plan in its page: each a heading that unfolds into what changes. Called by
:mod:`page`."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement

from provisioner.cli.render.html.frame import text_in
from provisioner.cli.render.review import (
    Difference,
    differences,
    impact_text,
    reasons,
    sign,
    waiting_text,
)
from provisioner.cli.render.values import Vocabulary
from provisioner.core.actions import Action, Impact
from provisioner.service.model import Plan, Step


def add_steps(
    section: Element, steps: Iterable[Step], plan: Plan, vocabulary: Vocabulary, *, unfolded: bool
) -> None:
    """Add the steps in the order that they are given in."""
    for step in steps:
        found = list(differences(step, vocabulary))
        why = [reason for reason in reasons(step) if reason != step.held]
        if found or why:
            element = SubElement(section, "details", {"class": f"step {step.action.value}"})
            if unfolded:
                element.set("open", "")
            _add_head(SubElement(element, "summary"), step, plan)
            for reason in why:
                text_in(element, "p", reason, "why")
            if found:
                _add_differences(element, step, found)
        else:
            element = SubElement(section, "div", {"class": f"step {step.action.value}"})
            _add_head(element, step, plan)
        element.tail = "\n"


def _add_head(head: Element, step: Step, plan: Plan) -> None:
    text_in(head, "span", sign(step), "sign").set("aria-hidden", "true")
    text_in(head, "span", step.action.value, "action")
    text_in(head, "code", str(step.address), "address")
    text_in(head, "span", f"on {step.known.endpoint}", "host")
    impact, waiting = impact_text(step), waiting_text(step)
    if impact:
        text_in(head, "span", impact, f"impact {step.impact.value}")
    if waiting:
        text_in(head, "span", waiting, "impact waits")
    if step.held is not None:
        text_in(head, "span", step.held, "why")
    elif not plan.allows(step):
        text_in(head, "strong", "REFUSED", "refused")
    elif step.impact is Impact.DATA_LOSS:
        text_in(head, "span", "allowed", "impact")
    for part in head:
        part.tail = " "  # where a line may be broken


def _add_differences(parent: Element, step: Step, found: list[Difference]) -> None:
    plain = [difference for difference in found if not difference.lines]
    if plain:
        frame = SubElement(parent, "div", {"class": "scroll"})
        table = SubElement(frame, "table", {"class": "changes"})
        if step.changes:
            head = SubElement(SubElement(table, "thead"), "tr")
            for title in ("field", "before", "after", "impact"):
                text_in(head, "th", title).set("scope", "col")
        rows = SubElement(table, "tbody")
        for difference in plain:
            row = SubElement(rows, "tr")
            row.tail = "\n"
            text_in(row, "th", difference.name).set("scope", "row")
            if difference.before is None:
                mark = "after" if step.action is Action.CREATE else "value"
                text_in(row, "td", difference.after, mark)
                continue
            before = difference.before
            if difference.running is not None:
                before = f"{before} (running {difference.running})"
            text_in(row, "td", before, "before")
            text_in(row, "td", difference.after, "after")
            text_in(row, "td", difference.note, "note")
    for difference in found:
        if difference.lines:
            text_in(parent, "p", f"{difference.name} {difference.note}", "why")
            lines = SubElement(parent, "pre", {"class": "lines"})
            for line in difference.lines:
                tag = {"+": "ins", "-": "del"}.get(line[:1], "span")
                text_in(lines, tag, line).tail = "\n"
