"""The dependency graph of a stack; the only module that imports networkx.

An edge leads from a resource to what it depends on. Called by the planner, by selection and by the
service layer's drawings.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import islice, pairwise
from typing import Generic, TypeVar

import networkx as nx

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, SourceRange, error
from provisioner.core.values import path_text
from provisioner.manifest.model import Stack

MOST_RINGS = 20
"""Rings that are shown: each edge more can double their number."""
MOST_SHOWN = 20
"""Resources of a ring that are shown."""

Node = TypeVar("Node", bound=Hashable)


class DependencyGraph(Generic[Node]):
    """A directed acyclic graph over hashable, sortable nodes, built once and then read."""

    def __init__(
        self, dependencies: Mapping[Node, Iterable[Node]], *, opened: bool = False
    ) -> None:
        """``dependencies`` maps every node to what it depends on; targets that are no keys are left
        out. Where rings are ``opened``, an edge of each is left out, too.
        """
        self._graph: nx.DiGraph[Node] = nx.DiGraph()
        self._graph.add_nodes_from(dependencies)
        self._graph.add_edges_from(
            (node, target)
            for node, targets in dependencies.items()
            for target in targets
            if target in dependencies
        )
        while opened and not nx.is_directed_acyclic_graph(self._graph):
            self._graph.remove_edge(*max(nx.find_cycle(self._graph)))

    def __contains__(self, node: Node) -> bool:
        return node in self._graph

    def cycles(self, most: int = MOST_RINGS) -> list[list[Node]]:
        """The rings, each from its first node round to that node again, in the order of nodes; no
        more than ``most`` of them, for there can be more than anybody could count.
        """
        # Most graphs have none, and to see that is ten times cheaper than to search for one.
        if nx.is_directed_acyclic_graph(self._graph):
            return []
        place = {node: number for number, node in enumerate(self._graph)}
        rings = []
        for ring in islice(nx.simple_cycles(self._graph), most):
            first = ring.index(min(ring, key=place.__getitem__))
            rings.append([*ring[first:], *ring[: first + 1]])
        return sorted(rings, key=lambda ring: [place[node] for node in ring])

    def dependencies(self, node: Node) -> list[Node]:
        """What the node depends on directly, sorted."""
        return sorted(self._graph.successors(node))  # type: ignore[type-var]  # nodes are sortable by contract

    def dependents(self, node: Node) -> list[Node]:
        """What depends on the node directly, sorted."""
        return sorted(self._graph.predecessors(node))  # type: ignore[type-var]  # as above

    def all_dependencies(self, nodes: Iterable[Node]) -> set[Node]:
        """Everything that the nodes depend on, however far, without the nodes themselves unless one
        needs another.
        """
        return self._reach(nodes, self._graph.successors)

    def all_dependents(self, nodes: Iterable[Node]) -> set[Node]:
        """Everything that depends on the nodes, however far."""
        return self._reach(nodes, self._graph.predecessors)

    def _reach(self, nodes: Iterable[Node], neighbours: object) -> set[Node]:
        found: set[Node] = set()
        frontier = list(nodes)
        while frontier:
            for neighbour in neighbours(frontier.pop()):  # type: ignore[operator]  # a bound method of the graph
                if neighbour not in found:
                    found.add(neighbour)
                    frontier.append(neighbour)
        return found

    def order(self) -> list[Node]:
        """All nodes, each after everything it depends on; among equals in sorted order."""
        return list(nx.lexicographical_topological_sort(self._graph.reverse(copy=False)))

    def layers(self) -> list[list[Node]]:
        """Nodes by distance: a layer needs only the layers before it. Each layer is sorted."""
        generations = nx.topological_generations(self._graph.reverse(copy=False))
        return [sorted(layer) for layer in generations]  # type: ignore[type-var]  # as above


class ResourceGraph(DependencyGraph[Address]):
    """The graph of a stack's declarations."""

    @classmethod
    def of(cls, stack: Stack) -> ResourceGraph:
        """Build it from the references; raises ProvisionerError (PRV2001) that shows the rings if
        there are any.
        """
        rings = cls.rings(stack)
        if rings:
            raise ProvisionerError(rings)
        return cls._of(stack)

    @classmethod
    def rings(cls, stack: Stack) -> list[Diagnostic]:
        """An error for each ring of references (PRV2001)."""
        return [_cycle_error(stack, ring) for ring in cls._of(stack).cycles()]

    @classmethod
    def _of(cls, stack: Stack) -> ResourceGraph:
        return cls(
            {
                address: {reference.target for reference in declaration.references}
                for address, declaration in stack.declarations.items()
            }
        )


def _cycle_error(stack: Stack, ring: list[Address]) -> Diagnostic:
    lines: list[str] = []
    places: list[SourceRange] = []
    for address, target in pairwise(ring):
        declaration = stack.declarations[address]
        path = next(
            reference.path for reference in declaration.references if reference.target == target
        )
        place = stack.locate(address, path) or declaration.source
        lines.append(f"{address} needs {target} ({path_text(('spec', *path))}) at {place}")
        places.append(place)
    names = [str(address) for address in ring]
    return error(
        "PRV2001",
        "resources depend on each other in a ring: " + " -> ".join(_few(names)),
        detail="\n".join(_few(lines)),
        hint="Remove one of these references; no order of creation can satisfy all of them.",
        source=places[0],
        related=tuple(places[1:MOST_SHOWN]),
    )


def _few(texts: list[str]) -> list[str]:
    """The beginning and the end of what is too long to be read."""
    if len(texts) <= MOST_SHOWN:
        return texts
    half = MOST_SHOWN // 2
    return [*texts[:half], f"... {len(texts) - 2 * half:,} more ...", *texts[-half:]]
