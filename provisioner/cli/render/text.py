"""Text that is safe and readable on any terminal: escapes, widths, wrapping, columns. Used by every
renderer."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

Paint: TypeAlias = Callable[[str, str], str]
"""``paint(role, text)``: the text in the colour of its role, or as it is where there are no
colours."""

_FURTHER_IN = 4
_WIDEST_NAME = 36
_CODES = {
    "add": "32",
    "change": "33",
    "destroy": "31;1",
    "error": "31;1",
    "hint": "36",
    "muted": "2",
    "note": "36;1",
    "strong": "1",
    "warning": "33;1",
}


def painted(role: str, text: str) -> str:
    """The text in its role's colour (SGR, ECMA-48)."""
    return f"\x1b[{_CODES[role]}m{text}\x1b[0m" if text else ""


def plain(role: str, text: str) -> str:  # noqa: ARG001 - same signature as painted
    """The text without colour."""
    return text


def printable(text: str) -> str:
    """``text`` with everything that could steer a terminal or mislead a reader written as an
    escape.

    Manifests, guests and endpoints supply text; control characters, bidirectional overrides and
    lone surrogates in it must not reach the terminal. Newlines stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char == "\n" or char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    if char == "\t":
        return "    "
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def cells(text: str) -> int:
    """How many columns a terminal takes for the text (wide East Asian characters take two)."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(char) for char in text)


def _cells_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def wrap(text: str, width: int, indent: str = "", hanging: str | None = None) -> list[str]:
    """Lines of at most ``width`` columns; the text's own line breaks stay, long words are kept
    whole."""
    lines: list[str] = []
    for number, line in enumerate(printable(text).split("\n")):
        first = indent if number == 0 or hanging is None else hanging
        lines += textwrap.wrap(
            line,
            width=max(width, 20),
            initial_indent=first,
            subsequent_indent=indent if hanging is None else hanging,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return lines


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], paint: Paint = plain, width: int = 80
) -> list[str]:
    """Columns, two spaces apart, each as wide as its widest cell; the last one is not padded.

    Columns in which nothing stands are left out. What of a row does not fit goes on below, further
    in: nothing is cut, for it may be what a reader looks for.
    """
    cleaned = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    used = [i for i in range(len(header)) if any(row[i] for row in cleaned) or not cleaned]
    lines = [[row[i] for i in used] for row in [list(header), *cleaned]]
    widths = [max(cells(line[i]) for line in lines) for i in range(len(used))]
    first, *rest = (_row(line, widths, width) for line in lines)
    return [*(paint("strong", line) for line in first), *(line for row in rest for line in row)]


def _row(values: Sequence[str], widths: Sequence[int], width: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for value, padded in zip(values, widths, strict=True):
        separator = "" if not line else "  "
        if line.strip() and cells(line + separator + value) > width:
            lines.append(line.rstrip())
            line, separator = " " * _FURTHER_IN, ""
        line += separator + value + " " * (padded - cells(value))
    return [*lines, line.rstrip()]


def pairs(values: Sequence[tuple[str, str]], width: int = 80, indent: str = "  ") -> list[str]:
    """Names and values in two columns; a value that does not fit beside its name stands below."""
    column = column_of(name for name, _ in values)
    return [line for name, value in values for line in pair(name, value, column, width, indent)]


def pair(name: str, value: str, column: int, width: int, indent: str) -> list[str]:
    """One name with its value, which begins ``column`` columns after the indent, or below."""
    name = printable(name)
    start = indent + name + " " * (column - cells(name))
    if cells(name) <= column and cells(start) + 2 + cells(value) <= width:
        return [f"{start}  {printable(value)}".rstrip()]
    return [f"{indent}{name}", *wrap(value, width, indent + " " * _FURTHER_IN)]


def column_of(names: Iterable[str]) -> int:
    """How wide a column of names is: as the widest one but for the odd very long one."""
    widths = [cells(printable(name)) for name in names]
    return max((width for width in widths if width <= _WIDEST_NAME), default=0)


def listed(items: Sequence[str], most: int = 10) -> str:
    """``a, b and c``, or ``a, b and 9,940 more`` if there are many."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most:,} more"
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def natural(text: str) -> tuple[tuple[int, str | int], ...]:
    """A key that sorts as people count: ``vm-2`` before ``vm-10``."""
    parts = re.split(r"(\d+)", text)
    return tuple((1, int(part)) if part.isdecimal() else (0, part) for part in parts)


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 step``, ``3 steps``, ``9,940 steps``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
