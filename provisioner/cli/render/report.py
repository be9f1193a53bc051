"""How an apply went, in a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from provisioner.cli.render.text import Paint, count, plain, wrap
from provisioner.service.apply import ApplyReport
from provisioner.service.model import Plan


def render_report(
    report: ApplyReport, plan: Plan, width: int = 80, paint: Paint = plain
) -> list[str]:
    """The fate of the steps; failures themselves are reported as diagnostics."""
    if report.operation is None:
        lines = ["Nothing was to be done."]
    elif not plan.steps:
        lines = ["No step was needed; the record was brought up to date."]
    else:
        word = "Destroyed" if plan.destroy else "Applied"
        text = f"{word}: {count(len(report.done), 'step')} done"
        for fate in ("failed", "skipped", "abandoned"):
            number = len(getattr(report, fate))
            if number:
                text += f", {number} {fate}"
        role = "add" if report.outcome == "done" else "error"
        lines = [paint(role, line) for line in wrap(f"{text}.", width)]
    lines += _list("Not begun", report.skipped, width)
    lines += _list("Abandoned, to be looked at by the next run", report.abandoned, width)
    kept = (step.replace("#old", " (predecessor)") for step in report.kept)
    lines += _list("Kept until nothing needs it", kept, width)
    lines += _list("Held", report.held, width)
    waiting = [step.id for step in plan.steps if step.deferred and step.id in report.done]
    waiting += [str(item.address) for item in plan.pending]
    lines += _list("Waiting for a restart of the guest", sorted(set(waiting)), width)
    return lines


def _list(title: str, items: Iterable[str], width: int) -> Iterator[str]:
    text = ", ".join(items)
    if text:
        yield from wrap(f"{title}: {text}.", width, "  ", "    ")
