"""Whether a run can still be undone: nothing may have started at the site that it led to.

Called by :mod:`provisioner.service.recovery` before a rollback begins, so that one that is refused
leaves the run that was to be undone as the last of its plan: it can be gone on with.
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Absent
from provisioner.workflows.recovery.actions.estate import OFF, Estate, power_of
from provisioner.workflows.runs import Run


def check_nothing_started(estate: Estate, run: Run) -> None:
    """Raise ProvisionerError (PRV7100) if a machine of a migration or failover runs at the site
    that it led to, or has run there: what it has written there would be lost. The hosts are asked;
    raises like :meth:`Estate.see` if they cannot be.

    ``estate`` has the plan in the direction in which the run began.
    """
    started = sorted(set(_started(estate, run)))
    if not started:
        return
    plan = estate.plan
    raise ProvisionerError(
        error(
            "PRV7100",
            f"{', '.join(map(str, started))}: started at {plan.there} already, so the "
            f"{run.record.mode} of {plan.name} is not rolled back",
            detail=f"What was written at {plan.there} since is not at {plan.here}. Nothing was "
            "changed.",
            hint="Go on with 'provisioner dr resume'. To bring the machines back afterwards: "
            "'provisioner dr reprotect', then 'provisioner dr failback'.",
            address=str(started[0]),
        )
    )


def _started(estate: Estate, run: Run) -> Iterator[Address]:
    plan = estate.plan
    found = estate.see([estate.placed(item.address, plan.there) for item in plan.machines])
    for address, present in found.items():
        start = run.tasks.get(f"start/{address.name}")
        has_run = start is not None and start.is_done
        # One that was killed in the middle may have started it, and somebody stopped it since.
        may_have = start is not None and start.is_under_way and not isinstance(present, Absent)
        if has_run or may_have or power_of(present) not in OFF:
            yield address
