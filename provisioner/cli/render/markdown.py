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
from html import escape
from urllib.parse import quote

from provisioner.cli.render.budget import Item, Part, Tier, Topic, fill
from provisioner.cli.render.gate import ALLOW_DATA_LOSS, MAX_IMPACT, consents, trust
from provisioner.cli.render.plan import WHAT_WAITS, summary
from provisioner.cli.render.review import (
    Difference,
    differences,
    grouped,
    impact_text,
    own_steps,
    reasons,
    sign,
    waiting_text,
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


def render_markdown(
    plan: Plan, vocabulary: Vocabulary, command: Sequence[str] = (), limit: int = LIMIT
) -> list[str]:
    """The plan in lines of fewer than ``limit`` characters together. Where not all of it fits, the
    names of what is destructive are told first, then what is done to it, then the rest; counts are
    told whatever their length, which is far below :data:`LIMIT`.

    ``command`` is what has the plan made: a refusal repeats it with what would allow it.
    """
    document = _Document(plan, vocabulary, command)
    document.fill(limit)
    return list(_spaced(document.lines()))


class _Document:
    """The comment: what always stands in it, and lists that are told as far as there is room."""

    def __init__(self, plan: Plan, vocabulary: Vocabulary, command: Sequence[str]) -> None:
        self._plan = plan
        steps = own_steps(plan)
        self._head = [marker(plan), *_title(plan), *_gate(plan, command), *_trust(plan)]
        self._head += _table(steps) if steps else []
        self._destructive: list[Topic] = []
        self._rest: list[Topic] = []
        for group in grouped(steps):
            items = [_item(step, plan, vocabulary) for step in group.steps]
            part = self._destructive if group.concern.is_destructive else self._rest
            part.append(Topic(group.concern.value, items))
        held = [_item(step, plan, vocabulary) for step in plan.held]
        self._held = [Topic("Held back, not carried out", held)] if held else []
        unseen, *notes = _notes(plan, vocabulary)
        self._unseen = [topic for topic in [unseen] if topic.items]
        self._notes = [topic for topic in notes if topic.items]

    @property
    def _topics(self) -> list[Topic]:
        return [*self._destructive, *self._rest, *self._held, *self._unseen, *self._notes]

    def fill(self, limit: int) -> None:
        """Tell as much as there is room for."""
        frame = sum(len(line) + 1 for line in self.lines())
        reserve = sum(topic.reserve() for topic in self._topics)
        first = [*self._unseen, *self._held]
        tiers = [
            Tier(Part.NAME, self._destructive),
            Tier(Part.NAME, first),
            Tier(Part.WHOLE, self._destructive),
            Tier(Part.WHOLE, first),
            Tier(Part.NAME, [*self._rest, *self._notes]),
            Tier(Part.WHOLE, self._notes),
            Tier(Part.WHOLE, self._rest),
        ]
        fill(tiers, limit - 1 - frame - reserve)

    def lines(self) -> Iterator[str]:
        """The comment as far as it is filled."""
        yield from self._head
        for topic in self._topics:
            yield from _heading(f"{topic.heading} ({len(topic.items):,})")
            yield from topic.lines()
        if self._plan.pending or any(step.deferred for step in self._plan.steps):
            yield from ["", f"{WHAT_WAITS} To restart it now: `--max-impact restart`."]
        yield from self._left_out()

    def _left_out(self) -> Iterator[str]:
        counted = sum(len(topic.items) - topic.whole for topic in self._topics)
        if counted:
            unnamed = sum(len(topic.items) - topic.named for topic in self._topics)
            names = f", and of {unnamed:,} of them the names" if unnamed else ""
            yield from [
                "",
                f"**Left out** to stay below {LIMIT:,} characters: the details of {counted:,}"
                f" {'entry' if counted == 1 else 'entries'}{names}."
                " `provisioner show PLANFILE` shows everything, `provisioner show PLANFILE --html`"
                " as one page.",
            ]


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
            f" but the loss of data that was allowed for {_named(list(map(str, plan.consents)))}."
            if plan.consents
            else "."
        )
        return
    yield (
        f"Gate: **refused**, {count(refused, 'step')} beyond `{plan.max_impact.value}`. Apply does"
        " nothing of this plan. To allow it:"
    )
    allowing = consents(plan)
    if allowing.are_many:
        impact = f"`{MAX_IMPACT} {allowing.impact.value}`, and " if allowing.impact else ""
        names = _named(allowing.losing)
        yield from ["", f"Pass {impact}`{ALLOW_DATA_LOSS}` for each of {names}."]
        return
    words = allowing.added_to(command or ("provisioner", "plan"))
    line = printable(" ".join(map(shlex.quote, words))).replace("\n", " ")
    yield from ["", *_block([_cut(line, _LONGEST_COMMAND)], "sh")]


