"""Where values stand: from a manifest's field to file, line and column.

The fast path keeps only an :class:`Origin` for each manifest. A place is found by reading that one
document again, which :class:`Places` does for the loader while it reports, and later for the engine
through :attr:`provisioner.manifest.model.Stack.places`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, SourceRange, error, warning
from provisioner.core.values import Path
from provisioner.manifest.annotations import METADATA_FIELDS
from provisioner.manifest.fields import Field
from provisioner.manifest.forms import FORMS
from provisioner.manifest.overlay import Source
from provisioner.manifest.placeholders import Scope
from provisioner.manifest.positioned import Node, compose, find
from provisioner.manifest.problems import MISSING, Element, Part, Problem
from provisioner.manifest.source import SourceFile
from provisioner.manifest.yamlstrict import YamlDocument

_METADATA = frozenset({*METADATA_FIELDS, "name", "externalName", "replace"})
"""Fields that diagnostics name as if they stood in the spec, in which no kind has them."""
_KEPT = 32
"""Documents whose nodes are kept: mistakes come in clusters."""


class Origin(NamedTuple):
    """The document that a manifest was read from, what an environment laid over it (the last wins),
    and what its placeholders stand for.

    The other fields are those of :class:`YamlDocument`, without its value: that is not kept.
    """

    file: SourceFile
    start: int
    end: int
    offset: int
    line: int
    layers: tuple[Layer, ...] = ()
    scope: Scope | None = None

    @classmethod
    def of(cls, file: SourceFile, document: YamlDocument) -> Origin:
        """The origin of a document that was just read."""
        return cls(file, document.start, document.end, document.offset, document.line)

    @property
    def source(self) -> SourceRange:
        """The document's first line."""
        return self.file.range_on(self.line, self.offset)

    def holds(self, place: SourceRange | None) -> bool:
        """Whether a place is in the document."""
        if place is None or place.file != self.file.name:
            return False
        first, last = (
            self.file.line_at(self.start),
            self.file.line_at(max(self.start, self.end - 1)),
        )
        return first <= place.line - 1 <= last


class Layer(NamedTuple):
    """A part of another document (below ``prefix``) that is merged into a manifest; ``lists`` are
    the lists in which elements of both stand, by path.
    """

    origin: Origin
    prefix: tuple[Part, ...]
    lists: Mapping[tuple[Part, ...], Sequence[Source]]

    def path_in(self, path: tuple[Part, ...], *, over: bool) -> tuple[Part, ...]:
        """The path with the numbers that elements have in the overlay, or in what it lies over."""
        return tuple(
            self._moved(part, self.lists.get(path[:index], ()), over=over)
            if isinstance(part, Element)
            else part
            for index, part in enumerate(path)
        )

    @staticmethod
    def _moved(part: Element, sources: Sequence[Source], *, over: bool) -> Element:
        if part.number is None or part.number >= len(sources):
            return part
        source = sources[part.number]
        return part._replace(number=source.over if over else source.base)


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

        ``path`` stands below ``spec``; fields of ``metadata`` are found there. None for an unknown
        address.
        """
        origin = self._origins.get(address)
        if origin is None:
            return None
        if not path:
            return origin.source
        top = "metadata" if path[0] in _METADATA else "spec"
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
                result.append(Element(None, part, field.set_key, _form(field)))
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
            over = (*layer.prefix, *layer.path_in(path, over=True))
            node, key, followed = self._follow(layer.origin, over, origin.scope)
            if node is not None and followed == len(over):
                return _range(layer.origin.file, node, key, at_key=at_key, within=within)
            path = layer.path_in(path, over=False)
        node, key, followed = self._follow(origin, path, origin.scope)
        if node is None or followed == 0:
            return origin.source
        return _range(origin.file, node, key, at_key=at_key or followed < len(path), within=within)

    def _follow(
        self, origin: Origin, path: tuple[Part, ...], scope: Scope | None
    ) -> tuple[Node | None, Node | None, int]:
        def same(text: str, element: Element) -> bool:
            return text == element.key or _spelled(text, element, scope) == element.key

        return find(self._root(origin), path, same)

    def report(
        self, origin: Origin, kind: str, problem: Problem, value: Any = None, **rest: Any
    ) -> Diagnostic:
        """The diagnostic of a problem; ``value`` is the whole document in which its path stands,
        if it is at hand.
        """
        source = problem.source
        if source is None:
            path = self.keyed(kind, problem.path, value)
            if problem.code == MISSING:
                origin = self._where_it_stands(origin, path)
            source = self.find(origin, path, at_key=problem.at_key, within=problem.within)
        if problem.secret:
            source = source._replace(text="")
        return (warning if problem.warning else error)(
            problem.code,
            problem.summary,
            detail=problem.detail,
            hint=problem.hint,
            source=source,
            path=_canonical(self.keyed(kind, problem.path, value)),
            **rest,
        )

    def _where_it_stands(self, origin: Origin, path: tuple[Part, ...]) -> Origin:
        """What is missing in a manifest is missing there, also where an overlay adds something
        beside it.
        """
        base = path
        for layer in reversed(origin.layers):
            base = layer.path_in(base, over=False)
        _, _, followed = self._follow(origin, base, origin.scope)
        return origin._replace(layers=()) if followed == len(base) else origin

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


def _canonical(path: tuple[Part, ...]) -> Path:
    """The path of a field below ``spec``, or of one of the metadata, from its path in the document;
    what is wrong with the key of an element is wrong with the element.
    """
    if len(path) > 1 and isinstance(path[-2], Element) and path[-1] == path[-2].key_field:
        path = path[:-1]
    return tuple(
        str(
            part if not isinstance(part, Element) else part.number if part.key is None else part.key
        )
        for part in path[1:]
    )


def _form(field: Field) -> str | None:
    """The form of the keys of a list's elements."""
    key = None if field.rest is None else field.rest.child(field.set_key or "")
    return None if key is None else key.form


def _spelled(text: str, element: Element, scope: Scope | None) -> str:
    """The text of a key as canonical paths have it."""
    text = text if scope is None else scope.filled(text)
    if element.form is None:
        return text
    try:
        return str(FORMS[element.form](text))
    except ValueError:
        return text


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
