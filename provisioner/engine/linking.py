"""Makes steps of decisions, links them and puts them in order. Called by the planner only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.identity import identity
from provisioner.engine.decide import CREATE_FIRST, DELETE_FIRST, Decision, predecessor_impact
from provisioner.engine.graph import DependencyGraph
from provisioner.engine.plan import OLD_SUFFIX, Known, Step, fingerprint_of
from provisioner.engine.request import PlanRequest
from provisioner.engine.rules import targets_in
from provisioner.engine.subjects import Subject, free_identity, identities, known_of
from provisioner.engine.unwritten import unwritten_needs
from provisioner.manifest.annotations import ReferenceField
from provisioner.providers.api import Naming, Observation, Present

_REMOVING = (Action.DELETE, Action.FORGET)


def link_steps(
    request: PlanRequest,
    decisions: Mapping[Address, Decision],
    specs: Mapping[Address, Mapping[str, Any]],
    order: list[Address],
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps to carry out, each after all it depends on, and the held ones."""
    steps: dict[str, Step] = {}
    held: list[Step] = []
    taken = identities(request.state)
    for address in order:
        decision = decisions[address]
        if decision.action is None:
            continue
        subject = request.subjects[address]
        step = _step(request, subject, decision, specs[address], taken)
        if decision.held is not None:
            held.append(replace(step, held=decision.held))
            continue
        steps[step.id] = step
        if step.action is Action.REPLACE and step.replace_order == CREATE_FIRST:
            old = _old_half(step)
            steps[old.id] = old
    links = _links(request, steps)
    graph = DependencyGraph(links)
    ordered = tuple(
        replace(steps[step_id], depends_on=tuple(graph.dependencies(step_id)))
        for step_id in graph.order()
    )
    return ordered, tuple(held)


def _step(
    request: PlanRequest,
    subject: Subject,
    decision: Decision,
    spec: Mapping[str, Any],
    taken: Collection[UUID],
) -> Step:
    observation = request.observations[subject.address]
    known = known_of(subject, spec)
    previous = _previous(subject, observation)
    if isinstance(observation, Present):
        known = _as_found(request, subject, known, observation)
    if decision.action is Action.CREATE:
        known = replace(known, external_id=_former_id(request, subject), outputs={})
    if decision.action is Action.REPLACE:
        previous = previous or known
        known = _successor(request, subject, known, decision, taken)
    if decision.action is Action.ADOPT and subject.entry is not None:
        # What was recorded stays so: by it the next plan sees what the author has removed since.
        spec, needed = subject.entry.spec, subject.recorded_dependencies
        known = replace(known, spec=spec, dependencies=needed)
    if subject.declaration is not None and decision.action in (Action.CREATE, Action.REPLACE):
        known = replace(known, endpoint=subject.declaration.host or known.endpoint)
    return Step(
        id=str(subject.address),
        action=decision.action or Action.UPDATE,
        known=known,
        fingerprint=fingerprint_of(observation),
        changes=decision.changes,
        impact=decision.impact,
        reason=decision.reason,
        restart=decision.restart,
        deferred=decision.deferred,
        prior_serial=subject.entry.serial if subject.entry is not None else 0,
        previous=previous,
        replace_order=decision.replace_order,
    )


def _former_id(request: PlanRequest, subject: Subject) -> str | None:
    """The id of what was lost, where a provider may choose what objects are called: made as the
    same again, it is found by what others know it by.
    """
    entry = subject.entry
    if entry is None or subject.declaration is None or entry.endpoint != subject.declaration.host:
        return None
    provider = request.providers[request.endpoints[entry.endpoint].provider]
    is_free = provider.describe().naming[subject.address.kind] is Naming.FREE
    return entry.external_id if is_free else None


def _as_found(request: PlanRequest, subject: Subject, known: Known, observed: Present) -> Known:
    """What the object itself tells; its identity, too, if nothing was recorded that says it."""
    known = replace(known, external_id=observed.external_id, outputs=observed.outputs)
    owner = observed.owner
    if subject.entry is not None or owner in (None, subject.resource.stamp):
        return known
    uid = identity(request.state.lineage, Address.of(owner.address), owner.generation)
    return replace(known, generation=owner.generation, uid=str(uid))


def _previous(subject: Subject, observation: Observation) -> Known | None:
    """The object as it was recorded, under the address that it was recorded with."""
    entry = subject.entry
    if entry is None:
        return None
    return Known(
        address=entry.address,
        endpoint=entry.endpoint,
        name=entry.name,
        uid=str(entry.uid),
        generation=entry.generation,
        spec=entry.spec,
        external_id=observation.external_id
        if isinstance(observation, Present)
        else entry.external_id,
        outputs=entry.outputs,
        dependencies=subject.recorded_dependencies,
        protect=entry.protect,
        manage=entry.manage,
    )


def _successor(
    request: PlanRequest,
    subject: Subject,
    known: Known,
    decision: Decision,
    taken: Collection[UUID],
) -> Known:
    """The object that takes over: with an identity of its own if it is made before the old one
    goes.
    """
    generation = known.generation
    uid = UUID(known.uid)
    if decision.replace_order == CREATE_FIRST:
        lineage = request.state.lineage
        generation, uid = free_identity(lineage, subject.address, taken, generation + 1)
    return replace(
        known,
        name=subject.object_name,
        uid=str(uid),
        generation=generation,
        external_id=None,
        outputs={},
    )


