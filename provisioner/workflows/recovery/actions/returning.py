"""Whether a run can still be undone: nothing may have run at the site that it led to.

Called by :mod:`provisioner.service.recovery` before a rollback begins or is gone on with, so that
one that is refused leaves the run that was to be undone as the last of its plan: it can be gone on
with.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Retryable
from provisioner.workflows.recovery.actions.estate import Estate
from provisioner.workflows.recovery.actions.sighting import Sighting, may_have_run, sight
from provisioner.workflows.recovery.actions.silence import PATIENCE
from provisioner.workflows.runs import Outcome, Run


def check_nothing_started(estate: Estate, run: Run) -> None:
    """Raise ProvisionerError (PRV7100) if a machine of a migration or failover runs at the site
    that it led to, or may have run there: what it has written there would be lost. The journal and
    the hosts are asked; raises like :meth:`Estate.see` if those cannot be.

    ``estate`` has the plan in the direction in which the run began.
    """
    started = _started(estate, run)
    if not started:
        return
    plan, first = estate.plan, min(started)
    go_on = "Go on with 'provisioner dr resume'. To bring the machines back afterwards: "
    if run.record.outcome is Outcome.SUCCEEDED:
        go_on = "To bring the machines back: "
    raise ProvisionerError(
        error(
            "PRV7100",
            f"{', '.join(map(str, sorted(started)))}: may have run at {plan.there} already, so the "
            f"{run.record.mode} of {plan.name} is not rolled back",
            detail="\n".join(f"{address}: {why}" for address, why in sorted(started.items()))
            + f"\nWhat was written at {plan.there} since is not at {plan.here}. Nothing was "
            "changed.",
            hint=f"{go_on}'provisioner dr reprotect', then 'provisioner dr failback'. If you know "
            "of a machine that is off that it has never run there: remove its definition there, "
            "keep its disks, and roll back again.",
            address=str(first),
        )
    )


def _started(estate: Estate, run: Run) -> dict[Address, str]:
    """The machines that have run at the other site, or may have, and why that is thought."""
    plan = estate.plan
    over_there = sight(estate, plan.machines, plan.there)
    # Only where it decides: a site that was failed over from may be dead.
    unmarked = [item for item in plan.machines if may_have_run(over_there[item.address], None)]
    at_home: Mapping[Address, Sighting] = {}
    if unmarked:
        try:
            at_home = sight(estate, unmarked, plan.here, PATIENCE)
        except (ProvisionerError, Retryable):
            at_home = {}
    found = {}
    for address, there in over_there.items():
        start = run.tasks.get(f"start/{address.name}")
        if start is not None and start.is_done:
            found[address] = f"the {run.record.mode} has started it at {plan.there}"
        elif start is not None and start.beginnings and there.power != "absent":
            # It may have started it and failed after that, been killed, or been given up.
            found[address] = (
                f"the {run.record.mode} has begun to start it at {plan.there}, where it is {there}"
            )
        elif may_have_run(there, at_home.get(address)):
            found[address] = f"at {plan.there} it is {there}"
    return found
