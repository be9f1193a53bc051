"""What a replacement means for others: those that refer to the resource have to move over to the
successor, and a predecessor has to stay as long as somebody needs it.

Called by :mod:`prepare` (who is to be asked again) and by the planner. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.engine.decide import CREATE_FIRST, Decision
from provisioner.engine.plan import Plan
from provisioner.engine.request import Moved, PlanRequest
from provisioner.engine.rules import targets_in
from provisioner.engine.subjects import Subject, retired_address
from provisioner.engine.verify import resource_of
from provisioner.providers.api import Observation, Present, Resource
from provisioner.providers.capabilities import User

_CHANGING = (Action.UPDATE, Action.RENAME)


def movers(request: PlanRequest, plan: Plan) -> dict[Address, tuple[Subject, frozenset[Address]]]:
    """Subjects that may have to move over to what a plan makes in the place of something else, or
    to let go of that, each with what it is; to be observed with the successors in the place of what
    they replace.
    """
    related: dict[str, dict[Address, Resource]] = {}
    replaced: dict[str, set[Address]] = {}
    for step in plan.steps:
        old = step.previous
        if step.action is not Action.REPLACE or old is None:
            continue
        shared = related.setdefault(old.endpoint, {})
        replaced.setdefault(old.endpoint, set()).add(step.address)
        if old.endpoint == step.known.endpoint:
            shared[step.address] = resource_of(step.known, plan.lineage, shared)
        if step.replace_order == CREATE_FIRST:
            left = retired_address(step.address, old.generation)
            shared[left] = resource_of(replace(old, address=left), plan.lineage, shared)
    if not replaced:
        return {}
    found: dict[Address, tuple[Subject, frozenset[Address]]] = {}
    for address, subject in request.subjects.items():
        targets = _held_on_to(subject) & replaced.get(subject.endpoint, set())
        if not targets or not isinstance(request.observations[address], Present):
            continue
        mixed = {**subject.resource.related}
        for target in replaced[subject.endpoint]:
            mixed.pop(target, None)  # it may be on another endpoint from then on
        mixed |= related[subject.endpoint]
        mover = replace(subject, resource=replace(subject.resource, related=mixed))
        found[address] = mover, frozenset(targets)
    return found


def _held_on_to(subject: Subject) -> set[Address]:
    """What a declared subject may have now: all that it was recorded with, but for what it only
    takes values from, which do not hold on to it.
    """
    if subject.declaration is None:
        return set()
    references = subject.declaration.references
    by_name = {item.target for item in references if item.output is None}
    by_value = {item.target for item in references} - by_name
    return set(subject.recorded_dependencies) - by_value


def as_found(
    request: PlanRequest,
    subject: Subject,
    decisions: Mapping[Address, Decision],
    staying: frozenset[Address],
) -> tuple[Subject, Observation]:
    """A subject and how it was found; the one that has to move over, if what it has is replaced.
    ``decisions`` hold at least those about what it is to refer to.
    """
    moved: Moved | None = request.moved.get(subject.address)
    if moved is not None:
        for target in moved.replaced - staying:
            decision = decisions.get(target)
            # What it only lets go of may be decided later.
            if decision is None or (decision.action is Action.REPLACE and decision.held is None):
                return moved.subject, moved.observation
    return subject, request.observations[subject.address]


def keep_needed(request: PlanRequest, decisions: dict[Address, Decision]) -> None:
    """Keep predecessors that earlier runs left and that are still needed when this plan is done."""
    if not request.users:
        return
    owners = {
        observed.external_id: address
        for address, observed in request.observations.items()
        if isinstance(observed, Present)
    }
    for address, users in request.users.items():
        if decisions[address].action is not Action.DELETE:
            continue
        staying = [
            user for user in users if not _lets_go(request, user, owners, decisions, address)
        ]
        if staying:
            decisions[address] = Decision(kept=f"needed by {_words(staying)}")


def _lets_go(
    request: PlanRequest,
    user: User,
    owners: Mapping[str, Address],
    decisions: Mapping[Address, Decision],
    target: Address,
) -> bool:
    owner = owners.get(user.external_id)
    decision = decisions.get(owner) if owner is not None else None
    if owner is None or decision is None or decision.held is not None:
        return False
    if decision.action in _CHANGING:
        had = [
            (change.path, value)
            for change in decision.changes
            if change.path not in decision.deferred
            for value in (change.before, change.running)
        ]
        return target in targets_in(request.rules.kind(owner.kind).references, had)
    return decision.action in (Action.DELETE, Action.REPLACE)


def _words(users: list[User]) -> str:
    shown = ", ".join(user.text for user in users[:3])
    return f"{shown} and {len(users) - 3} more" if len(users) > 3 else shown
