"""The dependency graph of a stack; the only module that imports networkx.

An edge leads from a resource to what it depends on. Called by the planner, by selection and by the
service layer's drawings.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Generic, TypeVar

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, SourceRange, error
from provisioner.core.values import path_text
from provisioner.manifest.model import Stack

if TYPE_CHECKING:
    import networkx as nx

MOST_RINGS = 20
"""Rings that are shown: each edge more can double their number."""
MOST_SHOWN = 20
"""Resources of a ring that are shown."""

Node = TypeVar("Node", bound=Hashable)


class DependencyGraph(Generic[Node]):
    """A directed graph over hashable, sortable nodes, built once and then read. It may have rings:
    ``cycles`` shows them, ``opened`` takes an edge out of each, ``order`` refuses them.

    What every plan needs, to see that there are no rings and to bring the nodes in order, comes
    from :mod:`graphlib`; networkx, whose import costs more than a small plan, answers the rest.
    """

    def __init__(
        self, dependencies: Mapping[Node, Iterable[Node]], *, opened: bool = False
    ) -> None:
        """``dependencies`` maps every node to what it depends on; targets that are no keys are left
        out. Where rings are ``opened``, an edge of each is left out, too.
        """
        self._targets: dict[Node, set[Node]] = {
            node: {target for target in targets if target in dependencies}
            for node, targets in dependencies.items()
        }
        self._sorter: TopologicalSorter[Node] | None = None
        """One that nobody has used yet."""
        if opened:
            self._open_rings()

    def __contains__(self, node: Node) -> bool:
        return node in self._targets

    def cycles(self, most: int = MOST_RINGS) -> list[list[Node]]:
        """The rings, each from its first node round to that node again, in the order of nodes; no
        more than ``most`` of them, for there can be more than anybody could count.
        """
        self._sorter = self._prepared()
        if self._sorter is not None:
            return []
        import networkx as nx  # noqa: PLC0415 - see the class

        place = {node: number for number, node in enumerate(self._targets)}
        rings = []
        for ring in islice(nx.simple_cycles(self._drawn()), most):
            first = ring.index(min(ring, key=place.__getitem__))
            rings.append([*ring[first:], *ring[: first + 1]])
        return sorted(rings, key=lambda ring: [place[node] for node in ring])

    def dependencies(self, node: Node) -> list[Node]:
        """What the node depends on directly, sorted."""
        return sorted(self._targets[node])  # type: ignore[type-var]  # nodes are sortable by contract

    def dependents(self, node: Node) -> list[Node]:
        """What depends on the node directly, sorted."""
        return sorted(self._dependents[node])  # type: ignore[type-var]  # as above

    def all_dependencies(self, nodes: Iterable[Node]) -> set[Node]:
        """Everything that the nodes depend on, however far, without the nodes themselves unless one
        needs another.
        """
        return _reach(nodes, self._targets)

    def all_dependents(self, nodes: Iterable[Node]) -> set[Node]:
        """Everything that depends on the nodes, however far."""
        return _reach(nodes, self._dependents)

    def order(self) -> list[Node]:
        """All nodes, each after everything it depends on; among equals in sorted order. Raises
        ValueError for a graph with rings.
        """
        sorter, self._sorter = self._sorter or self._prepared(), None
        if sorter is None:
            raise ValueError("there is no order in a graph with rings")
        ready: list[Node] = list(sorter.get_ready())
        heapify(ready)  # type: ignore[type-var]  # as above
        result = []
        while ready:
            node = heappop(ready)  # type: ignore[type-var]  # as above
            result.append(node)
            sorter.done(node)
            for follower in sorter.get_ready():
                heappush(ready, follower)  # type: ignore[type-var]  # as above
        return result

    def layers(self) -> list[list[Node]]:
        """Nodes by distance: a layer needs only the layers before it. Each layer is sorted."""
        import networkx as nx  # noqa: PLC0415 - see the class

        generations = nx.topological_generations(self._drawn().reverse(copy=False))
        return [sorted(layer) for layer in generations]  # type: ignore[type-var]  # as above

    @cached_property
    def _dependents(self) -> dict[Node, set[Node]]:
        found: dict[Node, set[Node]] = {node: set() for node in self._targets}
        for node, targets in self._targets.items():
            for target in targets:
                found[target].add(node)
        return found

    def _prepared(self) -> TopologicalSorter[Node] | None:
        """A sorter that has seen that there are no rings; None if there are."""
        sorter = TopologicalSorter(self._targets)
        try:
            sorter.prepare()
        except CycleError:
            return None
        return sorter

    def _open_rings(self) -> None:
        self._sorter = self._prepared()
        if self._sorter is not None:
            return
        import networkx as nx  # noqa: PLC0415 - see the class

        drawn = self._drawn()
        while not nx.is_directed_acyclic_graph(drawn):
            node, target = max(nx.find_cycle(drawn))
            drawn.remove_edge(node, target)
            self._targets[node].remove(target)

    def _drawn(self) -> nx.DiGraph[Node]:
        import networkx as nx  # noqa: PLC0415 - see the class

        drawn: nx.DiGraph[Node] = nx.DiGraph()
        drawn.add_nodes_from(self._targets)
        for node in self._targets:
            drawn.add_edges_from((node, target) for target in self.dependencies(node))
        return drawn


def _reach(nodes: Iterable[Node], edges: Mapping[Node, Iterable[Node]]) -> set[Node]:
    found: set[Node] = set()
    frontier = list(nodes)
    while frontier:
        for neighbour in edges[frontier.pop()]:
            if neighbour not in found:
                found.add(neighbour)
                frontier.append(neighbour)
    return found


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
