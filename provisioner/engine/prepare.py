"""From a stack and its state to a plan: collects subjects, normalises, observes, and calls the
planner.

Called by the service layer. This is where the pure planner meets the endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, Diagnostics, ProvisionerError
from provisioner.core.values import Path
from provisioner.engine.beside import LedAway, running_beside
from provisioner.engine.decide import owned
from provisioner.engine.elsewhere import (
    check_trusted,
    look_elsewhere,
    trusted_hosts,
)
from provisioner.engine.events import EventSink, PhaseStarted
from provisioner.engine.graph import DependencyGraph, ResourceGraph
from provisioner.engine.observe import Observe, observe, observe_but_for
from provisioner.engine.plan import Plan, begun_in
from provisioner.engine.planner import make_plan
from provisioner.engine.preflight import look_ahead
from provisioner.engine.protected import counterparts, with_disks
from provisioner.engine.request import Moved, PlanOptions, PlanRequest
from provisioner.engine.rules import Rules
from provisioner.engine.sessions import Sessions
from provisioner.engine.subjects import (
    Subject,
    collect,
    endpoint_value,
    endpoints_of,
    under_former_names,
    with_others,
)
from provisioner.engine.succession import movers
from provisioner.manifest.model import Stack
from provisioner.providers.api import (
    EndpointRules,
    Observation,
    Present,
    Provider,
    Resource,
    Session,
)
from provisioner.providers.capabilities import USAGE, Usage, User
from provisioner.providers.registry import Registry
from provisioner.state.model import EndpointRecord, State


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything known about the selected resources: where plan and drift start from."""

    subjects: Mapping[Address, Subject]
    observations: Mapping[Address, Observation]
    endpoints: Mapping[str, EndpointRecord]
    providers: Mapping[str, Provider]
    unselected: Mapping[Address, Subject]


def survey(
    stack: Stack | None,
    state: State,
    sessions: Sessions,
    *,
    rules: Rules,
    options: PlanOptions,
    sink: EventSink,
    known: Iterable[Diagnostic] = (),
    observe: Observe = observe,
) -> Survey:
    """Collect, normalise and observe the selected resources; raises ProvisionerError with all
    problems found, and those that are ``known`` already. ``observe`` decides what comes of an
    endpoint that cannot be read.
    """
    found = Diagnostics([*known, *(ResourceGraph.rings(stack) if stack is not None else ())])
    endpoints = endpoints_of(stack, state)
    everything = collect(stack, state, rules, destroy=options.destroy)
    try:
        removing = stack is not None or options.destroy
        selected = select(everything, options, removing=removing)
        subjects = {
            address: subject for address, subject in everything.items() if address in selected
        }
        providers = _providers(sessions.registry, endpoints, subjects)
        found.extend(_about_hosts(stack, sessions.registry))
    except ProvisionerError as problem:
        raise ProvisionerError(_in_order([*found, *problem.diagnostics], stack)) from problem
    subjects = _normalised(
        subjects, everything, endpoints, providers, stack=stack, rules=rules, problems=found
    )
    if found.errors:
        raise ProvisionerError(_in_order(found, stack))
    sink(PhaseStarted("observe", len(subjects)))
    try:
        observations = observe(sessions, endpoints, subjects.values())
        former = under_former_names(state, subjects, everything, observations)
        answers = observe(sessions, endpoints, former.values())
    except ProvisionerError as problem:
        raise ProvisionerError(
            [_at_its_host(item, stack) for item in problem.diagnostics]
        ) from problem
    for address, answer in answers.items():
        if isinstance(answer, Present) and owned(former[address], answer):
            observations[address] = answer
        else:
            del former[address]
    subjects = with_others(subjects, former) if former else subjects
    unselected = {address: s for address, s in everything.items() if address not in selected}
    return Survey(subjects, observations, endpoints, providers, unselected)


