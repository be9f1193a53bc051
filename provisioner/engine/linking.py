"""Makes steps of decisions, links them and puts them in order. Called by the planner only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.identity import identity
from provisioner.engine.decide import CREATE_FIRST, DELETE_FIRST, Decision, predecessor_impact
from provisioner.engine.graph import DependencyGraph
from provisioner.engine.plan import ABSENT_FINGERPRINT, OLD_SUFFIX, Known, Step
from provisioner.engine.request import PlanRequest
from provisioner.engine.subjects import Subject, known_of
from provisioner.providers.api import Observation, Present

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
    for address in order:
        decision = decisions[address]
        if decision.action is None:
            continue
        subject = request.subjects[address]
        step = _step(request, subject, decision, specs[address])
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
    request: PlanRequest, subject: Subject, decision: Decision, spec: Mapping[str, Any]
) -> Step:
    observation = request.observations[subject.address]
    known = known_of(subject, spec)
    previous = _previous(subject, observation)
    if isinstance(observation, Present):
        known = _as_found(request, subject, known, observation)
    if decision.action is Action.CREATE:
        known = replace(known, external_id=None, outputs={})
    if decision.action is Action.REPLACE:
        previous = previous or known
        known = _successor(request, subject, known, decision)
    if subject.declaration is not None and decision.action in (Action.CREATE, Action.REPLACE):
        known = replace(known, endpoint=subject.declaration.host or known.endpoint)
    return Step(
        id=str(subject.address),
        action=decision.action or Action.UPDATE,
        known=known,
        fingerprint=_fingerprint(observation),
        changes=decision.changes,
        impact=decision.impact,
        reason=decision.reason,
        restart=decision.restart,
        deferred=decision.deferred,
        prior_serial=subject.entry.serial if subject.entry is not None else 0,
        previous=previous,
        replace_order=decision.replace_order,
    )


def _as_found(request: PlanRequest, subject: Subject, known: Known, observed: Present) -> Known:
    """What the object itself tells; its identity, too, if nothing was recorded that says it."""
    known = replace(known, external_id=observed.external_id, outputs=observed.outputs)
    owner = observed.owner
    if subject.entry is not None or owner is None:
        return known
    kind, _, name = owner.address.partition("/")
    uid = identity(request.state.lineage, Address(kind, name), owner.generation)
    return replace(known, generation=owner.generation, uid=str(uid))


def _fingerprint(observation: Observation) -> str:
    return observation.fingerprint if isinstance(observation, Present) else ABSENT_FINGERPRINT


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
    )


def _successor(request: PlanRequest, subject: Subject, known: Known, decision: Decision) -> Known:
    """The object that takes over: with an identity of its own if it is made before the old one
    goes.
    """
    generation = known.generation
    uid = UUID(known.uid)
    if decision.replace_order == CREATE_FIRST:
        generation += 1
        uid = identity(request.state.lineage, subject.address, generation)
    return replace(
        known,
        name=subject.address.name,
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


def _links(request: PlanRequest, steps: Mapping[str, Step]) -> dict[str, set[str]]:
    links: dict[str, set[str]] = {step_id: set() for step_id in steps}
    for step_id, step in steps.items():
        subject = request.subjects.get(step.address)
        if step.action in _REMOVING or subject is None:
            continue
        for target in subject.dependencies:
            if str(target) in steps and steps[str(target)].action not in _REMOVING:
                links[step_id].add(str(target))
    removals: dict[Address, list[str]] = {}
    for step in steps.values():
        if step.action in _REMOVING:
            removals.setdefault(step.consent_address, []).append(step.id)
    for address, subject in request.subjects.items():
        dependent = steps.get(str(address))
        if dependent is None:
            continue
        old = steps.get(f"{address}{OLD_SUFFIX}")
        if old is not None:
            links[old.id].add(dependent.id)
        halves = {half.id for half in (dependent, old) if half is not None}
        for target in subject.recorded_dependencies:
            # Whatever removes the target, of any generation, waits until it was let go of.
            for removal in removals.get(target, ()):
                links[removal] |= halves
    _replace_after_release(request, steps, links)
    _take_after_release(request, steps, links)
    return links


def _replace_after_release(
    request: PlanRequest, steps: Mapping[str, Step], links: dict[str, set[str]]
) -> None:
    """A replacement that deletes first waits for those that are to let go of the object for good,
    unless one of them waits for it.
    """
    released: dict[str, set[str]] = {}
    for address, subject in request.subjects.items():
        dependent = steps.get(str(address))
        if dependent is None:
            continue
        for target in subject.recorded_dependencies:
            step = steps.get(str(target))
            lets_go = dependent.action in _REMOVING or target not in subject.dependencies
            if lets_go and step is not None and step.replace_order == DELETE_FIRST:
                released.setdefault(step.id, set()).add(dependent.id)
    for step_id, dependents in sorted(released.items()):
        links[step_id] |= dependents - DependencyGraph(links).all_dependents([step_id])


def _take_after_release(
    request: PlanRequest, steps: Mapping[str, Step], links: dict[str, set[str]]
) -> None:
    """Whoever begins to refer to an object waits for those that cease to, unless one of them waits
    for it: a disk is let go of before another machine takes it.
    """
    released: dict[Address, set[str]] = {}
    taken: dict[Address, set[str]] = {}
    for address, subject in request.subjects.items():
        step = steps.get(str(address))
        if step is None:
            continue
        wanted, had = set(subject.dependencies), set(subject.recorded_dependencies)
        for target in had if step.action in _REMOVING else had - wanted:
            released.setdefault(target, set()).add(step.id)
        for target in wanted - had:
            taken.setdefault(target, set()).add(step.id)
    for target in sorted(released.keys() & taken.keys()):
        for step_id in sorted(taken[target]):
            links[step_id] |= released[target] - DependencyGraph(links).all_dependents([step_id])
