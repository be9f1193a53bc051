"""How an apply went, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from provisioner.cli.render.plan import WHAT_WAITS
from provisioner.cli.render.text import Paint, count, listed, plain, wrap
from provisioner.service.apply import ApplyReport
from provisioner.service.model import ABSENT_FINGERPRINT, Plan, Step


def render_report(
    report: ApplyReport, plan: Plan, width: int = 80, paint: Paint = plain
) -> list[str]:
    """The fate of the steps; failures themselves are reported as diagnostics."""
    if report.operation is None:
        lines = ["Nothing was changed."]
    elif not plan.steps:
        lines = ["No step was needed; the records were brought up to date."]
    else:
        word = "Destroyed" if plan.destroy else "Applied"
        text = f"{word}: {count(len(report.done), 'step')} done"
        for fate in ("failed", "skipped", "abandoned"):
            number = len(getattr(report, fate))
            if number:
                text += f", {number:,} {fate}"
        role = "add" if report.outcome == "done" else "error"
        lines = [paint(role, line) for line in wrap(f"{text}.", width)]
    for cause, skipped in _by_cause(report, plan).items():
        lines += _list(f"Not begun{cause}", skipped, width)
    lines += _list("Abandoned, to be checked by the next run", report.abandoned, width)
    kept = [step.replace("#old", " (predecessor)") for step in report.kept]
    lines += _list("Kept until nothing needs it", kept, width)
    lines += _list("Held", report.held, width)
    lines += _list("Forgotten, with its data kept", list(_left_behind(report, plan)), width)
    waiting = [step.id for step in plan.steps if step.deferred and step.id in report.done]
    waiting += [str(item.address) for item in plan.pending]
    if waiting:
        lines += _list("Waiting for a restart", sorted(set(waiting)), width)
        now = "To restart it now, apply with --max-impact restart."
        lines += wrap(f"{WHAT_WAITS} {now}", width, "  ")
    return lines


def _by_cause(report: ApplyReport, plan: Plan) -> Mapping[str, Sequence[str]]:
    """The steps that were not begun, by why: what they wait for, however far down, or the stop."""
    steps = {step.id: step for step in plan.steps}
    ended = {*report.failed, *report.abandoned}
    causes: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for step_id in report.skipped:
        step = steps.get(step_id)
        needed = step.depends_on if step is not None else ()
        # Steps stand after all that they depend on: a cause is known before it is asked for.
        found = (item if item in ended else causes.get(item, "") for item in needed)
        cause = next(filter(None, found), "")
        causes[step_id] = cause
        why = f"{cause} was not carried out" if cause else "the run was stopped"
        told = f", because {why}" if cause or report.stopped else ""
        groups.setdefault(told, []).append(step_id)
    return groups


def _left_behind(report: ApplyReport, plan: Plan) -> Iterator[str]:
    """Whose data nobody looks after any more, and where it is."""
    done = set(report.done)
    for step in plan.steps:
        if step.id in done and step.action == "forget" and step.fingerprint != ABSENT_FINGERPRINT:
            yield f"{step.address}{_place(step)}"


def _place(step: Step) -> str:
    place = step.known.outputs.get("path")
    return f" ({place})" if isinstance(place, str) else ""


def _list(title: str, items: Sequence[str], width: int) -> Iterator[str]:
    if items:
        yield from wrap(f"{title}: {listed(items)}.", width, "  ", "    ")
