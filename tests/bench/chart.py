"""Draws figures over sizes as SVG: a small chart for each phase, a line for each program.

Both axes are logarithmic and the same in all charts, so that heights can be compared. The picture
follows the colours that the reader prefers (light or dark) and uses only fonts that are there. The
same figures give the same text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

COLUMNS = 3
WIDTH = 960
TOP, LEFT = 108, 74
PLOT_WIDTH, PLOT_HEIGHT = 264, 200
COLUMN, ROW = 292, 268
BOTTOM = 56
_INSET = 36
"""Between the edges of a chart and its first and last point, for their labels."""
_ROOM = 3
"""How many times the greatest figure the axis goes up to, and the least one down, for labels."""

COLOURS = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#f0f6fc"),
    "faint": ("#59636e", "#9198a1"),
    "grid": ("#d1d9e0", "#3d444d"),
    "line0": ("#bc4c00", "#f0883e"),
    "line1": ("#0969da", "#58a6ff"),
    "line2": ("#1a7f37", "#3fb950"),
}
"""What is painted in which colour: light, dark."""
MOST_LINES = 3


class Point(NamedTuple):
    """A figure at a size; a hollow one has a remark."""

    size: int
    value: float
    hollow: bool = False


class Line(NamedTuple):
    """A program and its figures by the names of the charts, in the order of the charts."""

    name: str
    points: Mapping[str, Sequence[Point]]


class Place(NamedTuple):
    """Where something is drawn, in units of the picture."""

    x: float
    y: float


class Scale(NamedTuple):
    """A logarithmic axis: the least and the greatest value, and where they are drawn."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value is drawn: in the middle if there is no other."""
        if self.low == self.high:
            return (self.start + self.end) / 2
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def decades(self) -> Iterator[float]:
        """The powers of ten on the axis."""
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        for exponent in range(first, last + 1):
            yield 10.0**exponent


def label(value: float) -> str:
    """A figure as it stands beside its point: two digits, more or less."""
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def draw(title: str, across: str, upward: str, lines: Sequence[Line], remark: str) -> str:
    """The picture as the text of an SVG file. ``across`` and ``upward`` name the axes. There are at
    most three lines; every value and size has to be above zero.
    """
    if len(lines) > MOST_LINES:
        raise ValueError(f"{len(lines)} lines: there are colours for {MOST_LINES}")
    names = list(lines[0].points)
    depth = math.ceil(len(names) / COLUMNS)
    height = TOP + (depth - 1) * ROW + PLOT_HEIGHT + BOTTOM + 24
    picture = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {height}",
            "width": str(WIDTH),
            "height": str(height),
            "role": "img",
            "aria-labelledby": "title description",
            "font-family": "system-ui, sans-serif",
        },
    )
    SubElement(picture, "title", {"id": "title"}).text = title
    SubElement(picture, "desc", {"id": "description"}).text = _in_words(lines)
    SubElement(picture, "style").text = _style()
    SubElement(picture, "rect", _box(Place(0, 0), WIDTH, height) | _paint(fill="paper"))
    _text(picture, title, Place(LEFT, 32), size=18, weight="600")
    _legend(picture, lines)
    every = [point for line in lines for points in line.points.values() for point in points]
    for number, name in enumerate(names):
        row, column = divmod(number, COLUMNS)
        corner = Place(LEFT + column * COLUMN, TOP + row * ROW)
        x, y = _axes(every, corner)
        _frame(picture, name, corner, (x, y), sorted({point.size for point in every}))
        if column == 0:
            middle = Place(22, corner.y + PLOT_HEIGHT / 2)
            turned = {"transform": f"rotate(-90 {middle.x:g} {middle.y:g})"}
            _text(picture, upward, middle, turned, anchor="middle", fill="faint")
        if row == depth - 1:
            place = Place(corner.x + PLOT_WIDTH / 2, corner.y + PLOT_HEIGHT + 38)
            _text(picture, across, place, anchor="middle", fill="faint")
        _plot(picture, [line.points[name] for line in lines], x, y)
    if remark:
        _text(picture, remark, Place(LEFT, height - 14), fill="faint")
    ElementTree.indent(picture)
    return ElementTree.tostring(picture, encoding="unicode") + "\n"


def _in_words(lines: Sequence[Line]) -> str:
    """All figures, for those who do not see the picture."""
    parts = []
    for name in lines[0].points:
        each = (
            f"{line.name} "
            + ", ".join(f"{it.size:,}: {label(it.value)}" for it in line.points[name])
            for line in lines
            if line.points[name]
        )
        parts.append(f"{name}: {'; '.join(each)}.")
    return " ".join(parts)


def _axes(points: Sequence[Point], corner: Place) -> tuple[Scale, Scale]:
    sizes = [point.size for point in points]
    values = [point.value for point in points]
    least, greatest = min(sizes), max(sizes)
    x = Scale(least, greatest, corner.x + _INSET, corner.x + PLOT_WIDTH - _INSET)
    return x, Scale(min(values) / _ROOM, max(values) * _ROOM, corner.y + PLOT_HEIGHT, corner.y)


