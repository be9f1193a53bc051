"""The plan that a run began with, when somebody goes on with it or undoes it: as it is now, if it
says the same, or as the journal of the run has kept it.

Called by :mod:`.running`. Who names a stored plan has only carried out what a trusted key signed:
then a journal is believed about what was done and said, and neither about the plan nor about its
steps (docs/decisions/0056).
"""

from __future__ import annotations

from dataclasses import replace

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.model import EventSink, Noticed
from provisioner.service.recovery.model import Run
from provisioner.service.recovery.opening import (
    Opened,
    Source,
    Vouched,
    commands_for,
    turned_to,
)
from provisioner.service.recovery.owning import of_another_estate, owner
from provisioner.service.workspace import Workspace
from provisioner.workflows import bases
from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.documents import plan_of
from provisioner.workflows.recovery.fingerprint import fingerprint
from provisioner.workflows.recovery.modes.tasks import BEGIN
from provisioner.workflows.recovery.remaking import strange_tasks
from provisioner.workflows.recovery.storing import Stored

_GONE_ON_AS_KEPT = (
    "the plan has changed since the run began, which is gone on with as it was then, as its "
    "journal has kept it"
)
_SHOWN = 5
"""Tasks that a message names."""


def as_begun(
    workspace: Workspace, opened: Opened, run: Run, sink: EventSink, verb: str = "resume"
) -> Opened:
    """The plan that a run began with, in the direction that it had. ``verb``: the command that it
    is for, which messages name.

    Raises ProvisionerError: PRV7092 if it is not at hand, PRV7101 if it is that of another estate;
    and where a stored plan is named, PRV7110 if it is another one and nobody signed that of the
    run, PRV7111 if nobody did who is trusted.
    """
    begin = run.runbook.by_id[BEGIN].arguments
    wanted = str(begin["plan"])
    if wanted != fingerprint(opened.plan):
        if opened.vouched is None:
            opened = _kept(opened, run, wanted)
        else:
            found = _signed(workspace, opened, opened.vouched, run, wanted)
            if found is None:
                raise _unsigned(workspace, opened, opened.vouched, run, verb)
            opened = found
        opened = replace(opened, journal=opened.journal.noting(_GONE_ON_AS_KEPT))
        sink(Noticed(f"{opened.plan.name}: {_GONE_ON_AS_KEPT}"))
    return replace(opened, plan=turned_to(opened.plan, str(begin["here"])))


def check_steps(opened: Opened, run: Run) -> None:
    """Raise ProvisionerError (PRV7112) if a stored plan is named, and the steps of a run are not
    those that the plan which it began with, ``opened``, has for it.
    """
    if opened.vouched is None:
        return
    strange = strange_tasks(opened.plan, run.runbook)
    if not strange:
        return
    named = ", ".join(strange[:_SHOWN]) + (", ..." if len(strange) > _SHOWN else "")
    raise ProvisionerError(
        error(
            "PRV7112",
            f"the steps of the run {run.record.id} are not those of the plan that it began with: "
            f"{named}",
            detail=f"The journal {opened.journal.path} was altered, or written by another version "
            "of this program, which has other steps. With --from only what a trusted key has "
            "signed is carried out.",
            hint="If it was another version, go on with that. Else find out who could write to "
            "the journal, and where the machines run, before anything else; "
            f"'{opened.commands('status')}' shows what the journal says.",
        )
    )


def _kept(opened: Opened, run: Run, wanted: str) -> Opened:
    """As the journal beside the manifests has it."""
    path = opened.journal.path
    document = bases.kept(path, wanted)
    plan = plan_of(document) if document is not None else None
    if plan is None or fingerprint(plan) != wanted:
        raise ProvisionerError(
            error(
                "PRV7092",
                f"{opened.plan.name} is another plan than the one that the run {run.record.id} "
                "began with",
                detail="Machines, sites or steps of it have changed since; what was begun would be "
                f"ended by other rules. The journal {path} has not kept that plan.",
                hint="If it began with a stored plan, name that, and this journal: --from FILE "
                f"--journal {path}. Or end the run: '{opened.commands('cancel')}'.",
            )
        )
    if owner(plan) != owner(opened.plan):
        raise ProvisionerError(of_another_estate(path, owner(plan), owner(opened.plan)))
    return replace(opened, plan=plan)


def _signed(
    workspace: Workspace, opened: Opened, vouched: Vouched, run: Run, wanted: str
) -> Opened | None:
    """As somebody signed it whom whoever names a stored plan trusts; None if the journal has it
    from nobody.
    """
    path, refusals = opened.journal.path, []
    for content in bases.signed(path, wanted):
        try:
            found = storing.accepted(
                content,
                f"kept in {path}",
                vouched.trusted,
                workspace.clock.now(),
                storing.Estate(opened.plan.stack, str(opened.plan.lineage)),
                allow_age=vouched.allow_age,
            )
            _check_meant(found, opened, wanted)
        except ProvisionerError as problem:
            refusals.append(problem)
            continue
        noted = opened.journal
        if found.overdue:
            noted = noted.noting(f"--allow-age: {found.overdue}")
        signed = replace(vouched, content=content)
        return replace(opened, plan=found.plan, journal=noted, vouched=signed)
    if refusals:
        raise _refused(opened, run, refusals[-1])
    return None


def _unsigned(
    workspace: Workspace, opened: Opened, vouched: Vouched, run: Run, verb: str
) -> ProvisionerError:
    path = opened.journal.path
    by_name = commands_for(workspace, Source(opened.plan.name, journal=path), opened.plan.name)
    return ProvisionerError(
        error(
            "PRV7110",
            f"the run {run.record.id} began with another plan {opened.plan.name} than "
            f"{vouched.file} holds, and the journal has none that was signed",
            detail="With --from only what a trusted key has signed is carried out. The run was "
            f"begun by the name of the plan, or by an earlier version; its journal {path} proves "
            "nothing of that plan.",
            hint=f"Go on with it by its name, where the manifests are: '{by_name(verb)}'. Or name "
            "a stored plan that says the same as what it began with. Or end the run: "
            f"'{opened.commands('cancel')}'.",
        )
    )


def _check_meant(found: Stored, opened: Opened, wanted: str) -> None:
    if found.plan.name != opened.plan.name or fingerprint(found.plan) != wanted:
        raise ProvisionerError(
            error(
                "PRV7042",
                f"the journal {opened.journal.path} has a signed plan that is not the one which "
                "the run began with",
            )
        )


def _refused(opened: Opened, run: Run, problem: ProvisionerError) -> ProvisionerError:
    why = problem.diagnostics[0]
    return ProvisionerError(
        error(
            "PRV7111",
            f"the plan that the run {run.record.id} of {opened.plan.name} began with is refused: "
            f"{why.summary}",
            detail=why.detail,
            hint=why.hint,
        )
    )
