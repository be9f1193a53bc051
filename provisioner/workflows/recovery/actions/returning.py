"""Whether a run can still be undone: nothing may have run at the site that it led to.

Called by :mod:`provisioner.service.recovery` before a rollback begins or is gone on with, so that
one that is refused leaves the run that was to be undone as the last of its plan: it can be gone on
with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.engine.sessions import is_about_host
from provisioner.providers.api import Retryable
from provisioner.workflows.nouns import noun
from provisioner.workflows.recovery.actions.estate import Estate, diagnostic_of
from provisioner.workflows.recovery.actions.sighting import Sighting, may_have_run, sight
from provisioner.workflows.recovery.actions.silence import PATIENCE
from provisioner.workflows.recovery.model import PlannedMachine
from provisioner.workflows.recovery.unheard import left_out
from provisioner.workflows.runs import Outcome, Run


def check_nothing_started(estate: Estate, run: Run) -> Mapping[str, str]:
    """Raise ProvisionerError (PRV7100) if a machine of a migration or failover runs at the site
    that it led to, or may have run there: what it has written there would be lost. The journal and
    the hosts are asked; returns by name those that give no answer, with the reason: of theirs the
    journal alone tells that no start was ever begun. Raises ProvisionerError for one that answers
    and cannot tell.

    ``estate`` has the plan in the direction in which the run began.
    """
    started, silent = _started(estate, run)
    if not started:
        return silent
    plan, first = estate.plan, min(started)
    go_on = "Go on with 'provisioner dr resume'. To bring the machines back afterwards: "
    if run.record.outcome is Outcome.SUCCEEDED:
        go_on = "To bring the machines back: "
    raise ProvisionerError(
        error(
            "PRV7100",
            f"{', '.join(map(str, sorted(started)))}: may have run at {plan.there} already, so the "
            f"{noun(run.record.mode)} of {plan.name} is not rolled back",
            detail="\n".join(f"{address}: {why}" for address, why in sorted(started.items()))
            + f"\nWhat was written at {plan.there} since is not at {plan.here}. Nothing was "
            "changed.",
            hint=f"{go_on}'provisioner dr reprotect', then 'provisioner dr failback'. If you know "
            "of a machine that is off that it has never run there: remove its definition there, "
            "keep its disks, and roll back again.",
            address=str(first),
        )
    )


def _started(estate: Estate, run: Run) -> tuple[dict[Address, str], Mapping[str, str]]:
    """The machines that have run at the other site, or may have, and why that is thought; and the
    hosts there that give no answer.
    """
    plan, out = estate.plan, left_out(run)
    machines = [item for item in plan.machines if str(item.address) not in out]
    over_there, silent = _sight_by_host(estate, machines, plan.there)
    # Only where it decides: a site that was failed over from may be dead.
    unmarked = [
        item
        for item in machines
        if item.address in over_there and may_have_run(over_there[item.address], None)
    ]
    at_home, _ = _sight_by_host(estate, unmarked, plan.here)
    found = {}
    for machine in machines:
        address, there = machine.address, over_there.get(machine.address)
        start = run.tasks.get(f"start/{address.name}")
        if start is not None and start.is_done:
            found[address] = f"the {noun(run.record.mode)} has started it at {plan.there}"
        elif start is not None and start.beginnings and (there is None or there.power != "absent"):
            # It may have started it and failed after that, been killed, or been given up.
            seen = f"where it is {there}" if there is not None else "and its host gives no answer"
            found[address] = (
                f"the {noun(run.record.mode)} has begun to start it at {plan.there}, {seen}"
            )
        elif there is not None and may_have_run(there, at_home.get(address)):
            found[address] = f"at {plan.there} it is {there}"
    return found, silent


def _sight_by_host(
    estate: Estate, machines: Iterable[PlannedMachine], site: str
) -> tuple[Mapping[Address, Sighting], Mapping[str, str]]:
    """What the hosts of a site have of machines, and which gave no answer, with the reason."""
    by_host: dict[str, list[PlannedMachine]] = {}
    for machine in machines:
        by_host.setdefault(estate.placed(machine.address, site).record.name, []).append(machine)
    found: dict[Address, Sighting] = {}
    silent: dict[str, str] = {}
    for name, group in by_host.items():
        try:
            found |= sight(estate, group, site, PATIENCE)
        except (ProvisionerError, Retryable) as problem:
            told = diagnostic_of(problem)
            if not is_about_host(told):
                raise ProvisionerError(told) from problem
            silent[name] = told.summary
    return found, silent
