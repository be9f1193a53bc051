"""What a recovery plan would do now, for ``dr plan``: nothing is carried out, no endpoint asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.service.model import EventSink
from provisioner.service.recovery.leftbehind import left_out_now
from provisioner.service.recovery.model import Mode, Outcome, RecoveryPlan, Runbook, RunRecord
from provisioner.service.recovery.opening import Opened, Source, open_plan
from provisioner.service.recovery.running import APPROVE, check_failback, check_reprotect
from provisioner.service.workspace import Workspace
from provisioner.workflows import history
from provisioner.workflows.journal import Journal
from provisioner.workflows.nouns import FAILBACK, NOUNS
from provisioner.workflows.recovery.modes import runbook_of
from provisioner.workflows.recovery.outlook import (
    ASSUMED,
    INSTANT,
    Comparison,
    Difference,
    Foreseen,
    Kind,
    Outlook,
    Part,
    compare,
    estimates_of,
    outlook,
)
from provisioner.workflows.runs import Run

__all__ = [
    "ASSUMED",
    "FAILBACK",
    "INSTANT",
    "NOUNS",
    "Comparison",
    "Difference",
    "Foreseen",
    "Kind",
    "Outlook",
    "Part",
    "Planned",
    "Since",
    "plan_run",
    "predicted",
]

_LOOKED_BACK = 200
"""Runs that are looked through for one to compare with."""
_KIN = (Mode.TEST, Mode.MIGRATE, Mode.FAILOVER)
"""Modes whose tasks are alike: what one of them took tells of another."""


@dataclass(frozen=True, slots=True)
class Since:
    """What is done otherwise than in an earlier run. ``what``: which one that is, in words.
    ``approvals``: who consented to it, by the task of the consent. ``mode``: what was compared,
    both times.
    """

    what: str
    mode: str
    record: RunRecord
    comparison: Comparison
    approvals: dict[str, str]


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be done. ``mode`` is what was asked for: ``failback`` is a migration."""

    mode: str
    plan: RecoveryPlan
    outlook: Outlook
    since: tuple[Since, ...]


def plan_run(workspace: Workspace, source: Source, mode: str, sink: EventSink) -> Planned:
    """What a plan would do now in a mode, ``failback`` included. Raises ProvisionerError if there
    is no such plan, it is refused, or it could not be done at all.
    """
    opened = open_plan(workspace, source, sink)
    try:
        return _planned(opened, mode)
    finally:
        opened.journal.close()


def _planned(opened: Opened, mode: str) -> Planned:
    if mode == FAILBACK:
        check_failback(opened)
    done = Mode.MIGRATE if mode == FAILBACK else Mode(mode)
    if done is Mode.REPROTECT:
        check_reprotect(opened)
    runbook = runbook_of(opened.plan, done, left_out_now(opened, done, ()))
    foreseen = predicted(opened.plan, opened.journal, done, runbook)
    return Planned(mode, opened.plan, foreseen, tuple(_since(opened, done, runbook)))


def predicted(
    plan: RecoveryPlan, journal: Journal, mode: Mode, runbook: Runbook | None = None
) -> Outlook:
    """When the tasks of a mode would run, from the runs so far. Raises ProvisionerError for a
    journal that cannot be read, or a plan that lacks something.
    """
    found = runbook or runbook_of(plan, mode)
    others = [kin for kin in _KIN if kin is not mode] if mode in _KIN else []
    known = estimates_of(
        found,
        history.samples([journal], mode),
        [sample for other in others for sample in history.samples([journal], other)],
    )
    # A drill has to come up as fast as the real thing; the rest is not what the objective is about.
    return outlook(found, known, plan.time_objective if mode in _KIN else None)


def _since(opened: Opened, mode: Mode, runbook: Runbook) -> Iterator[Since]:
    """The last drill that succeeded, the last run of this mode, and the last that was approved."""
    ended = [record for record in opened.journal.runs(_LOOKED_BACK) if not record.is_open]
    drill = next(
        (
            record
            for record in ended
            if record.mode == Mode.TEST and record.outcome is Outcome.SUCCEEDED
        ),
        None,
    )
    if drill is not None:
        now = runbook if mode is Mode.TEST else runbook_of(opened.plan, Mode.TEST)
        yield _compared(opened.journal.run(drill.id), now, "the last drill that succeeded")
    of_mode = [record for record in ended if record.mode == mode and record is not drill]
    for number, record in enumerate(of_mode):
        run = opened.journal.run(record.id)
        approved = _is_approved(run)
        if number and not approved:
            continue
        what = f"the last {'approved ' if number else ''}{NOUNS[record.mode]}"
        yield _compared(run, runbook, what)
        if approved or not opened.plan.approvals:
            return


def _compared(run: Run, now: Runbook, what: str) -> Since:
    consents = {
        entry.task: entry.actor
        for entry in run.answers
        if entry.task.startswith(APPROVE) and run.tasks[entry.task].is_done
    }
    return Since(what, run.record.mode, run.record, compare(run.runbook, now), consents)


def _is_approved(run: Run) -> bool:
    asked = [state for state in run.tasks.values() if state.task.startswith(APPROVE)]
    return bool(asked) and all(state.is_done for state in asked)
