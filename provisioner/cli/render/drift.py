"""Drift as people read it: which resource is not as it was applied, in which fields, who could have
made it so, since when, and what the next apply would do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provisioner.cli.render.diagnostics import render_diagnostic
from provisioner.cli.render.review import render_lines, text_difference
from provisioner.cli.render.text import Paint, column_of, count, listed, pair, plain, wrap
from provisioner.cli.render.values import Vocabulary, render_path, render_value
from provisioner.core.actions import Action, Impact
from provisioner.service.drift import (
    Cause,
    Condition,
    Difference,
    DriftReport,
    Effect,
    FailedAttempt,
    Found,
    NextApply,
    NextStep,
    ResourceDrift,
    unread_hosts,
)

_ROLES = {
    Condition.DRIFTED: "change",
    Condition.HELD: "change",
    Condition.FAILED: "error",
    Condition.UNKNOWN: "error",
    Condition.RESTART_PENDING: "note",
    Condition.CONVERGED: "muted",
}
_FOUND = {
    Found.ABSENT: "it is gone",
    Found.FOREIGN: "what is found under its name does not carry our stamp",
}
_ORIGINS = {
    Cause.OUTSIDE: "changed outside",
    Cause.LAST_APPLY: "left by the last apply",
    Cause.RESTART_PENDING: "applied, and waiting for a restart",
}
_EFFECTS = {
    Effect.WAIT: "leave it waiting for the restart",
    Effect.HOLD: "leave it: it is not to be changed for now",
    Effect.ACCEPT: "accept it: the manifest says the same",
    Effect.LEAVE: "leave it: no manifest speaks of it",
}
_ACTIONS = {
    None: "do nothing about it",
    Action.CREATE: "create it",
    Action.UPDATE: "update it",
    Action.REPLACE: "replace it",
    Action.DELETE: "delete it",
    Action.FORGET: "forget it",
    Action.ADOPT: "adopt it",
    Action.RENAME: "write its new address on it",
}
_FIELD = "    "
_DETAIL = "      "


def render_drift(
    report: DriftReport,
    vocabulary: Vocabulary,
    width: int = 80,
    paint: Paint = plain,
    *,
    verbose: bool = False,
) -> list[str]:
    """Everything that is not as recorded, and a summary; ``verbose``: with what is ignored."""
    lines: list[str] = []
    for item in report.resources:
        if item.condition is not Condition.CONVERGED and not item.is_unread:
            lines += [*render_resource(item, vocabulary, width, paint, report.apply), ""]
    lines += _unread(report, width, paint)
    if verbose:
        lines += _ignored(report, vocabulary, width, paint)
    lines += _next_apply(report, width, paint)
    return [*lines, *wrap(summary(report), width)]


def counts(report: DriftReport) -> dict[Condition, int]:
    """How many resources are in each condition."""
    conditions = [item.condition for item in report.resources]
    return {condition: conditions.count(condition) for condition in Condition}


def summary(report: DriftReport) -> str:
    """``Drift: 1 drifted, 2 held; 7 as applied; 3 differences ignored.``"""
    numbers = counts(report)
    calm = numbers.pop(Condition.CONVERGED)
    parts = [f"{number:,} {condition.value}" for condition, number in numbers.items() if number]
    known = f"; {count(report.ignored, 'difference')} ignored" if report.ignored else ""
    if not parts:
        return f"No drift: {count(calm, 'resource')} as applied{known}."
    title = "Drift" if report.drifted else "No drift"
    return f"{title}: {', '.join(parts)}; {calm:,} as applied{known}."


def render_resource(
    item: ResourceDrift,
    vocabulary: Vocabulary,
    width: int = 80,
    paint: Paint = plain,
    apply: NextApply | None = None,
) -> Iterator[str]:
    """One resource: its condition, and below it what differs; ``apply`` is the next one."""
    before = apply.stops_at if apply is not None else []
    yield f"{paint(_ROLES[item.condition], str(item.address))}  {item.condition.value}"
    if item.problem is not None:
        yield from (f"{_FIELD}{line}" for line in render_diagnostic(item.problem, width - 4, paint))
    if item.failure is not None:
        yield from wrap(_failure(item.failure), width, _FIELD, _DETAIL)
    shown = item.open_differences
    origins = {_origin(one) for one in shown}
    whole = item.whole
    if whole is not None and whole.ignored is None:
        text = _FOUND.get(item.found, "an apply made it and did not record it")
        if whole.cause is not None:
            yield from wrap(text, width, _FIELD)
    fields = [one for one in shown if one.path]
    column = column_of(render_path(one.path) for one in fields)
    alike = len(origins) == 1
    effects = 0
    for one in fields:
        yield from _field(
            one, item.address.kind, vocabulary, column=column, width=width, paint=paint
        )
        if not alike:
            yield from wrap(_origin(one), width, _DETAIL, _DETAIL + "  ")
        told = [*_effect(one, item, vocabulary, width, before)]
        effects += len(told)
        yield from told
    if alike:
        yield from wrap(origins.pop(), width, _FIELD, _DETAIL)
    if item.next is not None and not (effects and _is_said(item.next, before)):
        yield from wrap(f"next apply: {_step(item.next, before)}", width, _FIELD, _DETAIL)


def _failure(attempt: FailedAttempt) -> str:
    record, failure = attempt.intent, attempt.failure
    what = "was interrupted" if failure is None else "failed"
    text = f"{record.action} {what} on {_time(record.at)}"
    why = "" if failure is None else str(failure.detail.get("summary", ""))
    return f"{text}: {why}" if why else text


def _origin(item: Difference) -> str:
    """``changed outside, first seen on 2025-03-01 12:00:00 UTC``."""
    seen = f"first seen on {_time(item.first_seen)}" if item.first_seen else ""
    parts = [_ORIGINS[item.cause] if item.cause is not None else "", seen]
    return ", ".join(filter(None, parts))


def _time(text: str) -> str:
    """RFC 3339 in UTC, as people read it."""
    return f"{text[:19].replace('T', ' ')} UTC"


def _field(
    item: Difference, kind: str, vocabulary: Vocabulary, *, column: int, width: int, paint: Paint
) -> Iterator[str]:
    """A field with what was applied and what is there; of long texts the lines that differ."""
    unlike = item.differs_running and item.recorded == item.observed
    there, word = (item.running, "in force") if unlike else (item.observed, "now")
    lines = text_difference(item.recorded, there, kind, item.path, vocabulary)
    recorded, found, running = (
        render_value(value, kind, item.path, vocabulary)
        for value in (item.recorded, there, item.running)
    )
    text = f"applied (-), {word} (+)" if lines else f"applied {recorded}, {word} {found}"
    if item.differs_running and not unlike:
        text += f" (running {running})"
    yield from pair(render_path(item.path), text, column, width, _FIELD)
    yield from render_lines(lines, _DETAIL, width, paint)


def _is_said(step: NextStep, before: Sequence[str]) -> bool:
    """Whether what is done with the fields says all that there is to say of a step."""
    hindered = step.held is not None or step.refused or step.unknown is not None
    return not hindered and (step.action is None or (step.action == Action.UPDATE and not before))


def _does(what: str, *, hindered: bool) -> str:
    """What the next apply does, or would do."""
    verb, _, rest = what.partition(" ")
    if hindered:
        return f"would {what}"
    return f"{'does' if verb == 'do' else verb + 's'} {rest}"


def _effect(
    item: Difference,
    resource: ResourceDrift,
    vocabulary: Vocabulary,
    width: int,
    before: Sequence[str],
) -> Iterator[str]:
    """What the next apply does about one field, where that is not said of the whole resource."""
    found, step = item.next, resource.next
    if found is None or found.effect in (Effect.OBJECT, Effect.UNKNOWN):
        return
    if found.effect in _EFFECTS:
        text = _does(_EFFECTS[found.effect], hindered=bool(before))
    else:
        value = render_value(found.value, resource.address.kind, item.path, vocabulary)
        forbidden = step is not None and (step.held is not None or step.refused)
        hindered = forbidden or bool(before)
        back = " back" if found.value == item.recorded else ""
        now = found.effect is Effect.SET
        when = _impact(found.impact) if now else ", in force after a restart"
        text = _does(f"set it{back} to {value}{when}", hindered=hindered)
    yield from wrap(f"next apply {text}", width, _DETAIL, _DETAIL + "  ")


def _step(step: NextStep, before: Sequence[str]) -> str:
    if step.unknown is not None:
        return f"cannot be told: {step.unknown}"
    if step.held is not None:
        return f"held: {step.held}"
    what = _ACTIONS[step.action]
    if step.action is Action.DELETE:
        what += f": {step.reason or 'no manifest declares it'}"
    text = _does(f"{what}{_impact(step.impact)}", hindered=bool(before))
    if step.refused:
        text += ", which the gate refuses"
    if before:
        text += f", once {listed(before, 3)} {'is' if len(before) == 1 else 'are'} settled"
    return text


def _impact(impact: Impact) -> str:
    return "" if impact is Impact.NONE else f" [{impact.value}]"


def _unread(report: DriftReport, width: int, paint: Paint) -> Iterator[str]:
    """Hosts that could not be read, each with what is unknown for that."""
    for problem in unread_hosts(report.resources):
        yield f"{paint('error', str(problem.address))}  cannot be read"
        yield from (f"{_FIELD}{line}" for line in render_diagnostic(problem, width - 4, paint))
        names = [str(item.address) for item in report.resources if item.problem == problem]
        yield from wrap(f"unknown: {', '.join(names)}", width, _FIELD, _DETAIL)
        yield ""


def _ignored(
    report: DriftReport, vocabulary: Vocabulary, width: int, paint: Paint
) -> Iterator[str]:
    """The differences that a rule covers, under the resources that have them."""
    for item in report.resources:
        covered = [(one, one.ignored) for one in item.differences if one.ignored is not None]
        if not covered:
            continue
        yield f"{paint('muted', str(item.address))}  ignored"
        column = column_of(render_path(one.path) for one, _ in covered)
        for one, rule in covered:
            if one.path:
                yield from _field(
                    one, item.address.kind, vocabulary, column=column, width=width, paint=paint
                )
            else:
                yield from wrap(_FOUND.get(item.found, ""), width, _FIELD)
            reason = f"until {rule.until}: {rule.reason}"
            yield from wrap(reason, width, _DETAIL, _DETAIL + "  ")
        yield ""


def _next_apply(report: DriftReport, width: int, paint: Paint) -> Iterator[str]:
    """What keeps the next apply as a whole from being carried out."""
    apply = report.apply
    if apply is None:
        return
    if apply.problems:
        told = unread_hosts(report.resources)
        text = (
            "The next apply stops at this before it does anything; what it would do besides is "
            "told without what is concerned:"
        )
        yield from wrap(text, width)
        for item in apply.problems:
            if item in told:
                yield from wrap(f"{item.address} cannot be read (see above)", width, "  ")
                continue
            yield from (f"  {line}" for line in render_diagnostic(item, width - 2, paint))
        yield ""
    elif apply.refused:
        text = (
            "The next apply is refused as a whole, for the gate forbids a step of it; "
            "'provisioner plan' shows what allows it."
        )
        yield from [*wrap(text, width), ""]
