"""Collects what is said about a stack while it is loaded: every mistake once, in the order of files
and lines, and of one file not more than anybody reads.

:mod:`provisioner.manifest.loader` makes one, and all stages report to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from provisioner.core.diagnostics import Diagnostic, Severity, SourceRange, by_place, note
from provisioner.manifest.places import Origin, Places
from provisioner.manifest.problems import Problem

SHOWN = 100
"""Errors of one file that are shown, and warnings."""
_KEPT = 1000
"""Mistakes of one file whose places are looked up, so that the first ones in it can be shown."""


class Reports:
    """The diagnostics of one loading, with their places."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._found: dict[tuple[object, ...], Diagnostic] = {}
        self._told: set[tuple[object, ...]] = set()
        self._of_file: Counter[tuple[str, bool]] = Counter()

    def add(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Take diagnostics that have their places already."""
        for item in diagnostics:
            self._found[item.code, item.source, item.summary] = item

    def report(
        self,
        origin: Origin,
        kind: str,
        problem: Problem,
        value: object = None,
        address: str | None = None,
    ) -> None:
        """Take a problem of a manifest; ``value`` is the whole document in which its path stands,
        if it is at hand.
        """
        name = origin.file.name
        key = (name, origin.start, problem.path, problem.code, problem.summary, problem.within)
        if key in self._told:
            return
        self._told.add(key)
        self._of_file[name, problem.warning] += 1
        if self._of_file[name, problem.warning] <= _KEPT:
            self.add([self._places.report(origin, kind, problem, value, address=address)])

    def within(self, origin: Origin) -> list[Diagnostic]:
        """Those whose place is in a document."""
        return [item for item in self._found.values() if origin.holds(item.source)]

    def in_order(self, files: Sequence[str]) -> list[Diagnostic]:
        """All of them in the order of files and lines, those of no file first. Of what is too much
        it is only said how much it is.
        """
        by_file: dict[str | None, list[Diagnostic]] = {}
        for item in by_place(self._found.values(), files):
            by_file.setdefault(item.source.file if item.source else None, []).append(item)
        result = by_file.pop(None, [])
        for name, items in by_file.items():
            if name is not None:
                result += self._first(name, items)
        return result

    def _first(self, name: str, items: list[Diagnostic]) -> Iterator[Diagnostic]:
        """The first errors and warnings of a file, and how many more there are."""
        shown: Counter[Severity] = Counter()
        more = {
            severity: max(0, self._of_file[name, severity is Severity.WARNING] - _KEPT)
            for severity in (Severity.ERROR, Severity.WARNING)
        }
        last: SourceRange | None = None
        for item in items:
            shown[item.severity] += 1
            if shown[item.severity] <= SHOWN:
                last = item.source
                yield item
            else:
                more[item.severity] += 1
        words = [f"{number:,} more {kind}s" for kind, number in more.items() if number]
        if words and last is not None:
            yield note(
                "PRV1023",
                f"{' and '.join(words)} in this file are not shown",
                source=SourceRange(name, last.line, last.column),
                hint="Mend the first ones and run the command again.",
            )
