"""Whether a drill of a plan stands, as its journal knows: before another one is begun."""

from __future__ import annotations

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.recovery.opening import LOOKED_BACK, TURNING, Opened, has_turned
from provisioner.workflows.journal import Journal
from provisioner.workflows.nouns import ended
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.refusals import moment
from provisioner.workflows.runs import Outcome, Run, RunRecord

_MAKES = frozenset({"bubble", "stage", "define", "power-on", "suspend"})
"""Actions of a drill that leave something at its site."""


def check_no_drill(opened: Opened) -> None:
    """Raise ProvisionerError (PRV7099) if a drill of the plan stands that was not cleared away: the
    disks of a second one would be those of the first. One that has not ended is refused by the
    journal itself.
    """
    found = standing_drill(opened.journal)
    if found is None or found.is_open:
        return
    how = "" if found.outcome is Outcome.SUCCEEDED else f" and ended: {ended(found.outcome)}"
    raise ProvisionerError(
        error(
            "PRV7099",
            f"a drill of {opened.plan.name} stands, which was not cleared away: run {found.id}",
            detail=f"{found.actor} began it at {moment(found.started)}{how}. Its machines stand "
            "on the recovery points of that time.",
            hint=f"Clear it away: '{opened.commands('cleanup')}'."
            + ("" if not how else f" Or go on with it: '{opened.commands('resume')}'."),
        )
    )


def standing_drill(journal: Journal) -> RunRecord | None:
    """The last drill that made something, unless that was cleared away or its site has become the
    plan's own since. Raises ProvisionerError for a journal that cannot be read.
    """
    for record in journal.runs(LOOKED_BACK):
        if record.mode == Mode.CLEANUP and record.outcome is Outcome.SUCCEEDED:
            return None
        if record.mode in TURNING and has_turned(journal.run(record.id)):
            return None
        if record.mode == Mode.TEST and _made_something(journal.run(record.id)):
            return record
    return None


def _made_something(run: Run) -> bool:
    return any(
        run.runbook.by_id[state.task].action in _MAKES
        for state in run.tasks.values()
        if state.beginnings
    )
