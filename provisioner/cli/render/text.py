"""Text that is safe and readable on any terminal: escapes, widths, wrapping, columns. Used by every
renderer."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from typing import TypeAlias

Paint: TypeAlias = Callable[[str, str], str]
"""``paint(role, text)``: the text in the colour of its role, or as it is where there are no
colours."""

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


def table(header: Sequence[str], rows: Sequence[Sequence[str]], paint: Paint = plain) -> list[str]:
    """Columns, two spaces apart, each as wide as its widest cell; the last one is not padded.

    A table wider than the terminal is left to the terminal to wrap: cutting would hide what a
    script looks for.
    """
    cleaned = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(cells(line[i]) for line in [list(header), *cleaned]) for i in range(len(header))]

    def line(values: Sequence[str]) -> str:
        padded = [
            value + " " * (width - cells(value))
            for value, width in zip(values, widths, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return [paint("strong", line(header)), *(line(row) for row in cleaned)]


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 step``, ``3 steps``."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