def _legend(picture: Element, lines: Sequence[Line]) -> None:
    x = LEFT
    for number, line in enumerate(lines):
        stroke = _stroke(number)
        ends = {"x1": f"{x}", "y1": "56", "x2": f"{x + 28}", "y2": "56"}
        SubElement(picture, "line", ends | stroke)
        _mark(picture, number, Place(x + 14, 56), hollow=False)
        _text(picture, line.name, Place(x + 36, 60), size=13)
        x += 36 + 8 * len(line.name) + 32


def _frame(
    picture: Element, name: str, corner: Place, axes: tuple[Scale, Scale], sizes: Sequence[int]
) -> None:
    x, y = axes
    floor = f"{corner.y + PLOT_HEIGHT}"
    ends = {"x1": f"{corner.x}", "x2": f"{corner.x + PLOT_WIDTH}", "y1": floor, "y2": floor}
    SubElement(picture, "line", ends | _paint(stroke="faint"))
    _text(picture, name, Place(corner.x, corner.y - 10), size=13, weight="600")
    for value in y.decades():
        height = f"{y.at(value):.1f}"
        ends = {"x1": f"{corner.x}", "x2": f"{corner.x + PLOT_WIDTH}", "y1": height, "y2": height}
        SubElement(picture, "line", ends | _paint(stroke="grid"))
        if corner.x == LEFT:
            _text(
                picture,
                f"{value:,g}",
                Place(corner.x - 8, y.at(value) + 4),
                anchor="end",
                fill="faint",
            )
    for size in sizes:
        place = Place(x.at(size), corner.y + PLOT_HEIGHT + 18)
        _text(picture, f"{size:,}", place, anchor="middle", fill="faint")


def _plot(picture: Element, lines: Sequence[Sequence[Point]], x: Scale, y: Scale) -> None:
    for number, points in enumerate(lines):
        places = [Place(x.at(point.size), y.at(point.value)) for point in points]
        if len(places) > 1:
            path = " ".join(f"{place.x:.1f},{place.y:.1f}" for place in places)
            SubElement(picture, "polyline", {"points": path} | _stroke(number))
        for point, place in zip(points, places, strict=True):
            _mark(picture, number, place, hollow=point.hollow)
    for size in sorted({point.size for points in lines for point in points}):
        there = [
            (y.at(point.value), number, point.value)
            for number, points in enumerate(lines)
            for point in points
            if point.size == size
        ]
        _labels(picture, x.at(size), sorted(there))


def _labels(picture: Element, x: float, there: Sequence[tuple[float, int, float]]) -> None:
    """The figures at a size, from the top: the first one above its point, the last one below its
    own, and what is between them beside theirs, where no rising line goes.
    """
    for order, (height, number, value) in enumerate(there):
        if order == len(there) - 1:
            place, anchor = Place(x, height + 18), "middle"
        elif order == 0:
            place, anchor = Place(x, height - 9), "middle"
        else:
            place, anchor = Place(x - 7, height - 4), "end"
        _text(picture, label(value), place, anchor=anchor, fill=f"line{number}")


def _mark(picture: Element, number: int, place: Place, *, hollow: bool) -> None:
    colour = f"line{number}"
    look = _paint(fill="paper" if hollow else colour, stroke=colour) | {"stroke-width": "2"}
    if number % 2:
        corner = Place(place.x - 3.5, place.y - 3.5)
        SubElement(picture, "rect", _box(corner, 7, 7) | look)
    else:
        at = {"cx": f"{place.x:.1f}", "cy": f"{place.y:.1f}", "r": "4"}
        SubElement(picture, "circle", at | look)


def _stroke(number: int) -> dict[str, str]:
    return _paint(fill="none", stroke=f"line{number}") | {"stroke-width": "2"}


def _paint(**roles: str) -> dict[str, str]:
    """Attributes that paint: ``fill`` and ``stroke`` are "none" or names of COLOURS. The light
    colours are attributes, which everything that shows SVG understands; classes bring in the dark.
    """
    colours = {part: COLOURS[role][0] if role != "none" else role for part, role in roles.items()}
    classes = [f"{part}-{role}" for part, role in roles.items() if role != "none"]
    return colours | {"class": " ".join(classes)}


def _style() -> str:
    rules = (
        f".{part}-{role} {{ {part}: {dark} }}"
        for role, (_, dark) in COLOURS.items()
        for part in ("fill", "stroke")
    )
    return "@media (prefers-color-scheme: dark) { " + " ".join(rules) + " }"


def _box(corner: Place, width: float, height: float) -> dict[str, str]:
    return {
        "x": f"{corner.x:.1f}",
        "y": f"{corner.y:.1f}",
        "width": f"{width:g}",
        "height": f"{height:g}",
    }


def _text(
    picture: Element,
    text: str,
    place: Place,
    more: Mapping[str, str] | None = None,
    *,
    size: int = 12,
    weight: str = "400",
    anchor: str = "start",
    fill: str = "ink",
) -> None:
    look = {
        "x": f"{place.x:.1f}",
        "y": f"{place.y:.1f}",
        "font-size": str(size),
        "font-weight": weight,
        "text-anchor": anchor,
    }
    attributes = look | _paint(fill=fill) | dict(more or {})
    SubElement(picture, "text", attributes).text = text
