"""Plain scalars of YAML 1.2: what text without quotes means.

Called by :mod:`provisioner.manifest.yamlstrict` for every plain scalar and by the printer to decide
what needs quotes. The rules are those of the core schema (YAML 1.2.2, section 10.3.2) with two
differences: a number with leading zeros (``0755``) stays text, since nobody who writes it means
seven hundred and fifty-five; and a number that JSON cannot carry (infinite, not a number, beyond 64
bits) is refused.
"""

from __future__ import annotations

import re

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NUMBER_START = frozenset("0123456789+-.")
_LIMIT = 2**63
_MOST_DIGITS = 400
"""Longer than any double, and short enough for ``int`` and ``float`` to be quick about it."""
_EXACT = 2**53
_OLD_WORDS = frozenset({"yes", "no", "on", "off", "y", "n", "<<", "="})
_OLD_NUMBERS = re.compile(
    r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"  # sexagesimal
    r"|[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?|[-+]?0b[01_]+|[-+]?0x[0-9a-fA-F_]+"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?"  # timestamp
)
"""What YAML 1.1 (section 10.3 and its type repository) reads as numbers or dates and 1.2 does
not.
"""

_OLD_BREAKS = re.compile("[\x85\u2028\u2029]")


def resolve(text: str) -> bool | int | float | str | None:
    """The value of a plain scalar; raises ValueError for a number that cannot be used.

    A float without a fraction comes back as an integer, for JSON does not tell ``2.0`` from ``2``.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INTEGER.fullmatch(text):
        return _bounded(text, 10)
    if _BASED.fullmatch(text):
        return _bounded(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text):
        value = float(text) if len(text) <= _MOST_DIGITS else float("inf")
        if value in (float("inf"), float("-inf")):
            raise ValueError("the number is too large")
        return int(value) if value.is_integer() and abs(value) <= _EXACT else value
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("the number is not finite")
    return text


def needs_quotes(text: str) -> bool:
    """Whether ``text`` would not be read back as the same text without quotes, by us or by a
    YAML 1.1 reader.
    """
    if text.lower() in _OLD_WORDS or _OLD_NUMBERS.fullmatch(text) or _OLD_BREAKS.search(text):
        return True
    try:
        return not isinstance(resolve(text), str)
    except ValueError:
        return True


def _bounded(digits: str, base: int) -> int:
    value = int(digits, base) if len(digits) <= _MOST_DIGITS else _LIMIT
    if not -_LIMIT <= value < _LIMIT:
        raise ValueError("the number does not fit into 64 bits")
    return value


class PlainScalars(dict[str, bool | int | float | str | None]):
    """Remembers what each plain scalar means: manifests repeat themselves, and a hit costs one
    look-up.
    """

    def __missing__(self, text: str) -> bool | int | float | str | None:
        self[text] = value = resolve(text)
        return value


class PlainKeys(dict[str, str]):
    """Remembers which plain scalars can be keys; raises ValueError for the others."""

    def __missing__(self, text: str) -> str:
        if text == "<<" or not isinstance(resolve(text), str):
            raise ValueError(f"{text!r} is no key")
        self[text] = text
        return text
