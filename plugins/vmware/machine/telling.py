"""What discovery tells of a machine beside what an observation does: where it is, and a note for
each device that no field says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.machine.placement import placement_of
from provisioner_plugins.vmware.machine.reading import Machine, Names, spec_of
from provisioner_plugins.vmware.machine.record import CONTROLLER, OTHER, Record
from provisioner_plugins.vmware.machine.rooms import ROOMS
from provisioner_plugins.vmware.references import References

_OF_EVERY_MACHINE = frozenset(
    {
        "VirtualKeyboard",
        "VirtualPointingDevice",
        "VirtualVideoCard",
        "VirtualVMCIDevice",
        "VirtualPCIController",
        "VirtualPS2Controller",
        "VirtualSIOController",
        "VirtualIDEController",
    }
)
"""Devices that vSphere gives to each machine."""
_UNCHOSEN: Mapping[str, object] = {
    "hotAdd": False,
    "nested": False,
    "reservation": 0,
    "reservationMhz": 0,
    "shares": "normal",
}
"""Fields of processors and memory with what they are where nobody has said anything."""


def told_spec(inventory: Inventory, machine: Machine) -> dict[str, Any]:
    """The spec of a machine with external ids for references, without what is so on every machine
    of vSphere and would be no choice of anybody's.
    """
    spec = spec_of(machine, Names(network=lambda moid: moid or "", disk=str, image=str))
    del spec["guestAgent"], spec["console"]
    cpu = spec["cpu"]
    if cpu["topology"]["cores"] == 1:
        del cpu["topology"]
    for section in (cpu, spec["memory"]):
        for field, value in _UNCHOSEN.items():
            if section.get(field) == value:
                del section[field]
    place = placement_of(inventory, machine, References({}))
    # Where a machine is put that says nothing is said by the connection: who looks after machines
    # does not look after clusters and datastores for it.
    place = {field: place[field] for field in ("folder", "resourcePool") if field in place}
    return {**spec, **({"placement": place} if place else {})}


def notes_on(record: Record) -> Iterator[str]:
    """What of its devices no manifest says, by sort."""
    sorts = Counter(
        device.model
        for device in record.devices
        if device.sort in (OTHER, CONTROLLER)
        and device.model not in ROOMS
        and device.model not in _OF_EVERY_MACHINE
    )
    for model, count in sorted(sorts.items()):
        often = f"{count} devices of the sort" if count > 1 else "a device of the sort"
        yield f"kept as it is, for no field says it: {often} {model}"
