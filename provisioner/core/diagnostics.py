"""The one type in which this project reports anything to a person: :class:`Diagnostic`.

Codes are stable: ``PRV1xxx`` manifests, ``PRV2xxx`` plan, ``PRV3xxx`` apply, ``PRV4xxx`` state,
``PRV5xxx`` providers, ``PRV6xxx`` command line, ``PRV7xxx`` runbooks and recovery. Every code
stands in docs/diagnostics.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from provisioner.core.values import Path

_PASSWORD = re.compile(r"(?<=://)([^\s/?#'\"@:]*:)([^\s/?#'\"@]+)(?=@)")


def without_passwords(text: str) -> str:
    """The text with the passwords of URLs in it replaced by as many asterisks."""
    return _PASSWORD.sub(lambda match: match[1] + "*" * len(match[2]), text)


LONGEST = 80
"""Characters of a value that a message shows."""


def shortened(text: str, most: int = LONGEST) -> str:
    """A value for a message: the middle of a long one is left out, for its ends tell it from
    others.
    """
    if len(text) <= most:
        return text
    head = (most - 3 + 1) // 2
    return f"{text[:head]}...{text[len(text) - (most - 3 - head) :]}"


def quoted(text: str) -> str:
    """A value in quotes for a message, shortened."""
    return repr(shortened(text))


class Severity(StrEnum):
    """How bad it is: an error stops the operation, a warning never does."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class SourceRange(NamedTuple):
    """A place in a file. Lines and columns count from 1; ``text`` is the whole line, without its
    end.
    """

    file: str
    line: int
    column: int
    text: str = ""
    length: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def as_json(self) -> dict[str, Any]:
        """Plain data; the keys are the fields."""
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What was found, what was expected, and what to do.

    ``summary`` is one line without a full stop. ``detail`` may have several lines. ``hint`` says
    how to mend it. ``address`` is the text of the resource address concerned, where there is one.
    ``path`` leads to the field in the resource's canonical spec, for whoever can look up its place.
    ``trace`` is where in the code a defect showed, for ``--verbose``; it holds no values.
    """

    severity: Severity
    code: str
    summary: str
    detail: str = ""
    source: SourceRange | None = None
    hint: str = ""
    address: str | None = None
    related: tuple[SourceRange, ...] = ()
    path: Path = ()
    trace: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        """Hide passwords in URLs, wherever they come from: nobody has to think of it."""
        for name in ("summary", "detail", "hint"):
            text = getattr(self, name)
            if "://" in text:
                object.__setattr__(self, name, without_passwords(text))
        if self.source is not None and "://" in self.source.text:
            masked = self.source._replace(text=without_passwords(self.source.text))
            object.__setattr__(self, "source", masked)

    def at(self, source: SourceRange | None) -> Diagnostic:
        """The same diagnostic at a place, unless it already has one."""
        return self if self.source is not None or source is None else replace(self, source=source)

    def about(self, address: object) -> Diagnostic:
        """The same diagnostic about a resource, unless it already names one."""
        return self if self.address is not None else replace(self, address=str(address))

    def as_json(self) -> dict[str, Any]:
        """Plain data for ``--json``; empty fields are left out."""
        data: dict[str, Any] = {
            "severity": self.severity.value,
            "code": self.code,
            "summary": self.summary,
        }
        if self.detail:
            data["detail"] = self.detail
        if self.hint:
            data["hint"] = self.hint
        if self.address is not None:
            data["address"] = self.address
        if self.source is not None:
            data["source"] = self.source.as_json()
        if self.related:
            data["related"] = [place.as_json() for place in self.related]
        return data


def error(code: str, summary: str, **rest: Any) -> Diagnostic:
    """An error diagnostic; ``rest`` are the other fields of :class:`Diagnostic`."""
    return Diagnostic(Severity.ERROR, code, summary, **rest)


def warning(code: str, summary: str, **rest: Any) -> Diagnostic:
    """A warning diagnostic; ``rest`` are the other fields of :class:`Diagnostic`."""
    return Diagnostic(Severity.WARNING, code, summary, **rest)


def note(code: str, summary: str, **rest: Any) -> Diagnostic:
    """A note; ``rest`` are the other fields of :class:`Diagnostic`."""
    return Diagnostic(Severity.NOTE, code, summary, **rest)


def by_place(diagnostics: Iterable[Diagnostic], files: Iterable[str]) -> list[Diagnostic]:
    """Diagnostics in the order of ``files`` and lines; those without a place come first, those in
    other files last.
    """
    order = {name: number for number, name in enumerate(files)}

    def position(item: Diagnostic) -> tuple[int, int, int]:
        if item.source is None:
            return (-1, 0, 0)
        return (order.get(item.source.file, len(order)), item.source.line, item.source.column)

    return sorted(diagnostics, key=position)


class Diagnostics:
    """Collects diagnostics, so that one run reports every error and not only the first."""

    def __init__(self, items: Iterable[Diagnostic] = ()) -> None:
        self._items: list[Diagnostic] = list(items)

    def add(self, diagnostic: Diagnostic) -> None:
        """Append one."""
        self._items.append(diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Append several, in order."""
        self._items.extend(diagnostics)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def errors(self) -> list[Diagnostic]:
        """Only the errors."""
        return [item for item in self._items if item.severity is Severity.ERROR]

    def raise_errors(self) -> None:
        """Raise :class:`ProvisionerError` with everything collected if there is an error in it."""
        if self.errors:
            raise ProvisionerError(self._items)


class ProvisionerError(Exception):
    """An operation could not go on; carries every diagnostic known by then (at least one error)."""

    def __init__(self, diagnostics: Diagnostic | Sequence[Diagnostic]) -> None:
        if isinstance(diagnostics, Diagnostic):
            diagnostics = [diagnostics]
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__("; ".join(f"{item.code} {item.summary}" for item in self.diagnostics))
