"""Names of network cards and drives: vSphere keeps none, so the machine's mark does.

Each name stands there with what its device is known by (a MAC address, a place on a bus); what is
not known yet is given out in the order in which the devices were made. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

D = TypeVar("D")


def named(
    devices: Sequence[tuple[str, D]], *sources: Mapping[str, str], otherwise: str
) -> dict[str, D]:
    """Devices by name.

    ``devices`` are pairs of what a device is known by and the device, in the order in which they
    were made. ``sources`` are names with what their device is known by, "" where that is open; the
    first source that knows counts. A device that is left without any is called ``otherwise`` and a
    number.
    """
    left = list(devices)
    found: dict[str, D] = {}
    open_names: list[str] = []
    for source in sources:
        for name, hint in source.items():
            if name in found:
                continue
            match = next((item for item in left if hint and item[0] == hint), None)
            if match is not None:
                found[name] = match[1]
                left.remove(match)
            elif not hint and name not in open_names:
                open_names.append(name)
    for name in open_names:
        if left and name not in found:
            found[name] = left.pop(0)[1]
    free = _free_names(otherwise, {*found, *(name for source in sources for name in source)})
    for _, device in left:
        found[next(free)] = device
    return found


def _free_names(stem: str, used: set[str]) -> Iterator[str]:
    number = 0
    while True:
        if f"{stem}{number}" not in used:
            yield f"{stem}{number}"
        number += 1
