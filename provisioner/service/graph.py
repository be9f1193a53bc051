"""Which resource depends on which, and what a plan does to each, for drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from provisioner.core.address import Address, near
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.engine.graph import DependencyGraph, ResourceGraph
from provisioner.service.model import EventSink, Plan, Stack, Step
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.workspace import Workspace

HOST = "Host"
"""The kind of hosts, which are no resources: nothing is done to them."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Resources in an order of creation, what each needs directly, and the layers they form.

    With a plan also its steps by address (held ones say so themselves), which of them the gate
    refuses, what could not be observed, and how many resources are not there because the plan file
    does not name what it leaves as it is. With ``about`` only that resource and what depends on it,
    however far: ``distances`` says over how many others. It may be a host: everything on it is then
    at a distance of 1, and what needs nothing else there is drawn as needing the host.
    """

    stack: str
    environment: str | None
    hosts: Mapping[Address, str | None]
    """Which host each resource lives on."""
    endpoints: frozenset[str]
    """All hosts, also such as nothing lives on."""
    needs: Mapping[Address, tuple[Address, ...]]
    layers: tuple[tuple[Address, ...], ...]
    plan_id: str | None = None
    steps: Mapping[Address, Step] = field(default_factory=dict)
    refused: frozenset[Address] = frozenset()
    undetermined: frozenset[Address] = frozenset()
    unseen: int = 0
    about: Address | None = None
    distances: Mapping[Address, int] = field(default_factory=dict)


def dependencies(workspace: Workspace) -> Dependencies:
    """Read the manifests only; raises ProvisionerError that shows the ring if there is a cycle."""
    return _declared(workspace.load())


def dependencies_planned(workspace: Workspace, sink: EventSink) -> Dependencies:
    """The whole stack with what apply would do to it now; asks the endpoints. Raises
    ProvisionerError with every problem found.
    """
    planned = dependencies_of_plan(make_plan(workspace, PlanChoices(), sink))
    declared = _declared(workspace.load())
    gone = {a: needs for a, needs in planned.needs.items() if a not in declared.needs}
    needs = {**declared.needs, **gone}
    order, layers = _ordered(needs)
    return replace(
        planned,
        hosts={**planned.hosts, **declared.hosts},
        endpoints=planned.endpoints | declared.endpoints,
        needs=order,
        layers=layers,
        unseen=0,
    )


def dependencies_of_plan(plan: Plan) -> Dependencies:
    """What a plan is about and what that stands on; nobody is asked."""
    steps = {
        step.address: step for step in (*plan.held, *plan.steps) if not step.removes_predecessor
    }
    known = [*plan.refresh, *plan.observed, *plan.context, *(step.known for step in steps.values())]
    found = {item.address: set(item.dependencies) for item in known}
    unclear = frozenset(
        Address.of(problem.address) for problem in plan.undetermined if problem.address is not None
    )
    needs, layers = _ordered({**{address: set() for address in unclear}, **found})
    unseen = plan.unchanged - len(needs.keys() - steps.keys() - unclear)
    return Dependencies(
        plan.stack,
        plan.environment,
        {item.address: item.endpoint for item in known},
        frozenset([*plan.endpoints, *(item.endpoint for item in known)]),
        needs,
        layers,
        plan.short_id,
        steps,
        frozenset(step.address for step in plan.refused),
        unclear,
        max(0, unseen),
    )


def impact_of(graph: Dependencies, address: Address) -> Dependencies:
    """The resource, or the host, and everything that depends on it, however far; raises
    ProvisionerError (PRV6007) if it is not in the graph.
    """
    distances = {address: 0}
    if address.kind == HOST and address.name in graph.endpoints:
        living = {item for item, host in graph.hosts.items() if host == address.name}
        living &= graph.needs.keys()
        distances |= dict.fromkeys(sorted(living), 1)
        graph = _with_host(graph, address, living)
    elif address not in graph.needs:
        hosts = [Address(HOST, name) for name in graph.endpoints]
        meant = near(address.kind, address.name, [*graph.needs, *hosts])
        where = "declared" if graph.plan_id is None else f"in plan {graph.plan_id}"
        raise ProvisionerError(
            error(
                "PRV6007",
                f"{address} is not {where}",
                hint=f"Did you mean {meant[0]}?"
                if meant
                else "'provisioner graph' shows what there is.",
            )
        )
    dependents: dict[Address, list[Address]] = {known: [] for known in graph.needs}
    for known, needs in graph.needs.items():
        for target in needs:
            dependents[target].append(known)
    frontier = list(distances)
    while frontier:
        following = {item for known in frontier for item in dependents[known]}
        distance = distances[frontier[-1]] + 1
        frontier = sorted(following - distances.keys())
        distances |= dict.fromkeys(frontier, distance)
    kept = distances.keys()
    layers = [tuple(item for item in layer if item in kept) for layer in graph.layers]
    return replace(
        graph,
        needs={
            known: tuple(target for target in needs if target in kept)
            for known, needs in graph.needs.items()
            if known in kept
        },
        layers=tuple(layer for layer in layers if layer),
        about=address,
        distances=distances,
    )


def _with_host(graph: Dependencies, host: Address, living: AbstractSet[Address]) -> Dependencies:
    """The graph with a node for a host, before everything that lives on it."""
    needs = {
        known: (host, *targets) if known in living and not living & {*targets} else targets
        for known, targets in graph.needs.items()
    }
    order, layers = _ordered({host: (), **needs})
    return replace(graph, needs=order, layers=layers)


def _declared(stack: Stack) -> Dependencies:
    graph = ResourceGraph.of(stack)
    return Dependencies(
        stack.name,
        stack.environment,
        {address: item.host for address, item in stack.declarations.items()},
        frozenset(stack.hosts),
        {address: tuple(graph.dependencies(address)) for address in graph.order()},
        tuple(tuple(layer) for layer in graph.layers()),
    )


def _ordered(
    needs: Mapping[Address, Iterable[Address]],
) -> tuple[dict[Address, tuple[Address, ...]], tuple[tuple[Address, ...], ...]]:
    # What was recorded at different times may form rings.
    graph = DependencyGraph(
        {address: set(needs[address]) for address in sorted(needs)}, opened=True
    )
    return (
        {address: tuple(graph.dependencies(address)) for address in graph.order()},
        tuple(tuple(layer) for layer in graph.layers()),
    )
