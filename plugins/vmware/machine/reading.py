"""A machine's properties as a spec in canonical form, with outputs and facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim

from provisioner.core.values import Json, digest
from provisioner.providers.api import Present
from provisioner_plugins.vmware.machine import cards, drives
from provisioner_plugins.vmware.stamp import FIELD, Mark
from provisioner_plugins.vmware.storage.file import FileId
from provisioner_plugins.vmware.wire.sweep import Row

POWER = {"poweredOn": "running", "poweredOff": "stopped", "suspended": "suspended"}
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Names:
    """What things on the endpoint are called in a stack; in a discovery, their external ids."""

    network: Callable[[str | None], str]
    disk: Callable[[FileId], str]
    image: Callable[[FileId], str]


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as it was read. ``cards`` and ``drives`` are its devices by their names."""

    row: Row
    mark: Mark | None
    cards: Mapping[str, Any]
    drives: Mapping[str, Any]
    extra: Mapping[str, str] = field(default_factory=dict)
    """Its extra configuration."""

    @classmethod
    def of(cls, row: Row, wanted: Mapping[str, Any]) -> Machine:
        """Make sense of a row. ``wanted`` is the spec of the resource that asks: where nothing else
        tells, it says what cards and drives are called.
        """
        extra = {
            str(item.key): str(item.value)
            for item in row.get("config.extraConfig", ())
            if isinstance(item.value, str)
        }
        mark = Mark.parse(extra.get(FIELD, ""))
        details = mark.details if mark is not None else {}
        devices = row.get("config.hardware.device", ())
        return cls(
            row,
            mark,
            cards.cards_of(devices, details.get("nics", {}), wanted.get("nics", {})),
            drives.drives_of(devices, details.get("cdroms", {}), wanted.get("cdroms", {})),
            extra,
        )

    @property
    def external_id(self) -> str:
        """Its instance UUID: unique on a vCenter, and kept wherever it moves there."""
        return str(self.row.get("config.instanceUuid"))

    @property
    def devices(self) -> list[Any]:
        """Everything that is plugged in."""
        return list(self.row.get("config.hardware.device", ()))

    @property
    def power(self) -> str:
        """``running``, ``stopped`` or ``suspended``."""
        return POWER[str(self.row.get("runtime.powerState"))]

    @property
    def details(self) -> dict[str, Any]:
        """What its mark has to say of it: what cards and drives are called."""
        controllers = drives.controllers_of(self.devices)
        kept = dict(self.mark.details) if self.mark is not None else {}
        return {
            **kept,
            "nics": {name: cards.mac_of(card) for name, card in self.cards.items()},
            "cdroms": {
                name: drives.place_of(drive, controllers) for name, drive in self.drives.items()
            },
        }


def spec_of(machine: Machine, names: Names) -> dict[str, Any]:
    """The machine in canonical form."""
    row = machine.row
    spec: dict[str, Any] = {
        "cpu": _cpu(machine),
        "memory": _memory(machine),
        "firmware": _firmware(machine),
        "machineType": row.get("config.version"),
        "guestOs": row.get("config.guestId"),
        "disks": _disks(machine, names),
        "nics": {
            name: cards.describe(card, names.network(cards.network_of(card)))
            for name, card in machine.cards.items()
        },
        "cdroms": _drives(machine, names),
        "guestAgent": True,
        "power": machine.power,
        "console": {"serial": False, "graphics": "none"},
    }
    annotation = str(row.get("config.annotation", ""))
    if annotation:
        spec["description"] = annotation
    spec.update(machine.mark.fields() if machine.mark is not None else {"labels": {}})
    _add_boot_order(machine, spec)
    return spec


