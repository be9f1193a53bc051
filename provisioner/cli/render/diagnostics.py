"""Diagnostics as people read them: place, quoted line with a caret, what was expected, how to mend
it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from provisioner.cli.render.hints import commands_of, render_hint
from provisioner.cli.render.text import Paint, cells, count, listed, plain, printable, wrap
from provisioner.core.diagnostics import Diagnostic, Severity, SourceRange

MOST = 100
"""Diagnostics that are shown; with more, something common to all of them is wrong."""
_FEW = 5
"""Names that are taken, each of which is shown with its place."""
_OWN_NAME = (("name",), ("externalName",))
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
"""A name as :func:`repr` quotes it."""


def render_diagnostics(
    diagnostics: Sequence[Diagnostic], width: int = 80, paint: Paint = plain
) -> list[str]:
    """The first :data:`MOST`, an empty line between each two, and at the end how many are left out
    and how many errors there are. What is the same for several resources is said once.
    """
    lines: list[str] = []
    groups = list(_alike(diagnostics))
    for first, *others in groups[:MOST]:
        if lines:
            lines.append("")
        lines += render_diagnostic(first, width, paint)
        if others:
            addresses = [str(item.address) for item in others]
            lines += wrap(f"The same for {listed(addresses)}.", width, "  ", "    ")
    left = sum(map(len, groups[MOST:]))
    if left:
        lines += ["", *wrap(f"and {left:,} more, which are not shown; --json has them all.", width)]
    errors = sum(item.severity is Severity.ERROR for item in diagnostics)
    if errors > 1:
        lines += ["", paint("error", count(errors, "error"))]
    return lines


def _alike(diagnostics: Sequence[Diagnostic]) -> Iterable[list[Diagnostic]]:
    """Those that say the same of different resources, together. Each that has a place is alone, but
    for what is said of the names of more than a few resources.
    """
    said = [_said(item) for item in diagnostics]
    often = Counter(said)
    groups: dict[object, list[Diagnostic]] = {}
    for number, (item, key) in enumerate(zip(diagnostics, said, strict=True)):
        alone = key is None or (item.source is not None and often[key] <= _FEW)
        groups.setdefault(number if alone else key, []).append(item)
    return groups.values()


def _said(item: Diagnostic) -> tuple[str, ...] | None:
    """What is said, whichever resource it is said of; None for what is said of one place."""
    names = item.path in _OWN_NAME
    if item.address is None or (item.source is not None and not names):
        return None
    summary = _QUOTED.sub("", item.summary, count=1) if names else item.summary
    texts = (summary, item.detail, item.hint)
    return (item.code, *(text.replace(item.address, "\0") for text in texts))


def render_diagnostic(diagnostic: Diagnostic, width: int = 80, paint: Paint = plain) -> list[str]:
    """One diagnostic in a few lines of at most ``width`` columns (quoted lines are cut around the
    caret)."""
    word = diagnostic.severity.value
    prefix = f"{word}[{diagnostic.code}]: "
    summary = diagnostic.summary
    if diagnostic.address is not None and diagnostic.address not in summary:
        summary = f"{diagnostic.address}: {summary}"
    first, *rest = wrap(prefix + summary, width, hanging="  ")
    role = "error" if diagnostic.severity is Severity.ERROR else word
    lines = [paint(role, prefix.rstrip()) + first[len(prefix) - 1 :], *rest]
    if diagnostic.source is not None:
        lines += _quote(diagnostic.source, width, paint, "-->")
    if diagnostic.detail:
        lines += wrap(diagnostic.detail, width, indent="  ")
    for source in diagnostic.related:
        lines += _quote(source, width, paint, "see")
    if diagnostic.hint:
        lines += render_hint(diagnostic.hint, width, paint)
    return lines


def _quote(source: SourceRange, width: int, paint: Paint, arrow: str) -> list[str]:
    lines = [f"  {paint('muted', arrow)} {printable(str(source))}"]
    if not source.text.strip():
        return lines
    number = str(source.line)
    gutter = " " * len(number)
    column = min(source.column, len(source.text) + 1) - 1
    text, before, marked = _cut(source.text, column, max(source.length, 1), width - len(number) - 6)
    bar = paint("muted", "|")
    lines.append(f"  {paint('muted', number)} {bar} {text}")
    lines.append(f"  {gutter} {bar} {' ' * before}{paint('error', '^' * marked)}")
    return lines


def _cut(line: str, column: int, length: int, width: int) -> tuple[str, int, int]:
    """A part of the line that fits and holds the marked place; columns before the mark and in
    it."""
    if cells(printable(line)) <= width:
        start, end, head, tail = 0, len(line), "", ""
    else:
        start = 0 if column + length <= width - 6 else max(0, column - width // 3)
        end = start + width - 6
        head, tail = ("..." if start else ""), ("..." if len(line) > end else "")
    shown = line[start:end]
    before = cells(head + printable(line[start:column]))
    marked = max(1, min(cells(printable(line[column : column + length])), width - before - 3))
    return head + printable(shown) + tail, before, marked


def diagnostics_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, object]]:
    """Plain data, in order."""
    return [diagnostic_json(item) for item in diagnostics]


def diagnostic_json(item: Diagnostic) -> dict[str, object]:
    """Plain data, with the commands that the hint names, each as it can be pasted."""
    commands = commands_of(item.hint)
    return {**item.as_json(), **({"commands": commands} if commands else {})}
