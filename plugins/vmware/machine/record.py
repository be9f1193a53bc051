"""What is read of a machine's configuration, as plain data: what a look at it costs once is kept
with it (see :mod:`~provisioner_plugins.vmware.machine.memory`), and everything that judges a
machine works on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyVmomi import vim

from provisioner.core.values import Json
from provisioner_plugins.vmware.allocation import Allocation
from provisioner_plugins.vmware.machine.buses import bus_name
from provisioner_plugins.vmware.machine.models import model_of
from provisioner_plugins.vmware.machine.standby import PROPERTY as STANDBY
from provisioner_plugins.vmware.stamp import FIELD
from provisioner_plugins.vmware.storage.backing import base_file, file_of
from provisioner_plugins.vmware.storage.file import FileId
from provisioner_plugins.vmware.wire.sweep import Row

_Device = vim.vm.device
DISK, CARD, DRIVE, CONTROLLER, TPM, OTHER = "disk", "card", "drive", "controller", "tpm", "other"
_SORTS: Sequence[tuple[type, str]] = (
    (_Device.VirtualDisk, DISK),
    (_Device.VirtualEthernetCard, CARD),
    (_Device.VirtualCdrom, DRIVE),
    (_Device.VirtualController, CONTROLLER),
    (_Device.VirtualTPM, TPM),
)
ANY_DRIVE = 0
"""Stands for the CD drives in the order of booting, where devices are known by their keys."""


class Device(NamedTuple):
    """One virtual device. ``model`` is the bus of a controller and the model of a card; ``place``
    the key of its controller and its unit there, of a controller its number; ``file`` what a disk
    was made as or what is in a drive; ``capacity`` bytes of a disk; ``network`` the id of a card's;
    ``plugged`` whether it is connected when the machine starts.
    """

    sort: str
    key: int
    model: str = ""
    place: tuple[int, int] = (0, 0)
    file: FileId | None = None
    capacity: int = 0
    mac: str = ""
    network: str | None = None
    plugged: bool = True

    @classmethod
    def read(cls, device: Any) -> Device:
        """Of a device of vSphere's."""
        sort = next((name for kind, name in _SORTS if isinstance(device, kind)), OTHER)
        key = int(device.key)
        if sort == CONTROLLER:
            return cls(sort, key, bus_name(device), (int(device.busNumber), 0))
        place = (int(device.controllerKey or 0), int(device.unitNumber or 0))
        if sort == DISK:
            size = int(device.capacityInBytes or (device.capacityInKB or 0) * 1024)
            return cls(sort, key, place=place, file=base_file(device.backing), capacity=size)
        if sort == DRIVE:
            return cls(sort, key, place=place, file=file_of(device.backing))
        if sort == CARD:
            ends = device.connectable
            return cls(
                sort,
                key,
                model_of(device),
                place,
                mac=str(device.macAddress or "").lower(),
                network=_network(device.backing),
                plugged=ends is None or bool(ends.startConnected),
            )
        return cls(sort, key, type(device).__name__.rsplit(".", 1)[-1], place)