def check_stack(stack: Stack, registry: Registry, rules: Rules) -> list[Diagnostic]:
    """Everything that can be found wrong with a stack without asking an endpoint: rings of
    references, and fields that a provider cannot carry.
    """
    found = Diagnostics(ResourceGraph.rings(stack))
    nothing = State(lineage=UUID(int=0), serial=0, entries={})
    endpoints = endpoints_of(stack, nothing)
    subjects = collect(stack, nothing, rules)
    providers = _providers(registry, endpoints, subjects)
    found.extend(_about_hosts(stack, registry))
    _normalised(subjects, subjects, endpoints, providers, stack=stack, rules=rules, problems=found)
    return list(found)


def _in_order(found: Iterable[Diagnostic], stack: Stack | None) -> list[Diagnostic]:
    return list(found) if stack is None else stack.in_order(found)


def _at_its_host(problem: Diagnostic, stack: Stack | None) -> Diagnostic:
    """A problem with an endpoint at the place of its manifest, where the stack has one."""
    if stack is None or problem.address is None:
        return problem
    address = Address.of(problem.address)
    host = stack.hosts.get(address.name)
    if address.kind != "Host" or host is None:
        return problem
    place = stack.locate(address, problem.path) if problem.path else None
    return problem.at(place or stack.locate(address, ("connection",)) or host.source)


def prepare_plan(
    stack: Stack | None,
    name: str,
    environment: str | None,
    state: State,
    sessions: Sessions,
    *,
    rules: Rules,
    options: PlanOptions,
    sink: EventSink,
    known: Iterable[Diagnostic] = (),
    away: Mapping[Address, str] | None = None,
    led_away: Mapping[Address, LedAway] | None = None,
) -> Plan:
    """The plan for a stack as its endpoints are now; raises ProvisionerError with every problem
    found, and those that are ``known`` already. Steps about what is ``away`` at another site, as
    the caller knows, are held for that reason; so are those that would start or make what turns
    out to be. What was ``led_away`` and runs here all the same is warned of.
    """
    check_trusted(stack, options.trusted_sites)
    found = survey(
        stack,
        state,
        sessions,
        rules=rules,
        options=options,
        sink=sink,
        known=known,
        observe=observe_but_for(trusted_hosts(stack, options.trusted_sites)),
    )
    users = _users_of_predecessors(found, sessions)
    sink(PhaseStarted("plan", len(found.subjects)))
    request = PlanRequest(
        name=name,
        environment=environment,
        stack=stack,
        state=state,
        subjects=found.subjects,
        observations=found.observations,
        endpoints=found.endpoints,
        providers=found.providers,
        rules=rules,
        options=options,
        unselected=found.unselected,
        users=users,
        away=away or {},
        warnings=tuple(
            running_beside(
                stack,
                found.subjects,
                found.observations,
                found.endpoints,
                sessions,
                led_away=led_away or {},
            )
        ),
    )
    plan = make_plan(request)
    again = movers(request, plan)
    if again:
        answers = observe(sessions, found.endpoints, [subject for subject, _ in again.values()])
        moved = {
            address: Moved(subject, answers[address], replaced)
            for address, (subject, replaced) in again.items()
        }
        request = replace(request, moved=moved)
        plan = make_plan(request)
    plan = _without_what_is_away(request, plan, sessions, sink)
    look_ahead(plan, sessions, begun_in(state.open_intents), thorough=False, stack=stack)
    return plan


def _without_what_is_away(
    request: PlanRequest, plan: Plan, sessions: Sessions, sink: EventSink
) -> Plan:
    """The plan with held steps for protected machines that are at their other site, or may be."""
    looked_at = counterparts(request, plan)
    if not looked_at:
        return plan
    sink(PhaseStarted("elsewhere", len({item.address for item in looked_at})))
    away = look_elsewhere(plan, looked_at, request.endpoints, sessions)
    away = {**with_disks(request, away), **request.away}
    return make_plan(replace(request, away=away, counterparts=looked_at))


def _users_of_predecessors(found: Survey, sessions: Sessions) -> dict[Address, Sequence[User]]:
    """Who needs what earlier replacements have left, where the provider can tell."""
    asked: dict[str, list[Subject]] = {}
    for address, subject in found.subjects.items():
        observed = found.observations[address]
        if subject.retired and isinstance(observed, Present) and owned(subject, observed):
            asked.setdefault(subject.endpoint, []).append(subject)
    users: dict[Address, Sequence[User]] = {}
    for name, subjects in sorted(asked.items()):
        record = found.endpoints[name]
        if USAGE not in found.providers[record.provider].describe().capabilities:
            continue
        question = partial(_users, [subject.resource for subject in subjects])
        users |= sessions.ask(record, question, doing=f"reading {name}")
    return users


