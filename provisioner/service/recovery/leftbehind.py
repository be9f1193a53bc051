"""Machines of a recovery plan that are not where the others are, because a run left them out, as
the journal knows: later runs leave them out, too, until somebody brings them in again.
"""

from __future__ import annotations

from collections.abc import Collection

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.recovery.model import Mode, RecoveryPlan, left_out
from provisioner.service.recovery.opening import LOOKED_BACK, TURNING, Opened, has_turned
from provisioner.workflows.journal import Journal
from provisioner.workflows.recovery.modes.tasks import BEGIN, TURN
from provisioner.workflows.runs import Run


def left_behind(journal: Journal) -> frozenset[Address]:
    """The machines that stayed at the other site when the plan turned. One that the plan has come
    back to, or that was reprotected since, is with the others again.
    """
    places: dict[Address, str] = {}
    site = ""
    for record in reversed(journal.runs(LOOKED_BACK)):
        if record.mode in TURNING:
            run = journal.run(record.id)
            if has_turned(run):
                site = str(run.tasks[TURN].result["here"])
                places = _after(run, site, places)
        elif record.mode == Mode.REPROTECT and places:
            run = journal.run(record.id)
            for machine in [item for item in places if _is_seeded(run, item)]:
                del places[machine]
    return frozenset(places)


def _after(run: Run, site: str, places: dict[Address, str]) -> dict[Address, str]:
    """Where machines are that are not at the site that a run led to."""
    out = left_out(run)
    began_at = str(run.runbook.by_id[BEGIN].arguments["here"]) if out else ""
    stayed = {item: places.get(item, began_at) for item in map(Address.of, out)}
    return {machine: place for machine, place in stayed.items() if place != site}


def _is_seeded(run: Run, machine: Address) -> bool:
    seed = run.tasks.get(f"seed/{machine.name}")
    return seed is not None and seed.is_done


def left_out_now(
    opened: Opened, mode: Mode, without: Collection[Address], included: Collection[Address] = ()
) -> frozenset[Address]:
    """The machines that a run of an opened plan leaves out, like :func:`left_out_of`."""
    return left_out_of(opened.plan, opened.journal, mode, without, included)


def left_out_of(
    plan: RecoveryPlan,
    journal: Journal,
    mode: Mode,
    without: Collection[Address] = (),
    included: Collection[Address] = (),
) -> frozenset[Address]:
    """The machines that a run of a mode leaves out: those that are said, and those that are not
    where the others are, but for those ``included``. Raises ProvisionerError (PRV7106) if none
    is left.
    """
    own = {machine.address for machine in plan.machines}
    if mode not in (Mode.MIGRATE, Mode.FAILOVER, Mode.REPROTECT):
        return frozenset()
    inherited = left_behind(journal) & own
    found = (inherited - {*included}) | {*without}
    if found == own:
        raise ProvisionerError(
            error(
                "PRV7106",
                f"a {mode} of {plan.name} would leave out all of its machines",
                hint="Leave fewer out, or bring machines in again with --with MACHINE.",
            )
        )
    return found
