"""What apply and destroy share: asking, stopping on Ctrl-C, and telling how it went."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from provisioner.cli.asking import confirm
from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.planning import plan_document_of
from provisioner.cli.progress import Progress, progress
from provisioner.cli.render.report import render_report
from provisioner.cli.render.text import count
from provisioner.cli.terminal import Terminal
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.apply import ApplyReport, apply_plan
from provisioner.service.model import Event, EventSink, Plan, StepStarted, StopSignal
from provisioner.service.workspace import Workspace


def confirm_plan(terminal: Terminal, plan: Plan, *, yes: bool) -> None:
    """Ask whether the plan shall be carried out; raises click.Abort if not.

    Nothing is asked for a plan without steps or one that the gate refuses anyway. Raises
    ProvisionerError (PRV6002) where nobody can be asked.
    """
    if yes or not plan.steps or plan.refused:
        return
    if terminal.is_lost:
        raise ProvisionerError(error("PRV6002", "the plan could not be shown"))
    question, answer = "Apply this plan?", None
    if plan.destroy:
        question = f"To destroy this, type the name of the stack ({plan.stack})"
        answer = plan.stack
    option = "--destroy " if plan.destroy else ""
    confirm(
        terminal,
        question,
        yes=yes,
        answer=answer,
        hint=f"Pass --yes, or apply a plan file made with 'provisioner plan {option}-o FILE'.",
    )


def carry_out(
    terminal: Terminal, workspace: Workspace, plan: Plan, parallel: int | None, *, shown: bool
) -> ExitCode:
    """Carry the plan out with progress; returns the exit code. Raises ProvisionerError if it is
    refused. ``shown``: that there is nothing to do was said with the plan."""
    if plan.refused and not terminal.json:
        # What is refused, and what would allow it, was shown with the plan.
        number = len({step.consent_address for step in plan.refused})
        raise ProvisionerError(
            error("PRV3002", f"the plan is refused: {count(number, 'step')} beyond what is allowed")
        )
    terminal.acts = True
    if terminal.json:
        terminal.print_json({"event": "plan", "plan": plan_document_of(plan)}, indent=None)
    stop = StopSignal()
    with progress(terminal, steps=True) as view, stopping(terminal, view, stop) as sink:
        report = apply_plan(workspace, plan, sink, stop, parallel)
    code = _exit_code(report)
    if terminal.json:
        terminal.print_json(_report_json(report, code), indent=None)
    if not terminal.json or terminal.is_lost:
        terminal.report(report.problems)
    if not terminal.json and (report.operation is not None or not shown or report.held):
        terminal.print(render_report(report, plan, terminal.width, terminal.paint(terminal.out)))
    return code


@contextmanager
def stopping(
    terminal: Terminal, view: Progress, stop: StopSignal, *, begun: bool = False
) -> Iterator[EventSink]:
    """A sink for the run. As soon as steps are carried out, Ctrl-C (and a request to terminate)
    asks the run to stop instead of ending it; before that nothing can be left half done. ``begun``:
    it is so from the beginning.
    """

    def sink(event: Event) -> None:
        nonlocal begun
        begun = begun or isinstance(event, StepStarted)
        terminal.untouched = not begun
        view(event)

    def request(_number: int, _frame: FrameType | None) -> None:
        if not begun:
            raise KeyboardInterrupt
        if stop.request() == 1:
            text = "Stopping after the steps under way. Press Ctrl-C again to abandon them."
        else:
            text = "Abandoning the steps under way; the next run checks what they left behind."
        view.say(text)

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield sink
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_code(report: ApplyReport) -> ExitCode:
    if report.outcome == "done":
        return ExitCode.HELD if report.held else ExitCode.DONE
    if report.done or report.abandoned:
        return ExitCode.PARTIAL
    return ExitCode.INTERRUPTED if report.stopped else ExitCode.ERROR


def _report_json(report: ApplyReport, code: ExitCode) -> dict[str, object]:
    return {
        "event": "finished",
        "operation": report.operation,
        "outcome": report.outcome,
        "done": report.done,
        "failed": report.failed,
        "skipped": report.skipped,
        "abandoned": report.abandoned,
        "kept": report.kept,
        "held": report.held,
        "diagnostics": [item.as_json() for item in report.problems],
        "exitCode": int(code),
    }
