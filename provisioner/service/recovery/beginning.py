"""Whether a run of a recovery plan may begin after the last one, and what ends for it.

Called by the commands that begin runs, before they ask anything.
"""

from __future__ import annotations

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.capabilities import Way
from provisioner.service.recovery.model import Mode, Outcome, Run, RunRecord
from provisioner.service.recovery.opening import (
    LOOKED_BACK,
    PAUSING,
    Opened,
    has_turned,
    site_known_by,
)
from provisioner.workflows.journal import Journal
from provisioner.workflows.nouns import ended, noun
from provisioner.workflows.recovery.leaving import may_roll_back
from provisioner.workflows.recovery.modes import ROLLBACK
from provisioner.workflows.recovery.modes.tasks import BEGIN
from provisioner.workflows.recovery.standing import Standing, is_only_tried, may_begin, standing
from provisioner.workflows.refusals import moment

_LEADING = (Mode.MIGRATE, Mode.FAILOVER)
DRILLS = (Mode.TEST, Mode.CLEANUP)

_TRIED = (
    "its fencing was tried and did not succeed, so something of Site/{here} may have been fenced; "
    "the machines are still those of it"
)
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
    lead back or elsewhere what it has begun; or if it would lead the machines away from where a run
    has brought them, and nothing is copied back yet. One that has not ended is not judged here.
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
    if mode in _LEADING:
        _check_copied_back(opened, mode)


def _check_copied_back(opened: Opened, mode: Mode) -> None:
    """A direction that hosts or a person have told since needs no copies of the run before it."""
    plan = opened.plan
    if all(machine.way is Way.EXTERNAL for machine in plan.machines):
        return
    for record in opened.journal.runs(LOOKED_BACK):
        if record.mode not in PAUSING:
            continue
        run = opened.journal.run(record.id)
        if any(run.tasks[task.id].is_done for task in run.runbook.tasks if task.action == "seed"):
            return
        site = site_known_by(run)
        if site is None:
            continue
        arrived = has_turned(run) and record.outcome is Outcome.SUCCEEDED
        if arrived and record.mode in _LEADING and site == plan.here:
            raise _nothing_to_lead_back(opened, record, mode)
        return


def _nothing_to_lead_back(opened: Opened, record: RunRecord, mode: Mode) -> ProvisionerError:
    plan = opened.plan
    done = "failed over" if record.mode == Mode.FAILOVER else "migrated"
    return _refused(
        f"{plan.name} was {done} at {moment(record.started)}, runs at {plan.here}; nothing is "
        "copied back yet",
        detail=f"A {mode} now would lead from {plan.here} to {plan.there}, where there are no "
        "copies of what has been written since.",
        hint=f"'{opened.commands('reprotect')}' makes them, once {plan.there} answers.",
    )


def needless(journal: Journal, mode: str) -> str | None:
    """The id of the run that has not ended and that one of this mode makes needless: a drill or a
    clean-up, when a clean-up or a failover clears away what is left, and a rollback, when another
    one takes its place.
    """
    last = journal.last()
    if last is None or not last.is_open:
        return None
    cleared = mode in (Mode.CLEANUP, Mode.FAILOVER) and last.mode in DRILLS
    return last.id if cleared or mode == last.mode == ROLLBACK else None


def _stands(opened: Opened, run: Run, mode: Mode) -> ProvisionerError:
    record, ways = run.record, opened.journal.ways
    where = standing(run)
    begin = run.runbook.by_id[BEGIN].arguments
    text = _TRIED if where is Standing.TOUCHED and is_only_tried(run) else _FOUND[where]
    found = text.format(here=begin.get("here", "?"), there=begin.get("there", "?"))
    hint = f"To go on with it: {ways.resume}."
    if may_roll_back(run):
        hint += (
            f" While nothing has started at the other site, '{opened.commands('rollback')}' starts "
            "the machines where they ran."
        )
    hint += f" To give up the rest of it for good, so that other runs may begin: {ways.cancel}."
    return _refused(
        f"the {noun(record.mode)} of {record.name} did not succeed ({ended(record.outcome)}), and "
        f"a {noun(mode)} now would not go on with it",
        detail=f"Run {record.id}: {found}. A new run begins where the journal says that the "
        "machines are, and would lead them from there.",
        hint=hint,
    )


def _refused(summary: str, *, detail: str, hint: str) -> ProvisionerError:
    return ProvisionerError(error("PRV7096", summary, detail=detail, hint=hint))
