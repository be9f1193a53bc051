"""A plan as an expert reads it: what happens to which resource, what it does to guests, what is in
the way."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

from provisioner.cli.render.diagnostics import render_diagnostic
from provisioner.cli.render.gate import ALLOW_DATA_LOSS, MAX_IMPACT, consents, trust
from provisioner.cli.render.review import (
    Difference,
    differences,
    impact_text,
    only_waits,
    own_steps,
    reasons,
    render_lines,
    sign,
    waiting_text,
)
from provisioner.cli.render.text import (
    Paint,
    cells,
    column_of,
    count,
    listed,
    pair,
    plain,
    printable,
    wrap,
)
from provisioner.cli.render.values import Vocabulary, render_path, render_value
from provisioner.core.actions import Action, Impact
from provisioner.core.diagnostics import Diagnostic
from provisioner.service.model import (
    Kept,
    Plan,
    RestartPending,
    Step,
)

_ROLES = {
    Action.CREATE: "add",
    Action.UPDATE: "change",
    Action.REPLACE: "destroy",
    Action.DELETE: "destroy",
    Action.ADOPT: "note",
    Action.FORGET: "note",
    Action.RENAME: "note",
}
_MARGIN = "        "
_NAMED = 3


def render_plan(
    plan: Plan,
    vocabulary: Vocabulary,
    width: int = 80,
    paint: Paint = plain,
    command: Sequence[str] = (),
) -> list[str]:
    """The whole plan in lines of at most ``width`` columns, where values allow it.

    ``command`` is what was typed to have it made: a refusal repeats it with what would allow it.
    Steps stand by severity, the worst first, and within the same severity in the order of
    execution.
    """
    lines = [paint("strong", _title(plan)), ""]
    by_severity = sorted(own_steps(plan), key=lambda step: -step.impact.rank)
    lines += _spaced(list(_step(step, plan, vocabulary, width, paint)) for step in by_severity)
    if plan.held:
        lines += [paint("strong", "Held back (shown, but not carried out)"), ""]
        lines += _spaced(list(_step(step, plan, vocabulary, width, paint)) for step in plan.held)
    if plan.pending:
        lines += [paint("strong", "Waiting for a restart"), ""]
        lines += [*_pending(plan.pending, vocabulary, width), ""]
    if plan.kept:
        lines += [paint("strong", "Replaced, and kept until nothing needs them"), ""]
        lines += [*_kept(plan.kept, width), ""]
    if plan.undetermined:
        lines += [paint("strong", "Not determined: nothing is planned for these"), ""]
        lines += [*_undetermined(plan.undetermined, width), ""]
    for warning in plan.warnings:
        lines += [*render_diagnostic(warning, width, paint), ""]
    trusted = trust(plan)
    if trusted is not None:
        lines += [*wrap(printable(trusted), width), ""]
    if plan.refused:
        lines += [*render_refusal(plan, command, width, paint), ""]
    lines += wrap(summary(plan), width)
    if plan.pending or any(step.deferred for step in plan.steps):
        lines += wrap(f"{WHAT_WAITS} To restart it now: --max-impact restart.", width)
    return lines


WHAT_WAITS = "A waiting change takes effect with the next restart."


def _spaced(blocks: Iterable[list[str]]) -> list[str]:
    """The lines of all blocks, each set off by an empty line unless it and the one before are a
    single line each.
    """
    lines: list[str] = []
    before = 0
    for block in blocks:
        if before > 1 or (before and len(block) > 1):
            lines.append("")
        lines += block
        before = len(block)
    return [*lines, ""] if lines else []


def _title(plan: Plan) -> str:
    where = f"Stack {plan.stack}" + (
        f", environment {plan.environment}" if plan.environment else ""
    )
    where += f", plan {plan.short_id}"
    return printable(f"Destroy: {where}" if plan.destroy else where)


def summary(plan: Plan) -> str:
    """One sentence: how many steps of which kind, how many of the updates are live, what is held
    or waits. A plan without steps, which one might not apply, also says what it would record."""
    recording = _to_record(plan)
    if not (plan.steps or plan.held or plan.pending):
        if plan.destroy:
            return "Nothing to destroy."
        return f"Nothing to do: {count(plan.unchanged, 'resource')} as declared.{recording}"
    parts = [
        f"{len(impacts):,} to {action.value}{_impacts(impacts)}"
        for action in Action
        if (impacts := [_felt(step) for step in own_steps(plan) if step.action is action])
    ]
    text = "Plan: " + (", ".join(parts) or "no steps")
    if plan.held:
        text += f"; {len(plan.held):,} held"
    waiting = len(plan.pending) + sum(len(step.deferred) for step in plan.steps)
    if plan.undetermined:
        text += f"; {len(plan.undetermined):,} not determined"
    if waiting:
        text += f"; {count(waiting, 'field')} waiting for a restart"
    if plan.unchanged:
        text += f"; {plan.unchanged:,} unchanged"
    return f"{text}.{recording}"


def _to_record(plan: Plan) -> str:
    names = [str(known.address) for known in (*plan.refresh, *plan.observed)]
    if plan.steps or not names:
        return ""
    return (
        f" Still to be recorded: {listed(names, _NAMED)}. An apply does that; until then the "
        "record counts as it is, also of what metadata.manage and protect say."
    )


def _felt(step: Step) -> Impact:
    """What a guest feels now; nothing of what only waits for its restart."""
    return Impact.NONE if only_waits(step) else step.impact


def _impacts(impacts: list[Impact]) -> str:
    """``(1 live, 1 restart)``; nothing of those that concern no guest."""
    felt = [impact for impact in Impact if impact in impacts and impact is not Impact.NONE]
    counted = ", ".join(f"{impacts.count(impact):,} {impact.value}" for impact in felt)
    return f" ({counted})" if counted else ""


def _step(
    step: Step, plan: Plan, vocabulary: Vocabulary, width: int, paint: Paint
) -> Iterator[str]:
    head = f"{sign(step):>3} {step.action.value:<7} {step.address}"
    marks = filter(None, (impact_text(step), waiting_text(step)))
    impact = "".join(f"  [{mark}]" for mark in marks)
    mark = "  REFUSED" if step.held is None and not plan.allows(step) else ""
    yield paint(_ROLES[step.action], printable(head)) + impact + paint("error", mark)
    for reason in reasons(step):
        yield from wrap(reason, width, _MARGIN)
    found = list(differences(step, vocabulary))
    column = column_of(difference.name for difference in found)
    for difference in found:
        yield from _difference(difference, column, width, paint)


def _difference(difference: Difference, column: int, width: int, paint: Paint) -> Iterator[str]:
    name, note = difference.name, difference.note
    if difference.before is None:
        yield from pair(name, difference.after, column, width, _MARGIN)
    elif difference.lines:
        yield from _line(name, note, column, width)
        yield from render_lines(difference.lines, f"{_MARGIN}  ", width, paint)
    elif len(_MARGIN) + column + cells(difference.text) + cells(note) + 4 > width:
        yield from _line(name, difference.text, column, width)
        yield from wrap(note, width, _MARGIN + " " * (column + 2))
    else:
        yield from _line(name, f"{difference.text}  {note}", column, width)


def _line(name: str, text: str, column: int, width: int) -> list[str]:
    """A field and its two values; what does not fit beside the name goes on below."""
    indent = _MARGIN + " " * 4
    lines = pair(name, text, column, width, _MARGIN)
    if len(lines) == 1 or cells(text) + len(indent) <= width:
        return lines
    before, _, after = text.partition(" -> ")
    return [lines[0], *wrap(before, width, indent), *wrap(f"-> {after}", width, indent)]


def _pending(items: Iterable[RestartPending], vocabulary: Vocabulary, width: int) -> Iterator[str]:
    for item in items:
        running, configured = (
            render_value(value, item.address.kind, item.path, vocabulary)
            for value in (item.running, item.configured)
        )
        yield from wrap(
            f"{item.address}  {render_path(item.path)}: configured {configured}, running {running}",
            width,
            "    ",
            "        ",
        )
        if item.reason:
            yield from wrap(item.reason, width, _MARGIN)


def _kept(items: Iterable[Kept], width: int) -> Iterator[str]:
    for item in items:
        yield from wrap(f"{item.address}: {item.reason}", width, "    ", "        ")


def _undetermined(items: Iterable[Diagnostic], width: int) -> Iterator[str]:
    for item in items:
        yield from wrap(f"{item.address}: {item.summary}", width, "    ", "        ")


def render_refusal(
    plan: Plan, command: Sequence[str] = (), width: int = 80, paint: Paint = plain
) -> list[str]:
    """How many steps the gate forbids, and what to type to let all of them pass."""
    allowing = consents(plan)
    number = len({step.consent_address for step in plan.refused})
    title = f"Refused: {count(number, 'step')} beyond what is allowed"
    lines = [paint("error", title)]
    if allowing.are_many:
        impact = f"{MAX_IMPACT} {allowing.impact.value}, and " if allowing.impact else ""
        text = f"pass {impact}{ALLOW_DATA_LOSS} for each of {listed(allowing.losing, 5)}."
        return lines + wrap(f"To allow all of them, {text}", width, "    ")
    lines.append("    to allow it:" if number == 1 else "    to allow all of them:")
    return lines + _command(allowing.added_to(command), width)


def _command(words: Sequence[str], width: int) -> list[str]:
    """A command that can be copied as it stands, over several lines if need be."""
    lines: list[str] = []
    line = _MARGIN
    for word in [shlex.quote(word) for word in words]:
        if line.strip() and cells(f"{line} {word} \\") > width:
            lines.append(f"{line} \\")
            line = _MARGIN + "   "
        line += word if line == _MARGIN else f" {word}"
    return [*lines, line]
