"""Machines of a stack that run at another site than the state says, or are on their way: plans
leave them and their disks out, for what they would mend is as it has to be.

Called by :mod:`provisioner.service.plan` where there are journals of recovery plans.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, warning
from provisioner.manifest import protection
from provisioner.manifest.protection import MACHINE, SITE
from provisioner.service.model import Stack, State
from provisioner.service.recovery.opening import PAUSING, last_turn
from provisioner.workflows.journal import Journal
from provisioner.workflows.runs import Run

DISK = "Disk"


class Away(NamedTuple):
    """What is left out of plans, and the warnings that say why."""

    addresses: tuple[Address, ...]
    warnings: tuple[Diagnostic, ...]


def away(folder: Path, stack: Stack, state: State) -> Away:
    """What recovery plans, whose journals are in ``folder``, have taken elsewhere. Raises
    ProvisionerError for a journal that cannot be read.
    """
    found: dict[Address, None] = {}
    warnings = []
    for path in sorted(folder.glob("*.db")):
        journal = Journal(path)
        last = journal.last()
        if last is not None and last.is_open and last.mode in PAUSING:
            machines = _machines(journal.run(last.id))
            why = f"the {last.mode} of {last.name} has not ended"
        else:
            turn = last_turn(journal)
            if turn is None:
                continue
            site, run = turn
            machines = [item for item in _machines(run) if not _is_at(item, site, stack, state)]
            why = f"{run.record.name} runs at {site} since {run.record.started:%Y-%m-%d %H:%M} UTC"
        here = [item for item in machines if item in state.entries]
        if here:
            names = ", ".join(str(item) for item in here)
            warnings.append(
                warning(
                    "PRV7096",
                    f"left out of the plan, with their disks: {names}: {why}",
                    detail="What is left of them at the site that the state knows stands by, or is "
                    "the copy of what runs.",
                    hint="Bring them back with 'provisioner dr failback', or declare them at the "
                    "site where they run and adopt them there.",
                )
            )
        for machine in here:
            found[machine] = None
            needed = state.entries[machine].dependencies
            found |= {item: None for item in needed if item.kind == DISK}
    return Away(tuple(found), tuple(warnings))


def _machines(run: Run) -> list[Address]:
    """The plan's own machines: those that the run starts or replicates."""
    kinds = ("start", "start-again", "seed")
    subjects = {task.subject for task in run.runbook.tasks if task.action in kinds}
    return sorted(item for item in map(Address.of, subjects) if item.kind == MACHINE)


def _is_at(machine: Address, site: str, stack: Stack, state: State) -> bool:
    """Whether the state has the machine at a site."""
    entry = state.entries.get(machine)
    policy = stack.policies.get(Address(SITE, site))
    if entry is None or policy is None:
        return False
    return entry.endpoint in protection.hosts_of(policy.spec)
