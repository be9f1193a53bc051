"""Disks and CD drives: read and made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyVmomi import vim

from provisioner_plugins.vmware.machine.buses import bus_name
from provisioner_plugins.vmware.machine.naming import named
from provisioner_plugins.vmware.storage.file import FileId, split_path

_Disk = vim.vm.device.VirtualDisk
_Drive = vim.vm.device.VirtualCdrom


def disks_in(devices: Sequence[Any]) -> list[Any]:
    """The disks, in the order of their keys."""
    return sorted((item for item in devices if isinstance(item, _Disk)), key=lambda d: d.key)


def file_of_disk(disk: Any) -> FileId | None:
    """The file that a disk was made as, below all that snapshots have laid over it; None for one
    without a file.
    """
    backing = disk.backing
    while getattr(backing, "parent", None) is not None:
        backing = backing.parent
    return _file(backing)


def _file(backing: Any) -> FileId | None:
    name, datastore = getattr(backing, "fileName", None), getattr(backing, "datastore", None)
    if not name or datastore is None:
        return None
    return FileId(datastore._GetMoId(), split_path(name)[1])


def controllers_of(devices: Sequence[Any]) -> dict[int, Any]:
    """The controllers by key."""
    return {item.key: item for item in devices if isinstance(item, vim.vm.device.VirtualController)}


def bus_of(device: Any, controllers: Mapping[int, Any]) -> str:
    """The bus that a disk or drive is plugged into."""
    controller = controllers.get(device.controllerKey)
    return "" if controller is None else bus_name(controller)


def make_disk(file_name: str, datastore: Any, size: int, key: int) -> Any:
    """A disk on an existing file; ``size`` in bytes, as the file has it."""
    return _Disk(
        key=key,
        capacityInKB=size // 1024,
        capacityInBytes=size,
        backing=_Disk.FlatVer2BackingInfo(
            fileName=file_name,
            datastore=datastore,
            diskMode=vim.vm.device.VirtualDiskOption.DiskMode.persistent,
        ),
    )


# --- CD drives ---


def place_of(drive: Any, controllers: Mapping[int, Any]) -> str:
    """What a CD drive is known by: its bus, the number of the controller, its unit there."""
    controller = controllers.get(drive.controllerKey)
    number = 0 if controller is None else controller.busNumber
    return f"{bus_of(drive, controllers)}{number}:{drive.unitNumber}"


def drives_of(
    devices: Sequence[Any], known: Mapping[str, str], wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """The machine's CD drives by name; arguments as for cards, with places on buses."""
    controllers = controllers_of(devices)
    found = sorted((item for item in devices if isinstance(item, _Drive)), key=lambda d: d.key)
    by_place = [(place_of(drive, controllers), drive) for drive in found]
    return named(by_place, known, dict.fromkeys(wanted, ""), otherwise="cdrom")


def file_of_drive(drive: Any) -> FileId | None:
    """The image in a CD drive; None for an empty one."""
    return _file(drive.backing)


def make_drive(key: int) -> Any:
    """An empty CD drive."""
    drive = _Drive(key=key)
    insert(drive, None, None)
    return drive


def insert(drive: Any, file_name: str | None, datastore: Any) -> None:
    """Put an image in, or take it out."""
    full = file_name is not None
    drive.backing = (
        _Drive.IsoBackingInfo(fileName=file_name, datastore=datastore)
        if full
        else _Drive.RemotePassthroughBackingInfo(deviceName="", exclusive=False)
    )
    drive.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=full, connected=full, allowGuestControl=True
    )
