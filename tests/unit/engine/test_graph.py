"""The dependency graph: order, layers, reach and rings."""

from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import ProvisionerError, SourceRange
from provisioner.engine.graph import (
    MOST_RINGS,
    MOST_SHOWN,
    DependencyGraph,
    ResourceGraph,
)
from provisioner.engine.selection import Selection
from provisioner.manifest.model import Declaration, Reference, Stack

NET, POOL, DISK, WEB, DB = (
    Address("Network", "lan"),
    Address("StoragePool", "main"),
    Address("Disk", "web"),
    Address("VirtualMachine", "web"),
    Address("VirtualMachine", "db"),
)
EDGES = {NET: [], POOL: [], DISK: [POOL], WEB: [DISK, NET], DB: [NET]}


def test_order_has_dependencies_first_and_is_stable() -> None:
    assert [NET, POOL, DISK, DB, WEB] == sorted(
        DependencyGraph(EDGES).order(), key=[NET, POOL, DISK, DB, WEB].index
    )
    order = DependencyGraph(EDGES).order()
    assert order == DependencyGraph(dict(reversed(EDGES.items()))).order()
    assert all(
        order.index(need) < order.index(node) for node, needs in EDGES.items() for need in needs
    )


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40))
def test_rings_and_order_are_those_of_networkx(edges: list[tuple[int, int]]) -> None:
    dependencies: dict[int, set[int]] = {node: set() for edge in edges for node in edge}
    for node, target in edges:
        dependencies[node].add(target)
    drawn: nx.DiGraph[int] = nx.DiGraph((target, node) for node, target in edges)
    graph = DependencyGraph(dependencies)
    assert nx.is_directed_acyclic_graph(drawn) == (not graph.cycles(1))
    if not graph.cycles(1):
        assert list(nx.lexicographical_topological_sort(drawn)) == graph.order()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20))
def test_an_opened_graph_has_no_rings(edges: list[tuple[int, int]]) -> None:
    dependencies: dict[int, set[int]] = {node: set() for edge in edges for node in edge}
    for node, target in edges:
        dependencies[node].add(target)
    opened = DependencyGraph(dependencies, opened=True)
    assert sorted(dependencies) == sorted(opened.order())


def test_layers() -> None:
    assert [[NET, POOL], [DISK, DB], [WEB]] == DependencyGraph(EDGES).layers()


def test_targets_outside_the_graph_are_left_out() -> None:
    assert [] == DependencyGraph({WEB: [NET]}).dependencies(WEB)


@pytest.mark.parametrize(
    ("target", "exclude", "expected"),
    [
        ((), (), {NET, POOL, DISK, WEB, DB}),
        (("VirtualMachine/web",), (), {WEB, DISK, POOL, NET}),
        (("*/web",), ("Network",), {DISK, POOL}),
        ((), ("Disk/web",), {NET, POOL, DB}),
    ],
)
def test_selection(
    target: tuple[str, ...], exclude: tuple[str, ...], expected: set[Address]
) -> None:
    selection = Selection(
        tuple(map(AddressPattern.parse, target)), tuple(map(AddressPattern.parse, exclude))
    )
    assert expected == selection.addresses(DependencyGraph(EDGES), EDGES, frozenset())


def test_a_target_that_is_removed_takes_its_dependents_along() -> None:
    selection = Selection((AddressPattern("Network", "lan"),))
    removed = frozenset({NET, DB})
    assert {NET, DB} == selection.addresses(DependencyGraph(EDGES), EDGES, removed)


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    selection = Selection((AddressPattern("Disk", "x"),), (AddressPattern("Disk", "y"),))
    with pytest.raises(ProvisionerError) as caught:
        selection.addresses(DependencyGraph(EDGES), EDGES, frozenset())
    assert [
        "--target Disk/x matches no resource of the stack",
        "--exclude Disk/y matches no resource of the stack",
    ] == [item.summary for item in caught.value.diagnostics]


def declaration(name: str, line: int, *needs: str) -> Declaration:
    references = tuple(Reference(("disks", need), Address("Disk", need)) for need in needs)
    return Declaration(
        Address("Disk", name), {}, SourceRange("disks.yaml", line, 1), "host", references
    )


@pytest.mark.parametrize(
    ("edges", "rings"),
    [
        ("ab bc", []),
        ("ab ba", ["aba"]),
        ("ba ab", ["bab"]),
        ("ab ba cd dc", ["aba", "cdc"]),
        ("ab ba ac ca", ["aba", "aca"]),
        ("ab bc ca ba", ["aba", "abca"]),
        ("ab bc ca bd da", ["abca", "abda"]),
        ("aa ab", ["aa"]),
    ],
)
def test_every_ring_is_found_once(edges: str, rings: list[str]) -> None:
    dependencies: dict[str, list[str]] = {}
    for edge in edges.split():
        start, end = edge[0], edge[1]
        dependencies.setdefault(start, []).append(end)
        dependencies.setdefault(end, [])
    assert rings == ["".join(ring) for ring in DependencyGraph(dependencies).cycles()]


def test_no_more_rings_are_looked_for_than_anybody_reads() -> None:
    everything = {node: [other for other in range(30) if other != node] for node in range(30)}
    assert MOST_RINGS == len(DependencyGraph(everything).cycles())


def test_of_a_long_ring_both_ends_are_shown() -> None:
    declarations = [declaration(f"d{n}", n, f"d{(n + 1) % 50}") for n in range(50)]
    stack = Stack("s", Path(), None, {item.address: item for item in declarations}, {})
    (problem,) = ResourceGraph.rings(stack)
    assert "Disk/d9 -> ... 31 more ... -> Disk/d41" in problem.summary
    assert MOST_SHOWN + 1 == len(problem.detail.splitlines())


def test_a_ring_is_shown_with_addresses_fields_and_lines() -> None:
    declarations = [declaration("a", 1, "b"), declaration("b", 8, "c"), declaration("c", 15, "a")]
    stack = Stack("s", Path(), None, {item.address: item for item in declarations}, {})
    with pytest.raises(ProvisionerError) as caught:
        ResourceGraph.of(stack)
    (problem,) = caught.value.diagnostics
    assert "PRV2001" == problem.code
    assert (
        "resources depend on each other in a ring: Disk/a -> Disk/b -> Disk/c -> Disk/a"
        == problem.summary
    )
    assert (
        "Disk/a needs Disk/b (spec.disks.b) at disks.yaml:1:1\n"
        "Disk/b needs Disk/c (spec.disks.c) at disks.yaml:8:1\n"
        "Disk/c needs Disk/a (spec.disks.a) at disks.yaml:15:1"
    ) == problem.detail
