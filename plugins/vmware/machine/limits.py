"""What a real vSphere refuses, so that a plan says it before anything is tried. Data and pure
checks; the endpoint's own answer still counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from provisioner.core.diagnostics import Diagnostic
from provisioner.core.units import format_size
from provisioner.core.values import Path, get_path
from provisioner_plugins.vmware.refusal import out_of_range

_MAXIMUMS = "VMware vSphere 8 Configuration Maximums, virtual machine"
_API = "vSphere Web Services API, VirtualMachineConfigSpec"
MIB = 2**20
TIB = 2**40


class Limit(NamedTuple):
    """One limit of a number: its path in the spec, the range, of what it must be a multiple."""

    path: Path
    least: int
    most: int
    step: int
    text: str
    source: str


LIMITS = (
    Limit(("cpu", "count"), 1, 768, 1, "1 to 768 virtual processors", _MAXIMUMS),
    Limit(("cpu", "max"), 1, 768, 1, "1 to 768 virtual processors", _MAXIMUMS),
    Limit(("memory", "size"), 4 * MIB, 24 * TIB, 4 * MIB, "4MiB to 24TiB in steps of 4MiB", _API),
    Limit(("memory", "max"), 4 * MIB, 24 * TIB, 4 * MIB, "4MiB to 24TiB in steps of 4MiB", _API),
)
MOST_CARDS = 10
MOST_DRIVES = 4


def beyond(spec: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """A diagnostic for each number that is out of its limit."""
    for limit in LIMITS:
        value = get_path(spec, limit.path)
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        if not limit.least <= value <= limit.most or value % limit.step:
            shown = format_size(value) if limit.path[0] == "memory" else str(value)
            yield out_of_range(limit.path, shown, f"It takes {limit.text}", limit.source)
    if len(spec.get("nics", {})) > MOST_CARDS:
        text = f"A machine has at most {MOST_CARDS} network cards"
        yield out_of_range(("nics",), f"{len(spec['nics'])} cards", text, _MAXIMUMS)
