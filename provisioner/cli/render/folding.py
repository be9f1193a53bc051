"""A dependency graph as it can be drawn: beyond a certain number, resources that are alike are
folded into one node. Called by the drawings (SVG, DOT, Mermaid)."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from provisioner.cli.render.review import impact_text, sign, waiting_text
from provisioner.cli.render.text import listed, natural
from provisioner.core.address import Address
from provisioner.service.graph import Dependencies

MOST_NODES = 60
"""As many as can be read in one drawing."""

_BANDS = 12
"""Layers that are left when even the layers are too many."""

Classes: TypeAlias = Mapping[Address, Hashable]


class Mark(NamedTuple):
    """What happens to a resource: a role that gives the colour, a sign, and both in words."""

    role: str
    sign: str
    text: str
    refused: bool = False


class Node(NamedTuple):
    """One or several resources; ``layer`` counts from 0, made first."""

    members: tuple[Address, ...]
    layer: int
    mark: Mark
    is_about: bool = False

    @property
    def kind(self) -> str:
        """The kind of all of them."""
        return self.members[0].kind

    @property
    def label(self) -> str:
        """A name, or the first and the last, and how many."""
        if len(self.members) == 1:
            return self.members[0].name
        return f"{self.members[0].name} .. {self.members[-1].name} ({len(self.members):,})"

    @property
    def title(self) -> str:
        """Everything about it in words."""
        names = listed([str(member) for member in self.members], 20)
        return f"{names}: {self.mark.text}" if self.mark.text else names


class Drawing(NamedTuple):
    """Nodes by layer, and edges from a node to one that it needs, as positions in ``nodes``."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]
    resources: int

    @property
    def is_folded(self) -> bool:
        """Whether a node stands for several resources."""
        return len(self.nodes) < self.resources


def drawing(graph: Dependencies, most: int | None = MOST_NODES) -> Drawing:
    """The graph in at most ``most`` nodes; None: with a node for each resource.

    Alike are, in this order as far as is needed: resources of one layer and kind to which the same
    happens, whose names differ in digits only, and that need, and are needed by, what is alike;
    the same with any names; the same whatever they need; and so on over several layers.
    """
    classes: Classes = {address: address for address in graph.needs}
    if most is not None and len(classes) > most:
        marks = {address: mark_of(graph, address) for address in graph.needs}
        for attempt in (_alike_in_name, _alike_in_place, _of_a_layer, _of_a_band):
            classes = attempt(graph, marks, most)
            if len(set(classes.values())) <= most:
                break
    return _drawn(graph, classes)


def mark_of(graph: Dependencies, address: Address) -> Mark:
    """What the graph's plan does to a resource."""
    step = graph.steps.get(address)
    if step is None:
        if address in graph.undetermined:
            return Mark("undetermined", "?", "not determined")
        return Mark("unchanged", "", "" if graph.plan_id is None else "unchanged")
    if step.held is not None:
        return Mark("held", "=", f"{step.action.value}, held back")
    refused = address in graph.refused
    told = [step.action.value, impact_text(step), waiting_text(step)]
    words = dict.fromkeys([*told, "REFUSED" if refused else ""])
    return Mark(step.action.value, sign(step), ", ".join(filter(None, words)), refused)


def _drawn(graph: Dependencies, classes: Classes) -> Drawing:
    members: dict[Hashable, list[Address]] = {}
    layers: dict[Hashable, int] = {}
    for number, layer in enumerate(graph.layers):
        for address in layer:
            members.setdefault(classes[address], []).append(address)
            layers.setdefault(classes[address], number)
    nodes = {
        name: Node(
            tuple(sorted(found, key=lambda address: natural(address.name))),
            layers[name],
            mark_of(graph, found[0]),
            found[0] == graph.about,
        )
        for name, found in members.items()
    }
    places = {
        name: place
        for place, name in enumerate(
            sorted(nodes, key=lambda name: (nodes[name].layer, _first(nodes[name])))
        )
    }
    edges = {
        (places[classes[address]], places[classes[target]])
        for address, needs in graph.needs.items()
        for target in needs
        if classes[address] != classes[target]
    }
    return Drawing(tuple(nodes[name] for name in places), tuple(sorted(edges)), len(graph.needs))


def _first(node: Node) -> tuple[object, ...]:
    return (node.kind, natural(node.members[0].name))


def _alike_in_name(graph: Dependencies, marks: Mapping[Address, Mark], most: int) -> Classes:
    def key(address: Address) -> Hashable:
        return (address.kind, re.sub(r"\d+", "0", address.name))

    return _refined(graph, dict(_basic(graph, marks, key)), most)


def _alike_in_place(graph: Dependencies, marks: Mapping[Address, Mark], most: int) -> Classes:
    return _refined(graph, dict(_basic(graph, marks, lambda address: address.kind)), most)


def _of_a_layer(graph: Dependencies, marks: Mapping[Address, Mark], most: int) -> Classes:  # noqa: ARG001 - as the others
    return dict(_basic(graph, marks, lambda address: address.kind))


def _of_a_band(graph: Dependencies, marks: Mapping[Address, Mark], most: int) -> Classes:  # noqa: ARG001 - as the others
    layers = len(graph.layers)
    return {
        address: (
            number * _BANDS // layers,
            address.kind,
            marks[address].role,
            *_apart(graph, address),
        )
        for number, layer in enumerate(graph.layers)
        for address in layer
    }


def _basic(
    graph: Dependencies, marks: Mapping[Address, Mark], key: Callable[[Address], Hashable]
) -> Iterator[tuple[Address, Hashable]]:
    for number, layer in enumerate(graph.layers):
        for address in layer:
            yield address, (number, key(address), marks[address], *_apart(graph, address))


def _apart(graph: Dependencies, address: Address) -> tuple[Hashable, ...]:
    """What keeps it apart from others in a drawing of what depends on one resource."""
    return (address == graph.about, graph.distances.get(address))


def _refined(graph: Dependencies, classes: Classes, most: int) -> Classes:
    """The classes divided until all of a class need, and are needed by, the same classes; given up
    where they are more than ``most``.
    """
    dependents: dict[Address, list[Address]] = {address: [] for address in graph.needs}
    for address, needs in graph.needs.items():
        for target in needs:
            dependents[target].append(address)
    number = len(set(classes.values()))
    while number <= most:
        finer = _numbered(
            {
                address: (
                    classes[address],
                    frozenset(classes[target] for target in graph.needs[address]),
                    frozenset(classes[other] for other in dependents[address]),
                )
                for address in classes
            }
        )
        before, number, classes = number, len(set(finer.values())), finer
        if number == before:
            break
    return classes


def _numbered(classes: Classes) -> Classes:
    """The same classes with numbers for names, so that they do not grow from turn to turn."""
    numbers: dict[Hashable, int] = {}
    return {address: numbers.setdefault(name, len(numbers)) for address, name in classes.items()}
