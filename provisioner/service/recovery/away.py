"""Machines of a stack that run at another site than the state says, or are on their way, as the
journals of recovery plans know: plans hold all steps about them and their disks.

Called by :mod:`provisioner.service.plan` where there are such journals. What nobody here has
written down :mod:`provisioner.engine.elsewhere` finds out by asking the other site.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from provisioner.core.address import Address
from provisioner.engine.beside import LedAway
from provisioner.manifest import protection
from provisioner.manifest.protection import DISK, MACHINE, SITE
from provisioner.service.model import Stack, State
from provisioner.service.recovery.leftbehind import left_behind
from provisioner.service.recovery.opening import PAUSING, last_turn
from provisioner.workflows.journal import Journal
from provisioner.workflows.nouns import noun
from provisioner.workflows.runs import Run


def away(
    folder: Path, stack: Stack, state: State, trusted: Collection[str] = ()
) -> dict[Address, str]:
    """What recovery plans, whose journals are in ``folder``, have taken elsewhere, but for the
    sites ``trusted`` to be off, and why it is held. Raises ProvisionerError for a journal that
    cannot be read.
    """
    found: dict[Address, str] = {}
    for path in sorted(folder.glob("*.db")):
        journal = Journal(path)
        try:
            machines, why = _taken(journal, stack, state, trusted)
        finally:
            journal.close()
        for machine in machines:
            entry = state.entries.get(machine)
            if entry is not None:
                found[machine] = why
                disks = (item for item in entry.dependencies if item.kind == DISK)
                found |= dict.fromkeys(disks, f"{machine} has it: {why}")
    return found


def led_away(
    folder: Path, stack: Stack, state: State, trusted: Collection[str] = ()
) -> dict[Address, LedAway]:
    """The machines that recovery plans, whose journals are in ``folder``, have led elsewhere, and
    that are to stay off where the state has them. None of a plan that has a run under way, in the
    course of which they are stopped. Raises ProvisionerError for a journal that cannot be read.
    """
    found: dict[Address, LedAway] = {}
    for path in sorted(folder.glob("*.db")):
        with closing(Journal(path)) as journal:
            found |= dict(_led_away(journal, stack, state, trusted))
    return found


def _led_away(
    journal: Journal, stack: Stack, state: State, trusted: Collection[str]
) -> Iterator[tuple[Address, LedAway]]:
    last = journal.last()
    if last is not None and last.is_open and last.mode in PAUSING:
        return
    turn = last_turn(journal)
    if turn is None or turn[0] in trusted:
        return
    site, run = turn
    apart = left_behind(journal)
    where = LedAway(run.record.name, site, f"{run.record.started:%Y-%m-%d %H:%M} UTC")
    for machine in _machines(run):
        if machine not in apart and not _is_at(machine, site, stack, state):
            yield machine, where


def _taken(
    journal: Journal, stack: Stack, state: State, trusted: Collection[str]
) -> tuple[list[Address], str]:
    last = journal.last()
    if last is not None and last.is_open and last.mode in PAUSING:
        see = f"see 'provisioner dr status {last.name}'"
        why = f"the {noun(last.mode)} of {last.name} has not ended: {see}"
        return _machines(journal.run(last.id)), why
    turn = last_turn(journal)
    if turn is None or turn[0] in trusted:
        return [], ""
    site, run = turn
    name, since = run.record.name, f"{run.record.started:%Y-%m-%d %H:%M} UTC"
    why = (
        f"the recovery plan {name} runs at Site/{site} since {since}: bring it back with "
        f"'provisioner dr failback {name}'"
    )
    return [item for item in _machines(run) if not _is_at(item, site, stack, state)], why


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
