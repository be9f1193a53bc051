"""Strict YAML 1.2 on PyYAML's C parser; the only module that imports yaml.

The loader calls :func:`read_documents`, which builds plain data straight from parser events and
keeps no position but each document's first line. What it refuses comes back as
:class:`BrokenDocument`; :mod:`provisioner.manifest.positioned` then reads that one document again,
with the position of every node, and says what is wrong. :func:`write_documents` is the way back,
for the printer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from provisioner.manifest.scalars import PlainKeys, PlainScalars, needs_quotes

PARSER: str = yaml.__version__
LIBYAML: bool = yaml.__with_libyaml__
"""Whether the C parser is there; without it everything works about ten times slower."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may cost. ``expanded`` is for all aliases of a file together."""

    depth: int = 64
    nodes: int = 500_000
    expanded: int = 500_000


class YamlDocument(NamedTuple):
    """A document as plain data. ``start`` and ``end`` are its characters in the text, ``line``
    and ``offset`` where its first node begins (all from 0).
    """

    value: Any
    start: int
    end: int
    offset: int
    line: int


class BrokenDocument(NamedTuple):
    """A document that strict reading refuses, though a YAML parser may take it. ``expanded`` is
    the rest of the alias budget.
    """

    start: int
    end: int
    expanded: int


class SyntaxFailure(NamedTuple):
    """Where the parser gave up, and its own words for it. ``context_offset`` is where the construct
    began, ``start`` where the document did in which it stands; each -1 where there is none.
    """

    problem: str
    context: str
    offset: int
    context_offset: int
    start: int


class Event(NamedTuple):
    """A parser event for readers outside of this module. ``kind`` is one of ``scalar``, ``alias``,
    ``map``, ``seq``, ``end``, ``document``, ``stop`` (the parser gave up here).

    ``text`` is a scalar's text or an alias's name; ``plain`` tells a scalar without quotes;
    ``text`` of a document is the version that its ``%YAML`` directive names.
    """

    kind: str
    text: str
    plain: bool
    anchor: str | None
    tag: str | None
    offset: int
    end_offset: int


ReadResult: TypeAlias = YamlDocument | BrokenDocument | SyntaxFailure
_NextEvent: TypeAlias = Callable[[], Any]

SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
"""A document's start; at the beginning of a line it cannot be anything else (YAML 1.2.2, section
9.1.2).
"""
_OLD_BREAKS = "\x85\u2028\u2029"
"""Line breaks of YAML 1.1, which the parsers still go by, and text in YAML 1.2 (section 5.4)."""


class _Refused(Exception):
    """The document breaks a rule; which one is found out by reading it again."""


class _OverLimit(_Refused):
    """The document is over a limit, and not worth another event: each costs more the deeper."""


def read_documents(text: str, limits: Limits | None = None) -> Iterator[ReadResult]:
    """Every document of a text that is not empty, in order, and every place where reading failed.

    After a syntax error, and after a document over a limit, reading goes on at the next ``---``.
    """
    reader = _Reader(text, limits or Limits())
    yield from reader.read(0, len(text), 0)
    stopped_at = reader.stopped_at
    if stopped_at is None:
        return
    behind = stopped_at if text.startswith("---", stopped_at) else stopped_at + 1
    starts = list(_document_starts(text, behind))
    done, line = 0, 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=False):
        line += text.count("\n", done, start)
        done = start
        yield from reader.read(start, end, line)


class PartReader:
    """Reads a text by parts, each of which begins where a document does."""

    def __init__(self, text: str, limits: Limits | None = None) -> None:
        self._reader = _Reader(text, limits or Limits())

    @property
    def expanded(self) -> int:
        """Nodes that aliases have stood for in all parts that were read."""
        return self._reader.expanded

    def read(self, start: int, end: int, first_line: int) -> list[YamlDocument] | None:
        """The documents of ``text[start:end]``, which begins on line ``first_line``; None if
        anything in it is refused.
        """
        found = list(self._reader.read(start, end, first_line))
        documents = [result for result in found if isinstance(result, YamlDocument)]
        return documents if len(documents) == len(found) else None


def _document_starts(text: str, begin: int) -> Iterator[int]:
    """Where documents start that have a ``---``: there, or at the directives above it."""
    done = begin
    for match in SEPARATOR.finditer(text, begin):
        start = at = match.start()
        while at > done:
            above = text.rfind("\n", done, at - 1) + 1 or done
            line = text[above:at].strip()
            if line and line[0] not in "%#":
                break
            start = above if line[:1] == "%" else start
            at = above
        yield start
        done = match.end()


def marked_events(text: str, start: int, end: int) -> Iterator[Event]:
    """The events of one document, ``text[start:end]``, with positions in the whole text. Where the
    parser gives up, the last event is repeated for ever: ``stop``.
    """
    next_event = _parser(text[start:end])
    while True:
        try:
            event = next_event()
        except yaml.MarkedYAMLError as problem:
            stop = _failure(problem, start, start).offset
            yield from repeat(
                Event("stop", "", plain=False, anchor=None, tag=None, offset=stop, end_offset=stop)
            )
        kind = event.__class__
        name = _EVENT_NAMES.get(kind)
        if name is not None:
            yield Event(
                name,
                _event_text(event),
                kind is ScalarEvent and event.implicit[0],
                getattr(event, "anchor", None),
                getattr(event, "tag", None),
                event.start_mark.index + start,
                event.end_mark.index + start,
            )
        if kind is DocumentEndEvent or kind is StreamEndEvent:
            return


