"""A plan as a reviewer goes through it: what each step changes, and steps grouped by what they do
to guests, the worst first. What the renderings of plans share."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple

from provisioner.cli.render.text import Paint, count, natural, printable
from provisioner.cli.render.values import Vocabulary, leaves, render_path, render_value, text_of
from provisioner.core.actions import Action, Impact
from provisioner.core.values import Path
from provisioner.service.model import ABSENT_FINGERPRINT, Change, Plan, Step

SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "-/+",
    Action.DELETE: "-",
    Action.ADOPT: "<",
    Action.FORGET: ".",
    Action.RENAME: ">",
}
CREATE_FIRST_SIGN = "+/-"


class Concern(Enum):
    """What a reviewer looks for, in this order."""

    DATA_LOSS = "Data is lost"
    REPLACE = "Removed or made again"
    RESTART = "Interrupts a guest"
    DELETE = "Deleted"
    LIVE = "The guest keeps running"
    WAITS = "Waits for a restart"
    NONE = "No guest notices it"

    @property
    def is_destructive(self) -> bool:
        """Whether something is interrupted or goes."""
        return self in (Concern.DATA_LOSS, Concern.REPLACE, Concern.RESTART, Concern.DELETE)


class Group(NamedTuple):
    """Steps of one concern: what goes before what comes, then by address."""

    concern: Concern
    steps: tuple[Step, ...]


class Difference(NamedTuple):
    """A field and its values as text. ``before`` is None where only one value is to be told;
    ``lines`` are those in which two long texts differ, or those of the one text that is to be told,
    each after its sign."""

    name: str
    before: str | None
    after: str
    running: str | None = None
    note: str = ""
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Both values on one line: ``4GiB -> 8GiB``."""
        if self.before is None:
            return self.after
        if self.running is None:
            return f"{self.before} -> {self.after}"
        if self.before == self.after:
            return f"{self.running} -> {self.after}"
        return f"{self.before} -> {self.after} (running {self.running})"


def sign(step: Step) -> str:
    """The sign of a step's action; for a replacement in its order."""
    creates_first = step.action is Action.REPLACE and step.replace_order == "create-first"
    return CREATE_FIRST_SIGN if creates_first else SIGNS[step.action]


def own_steps(plan: Plan) -> list[Step]:
    """The steps without the second halves of replacements, which the first halves tell of."""
    return [step for step in plan.steps if step.id == str(step.address)]


def only_waits(step: Step) -> bool:
    """Whether everything that the step changes waits for a restart."""
    return bool(step.changes) and all(change.path in step.deferred for change in step.changes)


def impact_text(step: Step) -> str:
    """The impact in a word; nothing for one that no guest notices."""
    if only_waits(step):
        return "waits for a restart"
    return "" if step.impact is Impact.NONE else step.impact.value


def waiting_text(step: Step) -> str:
    """Of a step that does something now: what of it waits; nothing where nothing does."""
    if not step.deferred or only_waits(step):
        return ""
    verb = "waits" if len(step.deferred) == 1 else "wait"
    return f"{count(len(step.deferred), 'field')} {verb} for a restart"


def concern_of(step: Step) -> Concern:
    """Where a reviewer looks for the step."""
    if only_waits(step):
        return Concern.WAITS
    if step.action is Action.DELETE and not step.impact.exceeds(Impact.LIVE):
        return Concern.DELETE
    return Concern[step.impact.name]


_ORDER = (
    Action.DELETE,
    Action.REPLACE,
    Action.UPDATE,
    Action.CREATE,
    Action.ADOPT,
    Action.RENAME,
    Action.FORGET,
)


def grouped(steps: Sequence[Step]) -> list[Group]:
    """The steps by concern; concerns without a step are left out."""
    by_concern: dict[Concern, list[Step]] = {concern: [] for concern in Concern}
    for step in steps:
        by_concern[concern_of(step)].append(step)
    return [
        Group(concern, tuple(sorted(found, key=_place)))
        for concern, found in by_concern.items()
        if found
    ]


