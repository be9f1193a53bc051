"""What a machine is to be, as vSphere's VirtualMachineConfigSpec: a new one, or what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyVmomi import vim

from provisioner.providers.api import Resource
from provisioner_plugins.vmware.machine import cards, drives
from provisioner_plugins.vmware.machine.buses import Plugs
from provisioner_plugins.vmware.machine.reading import MIB, Machine
from provisioner_plugins.vmware.machine.rules import PARAVIRTUAL_BUS
from provisioner_plugins.vmware.machine.surroundings import Surroundings
from provisioner_plugins.vmware.stamp import FIELD, Mark

_Change = vim.vm.device.VirtualDeviceSpec
_ADD, _EDIT, _REMOVE = (
    _Change.Operation.add,
    _Change.Operation.edit,
    _Change.Operation.remove,
)
DEFAULT_GUEST = "otherGuest64"
CDROM_BUS = "sata"
_PORTABLE = {"virtio": PARAVIRTUAL_BUS}
"""A default of the schema is written in its own words."""


def new(resource: Resource, around: Surroundings, home: str) -> Any:
    """A machine that is not there yet; ``home`` is the name of the datastore of its own files."""
    spec = resource.spec
    config = vim.vm.ConfigSpec(
        name=escaped(resource.name),
        files=vim.vm.FileInfo(vmPathName=f"[{home}]"),
        instanceUuid=str(resource.uid),
        uuid=str(resource.uid),
        guestId=spec.get("guestOs", DEFAULT_GUEST),
        annotation=spec.get("description", ""),
        version=spec.get("machineType"),
    )
    _hardware(config, spec)
    plugs = Plugs(())
    nics: dict[str, str] = {}
    drive_places: dict[str, str] = {}
    changes = []
    for name, wanted in spec.get("nics", {}).items():
        card = cards.make(wanted, around.backing(name, wanted["network"]), plugs.key())
        changes.append(_Change(operation=_ADD, device=card))
        nics[name] = str(wanted.get("mac", ""))
    for name, wanted in spec.get("disks", {}).items():
        disk = around.disk(name, plugs.key())
        changes.append(_Change(operation=_ADD, device=plugs.plug(disk, _bus(wanted))))
    for name, wanted in spec.get("cdroms", {}).items():
        drive = plugs.plug(drives.make_drive(plugs.key()), wanted.get("bus", CDROM_BUS))
        drives.insert(drive, *around.image(name, wanted.get("image")))
        changes.append(_Change(operation=_ADD, device=drive))
        drive_places[name] = drives.place_of(drive, drives.controllers_of(plugs.controllers))
    made = [_Change(operation=_ADD, device=item) for item in plugs.made]
    config.deviceChange = [*made, *changes]
    details = {"nics": nics, "cdroms": drive_places, **most(spec)}
    config.extraConfig = [stamped(Mark.of(resource, details)), *_native(resource, around)]
    return config


def edited(
    resource: Resource, machine: Machine, spec: Mapping[str, Any], around: Surroundings
) -> Any:
    """What has to be told a machine to make it ``spec``; its mark in any case."""
    config = vim.vm.ConfigSpec(annotation=spec.get("description", ""))
    _hardware(config, spec)
    _leave_equal(config, machine)
    guest = spec.get("guestOs") or DEFAULT_GUEST
    if guest != machine.row.get("config.guestId"):
        config.guestId = guest
    plugs = Plugs(machine.devices)
    changes = [
        *_edit_cards(machine, spec.get("nics", {}), around, plugs),
        *_edit_disks(machine, spec.get("disks", {}), around, plugs),
        *_edit_drives(machine, spec.get("cdroms", {}), around, plugs),
    ]
    made = [_Change(operation=_ADD, device=item) for item in plugs.made]
    config.deviceChange = [*made, *changes]
    details = {**machine.details, **_places(machine, spec, plugs, changes), **most(spec)}
    config.extraConfig = [stamped(Mark.of(resource, details)), *_native(resource, around)]
    return config


def escaped(name: str) -> str:
    """A name as vSphere takes it (ManagedEntity.name)."""
    return name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")


def stamped(mark: Mark) -> Any:
    """The mark as an element of the extra configuration."""
    return vim.option.OptionValue(key=FIELD, value=mark.text())


def most(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a mark that says how far processors and memory may go."""
    asked = {
        section: spec[section]["max"]
        for section in ("cpu", "memory")
        if isinstance(spec.get(section, {}).get("max"), int)
    }
    return {"max": asked} if asked else {}


def _hardware(config: Any, spec: Mapping[str, Any]) -> None:
    cpu, memory = spec.get("cpu", {}), spec["memory"]
    count = int(cpu.get("count", 1))
    config.numCPUs = count
    config.numCoresPerSocket = int(cpu.get("topology", {}).get("cores", 1))
    config.cpuHotAddEnabled = _is_hot(cpu, "count", 1)
    config.nestedHVEnabled = bool(cpu.get("nested", False))
    config.memoryMB = memory["size"] // MIB
    config.memoryHotAddEnabled = _is_hot(memory, "size", 0)
    firmware = spec.get("firmware", {}).get("type", "bios")
    config.firmware = "bios" if firmware == "bios" else "efi"
    config.bootOptions = vim.vm.BootOptions(efiSecureBootEnabled=firmware == "uefi-secure")


def _is_hot(section: Mapping[str, Any], field: str, otherwise: int) -> bool:
    now = int(section.get(field, otherwise))
    return bool(section.get("hotAdd", False)) or int(section.get("max", now)) > now