class Record(NamedTuple):
    """A machine's configuration. ``memory`` in MiB, as are ``most_memory``, up to which it can be
    added while the machine runs, and ``memory_step``: 0 where the endpoint does not tell; ``cpu``
    and ``ram`` what is allotted; ``mark`` the text of its mark; ``order`` the keys of the devices
    that it starts from; ``home`` the path of its own file; ``standby`` the text of the mark that it
    is not to be started.
    """

    uuid: str
    annotation: str
    guest: str
    version: str
    uefi: bool
    secure: bool
    order: tuple[int, ...]
    home: str
    processors: int
    cores: int
    memory: int
    more_processors: bool
    more_memory: bool
    most_memory: int
    memory_step: int
    nested: bool
    cpu: Allocation
    ram: Allocation
    mark: str
    standby: str
    devices: tuple[Device, ...]

    @classmethod
    def read(cls, row: Row) -> Record:
        """Of a row with :data:`~provisioner_plugins.vmware.machine.properties.OF_CONFIG`."""
        options = row.get("config.bootOptions")
        mark = row.get(f'config.extraConfig["{FIELD}"]')
        standby = row.get(STANDBY)
        return cls(
            uuid=str(row.get("config.uuid")),
            annotation=str(row.get("config.annotation", "")),
            guest=str(row.get("config.guestId", "")),
            version=str(row.get("config.version", "")),
            uefi=row.get("config.firmware") == "efi",
            secure=bool(getattr(options, "efiSecureBootEnabled", False)),
            order=_order(options),
            home=str(row.get("config.files.vmPathName", "")),
            processors=int(row.get("config.hardware.numCPU", 1)),
            cores=int(row.get("config.hardware.numCoresPerSocket", 1) or 1),
            memory=int(row.get("config.hardware.memoryMB", 0)),
            more_processors=bool(row.get("config.cpuHotAddEnabled", False)),
            more_memory=bool(row.get("config.memoryHotAddEnabled", False)),
            most_memory=int(row.get("config.hotPlugMemoryLimit", 0) or 0),
            memory_step=int(row.get("config.hotPlugMemoryIncrementSize", 0) or 0),
            nested=bool(row.get("config.nestedHVEnabled", False)),
            cpu=Allocation.read(row.get("config.cpuAllocation")),
            ram=Allocation.read(row.get("config.memoryAllocation")),
            mark="" if mark is None else str(mark.value),
            standby="" if standby is None else str(standby.value),
            devices=tuple(Device.read(item) for item in row.get("config.hardware.device", ())),
        )

    def plain(self) -> Json:
        """As JSON."""
        devices = [
            [*item[:4], None if item.file is None else [*item.file], *item[5:]]
            for item in self.devices
        ]
        fields = self._asdict() | {"order": [*self.order], "cpu": [*self.cpu], "ram": [*self.ram]}
        return [*list(fields.values())[:-1], devices]

    @classmethod
    def of_plain(cls, data: Any) -> Record:
        """From :meth:`plain`; raises TypeError, ValueError or IndexError for anything else."""
        *fields, devices = data
        plain = dict(zip(cls._fields, fields, strict=False))
        plain["order"] = tuple(plain["order"])
        plain["cpu"], plain["ram"] = Allocation(*plain["cpu"]), Allocation(*plain["ram"])
        return cls(**plain, devices=tuple(map(_device_of_plain, devices)))

    def of_sort(self, sort: str) -> list[Device]:
        """Its devices of a sort, in the order of their keys."""
        return sorted((item for item in self.devices if item.sort == sort), key=lambda d: d.key)

    def bus(self, device: Device) -> str:
        """The bus that a disk or drive is plugged into."""
        controller = self.controllers.get(device.place[0])
        return "" if controller is None else controller.model

    @property
    def controllers(self) -> Mapping[int, Device]:
        """The controllers by key."""
        return {item.key: item for item in self.devices if item.sort == CONTROLLER}

    def place(self, drive: Device) -> str:
        """What a CD drive is known by: its bus, the number of the controller, its unit there."""
        controller = self.controllers.get(drive.place[0])
        if controller is None:
            return f":{drive.place[1]}"
        return f"{controller.model}{controller.place[0]}:{drive.place[1]}"


def _device_of_plain(data: Any) -> Device:
    sort, key, model, place, file, *rest = data
    known = None if file is None else FileId(*file)
    return Device(sort, key, model, (place[0], place[1]), known, *rest)


def _network(backing: Any) -> str | None:
    port = getattr(backing, "port", None)
    if port is not None:
        return str(port.portgroupKey)
    network = getattr(backing, "network", None)
    return None if network is None else str(network._GetMoId())


def _order(options: Any) -> tuple[int, ...]:
    """The devices in the list of booting; a floppy, and what means none, is left out."""
    bootable = vim.vm.BootOptions
    found = []
    for item in getattr(options, "bootOrder", None) or ():
        if isinstance(item, bootable.BootableDiskDevice | bootable.BootableEthernetDevice):
            found.append(int(item.deviceKey))
        elif isinstance(item, bootable.BootableCdromDevice):
            found.append(ANY_DRIVE)
    return tuple(found)
