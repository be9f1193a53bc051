"""The dependency graph as SVG, drawn here: no other program is needed. Used by ``graph`` and by the
page that shows a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from xml.etree.ElementTree import Element, SubElement, tostring

from provisioner.cli.render.folding import MOST_NODES, Drawing, Mark, Node, drawing
from provisioner.cli.render.layout import Box, Layout, Segment, lay_out
from provisioner.cli.render.text import count, printable
from provisioner.core.actions import Action
from provisioner.service.graph import Dependencies

_MARGIN = 20
_HEAD = 84
"""Height of heading and legend."""
_LETTER = 7.4
"""Width of a letter of a name."""
_LONGEST = 38
"""Letters of a name that are shown."""
_SIGN = 30
"""Room for the sign in a node."""
_LEAST = 520
_ROLES = (*(action.value for action in Action), "held", "undetermined", "unchanged")


def render_svg(graph: Dependencies, most: int | None = MOST_NODES) -> list[str]:
    """A picture of its own, in the lines of an XML document; it follows the reader's preference
    for light or dark.
    """
    picture = svg(graph, most)
    style = Element("style")
    style.text = styles()
    picture.insert(2, style)
    return ['<?xml version="1.0" encoding="UTF-8"?>', tostring(picture, encoding="unicode")]


def styles() -> str:
    """The rules that give a picture its colours and fonts."""
    return files("provisioner.cli.render").joinpath("graph.css").read_text(encoding="utf-8")


def svg(graph: Dependencies, most: int | None = MOST_NODES) -> Element:
    """The picture as an element for a page that has :func:`styles`."""
    drawn = drawing(graph, most)
    layout = lay_out(
        [node.layer for node in drawn.nodes],
        [_width(node) for node in drawn.nodes],
        drawn.edges,
    )
    marks = _legend_marks(drawn.nodes)
    width = max(layout.width, _LEAST, _legend_width(marks)) + 2 * _MARGIN
    height = layout.height + _HEAD + 2 * _MARGIN
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "graph",
            "role": "img",
            "aria-labelledby": "graph-title graph-description",
            "viewBox": f"0 0 {_number(width)} {_number(height)}",
            "width": _number(width),
            "height": _number(height),
        },
    )
    SubElement(root, "title", {"id": "graph-title"}).text = printable(_title(graph))
    SubElement(root, "desc", {"id": "graph-description"}).text = printable(
        _description(graph, drawn)
    )
    _add_tip(root)
    _add_head(root, graph, drawn, marks)
    picture = SubElement(root, "g", {"transform": f"translate({_MARGIN} {_HEAD + _MARGIN})"})
    _add_edges(picture, layout)
    for node, box in zip(drawn.nodes, layout.boxes, strict=True):
        _add_node(picture, node, box)
    return root


def _title(graph: Dependencies) -> str:
    text = f"Stack {graph.stack}"
    if graph.environment is not None:
        text += f", environment {graph.environment}"
    if graph.plan_id is not None:
        text += f", plan {graph.plan_id}"
    return text if graph.about is None else f"{text}: what depends on {graph.about}"


def _description(graph: Dependencies, drawn: Drawing) -> str:
    parts = [count(drawn.resources, "resource"), count(len(graph.layers), "layer")]
    text = (
        f"{' in '.join(parts)}; an arrow leads to what a resource needs, which is made before it."
    )
    if drawn.is_folded:
        text += f" Alike ones are folded: {count(len(drawn.nodes), 'node')}."
    if graph.unseen:
        text += f" {count(graph.unseen, 'unchanged resource')} not shown."
    return text


def _add_tip(root: Element) -> None:
    marker = SubElement(
        SubElement(root, "defs"),
        "marker",
        {
            "id": "graph-tip",
            "viewBox": "0 0 8 8",
            "refX": "7.5",
            "refY": "4",
            "markerWidth": "7",
            "markerHeight": "7",
            "orient": "auto",
        },
    )
    SubElement(marker, "path", {"class": "tip", "d": "M0 0.5L8 4L0 7.5z"})


def _add_head(root: Element, graph: Dependencies, drawn: Drawing, marks: Sequence[Mark]) -> None:
    _add_text(root, "heading", _MARGIN, 30, _title(graph))
    _add_text(root, "faint", _MARGIN, 50, _description(graph, drawn))
    x: float = _MARGIN
    for mark in marks:
        entry = SubElement(root, "g", {"class": f"node {mark.role}"})
        SubElement(
            entry,
            "rect",
            {"class": "box", "x": _number(x), "y": "64", "width": "30", "height": "18", "rx": "3"},
        )
        _add_text(entry, "sign", x + 15, 77, mark.sign, anchor="middle")
        _add_text(entry, "word", x + 37, 77.5, _legend_word(mark))
        x += _legend_step(mark)


def _legend_marks(nodes: Iterable[Node]) -> list[Mark]:
    """One of each role and sign, in one order; none where no plan gives a meaning to any."""
    found = {(node.mark.role, node.mark.sign): node.mark for node in nodes if node.mark.text}
    return [found[key] for key in sorted(found, key=lambda key: (_ROLES.index(key[0]), key[1]))]


def _legend_word(mark: Mark) -> str:
    words = {"held": "held back", "undetermined": "not determined"}
    return words.get(mark.role, mark.role)


def _legend_step(mark: Mark) -> float:
    return 37 + len(_legend_word(mark)) * _LETTER + 22


def _legend_width(marks: Iterable[Mark]) -> float:
    return sum(_legend_step(mark) for mark in marks)


def _add_edges(parent: Element, layout: Layout) -> None:
    edges = SubElement(parent, "g", {"aria-hidden": "true"})
    for segment in layout.segments:
        attributes = {"class": "edge", "d": _curve(segment)}
        if segment.arrives:
            attributes["marker-end"] = "url(#graph-tip)"
        SubElement(edges, "path", attributes)


def _curve(segment: Segment) -> str:
    """From right to left, level at both ends."""
    (x, y), (end_x, end_y) = segment.start, segment.end
    if abs(y - end_y) < 0.05:
        return f"M{_number(x)} {_number(y)}H{_number(end_x)}"
    middle = _number((x + end_x) / 2)
    return (
        f"M{_number(x)} {_number(y)}"
        f"C{middle} {_number(y)} {middle} {_number(end_y)} {_number(end_x)} {_number(end_y)}"
    )


def _add_node(parent: Element, node: Node, box: Box) -> None:
    classes = ["node", node.mark.role]
    classes += ["refused"] * node.mark.refused + ["about"] * node.is_about
    group = SubElement(parent, "g", {"class": " ".join(classes)})
    SubElement(group, "title").text = printable(node.title)
    if len(node.members) > 1:
        _add_rect(group, "behind", box._replace(x=box.x + 4, y=box.y + 4))
    _add_rect(group, "box", box)
    signed = bool(node.mark.sign)
    if signed:
        SubElement(
            group,
            "rect",
            {
                "class": "bar",
                "x": _number(box.x),
                "y": _number(box.y),
                "width": "4",
                "height": _number(box.height),
            },
        )
        _add_text(group, "sign", box.x + 4 + _SIGN / 2, box.y + 23, node.mark.sign, anchor="middle")
    x = box.x + (4 + _SIGN if signed else 10)
    _add_text(group, "name", x, box.y + 16, _shortened(node.label))
    kind = node.kind + (f" · {node.mark.text}" if node.mark.sign else "")
    _add_text(group, "kind", x, box.y + 31, kind)


def _add_rect(parent: Element, name: str, box: Box) -> None:
    SubElement(
        parent,
        "rect",
        {
            "class": name,
            "x": _number(box.x),
            "y": _number(box.y),
            "width": _number(box.width),
            "height": _number(box.height),
            "rx": "4",
        },
    )


def _add_text(
    parent: Element, name: str, x: float, y: float, text: str, *, anchor: str | None = None
) -> None:
    attributes = {"class": name, "x": _number(x), "y": _number(y)}
    if anchor is not None:
        attributes["text-anchor"] = anchor
    SubElement(parent, "text", attributes).text = printable(text)


def _width(node: Node) -> float:
    words = node.kind + (f" · {node.mark.text}" if node.mark.sign else "")
    letters = max(len(_shortened(node.label)) * _LETTER, len(words) * 6.2)
    return letters + 14 + (4 + _SIGN - 10 if node.mark.sign else 4)


def _shortened(name: str) -> str:
    """Both ends of a long name; the whole one stands in the title."""
    if len(name) <= _LONGEST:
        return name
    half = (_LONGEST - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _number(value: float) -> str:
    """At most one digit after the point: a tenth of a unit cannot be seen."""
    return f"{value:.1f}".removesuffix(".0")
