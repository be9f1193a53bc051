"""Makes the runbook of a run again from its plan: whether a journal has the steps that the plan
has for it. Pure; called by the service layer where a plan is proven and a journal is not.
"""

from __future__ import annotations

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.values import canonical_json
from provisioner.workflows.recovery.model import Mode, RecoveryPlan
from provisioner.workflows.recovery.modes import (
    ROLLBACK,
    drill_runbook,
    rollback_runbook,
    runbook_of,
)
from provisioner.workflows.recovery.modes.tasks import BACK, BEGIN, SINCE, TOLD, as_told
from provisioner.workflows.runbook import Runbook, Task

_WORDING = ("title", "stage")
"""What of a task only people read: another version may word it otherwise."""

_UNORDERED = ("needs", "after", "serves")
"""Ids whose order says nothing: plans from a file have their networks in another one."""

_NOTED = (BACK, SINCE)
"""Arguments that only tell of runs before, or what this one is called: nothing is done by them."""


def strange_tasks(plan: RecoveryPlan, runbook: Runbook) -> tuple[str, ...]:
    """The ids of the tasks that a runbook has, lacks or has otherwise than ``plan``, in the
    direction that the run had, gives in its mode with what was chosen for the run: machines that
    are left out, recovery points, where the machines are, and that a site is off. Those choices
    stand in the first task, and in those of a drill that stage.
    """
    try:
        expected = {task.id: _said(task) for task in _remade(plan, runbook).tasks}
    except (KeyError, TypeError, ValueError, ProvisionerError):
        return (BEGIN,)  # choices that nobody could have made
    found = {task.id: _said(task) for task in runbook.tasks}
    ids = dict.fromkeys([*found, *expected])
    return tuple(task_id for task_id in ids if found.get(task_id) != expected.get(task_id))


def _remade(plan: RecoveryPlan, runbook: Runbook) -> Runbook:
    begin = runbook.by_id[BEGIN].arguments
    named = begin.get("without", [])
    without = [Address.of(str(item)) for item in named] if isinstance(named, list) else []
    if runbook.mode == ROLLBACK:
        found = rollback_runbook(plan, without, trusted="trusted" in begin)
    elif runbook.mode == Mode.TEST:
        staging = [task for task in runbook.tasks if task.action == "stage"]
        chosen = {
            Address.of(str(task.arguments["machine"])): str(task.arguments["point"])
            for task in staging
            if task.arguments.get("point") is not None
        }
        found = drill_runbook(plan, chosen)
    else:
        found = runbook_of(plan, Mode(runbook.mode), without)
    return as_told(found) if begin.get(TOLD) else found


def _said(task: Task) -> str:
    data = task.as_json()
    arguments = {key: value for key, value in task.arguments.items() if key not in _NOTED}
    said = {key: value for key, value in data.items() if key not in _WORDING}
    for key in _UNORDERED:
        said[key] = sorted(said.get(key, ()))
    return canonical_json({**said, "arguments": arguments})