def _cpu(machine: Machine) -> dict[str, Json]:
    row = machine.row
    count = int(row.get("config.hardware.numCPU", 1))
    cores = int(row.get("config.hardware.numCoresPerSocket", 1) or 1)
    hot = bool(row.get("config.cpuHotAddEnabled", False))
    return {
        "count": count,
        "max": _most(machine, "cpu", count) if hot else count,
        "hotAdd": hot,
        "topology": {"sockets": count // cores, "cores": cores, "threads": 1},
        "nested": bool(row.get("config.nestedHVEnabled", False)),
    }


def _memory(machine: Machine) -> dict[str, Json]:
    size = int(machine.row.get("config.hardware.memoryMB", 0)) * MIB
    hot = bool(machine.row.get("config.memoryHotAddEnabled", False))
    return {"size": size, "max": _most(machine, "memory", size) if hot else size, "hotAdd": hot}


def _most(machine: Machine, what: str, now: int) -> int:
    """The most that an author has asked for; vSphere knows only whether more can be added."""
    details = machine.mark.details if machine.mark is not None else {}
    asked = details.get("max", {}).get(what)
    return max(now, asked) if isinstance(asked, int) else now


def _firmware(machine: Machine) -> dict[str, Json]:
    uefi = machine.row.get("config.firmware") == "efi"
    options = machine.row.get("config.bootOptions")
    secure = uefi and bool(getattr(options, "efiSecureBootEnabled", False))
    has_tpm = any(isinstance(item, vim.vm.device.VirtualTPM) for item in machine.devices)
    return {"type": "uefi-secure" if secure else "uefi" if uefi else "bios", "tpm": has_tpm}


def _disks(machine: Machine, names: Names) -> dict[str, Any]:
    controllers = drives.controllers_of(machine.devices)
    found: dict[str, Any] = {}
    for disk in drives.disks_in(machine.devices):
        file = drives.file_of_disk(disk)
        name = f"device {disk.key}" if file is None else names.disk(file)
        found[name] = {"bus": drives.bus_of(disk, controllers)}
    return found


def _drives(machine: Machine, names: Names) -> dict[str, Any]:
    controllers = drives.controllers_of(machine.devices)
    found: dict[str, Any] = {}
    for name, drive in machine.drives.items():
        found[name] = {"bus": drives.bus_of(drive, controllers)}
        file = drives.file_of_drive(drive)
        if file is not None:
            found[name]["image"] = names.image(file)
    return found


def _add_boot_order(machine: Machine, spec: dict[str, Any]) -> None:
    """The places in the order of booting; vSphere has one place for all CD drives together."""
    options = machine.row.get("config.bootOptions")
    places = {
        key: number
        for number, item in enumerate(getattr(options, "bootOrder", None) or (), start=1)
        if (key := _boot_key(item)) is not None
    }
    disks = dict(zip(spec["disks"], drives.disks_in(machine.devices), strict=True))
    for section, devices in (("disks", disks), ("nics", machine.cards)):
        for name, device in devices.items():
            if device.key in places:
                spec[section][name]["bootOrder"] = places[device.key]
    for name in list(machine.drives)[:1]:
        if _ANY_DRIVE in places:
            spec["cdroms"][name]["bootOrder"] = places[_ANY_DRIVE]


_ANY_DRIVE = 0


def _boot_key(item: Any) -> int | None:
    options = vim.vm.BootOptions
    if isinstance(item, options.BootableDiskDevice | options.BootableEthernetDevice):
        return int(item.deviceKey)
    return _ANY_DRIVE if isinstance(item, options.BootableCdromDevice) else None


def present(machine: Machine, spec: Mapping[str, Any]) -> Present:
    """The observation of a machine."""
    row = machine.row
    owner = machine.mark.stamp if machine.mark is not None else None
    tools = str(row.get("guest.toolsRunningStatus", "")) == "guestToolsRunning"
    return Present(
        external_id=machine.external_id,
        owner=owner,
        spec=spec,
        fingerprint=digest(
            {
                "id": machine.external_id,
                "name": str(row.get("name")),
                "owner": None if owner is None else owner.as_json(),
                "spec": _without_names(spec),
                "devices": sorted(item.key for item in machine.devices),
            }
        ),
        outputs=outputs_of(machine),
        facts={"power": machine.power, "tools": tools},
        name=str(row.get("name")),
    )


def _without_names(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """What does not depend on who asks: names of devices come from his manifest."""
    plain = {key: value for key, value in spec.items() if key not in {"disks", "nics", "cdroms"}}
    return {
        **plain,
        "disks": sorted(item["bus"] for item in spec["disks"].values()),
        "nics": sorted(
            (item["mac"], item["model"], item["link"]) for item in spec["nics"].values()
        ),
        "cdroms": sorted(item["bus"] for item in spec["cdroms"].values()),
    }


def outputs_of(machine: Machine) -> dict[str, Json]:
    """What other resources may refer to, as far as it is known without asking the guest."""
    outputs: dict[str, Json] = {
        "uuid": str(machine.row.get("config.uuid")),
        "mac": {name: cards.mac_of(card) for name, card in machine.cards.items()},
    }
    address = machine.row.get("guest.ipAddress")
    if address:
        outputs["address"] = str(address)
        outputs["addresses"] = [str(address)]
    return outputs
