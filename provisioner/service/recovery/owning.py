"""Whether a journal is that of the plan and the estate that are meant.

Called by :mod:`.opening` and :mod:`.checking`. What a run is carried out by is proven in
:mod:`.begun`.
"""

from __future__ import annotations

from pathlib import Path

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.workflows import owners
from provisioner.workflows.owners import Owner
from provisioner.workflows.recovery.model import RecoveryPlan
from provisioner.workflows.runs import RunRecord

_WHY = (
    "Where the machines of a plan run, and what may begin, follows from the runs in its own "
    "journal; those of another plan say nothing of it."
)


def owner(plan: RecoveryPlan) -> Owner:
    """Whose the journal of a plan is."""
    return Owner(plan.name, plan.stack, str(plan.lineage))


def check_own(path: Path, last: RunRecord | None, wanted: Owner | str) -> None:
    """Raise ProvisionerError (PRV7101) if the journal in a file, whose newest run is ``last``, is
    that of another plan than ``wanted``: by its name alone, if nothing more is known of it. A
    journal of an earlier version does not say of which estate it is.
    """
    name = wanted if isinstance(wanted, str) else wanted.name
    noted = owners.owner_of(path)
    known = noted.name if noted is not None else last.name if last is not None else name
    if known != name:
        raise ProvisionerError(
            error(
                "PRV7101",
                f"{path} is the journal of the recovery plan {known}, not of {name}",
                detail=_WHY,
                hint=f"Name the journal of {name} with --journal FILE, or leave the option out. If "
                "there is none, the hosts tell where the machines run, or you do: --running-at "
                "SITE.",
            )
        )
    if noted is not None and not isinstance(wanted, str) and noted != wanted:
        raise ProvisionerError(of_another_estate(path, noted, wanted))


def claim(path: Path, plan: RecoveryPlan) -> None:
    """Note that the journal in a file, in which a run is to begin, is that of a plan. Raises
    ProvisionerError: PRV7101 if it is another one's by now, PRV7007 to PRV7009.
    """
    wanted = owner(plan)
    noted = owners.claim(path, wanted)
    if noted != wanted:
        raise ProvisionerError(of_another_estate(path, noted, wanted))


def of_another_estate(path: Path, found: Owner, wanted: Owner) -> Diagnostic:
    """The refusal of a journal that has runs of ``found``."""
    return error(
        "PRV7101",
        f"{path} is the journal of a recovery plan {found.name} of another estate",
        detail=f"It has runs of the stack {found.stack} with the state {found.lineage}; expected "
        f"{wanted.stack} with the state {wanted.lineage}. {_WHY}",
        hint=f"Name the journal of this {wanted.name} with --journal FILE: one that is not there "
        "yet begins anew, and then the hosts tell where the machines run, or you do: --running-at "
        "SITE. If it is that of this estate before its state was lost and made anew, go on from "
        "another folder, with the stored plan of that time: --from FILE --journal FILE.",
    )