def _trust(plan: Plan) -> Iterator[str]:
    said = trust(plan)
    if said is not None:
        yield from ["", f"**{printable(said)}**"]


def _table(steps: Sequence[Step]) -> Iterator[str]:
    """Counts by concern and action; there is no word in it but ours."""
    actions = [action for action in Action if any(step.action is action for step in steps)]
    yield from ["", "| | " + " | ".join(action.value for action in actions) + " |"]
    yield "|---|" + "---:|" * len(actions)
    for group in grouped(steps):
        counts = Counter(step.action for step in group.steps)
        cells = (f"{counts[action]:,}" if counts[action] else "" for action in actions)
        yield f"| {group.concern.value} | " + " | ".join(cells) + " |"


def _heading(text: str) -> Iterator[str]:
    yield from ["", f"#### {text}", ""]


def _item(step: Step, plan: Plan, vocabulary: Vocabulary) -> Item:
    refused = step.held is None and not plan.allows(step)
    label = f"to {step.action.value}" + (" <b>REFUSED</b>" if refused else "")
    return Item(label, _short(str(step.address)), lambda: _step(step, plan, vocabulary))


def _step(step: Step, plan: Plan, vocabulary: Vocabulary) -> list[str]:
    # Of what is held the reason is all that matters.
    details = list(_details(step, vocabulary)) if step.held is None else []
    text = f"{sign(step)} {step.action.value} {step.address}"
    impact = _impact(step, plan)
    if not details:
        why = "".join(f": {code(reason)}" for reason in reasons(step)[:1])
        return [f"- {code(text)}{impact}{why}"]
    # Raw HTML up to the next empty line: escaped, and without markup of Markdown.
    summary_text = f"<code>{escape(_line(text))}</code>{impact}"
    folded = ["", f"<details><summary>{summary_text}</summary>", ""]
    return [*folded, *_block(details, "diff"), "", "</details>", ""]


def _impact(step: Step, plan: Plan) -> str:
    """Words of ours that stand in HTML as in Markdown."""
    marks = [mark for mark in (impact_text(step), waiting_text(step)) if mark]
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
        if difference.before is not None or difference.lines:
            yield from _difference(difference)
        else:
            mark = "+" if step.action is Action.CREATE else " "
            yield f"{mark} {_line(difference.name)}: {_line(difference.after)}"


def _difference(difference: Difference) -> Iterator[str]:
    name = _line(difference.name)
    yield f"# {name} {_line(difference.note)}".rstrip()
    if difference.lines:
        yield from (line[:1] + _cut(line[1:]) for line in difference.lines[:_MOST_LINES])
        more = len(difference.lines) - _MOST_LINES
        if more > 0:
            yield f"# and {count(more, 'line')} more, which 'provisioner show PLANFILE --html' has"
        return
    before, after = _line(difference.before or ""), _line(difference.after)
    if difference.running is not None:
        running = f"{_line(difference.running)} (running)"
        before = running if before == after else f"{before}, {running}"
    yield from [f"- {name}: {before}", f"+ {name}: {after}"]


def _notes(plan: Plan, vocabulary: Vocabulary) -> Iterator[Topic]:
    """What could not be determined first."""
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
    for title, notes in (
        ("Not determined: nothing is planned for these", unseen),
        ("Waiting for a restart", waiting),
        ("Replaced, and kept until nothing needs them", kept),
        ("Warnings", warned),
    ):
        yield Topic(title, [_note(name, text) for name, text in notes])


def _note(name: str, text: str) -> Item:
    line = "- " + ": ".join(code(part) for part in (name, text) if part)
    return Item("", _short(name or text), lambda: [line])


def _named(names: Sequence[str]) -> str:
    """Some names, and how many there are besides."""
    shown = ", ".join(map(_short, names[:_MOST_NAMES]))
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _short(name: str) -> str:
    return code(name[:_LONGEST_NAME])


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
