"""Whether a run of a recovery plan may begin after the last one, and what ends for it.

Called by the commands that begin runs, before they ask anything.
"""

from __future__ import annotations

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.recovery.model import Mode, Run
from provisioner.service.recovery.opening import Opened
from provisioner.workflows.journal import Journal
from provisioner.workflows.recovery.leaving import may_roll_back
from provisioner.workflows.recovery.modes.tasks import BEGIN
from provisioner.workflows.recovery.standing import Standing, may_begin, standing

DRILLS = (Mode.TEST, Mode.CLEANUP)

_BEFORE_ITS_TURN = (Standing.UNTOUCHED, Standing.TOUCHED)
_FOUND = {
    Standing.TOUCHED: "something was fenced, stopped or marked; the machines are still those of "
    "Site/{here}",
    Standing.TURNED: "Site/{there} is the plan's site since, and not every machine has started "
    "there",
    Standing.ARRIVED: "every machine has started at Site/{there}, and something around that failed",
}


def check_may_begin(opened: Opened, mode: Mode) -> None:
    """Raise ProvisionerError (PRV7096) if the last run did not succeed, and one of this mode would
    lead back or elsewhere what it has begun. One that has not ended is not judged here.
    """
    last = opened.journal.last()
    if last is None or last.is_open:
        return
    run = opened.journal.run(last.id)
    if run.record.undoes is not None and standing(run) in _BEFORE_ITS_TURN:
        # A rollback that came to nothing leaves what it was to undo where that was.
        undone = opened.journal.run(run.record.undoes)
        if not may_begin(undone, mode):
            raise _stands(opened, undone, mode)
    if not may_begin(run, mode):
        raise _stands(opened, run, mode)


def needless(journal: Journal, mode: str) -> str | None:
    """The id of the run that has not ended and that one of this mode makes needless: a drill, when
    a failover clears away what is left of it.
    """
    last = journal.last()
    if last is not None and last.is_open and mode == Mode.FAILOVER and last.mode in DRILLS:
        return last.id
    return None


def _stands(opened: Opened, run: Run, mode: Mode) -> ProvisionerError:
    record, ways = run.record, opened.journal.ways
    where = standing(run)
    begin = run.runbook.by_id[BEGIN].arguments
    found = _FOUND[where].format(here=begin.get("here", "?"), there=begin.get("there", "?"))
    hint = f"To go on with it: {ways.resume}."
    if may_roll_back(run):
        hint += (
            f" While nothing has started at the other site, '{opened.commands('rollback')}' starts "
            "the machines where they ran."
        )
    hint += f" To give up the rest of it for good, so that other runs may begin: {ways.cancel}."
    return ProvisionerError(
        error(
            "PRV7096",
            f"the {record.mode} of {record.name} did not succeed ({record.outcome}), and a "
            f"{mode} now would not go on with it",
            detail=f"Run {record.id}: {found}. A new run begins where the journal says that the "
            "machines are, and would lead them from there.",
            hint=hint,
        )
    )
