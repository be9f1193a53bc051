"""A document as a tree of nodes with positions: made only of documents in which something is to be
shown.

:func:`compose` reads one document again that :mod:`provisioner.manifest.yamlstrict` either refused
(then it says why) or took, in which a later stage found a mistake (then :func:`find` gives the
place of the field concerned).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from provisioner.core.diagnostics import Diagnostic, SourceRange, error
from provisioner.manifest.problems import Element, Part
from provisioner.manifest.scalars import resolve
from provisioner.manifest.source import SourceFile
from provisioner.manifest.yamlstrict import Event, Limits, marked_events


@dataclass(slots=True)
class Node:
    """A node and where it stands (characters and lines from 0). ``size`` and ``height`` count
    what its aliases stand for.
    """

    offset: int
    line: int
    end: int
    value: Any = None
    entries: list[tuple[Node, Node]] | None = None
    items: list[Node] | None = None
    size: int = 1
    height: int = 0

    def range_in(self, file: SourceFile) -> SourceRange:
        """The place of the node; a collection's is its first character."""
        length = self.end - self.offset if self.entries is None and self.items is None else 1
        return file.range_at(self.offset, self.line, length)


@dataclass(slots=True)
class Composition:
    """A document's nodes and what strict reading refuses in it."""

    root: Node | None = None
    problems: list[Diagnostic] = field(default_factory=list)


class _Enough(Exception):
    """The document is over a limit: no use in reading on."""


def compose(
    file: SourceFile,
    start: int,
    end: int,
    first_line: int,
    *,
    limits: Limits | None = None,
    expanded: int | None = None,
) -> Composition:
    """Read the document ``text[start:end]``, which begins on line ``first_line`` and has been
    parsed before.

    ``expanded`` is how many nodes its aliases may stand for. The problems are those for which
    :func:`provisioner.manifest.yamlstrict.read_documents` refuses a document (PRV1012..PRV1019,
    PRV1021, PRV1022).
    """
    limits = limits or Limits()
    composer = _Composer(file, limits, limits.expanded if expanded is None else expanded)
    composer.run(marked_events(file.text, start, end, first_line))
    return composer.result


def find(node: Node | None, path: tuple[Part, ...]) -> tuple[Node | None, Node | None, int]:
    """The deepest node on ``path``, the node of its key (None for a list element) and how many
    parts were followed.
    """
    key: Node | None = None
    for followed, part in enumerate(path):
        if node is None:
            return None, key, followed
        step = _step(node, part)
        if step is None:
            return node, key, followed
        key, node = step
    return node, key, len(path)


def _step(node: Node, part: Part) -> tuple[Node | None, Node] | None:
    if node.entries is not None:
        name = part.key if isinstance(part, Element) else part
        for key, value in node.entries:
            if key.value == name:
                return key, value
        return None
    if node.items is None:
        return None
    if isinstance(part, Element):
        for item in node.items:
            if part.key is not None and _key_of(item, part.key_field) == part.key:
                return None, item
        part = -1 if part.number is None else part.number
    elif isinstance(part, str):
        part = int(part) if part.isdecimal() else -1
    return (None, node.items[part]) if 0 <= part < len(node.items) else None


def _key_of(item: Node, key_field: str | None) -> str | None:
    for key, value in item.entries or ():
        if key.value == key_field:
            return str(value.value)
    return None