_EVENT_NAMES: dict[type, str] = {
    ScalarEvent: "scalar",
    AliasEvent: "alias",
    MappingStartEvent: "map",
    SequenceStartEvent: "seq",
    MappingEndEvent: "end",
    SequenceEndEvent: "end",
    DocumentStartEvent: "document",
}


def _event_text(event: Any) -> str:
    if event.__class__ is ScalarEvent:
        return str(event.value)
    if event.__class__ is AliasEvent:
        return str(event.anchor)
    version = getattr(event, "version", None)
    return ".".join(map(str, version)) if version else ""


def _parser(text: str) -> _NextEvent:
    stand_ins = _stand_ins(text)
    if stand_ins:
        text = text.translate(stand_ins)
    if LIBYAML:
        from yaml._yaml import CParser  # noqa: PLC0415 - exists only with libyaml

        next_event: _NextEvent = CParser(text).get_event
    else:
        next_event = yaml.SafeLoader(text).get_event
    return _restoring(next_event, stand_ins) if stand_ins else next_event


def _stand_ins(text: str) -> dict[int, int]:
    """For each line break of YAML 1.1 that the text has a character for private use that it has
    not.
    """
    old = [character for character in _OLD_BREAKS if character in text]
    free = (code for code in range(0xE000, 0xF900) if chr(code) not in text)
    return {ord(character): code for character, code in zip(old, free, strict=False)}


def _restoring(next_event: _NextEvent, stand_ins: Mapping[int, int]) -> _NextEvent:
    """Events with the text that was there before the stand-ins."""
    back = {code: character for character, code in stand_ins.items()}

    def restored() -> Any:
        event = next_event()
        if event.__class__ is ScalarEvent:
            event.value = event.value.translate(back)
        return event

    return restored


