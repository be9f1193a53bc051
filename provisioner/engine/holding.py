"""Holds what others need: whatever would take something away that a held step, a resource that is
not selected, or something that lives in it cannot do without. And whatever is about something that
is at another site.

Stage 3 of the planner, which calls it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.engine.decide import DELETE_FIRST, Decision
from provisioner.engine.request import PlanRequest
from provisioner.engine.rules import targets_in
from provisioner.engine.subjects import Subject
from provisioner.manifest.model import Reference
from provisioner.providers.api import Absent, Present

_USING = (Action.CREATE, Action.REPLACE, Action.UPDATE, Action.RENAME)


def hold_what_is_away(request: PlanRequest, decisions: dict[Address, Decision]) -> None:
    """Hold whatever is about something that is at another site."""
    for address, why in request.away.items():
        decision = decisions.get(address)
        if decision is not None and decision.action is not None and decision.held is None:
            decisions[address] = replace(decision, held=why)


def hold_what_others_need(request: PlanRequest, decisions: dict[Address, Decision]) -> None:
    """Hold whatever would take away what an unselected resource or a held step needs, and what that
    needs in turn.
    """
    for target, keeper in sorted(_needed_by_unselected(request).items()):
        if target in decisions and _removes(request, target, decisions[target]):
            decisions[target] = replace(
                decisions[target], held=f"{keeper}, which is not selected, needs it"
            )
    _hold_what_is_lived_in(request, decisions)
    _hold_what_is_in_use_until_a_restart(request, decisions)
    _hold_what_is_let_go_after_an_adoption(request, decisions)
    holders = [a for a, decision in decisions.items() if decision.held or decision.undetermined]
    while holders:
        while holders:
            holder = holders.pop()
            for target in sorted(targets_of(request.subjects[holder])):
                decision = decisions.get(target)
                if decision is None or decision.held is not None:
                    continue
                if decision.action is Action.REPLACE or _removes(request, target, decision):
                    why = "held" if decisions[holder].held else "not determined"
                    decisions[target] = replace(
                        decision, held=f"{holder}, which is {why}, needs it"
                    )
                    holders.append(target)
        holders = _hold_what_has_to_wait(request, decisions)


def _hold_what_is_lived_in(request: PlanRequest, decisions: dict[Address, Decision]) -> None:
    """Hold replacements that delete first while something lives in the object: a pool with disks,
    which would be gone with it.
    """
    for subject in (*request.subjects.values(), *request.unselected.values()):
        homes = [
            target
            for field in request.rules.kind(subject.address.kind).references
            if field.host_from
            for target in field.targets(subject.entry.spec if subject.entry is not None else {})
        ]
        for home in homes:
            decision = decisions.get(home)
            if decision is None or decision.replace_order != DELETE_FIRST or decision.held:
                continue
            if _stays(request, decisions, subject):
                held = f"{subject.address} lives in it: move or remove that first"
                decisions[home] = replace(decision, held=held)


def _hold_what_is_in_use_until_a_restart(
    request: PlanRequest, decisions: dict[Address, Decision]
) -> None:
    """Hold deletions of what is gone from a definition, or will be with this plan, but in use by
    the guest until it is restarted; and those who would take it, if only one can have it.
    """
    owners: dict[Address, Address] = {}
    for address, subject in request.subjects.items():
        in_use = _in_use_until_a_restart(request, decisions[address], address.kind)
        owners |= dict.fromkeys(in_use - set(subject.dependencies), address)
    if not owners:
        return
    for address, decision in decisions.items():
        wanted = {address} if decision.action is Action.DELETE else set()
        wanted |= _taken(request, address, decision)
        for target in sorted(wanted & owners.keys()):
            if decision.held is None and owners[target] != address:
                what = "it" if target == address else str(target)
                held = f"{owners[target]} has {what} until it is restarted"
                decisions[address] = replace(decision, held=held)
                break


def _hold_what_is_let_go_after_an_adoption(
    request: PlanRequest, decisions: dict[Address, Decision]
) -> None:
    """Hold deletions of what a resource was recorded with that has lost its stamp: to adopt it
    changes nothing about it, so it lets go with the plan after that.
    """
    for address, decision in list(decisions.items()):
        subject = request.subjects[address]
        if decision.action is not Action.ADOPT:
            continue
        for target in set(subject.recorded_dependencies).difference(subject.dependencies):
            found = decisions.get(target)
            if found is not None and found.held is None and _removes(request, target, found):
                held = f"{address}, which is adopted first, has it until the next plan"
                decisions[target] = replace(found, held=held)


def _taken(request: PlanRequest, address: Address, decision: Decision) -> set[Address]:
    """What an object begins to have that only one can have."""
    fields = [field for field in request.rules.kind(address.kind).references if field.exclusive]
    if not fields or decision.action not in _USING:
        return set()
    if decision.action in (Action.CREATE, Action.REPLACE):
        spec = request.subjects[address].resource.spec
        return {target for field in fields for target in field.targets(spec)}
    return targets_in(fields, ((change.path, change.after) for change in decision.changes))


def _in_use_until_a_restart(request: PlanRequest, decision: Decision, kind: str) -> set[Address]:
    """What the values refer to that are in force until then."""
    in_force = [(note.path, note.running) for note in decision.pending]
    in_force += [
        (change.path, change.running if change.differs_running else change.before)
        for change in decision.changes
        if change.path in decision.deferred
    ]
    return targets_in(request.rules.kind(kind).references, in_force)


def _stays(request: PlanRequest, decisions: Mapping[Address, Decision], subject: Subject) -> bool:
    """Whether an object is there and remains; what is not selected is taken to be there."""
    decision = decisions.get(subject.address)
    if decision is None:
        return True
    gone = isinstance(request.observations[subject.address], Absent)
    return not gone and decision.action not in (Action.DELETE, Action.FORGET)


def _hold_what_has_to_wait(
    request: PlanRequest, decisions: dict[Address, Decision]
) -> list[Address]:
    """Hold whatever would be made or changed with something that a held step does not bring: it is
    not there yet, or on another host still. Returns what is held by this.
    """
    waiting: list[Address] = []
    for address, decision in decisions.items():
        declaration = request.subjects[address].declaration
        if declaration is None or decision.held is not None or decision.action not in _USING:
            continue
        for reference in declaration.references:
            made = decision.action in (Action.CREATE, Action.REPLACE)
            found = decisions.get(reference.target)
            unknown = made and found is not None and found.undetermined is not None
            if unknown or _is_awaited(request, decisions, reference, declaration.host):
                why = "held" if decisions[reference.target].held else "not determined"
                held = f"it needs {reference.target}, which is {why}"
                decisions[address] = replace(decision, held=held)
                waiting.append(address)
                break
    return waiting


def _is_awaited(
    request: PlanRequest,
    decisions: Mapping[Address, Decision],
    reference: Reference,
    host: str | None,
) -> bool:
    decision = decisions.get(reference.target)
    if decision is None or decision.held is None:
        return False
    if decision.action is Action.CREATE or reference.output is not None:
        return decision.action is Action.CREATE
    found = request.subjects[reference.target]
    moves = found.declaration is not None and found.declaration.host == host != found.endpoint
    return decision.action is Action.REPLACE and moves


def _removes(request: PlanRequest, address: Address, decision: Decision) -> bool:
    """Whether the object goes, or goes on without us: a pool under a disk that is kept but still in
    use has to stay, too.
    """
    if decision.action is Action.FORGET:
        return isinstance(request.observations[address], Present)
    return decision.action is Action.DELETE


def _needed_by_unselected(request: PlanRequest) -> dict[Address, Address]:
    needed: dict[Address, Address] = {}
    for address, subject in sorted(request.unselected.items()):
        for target in subject.recorded_dependencies:
            needed.setdefault(target, address)
    return needed


def targets_of(subject: Subject) -> set[Address]:
    """What a subject refers to, now or as it was recorded."""
    return {*subject.dependencies, *subject.recorded_dependencies}
