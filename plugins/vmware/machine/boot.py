"""The order of booting: vSphere has one list of devices, and all CD drives are one place in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyVmomi import vim

from provisioner_plugins.vmware.machine.reading import Machine, Names
from provisioner_plugins.vmware.machine.record import ANY_DRIVE

_Options = vim.vm.BootOptions


def is_ordered(spec: Mapping[str, Any]) -> bool:
    """Whether a spec asks for an order."""
    sections = (spec.get(name, {}) for name in ("disks", "nics", "cdroms"))
    return any("bootOrder" in device for section in sections for device in section.values())


def order_wanted(machine: Machine, spec: Mapping[str, Any], names: Names) -> tuple[int, ...]:
    """The devices of a machine in the order that a spec has for them, by key. The disks that came
    with it, which no spec names, keep their places as far as the spec leaves them free.
    """
    keys = [
        (device["bootOrder"], known[name])
        for section, known in machine.bootable(names).items()
        for name, device in spec.get(section, {}).items()
        if isinstance(device.get("bootOrder"), int) and name in known
    ]
    taken = {rank for rank, _ in keys}
    unnamed = set(machine.own) - set(machine.bootable(names)["disks"].values())
    keys += [
        (len(machine.record.order) + rank if rank in taken else rank, key)
        for rank, key in enumerate(machine.record.order, start=1)
        if key in unnamed
    ]
    return tuple(key for _, key in sorted(keys))


def options(machine: Machine, order: Sequence[int]) -> Any:
    """The options that bring a machine to an order."""
    cards = {card.key for card in machine.cards.values()}
    found: list[Any] = []
    for key in order:
        if key == ANY_DRIVE:
            found.append(_Options.BootableCdromDevice())
        elif key in cards:
            found.append(_Options.BootableEthernetDevice(deviceKey=key))
        else:
            found.append(_Options.BootableDiskDevice(deviceKey=key))
    # An empty list says nothing; one device that is none takes the order back.
    return vim.vm.BootOptions(bootOrder=found or [_Options.BootableDevice()])
