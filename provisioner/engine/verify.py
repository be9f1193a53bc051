"""Whether a plan still fits: apply refuses one whose touched objects or records moved since it was
made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, Diagnostics, ProvisionerError, error
from provisioner.core.identity import Stamp
from provisioner.engine.decide import DELETE_FIRST
from provisioner.engine.observe import observe, observe_what_answers
from provisioner.engine.plan import (
    ABSENT_FINGERPRINT,
    Begun,
    Known,
    Plan,
    Step,
    fingerprint_of,
    stamp_address,
)
from provisioner.engine.sessions import Sessions
from provisioner.engine.subjects import Subject
from provisioner.providers.api import Absent, Observation, Resource, Undetermined
from provisioner.providers.registry import Registry
from provisioner.state.model import State

STALE = "PRV3001"


class StalePlan(ProvisionerError):
    """The plan was made for another state of things; a new one is needed (exit code 3)."""


class RefusedPlan(ProvisionerError):
    """The gate forbids a step of the plan (exit code 5)."""


class Verified(NamedTuple):
    """What was read again of what a plan touches. ``absent`` are the ids of the steps that make an
    object of whose name the endpoint has just said that there is none, or will have when the same
    step has deleted the predecessor of that name.
    """

    observations: dict[Address, Observation]
    absent: frozenset[str]


def resource_of(
    known: Known, lineage: str, related: Mapping[Address, Resource], begun: Begun = frozenset()
) -> Resource:
    """What a provider is handed for a resource of a plan."""
    return Resource(
        address=known.address,
        name=known.name,
        uid=UUID(known.uid),
        stamp=Stamp(lineage, str(stamp_address(known.address)), known.generation),
        spec=known.spec,
        external_id=known.external_id,
        outputs=known.outputs,
        begun=(known.endpoint, known.uid, known.name) in begun,
        related=related,
    )


def check_gate(plan: Plan) -> None:
    """Raise :class:`RefusedPlan` with every step that the gate forbids."""
    problems: list[Diagnostic] = []
    # The halves of a replacement pass together: one consent, one diagnostic.
    refused = {(step.consent_address, step.impact): step for step in reversed(plan.refused)}
    for step in reversed(refused.values()):
        if step.impact is Impact.DATA_LOSS:
            why = "Loss of data needs the resource's address on the command line."
            hint = f"Allow it with --allow-data-loss {step.consent_address}."
        else:
            why = f"The plan allows no more than {plan.max_impact.value}."
            hint = f"Allow it with --max-impact {step.impact.value}."
        problems.append(
            error(
                "PRV3002",
                f"{step.action.value} {step.address} has the impact {step.impact.value}",
                detail=why,
                hint=hint,
                address=str(step.address),
            )
        )
    if problems:
        raise RefusedPlan(problems)


def check_providers(plan: Plan, registry: Registry) -> None:
    """Raise :class:`StalePlan` if a provider is not the one that the plan was made with: another
    version may call the same things otherwise.
    """
    problems = Diagnostics()
    for name, version in sorted(plan.providers.items()):
        installed = registry.get(name).describe().version
        if installed != version:
            problems.add(
                error(
                    "PRV3006",
                    f"the plan was made with version {version} of the provider {name}",
                    detail=f"Installed here is version {installed}.",
                    hint="Make a new plan with this one.",
                )
            )
    if len(problems):
        raise StalePlan(list(problems))


def check_records(plan: Plan, state: State) -> None:
    """Raise :class:`StalePlan` if the plan is of another state, or an entry that it touches was
    written since.
    """
    if str(state.lineage) != plan.lineage:
        raise StalePlan(
            error(
                STALE,
                "the plan belongs to another stack",
                detail=f"Its lineage is {plan.lineage}; the state here has {state.lineage}.",
                hint="Apply it where it was made, or make a new plan here.",
            )
        )
    problems = Diagnostics()
    for step in plan.steps:
        recorded_as = step.previous.address if step.previous is not None else step.address
        entry = state.entries.get(recorded_as)
        serial = entry.serial if entry is not None else 0
        if serial != step.prior_serial:
            problems.add(
                _stale(
                    step.address,
                    f"its entry was written again (serial {step.prior_serial}, now {serial})",
                )
            )
    for known in plan.refresh:
        entry = state.entries.get(known.address)
        if entry is None or entry.serial > plan.serial:
            problems.add(_stale(known.address, "its entry was written again or removed"))
    for known in plan.observed:
        if known.address in state.entries:
            problems.add(_stale(known.address, "it was recorded since"))
    if len(problems):
        raise StalePlan(list(problems))


def check_objects(plan: Plan, sessions: Sessions, begun: Begun) -> Verified:
    """Read again what the plan touches; raise :class:`StalePlan` if any of it moved."""
    steps = [step for step in plan.steps if not step.removes_predecessor]
    asked = [_as_planned(step) for step in steps]
    observations = observe(sessions, plan.endpoints, _subjects(plan, asked, asked, begun))
    problems = Diagnostics()
    unknown = Diagnostics()
    for step in steps:
        observation = observations[step.address]
        if isinstance(observation, Undetermined):
            unknown.add(observation.diagnostic.about(step.address))
            continue
        found = fingerprint_of(observation)
        if found != step.fingerprint:
            problems.add(_stale(step.address, _difference(step.fingerprint, found)))
    unknown.raise_errors()
    if len(problems):
        raise StalePlan(list(problems))
    return Verified(observations, _proven_absent(plan, steps, sessions, begun))


def _proven_absent(
    plan: Plan, steps: Iterable[Step], sessions: Sessions, begun: Begun
) -> frozenset[str]:
    making = {step.id: step for step in steps if step.action in (Action.CREATE, Action.REPLACE)}
    elsewhere = [step.known for step in making.values() if _is_made_elsewhere(step)]
    answers: dict[Address, Observation] = {}
    if elsewhere:
        asked = _subjects(plan, [step.known for step in steps], elsewhere, begun)
        answers = observe_what_answers(sessions, plan.endpoints, asked)

    def is_absent(step: Step) -> bool:
        if step.address in answers:
            return isinstance(answers[step.address], Absent)
        return step.fingerprint == ABSENT_FINGERPRINT or step.replace_order == DELETE_FIRST

    return frozenset(step_id for step_id, step in making.items() if is_absent(step))


def _is_made_elsewhere(step: Step) -> bool:
    """Whether the object is to be made on another endpoint, or under another name, than the one
    that was looked at when the plan was made.
    """
    planned = _as_planned(step)
    return (planned.endpoint, planned.name) != (step.known.endpoint, step.known.name)


def _difference(before: str, now: str) -> str:
    if before == ABSENT_FINGERPRINT:
        return "it did not exist and exists now"
    if now == ABSENT_FINGERPRINT:
        return "it existed and is gone now"
    return "the object has changed"


def _stale(address: Address, what: str) -> Diagnostic:
    return error(
        STALE,
        f"the plan is stale: {address}: {what}",
        hint="Make a new plan and look at it again.",
        address=str(address),
    )


def _as_planned(step: Step) -> Known:
    """The object that a step acts on, as it was found when the plan was made. A rename is looked
    for under its new address, with the identity it was recorded with.
    """
    return replace(step.previous or step.known, address=step.address)


def _subjects(
    plan: Plan, around: Iterable[Known], asked: Iterable[Known], begun: Begun
) -> list[Subject]:
    """What is asked about, among all that the stack knows around it."""
    related: dict[str, dict[Address, Resource]] = {}
    for known in (*plan.context, *around):
        shared = related.setdefault(known.endpoint, {})
        shared[known.address] = resource_of(known, plan.lineage, shared, begun)
    return [
        Subject(
            known.address,
            known.endpoint,
            related[known.endpoint][known.address],
            None,
            None,
            known.generation,
            (),
            (),
        )
        for known in asked
    ]
