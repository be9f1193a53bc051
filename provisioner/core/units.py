"""Sizes and durations with units, as manifests write them.

Sizes: ``4GiB`` (powers of 1024: KiB MiB GiB TiB PiB) and ``200GB`` (powers of 1000: kB MB GB TB
PB), as in IEC 80000-13; ``B`` for bytes. Durations: ``500ms``, ``30s``, ``5m``, ``2h``, ``7d``. A
number without a unit is an error, and so is a value that does not fit into 63 bits: nothing that
counts bytes or time takes more.
"""

from __future__ import annotations

import re
from fractions import Fraction

_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([A-Za-z]+)")
_SIZE_UNITS = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "PB": 1000**5,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
    "PiB": 1024**5,
}
_MOST = 2**63 - 1
_DURATION = re.compile(r"(\d+(?:\.\d+)?) *(ms|s|m|h|d)")
_OTHER_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([kmgtp])(i?)(?:b|byte|bytes)?", re.IGNORECASE)
_OTHER_DURATION = re.compile(
    r"(\d+(?:\.\d+)?) *(ms|s|m|h|d)(?:in|ins|inutes?|ecs?|econds?|rs?|ours?|ays?)?", re.IGNORECASE
)
_DURATION_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_size(text: str) -> int:
    """Bytes; raises ValueError if ``text`` is no size, too large, or no whole number of bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError(
            f"{text!r} is not a size: expected a number with a unit, such as 4GiB or 200GB"
        )
    value = Fraction(match[1]) * _SIZE_UNITS[match[2]]
    if value.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    if value > _MOST:
        raise ValueError(f"{text!r} is too large for a size: expected at most 8191PiB")
    return int(value)


def similar_sizes(text: str) -> tuple[str, ...]:
    """What somebody may have meant who wrote a size in another way: ``4G`` for ``4GiB`` or
    ``4GB``.
    """
    match = _OTHER_SIZE.fullmatch(text.strip())
    if match is None:
        return ()
    number, prefix, binary = match[1], match[2].upper(), match[3].lower()
    if binary == "i":
        return (f"{number}{prefix}iB",)
    return (f"{number}{prefix}iB", f"{number}{'k' if prefix == 'K' else prefix}B")


def format_size(size: int) -> str:
    """The shortest exact text of ``size`` bytes, binary units first: 4294967296 is ``4GiB``, 1500
    is ``1500B``.
    """
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    for unit in ("PB", "TB", "GB", "MB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


def parse_duration(text: str) -> int:
    """Milliseconds; raises ValueError if ``text`` is no duration, too long, or not a whole number
    of milliseconds.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is not a duration: expected a number with a unit, such as 30s or 5m"
        )
    value = Fraction(match[1]) * _DURATION_MS[match[2]]
    if value.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number of milliseconds")
    if value > _MOST:
        raise ValueError(f"{text!r} is too long for a duration: expected at most 106751991167d")
    return int(value)


def similar_durations(text: str) -> tuple[str, ...]:
    """What somebody may have meant who wrote a duration in another way: ``5min`` for ``5m``."""
    match = _OTHER_DURATION.fullmatch(text.strip())
    return () if match is None else (f"{match[1]}{match[2].lower()}",)


def format_duration(milliseconds: int) -> str:
    """The shortest exact text of a duration: 30000 is ``30s``."""
    for unit in ("d", "h", "m", "s"):
        if milliseconds and milliseconds % _DURATION_MS[unit] == 0:
            return f"{milliseconds // _DURATION_MS[unit]}{unit}"
    return f"{milliseconds}ms"