class _Composer:
    def __init__(self, file: SourceFile, limits: Limits, expanded: int) -> None:
        self.result = Composition()
        self._file = file
        self._limits = limits
        self._expanded = expanded
        self._anchors: dict[str, Node | None] = {}
        self._nodes = 0

    def run(self, events: Iterator[Event]) -> None:
        document = next(events)
        if document.text not in {"", "1.2"}:
            self._report(
                "PRV1022",
                f"the document says that it is YAML {document.text}",
                document,
                "Manifests are YAML 1.2: remove the %YAML directive.",
            )
        try:
            self.result.root = self._node(events, next(events), 1)
        except _Enough:
            return

    def _report(self, code: str, summary: str, event: Event, hint: str, **rest: Any) -> None:
        source = self._file.range_at(event.offset, event.line, event.end_offset - event.offset)
        self.result.problems.append(error(code, summary, source=source, hint=hint, **rest))

    def _node(self, events: Iterator[Event], event: Event, depth: int) -> Node:
        if event.kind == "alias":
            return self._alias(event, depth)
        if event.tag is not None:
            self._report(
                "PRV1015",
                f"the tag {_short(event.tag)!r} is not supported",
                event,
                "Remove the tag: the schema of the kind decides what type a field has.",
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if event.kind == "scalar":
            node = self._scalar(event)
        else:
            if depth > self._limits.depth:
                self._report(
                    "PRV1018",
                    f"collections are nested more than {self._limits.depth} levels deep",
                    event._replace(end_offset=event.offset + 1),
                    "No kind needs such depth; look for a bracket or an indentation too much.",
                )
                raise _Enough
            node = self._collection(events, event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: Event) -> Node:
        node = Node(event.offset, event.line, event.end_offset, event.text)
        if event.plain:
            try:
                node.value = resolve(event.text)
            except ValueError as problem:
                self._report(
                    "PRV1021",
                    f"{problem}: {event.text[:40]}",
                    event,
                    "Put it in quotes if it is meant as text.",
                )
        return node

    def _collection(self, events: Iterator[Event], event: Event, depth: int) -> Node:
        node = Node(event.offset, event.line, event.offset + 1)
        if event.kind == "map":
            node.entries = []
            self._entries(node, events, depth)
            children = [value for _, value in node.entries]
        else:
            node.items = children = []
            while (item := next(events)).kind != "end":
                children.append(self._node(events, item, depth + 1))
                self._count(1, item)
        node.size = 1 + sum(child.size for child in children)
        node.height = 1 + max((child.height for child in children), default=0)
        return node

    def _entries(self, node: Node, events: Iterator[Event], depth: int) -> None:
        assert node.entries is not None
        seen: dict[Any, Node] = {}
        while (event := next(events)).kind != "end":
            key = self._key(events, event, depth)
            first = seen.setdefault(key.value, key) if isinstance(key.value, str) else key
            if first is not key:
                self._report(
                    "PRV1012",
                    f"the key {_short(str(key.value))!r} is given twice",
                    event,
                    "Remove one of the two: which one is meant cannot be known.",
                    detail=f"It stands on line {first.line + 1} already.",
                    related=(first.range_in(self._file),),
                )
            value_event = next(events)
            value = self._node(events, value_event, depth + 1)
            node.entries.append((key, value))
            self._count(1, value_event)

    def _key(self, events: Iterator[Event], event: Event, depth: int) -> Node:
        known = len(self.result.problems)
        if event.kind == "scalar" and event.anchor is not None:
            self._report(
                "PRV1013",
                "an anchor on a key",
                event,
                "Put the anchor behind the ':', on the value.",
            )
        key = self._node(events, event, depth + 1)
        if event.plain and event.text == "<<":
            self._report(
                "PRV1014",
                "merge keys ('<<') are not supported",
                event,
                "Write the fields out, use an environment's overlay, or alias single values.",
            )
        elif event.kind != "scalar":
            templated = event.kind == "map" and self._file.text.startswith("{{", event.offset - 1)
            self._report(
                "PRV1013",
                "a key has to be plain text",
                event,
                "Put text that begins with '{{' in quotes."
                if templated
                else "Write 'key: value', with text as the key.",
            )
        elif not isinstance(key.value, str) and len(self.result.problems) == known:
            self._report(
                "PRV1013",
                f"the key {event.text or 'null'!r} is {_kind_of(key.value)}, expected text",
                event,
                f'Put it in quotes: "{event.text}".'
                if event.text
                else "Write a key before the ':'.",
            )
        return key

    def _alias(self, event: Event, depth: int) -> Node:
        target = self._anchors.get(event.text)
        if target is None:
            inside = event.text in self._anchors
            self._report(
                "PRV1016",
                f"the alias '*{event.text}' stands inside of what it refers to"
                if inside
                else f"there is no anchor '&{event.text}' before this alias",
                event,
                "An alias repeats a complete value that stands before it in the same document.",
            )
            return Node(event.offset, event.line, event.end_offset)
        self._expanded -= target.size
        if self._expanded < 0:
            self._report(
                "PRV1017",
                "the aliases of the file stand for too many values",
                event,
                "Write replicas, variables or overlays instead of aliases of aliases.",
                detail=f"All aliases of a file may stand for {self._limits.expanded} values.",
            )
            raise _Enough
        if depth + target.height - 1 > self._limits.depth:
            self._report(
                "PRV1018",
                f"the alias nests collections more than {self._limits.depth} levels deep",
                event,
                "No kind needs such depth.",
            )
            raise _Enough
        self._count(target.size, event)
        return Node(
            event.offset,
            event.line,
            event.end_offset,
            target.value,
            target.entries,
            target.items,
            target.size,
            target.height,
        )

    def _count(self, nodes: int, event: Event) -> None:
        self._nodes += nodes
        if self._nodes > self._limits.nodes:
            self._report(
                "PRV1019",
                f"the document has more than {self._limits.nodes} values",
                event,
                "Split it into several documents.",
            )
            raise _Enough


def _short(text: str) -> str:
    text = text.replace("tag:yaml.org,2002:", "!!")
    return text if len(text) <= 60 else text[:57] + "..."


def _kind_of(value: Any) -> str:
    if value is None:
        return "empty"
    return "a truth value" if isinstance(value, bool) else "a number"
