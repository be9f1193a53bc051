"""What a migration or failover leaves that did not succeed: which machines are off or marked, and
whether the journal knows of nothing that speaks against a rollback.

Called by whoever tells how a run went. What the hosts say is another matter: a rollback asks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from provisioner.core.address import Address
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.recovery.modes.tasks import BEGIN, MAKE_ROOM
from provisioner.workflows.recovery.standing import STARTS, Standing, standing
from provisioner.workflows.runbook import Task
from provisioner.workflows.runs import Outcome, Run, TaskState

_UNDONE = (Standing.TOUCHED, Standing.TURNED)
_LEADING = (Mode.MIGRATE, Mode.FAILOVER)


@dataclass(frozen=True, slots=True)
class Leaves:
    """``down``: machines that were shut down at the site ``here``, or told to, and are not known to
    have started at ``there``. ``marked``: machines that are marked at ``here`` as not to start.
    """

    here: str
    there: str
    down: tuple[Address, ...]
    marked: tuple[Address, ...]


def leaves(run: Run) -> Leaves | None:
    """What a run leaves that has ended; None if it has succeeded, or leads nowhere."""
    if run.record.mode not in _LEADING or run.record.outcome is Outcome.SUCCEEDED:
        return None
    begin = run.runbook.by_id[BEGIN].arguments
    tasks = [(task, run.tasks[task.id]) for task in run.runbook.tasks]
    started = {task.subject for task, state in tasks if task.action in STARTS and state.is_done}
    down = {task.subject for task, state in tasks if _is_down(task, state)} - started
    marked = {task.subject for task, state in tasks if _is_marked(task, state)}
    return Leaves(
        str(begin["here"]),
        str(begin["there"]),
        tuple(sorted(map(Address.of, down))),
        tuple(sorted(map(Address.of, marked))),
    )


def may_roll_back(run: Run) -> bool:
    """Whether the journal knows that a migration or failover has changed something about its
    machines, or has suspended others for them, and of no start at the other site that was begun.
    Also of one that was given up.
    """
    if run.record.mode not in _LEADING or run.record.outcome is Outcome.SUCCEEDED:
        return False
    made_room = any(run.tasks[item].beginnings for item in run.tasks if item.startswith(MAKE_ROOM))
    if not made_room and standing(replace(run, given_up=False)) not in _UNDONE:
        return False
    starts = (run.tasks[task.id] for task in run.runbook.tasks if task.action in STARTS)
    return not any(state.beginnings for state in starts)


def _is_down(task: Task, state: TaskState) -> bool:
    match task.action:
        case "stop":
            return state.beginnings > 0
        case "off":
            return state.is_done and _stopped(state.result)
    return False


def _is_marked(task: Task, state: TaskState) -> bool:
    match task.action:
        case "stand-by":
            return state.is_done
        case "off":
            return state.is_done and _stopped(state.result)
    return False


def _stopped(result: Mapping[str, object]) -> bool:
    return bool(result.get("reachable")) and result.get("power") == "stopped"
