"""Where values stand: from a manifest's field to file, line and column.

The fast path keeps only an :class:`Origin` for each manifest. A place is found by reading that one
document again, which :class:`Places` does for the loader while it reports, and later for the engine
through :attr:`provisioner.manifest.model.Stack.places`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, SourceRange, error, warning
from provisioner.core.values import Path
from provisioner.manifest.fields import Field
from provisioner.manifest.positioned import Node, compose, find
from provisioner.manifest.problems import Element, Part, Problem
from provisioner.manifest.source import SourceFile
from provisioner.manifest.yamlstrict import YamlDocument

_KEPT = 32
"""Documents whose nodes are kept: mistakes come in clusters."""


class Origin(NamedTuple):
    """The document that a manifest was read from, and what an environment laid over it (the last
    wins).

    The other fields are those of :class:`YamlDocument`, without its value: that is not kept.
    """

    file: SourceFile
    start: int
    end: int
    offset: int
    line: int
    layers: tuple[Layer, ...] = ()

    @classmethod
    def of(cls, file: SourceFile, document: YamlDocument) -> Origin:
        """The origin of a document that was just read."""
        return cls(file, document.start, document.end, document.offset, document.line)

    @property
    def source(self) -> SourceRange:
        """The document's first line."""
        return self.file.range_on(self.line, self.offset)


class Layer(NamedTuple):
    """A part of another document (below ``prefix``) that is merged into a manifest."""

    origin: Origin
    prefix: tuple[Part, ...]


class Places:
    """Finds places, and remembers the documents that it read for it."""

    def __init__(self, origins: Mapping[Address, Origin], fields: Mapping[str, Field]) -> None:
        """``fields`` are the trees of whole documents by kind."""
        self._origins = origins
        self._fields = fields
        self._nodes: OrderedDict[tuple[str, int], Node | None] = OrderedDict()

    def locate(self, address: Address, path: Path = ()) -> SourceRange | None:
        """The place of a field of a canonical spec; of the nearest field above it where it has no
        place of its own.

        ``path`` stands below ``spec``; ``labels`` and ``tenant`` are found in ``metadata``. None
        for an unknown address.
        """
        origin = self._origins.get(address)
        if origin is None:
            return None
        if not path:
            return origin.source
        top = "metadata" if path[:1] in {("labels",), ("tenant",)} else "spec"
        return self.find(origin, self.keyed(address.kind, (top, *path)))

    def keyed(self, kind: str, path: tuple[Part, ...], value: Any = None) -> tuple[Part, ...]:
        """The path with list elements named by index and key, as far as the kind's fields and
        ``value`` tell. A path that ends at a key leads to where the key is written.
        """
        field: Field | None = self._fields.get(kind)
        result: list[Part] = []
        for part in path:
            value = _child(value, part)
            if isinstance(part, Element) or field is None or field.set_key is None:
                result.append(part)
            elif isinstance(part, int):
                key = value.get(field.set_key) if isinstance(value, dict) else None
                result.append(Element(part, key if isinstance(key, str) else None, field.set_key))
            else:
                result.append(Element(None, part, field.set_key))
            name = part if isinstance(part, str) else "*"
            field = None if field is None else field.children.get(name, field.rest)
        last = result[-1] if result else None
        if isinstance(last, Element) and last.number is None and last.key_field is not None:
            result.append(last.key_field)
        return tuple(result)

    def find(
        self, origin: Origin, path: tuple[Part, ...], *, at_key: bool = False, within: str = ""
    ) -> SourceRange:
        """The place of a path in a manifest; of its nearest field above where it does not stand
        there.
        """
        for layer in reversed(origin.layers):
            node, key, followed = find(self._root(layer.origin), (*layer.prefix, *path))
            if node is not None and followed == len(layer.prefix) + len(path):
                return _range(layer.origin.file, node, key, at_key=at_key, within=within)
        node, key, followed = find(self._root(origin), path)
        if node is None or followed == 0:
            return origin.source
        return _range(origin.file, node, key, at_key=at_key or followed < len(path), within=within)

    def report(
        self, origin: Origin, kind: str, problem: Problem, value: Any = None, **rest: Any
    ) -> Diagnostic:
        """The diagnostic of a problem; ``value`` is the whole document in which its path stands,
        if it is at hand.
        """
        source = problem.source
        if source is None:
            path = self.keyed(kind, problem.path, value)
            source = self.find(origin, path, at_key=problem.at_key, within=problem.within)
        return (warning if problem.warning else error)(
            problem.code,
            problem.summary,
            detail=problem.detail,
            hint=problem.hint,
            source=source,
            **rest,
        )

    def _root(self, origin: Origin) -> Node | None:
        name = (origin.file.name, origin.start)
        if name in self._nodes:
            self._nodes.move_to_end(name)
            return self._nodes[name]
        root = compose(origin.file, origin.start, origin.end).root
        self._nodes[name] = root
        if len(self._nodes) > _KEPT:
            self._nodes.popitem(last=False)
        return root


def _child(value: Any, part: Part) -> Any:
    if isinstance(part, Element):
        part = -1 if part.number is None else part.number
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
        return value[part]
    return None


def _range(
    file: SourceFile, node: Node, key: Node | None, *, at_key: bool, within: str
) -> SourceRange:
    collection = node.entries is not None or node.items is not None
    if key is not None and (at_key or collection):
        return key.range_in(file)
    if within:
        index = file.text.find(within, node.offset, node.end)
        if index >= 0:
            return file.range_of(index, len(within))
    return node.range_in(file)
