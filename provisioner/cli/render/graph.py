"""The dependency graph as text, DOT (Graphviz), Mermaid and JSON."""

from __future__ import annotations

from provisioner.cli.render.folding import MOST_NODES, Node, drawing, mark_of
from provisioner.cli.render.text import count, printable
from provisioner.core.address import Address
from provisioner.service.graph import HOST, Dependencies

_COLOURS = {
    "create": ("#dff4ec", "#00664b"),
    "update": ("#fff1cf", "#8a5a00"),
    "replace": ("#ffe6d9", "#b34300"),
    "delete": ("#fbe2ee", "#9c2a63"),
    "adopt": ("#dfeefa", "#005a8f"),
    "forget": ("#dfeefa", "#005a8f"),
    "rename": ("#dfeefa", "#005a8f"),
}
"""Fill and line by role; everything else is grey. The same as in graph.css."""
_CALM = ("#f6f8fa", "#6e7781")
_LINES = {"delete": "dashed", "held": "dotted", "undetermined": "dotted"}
_DASHES = {"dashed": ",stroke-dasharray:9 4", "dotted": ",stroke-dasharray:2 3"}


def render_text(graph: Dependencies) -> list[str]:
    """By layers, in which everything of one layer can be made at the same time once those above it
    are there; what depends on one resource by how far it is from it.
    """
    if graph.about is not None:
        return [printable(line) for line in _dependents(graph, graph.about)]
    lines: list[str] = []
    for number, layer in enumerate(graph.layers, start=1):
        lines.append(f"layer {number}")
        for address in layer:
            lines.append(f"  {_named(graph, address)}")
            margin = "    " if graph.plan_id is None else " " * 8
            lines += [f"{margin}needs {target}" for target in graph.needs[address]]
    edges = sum(len(needs) for needs in graph.needs.values())
    resources = count(len(graph.needs), "resource")
    references = count(edges, "dependency", "dependencies")
    lines += [f"{resources}, {references}, {count(len(graph.layers), 'layer')}"]
    if graph.unseen:
        lines.append(f"{count(graph.unseen, 'unchanged resource')} not shown")
    return [printable(line) for line in lines]


def _dependents(graph: Dependencies, about: Address) -> list[str]:
    host = about.kind == HOST
    lines = [_named(graph, about)]
    by_distance: dict[int, list[Address]] = {}
    for address, distance in graph.distances.items():
        by_distance.setdefault(distance, []).append(address)
    for distance in sorted(by_distance.keys() - {0}):
        lines.append(_relation(distance, host=host))
        lines += [f"  {_named(graph, address)}" for address in sorted(by_distance[distance])]
    number = len(graph.distances) - 1
    if not number:
        return [*lines, "nothing lives on it" if host else "nothing depends on it"]
    verb = "depends" if number == 1 else "depend"
    lines.append(f"{count(number, 'resource')} {verb} on it")
    if graph.unseen:
        lines.append(f"{count(graph.unseen, 'unchanged resource')} not shown")
    return lines


def _relation(distance: int, *, host: bool) -> str:
    if host and distance == 1:
        return "living on it"
    over = distance - host
    return "needed directly by" if over == 1 else f"needed over {over} references by"


def _named(graph: Dependencies, address: Address) -> str:
    if graph.plan_id is None:
        return str(address)
    mark = mark_of(graph, address)
    return f"{mark.sign:>3} {address}" + (f"  [{mark.text}]" if mark.sign else "")


def render_dot(graph: Dependencies, most: int | None = None) -> list[str]:
    """A digraph for Graphviz; an edge leads from a resource to what it needs. Complete unless
    ``most`` is given.
    """
    drawn = drawing(graph, most)
    lines = [f"digraph {_dot(graph.stack)} {{", "  rankdir=LR;", "  node [shape=box];"]
    names = [_dot(_label(node)) for node in drawn.nodes]
    for node, name in zip(drawn.nodes, names, strict=True):
        lines.append(f"  {name}{_dot_style(node) if graph.plan_id is not None else ''};")
    lines += [f"  {names[source]} -> {names[target]};" for source, target in drawn.edges]
    return [*lines, "}"]


