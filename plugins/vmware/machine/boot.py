"""The order of booting: vSphere has one list of devices, and all CD drives are one place in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyVmomi import vim

from provisioner_plugins.vmware.machine import drives
from provisioner_plugins.vmware.machine.reading import Machine, Names

_Options = vim.vm.BootOptions
ANY_DRIVE = 0
"""Stands for the CD drives, where devices are known by their keys."""


def key_of(item: Any) -> int | None:
    """The device that an element of the list means; None for a floppy, and for what means none."""
    if isinstance(item, _Options.BootableDiskDevice | _Options.BootableEthernetDevice):
        return int(item.deviceKey)
    return ANY_DRIVE if isinstance(item, _Options.BootableCdromDevice) else None


def order_now(machine: Machine) -> list[int]:
    """The devices in the list, by key."""
    options = machine.row.get("config.bootOptions")
    keys = [key_of(item) for item in getattr(options, "bootOrder", None) or ()]
    return [key for key in keys if key is not None]


def add_places(machine: Machine, spec: Mapping[str, Any], names: Names) -> None:
    """Put the places in the order into an observed spec, as its devices have them."""
    places = {key: number for number, key in enumerate(order_now(machine), start=1)}
    for section, known in _keys(machine, names).items():
        for name, key in known.items():
            if key in places and name in spec[section]:
                spec[section][name]["bootOrder"] = places.pop(key)


def order_wanted(machine: Machine, spec: Mapping[str, Any], names: Names) -> list[int]:
    """The devices of a machine in the order that a spec has for them, by key."""
    keys = [
        (device["bootOrder"], known[name])
        for section, known in _keys(machine, names).items()
        for name, device in spec.get(section, {}).items()
        if isinstance(device.get("bootOrder"), int) and name in known
    ]
    return [key for _, key in sorted(keys)]


def _keys(machine: Machine, names: Names) -> Mapping[str, Mapping[str, int]]:
    """The keys of devices by section of a spec and by name."""
    return {
        "disks": {
            names.disk(file): disk.key
            for disk in drives.disks_in(machine.devices)
            if (file := drives.file_of_disk(disk)) is not None
        },
        "nics": {name: card.key for name, card in machine.cards.items()},
        "cdroms": dict.fromkeys(machine.drives, ANY_DRIVE),
    }


def options(machine: Machine, order: list[int]) -> Any:
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
