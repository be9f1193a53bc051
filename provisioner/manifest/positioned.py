"""A document as a tree of nodes with positions: made only of documents in which something is to be
shown.

:func:`compose` reads one document again that :mod:`provisioner.manifest.yamlstrict` either refused
(then it says why) or took, in which a later stage found a mistake (then :func:`find` gives the
place of the field concerned). :func:`plain` gives what can be read of a refused one, so that the
rest of it is checked in the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from provisioner.core.diagnostics import Diagnostic, SourceRange, error, quoted, shortened
from provisioner.manifest.placeholders import UNREADABLE
from provisioner.manifest.problems import Element, Part
from provisioner.manifest.scalars import resolve
from provisioner.manifest.source import SourceFile
from provisioner.manifest.yamlstrict import Event, Limits, marked_events


@dataclass
class Node:
    """A node and where it stands (characters from 0). ``size`` and ``height`` count what its
    aliases stand for. ``readable``: False for one that strict reading refuses, whatever it holds.
    """

    offset: int
    end: int
    value: Any = None
    entries: list[tuple[Node, Node]] | None = None
    items: list[Node] | None = None
    size: int = 1
    height: int = 0
    readable: bool = True

    def range_in(self, file: SourceFile) -> SourceRange:
        """The place of the node; a collection's is its first character."""
        length = self.end - self.offset if self.entries is None and self.items is None else 1
        return file.range_of(self.offset, length)

    @cached_property
    def by_key(self) -> dict[Any, tuple[Node, Node]]:
        """The entries of a mapping by key, the first one of each."""
        return {key.value: (key, value) for key, value in reversed(self.entries or ())}


@dataclass(slots=True)
class Composition:
    """A document's nodes and what strict reading refuses in it."""

    root: Node | None = None
    problems: list[Diagnostic] = field(default_factory=list)
    open_brackets: list[int] = field(default_factory=list)
    """Where ``[`` and ``{`` stand that were not closed when the parser gave up, the innermost
    first.
    """


class _Enough(Exception):
    """The document is over a limit: no use in reading on."""


def compose(
    file: SourceFile,
    start: int,
    end: int,
    *,
    limits: Limits | None = None,
    expanded: int | None = None,
) -> Composition:
    """Read the document ``text[start:end]``, as far as the parser goes.

    ``expanded`` is how many nodes its aliases may stand for. The problems are those for which
    :func:`provisioner.manifest.yamlstrict.read_documents` refuses a document (PRV1012..PRV1019,
    PRV1021, PRV1022).
    """
    limits = limits or Limits()
    composer = _Composer(file, limits, limits.expanded if expanded is None else expanded)
    composer.run(marked_events(file.text, start, end))
    return composer.result


def plain(node: Node | None) -> Any:
    """The value of a node as strict reading gives it, with ``UNREADABLE`` in the place of what it
    refuses.

    What merge keys bring is unreadable, too: else it would be called missing.
    """
    if node is None or not node.readable:
        return UNREADABLE
    if node.entries is not None:
        return _plain_mapping(node.entries)
    if node.items is not None:
        return [plain(item) for item in node.items]
    return node.value


def _plain_mapping(entries: list[tuple[Node, Node]]) -> Any:
    result: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, child in entries:
        if not isinstance(key.value, str):
            continue
        if key.value == "<<" and not key.readable:
            value = plain(child)
            for more in reversed(value if isinstance(value, list) else [value]):
                if not isinstance(more, dict):
                    return UNREADABLE
                merged |= dict.fromkeys(more, UNREADABLE)
        else:
            result[key.value] = UNREADABLE if key.value in result else plain(child)
    return {**merged, **result}


def find(
    node: Node | None, path: tuple[Part, ...], same: Same | None = None
) -> tuple[Node | None, Node | None, int]:
    """The deepest node on ``path``, the node of its key (None for a list element) and how many
    parts were followed.

    ``same`` tells whether the text of a key is another way to write the key of an element.
    """
    key: Node | None = None
    for followed, part in enumerate(path):
        if node is None:
            return None, key, followed
        step = _step(node, part, same or _equal)
        if step is None:
            return node, key, followed
        key, node = step
    return node, key, len(path)


Same = Callable[[str, Element], bool]


def _equal(text: str, element: Element) -> bool:
    return text == element.key


def _step(node: Node, part: Part, same: Same) -> tuple[Node | None, Node] | None:
    if node.entries is not None:
        return node.by_key.get(part.key if isinstance(part, Element) else part)
    if node.items is None:
        return None
    if isinstance(part, Element):
        return _element(node.items, part, same)
    number = part if isinstance(part, int) else int(part) if part.isdecimal() else -1
    return (None, node.items[number]) if 0 <= number < len(node.items) else None


