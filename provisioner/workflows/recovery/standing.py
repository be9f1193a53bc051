"""Where a run of a recovery plan stands that did not succeed, and what may begin beside it.

Called by :mod:`provisioner.service.recovery` before it begins a run. A new run is made for the
direction in which the machines are by the journal; after half a failover that is the opposite one,
so whoever only repeats the command would lead them back. The table stands in docs/recovery.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.recovery.modes import ROLLBACK
from provisioner.workflows.recovery.modes.tasks import TURN
from provisioner.workflows.runbook import Task
from provisioner.workflows.runs import Outcome, Run

STARTS = frozenset({"start", "start-again"})
"""Actions after which a machine runs in earnest."""
TOUCHING = frozenset(
    {"stop", "off", "yield", "stand-by", "last-synchronise", "release", "promote", TURN, "seed"}
    | STARTS
)
"""Actions that change something about the machines of a plan. What synchronises while they run,
makes room or clears a drill away leaves them as they are."""
FENCE = "fence/"


class Standing(StrEnum):
    """Where a run stands."""

    WHOLE = "whole"
    """It has succeeded, or somebody has given it up for good: it asks for nothing more."""
    UNTOUCHED = "untouched"
    """Nothing was fenced, stopped, marked or started."""
    TOUCHED = "touched"
    """Something was; the direction is what it was."""
    TURNED = "turned"
    """The direction has turned, and not every machine has started there."""
    ARRIVED = "arrived"
    """Every machine has started there; something around that is not done."""


EVERYTHING = frozenset(Mode)
_LEADING: Mapping[Standing, frozenset[Mode]] = {
    # The site may be lost in the middle of a migration. A failover does all of it anew.
    Standing.TOUCHED: frozenset({Mode.FAILOVER}),
    Standing.TURNED: frozenset(),
    Standing.ARRIVED: frozenset({Mode.REPROTECT}),
}
_REPROTECTING: Mapping[Standing, frozenset[Mode]] = {
    Standing.TOUCHED: frozenset({Mode.FAILOVER, Mode.REPROTECT}),
}
_LEADING_BACK: Mapping[Standing, frozenset[Mode]] = {
    Standing.TOUCHED: frozenset({Mode.FAILOVER}),
    # They are to run where they ran before: a failover from there is what it says.
    Standing.TURNED: frozenset({Mode.FAILOVER}),
}
MAY_BEGIN: Mapping[str, Mapping[Standing, frozenset[Mode]]] = {
    Mode.MIGRATE: _LEADING,
    Mode.FAILOVER: _LEADING,
    Mode.REPROTECT: _REPROTECTING,
    ROLLBACK: _LEADING_BACK,
}
"""By the mode of a run and where it stands, the modes that may begin; whatever is not there lets
all begin: a drill is in nobody's way."""


def standing(run: Run) -> Standing:
    """Where a run stands that has ended."""
    if run.record.outcome is Outcome.SUCCEEDED or run.given_up:
        return Standing.WHOLE
    tasks = run.runbook.tasks
    turn = run.tasks.get(TURN)
    if turn is not None and turn.is_done:
        starts = [run.tasks[task.id] for task in tasks if task.action in STARTS]
        whole = all(state.is_done for state in starts)
        return Standing.ARRIVED if whole else Standing.TURNED
    # Counted over everybody who went on with it: what was begun and is skipped then was begun.
    begun = any(run.tasks[task.id].beginnings for task in tasks if _touches(task))
    return Standing.TOUCHED if begun else Standing.UNTOUCHED


def is_only_tried(run: Run) -> bool:
    """Whether nothing but fences was begun of what touches the machines, and none of these has
    succeeded: nobody knows what they have cut off.
    """
    begun = [
        state
        for state in map(
            run.tasks.__getitem__, (task.id for task in run.runbook.tasks if _touches(task))
        )
        if state.begun is not None
    ]
    return bool(begun) and all(
        state.task.startswith(FENCE) and not state.is_done for state in begun
    )


def may_begin(run: Run, mode: Mode) -> bool:
    """Whether a run of a mode may begin after one that has ended."""
    return mode in MAY_BEGIN.get(run.record.mode, {}).get(standing(run), EVERYTHING)


def _touches(task: Task) -> bool:
    if task.id.startswith(FENCE):
        return task.arguments.get("kind") != "prompt"  # a question cuts nothing off
    return task.action in TOUCHING
