"""Hosts of the old site that gave no answer while machines came up at the other one: nobody saw
theirs to be off.

Read from a run by whoever shows or reports it.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.core.diagnostics import Diagnostic, warning
from provisioner.workflows.recovery.modes.tasks import BEGIN
from provisioner.workflows.runs import Run

DISCONNECTED, STAY_OFF = "disconnected", "stay-off"
"""The tasks that list them: behind a fencing, and behind a turn without one."""


def unheard(run: Run) -> Mapping[str, int]:
    """By host that gave no answer, how many machines of the plan it had by the plan. Empty where
    all answered, or nothing was asked.
    """
    for task_id in (DISCONNECTED, STAY_OFF):
        state = run.tasks.get(task_id)
        hosts = state.result.get("hosts", {}) if state is not None else {}
        if isinstance(hosts, Mapping) and hosts:
            return {str(name): number for name, number in hosts.items() if isinstance(number, int)}
    return {}


def speaks_for_them(run: Run) -> str:
    """What alone tells that the machines of hosts without an answer are off."""
    return "the fencing" if DISCONNECTED in run.tasks else "an earlier look and their marks"


def left_out(run: Run) -> tuple[str, ...]:
    """The machines that a run knowingly leaves out."""
    begin = run.runbook.by_id.get(BEGIN)
    named = begin.arguments.get("without", []) if begin is not None else []
    return tuple(map(str, named)) if isinstance(named, list) else ()


def warnings_of(run: Run) -> list[Diagnostic]:
    """What somebody has to hear of a run though nothing of it failed (PRV7097)."""
    hosts = unheard(run)
    if not hosts:
        return []
    number = sum(hosts.values())
    machines = f"{number} machine{'s' if number != 1 else ''}"
    fenced = DISCONNECTED in run.tasks
    known = (
        "Nobody has seen those to be off, and they are not marked as not to start."
        if fenced
        else "Those were off and marked before the plan turned; they could not be looked at since."
    )
    then = "'provisioner dr reprotect'"
    return [
        warning(
            "PRV7097",
            f"{', '.join(hosts)} gave no answer: only {speaks_for_them(run)} "
            f"{'speaks' if fenced else 'speak'} for them",
            detail=f"They had {machines} of {run.record.name}. {known}",
            hint=f"Look at them yourself. When they are back, start nothing there before {then}.",
            address=f"Host/{next(iter(hosts))}",
        )
    ]