def _element(items: list[Node], part: Element, same: Same) -> tuple[None, Node] | None:
    """The element that has the number and the key; else the first one with the key, else the one
    with the number.
    """
    counted = items[part.number] if part.number is not None and part.number < len(items) else None
    if part.key is not None and (counted is None or not _is(counted, part, same)):
        for item in items:
            if _is(item, part, same):
                return None, item
    return None if counted is None else (None, counted)


def _is(item: Node, part: Element, same: Same) -> bool:
    _, key = item.by_key.get(part.key_field, (None, None))
    return key is not None and isinstance(key.value, str) and same(key.value, part)


_ENDS = frozenset({"end", "stop"})


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
        if document.kind == "stop":
            return
        if document.text not in {"", "1.2"}:
            self._report(
                "PRV1022",
                f"the document says that it is YAML {document.text}",
                document,
                "Manifests are YAML 1.2: remove the %YAML directive.",
            )
        try:
            first = next(events)
            if first.kind != "stop":
                self.result.root = self._node(events, first, 1)
        except _Enough:
            return

    def _report(self, code: str, summary: str, event: Event, hint: str, **rest: Any) -> None:
        source = self._file.range_of(event.offset, event.end_offset - event.offset)
        self.result.problems.append(error(code, summary, source=source, hint=hint, **rest))

    def _node(self, events: Iterator[Event], event: Event, depth: int) -> Node:
        if event.kind == "alias":
            return self._alias(event, depth)
        if event.tag is not None:
            self._report(
                "PRV1015",
                f"the tag {quoted(_written_tag(event.tag))} is not supported",
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
        node.readable = node.readable and event.tag is None
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: Event) -> Node:
        node = Node(event.offset, event.end_offset, event.text)
        if event.plain:
            try:
                node.value = resolve(event.text)
            except ValueError as problem:
                node.readable = False
                self._report(
                    "PRV1021",
                    f"{problem}: {shortened(event.text)}",
                    event,
                    "Put it in quotes if it is meant as text.",
                )
        return node

    def _collection(self, events: Iterator[Event], event: Event, depth: int) -> Node:
        node = Node(event.offset, event.offset + 1)
        if event.kind == "map":
            node.entries = []
            self._entries(node, events, depth)
            children = [value for _, value in node.entries]
        else:
            node.items = children = []
            while (item := next(events)).kind not in _ENDS:
                children.append(self._node(events, item, depth + 1))
                self._count(1, item)
            self._note_end(item, node)
        node.size = 1 + sum(child.size for child in children)
        node.height = 1 + max((child.height for child in children), default=0)
        return node

    def _entries(self, node: Node, events: Iterator[Event], depth: int) -> None:
        assert node.entries is not None
        seen: dict[Any, Node] = {}
        while (event := next(events)).kind not in _ENDS:
            key = self._key(events, event, depth)
            first = seen.setdefault(key.value, key) if isinstance(key.value, str) else key
            if first is not key:
                self._report(
                    "PRV1012",
                    f"the key {quoted(str(key.value))} is given twice",
                    event,
                    "Remove one of the two: which one is meant cannot be known.",
                    detail=f"It stands on line {self._file.line_at(first.offset) + 1} already.",
                    related=(first.range_in(self._file),),
                )
            value_event = next(events)
            if value_event.kind == "stop":
                event = value_event
                break
            value = self._node(events, value_event, depth + 1)
            node.entries.append((key, value))
            self._count(1, value_event)
        self._note_end(event, node)

    def _note_end(self, event: Event, node: Node) -> None:
        if event.kind == "stop" and self._file.text.startswith(("[", "{"), node.offset):
            self.result.open_brackets.append(node.offset)

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
            key.readable = False
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
                f"the key {quoted(event.text or 'null')} is {_kind_of(key.value)}, expected text",
                event,
                f'Put it in quotes: "{shortened(event.text)}".'
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
                f"the alias '*{shortened(event.text)}' stands inside of what it refers to"
                if inside
                else f"there is no anchor '&{shortened(event.text)}' before this alias",
                event,
                "An alias repeats a complete value that stands before it in the same document.",
            )
            return Node(event.offset, event.end_offset, readable=False)
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
            event.end_offset,
            target.value,
            target.entries,
            target.items,
            target.size,
            target.height,
            target.readable,
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


def _written_tag(text: str) -> str:
    return text.replace("tag:yaml.org,2002:", "!!")


def _kind_of(value: Any) -> str:
    if value is None:
        return "empty"
    return "a truth value" if isinstance(value, bool) else "a number"