def _place(step: Step) -> tuple[Any, ...]:
    return (_ORDER.index(step.action), step.address.kind, natural(step.address.name), step.id)


def reasons(step: Step) -> list[str]:
    """Why the step is as it is, for people; where it was renamed, from what."""
    told = [step.held, step.reason]
    if step.action is Action.RENAME:
        before = step.previous.address if step.previous is not None else None
        told = [f"was {before}; the object stays" if before is not None else None, step.held]
    return [reason for reason in told if reason]


def differences(step: Step, vocabulary: Vocabulary) -> Iterator[Difference]:
    """Every field that a creation sets or another step changes; of what is forgotten where it
    is."""
    kind = step.address.kind
    if step.action is Action.CREATE:
        for path, value in leaves(step.known.spec):
            if path:
                after = render_value(value, kind, path, vocabulary)
                lines = [] if vocabulary.is_sensitive(kind, path) else _lines_of(value)
                told = tuple(f"+{printable(line)}" for line in lines) if len(lines) > 1 else ()
                yield Difference(render_path(path), None, after, lines=told)
    elif step.changes:
        for change in step.changes:
            yield _difference(step, change, vocabulary)
    elif step.action is Action.FORGET and step.fingerprint != ABSENT_FINGERPRINT:
        for path, value in leaves(step.known.outputs):
            if path:
                name = render_path(path)
                yield Difference(name, None, render_value(value, kind, (name,), vocabulary))


def _difference(step: Step, change: Change, vocabulary: Vocabulary) -> Difference:
    kind, name = step.address.kind, render_path(change.path)
    waits = change.path in step.deferred
    reason = change.reason if change.reason != step.reason else ""
    mark = f"[{'waits for a restart' if waits else change.impact.value}]"
    note = f"{mark} {printable(reason)}".rstrip()
    before, after = (
        render_value(value, kind, change.path, vocabulary)
        for value in (change.before, change.after)
    )
    lines = text_difference(change.before, change.after, kind, change.path, vocabulary)
    if lines:
        return Difference(name, before, after, None, note, lines)
    running = None
    if change.differs_running:
        running = render_value(change.running, kind, change.path, vocabulary)
    return Difference(name, before, after, running, note)


def _lines_of(value: Any) -> list[str]:
    """The lines of a text; none of what is no text."""
    text = text_of(value)
    return [] if text is None else text.removesuffix("\n").split("\n")


def text_difference(
    before: Any, after: Any, kind: str, path: Path, vocabulary: Vocabulary
) -> tuple[str, ...]:
    """The lines in which two texts differ, each after its sign, if one of them has several lines,
    with one line of context; quoted where only white space makes the difference. Where there is a
    text on one side only, all of its lines. Nothing for other values, and for what is sensitive.
    """
    sides = [(side, text_of(side)) for side in (before, after)]
    is_long = any("\n" in (text or "") for _, text in sides) and all(
        text is not None or side is None for side, text in sides
    )
    if not is_long or vocabulary.is_sensitive(kind, path):
        return ()
    old, new = ([] if side is None else (text or "").split("\n") for side, text in sides)
    return tuple(_unified(old, new))


def _unified(before: list[str], after: list[str]) -> Iterator[str]:
    if {"".join(side[-1:]) for side in (before, after)} == {""}:
        before, after = before[:-1], after[:-1]
    if " ".join(before).split() == " ".join(after).split():
        before, after = (
            [json.dumps(line, ensure_ascii=False) for line in side] for side in (before, after)
        )
    for line in list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]:
        if not line.startswith("@@"):
            yield printable(line)


def render_lines(lines: Sequence[str], indent: str, width: int, paint: Paint) -> Iterator[str]:
    """The lines in which two texts differ, cut to the width, in colour."""
    for line in lines:
        role = {"+": "add", "-": "destroy"}.get(line[0])
        text = line[: max(20, width - len(indent))]
        yield f"{indent}{paint(role, text) if role else text}"
