"""A plan as Markdown for a pull or merge request: what hurts first, details folded, and never
longer than such a comment may be.

Whatever comes from manifests, guests or endpoints stands in code, where neither GitHub nor GitLab
looks for markup, mentions or references. Everything outside of code are words of ours.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from provisioner.cli.render.plan import WHAT_WAITS, consents, summary
from provisioner.cli.render.review import (
    Concern,
    Difference,
    Group,
    differences,
    grouped,
    impact_text,
    own_steps,
    reasons,
    sign,
)
from provisioner.cli.render.text import count, printable
from provisioner.cli.render.values import Vocabulary, render_path, render_value
from provisioner.core.actions import Action, Impact
from provisioner.service.model import Plan, Step

LIMIT = 60_000
"""Characters. GitHub takes 65,536 in a comment, GitLab 1,000,000; what is left is for a bot's own
words."""

_LONGEST = 300
"""Characters of one value."""
_LONGEST_NAME = 80
"""Characters of a name among others."""
_LONGEST_COMMAND = 4_000
_MOST_LINES = 40
"""Lines of one text that differ."""
_MOST_NAMES = 8
"""Addresses that are named where there are too many for a line each."""
_MOST_OPTIONS = 20
"""In the command that is shown to be copied."""


class Detail(IntEnum):
    """How much is told of each step."""

    COUNTED = 0
    NAMED = 1
    FULL = 2


class Level(NamedTuple):
    """How much is told of what is destructive, and of the rest."""

    destructive: Detail
    rest: Detail

    def of(self, concern: Concern) -> Detail:
        """For steps of this concern."""
        return self.destructive if concern.is_destructive else self.rest


_LEVELS = (
    Level(Detail.FULL, Detail.FULL),
    Level(Detail.FULL, Detail.NAMED),
    Level(Detail.FULL, Detail.COUNTED),
    Level(Detail.NAMED, Detail.COUNTED),
    Level(Detail.COUNTED, Detail.COUNTED),
)
_LEFT_OUT = {
    _LEVELS[1]: "the values of steps that are not destructive",
    _LEVELS[2]: "the names and values of steps that are not destructive",
    _LEVELS[3]: "the values of all steps, and the names of those that are not destructive",
    _LEVELS[4]: "the names and values of most steps",
}


def render_markdown(
    plan: Plan, vocabulary: Vocabulary, command: Sequence[str] = (), limit: int = LIMIT
) -> list[str]:
    """The plan in lines of fewer than ``limit`` characters together; the last level of detail is
    taken whatever its length, which never is :data:`LIMIT`.

    ``command`` is what has the plan made: a refusal repeats it with what would allow it.
    """
    lines: list[str] = []
    for level in _LEVELS:
        lines = []
        length = 0
        for line in _spaced(_document(plan, vocabulary, command, level)):
            length += len(line) + 1
            if length >= limit and level is not _LEVELS[-1]:
                break
            lines.append(line)
        else:
            break
    return lines


def _spaced(lines: Iterable[str]) -> Iterator[str]:
    """The lines with one empty line where there are several."""
    before = ""
    for line in lines:
        if line or before:
            yield line
        before = line


def marker(plan: Plan) -> str:
    """The hidden first line, the same for every plan of a stack's environment: by it a bot finds
    the comment that it wrote before.
    """
    place = "/".join(quote(part, safe="") for part in (plan.stack, plan.environment or ""))
    return f"<!-- provisioner plan {_cut(place)} -->"


def _document(
    plan: Plan, vocabulary: Vocabulary, command: Sequence[str], level: Level
) -> Iterator[str]:
    yield marker(plan)
    yield from _title(plan)
    yield from _gate(plan, command)
    steps = own_steps(plan)
    if steps:
        yield from _table(steps)
    for group in grouped(steps):
        yield from _group(group, plan, vocabulary, level.of(group.concern))
    if plan.held:
        yield from _heading(f"Held back, not carried out ({len(plan.held):,})")
        yield from _steps(plan.held, plan, vocabulary, min(level.destructive, Detail.NAMED))
    yield from _notes(plan, vocabulary, level)
    left_out = _LEFT_OUT.get(level)
    if left_out is not None:
        yield from [
            "",
            f"**Left out** to stay below {LIMIT:,} characters: {left_out}."
            " `provisioner show PLANFILE` shows everything, `provisioner show PLANFILE --html` as"
            " one page.",
        ]


def _title(plan: Plan) -> Iterator[str]:
    what = "Destroy" if plan.destroy else "Plan"
    where = f"stack {code(plan.stack)}"
    if plan.environment is not None:
        where += f", environment {code(plan.environment)}"
    yield from [f"### {what} {code(plan.short_id)}: {where}", "", f"**{summary(plan)}**", ""]


def _gate(plan: Plan, command: Sequence[str]) -> Iterator[str]:
    refused = len({step.consent_address for step in plan.refused})
    if not refused:
        yield f"Gate: **passed**, nothing beyond `{plan.max_impact.value}`" + (
            f" but the loss of data that was allowed for {_named(map(str, plan.consents))}."
            if plan.consents
            else "."
        )
        return
    yield (
        f"Gate: **refused**, {count(refused, 'step')} beyond `{plan.max_impact.value}`. Apply does"
        " nothing of this plan. To allow it:"
    )
    options = consents(plan)
    if len(options) > _MOST_OPTIONS:
        addresses = [value for option, value in options if option == "--allow-data-loss"]
        yield from ["", f"Pass `--allow-data-loss` for each of {_named(addresses)}."]
        return
    words = [*(command or ("provisioner", "plan")), *(word for pair in options for word in pair)]
    line = printable(" ".join(shlex.quote(word) for word in words)).replace("\n", " ")
    yield from ["", *_block([_cut(line, _LONGEST_COMMAND)], "sh")]


def _table(steps: Sequence[Step]) -> Iterator[str]:
    """Counts by concern and action; there is no word in it but ours."""
    actions = [action for action in Action if any(step.action is action for step in steps)]
    yield from ["", "| | " + " | ".join(action.value for action in actions) + " |"]
    yield "|---|" + "---:|" * len(actions)
    for group in grouped(steps):
        counts = Counter(step.action for step in group.steps)
        cells = (f"{counts[action]:,}" if counts[action] else "" for action in actions)
        yield f"| {group.concern.value} | " + " | ".join(cells) + " |"


def _group(group: Group, plan: Plan, vocabulary: Vocabulary, detail: Detail) -> Iterator[str]:
    yield from _heading(f"{group.concern.value} ({len(group.steps):,})")
    yield from _steps(group.steps, plan, vocabulary, detail)


def _heading(text: str) -> Iterator[str]:
    yield from ["", f"#### {text}", ""]


def _steps(
    steps: Sequence[Step], plan: Plan, vocabulary: Vocabulary, detail: Detail
) -> Iterator[str]:
    if detail is Detail.COUNTED:
        for action in Action:
            found = [str(step.address) for step in steps if step.action is action]
            if found:
                yield f"- {len(found):,} to {action.value}: {_named(found)}"
        return
    for step in steps:
        details = list(_details(step, vocabulary)) if detail is Detail.FULL else []
        text = f"{sign(step)} {step.action.value} {step.address}"
        impact = _impact(step, plan)
        if details:
            # Raw HTML up to the next empty line: escaped, and without markup of Markdown.
            summary_text = f"<code>{escape(_line(text))}</code>{impact}"
            yield from ["", f"<details><summary>{summary_text}</summary>", ""]
            yield from [*_block(details, "diff"), "", "</details>", ""]
        else:
            why = "".join(f": {code(reason)}" for reason in reasons(step)[:1])
            yield f"- {code(text)}{impact}{why}"


def _impact(step: Step, plan: Plan) -> str:
    """Words of ours that stand in HTML as in Markdown."""
    impact = impact_text(step)
    marks = [impact] if impact else []
    if step.held is None:
        if not plan.allows(step):
            marks.append("<b>REFUSED</b>")
        elif step.impact is Impact.DATA_LOSS:
            marks.append("allowed")
    return "".join(f" [{mark}]" for mark in marks)


def _details(step: Step, vocabulary: Vocabulary) -> Iterator[str]:
    """Lines of a block that is highlighted as a difference; each begins with a sign or a space."""
    for reason in reasons(step):
        yield f"# {_line(reason)}"
    for difference in differences(step, vocabulary):
        if difference.before is None:
            mark = "+" if step.action is Action.CREATE else " "
            yield f"{mark} {_line(difference.name)}: {_line(difference.after)}"
        else:
            yield from _difference(difference)


def _difference(difference: Difference) -> Iterator[str]:
    name = _line(difference.name)
    yield f"# {name} {_line(difference.note)}"
    if difference.lines:
        yield from (line[:1] + _cut(line[1:]) for line in difference.lines[:_MOST_LINES])
        more = len(difference.lines) - _MOST_LINES
        if more > 0:
            yield f"# and {count(more, 'line')} more"
        return
    before, after = _line(difference.before or ""), _line(difference.after)
    if difference.running is not None:
        running = f"{_line(difference.running)} (running)"
        before = running if before == after else f"{before}, {running}"
    yield from [f"- {name}: {before}", f"+ {name}: {after}"]


def _notes(plan: Plan, vocabulary: Vocabulary, level: Level) -> Iterator[str]:
    waiting = [
        (
            str(note.address),
            f"{render_path(note.path)}: configured "
            f"{render_value(note.configured, note.address.kind, note.path, vocabulary)}, running "
            f"{render_value(note.running, note.address.kind, note.path, vocabulary)}",
        )
        for note in plan.pending
    ]
    kept = [(str(item.address), item.reason) for item in plan.kept]
    unseen = [(item.address or "", item.summary) for item in plan.undetermined]
    warned = [(item.address or str(item.source or ""), item.summary) for item in plan.warnings]
    for title, notes, detail in (
        ("Not determined: nothing is planned for these", unseen, level.destructive),
        ("Waiting for a restart", waiting, level.rest),
        ("Replaced, and kept until nothing needs them", kept, level.rest),
        ("Warnings", warned, level.rest),
    ):
        if notes:
            yield from _heading(f"{title} ({len(notes):,})")
            if detail is Detail.COUNTED:
                yield f"- {_named(name or text for name, text in notes)}"
            else:
                yield from ("- " + ": ".join(code(part) for part in note if part) for note in notes)
    if plan.pending or any(step.deferred for step in plan.steps):
        yield from ["", f"{WHAT_WAITS} To restart it now: `--max-impact restart`."]


def _named(names: Iterable[str]) -> str:
    """Some names, and how many there are besides."""
    every = list(dict.fromkeys(names))
    shown = ", ".join(code(name[:_LONGEST_NAME]) for name in every[:_MOST_NAMES])
    more = len(every) - _MOST_NAMES
    return f"{shown} and {more:,} more" if more > 0 else shown


def code(text: str) -> str:
    """A code span (CommonMark 6.1) that holds the text on one line, whatever stands in it."""
    line = _line(text) or " "
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _block(lines: Sequence[str], language: str) -> list[str]:
    """A fenced block (CommonMark 4.5) that none of its lines can end."""
    fence = "`" * max(3, *(_longest_run(line) + 1 for line in lines))
    return [f"{fence}{language}", *lines, fence]


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _line(text: str) -> str:
    return _cut(" ".join(printable(text).split()))


def _cut(text: str, longest: int = _LONGEST) -> str:
    """At most so much that no single value decides how much is told of the others."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}... ({len(text) - longest:,} characters more)"
