"""Machines of others that were suspended to make room for those of a plan, and what lets them go
on: as the journal of the plan knows.

Called by whoever tells how a run went. Whether they still are is not asked of their hosts.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.workflows.journal import Journal
from provisioner.workflows.recovery.leaving import may_roll_back
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.recovery.modes import ROLLBACK
from provisioner.workflows.recovery.modes.tasks import (
    BEGIN,
    GIVE_BACK,
    MAKE_ROOM,
    TURN,
    leads_home,
)
from provisioner.workflows.runs import Entry, Outcome, Run, What


class Wakes(StrEnum):
    """What lets a machine go on."""

    THE_RUN = "the-run"
    """The run itself, at its end."""
    CLEANUP = "cleanup"
    ROLLBACK = "rollback"
    REPROTECT = "reprotect"
    FAILBACK = "failback"
    """The machines of the plan have to leave the site again, where they are away from home."""
    MIGRATE = "migrate"
    """They have to leave it again, and it is their home."""


class Suspended(NamedTuple):
    """A machine that was suspended at a site, or told to be. ``at_home``: by a run that brought the
    machines of the plan home.
    """

    machine: Address
    site: str
    at_home: bool = False

    @property
    def leaving(self) -> Wakes:
        """What leads the machines of the plan away from the site."""
        return Wakes.MIGRATE if self.at_home else Wakes.FAILBACK


def suspended(journal: Journal) -> tuple[Suspended, ...]:
    """The machines that the runs of a journal have suspended, and none has let go on since. Raises
    ProvisionerError for a journal that cannot be read.
    """
    entries = [*journal.entries_about(MAKE_ROOM), *journal.entries_about(GIVE_BACK)]
    by_task = _still_suspended(sorted(entries, key=lambda entry: entry.sequence))
    runbooks = {run: journal.run(run).runbook for run in set(by_task.values())}
    found = ((runbooks[run].by_id[task], runbooks[run]) for task, run in by_task.items())
    return tuple(
        sorted(
            Suspended(Address.of(task.subject), str(task.arguments["site"]), leads_home(runbook))
            for task, runbook in found
        )
    )


def _still_suspended(entries: Iterable[Entry]) -> dict[str, str]:
    """The tasks that have suspended something, with their runs."""
    found: dict[str, str] = {}
    doubtful: set[str] = set()
    for entry in entries:
        task = entry.task
        if task.startswith(GIVE_BACK):
            if entry.what is What.DONE:
                found.pop(MAKE_ROOM + task.removeprefix(GIVE_BACK), None)
            continue
        match entry.what:
            case What.BEGUN if task not in found:
                found[task] = entry.run
                doubtful.add(task)
            case What.DONE if entry.detail["result"].get("power") == "suspended":
                found[task] = entry.run
                doubtful.discard(task)
            case What.DONE:
                found.pop(task, None)
            case What.FAILED if task in doubtful and not entry.detail.get("abandoned"):
                found.pop(task, None)
    return found


def wakes(run: Run, item: Suspended) -> Wakes:
    """What lets a machine go on after a run, or while it is under way."""
    record, task = run.record, GIVE_BACK + item.machine.name
    whole = record.outcome is Outcome.SUCCEEDED
    if task in run.tasks and not whole and not run.given_up:
        return Wakes.THE_RUN
    if str(run.runbook.by_id[BEGIN].arguments["there"]) != item.site:
        turn = run.tasks.get(TURN)
        # They have left it; a failover gives nothing back at a site that was lost.
        return Wakes.REPROTECT if turn is not None and turn.is_done else item.leaving
    match record.mode:
        case Mode.TEST | Mode.CLEANUP:
            return Wakes.CLEANUP
        case Mode.REPROTECT:
            return Wakes.REPROTECT
    if record.mode == ROLLBACK:
        # One that somebody spoke for the site in has not called it.
        return Wakes.REPROTECT if whole else Wakes.ROLLBACK
    return Wakes.ROLLBACK if may_roll_back(run) else item.leaving