def _dot_style(node: Node) -> str:
    fill, line = _COLOURS.get(node.mark.role, _CALM)
    style = ",".join(filter(None, ["filled", _LINES.get(node.mark.role)]))
    label = f"{node.mark.sign} {_label(node)}".strip()
    width = ", penwidth=3" if _is_thick(node) else ""
    return (
        f" [label={_dot(label)}, tooltip={_dot(node.mark.text)}, style={_dot(style)},"
        f' fillcolor="{fill}", color="{line}"{width}]'
    )


def _is_thick(node: Node) -> bool:
    return node.mark.refused or node.is_about


def render_mermaid(graph: Dependencies, most: int | None = MOST_NODES) -> list[str]:
    """A flowchart for Mermaid, as many Markdown viewers draw it; they refuse very large ones, so
    alike resources are folded.
    """
    drawn = drawing(graph, most)
    planned = graph.plan_id is not None
    lines = ["flowchart LR"]
    for number, node in enumerate(drawn.nodes):
        label = f"{node.mark.sign} {_label(node)}".strip() if planned else _label(node)
        suffix = f":::{node.mark.role}" if planned else ""
        label += " REFUSED" if node.mark.refused else ""
        lines.append(f"  n{number}[{_mermaid(label)}]{suffix}")
    lines += [f"  n{source} --> n{target}" for source, target in drawn.edges]
    if planned:
        for role in sorted({node.mark.role for node in drawn.nodes}):
            fill, line = _COLOURS.get(role, _CALM)
            dashes = _DASHES.get(_LINES.get(role, ""), "")
            lines.append(f"  classDef {role} fill:{fill},stroke:{line},color:#1f2328{dashes}")
    thick = [f"n{place}" for place, node in enumerate(drawn.nodes) if _is_thick(node)]
    if thick:
        lines += ["  classDef thick stroke-width:4px", f"  class {','.join(thick)} thick"]
    return lines


def _label(node: Node) -> str:
    return printable(f"{node.kind}/{node.label}").replace("\n", " ")


def graph_json(graph: Dependencies) -> dict[str, object]:
    """Plain data: every resource in an order of creation with what it needs, and the layers; with a
    plan what happens to each, and of one resource what depends on it.
    """
    document: dict[str, object] = {"stack": graph.stack}
    if graph.plan_id is not None:
        document["plan"] = graph.plan_id
    document["resources"] = [_resource(graph, address) for address in graph.needs]
    document["layers"] = [_texts(layer) for layer in graph.layers]
    if graph.about is not None:
        document["impactOf"] = str(graph.about)
    return document


def _resource(graph: Dependencies, address: Address) -> dict[str, object]:
    found: dict[str, object] = {
        "address": str(address),
        "host": graph.hosts.get(address),
        "needs": _texts(graph.needs[address]),
    }
    if graph.plan_id is not None:
        step = graph.steps.get(address)
        found["action"] = step.action.value if step is not None else None
        found["impact"] = step.impact.value if step is not None else None
        found["held"] = step is not None and step.held is not None
        found["refused"] = address in graph.refused
        found["undetermined"] = address in graph.undetermined
    if graph.about is not None:
        found["distance"] = graph.distances[address]
    return found


def _texts(addresses: tuple[Address, ...]) -> list[str]:
    return [str(address) for address in addresses]


def _dot(text: str) -> str:
    """A quoted string of DOT, where a backslash begins an escape of its own (graphviz.org/doc/
    info/attrs.html, escString).
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _mermaid(text: str) -> str:
    """A quoted label of Mermaid, which may hold HTML and Markdown: what is no letter, digit or
    plain sign stands as the number of its character, and so does whatever it begins with.
    """
    written = "".join(
        char if char.isalnum() or (char in " -/.()" and place > 0) else f"#{ord(char)};"
        for place, char in enumerate(text)
    )
    return f'"{written}"'
