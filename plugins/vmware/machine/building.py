"""What a machine is to be, as vSphere's VirtualMachineConfigSpec: a new one, or what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyVmomi import vim

from provisioner.providers.api import Resource
from provisioner_plugins.vmware.allocation import CPU, MEMORY, Allocation
from provisioner_plugins.vmware.building import MIB, escaped
from provisioner_plugins.vmware.machine import cards, drives
from provisioner_plugins.vmware.machine.buses import Plugs, place_text
from provisioner_plugins.vmware.machine.reading import Machine
from provisioner_plugins.vmware.machine.record import TPM, Device
from provisioner_plugins.vmware.machine.rooms import CDROM_BUS, PARAVIRTUAL_BUS
from provisioner_plugins.vmware.machine.surroundings import Surroundings
from provisioner_plugins.vmware.stamp import FIELD, Mark

_Change = vim.vm.device.VirtualDeviceSpec
_ADD, _EDIT, _REMOVE = (
    _Change.Operation.add,
    _Change.Operation.edit,
    _Change.Operation.remove,
)
DEFAULT_GUEST = "otherGuest64"
_Tpm = vim.vm.device.VirtualTPM
_PORTABLE = {"virtio": PARAVIRTUAL_BUS}
"""A default of the schema is written in its own words."""


def new(resource: Resource, around: Surroundings, home: str, extra: Mapping[str, str]) -> Any:
    """A machine that is not there yet; ``home`` is the name of the datastore of its own files,
    ``extra`` what else its extra configuration holds.
    """
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
    for name, wanted in sorted(spec.get("nics", {}).items()):
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
        drive_places[name] = place_text(drive, plugs.controllers)
    if spec.get("firmware", {}).get("tpm", False):
        changes.append(_Change(operation=_ADD, device=_Tpm(key=plugs.key())))
    made = [_Change(operation=_ADD, device=item) for item in plugs.made]
    config.deviceChange = [*made, *changes]
    details = {"nics": nics, "cdroms": drive_places, **most(spec)}
    config.extraConfig = [stamped(Mark.of(resource, details)), *_values(extra)]
    return config


def edited(
    resource: Resource,
    machine: Machine,
    spec: Mapping[str, Any],
    around: Surroundings,
    extra: Mapping[str, str],
) -> Any:
    """What has to be told a machine to make it ``spec``, with ``extra`` of its extra configuration;
    its mark in any case. Cards and drives of which the spec says nothing stay as they are, and so
    do the disks that came with the machine.
    """
    config = vim.vm.ConfigSpec(annotation=spec.get("description", ""))
    _hardware(config, spec)
    _leave_equal(config, machine, spec)
    guest = spec.get("guestOs") or DEFAULT_GUEST
    if guest != machine.record.guest:
        config.guestId = guest
    plugs = Plugs(list(machine.raw.values()))
    changes = [
        *(_edit_cards(machine, spec["nics"], around, plugs) if "nics" in spec else ()),
        *_edit_disks(machine, spec.get("disks", {}), around, plugs),
        *(_edit_drives(machine, spec["cdroms"], around, plugs) if "cdroms" in spec else ()),
        *_edit_tpm(machine, spec, plugs),
    ]
    made = [_Change(operation=_ADD, device=item) for item in plugs.made]
    config.deviceChange = [*made, *changes]
    details = {**machine.details, **_places(machine, spec, plugs, changes), **most(spec)}
    config.extraConfig = [stamped(Mark.of(resource, details)), *_values(extra)]
    return config


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
    cores = int(cpu.get("topology", {}).get("cores", 1))
    # What it had by itself need not divide what is wanted now; a manifest's own was looked at.
    config.numCoresPerSocket = 1 if count % cores else cores
    config.cpuHotAddEnabled = _is_hot(cpu, "count", 1)
    config.nestedHVEnabled = bool(cpu.get("nested", False))
    config.memoryMB = memory["size"] // MIB
    config.memoryHotAddEnabled = _is_hot(memory, "size", 0)
    config.cpuAllocation = Allocation.of_section(cpu, CPU).info()
    config.memoryAllocation = Allocation.of_section(memory, MEMORY).info()
    firmware = spec.get("firmware", {}).get("type", "bios")
    config.firmware = "bios" if firmware == "bios" else "efi"
    config.bootOptions = vim.vm.BootOptions(efiSecureBootEnabled=firmware == "uefi-secure")


def _is_hot(section: Mapping[str, Any], field: str, otherwise: int) -> bool:
    now = int(section.get(field, otherwise))
    return bool(section.get("hotAdd", False)) or int(section.get("max", now)) > now


def _leave_equal(config: Any, machine: Machine, spec: Mapping[str, Any]) -> None:
    """Say nothing of what is right already: a running machine refuses some fields whatever they
    say.
    """
    record = machine.record
    now = {
        "annotation": record.annotation,
        "numCPUs": record.processors,
        "numCoresPerSocket": record.cores,
        "memoryMB": record.memory,
        "cpuHotAddEnabled": record.more_processors,
        "memoryHotAddEnabled": record.more_memory,
        "nestedHVEnabled": record.nested,
        "firmware": "efi" if record.uefi else "bios",
    }
    for name, value in now.items():
        if getattr(config, name) == value:
            setattr(config, name, None)
    if record.cpu == Allocation.of_section(spec.get("cpu", {}), CPU):
        config.cpuAllocation = None
    if record.ram == Allocation.of_section(spec["memory"], MEMORY):
        config.memoryAllocation = None
    if record.secure == config.bootOptions.efiSecureBootEnabled:
        config.bootOptions = None


def _bus(wanted: Mapping[str, Any]) -> str:
    bus = str(wanted.get("bus", PARAVIRTUAL_BUS))
    return _PORTABLE.get(bus, bus)


def _edit_cards(
    machine: Machine, wanted: Mapping[str, Any], around: Surroundings, plugs: Plugs
) -> list[Any]:
    changes = [
        _Change(operation=_REMOVE, device=machine.raw[card.key])
        for name, card in machine.cards.items()
        if name not in wanted or not _keeps_model(card, wanted[name])
    ]
    # In the order in which the mark has the names of those whose MAC address is not known yet.
    for name, device in sorted(wanted.items()):
        card = machine.cards.get(name)
        if card is None or not _keeps_model(card, device):
            backing = around.backing(name, device["network"])
            before = None if card is None else machine.raw[card.key]
            made = cards.make(device, backing, plugs.key(), before)
            changes.append(_Change(operation=_ADD, device=made))
            continue
        now = cards.describe(card, "")
        network = device["network"]
        # One that the stack does not know is called by its id.
        moves = network != card.network and around.network_id(name, network) != card.network
        if moves or any(device.get(field, now[field]) != now[field] for field in ("mac", "link")):
            raw = machine.raw[card.key]
            backing = around.backing(name, network) if moves else raw.backing
            cards.edit(raw, {**now, **device}, backing)
            changes.append(_Change(operation=_EDIT, device=raw))
    return changes


def _keeps_model(card: Device, wanted: Mapping[str, Any]) -> bool:
    model = wanted.get("model")
    return model is None or model in (card.model, "virtio")


def _edit_disks(
    machine: Machine, wanted: Mapping[str, Any], around: Surroundings, plugs: Plugs
) -> list[Any]:
    changes = []
    kept = set()
    called = machine.disk_names(around.disk_name)
    for disk in machine.disks:
        if disk.key not in called:
            continue
        name, raw = called[disk.key], machine.raw[disk.key]
        kept.add(name)
        if name not in wanted:
            # No file operation: the disk and its data stay.
            changes.append(_Change(operation=_REMOVE, device=raw))
        elif "bus" in wanted[name] and _bus(wanted[name]) != machine.record.bus(disk):
            plugs.plug(raw, _bus(wanted[name]))
            changes.append(_Change(operation=_EDIT, device=raw))
    for name, device in wanted.items():
        if name not in kept:
            made = plugs.plug(around.disk(name, plugs.key()), _bus(device))
            changes.append(_Change(operation=_ADD, device=made))
    return changes


def _edit_drives(
    machine: Machine, wanted: Mapping[str, Any], around: Surroundings, plugs: Plugs
) -> list[Any]:
    changes = []
    for name, drive in machine.drives.items():
        raw = machine.raw[drive.key]
        if name not in wanted:
            changes.append(_Change(operation=_REMOVE, device=raw))
            continue
        bus, image = wanted[name].get("bus"), wanted[name].get("image")
        moves = bus is not None and bus != machine.record.bus(drive)
        if moves:
            plugs.plug(raw, bus)
        is_told = image is not None and image == str(drive.file)
        is_other = not is_told and around.image_id(name, image) != drive.file
        if is_other:
            drives.insert(raw, *around.image(name, image))
        if moves or is_other:
            changes.append(_Change(operation=_EDIT, device=raw))
    for name, device in wanted.items():
        if name not in machine.drives:
            made = plugs.plug(drives.make_drive(plugs.key()), device.get("bus", CDROM_BUS))
            drives.insert(made, *around.image(name, device.get("image")))
            changes.append(_Change(operation=_ADD, device=made))
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
    places = {
        name: place_text(machine.raw[drive.key], plugs.controllers)
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
        places[name] = place_text(drive, plugs.controllers)
    return {"nics": nics, "cdroms": places}


def _edit_tpm(machine: Machine, spec: Mapping[str, Any], plugs: Plugs) -> list[Any]:
    now = [machine.raw[item.key] for item in machine.record.of_sort(TPM)]
    wanted = bool(spec.get("firmware", {}).get("tpm", False))
    if wanted and not now:
        return [_Change(operation=_ADD, device=_Tpm(key=plugs.key()))]
    return [] if wanted else [_Change(operation=_REMOVE, device=item) for item in now]


def _values(extra: Mapping[str, str]) -> list[Any]:
    return [vim.option.OptionValue(key=key, value=value) for key, value in sorted(extra.items())]