def _users(resources: Sequence[Resource], session: Session) -> Mapping[Address, Sequence[User]]:
    assert isinstance(session, Usage)
    return session.users(resources)


def select(
    everything: Mapping[Address, Subject], options: PlanOptions, *, removing: bool = True
) -> frozenset[Address]:
    """The addresses that an operation with these options is about; raises ProvisionerError
    (PRV2002) for a pattern that matches nothing. ``removing``: what is not declared is to go.
    """
    selection = options.selection
    if not selection.target and not selection.exclude:
        return frozenset(everything)
    graph = needs_of(everything)
    removed = frozenset(
        address
        for address, subject in everything.items()
        if removing and subject.declaration is None
    )
    return selection.addresses(graph, everything, removed)


def needs_of(everything: Mapping[Address, Subject]) -> DependencyGraph[Address]:
    """What needs what, as declared or as recorded."""
    return DependencyGraph(
        {
            address: {*subject.dependencies, *subject.recorded_dependencies}
            for address, subject in everything.items()
        }
    )


def _providers(
    registry: Registry, endpoints: Mapping[str, EndpointRecord], subjects: Mapping[Address, Subject]
) -> dict[str, Provider]:
    names = {
        endpoints[subject.endpoint].provider
        for subject in subjects.values()
        if subject.endpoint in endpoints
    }
    return {name: registry.get(name) for name in sorted(names)}


def _about_hosts(stack: Stack | None, registry: Registry) -> Iterator[Diagnostic]:
    """What can be found wrong with the stack's connections without connecting."""
    if stack is None:
        return
    for name, host in stack.hosts.items():
        provider = registry.get(host.provider)
        if not isinstance(provider, EndpointRules):
            continue
        address = Address("Host", name)
        for found in provider.check_endpoint(
            endpoint_value(EndpointRecord(name, host.provider, host.spec))
        ):
            yield found.about(address).at(stack.locate(address, found.path) or host.source)


def _normalised(
    subjects: Mapping[Address, Subject],
    everything: Mapping[Address, Subject],
    endpoints: Mapping[str, EndpointRecord],
    providers: Mapping[str, Provider],
    *,
    stack: Stack | None,
    rules: Rules,
    problems: Diagnostics,
) -> dict[Address, Subject]:
    """The subjects with their specs in the provider's canonical form; the shared ``related``
    mappings follow. What a provider refuses is added to ``problems``.
    """
    related: dict[str, dict[Address, Resource]] = {}
    for subject in everything.values():
        related.setdefault(subject.endpoint, {})[subject.address] = subject.resource
    result: dict[Address, Subject] = {}
    for address, subject in subjects.items():
        spec = subject.resource.spec
        if subject.declaration is not None:
            spec = _without(spec, rules.kind(address.kind).host_field)
        resource = replace(subject.resource, spec=spec, related=related[subject.endpoint])
        if subject.declaration is not None and subject.endpoint in endpoints:
            provider = providers[endpoints[subject.endpoint].provider]
            try:
                normal = provider.normalise(resource)
                resource = resource if normal is spec else replace(resource, spec=normal)
            except ProvisionerError as problem:
                problems.extend(
                    item if stack is None else stack.placed(item, subject.declaration)
                    for item in problem.diagnostics
                )
        related[subject.endpoint][address] = resource
        result[address] = replace(subject, resource=resource)
    return result


def _without(spec: Mapping[str, Any], path: Path | None) -> Mapping[str, Any]:
    """``spec`` without the field at ``path``, and without the section that holds nothing else."""
    if path is None or path[0] not in spec:
        return spec
    rest = dict(spec)
    inner = rest.pop(path[0])
    if len(path) > 1 and isinstance(inner, Mapping):
        remaining = _without(inner, path[1:])
        if remaining:
            rest[path[0]] = remaining
    return rest
