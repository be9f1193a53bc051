"""Hosts of the old site that gave no answer while machines came up at the other one: nobody saw
theirs to be off.

Read from a run by whoever shows or reports it.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, warning
from provisioner.workflows.nouns import noun
from provisioner.workflows.recovery import beside
from provisioner.workflows.recovery.modes import ROLLBACK
from provisioner.workflows.recovery.modes.tasks import BEGIN
from provisioner.workflows.runbook import Runbook
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
    if _trusted(run):
        return "somebody's word (--trust-site)"
    return "the fencing" if DISCONNECTED in run.tasks else "an earlier look and their marks"


def _trusted(run: Run) -> bool:
    begin = run.runbook.by_id.get(BEGIN)
    return begin is not None and "trusted" in begin.arguments


def left_out(run: Run) -> tuple[str, ...]:
    """The machines that a run knowingly leaves out."""
    return left_out_of(run.runbook)


def left_out_of(runbook: Runbook) -> tuple[str, ...]:
    """The machines that a runbook leaves out."""
    begin = runbook.by_id.get(BEGIN)
    named = begin.arguments.get("without", []) if begin is not None else []
    return tuple(map(str, named)) if isinstance(named, list) else ()


def warnings_of(run: Run) -> list[Diagnostic]:
    """What somebody has to hear of a run though nothing of it failed (PRV7097, PRV7107,
    PRV7127).
    """
    return [*_of_silence(run), *_of_those_left_out(run), *beside.warning_of(run)]


def _of_those_left_out(run: Run) -> list[Diagnostic]:
    names = left_out(run)
    if not names or run.record.mode == ROLLBACK:
        return []
    options = " ".join(f"--with {Address.of(name).name}" for name in names)
    return [
        warning(
            "PRV7107",
            f"{', '.join(names)}: left out of the {noun(run.record.mode)} of {run.record.name}",
            detail="It is where it was, and no copies of it are made. What is done with the plan "
            "from now on leaves it out, too, until the others have come back to its site.",
            hint="'provisioner dr reprotect' and 'provisioner dr failback' bring the others back "
            "to it. To bring it in again where they are now, see to it that it runs there with its "
            f"newest data: 'provisioner dr reprotect {options}'.",
            address=names[0],
        )
    ]


def _of_silence(run: Run) -> list[Diagnostic]:
    hosts = unheard(run)
    if not hosts:
        return []
    number = sum(hosts.values())
    machines = f"{number} machine{'s' if number != 1 else ''}"
    fenced = DISCONNECTED in run.tasks or _trusted(run)
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
