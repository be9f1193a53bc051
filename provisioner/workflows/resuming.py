"""What of a run that is gone on with may be taken from its journal, and what has to be done anew.

Called by :mod:`provisioner.workflows.runner`. Hours may lie between the end of a run and its
resumption: what was found out then (the chosen point, an answer) still counts, and so does what was
made; that a site is dead and a machine is off does not, before something relies on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.core.values import Json
from provisioner.workflows.runs import Run


@dataclass(frozen=True, slots=True)
class Remaining:
    """Where a run goes on.

    ``kept``: the results of the tasks that are done and stay so. ``again``: ids of those that were
    done and have to be done anew, for something that needs them is still to be done. ``passed``:
    ids of those among ``kept`` that need, over whatever way, one of ``again``: they are not done
    anew, but what needs them waits until all before them has been.
    """

    kept: Mapping[str, Mapping[str, Json]]
    again: frozenset[str]
    passed: frozenset[str]

    @classmethod
    def of(cls, run: Run) -> Remaining:
        """What remains of a run, in one walk over its tasks from each end."""
        done = {state.task for state in run.tasks.values() if state.is_done}
        again: set[str] = set()
        dependents = run.runbook.dependents
        for task in reversed(run.runbook.tasks):
            if task.id in done and not task.lasting:
                relying = dependents[task.id]
                if any(item not in done or item in again for item in relying):
                    again.add(task.id)
        kept = done - again
        behind = set(again)
        for task in run.runbook.tasks:
            if task.id in kept and any(item in behind for item in task.needs):
                behind.add(task.id)
        return cls(
            {item: run.tasks[item].result for item in run.tasks if item in kept},
            frozenset(again),
            frozenset(behind - again),
        )