_OF_CONFIG = {
    "annotation": "config.annotation",
    "numCPUs": "config.hardware.numCPU",
    "numCoresPerSocket": "config.hardware.numCoresPerSocket",
    "memoryMB": "config.hardware.memoryMB",
    "cpuHotAddEnabled": "config.cpuHotAddEnabled",
    "memoryHotAddEnabled": "config.memoryHotAddEnabled",
    "nestedHVEnabled": "config.nestedHVEnabled",
    "firmware": "config.firmware",
}


def _leave_equal(config: Any, machine: Machine) -> None:
    """Say nothing of what is right already: a running machine refuses some fields whatever they
    say.
    """
    for name, path in _OF_CONFIG.items():
        wanted = getattr(config, name)
        if machine.row.get(path, type(wanted)()) == wanted:
            setattr(config, name, None)
    now = bool(getattr(machine.row.get("config.bootOptions"), "efiSecureBootEnabled", False))
    if now == config.bootOptions.efiSecureBootEnabled:
        config.bootOptions = None


def _bus(wanted: Mapping[str, Any]) -> str:
    bus = str(wanted.get("bus", PARAVIRTUAL_BUS))
    return _PORTABLE.get(bus, bus)


def _edit_cards(
    machine: Machine, wanted: Mapping[str, Any], around: Surroundings, plugs: Plugs
) -> list[Any]:
    changes = []
    for name, card in machine.cards.items():
        if name not in wanted or not _keeps_model(card, wanted[name]):
            changes.append(_Change(operation=_REMOVE, device=card))
    for name, device in wanted.items():
        card = machine.cards.get(name)
        backing = around.backing(name, device["network"])
        if card is None or not _keeps_model(card, device):
            made = cards.make(device, backing, plugs.key())
            changes.append(_Change(operation=_ADD, device=made))
            continue
        now = cards.describe(card, "")
        moves = around.network_id(name, device["network"]) != cards.network_of(card)
        if moves or any(device.get(field, now[field]) != now[field] for field in ("mac", "link")):
            cards.edit(card, {**now, **device}, backing)
            changes.append(_Change(operation=_EDIT, device=card))
    return changes


def _keeps_model(card: Any, wanted: Mapping[str, Any]) -> bool:
    model = wanted.get("model")
    return model is None or model in (cards.model_of(card), "virtio")


def _edit_disks(
    machine: Machine, wanted: Mapping[str, Any], around: Surroundings, plugs: Plugs
) -> list[Any]:
    controllers = drives.controllers_of(machine.devices)
    changes = []
    kept = set()
    for disk in drives.disks_in(machine.devices):
        file = drives.file_of_disk(disk)
        name = f"device {disk.key}" if file is None else around.disk_name(file)
        if name not in wanted:
            # No file operation: the disk and its data stay.
            changes.append(_Change(operation=_REMOVE, device=disk))
        elif "bus" in wanted[name] and _bus(wanted[name]) != drives.bus_of(disk, controllers):
            plugs.plug(disk, _bus(wanted[name]))
            changes.append(_Change(operation=_EDIT, device=disk))
        kept.add(name)
    for name, device in wanted.items():
        if name not in kept:
            disk = plugs.plug(around.disk(name, plugs.key()), _bus(device))
            changes.append(_Change(operation=_ADD, device=disk))
    return changes


def _edit_drives(
    machine: Machine, wanted: Mapping[str, Any], around: Surroundings, plugs: Plugs
) -> list[Any]:
    controllers = drives.controllers_of(machine.devices)
    changes = []
    for name, drive in machine.drives.items():
        if name not in wanted:
            changes.append(_Change(operation=_REMOVE, device=drive))
            continue
        bus = wanted[name].get("bus")
        image = around.image(name, wanted[name].get("image"))
        moves = bus is not None and bus != drives.bus_of(drive, controllers)
        if moves:
            plugs.plug(drive, bus)
        if moves or around.image_id(name, wanted[name].get("image")) != drives.file_of_drive(drive):
            drives.insert(drive, *image)
            changes.append(_Change(operation=_EDIT, device=drive))
    for name, device in wanted.items():
        if name not in machine.drives:
            drive = plugs.plug(drives.make_drive(plugs.key()), device.get("bus", CDROM_BUS))
            drives.insert(drive, *around.image(name, device.get("image")))
            changes.append(_Change(operation=_ADD, device=drive))
    return changes


def _places(
    machine: Machine, spec: Mapping[str, Any], plugs: Plugs, changes: list[Any]
) -> dict[str, Any]:
    """What the mark has to say of cards and drives after the change."""
    known = machine.details
    nics = {
        name: str(device.get("mac", known["nics"].get(name, "")))
        if name in machine.cards and _keeps_model(machine.cards[name], device)
        else str(device.get("mac", ""))
        for name, device in spec.get("nics", {}).items()
    }
    controllers = drives.controllers_of(plugs.controllers)
    places = {
        name: drives.place_of(drive, controllers)
        for name, drive in machine.drives.items()
        if name in spec.get("cdroms", {})
    }
    added = [
        item.device
        for item in changes
        if item.operation == _ADD and isinstance(item.device, vim.vm.device.VirtualCdrom)
    ]
    new_names = [name for name in spec.get("cdroms", {}) if name not in machine.drives]
    for name, drive in zip(new_names, added, strict=True):
        places[name] = drives.place_of(drive, controllers)
    return {"nics": nics, "cdroms": places}


def _native(resource: Resource, around: Surroundings) -> list[Any]:
    own = resource.spec.get("native", {}).get(around.provider, {}).get("extraConfig", {})
    return [vim.option.OptionValue(key=key, value=value) for key, value in sorted(own.items())]
