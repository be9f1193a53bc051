"""What the commands of recovery share: which plan is meant, asking, live progress, stopping on
Ctrl-C, and telling how a run went.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from provisioner.cli.applying import stopping
from provisioner.cli.asking import confirm
from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation
from provisioner.cli.progress import progress
from provisioner.cli.render.diagnostics import diagnostic_json
from provisioner.cli.render.runs import Telling, render_run, room_json, run_json
from provisioner.cli.terminal import Terminal
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.service.model import StopSignal, event_json
from provisioner.service.recovery.beginning import check_may_begin
from provisioner.service.recovery.commands import Commands
from provisioner.service.recovery.model import (
    Mode,
    Outcome,
    Run,
    RunEvent,
    Standing,
    TaskWaiting,
    left_out_of,
    standing,
    suspended,
    warnings_of,
)
from provisioner.service.recovery.opening import Opened, Source, open_plan
from provisioner.service.recovery.running import Means, carry_out, runbook_for
from provisioner.service.workspace import Workspace

_REFUSED = ("fence/", "approve/", "points")

_STARTED = (Standing.TURNED, Standing.ARRIVED)
"""A run that is gone on with may be refused what it had got before; then machines may run."""


def opened(
    invocation: Invocation, workspace: Workspace, source: Source, *, asking: bool = True
) -> Opened:
    """The plan that is meant. ``asking``: the hosts which way it leads, where no journal knows."""
    with progress(invocation.terminal, steps=False) as sink:
        return open_plan(workspace, source, sink, asking=asking)


def run_mode(
    invocation: Invocation,
    workspace: Workspace,
    found: Opened,
    mode: Mode,
    *,
    question: str = "",
    yes: bool = True,
    points: dict[Address, str] | None = None,
    without: Collection[Address] = (),
    included: Collection[Address] = (),
    consent: bool = False,
) -> ExitCode:
    """Ask, where there is a ``question``, and carry a mode out; returns the exit code. ``consent``:
    see :func:`carry_out`. Raises ProvisionerError if it may not begin now.
    """
    check_may_begin(found, mode)
    runbook = runbook_for(found, mode, points, without, included)
    terminal = invocation.terminal
    if question:
        plan = found.plan
        left_out = [Address.of(item).name for item in left_out_of(runbook)]
        number = len(plan.machines) - len(left_out)
        machines = f"{number} machine{'s' if number != 1 else ''}"
        if left_out:
            machines += f", without {', '.join(left_out)}"
        confirm(
            terminal,
            f"{question.format(plan=plan.name, here=plan.here, there=plan.there)} ({machines})?",
            yes=yes,
            hint="Pass --yes.",
        )
    return carried_out(
        terminal,
        found,
        lambda means: carry_out(workspace, found, runbook, means, consent=consent),
    )


def carried_out(terminal: Terminal, found: Opened, work: Callable[[Means], Run]) -> ExitCode:
    """Carry something out with progress, and tell how it went; returns the exit code."""
    terminal.acts = True
    commands = found.commands
    stop = StopSignal()
    with progress(terminal, steps=True) as view, stopping(terminal, view, stop, begun=True) as sink:
        telling = Telling(commands, sink)

        def tell(event: RunEvent) -> None:
            if terminal.json:
                terminal.print_json(_told(event, commands), indent=None)
            else:
                telling(event)

        try:
            run = work(Means(tell, sink, stop))
        except ProvisionerError as problem:
            told = [commands.completed(item) for item in problem.diagnostics]
            raise ProvisionerError(told) from problem
    code = exit_code(run)
    room = suspended(found.journal)
    terminal.report([commands.completed(item) for item in warnings_of(run)])
    if terminal.json:
        terminal.print_json(
            {
                "event": "finished",
                **run_json(run, commands),
                "suspended": room_json(room),
                "exitCode": int(code),
            },
            indent=None,
        )
    else:
        failed = [state.diagnostic for state in run.failed if state.diagnostic is not None]
        terminal.report([commands.completed(item) for item in failed])
        paint = terminal.paint(terminal.out)
        terminal.print(render_run(run, commands, terminal.width, paint, room=room))
    return code


def _told(event: RunEvent, commands: Commands) -> dict[str, Any]:
    """An event as plain data, with commands as they have to be typed."""
    data = event_json(event)
    found = getattr(event, "diagnostic", None)
    if isinstance(found, Diagnostic):
        data["diagnostic"] = diagnostic_json(commands.completed(found))
    if isinstance(event, TaskWaiting):
        data["commands"] = [commands("answer", event.task, answer) for answer in ("yes", "no")]
    return data


def exit_code(run: Run) -> ExitCode:
    """What a run comes to: refused where a consent, the fencing or the look for recovery points
    was, so that nothing has started.
    """
    if run.record.outcome is Outcome.SUCCEEDED:
        return ExitCode.DONE
    refused = [state for state in run.failed if state.task.startswith(_REFUSED)]
    if refused and len(refused) == len(run.failed) and standing(run) not in _STARTED:
        return ExitCode.REFUSED
    return ExitCode.PARTIAL