class _Reader:
    """Reads the documents of one text. What scalars mean is remembered for the whole text."""

    def __init__(self, text: str, limits: Limits) -> None:
        self._text = text
        self._limits = limits
        self._scalars = PlainScalars()
        self._keys = PlainKeys()
        self.expanded = 0
        """Nodes that aliases of the text have stood for until now."""
        self._nodes = 0
        self._anchors: dict[str, Any] = {}
        self._next: _NextEvent = lambda: None
        self._start = -1
        """Where the document begins that is being read; -1 between documents."""
        self.stopped_at: int | None = None
        """Where :meth:`read` gave up before the end."""

    def read(self, start: int, end: int, first_line: int) -> Iterator[ReadResult]:
        """The documents of ``text[start:end]``, which begins on line ``first_line``; ends at the
        first syntax error.
        """
        self.stopped_at = None
        self._start = start
        whole = start == 0 and end == len(self._text)
        try:
            self._next = next_event = _parser(self._text if whole else self._text[start:end])
            while True:
                event = next_event()
                kind = event.__class__
                if kind is DocumentStartEvent:
                    yield from self._document(event, start, first_line)
                if kind is StreamEndEvent or self.stopped_at is not None:
                    return
        except yaml.MarkedYAMLError as problem:
            failure = _failure(problem, start, self._start)
            self.stopped_at = failure.offset
            yield failure

    def _document(self, event: Any, base: int, first_line: int) -> Iterator[ReadResult]:
        mark: Any = event.start_mark
        self._start = start = self._text.rfind("\n", 0, mark.index + base) + 1
        self._nodes, self._anchors = 0, {}
        budget = self.expanded
        value = None
        first = self._next()
        try:
            if event.version is not None and tuple(event.version) != (1, 2):
                raise _Refused
            value = self._node(first, 1)
            refused = False
            end = self._next().end_mark.index + base
        except (_Refused, ValueError) as problem:
            refused = True
            end = -1 if isinstance(problem, _OverLimit) else self._skip(base)
        if end < 0:
            self.stopped_at = first.start_mark.index + base
            separator = SEPARATOR.search(self._text, self.stopped_at + 1)
            end = separator.start() if separator is not None else len(self._text)
        self._start = -1
        if refused:
            yield BrokenDocument(start, end, self._limits.expanded - budget)
        elif value is not None:
            mark = first.start_mark
            yield YamlDocument(value, start, end, mark.index + base, mark.line + first_line)

    def _skip(self, base: int) -> int:
        """The end of a refused document, from somewhere within it; -1 if it is not worth going
        there.
        """
        depth = 0
        while True:
            event = self._next()
            kind = event.__class__
            if kind is DocumentEndEvent:
                return int(event.end_mark.index) + base
            if kind is MappingStartEvent or kind is SequenceStartEvent:
                depth += 1
                if depth > self._limits.depth:
                    return -1
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                depth -= 1

    def _node(self, event: Any, depth: int) -> Any:
        """Any node but the scalars without properties, which their parents read themselves."""
        kind = event.__class__
        if kind is AliasEvent:
            return self._alias(event.anchor, depth)
        if event.tag is not None:
            raise _Refused
        value: Any
        if kind is ScalarEvent:
            value = self._scalars[event.value] if event.implicit[0] else event.value
        elif depth > self._limits.depth:
            raise _OverLimit
        elif kind is MappingStartEvent:
            value = self._mapping(depth)
        else:
            value = self._sequence(depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _mapping(self, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        next_event, scalars, keys = self._next, self._scalars, self._keys
        limit = self._limits.nodes
        while True:
            event = next_event()
            kind = event.__class__
            if kind is not ScalarEvent:
                if kind is MappingEndEvent:
                    break
                raise _Refused
            key = keys[event.value] if event.implicit[0] else event.value
            if key in result or event.tag is not None or event.anchor is not None:
                raise _Refused
            event = next_event()
            if event.__class__ is ScalarEvent and event.tag is None and event.anchor is None:
                result[key] = scalars[event.value] if event.implicit[0] else event.value
            else:
                result[key] = self._node(event, depth + 1)
            if len(result) > limit:
                raise _OverLimit
        self._count(len(result))
        return result

    def _sequence(self, depth: int) -> list[Any]:
        result: list[Any] = []
        next_event, scalars = self._next, self._scalars
        limit = self._limits.nodes
        while True:
            event = next_event()
            kind = event.__class__
            if kind is SequenceEndEvent:
                break
            if kind is ScalarEvent and event.tag is None and event.anchor is None:
                result.append(scalars[event.value] if event.implicit[0] else event.value)
            else:
                result.append(self._node(event, depth + 1))
            if len(result) > limit:
                raise _OverLimit
        self._count(len(result))
        return result

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > self._limits.nodes:
            raise _OverLimit

    def _alias(self, name: str, depth: int) -> Any:
        if name not in self._anchors:
            raise _Refused
        value = self._anchors[name]
        nodes, height = measure(value)
        self.expanded += nodes
        if self.expanded > self._limits.expanded or depth + height - 1 > self._limits.depth:
            raise _OverLimit
        self._count(nodes)
        return copy_of(value)


def measure(value: Any) -> tuple[int, int]:
    """Number of nodes of a value, and how many collections deep it is."""
    if isinstance(value, dict):
        children: Iterable[Any] = value.values()
    elif isinstance(value, list):
        children = value
    else:
        return 1, 0
    nodes, height = 1, 0
    for child in children:
        below, deep = measure(child)
        nodes += below
        height = max(height, deep)
    return nodes, height + 1


def copy_of(value: Any) -> Any:
    """A copy of plain data, so that no two places of a document share a collection."""
    if isinstance(value, dict):
        return {key: copy_of(child) for key, child in value.items()}
    if isinstance(value, list):
        return [copy_of(child) for child in value]
    return value


def _failure(problem: yaml.MarkedYAMLError, base: int, start: int) -> SyntaxFailure:
    mark = problem.problem_mark or problem.context_mark
    context = problem.context_mark
    return SyntaxFailure(
        problem.problem or "",
        problem.context or "",
        mark.index + base if mark is not None else base,
        context.index + base if context is not None else -1,
        start,
    )


def write_documents(documents: Iterable[Any]) -> str:
    """YAML text of plain JSON data, a document for each value; :func:`read_documents` gives the
    same values back.
    """
    dumper = yaml.CDumper if LIBYAML else yaml.Dumper
    return str(yaml.emit(_stream(documents), Dumper=dumper, allow_unicode=True, width=1000))


def _stream(documents: Iterable[Any]) -> Iterator[yaml.Event]:
    yield StreamStartEvent()
    for number, value in enumerate(documents):
        yield DocumentStartEvent(explicit=number > 0)
        yield from _events(value)
        yield DocumentEndEvent(explicit=False)
    yield StreamEndEvent()


def _events(value: Any) -> Iterator[yaml.Event]:
    if isinstance(value, dict):
        yield MappingStartEvent(anchor=None, tag=None, implicit=True, flow_style=not value)
        for key, child in value.items():
            yield _scalar(key)
            yield from _events(child)
        yield MappingEndEvent()
    elif isinstance(value, list):
        yield SequenceStartEvent(anchor=None, tag=None, implicit=True, flow_style=not value)
        for child in value:
            yield from _events(child)
        yield SequenceEndEvent()
    else:
        yield _scalar(value)


def _scalar(value: Any) -> yaml.Event:
    if isinstance(value, str):
        style = '"' if needs_quotes(value) else None
        if "\n" in value and value.replace("\n", "").isprintable():
            style = "|"
        return ScalarEvent(
            anchor=None, tag=None, implicit=(style is None, True), value=value, style=style
        )
    words: dict[Any, str] = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    return ScalarEvent(anchor=None, tag=None, implicit=(True, False), value=text)