def _old_half(step: Step) -> Step:
    """The step that deletes the predecessor after everything has moved to the successor."""
    assert step.previous is not None
    return Step(
        id=f"{step.address}{OLD_SUFFIX}",
        action=Action.DELETE,
        known=step.previous,
        fingerprint=step.fingerprint,
        impact=predecessor_impact(step.impact),
        reason="its successor has replaced it",
        prior_serial=step.prior_serial,
    )


class _Links:
    """Which step waits for which, with a quick answer to whether one may wait for another."""

    def __init__(self, steps: Iterable[str]) -> None:
        self.needs: dict[str, set[str]] = {step: set() for step in steps}
        self._needed_by: dict[str, set[str]] = {step: set() for step in self.needs}

    def add(self, step: str, needed: str) -> None:
        """Have one step wait for another."""
        self.needs[step].add(needed)
        self._needed_by[needed].add(step)

    def add_unless_awaited(self, step: str, needed: str) -> None:
        """The same, unless the other one waits for this one already."""
        if needed not in self._waiting_for(step):
            self.add(step, needed)

    def _waiting_for(self, step: str) -> set[str]:
        """The step and all that wait for it, however far."""
        found = {step}
        frontier = [step]
        while frontier:
            for dependent in self._needed_by[frontier.pop()] - found:
                found.add(dependent)
                frontier.append(dependent)
        return found


def _links(request: PlanRequest, steps: Mapping[str, Step]) -> Mapping[str, set[str]]:
    links = _Links(steps)
    if not steps:
        return links.needs
    _make_in_order(request, steps, links)
    _remove_after_release(request, steps, links)
    _replace_after_release(request, steps, links)
    _take_after_release(request, steps, links)
    return links.needs


def _make_in_order(request: PlanRequest, steps: Mapping[str, Step], links: _Links) -> None:
    """Whatever is made or changed waits for what it refers to, and for what its provider says that
    it needs besides.
    """
    for step_id, step in steps.items():
        subject = request.subjects.get(step.address)
        if step.action in _REMOVING or subject is None:
            continue
        for target in subject.dependencies:
            if str(target) in steps and steps[str(target)].action not in _REMOVING:
                links.add(step_id, str(target))
    for address, needed in unwritten_needs(request, as_recorded=False).items():
        dependent = steps.get(str(address))
        if dependent is None or dependent.action in _REMOVING:
            continue
        for target in sorted(needed):
            if str(target) in steps and steps[str(target)].action not in _REMOVING:
                links.add_unless_awaited(dependent.id, str(target))


def _remove_after_release(request: PlanRequest, steps: Mapping[str, Step], links: _Links) -> None:
    """Whatever removes an object, of any generation, waits until it was let go of, unless that
    waits for it: what was recorded at different times may form rings.
    """
    removals: dict[Address, list[str]] = {}
    for step in steps.values():
        if step.action in _REMOVING:
            removals.setdefault(step.consent_address, []).append(step.id)
    unwritten = unwritten_needs(request, as_recorded=True) if removals else {}
    for address, subject in sorted(request.subjects.items()):
        dependent = steps.get(str(address))
        if dependent is None:
            continue
        old = steps.get(f"{address}{OLD_SUFFIX}")
        if old is not None:
            links.add(old.id, dependent.id)
        for target in (*subject.recorded_dependencies, *sorted(unwritten.get(address, ()))):
            for removal in removals.get(target, ()):
                links.add_unless_awaited(removal, dependent.id)
                if old is not None:
                    links.add_unless_awaited(removal, old.id)


def _replace_after_release(request: PlanRequest, steps: Mapping[str, Step], links: _Links) -> None:
    """A replacement that deletes first waits for those that are to let go of the object for good,
    unless one of them waits for it.
    """
    for address, subject in sorted(request.subjects.items()):
        dependent = steps.get(str(address))
        if dependent is None:
            continue
        for target in subject.recorded_dependencies:
            step = steps.get(str(target))
            lets_go = dependent.action in _REMOVING or target not in subject.dependencies
            if lets_go and step is not None and step.replace_order == DELETE_FIRST:
                old = f"{address}{OLD_SUFFIX}"
                links.add_unless_awaited(step.id, old if old in steps else dependent.id)


def _take_after_release(request: PlanRequest, steps: Mapping[str, Step], links: _Links) -> None:
    """Whoever begins to refer to what only one can have waits for the one that ceases to, unless
    that waits for it: a disk is let go of before another machine takes it.
    """
    released: dict[Address, set[str]] = {}
    taken: dict[Address, set[str]] = {}
    for address, subject in request.subjects.items():
        step = steps.get(str(address))
        if step is None:
            continue
        fields = [f for f in request.rules.kind(address.kind).references if f.exclusive]
        if not fields:
            continue
        wanted = _targets_of(fields, step.known.spec) & set(subject.dependencies)
        had_spec = step.previous.spec if step.previous is not None else {}
        had = _targets_of(fields, had_spec) & set(subject.recorded_dependencies)
        # What a guest has until its restart it has, whatever its definition says.
        had |= targets_in(fields, ((c.path, c.running) for c in step.changes if c.differs_running))
        if step.action in _REMOVING:
            wanted, had = set(), _targets_of(fields, step.known.spec)
        for target in had - wanted:
            released.setdefault(target, set()).add(step.id)
        for target in wanted - had:
            taken.setdefault(target, set()).add(step.id)
    for target in sorted(released.keys() & taken.keys()):
        for taker in sorted(taken[target]):
            for giver in sorted(released[target]):
                links.add_unless_awaited(taker, giver)


def _targets_of(fields: Iterable[ReferenceField], spec: Mapping[str, Any]) -> set[Address]:
    return {target for field in fields for target in field.targets(spec)}
