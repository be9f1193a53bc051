"""VLAN tags as a manifest says them and as vSphere counts them. Pure.

A standard port group has one number: 0 none, 4095 all tags as the guest sends them
(HostPortGroupSpec.vlanId). A distributed one has a tag or ranges of tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LAST = 4094
ALL = ("0-4094",)
"""Every tag, in canonical form."""
EVERY_TAG = 4095
"""The same as the VLAN of a standard port group."""

Ranges = Sequence[tuple[int, int]]
"""First and last tag of each, both in it."""


def ranges_of(trunk: Iterable[str]) -> Ranges:
    """The ranges that ``10`` and ``100-200`` say, sorted, those that touch joined."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(_range(text) for text in trunk):
        if found and start <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def texts_of(ranges: Ranges) -> list[str]:
    """The other way round."""
    return [str(start) if start == end else f"{start}-{end}" for start, end in ranges]


def canonical(trunk: Iterable[str]) -> list[str]:
    """The same tags in the form in which they are observed."""
    return texts_of(ranges_of(trunk))


def has_every(trunk: Iterable[str]) -> bool:
    """Whether all tags are in it; tag 0 is none."""
    found = ranges_of(trunk)
    return len(found) == 1 and found[0][0] <= 1 and found[0][1] >= LAST


def number_of(spec: Mapping[str, Any]) -> int:
    """The VLAN of a standard port group that shall be what a spec says."""
    return EVERY_TAG if "trunk" in spec else int(spec.get("vlan", 0))


def described(number: int) -> dict[str, Any]:
    """The fields of a spec that the VLAN of a standard port group is."""
    if number == EVERY_TAG:
        return {"trunk": list(ALL)}
    return {"vlan": number} if number else {}


def _range(text: str) -> tuple[int, int]:
    start, _, end = text.partition("-")
    return int(start), int(end or start)
