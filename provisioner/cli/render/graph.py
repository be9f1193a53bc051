"""The dependency graph as text, DOT (Graphviz) and Mermaid."""

from __future__ import annotations

import json

from provisioner.cli.render.text import count, printable
from provisioner.core.address import Address
from provisioner.service.graph import Dependencies


def render_text(graph: Dependencies) -> list[str]:
    """By layers, in which everything of one layer can be made at the same time once those above it
    are there."""
    lines: list[str] = []
    for number, layer in enumerate(graph.layers, start=1):
        lines.append(f"layer {number}")
        for address in layer:
            needs = graph.needs[address]
            lines.append(f"  {address}")
            lines += [f"    needs {target}" for target in needs]
    edges = sum(len(needs) for needs in graph.needs.values())
    resources = count(len(graph.needs), "resource")
    references = count(edges, "dependency", "dependencies")
    lines += [f"{resources}, {references}, {count(len(graph.layers), 'layer')}"]
    return [printable(line) for line in lines]


def render_dot(graph: Dependencies) -> list[str]:
    """A digraph for Graphviz; an edge leads from a resource to what it needs."""
    lines = [f"digraph {_quoted(graph.stack.name)} {{", "  rankdir=LR;", "  node [shape=box];"]
    lines += [f"  {_quoted(str(address))};" for address in graph.needs]
    lines += [
        f"  {_quoted(str(address))} -> {_quoted(str(target))};"
        for address, needs in graph.needs.items()
        for target in needs
    ]
    return [*lines, "}"]


def render_mermaid(graph: Dependencies) -> list[str]:
    """A flowchart for Mermaid, as many Markdown viewers draw it."""
    names = {address: f"n{number}" for number, address in enumerate(graph.needs)}
    lines = ["flowchart LR"]
    lines += [f"  {name}[{_quoted(str(address))}]" for address, name in names.items()]
    lines += [
        f"  {names[address]} --> {names[target]}"
        for address, needs in graph.needs.items()
        for target in needs
    ]
    return lines


def graph_json(graph: Dependencies) -> dict[str, object]:
    """Plain data: every resource in an order of creation with what it needs, and the layers."""

    def texts(addresses: tuple[Address, ...]) -> list[str]:
        return [str(address) for address in addresses]

    return {
        "stack": graph.stack.name,
        "resources": [
            {
                "address": str(address),
                "host": graph.stack.declarations[address].host,
                "needs": texts(needs),
            }
            for address, needs in graph.needs.items()
        ],
        "layers": [texts(layer) for layer in graph.layers],
    }


def _quoted(text: str) -> str:
    """A quoted string, in DOT as in Mermaid; addresses hold no characters that the two treat
    differently."""
    return json.dumps(text)
