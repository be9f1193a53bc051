"""Makes a plan from what is desired, recorded and observed. Pure: no endpoint, no clock, no file.

The work is a row of small stages, each of which needs what the one before it found:

1. decide for each subject, dependencies first, since an output is known only if its resource stays
as it is;
2. keep what a kept object needs (the image under a kept disk);
3. hold what a held step needs (the network of a protected machine);
4. keep predecessors that earlier replacements left and that are still needed;
5. make steps of the decisions and link them;
6. order the steps and collect the context that their provider calls need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioner.core.actions import Action, Impact, Permission
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, Diagnostics, ProvisionerError
from provisioner.core.values import Json, Path, get_path, is_marker
from provisioner.engine.decide import (
    CREATE_FIRST,
    NOTHING,
    Decision,
    Policy,
    decide,
)
from provisioner.engine.diff import project
from provisioner.engine.filling import filled
from provisioner.engine.graph import DependencyGraph
from provisioner.engine.holding import hold_what_is_away, hold_what_others_need, targets_of
from provisioner.engine.linking import link_steps
from provisioner.engine.plan import Kept, Known, Plan, Step, stamp_address
from provisioner.engine.planfile import sealed
from provisioner.engine.request import PlanRequest
from provisioner.engine.rules import targets_in
from provisioner.engine.sessions import is_about_host
from provisioner.engine.subjects import Subject, free_identity, identities, known_of
from provisioner.engine.succession import as_found, keep_needed
from provisioner.engine.unknowns import OutputName, resolve, unknowns
from provisioner.providers.api import Present, Provider, Undetermined

_MAKING = (Action.CREATE, Action.REPLACE)


def make_plan(request: PlanRequest) -> Plan:
    """The plan; raises ProvisionerError with every problem found if there is one."""
    policy = _policy(request)
    order = _dependency_graph(request.subjects).order()
    decisions, specs = _decide(request, policy, order)
    if policy.only_adopt:
        request, decisions = _limited_to_steps(request, decisions)
        order = list(decisions)
    keep_needed(request, decisions)
    completed = _leave_to_makers(request, decisions)
    kept = {address: d.kept for address, d in decisions.items() if d.kept is not None}
    steps, held = link_steps(request, decisions, specs, order)
    providers = {
        name: request.providers[name].describe().version
        for name in sorted(
            {record.provider for record in request.endpoints.values()} & set(request.providers)
        )
    }
    used = {subject.endpoint for subject in request.subjects.values()}
    used |= {step.known.endpoint for step in steps}
    counterparts = tuple(i for i in request.counterparts if i.address not in request.away)
    used |= {host for item in counterparts for host in item.hosts}
    plan = Plan(
        stack=request.name,
        environment=request.environment,
        lineage=str(request.state.lineage),
        serial=request.state.serial,
        destroy=request.options.destroy,
        created_at=request.options.now,
        tool_version=request.options.tool_version,
        providers=providers,
        schemas=request.rules.digest,
        max_impact=policy.max_impact,
        steps=steps,
        held=held,
        pending=tuple(note for address in order for note in decisions[address].pending),
        kept=tuple(Kept(address, reason) for address, reason in sorted(kept.items())),
        undetermined=tuple(d.undetermined for d in decisions.values() if d.undetermined),
        refresh=_refresh(request, decisions, specs),
        observed=_observed(request, decisions, specs),
        context=_context(request, steps, specs),
        endpoints={name: request.endpoints[name] for name in sorted(used)},
        consents=tuple(sorted(request.options.consents)),
        selection={
            "target": tuple(str(pattern) for pattern in request.options.selection.target),
            "exclude": tuple(str(pattern) for pattern in request.options.selection.exclude),
            "adopt": tuple(map(str, request.options.adopt)),
        },
        only_adopt=request.options.only_adopt,
        interrupted=_interrupted(request, completed, decisions),
        unchanged=sum(
            1
            for decision in decisions.values()
            if (decision.action, decision.kept, decision.undetermined) == (None, None, None)
        ),
        warnings=(
            *(request.stack.warnings if request.stack is not None else ()),
            *request.warnings,
        ),
        counterparts=counterparts,
        trusted_sites=tuple(sorted(request.options.trusted_sites)),
    )
    return sealed(plan)


def _limited_to_steps(
    request: PlanRequest, decisions: Mapping[Address, Decision]
) -> tuple[PlanRequest, dict[Address, Decision]]:
    """As if nothing were selected but what there is something to do about: the plan records nothing
    of the others, and closes no intents of theirs.
    """
    acting = {address: decision for address, decision in decisions.items() if decision.action}
    subjects = {address: request.subjects[address] for address in acting}
    return replace(
        request, subjects=subjects, unselected={**request.unselected, **request.subjects}
    ), acting


def _policy(request: PlanRequest) -> Policy:
    chosen = request.options.max_impact
    if chosen is None and request.options.destroy:
        chosen = Impact.REPLACE
    if chosen is None:
        chosen = request.stack.max_impact if request.stack is not None else Impact.LIVE
    maintenance = {
        name for name, record in request.endpoints.items() if record.spec.get("maintenance") is True
    }
    options = request.options
    return Policy(chosen, options.adopt, frozenset(maintenance), only_adopt=options.only_adopt)


def _dependency_graph(subjects: Mapping[Address, Subject]) -> DependencyGraph[Address]:
    return DependencyGraph(
        {
            address: subject.dependencies
            if subject.declaration is not None
            else subject.recorded_dependencies
            for address, subject in subjects.items()
        },
        opened=True,  # what was recorded at different times may form rings
    )


def _decide(
    request: PlanRequest, policy: Policy, order: list[Address]
) -> tuple[dict[Address, Decision], dict[Address, Mapping[str, Any]]]:
    """Stages 1 to 3, again if they hold something that others were decided to follow: its outputs
    were taken for unknown, or its successor for there. It stays as it is.
    """
    waited_for = {
        reference.target
        for subject in request.subjects.values()
        if subject.declaration is not None
        for reference in subject.declaration.references
        if reference.output is not None
    }
    for moved in request.moved.values():
        waited_for |= moved.replaced
    staying: frozenset[Address] = frozenset()
    while True:
        decisions, specs = _decide_all(request, policy, order, staying)
        hold_what_is_away(request, decisions)
        _keep_what_kept_objects_need(request, decisions)
        hold_what_others_need(request, decisions)
        held = {address for address in waited_for & decisions.keys() if decisions[address].held}
        if held <= staying:
            return decisions, specs
        staying |= held


def _decide_all(
    request: PlanRequest, policy: Policy, order: list[Address], staying: frozenset[Address]
) -> tuple[dict[Address, Decision], dict[Address, Mapping[str, Any]]]:
    decisions: dict[Address, Decision] = {}
    specs: dict[Address, Mapping[str, Any]] = {}
    problems = Diagnostics()
    for address in order:
        subject, observation = as_found(request, request.subjects[address], decisions, staying)
        try:
            spec = _known_spec(request, decisions, subject, staying)
        except ProvisionerError as problem:
            problems.extend(_placed(request, subject, item) for item in problem.diagnostics)
            specs[address], decisions[address] = subject.resource.spec, NOTHING
            continue
        specs[address] = spec
        provider = _provider_of(request, subject)
        decision = decide(
            subject,
            spec,
            observation,
            provider,
            rules=request.rules.kind(address.kind),
            policy=policy,
        )
        if isinstance(observation, Undetermined):
            if is_about_host(observation.diagnostic):
                decision = Decision(undetermined=_held_while_off(address, observation.diagnostic))
            elif _may_be_found_out(subject, decisions):
                decision = Decision(undetermined=decision.problem)
        if decision.problem is not None:
            problems.add(_placed(request, subject, decision.problem))
        decisions[address] = decision
    problems.raise_errors()
    return decisions, specs


def _held_while_off(address: Address, problem: Diagnostic) -> Diagnostic:
    """About what is on a host that gives no answer and is known to be off; others are errors."""
    return replace(
        problem,
        summary="its host is off, as somebody said, and gives no answer",
        detail=f"Nothing is planned for it. {problem.summary}".rstrip(),
        hint="Run plan again when the site is back.",
        address=str(address),
    )


def _may_be_found_out(subject: Subject, decisions: Mapping[Address, Decision]) -> bool:
    """Whether a resource that could not be observed may be once this plan is carried out: what it
    stands on is about to be changed, a pool that is to be started.
    """
    below = [decisions[target] for target in targets_of(subject) if target in decisions]
    changing = (Action.CREATE, Action.UPDATE, Action.REPLACE)
    return any(d.undetermined or (d.action in changing and d.held is None) for d in below)


def _known_spec(
    request: PlanRequest,
    decisions: Mapping[Address, Decision],
    subject: Subject,
    staying: frozenset[Address],
) -> Mapping[str, Any]:
    """The subject's spec with the outputs of resources that stay as they are put in; raises
    ProvisionerError if one does not fit.
    """
    declaration = subject.declaration
    if declaration is None or not any(reference.output for reference in declaration.references):
        return subject.resource.spec
    recorded = subject.entry.spec if subject.entry is not None else {}

    def is_new(name: OutputName) -> bool:
        decision = decisions.get(name.address, NOTHING)
        if name.address in staying or decision.action is None:
            return False
        if decision.action in _MAKING:
            return True
        rules = request.rules.kind(name.address.kind)
        return any(rules.decides(change.path, name.output) for change in decision.changes)

    def lookup(name: OutputName) -> Json:
        if is_new(name):
            return None
        observed = request.observations.get(name.address)
        if isinstance(observed, Present):
            return name.of(observed.outputs)
        entry = request.state.entries.get(name.address)
        return name.of(entry.outputs) if entry is not None else None

    def give(marker: Mapping[str, Any], path: Path) -> Any:
        known = resolve(marker, lookup)
        if not is_marker(known):
            return known
        if any(is_new(name) for name in unknowns(marker)):
            return None
        # What the endpoint does not tell at the moment has not changed for all we know.
        return get_path(recorded, path)

    return filled(
        subject.resource,
        give,
        rules=request.rules.kind(subject.address.kind),
        provider=_provider_of(request, subject),
    ).spec


def _placed(request: PlanRequest, subject: Subject, found: Diagnostic) -> Diagnostic:
    if request.stack is None or subject.declaration is None or not found.path:
        return found
    return request.stack.placed(found, subject.declaration)


def _provider_of(request: PlanRequest, subject: Subject) -> Provider:
    return request.providers[request.endpoints[subject.endpoint].provider]


def _keep_what_kept_objects_need(request: PlanRequest, decisions: dict[Address, Decision]) -> None:
    """Forget what would be deleted under something that stays: under data that is kept its image,
    under an object that is left alone all that it has, however far down.
    """
    left_alone: set[Address] = set()
    for address in reversed(list(decisions)):  # dependents first: what is kept may keep in turn
        subject = request.subjects[address]
        if decisions[address].action is not Action.FORGET:
            continue
        if not isinstance(request.observations[address], Present):
            continue
        whole = address in left_alone or Permission.DELETE not in subject.manage
        whose = "which is left alone" if whole else "whose data is kept"
        for field in request.rules.kind(address.kind).references:
            targets = field.targets(subject.resource.spec) if field.keeps or whole else ()
            for target in set(targets).intersection(subject.recorded_dependencies, decisions):
                if whole:
                    left_alone.add(target)
                if decisions[target].action is Action.DELETE:
                    reason = f"{address}, {whose}, needs it"
                    decisions[target] = Decision(Action.FORGET, reason=reason)


def _leave_to_makers(
    request: PlanRequest, decisions: dict[Address, Decision]
) -> dict[Address, Address]:
    """What an interrupted run made and this plan would make, too, by the address whose step
    completes it.
    """
    completed: dict[Address, Address] = {}
    lineage, taken = request.state.lineage, identities(request.state)
    for address, subject in request.subjects.items():
        main = stamp_address(address)
        decision = decisions.get(main)
        if not subject.retired or decision is None or decision.action not in _MAKING:
            continue
        maker = request.subjects[main]
        endpoint = maker.declaration.host if maker.declaration is not None else None
        uid = maker.resource.uid
        if decision.replace_order == CREATE_FIRST:
            _, uid = free_identity(lineage, main, taken, maker.generation + 1)
        if (subject.endpoint, subject.resource.uid) == (endpoint, uid):
            decisions[address] = NOTHING
            completed[address] = main
    return completed


def _interrupted(
    request: PlanRequest,
    completed: Mapping[Address, Address],
    decisions: Mapping[Address, Decision],
) -> dict[str, tuple[int, ...]]:
    """Intents that this plan deals with; not those about what stays as it is or was not seen."""
    found: dict[str, list[int]] = {}
    for address, subject in sorted(request.subjects.items()):
        if decisions[address].kept is not None or decisions[address].undetermined is not None:
            continue
        for record in subject.interrupted:
            found.setdefault(str(completed.get(address, address)), []).append(record.sequence)
    return {step: tuple(sorted(sequences)) for step, sequences in found.items()}


def _refresh(
    request: PlanRequest,
    decisions: Mapping[Address, Decision],
    specs: Mapping[Address, Mapping[str, Any]],
) -> tuple[Known, ...]:
    """Unchanged resources whose entry no longer says what the author wrote (a field set to what it
    is already, protection), or says that a restart is pending after there was one.
    """
    result: list[Known] = []
    for address, decision in decisions.items():
        subject = request.subjects[address]
        entry = subject.entry
        if decision.action is not None or subject.declaration is None or entry is None:
            continue
        if decision.undetermined is not None:
            continue
        spec, dependencies = specs[address], subject.dependencies
        treatment = (subject.declaration.protect, subject.declaration.manage)
        if decision.pending:
            # Until the restart it needs what it has.
            in_force = ((note.path, note.running) for note in decision.pending)
            in_use = targets_in(request.rules.kind(address.kind).references, in_force)
            needed = {*dependencies, *in_use.intersection(entry.dependencies)}
            dependencies = tuple(sorted(needed))
        observed = request.observations[address]
        restarted = bool(entry.pending) and isinstance(observed, Present) and not observed.running
        name = subject.declaration.external_name or entry.name
        if restarted or (name, spec, dependencies, *treatment) != (
            entry.name,
            entry.spec,
            entry.dependencies,
            entry.protect,
            entry.manage,
        ):
            known = replace(known_of(subject, spec), name=name, dependencies=dependencies)
            result.append(known)
    return tuple(result)


def _observed(
    request: PlanRequest,
    decisions: Mapping[Address, Decision],
    specs: Mapping[Address, Mapping[str, Any]],
) -> tuple[Known, ...]:
    """What is only looked at, is there, and is not recorded yet: as it was declared, or, where it
    differs from that, as it is.
    """
    result: list[Known] = []
    for address, decision in decisions.items():
        subject = request.subjects[address]
        found = request.observations[address]
        if not (subject.is_watched and isinstance(found, Present)):
            continue
        if subject.declaration is None or subject.entry is not None:
            continue
        spec = specs[address]
        if decision.held is not None and decision.changes:
            spec = project(spec, None, found.spec, request.rules.kind(address.kind))
        elif decision is not NOTHING:
            continue
        known = known_of(subject, spec)
        known = replace(known, external_id=found.external_id, outputs=found.outputs)
        result.append(known)
    return tuple(result)


def _context(
    request: PlanRequest, steps: tuple[Step, ...], specs: Mapping[Address, Mapping[str, Any]]
) -> tuple[Known, ...]:
    """Resources without a step that the steps' provider calls may have to look up, however far
    away.
    """
    with_step = {step.address for step in steps}
    found: dict[Address, Known] = {}
    acting = (step.address for step in steps if not step.removes_predecessor)
    frontier = [target for address in acting for target in targets_of(request.subjects[address])]
    while frontier:
        address = frontier.pop()
        subject = request.subjects.get(address) or request.unselected.get(address)
        if subject is None or address in found:
            continue
        if address not in with_step:
            observed = request.observations.get(address)
            known = known_of(subject, specs.get(address, subject.resource.spec))
            if isinstance(observed, Present):
                known = replace(known, external_id=observed.external_id, outputs=observed.outputs)
            found[address] = known
            frontier.extend(targets_of(subject))
    return tuple(found[address] for address in sorted(found))
