"""Whether a run can still be undone: nothing may have started at the site that it led to.

Called by :mod:`provisioner.service.recovery` before a rollback begins, so that one that is refused
leaves the run that was to be undone as the last of its plan: it can be gone on with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.engine.sessions import is_about_host
from provisioner.providers.api import Absent, Present, Retryable
from provisioner.workflows.recovery.actions.estate import (
    OFF,
    Estate,
    Placed,
    diagnostic_of,
    power_of,
)
from provisioner.workflows.recovery.actions.silence import PATIENCE
from provisioner.workflows.recovery.unheard import left_out
from provisioner.workflows.runs import Run


def check_nothing_started(estate: Estate, run: Run) -> Mapping[str, str]:
    """Raise ProvisionerError (PRV7100) if a machine of a migration or failover runs at the site
    that it led to, or has run there: what it has written there would be lost. The hosts are asked;
    returns by name those that give no answer, with the reason: of theirs the journal alone tells
    that no start was ever begun. Raises ProvisionerError for one that answers and cannot tell.

    ``estate`` has the plan in the direction in which the run began.
    """
    plan = estate.plan
    out = left_out(run)
    machines = [item.address for item in plan.machines if str(item.address) not in out]
    found, silent = _see(estate, [estate.placed(address, plan.there) for address in machines])
    started = sorted(item for item in machines if _has_started(run, item, found.get(item)))
    if not started:
        return silent
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


def _see(
    estate: Estate, targets: Iterable[Placed]
) -> tuple[Mapping[Address, Present | Absent], Mapping[str, str]]:
    """What is there of each, and which hosts gave no answer, with the reason."""
    by_host: dict[str, list[Placed]] = {}
    for target in targets:
        by_host.setdefault(target.record.name, []).append(target)
    found: dict[Address, Present | Absent] = {}
    silent: dict[str, str] = {}
    for name, group in by_host.items():
        try:
            found |= estate.see(group, seconds=PATIENCE)
        except (ProvisionerError, Retryable) as problem:
            told = diagnostic_of(problem)
            if not is_about_host(told):
                raise ProvisionerError(told) from problem
            silent[name] = told.summary
    return found, silent


def _has_started(run: Run, machine: Address, found: Present | Absent | None) -> bool:
    """Whether a machine runs there, or has run. ``found``: None where its host gave no answer."""
    start = run.tasks.get(f"start/{machine.name}")
    if found is None:
        return start is not None and start.beginnings > 0
    has_run = start is not None and start.is_done
    # One that was killed in the middle may have started it, and somebody stopped it since.
    may_have = start is not None and start.is_under_way and not isinstance(found, Absent)
    return has_run or may_have or power_of(found) not in OFF
