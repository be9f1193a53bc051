"""Where the nodes and edges of a drawing in layers stand: columns from left to right, few
crossings, straight edges. Pure geometry, called by :mod:`svg`.

After Sugiyama, Tagawa and Toda (1981): edges over several layers go through points in between,
every layer is brought into the order of the mean places of its neighbours, and the nodes are then
moved as near to their neighbours as that order allows. Points in between are shared by all edges to
the same node, so that what many need has one line to it and not many.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

SWEEPS = 6
"""Times that the layers are brought into order, there and back."""
SETTLING = 8
"""Times that the nodes are moved towards their neighbours."""


class Point(NamedTuple):
    """A place, in units of the picture."""

    x: float
    y: float


class Box(NamedTuple):
    """Where a node is drawn."""

    x: float
    y: float
    width: float
    height: float


class Segment(NamedTuple):
    """A part of an edge between neighbouring columns, from right to left; ``arrives`` where its
    left end is the node that is needed.
    """

    start: Point
    end: Point
    arrives: bool


class Spacing(NamedTuple):
    """Height of nodes, and room between them, between columns, and for a line in between."""

    height: float = 38
    gap: float = 14
    column: float = 72
    line: float = 14


SPACING = Spacing()


class Layout(NamedTuple):
    """Boxes of the nodes, by number, and everything that connects them; it begins at 0, 0."""

    boxes: tuple[Box, ...]
    segments: tuple[Segment, ...]
    width: float
    height: float


Vertex = tuple[int, int]
"""A node (its number, -1), or the point in a layer (of that number) through which the edges to a
node go."""


def lay_out(
    layers: Sequence[int],
    widths: Sequence[float],
    edges: Iterable[tuple[int, int]],
    spacing: Spacing = SPACING,
) -> Layout:
    """Where nodes stand, of which the layer (from 0, the left) and the width are given, with edges
    each from a node to one in a layer further left. The same input gives the same layout.
    """
    if not layers:
        return Layout((), (), 0, 0)
    columns, links = levelled(layers, sorted(set(edges)))
    columns = _ordered(columns, links)
    centres = _settled(columns, links, spacing)
    top = min(centre - _size(vertex, spacing) / 2 for vertex, centre in centres.items())
    left: list[float] = []
    breadth: list[float] = []
    x = 0.0
    for column in columns:
        left.append(x)
        breadth.append(max((widths[node] for node, layer in column if layer < 0), default=0.0))
        x += breadth[-1] + spacing.column
    boxes = tuple(
        Box(
            left[layer],
            centres[node, -1] - top - spacing.height / 2,
            breadth[layer],
            spacing.height,
        )
        for node, layer in enumerate(layers)
    )

    def side(vertex: Vertex, *, right: bool) -> Point:
        node, layer = vertex
        column = layers[node] if layer < 0 else layer
        return Point(left[column] + (breadth[column] if right else 0), centres[vertex] - top)

    segments: list[Segment] = []
    for start, end in links:
        segments.append(Segment(side(start, right=False), side(end, right=True), end[1] < 0))
    for column in columns:
        segments += [
            Segment(side(vertex, right=True), side(vertex, right=False), arrives=False)
            for vertex in column
            if vertex[1] >= 0
        ]
    bottom = max(centre + _size(vertex, spacing) / 2 for vertex, centre in centres.items())
    return Layout(boxes, tuple(segments), x - spacing.column, bottom - top)


def levelled(
    layers: Sequence[int], edges: Sequence[tuple[int, int]]
) -> tuple[list[list[Vertex]], list[tuple[Vertex, Vertex]]]:
    """Columns with the points in between, and links between neighbouring columns only."""
    columns: list[list[Vertex]] = [[] for _ in range(max(layers) + 1)]
    for node, layer in enumerate(layers):
        columns[layer].append((node, -1))
    links: dict[tuple[Vertex, Vertex], None] = {}
    known: set[Vertex] = set()
    for source, target in edges:
        end: Vertex = (target, -1)
        for layer in range(layers[target] + 1, layers[source]):
            point = (target, layer)
            if point not in known:
                known.add(point)
                columns[layer].append(point)
            links[point, end] = None
            end = point
        links[(source, -1), end] = None
    return columns, list(links)


Neighbours = Mapping[Vertex, Sequence[Vertex]]


def _sides(links: Iterable[tuple[Vertex, Vertex]]) -> tuple[Neighbours, Neighbours]:
    """For each vertex those to its left, and those to its right."""
    left: dict[Vertex, list[Vertex]] = {}
    right: dict[Vertex, list[Vertex]] = {}
    for start, end in links:
        left.setdefault(start, []).append(end)
        right.setdefault(end, []).append(start)
    return left, right


def _ordered(
    columns: list[list[Vertex]], links: Sequence[tuple[Vertex, Vertex]]
) -> list[list[Vertex]]:
    left, right = _sides(links)
    best, fewest = columns, crossings(columns, links)
    for sweep in range(2 * SWEEPS):
        if not fewest:
            break
        forth = sweep % 2 == 0
        columns = _swept(columns, left if forth else right, forth=forth)
        number = crossings(columns, links)
        if number < fewest:
            best, fewest = columns, number
    return best


def _swept(
    columns: Sequence[Sequence[Vertex]], neighbours: Neighbours, *, forth: bool
) -> list[list[Vertex]]:
    """Each column in the order of the mean places of the neighbours in the one before it."""
    result = [list(column) for column in columns]
    numbers = range(1, len(result)) if forth else range(len(result) - 2, -1, -1)
    for number in numbers:
        before = result[number - 1 if forth else number + 1]
        place = {vertex: float(where) for where, vertex in enumerate(before)}
        own = {vertex: float(where) for where, vertex in enumerate(result[number])}
        # What has no neighbour there stays about where it was.
        scale = len(before) / len(own) if own else 1
        mean = {
            vertex: fmean(place[other] for other in neighbours[vertex])
            if vertex in neighbours
            else own[vertex] * scale
            for vertex in own
        }
        result[number].sort(key=lambda vertex: mean[vertex])
    return result


def crossings(columns: Sequence[Sequence[Vertex]], links: Iterable[tuple[Vertex, Vertex]]) -> int:
    """How many pairs of links cross."""
    place = {vertex: where for column in columns for where, vertex in enumerate(column)}
    column_of = {vertex: number for number, column in enumerate(columns) for vertex in column}
    by_column: dict[int, list[tuple[int, int]]] = {}
    for start, end in links:
        by_column.setdefault(column_of[end], []).append((place[end], place[start]))
    total = 0
    for pairs in by_column.values():
        seen: list[int] = []
        for _, where in sorted(pairs):
            total += len(seen) - bisect_left(seen, where + 1)
            insort(seen, where)
    return total


def _size(vertex: Vertex, spacing: Spacing) -> float:
    return spacing.height if vertex[1] < 0 else spacing.line


def _settled(
    columns: Sequence[Sequence[Vertex]],
    links: Sequence[tuple[Vertex, Vertex]],
    spacing: Spacing,
) -> dict[Vertex, float]:
    """The centre of each vertex: as near to its neighbours as order and spacing allow."""
    left, right = _sides(links)
    offsets = [_offsets(column, spacing) for column in columns]
    tallest = max(offset[-1] for offset in offsets if offset)
    centres = {
        vertex: offset + (tallest - places[-1]) / 2
        for column, places in zip(columns, offsets, strict=True)
        for vertex, offset in zip(column, places, strict=True)
    }
    for turn in range(SETTLING):
        numbers = range(len(columns))
        for number in numbers if turn % 2 == 0 else reversed(numbers):
            column, places = columns[number], offsets[number]
            wished = [
                _wish(centres, left.get(vertex, ()), right.get(vertex, ()), centres[vertex])
                for vertex in column
            ]
            centres.update(zip(column, _placed(wished, places), strict=True))
    return centres


def _wish(
    centres: Mapping[Vertex, float],
    left: Sequence[Vertex],
    right: Sequence[Vertex],
    otherwise: float,
) -> float:
    """The middle between the neighbours of both sides, however many there are on each."""
    sides = [fmean(centres[vertex] for vertex in side) for side in (left, right) if side]
    return fmean(sides) if sides else otherwise


def _offsets(column: Sequence[Vertex], spacing: Spacing) -> list[float]:
    """The centres of a column that is packed as closely as it may be, from its first one on."""
    result: list[float] = []
    for number, vertex in enumerate(column):
        if number == 0:
            result.append(0.0)
            continue
        sizes = (_size(column[number - 1], spacing) + _size(vertex, spacing)) / 2
        result.append(result[-1] + sizes + spacing.gap)
    return result


def _placed(wished: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """The places nearest to the wished ones (by least squares) that keep order and distances: pool
    adjacent violators, on what is left when the distances are taken off.
    """
    blocks: list[tuple[float, int]] = []
    for wish, offset in zip(wished, offsets, strict=True):
        value, size = wish - offset, 1
        while blocks and blocks[-1][0] > value:
            other, number = blocks.pop()
            value = (value * size + other * number) / (size + number)
            size += number
        blocks.append((value, size))
    values = [value for value, size in blocks for _ in range(size)]
    return [value + offset for value, offset in zip(values, offsets, strict=True)]
