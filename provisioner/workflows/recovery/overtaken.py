"""Whether the world has overtaken a run that is to be gone on with: what it has marked, started or
made is not as it left it, so that a later run must have led the machines on.

Called by :mod:`provisioner.service.recovery.running` before anything is carried out. A journal is a
file that can be copied; an old copy still says *marked* and *started*. The hosts are asked, and
whoever gives no answer is no evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import Retryable
from provisioner.providers.capabilities import Way
from provisioner.workflows.nouns import noun
from provisioner.workflows.recovery.actions.estate import Estate
from provisioner.workflows.recovery.actions.overtaking import overtaken
from provisioner.workflows.recovery.actions.sighting import Sighting
from provisioner.workflows.recovery.actions.silence import PATIENCE
from provisioner.workflows.recovery.model import Mode, PlannedMachine
from provisioner.workflows.recovery.modes.tasks import TURN
from provisioner.workflows.recovery.standing import STARTS
from provisioner.workflows.recovery.whereabouts import (
    Whereabouts,
    look_everywhere,
)
from provisioner.workflows.runs import Run

MARKS = frozenset({"stand-by", "off"})
"""Actions behind which what there is of a machine at their site is marked."""
SWEEP = "stay-off"
"""The action behind which that holds for all machines of a site, but for those of silent hosts."""


class Left(NamedTuple):
    """The sites at which a run has ``marked`` or ``started`` a machine, or ``promoted`` its
    replica.
    """

    marked: set[str]
    started: set[str]
    promoted: set[str]


def check_not_overtaken(estate: Estate, run: Run) -> None:
    """Raise ProvisionerError (PRV7102) if a machine that a run has marked is not marked any more,
    one that it has started stands by there or is gone, or disks that it has made are replicas
    again. ``estate`` has the plan in the direction in which the run began. Takes :data:`PATIENCE`
    seconds at most for the hosts of both sites, and as long for recovery points.

    A migration that has not turned is not judged: it brings over what is at the old site now,
    whoever has started it there.
    """
    turn = run.tasks.get(TURN)
    if run.record.mode == Mode.MIGRATE and (turn is None or not turn.is_done):
        return
    left = _left(estate, run)
    if not any(any(found) for found in left.values()):
        return
    seen = look_everywhere(estate)
    findings = [
        (machine, finding)
        for machine, found in sorted(left.items())
        for finding in _contradicting(machine, found, seen)
    ]
    findings += _replicas_again(estate, left, seen)
    if findings:
        what = f"the {noun(run.record.mode)} of {run.record.name} (run {run.record.id})"
        raise overtaken(what, findings[0][0], [finding for _, finding in findings])


def _left(estate: Estate, run: Run) -> dict[Address, Left]:
    left = {item.address: Left(set(), set(), set()) for item in estate.plan.machines}
    for task in run.runbook.tasks:
        state = run.tasks[task.id]
        if not state.is_done:
            continue
        if task.action == SWEEP:
            site, silent = str(task.arguments["site"]), state.result.get("hosts") or {}
            assert isinstance(silent, Mapping)
            without = task.arguments.get("without") or []
            assert isinstance(without, list)
            for address, found in left.items():
                endpoint = estate.plan.objects[site][address].endpoint
                if endpoint not in silent and str(address) not in without:
                    found.marked.add(site)
        elif task.subject and (about := left.get(Address.of(task.subject))) is not None:
            if task.action in MARKS and state.result.get("reachable", True):
                about.marked.add(str(task.arguments["site"]))
            elif task.action in STARTS:
                about.started.add(str(task.arguments["site"]))
            elif task.action == "promote":
                about.promoted.add(estate.plan.there)
    return left


def _contradicting(machine: Address, left: Left, seen: Whereabouts) -> Iterator[str]:
    at = seen.seen[machine]
    for site in sorted(left.marked):
        found = at.get(site)
        if found is not None and found.power != "absent" and not found.marked:
            yield f"{machine} is {found.power} at {site} without the mark that the run has set"
    for site in sorted(left.started):
        found = at.get(site)
        if found is not None and _is_gone(found):
            how = "is not there any more" if found.power == "absent" else "stands by there now"
            yield f"{machine} was started at {site} by the run, and {how}"


def _is_gone(found: Sighting) -> bool:
    return found.power == "absent" or found.marked


def _replicas_again(
    estate: Estate, left: Mapping[Address, Left], seen: Whereabouts
) -> list[tuple[Address, str]]:
    """A disk that was made of a recovery point has none, until something is copied to it."""
    by_receiver: dict[str, list[PlannedMachine]] = {}
    for machine in estate.plan.machines:
        receiver = estate.receiver(machine).name
        made = bool(left[machine.address].promoted) and machine.way is not Way.EXTERNAL
        if made and receiver not in seen.silent:
            by_receiver.setdefault(receiver, []).append(machine)
    found = []
    for machines in by_receiver.values():
        try:
            states = estate.replica_states(machines, PATIENCE)
        except (ProvisionerError, Retryable):
            continue  # a host that does not tell is no evidence
        found += [
            (address, f"the disks of {address} at {estate.plan.there} are replicas again")
            for address, state in sorted(states.items())
            if state.points
        ]
    return found
